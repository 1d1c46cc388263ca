"""The search of temperatures: a planted gain, folds, banks, mtfn mode, and what the grid says of each setting."""

from __future__ import annotations

import pytest
import torch

from raytrain.errors import UsageError
from raytrain.evaluation.protocols.protocols import Protocol, evaluate
from raytrain.evaluation.ranking.recall import DIRECTIONS, Direction
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from raytrain.evaluation.temperature_search.choice import OFF, Setting, complexity
from raytrain.evaluation.temperature_search.search import SearchResult, search_temperatures, searchable
from tests.evaluation.scores import bank_of, hubs
from tests.evaluation.temperature_search.grids import made_up


def chosen(temperatures: Temperatures, direction: Direction) -> Setting:
    mode = temperatures.mode_of(direction)
    return (
        OFF
        if mode == "off"
        else Setting(mode, getattr(temperatures, direction), getattr(temperatures, f"{direction}_bank"))
    )


def worth(result: SearchResult) -> float:
    """What the search said of its two settings, together."""
    return sum(result.tried[direction][chosen(result.best, direction)] for direction in DIRECTIONS)


def test_the_search_finds_a_planted_gain_and_reports_it_as_it_is() -> None:
    pytest.importorskip("optuna", reason="temperatures are searched with Optuna")
    similarity, owner = hubs()
    result = search_temperatures(similarity, owner, trials=12, seed=0, protocol="split/val")
    assert result.best.t2i is not None
    assert result.after.metrics["t2i/recall_at_1"] > result.before.metrics["t2i/recall_at_1"] + 20
    assert result.after.transductive
    assert not result.before.transductive
    again = evaluate(similarity, owner, "split/val", result.best)
    assert again.metrics == result.after.metrics
    # the pair is put together from two searches, each direction with its own mode, and is worth what the two said
    assert result.after.metrics["rsum"] == pytest.approx(
        sum(result.tried[d][chosen(result.best, d)] for d in DIRECTIONS)
    )
    assert result.held_out["t2i"].gain > 20
    assert result.held_out_rsum.as_dict()["folds"] == 10
    assert result.held_out_rsum.as_dict()["before"] == pytest.approx(result.before.metrics["rsum"], abs=1e-3)
    for scores in result.tried.values():
        assert {setting.mode for setting in scores} == {"off", "cross", "product", "additive"}


def test_the_search_stays_off_where_nothing_is_gained_and_repeats_itself() -> None:
    pytest.importorskip("optuna", reason="temperatures are searched with Optuna")
    owner = torch.arange(12).repeat_interleave(2)
    perfect = (owner[:, None] == torch.arange(12)).float()
    result = search_temperatures(perfect, owner, trials=8, seed=0, protocol="split/val")
    assert not result.best.active
    assert result.after.metrics == result.before.metrics
    similarity, owner = hubs(12)
    first, second = (search_temperatures(similarity, owner, 8, 3, "split/val") for _ in range(2))
    assert first.tried == second.tried
    grid = search_temperatures(similarity, owner, 0, 3, "split/val")
    assert set(grid.tried["t2i"]) <= set(first.tried["t2i"])
    assert first.settings_tried == sum(len(scores) for scores in first.tried.values()) <= grid.settings_tried + 2 * 8


def test_both_published_scales_and_off_are_always_tried() -> None:
    pytest.importorskip("optuna", reason="temperatures are searched with Optuna")
    similarity, owner = hubs(12)
    result = search_temperatures(similarity, owner, 6, 0, "split/val")
    for scores in result.tried.values():
        assert {Setting("off", 0.0), Setting("cross", 20.0), Setting("additive", 170.0)} <= set(scores)


