"""Banks of training queries: against plain loops, one query like many, and inductive as they claim to be."""

from __future__ import annotations

import math

import pytest
import torch

from raytrain.evaluation.protocols.protocols import Protocol, evaluate
from raytrain.evaluation.reranking.fast_reranking import Temperatures, fast_rerank
from raytrain.evaluation.reranking.normaliser import Mode, Normaliser
from raytrain.evaluation.reranking.query_bank import BankNormaliser, QueryBank, draw
from tests.evaluation.scores import bank_of, cosines, hubs

SCORES, BANK = cosines(5, 7), cosines(9, 7, seed=1)


def by_hand(mode: str, scale: float, beta: float) -> list[list[float]]:
    out = []
    for row in SCORES.tolist():
        ranked = []
        for g, score in enumerate(row):
            total = sum(math.exp(scale * other[g]) for other in BANK.tolist())
            if mode == "cross":
                ranked.append(score - math.log(total / len(BANK)) / scale)
            elif mode == "product":
                ranked.append(score - math.log(total / len(BANK)) / (2 * scale))
            else:
                mine = math.exp(scale * score)
                ranked.append(score + beta * mine / (total + mine))
        out.append(ranked)
    return out


@pytest.mark.parametrize("scale", [0.5, 20.0, 170.0])
@pytest.mark.parametrize("mode", ["cross", "product", "additive"])
def test_bank_scores_are_the_sums_written_out_in_both_directions(mode: Mode, scale: float) -> None:
    expected = torch.tensor(by_hand(mode, scale, 0.5), dtype=torch.float64)
    actual = Normaliser(BANK, scale, mode, 0.5, from_bank=True).whole(SCORES)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)
    turned = Normaliser(BANK.T, scale, mode, 0.5, queries=1, from_bank=True).whole(SCORES.T)
    torch.testing.assert_close(turned.T, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("scale", [0.0, 20.0, math.inf])
@pytest.mark.parametrize("mode", ["cross", "product", "additive", "off"])
def test_one_query_gets_what_the_whole_batch_gets(mode: Mode, scale: float) -> None:
    normalise = BankNormaliser(BANK.float(), scale, mode)
    batch = normalise(SCORES.float())
    assert batch.isfinite().all()
    for query, expected in zip(SCORES.float(), batch, strict=True):
        assert torch.equal(normalise(query), expected)


def test_the_bank_of_all_queries_is_transductive_re_ranking() -> None:
    assert torch.equal(Normaliser(SCORES, 20, "cross", from_bank=True).whole(SCORES), fast_rerank(SCORES, 20))


def test_a_huge_scale_stays_finite() -> None:
    assert BankNormaliser(BANK.float(), 500, "additive")(SCORES.float() + 2).isfinite().all()


def test_results_over_a_bank_are_inductive_and_say_so() -> None:
    similarity, owner = hubs()
    bank = bank_of(30, 3)
    chosen = Temperatures("cross", None, 20.0, t2i_bank=40, bank_seed=9)
    plain, result = (evaluate(similarity, owner, "split/val", temperatures, bank) for temperatures in (None, chosen))
    assert (result.transductive, result.inductive) == (False, True)
    assert (plain.transductive, plain.inductive) == (False, False)
    assert any("bank of 40 training captions" in note for note in result.notes)
    assert result.metrics["t2i/recall_at_1"] > plain.metrics["t2i/recall_at_1"] + 20
    mixed = Temperatures("cross", 20.0, 20.0, t2i_bank=40)
    assert mixed.transductive  # one direction looks at its queries
    # each query is ranked as if it were alone
    for text in (0, 17, 44):
        normaliser = chosen.normaliser("t2i", similarity[text : text + 1], bank.t2i)
        assert normaliser is not None
        alone = normaliser.whole(similarity[text : text + 1])
        assert (alone[0] > alone[0, owner[text]]).sum() == result.ranks["t2i"][text]


def test_folds_take_their_own_part_of_the_gallery() -> None:
    similarity, owner = hubs()
    bank = bank_of(30, 3)
    chosen = Temperatures("cross", 30.0, 20.0, i2t_bank=25, t2i_bank=30)
    result = evaluate(similarity, owner, Protocol("folds", folds=2), chosen, bank)
    assert bank.i2t is not None
    assert bank.t2i is not None
    for number, (rows, columns) in enumerate(((slice(0, 45), slice(0, 15)), (slice(45, 90), slice(15, 30)))):
        part = QueryBank(bank.i2t[rows], bank.t2i[:, columns])
        fold = evaluate(similarity[rows, columns], owner[rows] - 15 * number, "split/val", chosen, part)
        assert torch.equal(result.ranks["t2i"][rows], fold.ranks["t2i"])
        assert torch.equal(result.ranks["i2t"][columns], fold.ranks["i2t"])


def test_a_bank_that_is_missing_or_too_small_is_an_error() -> None:
    similarity, owner = hubs(10)
    for bank in (None, QueryBank(t2i=torch.zeros(5, 10))):
        with pytest.raises(ValueError, match="bank of 40 training queries"):
            evaluate(similarity, owner, "split/val", Temperatures("cross", None, 20.0, t2i_bank=40), bank)
    with pytest.raises(ValueError, match="takes no bank"):
        BankNormaliser(BANK, 5, "mtfn")


def test_a_draw_repeats_itself_and_a_smaller_one_is_its_start() -> None:
    large, small = draw(50, 20, 3), draw(50, 8, 3)
    assert torch.equal(large[:8], small)
    assert len(set(large.tolist())) == 20
    assert sorted(draw(5, 100, 0).tolist()) == list(range(5))
    assert not torch.equal(draw(50, 20, 4), large)
