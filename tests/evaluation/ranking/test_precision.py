"""No rank and no metric is of half-precision scores: every function that ranks refuses them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from raytrain.evaluation.protocols.many_to_many import evaluate_relevance
from raytrain.evaluation.protocols.protocols import evaluate, find_protocol
from raytrain.evaluation.protocols.relevance import of_classes
from raytrain.evaluation.ranking.counts import (
    best_first,
    image_to_text_counts,
    positive_counts,
    ranks,
    text_to_image_counts,
)
from raytrain.evaluation.ranking.measures import PerQueryMeasures, precision_at_r
from raytrain.evaluation.ranking.precision import refuse_half, widened
from raytrain.evaluation.ranking.recall import image_text_metrics
from raytrain.evaluation.ranking.streaming import stream_counts
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.reranking.query_bank import QueryBank
from raytrain.evaluation.temperature_search.search import search_temperatures

OWNER = torch.tensor([0, 0, 1, 2])
FIRST = torch.zeros(4, 1, dtype=torch.int64)
CLASSES = {"i2t": of_classes(["a", "b", "b"], list("aabb")), "t2i": of_classes(list("aabb"), ["a", "b", "b"])}


@pytest.mark.parametrize(
    "measure",
    [
        lambda scores: ranks(scores, torch.ones(4, 3, dtype=torch.bool)),
        lambda scores: positive_counts(scores, FIRST),
        lambda scores: best_first(scores, 2),
        lambda scores: text_to_image_counts(scores, OWNER),
        lambda scores: image_to_text_counts(scores, OWNER),
        lambda scores: image_text_metrics(scores, OWNER),
        lambda scores: precision_at_r(scores, FIRST),
        lambda scores: PerQueryMeasures().add(scores, FIRST),
        lambda scores: stream_counts(lambda rows, columns: scores[rows, columns].clone(), OWNER, 3),
        lambda scores: evaluate(scores, OWNER, "split/val"),
        lambda scores: evaluate(scores, OWNER, "split/val", Temperatures("cross", 4.0, 4.0)),
        lambda scores: evaluate(scores, OWNER, "split/val", Temperatures("mtfn", 2, 2)),
        lambda scores: QueryBank(i2t=scores),
        lambda scores: QueryBank(t2i=scores),
        lambda scores: search_temperatures(scores, OWNER, 0, 0, "split/val", ["cross"]),
        lambda scores: evaluate_relevance(scores, OWNER, find_protocol("class/val"), CLASSES),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_way_to_rank_refuses_half_precision(measure: Callable[[Tensor], object], dtype: torch.dtype) -> None:
    scores = torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    for wide in (scores, scores.double()):
        measure(wide)
    with pytest.raises(ValueError, match=f"scores are {str(dtype)[6:]}, in which near scores tie"):
        measure(scores.to(dtype))


def test_embeddings_in_half_precision_are_widened_and_others_left() -> None:
    embedded = torch.rand(2, 3)
    assert widened(embedded) is embedded
    assert widened(embedded.double()).dtype == torch.float64
    assert widened(embedded.half()).dtype == widened(embedded.bfloat16()).dtype == torch.float32
    refuse_half(embedded)
