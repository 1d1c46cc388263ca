from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from raytrain.data.load import batches
from raytrain.data.load.readers import Batch
from raytrain.data.table import QuerySplit, Table
from raytrain.errors import UsageError
from raytrain.methods.base import Method
from raytrain.scoring.composed_queries import blocks_of
from raytrain.scoring.embed import count_pairs, embed_split, score
from raytrain.scoring.feed import open_feed
from raytrain.training.build import build_method
from raytrain.training.run import open_tables
from tests.runs import tiny
from tests.scoring.dot import Dot
from tests.tables import make_query_table


@pytest.mark.parametrize(
    "method",
    [
        "vse_infinity", "dvse", "mv_vse", "dive", "maxmatch", "vsepp", "pvse", "pcme", "pcmepp", "scan", "sgraf",
        "vsrn", "caan", "imram", "naaf",
    ],
)  # fmt: skip
def test_scores_do_not_depend_on_how_many_queries_are_compared_at_once(
    method: str, table: Table, tmp_path: Path
) -> None:
    config = tiny(table, tmp_path, method__kind=method)
    split, feed, cpu = open_tables(config)["val"], open_feed(config, table), torch.device("cpu")
    model = build_method(config, feed)
    query, gallery = embed_split(model, split, feed, cpu)
    whole = score(model, query, gallery)
    assert whole.shape == (len(split.texts), len(split.items))
    assert not whole.requires_grad
    for memory_mib in (1e-6, 0.002, 0.01):
        torch.testing.assert_close(score(model, query, gallery, memory_mib), whole)
    assert model.training


class Counting(Method):
    """Scores everything 0, and notes how many queries and gallery items it was shown at once."""

    def __init__(self, cost: int | None) -> None:
        super().__init__()
        self.cost = cost
        self.shown: list[tuple[int, int]] = []

    def pair_cost(self, query: torch.Tensor, gallery: torch.Tensor) -> int:
        return super().pair_cost(query, gallery) if self.cost is None else self.cost

    def similarity(self, query: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
        assert not self.training
        self.shown.append((len(query), len(gallery)))
        return torch.zeros(len(query), len(gallery))


@pytest.mark.parametrize(
    ("cost", "numbers", "chunks"),
    [
        (None, 280, [(2, 5)]),  # sets of 3 and 4: 12 numbers a pair and 2 of the score, twice; 10 pairs
        (None, 279, [(2, 2), (2, 3)]),
        (10, 2 * 12 * 5, [(2, 1), (2, 2), (2, 2)]),
        (10, 2 * 12 * 2, [(1, 1)] * 2 + [(1, 2)] * 4),  # not even one query against all
        (10, 1, [(1, 1)] * 10),
    ],
)
def test_chunks_hold_as_many_pairs_as_the_method_says_fit(
    cost: int | None, numbers: int, chunks: list[tuple[int, int]]
) -> None:
    model = Counting(cost)
    assert score(model, torch.zeros(2, 3, 6), torch.zeros(5, 4, 6), numbers / 2**18).shape == (2, 5)
    assert model.shown == chunks


@pytest.mark.parametrize(
    ("method", "module"),
    [("scan", None), ("sgraf", "sgr"), ("sgraf", "saf"), ("caan", None), ("imram", None), ("naaf", None)],
)
def test_batches_of_different_lengths_give_the_scores_of_one_batch(
    method: str, module: str | None, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A split in batches of three captions, padded to the longest of each, is padded to the longest of all."""
    changes = {"method__kind": method} | ({"method__module": module} if module else {})
    config = tiny(table, tmp_path, **changes)
    split, feed, cpu = open_tables(config)["val"], open_feed(config, table), torch.device("cpu")
    model = build_method(config, feed)
    whole = embed_split(model, split, feed, cpu)
    lengths = []
    text_batches = batches.text_batches

    def few(rows: object, texts: object) -> Iterator[Batch]:
        for batch in text_batches(rows, texts, 3):  # type: ignore[arg-type]
            lengths.append(batch["text"].shape[1])
            yield batch

    monkeypatch.setattr("raytrain.scoring.embed.text_batches", few)
    parts = embed_split(model, split, feed, cpu)
    assert len(set(lengths)) > 1
    for part, expected in zip(parts, whole, strict=True):
        torch.testing.assert_close(part, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(score(model, *parts), score(model, *whole), rtol=0, atol=1e-6)


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_scores_are_never_of_half_precision(precision: torch.dtype) -> None:
    """Neither where embeddings are, nor in a caller's autocast; a method that computes in it is refused."""
    generator = torch.Generator().manual_seed(0)
    query, gallery = torch.rand(6, 4, generator=generator), torch.rand(3, 4, generator=generator)
    owner = torch.arange(3).repeat_interleave(2)
    half = query.to(precision), gallery.to(precision)
    expected = half[0].float() @ half[1].float().T
    torch.testing.assert_close(score(Dot(), *half), expected, rtol=1e-6, atol=0)
    with torch.autocast("cpu", torch.bfloat16):
        inside = score(Dot(), query, gallery)
    torch.testing.assert_close(inside, query @ gallery.T, rtol=1e-6, atol=0)

    class Half(Dot):
        def similarity(self, query: torch.Tensor, gallery: torch.Tensor) -> torch.Tensor:
            return super().similarity(query, gallery).to(precision)

    blocks = blocks_of(Half(), query, gallery, 1.0)
    for compute in (
        lambda: score(Half(), query, gallery),
        lambda: count_pairs(Half(), query, gallery, owner),
        lambda: list(blocks(torch.arange(6), None)),
    ):
        with pytest.raises(UsageError, match=r"Half\.similarity gives"):
            compute()


@pytest.mark.parametrize("kind", ["composed", "rau"])
@pytest.mark.parametrize("words", [True, False])
def test_texts_that_composed_queries_share_are_encoded_once(
    kind: str, words: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = make_query_table(tmp_path / "table")
    config = tiny(table, tmp_path, method__kind=kind, encoder__text__kind="bigru" if words else "tokens")
    split, feed, cpu = open_tables(config)["val"], open_feed(config, table), torch.device("cpu")
    assert isinstance(split, QuerySplit)
    model = build_method(config, feed)
    shown: list[int] = []
    model.text.register_forward_pre_hook(lambda module, given: shown.append(len(given[0])))

    def embedded(texts: list[str]) -> torch.Tensor:
        shown.clear()
        row_of = {sentence: row for row, sentence in reversed(list(enumerate(texts)))}
        monkeypatch.setattr(type(table), "first_equal_text", np.array([row_of[sentence] for sentence in texts]))
        return embed_split(model, split, feed, cpu)[0]

    sentences = table.texts["text"].to_pylist()
    each = embedded([str(n) for n in range(len(sentences))])
    assert sum(shown) == len(split)
    once = embedded(sentences)
    # the token states of equal sentences differ in this table, so each is read for itself
    assert sum(shown) == (3 if words else len(split))
    torch.testing.assert_close(once, each, rtol=1e-5, atol=1e-6)
