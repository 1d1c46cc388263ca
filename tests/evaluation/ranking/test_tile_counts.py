"""Compiled counts of a tile against torch's comparisons, ties and infinities among the scores."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("numba", reason="needs the extra `fast`; without it torch counts the same")

from raytrain.evaluation.ranking import streaming
from raytrain.evaluation.ranking.tile_counts import around


@pytest.mark.parametrize(("texts", "images"), [(1, 1), (3, 17), (40, 9)])
def test_counts_are_those_of_comparisons(texts: int, images: int) -> None:
    draw = torch.Generator().manual_seed(texts)
    scores = torch.randint(-2, 3, (texts, images), generator=draw).float()  # many ties
    scores[0, 0] = torch.inf
    own, best = scores[:, 0].clone(), scores.amax(0)
    best[-1] = -torch.inf  # an image without a text
    above, least, images_above, images_least = around(scores, own, best)
    assert above.tolist() == [sum(s > o for s in row) for row, o in zip(scores.tolist(), own.tolist(), strict=True)]
    assert least.tolist() == [sum(s >= o for s in row) for row, o in zip(scores.tolist(), own.tolist(), strict=True)]
    columns = list(zip(scores.T.tolist(), best.tolist(), strict=True))
    assert images_above.tolist() == [sum(s > b for s in column) for column, b in columns]
    assert images_least.tolist() == [sum(s >= b for s in column) for column, b in columns]


def test_streaming_counts_alike_with_and_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    scores, owner = torch.randint(0, 6, (50, 12), generator=draw).float(), torch.arange(50) // 5
    counts = []
    monkeypatch.setattr(streaming, "COMPILED_FROM", 1)
    for way in (streaming.module_with_numba, lambda name: None):
        monkeypatch.setattr(streaming, "module_with_numba", way)
        by_tile = streaming.stream_counts(lambda rows, columns: scores[rows, columns].clone(), owner, 12)
        counts.append({side: [part.tolist() for part in parts] for side, parts in by_tile.items()})
    assert counts[0] == counts[1]
