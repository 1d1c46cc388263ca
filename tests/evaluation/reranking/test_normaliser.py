"""Re-ranking at every scale against exact sums, where a normaliser nearly equals the score it is subtracted from."""

from __future__ import annotations

import math

import pytest
import torch

from raytrain.evaluation.protocols.protocols import evaluate
from raytrain.evaluation.ranking.recall import Direction
from raytrain.evaluation.reranking.fast_reranking import Temperatures, fast_rerank
from raytrain.evaluation.reranking.normaliser import Mode, Normaliser, log_mean_exp
from tests.evaluation.exact_reranking import SCALES, exact_keys, exact_ranks, matched, places
from tests.evaluation.scores import cosines


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("mode", ["cross", "product", "additive"])
@pytest.mark.parametrize("direction", ["i2t", "t2i"])
def test_ranks_are_those_of_the_exact_sums_at_every_scale(direction: Direction, mode: Mode, scale: float) -> None:
    similarity, owner = matched()
    result = evaluate(similarity, owner, "split/val", Temperatures(mode, scale, scale))
    assert result.ranks[direction].tolist() == exact_ranks(similarity, owner, direction, mode, scale)
    assert result.metrics[f"{direction}/tied_percent"] == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_formula_itself_loses_order_at_a_large_scale(dtype: torch.dtype) -> None:
    """So the test above can fail: 4 of 14 queries are ranked otherwise in float32, 3 in float64."""
    similarity, owner = matched()
    ranked = similarity.to(dtype) - log_mean_exp(similarity, 480.0, 1).to(dtype)
    ranks = evaluate(ranked, owner, "split/val").ranks["i2t"].tolist()
    assert ranks != exact_ranks(similarity, owner, "i2t", "cross", 480.0)


@pytest.mark.parametrize("scale", SCALES)
def test_a_bank_ranks_as_its_exact_sums(scale: float) -> None:
    similarity, owner = matched()
    bank = cosines(9, similarity.shape[1], torch.float32)
    normaliser = Normaliser(bank, scale, "cross", from_bank=True)
    ranked = evaluate(normaliser.whole(similarity), owner, "split/val").ranks["t2i"]
    keys = exact_keys(similarity.tolist(), bank.tolist(), scale, "cross")
    assert ranked.tolist() == places(keys, owner[:, None].tolist())


@pytest.mark.parametrize("mode", ["cross", "product", "additive", "mtfn"])
@pytest.mark.parametrize("queries", [0, 1])
@pytest.mark.parametrize("scale", [2.0, 480.0, math.inf])
def test_blocks_of_rows_and_columns_are_parts_of_the_whole(scale: float, queries: int, mode: Mode) -> None:
    similarity = matched()[0]
    scale = 5.0 if mode == "mtfn" else scale
    normaliser = Normaliser(similarity, scale, mode, queries=queries)
    whole = normaliser(similarity)
    rows, columns = torch.tensor([7, 0, 3]), torch.tensor([4, 2])
    assert torch.equal(normaliser(similarity[5:9], slice(5, 9)), whole[5:9])
    assert torch.equal(normaliser(similarity[rows], rows), whole[rows])
    assert torch.equal(normaliser(similarity[:, columns], columns=columns), whole[:, columns])
    assert whole.dtype == torch.float64


def test_only_nearly_whole_shares_have_other_scores_than_the_formula() -> None:
    similarity = matched()[0]
    share = (480.0 * similarity.double()).softmax(0)
    ranked = Normaliser(similarity, 480.0, "cross")(similarity)
    low = share <= 0.9
    assert (~low).any()
    torch.testing.assert_close(ranked[low], fast_rerank(similarity, 480.0)[low], rtol=0, atol=1e-12)
    assert (ranked[~low] > ranked[low].max()).all()


def test_a_single_query_and_equal_scores_tie_as_before() -> None:
    alone = Normaliser(cosines(1, 6), 480.0, "cross")(cosines(1, 6))
    assert (alone == 0).all()
    equal = torch.full((5, 4), 0.25)
    assert (Normaliser(equal, 480.0, "cross")(equal) == 0).all()


def test_a_left_out_query_is_no_term_of_the_mean() -> None:
    similarity, left_out = cosines(5, 3), torch.tensor([4, 0, 2])
    expected = [
        math.log(sum(math.exp(7 * similarity[q, g]) for q in range(5) if q != left_out[g]) / 5) / 7 for g in range(3)
    ]
    for dim in (0, 1):
        source = similarity if dim == 0 else similarity.T
        assert log_mean_exp(source, 7.0, dim, left_out).flatten().tolist() == pytest.approx(expected, abs=1e-12)
