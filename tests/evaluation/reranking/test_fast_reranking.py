"""Fast Re-ranking against its sums in plain float64 loops, its limits, and its settings."""

from __future__ import annotations

import math

import pytest
import torch

from raytrain.evaluation.reranking.fast_reranking import Temperatures, fast_rerank
from raytrain.evaluation.reranking.normaliser import MODES
from tests.evaluation.scores import cosines


def rerank_by_hand(a: list[list[float]], s: float, mode: str, beta: float) -> list[list[float]]:
    """The softmaxes as they are written, one entry at a time."""
    queries, gallery = range(len(a)), range(len(a[0]))
    out = []
    for q in queries:
        row = []
        for g in gallery:
            column = sum(math.exp(s * a[other][g]) for other in queries)
            across = sum(math.exp(s * a[q][other]) for other in gallery)
            b, r = math.exp(s * a[q][g]) / column, math.exp(s * a[q][g]) / across
            if mode == "cross":
                row.append((math.log(b) + math.log(len(a))) / s)
            elif mode == "own_row":
                row.append((math.log(r) + math.log(len(a[0]))) / s)
            elif mode == "product":
                row.append((math.log(b) + math.log(r) + math.log(len(a)) + math.log(len(a[0]))) / (2 * s))
            else:
                row.append(a[q][g] + beta * b)
        out.append(row)
    return out


@pytest.mark.parametrize("scale", [0.01, 1.0, 20.0, 170.0])
@pytest.mark.parametrize("mode", ["cross", "product", "additive", "own_row"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (5, 1), (4, 7)])
def test_every_mode_equals_the_softmaxes_written_out(shape: tuple[int, int], mode: str, scale: float) -> None:
    similarity = cosines(*shape)
    expected = torch.tensor(rerank_by_hand(similarity.tolist(), scale, mode, beta=0.5), dtype=torch.float64)
    actual = fast_rerank(similarity, scale, mode, beta=0.5)  # type: ignore[arg-type]
    torch.testing.assert_close(actual, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("mode", ["cross", "product", "additive"])
def test_both_limits_are_reached_by_small_and_large_scales(mode: str) -> None:
    similarity = cosines(6, 9)
    for limit, near in ((0.0, 1e-9), (math.inf, 1e6)):
        actual = fast_rerank(similarity, limit, mode)  # type: ignore[arg-type]
        assert actual.isfinite().all()
        torch.testing.assert_close(actual, fast_rerank(similarity, near, mode), rtol=0, atol=1e-5)  # type: ignore[arg-type]


def test_cross_at_zero_centres_and_at_infinity_subtracts_the_best_query() -> None:
    similarity = cosines(6, 9)
    torch.testing.assert_close(fast_rerank(similarity, 0), similarity - similarity.mean(0))
    torch.testing.assert_close(fast_rerank(similarity, math.inf), similarity - similarity.amax(0))


@pytest.mark.parametrize("scale", [0.0, 1.0, 20.0, 170.0, 480.0, math.inf])
def test_normalising_along_a_querys_own_row_changes_no_rank(scale: float) -> None:
    """The study of directions: rows alone leave i2t as it is, columns alone t2i; what helps is the other one."""
    similarity = cosines(40, 60, torch.float32)
    order = similarity.argsort(dim=1, descending=True, stable=True)
    assert torch.equal(fast_rerank(similarity, scale, "own_row").argsort(dim=1, descending=True, stable=True), order)
    assert not torch.equal(fast_rerank(similarity, scale).argsort(dim=1, descending=True, stable=True), order)
    for direction, queries in (("t2i", 0), ("i2t", 1)):
        settings = Temperatures("own_row", i2t=scale, t2i=scale)
        normaliser = settings.normaliser(direction, similarity)
        assert normaliser is not None and not settings.transductive
        ranked = normaliser(similarity[3:9, 5:11], slice(3, 9), slice(5, 11))  # a block on its own
        part = similarity[3:9, 5:11]
        assert torch.equal(ranked.argsort(1 - queries), part.argsort(1 - queries))


def test_own_rows_need_no_bank_and_take_none() -> None:
    with pytest.raises(ValueError, match="takes no bank"):
        Temperatures("own_row", t2i=1.0, t2i_bank=2).normaliser("t2i", cosines(3, 4), cosines(2, 4))


def test_additive_at_infinity_shares_the_bonus_among_tied_queries() -> None:
    similarity = torch.tensor([[0.5, 0.1], [0.5, 0.4]])
    actual = fast_rerank(similarity, math.inf, "additive")
    torch.testing.assert_close(actual, torch.tensor([[1.0, 0.1], [1.0, 1.4]]).double(), rtol=0, atol=1e-7)


def test_off_changes_nothing_and_every_precision_is_re_ranked_in_float64() -> None:
    similarity = cosines(3, 4, torch.float32)
    assert fast_rerank(similarity, 20, "off") is similarity
    for dtype in (torch.float16, torch.float32):
        narrow = similarity.to(dtype)
        assert torch.equal(fast_rerank(narrow, 480), fast_rerank(narrow.double(), 480))


def test_a_hub_loses_what_it_takes_from_other_queries() -> None:
    # item 2 is close to everybody; each query's own item is a little less close
    similarity = torch.tensor([[0.60, 0.10, 0.70], [0.10, 0.60, 0.70], [0.10, 0.10, 0.80]])
    assert similarity.argmax(1).tolist() == [2, 2, 2]
    assert fast_rerank(similarity, 20).argmax(1).tolist() == [0, 1, 2]


def test_each_direction_normalises_over_its_own_queries() -> None:
    similarity = cosines(10, 4)
    both = Temperatures("cross", i2t=30, t2i=170)
    texts, images = both.normaliser("t2i", similarity), both.normaliser("i2t", similarity)
    assert texts is not None and images is not None
    torch.testing.assert_close(texts.whole(similarity), fast_rerank(similarity, 170))
    torch.testing.assert_close(images.whole(similarity), fast_rerank(similarity.T, 30).T)
    only_texts = Temperatures("cross", t2i=170)
    assert only_texts.normaliser("i2t", similarity) is None
    assert only_texts.active
    assert not Temperatures("cross").active
    assert not Temperatures("off", 20, 20).active


def test_temperatures_survive_a_dictionary() -> None:
    assert Temperatures.from_dict(Temperatures("additive", None, 3.5, 2.0).as_dict()) == Temperatures(
        "additive", None, 3.5, 2.0
    )


@pytest.mark.parametrize("scale", [-1.0, math.nan])
def test_scales_without_a_meaning_are_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="inverse temperature"):
        fast_rerank(torch.zeros(2, 2), scale)
    with pytest.raises(ValueError, match="inverse temperature"):
        Temperatures("cross", i2t=scale)


def test_an_unknown_mode_shows_the_modes() -> None:
    with pytest.raises(ValueError, match=", ".join(MODES)):
        fast_rerank(torch.zeros(2, 2), 1, "sinkhorn")  # type: ignore[arg-type]
