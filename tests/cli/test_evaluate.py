"""What evaluate and rerank print and hand on; measuring itself is a stand-in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from raytrain.cli.main import main

RESULT: dict[str, Any] = {
    "run": "a", "protocol": "split/val", "headline": "rsum", "notes": ["a note"], "rerank": {"rsum": 320.25},
    "metrics": {"rsum": 312.5, "i2t/recall_at_1": 40.0, "i2t/median_rank": 2.0}, "inductive": None,
    "queries": {"i2t": 1000, "t2i": 5000}, "gallery": {"i2t": 5000}, "diagnostics": None, "split": "val",
    "chance": {"i2t/recall_at_1": 25.0}, "lowered": {}, "test_openings": 0, "test_openings_in_all": 0,
    "fingerprint": "f", "files": ["val.json"], "features_verified": True,
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The calls of what evaluates, re-ranks and writes submissions."""
    calls: list[Any] = []

    def evaluate_run(*given: Any, **more: Any) -> dict[str, Any]:
        calls.append((*given, more))
        return RESULT | {"run": given[0]}

    def submit_run(*given: Any) -> dict[str, Any]:
        calls.append(given)
        return {"run": given[0], "files": ["a.json", "b.json"], "queries": {"query": 4181}}

    monkeypatch.setattr("raytrain.run_evaluation.evaluate.evaluate_run", evaluate_run)
    monkeypatch.setattr("raytrain.run_evaluation.evaluate.submit_run", submit_run)
    return calls


def test_the_terminal_shows_recalls_and_json_all(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "a"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "a split/val: rsum 312.5  i2t/R@1 40.0 (chance 25.0)",
        "a split/val re-ranked (transductive): rsum 320.2",
        "  queries: i2t 1,000, t2i 5,000",
        "  gallery: i2t 5,000",
        "  a note",
    ]
    assert main(["evaluate", "a", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == RESULT
    assert asked == [("a", "val", None, None, {"diagnostics": False, "verify_features": True})] * 2


def test_an_opening_of_test_is_printed_with_its_number(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("split", "test"), ("test_openings", 2), ("test_openings_in_all", 37)):
        monkeypatch.setitem(RESULT, name, value)
    assert main(["evaluate", "a", "--split", "test"]) == 0
    assert "  opening 2 of test by this run or its weights, of 37 of these test rows\n" in capsys.readouterr().out


def test_a_moved_table_is_handed_on_and_goes_without_shards(
    asked: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "a", "--table", "elsewhere/t"]) == 0
    assert asked == [("a", "val", None, None, {"diagnostics": False, "verify_features": True, "table": "elsewhere/t"})]
    assert main(["evaluate", "a", "--table", "t", "--shards", "2"]) == 2
    assert "--table goes without --shards" in capsys.readouterr().err


def test_several_runs_are_evaluated_alike(asked: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--split", "test", "--protocol", "coco/cxc", "--annotations", "cxc", "--diagnostics", "--json"]
    assert main(["evaluate", "a", *flags, "b"]) == 0
    assert asked == [(run, "test", "coco/cxc", "cxc", {"diagnostics": True, "verify_features": True}) for run in "ab"]
    assert [run["run"] for run in json.loads(capsys.readouterr().out)["runs"]] == ["a", "b"]


def test_a_contact_sheet_is_part_of_the_evaluation(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def evaluate_with_sheet(run: str, *given: Any, **more: Any) -> dict[str, Any]:
        return RESULT | {"run": run, "sheet_page": "evaluation/val.sheet.html"}

    monkeypatch.setattr("raytrain.run_evaluation.sheets.evaluate_with_sheet", evaluate_with_sheet)
    assert main(["evaluate", "a", "--sheet"]) == 0 and not asked
    assert "contact sheet: evaluation/val.sheet.html" in capsys.readouterr().out
    assert main(["evaluate", "a", "--sheet", "--shards", "2"]) == 2
    assert "--sheet goes without --shards" in capsys.readouterr().err


def test_diagnostics_are_printed(
    asked: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = {"t2i/hubness": 1.23456, "calibration": [{"recall": 90.0}, {"recall": 45.5}]}
    monkeypatch.setitem(RESULT, "diagnostics", measured)
    assert main(["evaluate", "a"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "  hubness 1.23", "  R@10 by predicted uncertainty, the most certain tenth first: 90.0 45.5",
    ]  # fmt: skip


def test_a_submission_is_of_one_run_and_has_its_own_protocol(
    asked: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "a", "--split", "test", "--submission", "out"]) == 0
    assert capsys.readouterr().out == "a: a.json and b.json, 4,181 queries each\n"
    assert asked == [("a", "test", "out")]
    assert main(["evaluate", "a", "b", "--submission", "out"]) == 2
    assert main(["evaluate", "a", "--submission", "out", "--protocol", "cirr/val"]) == 2
    assert len(asked) == 1


def test_rerank_takes_lists_of_names_and_sizes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    calls: list[Any] = []

    def rerank_run(*given: Any) -> dict[str, Any]:
        calls.append(given)
        held_out = {"rsum": {"gain": 1.25, "standard_error": 0.5, "folds": 10}}
        params = {"mode": "cross", "t2i": 1} if len(calls) < 2 else {"mode": "off"}
        return {
            "params": params, "before": 300.0, "after": 301.5, "settings_tried": 7, "seconds": 0.25,
            "held_out": held_out, "lowered": {"t2i/recall_at_1": 0.25} if len(calls) > 1 else {},
        }  # fmt: skip

    monkeypatch.setattr("raytrain.run_evaluation.rerank.rerank_run", rerank_run)
    monkeypatch.setattr("raytrain.run_evaluation.rescore.Rescore", lambda folder: f"scores of {folder}")
    assert main(["rerank", "a"]) == 0
    assert capsys.readouterr().out == (
        "{'mode': 'cross', 't2i': 1}: val rsum 300.0 -> 301.5, 7 settings in 0.2 s\n"
        "  on held-out queries, 10 folds: rsum +1.2 (standard error 0.5)\n"
    )
    flags = ["--trials", "5", "--seed", "3", "--modes", "cross", "--bank", "500,2000", "--pooling", "max,mean"]
    assert main(["rerank", "a", *flags]) == 0
    out = capsys.readouterr().out
    assert "too little is gained: scores stay as they are" in out
    assert "  lowers t2i/recall_at_1 by 0.2 on validation" in out
    assert [(*given[:3], *given[4:]) for given in calls] == [
        ("a", 200, 0, [], [], None), ("a", 5, 3, [500, 2000], ["max", "mean"], "scores of a"),
    ]  # fmt: skip
    assert [list(given[3]) for given in calls] == [["cross", "product", "additive"], ["cross"]]
    assert main(["rerank", "a", "--bank", "many"]) == 2
    assert "--bank many: give whole numbers, as in --bank 500,2000" in capsys.readouterr().err