def test_the_search_over_a_bank_tries_its_sizes_and_finds_only_inductive_settings() -> None:
    pytest.importorskip("optuna", reason="temperatures are searched with Optuna")
    similarity, owner = hubs()
    bank = bank_of(30, 3)
    result = search_temperatures(similarity, owner, 10, 0, "split/val", bank=bank, bank_sizes=(10, 500))
    for scores in result.tried.values():
        assert {setting.bank for setting in scores if setting.mode != "off"} == {10, 40}  # no more than there are
    assert result.after.inductive
    assert not result.after.transductive
    assert result.best.t2i_bank in (10, 40)
    assert result.best.bank_seed == 9
    assert result.after.metrics["rsum"] == pytest.approx(
        sum(result.tried[d][chosen(result.best, d)] for d in DIRECTIONS)
    )
    with pytest.raises(UsageError, match="mtfn"):
        search_temperatures(similarity, owner, 0, 0, "split/val", ("mtfn",), bank)
    with pytest.raises(UsageError, match="none was given"):
        search_temperatures(similarity, owner, 0, 0, "split/val", bank_sizes=(10,))


def test_folds_are_searched_each_by_itself() -> None:
    scores, owner = made_up(60, 20, seed=5)
    protocol = Protocol("folds", folds=2)
    searched = search_temperatures(scores, owner.sort().values, 0, 0, protocol)
    both = Temperatures("cross", 20.0, 20.0)
    result = evaluate(scores, owner.sort().values, protocol, both)
    for direction in ("i2t", "t2i"):
        expected = sum(result.metrics[f"{direction}/recall_at_{k}"] for k in (1, 5, 10))
        assert searched.tried[direction][Setting("cross", 20.0)] == pytest.approx(expected)  # type: ignore[index]
    assert searched.after.metrics["rsum"] == pytest.approx(worth(searched))


def test_mtfn_mode_is_tried_where_it_is_named_and_is_transductive() -> None:
    similarity, owner = hubs(12)
    result = search_temperatures(similarity, owner, 0, 0, "split/val", ("mtfn",))
    assert {setting.mode for setting in result.tried["t2i"]} == {"off", "mtfn"}
    assert result.after.transductive
    assert result.best.mode_of("t2i") == "mtfn"
    assert result.best.t2i is not None
    again = evaluate(similarity, owner, "split/val", Temperatures("mtfn", result.best.i2t, result.best.t2i))
    assert torch.equal(result.after.ranks["t2i"], again.ranks["t2i"])


@pytest.mark.parametrize("wrong", [[], ["off"], ["own_row"], ["cross", "sinkhorn"]])
def test_modes_that_cannot_be_searched_are_refused_with_those_that_can(wrong: list[str]) -> None:
    with pytest.raises(UsageError, match="cross, product, additive, mtfn"):
        searchable(wrong)
    assert searchable(["additive", "cross"]) == ["cross", "additive"]


def test_a_negative_number_of_trials_is_refused() -> None:
    with pytest.raises(UsageError, match="trials is -1"):
        search_temperatures(*hubs(4), trials=-1, seed=0, protocol="split/val")


def test_the_choice_is_never_less_simple_than_the_best_of_all_that_was_tried() -> None:
    generator = torch.Generator().manual_seed(4)
    owner = torch.arange(40).repeat_interleave(2)
    scores = torch.rand(80, 40, generator=generator)
    scores[torch.arange(80), owner] += 0.55
    result = search_temperatures(scores, owner, 0, 0, "split/val", ("cross", "product"))
    for direction in DIRECTIONS:
        tried = result.tried[direction]
        setting = chosen(result.best, direction)
        assert complexity(setting) <= min(complexity(key) for key in tried if tried[key] == max(tried.values()))
        assert tried[setting] >= tried[OFF]


@pytest.mark.parametrize("hurt", ["i2t", "t2i"])
def test_a_direction_that_gains_nothing_stays_off_beside_one_that_gains(hurt: str) -> None:
    """Hubs among images hurt text queries alone, and hubs among texts image queries alone."""
    owner = torch.arange(12)
    scores = (owner[:, None] == owner).float() * 0.3
    # a hub is above every other item for its queries, and keeps its own query in front
    scores[:, 0] += 0.5
    scores[0, 0] = 1.0
    result = search_temperatures(scores if hurt == "t2i" else scores.T, owner, 0, 0, "split/val")
    other = "i2t" if hurt == "t2i" else "t2i"
    assert result.before.metrics[f"{hurt}/recall_at_1"] < 10
    assert result.after.metrics[f"{hurt}/recall_at_1"] == 100
    assert result.best.mode_of(hurt) != "off"
    assert result.best.mode_of(other) == "off"
