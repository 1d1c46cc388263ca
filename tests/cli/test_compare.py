"""The verb compare: what it prints, and what it passes on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.run_evaluation import compare

ANSWER: dict[str, Any] = {
    "verdict": "A (x) leads B (y) by 3.0 points of rsum", "protocol": "split/val", "covers": "images",
    "not_covered": "training noise is not covered", "difference": 3.0, "interval": [1.0, 5.0], "p": 0.01,
    "metrics": {"rsum": {"a": 13.0, "b": 10.0, "difference": 3.0, "interval": [1.0, 5.0], "p": 0.01}},
    "changes": {"t2i": {"a_better": 1_500, "b_better": 2, "equal": 3}}, "settings": {"optim.lr": [0.1, 0.2]},
    "html": "page.html",
}  # fmt: skip


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    arguments: list[Any] = []

    def compare_runs(*values: Any) -> dict[str, Any]:
        arguments.extend(values)
        return ANSWER

    monkeypatch.setattr(compare, "compare_runs", compare_runs)
    return arguments


def test_seeds_are_separated_by_commas_and_the_answer_is_short(
    given: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", "x-s0,x-s1", "y", "--split", "test", "--html", "page.html"]) == 0
    assert given == [["x-s0", "x-s1"], ["y"], "test", None, "page.html"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "A (x) leads B (y) by 3.0 points of rsum, split/val" and len(lines) == 8
    assert "+1.0 to +5.0" in lines[2] and "training noise is not covered" in lines[3] and "1,500" in lines[4]


def test_json_has_the_difference_its_interval_and_p(given: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "x", "y", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["difference"], answer["interval"], answer["p"]) == (3.0, [1.0, 5.0], 0.01)
