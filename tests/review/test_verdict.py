"""The verdict in sentences: what is decided, what is not, and what is not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from raytrain.review.board import Board, Comparison, Coverage, Headline, Interval, Row
from raytrain.review.verdict import MOST_VERDICTS, run_verdict, sweep_verdict, verdict_of, verdicts_of
from raytrain.review.watch.progress import Best, Progress
from tests.review.made_rows import made_row, made_scores

CONFIG = {"data.table": "tables/flickr8k"}


def first(**changes: Any) -> Row:
    return made_row(**({"test": made_scores(342.0), "config": CONFIG, "runs": ["a"]} | changes))


def rival(difference: float, p: float, **changes: Any) -> Row:
    comparison = Comparison(1, "test", difference, difference - 5, difference + 5, p, Coverage(seeds=True))
    row = {"method": "vse_infinity", "views": 1, "rank": 2, "runs": ["b"], "test": made_scores(342.0 + difference),
           "config": CONFIG, "comparison": comparison}  # fmt: skip
    return made_row(**(row | changes))


WHERE = "on table flickr8k (data aaaaaaaaaaaa), protocol split/test"


def test_a_difference_that_chance_does_not_explain_is_a_lead() -> None:
    verdict = verdict_of([first(), rival(-10.0, 0.002)])
    assert verdict.sentence == (
        "DVSE (K = 4, a) leads VSE-infinity (b) by 10.0 points of test rsum (95 % interval +5.0 to +15.0, p 0.002, "
        f"over images and seeds), {WHERE}."
    )


def test_a_row_that_was_evaluated_is_compared_before_one_of_its_method_that_was_not() -> None:
    trial = rival(0.0, 1.0, runs=["trial"], comparison=None, test=None, rank=2)
    assert "VSE-infinity (b) by 10.0 points" in verdict_of([first(), trial, rival(-10.0, 0.002, rank=3)]).sentence


def test_rows_that_were_evaluated_are_judged_where_a_single_trial_stands_above_them() -> None:
    def ranks(worse: int) -> dict[str, Any]:
        better = {"i2t": np.arange(30) % 12 + worse, "t2i": np.arange(60) % 12 + worse}
        return {"val": None, "test": [better | {"item_of_text": np.repeat(np.arange(30), 2)}]}

    trial = first(test=made_scores(None), runs=["trial"])
    chosen = first(rank=2, runs=["chosen"], ranks=ranks(0))
    other = rival(0.0, 1.0, comparison=None, rank=3, ranks=ranks(4))
    sentence = verdict_of([trial, chosen, other]).sentence
    assert sentence.startswith("DVSE (K = 4, chosen) leads VSE-infinity (b) by ") and "of test rsum (95 %" in sentence


def test_an_interval_that_holds_zero_decides_nothing() -> None:
    verdict = verdict_of([first(), rival(-1.0, 0.4)])
    assert verdict.sentence.startswith(
        "Nothing is decided between DVSE (K = 4, a) and VSE-infinity (b): the first is 1.0 "
    )
    assert "ahead (95 % interval -4.0 to +6.0, p 0.4," in verdict.sentence
    assert "the first is 1.0 points of test rsum behind" in verdict_of([first(), rival(1.0, 0.4)]).sentence


def test_the_best_on_validation_may_lose_on_test() -> None:
    sentence = verdict_of([first(), rival(8.0, 0.01)]).sentence
    assert sentence.startswith(
        "DVSE (K = 4, a) has the best validation, but VSE-infinity (b) is 8.0 points of test rsum"
    )


def test_the_rival_is_the_best_row_of_another_method_re_ranked_rows_aside() -> None:
    table = [first(rerank="x", transductive=True), first(rank=2, runs=["p"]), first(rank=3, runs=["q"])]
    assert "DVSE (K = 4, p) is 0.0 points of test rsum ahead of DVSE (K = 4, q)" in verdict_of(table).sentence
    other = rival(-10.0, 0.002, comparison=Comparison(2, "test", -10.0, -15.0, -5.0, 0.002))
    assert "DVSE (K = 4, p) leads VSE-infinity (b)" in verdict_of([*table, other]).sentence


def test_without_ranks_how_sure_it_is_cannot_be_said() -> None:
    sentence = verdict_of([first(), rival(-10.0, 0.0, comparison=None)]).sentence
    assert "is 10.0 points of test rsum ahead of VSE-infinity (b); how sure that is cannot be said" in sentence
    val = [first(test=made_scores(None)), rival(-10.0, 0.0, comparison=None, test=made_scores(None))]
    assert "is 0.0 points of val rsum ahead of" in verdict_of(val).sentence


def test_a_protocol_without_rsum_is_judged_by_its_headline() -> None:
    none = made_scores(None)
    rows = [
        first(headline=Headline("val mean_recall", 50.0, None), val=none, test=none),
        rival(0, 1, headline=Headline("val mean_recall", 48.5, None), val=none, test=none, comparison=None),
    ]
    assert "is 1.5 points of val mean_recall ahead of VSE-infinity (b)" in verdict_of(rows).sentence
    rows[1] = rival(0, 1, val=none, test=none, comparison=None)
    assert "were not measured alike" in verdict_of(rows).sentence


def test_a_row_alone_is_compared_with_nothing() -> None:
    bounds = Interval("test", 330.0, 350.0, Coverage())
    assert verdict_of([first(interval=bounds)]).sentence == (
        f"DVSE (K = 4, a) stands alone {WHERE}: test rsum 342.0 (95 % 330.0 to 350.0 over images; training noise "
        "not covered). Nothing is compared."
    )


def test_what_it_rests_on_is_said() -> None:
    uncovered = Comparison(1, "test", -10.0, -15.0, -5.0, 0.002, Coverage())
    leader = first(seeds=[0, 1, 2], openings=2, openings_in_all=7, unverified="training")
    other = rival(0, 0, comparison=uncovered, unequal="2 x the samples")
    third = rival(-20.0, 0.001, rank=3)
    reranked = first(rank=4, rerank="x", transductive=True, gain={"test": 12.8})
    verdict = verdict_of([leader, other, third, reranked])
    assert "over images; training noise not covered)" in verdict.sentence
    assert verdict.notes == [
        "It rests on 3 seeds of DVSE (K = 4, a) and 1 seed of VSE-infinity (b).",
        "A row of one seed may move with another seed by more than the interval says.",
        "Interval and p are corrected for the 2 rows that are compared with a first row.",
        "Budgets differ: VSE-infinity (b) had 2 x the samples of the first row.",
        "Features were read without comparing them with the table's checksums.",
        "The test split was opened 2 times of 7 openings in all with the first row's weights.",
        "Re-ranked (transductive), DVSE (K = 4, a) changes by test +12.8.",
    ]
    on_val = [first(test=made_scores(None)), rival(0, 0, comparison=None, test=made_scores(None))]
    assert "flatters the first row" in " ".join(verdict_of(on_val).notes)
    trained = verdict_of([first(selection="split 'train', which it trains on")])
    assert "this validation is none" in " ".join(trained.notes)


def test_a_page_has_the_verdicts_of_its_largest_tables_and_says_what_is_open() -> None:
    rows = [first(protocol=f"p{n}") for n in range(MOST_VERDICTS + 2)]
    verdicts = verdicts_of(Board([*rows, first(protocol="p5", rank=2)], {"open": 2}))
    assert len(verdicts) == MOST_VERDICTS and "protocol p5" in verdicts[0].sentence
    assert list(verdicts[-1].notes)[-2:] == [
        "2 smaller tables have no sentence here.", "Not final: 2 runs have no end yet.",
    ]  # fmt: skip
    assert verdicts_of(Board([], {"open": 1})) == []
    assert len(verdicts_of(Board([*rows, rival(0, 1, protocol="p0")], {}), least_methods=2)) == 1


def trial(number: int, value: float | None, state: str = "complete") -> dict[str, Any]:
    return {"event": "trial", "number": number, "run": f"s-t{number}", "state": state, "value": value, "params": {}}


START = {"event": "start", "config": CONFIG | {"evaluation.select": "val/rsum"}}
EMPTY = Board([], {})


def test_a_sweep_is_told_by_its_best_trial_and_the_recipe() -> None:
    events = [START, trial(0, 300.0), trial(1, 310.0), trial(2, 305.0, "pruned"), trial(3, None, "failed")]
    verdict = sweep_verdict("s", events, EMPTY, "finished")
    assert verdict.sentence == (
        "s-t1 leads among 4 trials (2 complete, 1 pruned, 1 failed) of sweep s with val/rsum 310.00 on table flickr8k, "
        "+10.00 against the recipe (trial 0)."
    )
    assert verdict.notes == [
        "How sure the difference from the recipe is cannot be said: ranks of queries were not kept for both.",
        "The next trial, s-t0, has 300.00.",
        "Each trial has one seed, so small differences may be chance.",
        "The best of 4 trials on validation is flattered by the choice; test says how much.",
    ]


def test_a_trial_that_was_recorded_again_counts_once() -> None:
    events = [START, trial(0, 290.0), trial(1, 280.0), trial(0, 300.0)]
    assert "among 2 trials (2 complete) of sweep s with val/rsum 300.00" in (
        sweep_verdict("s", events, EMPTY, "finished").sentence
    )


def test_the_interval_against_the_recipe_is_that_of_its_row() -> None:
    events = [START, trial(0, 300.0), trial(1, 310.0)]
    compared = Comparison(1, "test", -8.0, -18.0, 2.0, 0.2, Coverage())
    board = Board([first(runs=["s-t1"]), first(runs=["s-t0"], rank=2, comparison=compared)], {})
    notes = sweep_verdict("s", events, board, "finished").notes
    assert notes[0] == (
        "The difference from the recipe is not decided: +8.0 points of test rsum, 95 % interval -2.0 to +18.0, p 0.2, "
        "over images; training noise not covered."
    )
    assert "On test it reaches test rsum 342.0." in notes


@pytest.mark.parametrize(("status", "words"), [("running", "It is still running. "), ("failed", "It is failed. ")])
def test_a_sweep_that_has_not_finished_leads_so_far(status: str, words: str) -> None:
    sentence = sweep_verdict("s", [START, trial(0, 300.0)], EMPTY, status).sentence
    assert sentence.startswith(f"{words}s-t0 leads so far among 1 trial (1 complete)")
    assert sentence.endswith("it is the recipe itself (trial 0), so the search gained nothing.")
    assert sweep_verdict("s", [START], EMPTY, status).sentence == f"{words}Sweep s has no value yet: 0 trials."


def test_the_choice_of_the_sweep_counts_and_its_seeds() -> None:
    chosen = {"event": "end", "status": "finished", "best": {"run": "s-t0"}}
    repeat = {"event": "repeat", "number": 0, "values": [300.0, 304.0], "mean": 302.0, "std": 2.83}
    verdict = sweep_verdict("s", [START, trial(0, 300.0), trial(1, 301.0), repeat, chosen], EMPTY, "finished")
    assert verdict.sentence.startswith("s-t0 leads among")
    assert "Over 2 seeds the best trial has 302.00 ± 2.83." in verdict.notes


def progress(status: str, **more: Any) -> Progress:
    facts: dict[str, Any] = {"name": "r", "folder": "/f/r", "kind": "run", "status": status, "metric": "val/rsum",
                             "total": 10, "done": 3}  # fmt: skip
    return Progress(**(facts | more))


def test_a_run_that_has_not_finished_is_told_by_its_state() -> None:
    best = Best("r", 300.0, {}, "epoch 2")
    assert run_verdict(None, progress("running", best=best), EMPTY).sentence == (
        "r is still running: 3 of 10 epochs done; best val/rsum so far 300.00 (epoch 2). Nothing here is final."
    )
    silent = run_verdict(None, progress("silent", age_s=600.0), EMPTY).sentence
    assert silent == "r has written nothing for 10 minutes: 3 of 10 epochs done."
    failed = run_verdict(None, progress("failed", error="no memory\nat line 3"), EMPTY).sentence
    assert failed == "r ended as failed after 3 of 10 epochs: no memory."
    assert run_verdict(None, None, EMPTY).sentence == "No epoch of this run has been recorded."


def test_a_row_of_a_leaderboard_is_told_by_its_place() -> None:
    rows = [first(), rival(-10.0, 0.002), first(rank=3, runs=["c"]), first(rank=4, rerank="x", transductive=True)]
    assert run_verdict(rows[1], None, Board(rows, {})).sentence.endswith(
        "It is 2 of the 3 rows that are re-ranked alike, 10.0 points of test rsum below DVSE (K = 4, a): decided (95 % "
        "interval -15.0 to -5.0, p 0.002, over images and seeds)."
    )
    assert run_verdict(rows[2], None, Board(rows, {})).sentence.endswith(
        "It is 3 of the 3 rows that are re-ranked alike."
    )
    assert "is compared with nothing" in " ".join(run_verdict(rows[3], None, Board(rows, {})).notes)
