"""What `benchmarks/routes.py` calls the same answer, and one route."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.route_answers import Answer, Query
from benchmarks.routes import Outcome, ask, compare, difference, is_right, made_up, spread, table_of

ASKED = {"text": 2, "image": 0, "image + text": 0}


def test_scores_differ_relative_to_those_above_one() -> None:
    right = Answer(["a", "b"], [200.0, 0.5])
    assert difference(Answer(["a", "b"], [200.002, 0.5]), right) == pytest.approx(1e-5)
    assert difference(Answer(["a", "b"], [200.0, 0.4]), right) == pytest.approx(0.1)
    assert difference(Answer(["a"], [200.0]), right) == float("inf")


def test_another_id_and_another_score_are_wrong_and_a_refusal_is_not() -> None:
    assert is_right("app", Outcome(ASKED, 2, 1e-6)) and is_right("onnx", Outcome(ASKED, 2, 9e-5))
    assert not is_right("app", Outcome(ASKED, 1, 0.0)) and not is_right("app", Outcome(ASKED, 2, 2e-5))
    refused = Outcome(dict.fromkeys(ASKED, 0), 0, 0.0, "scan compares words with regions")
    assert is_right("onnx", refused)
    lines = table_of({"app": [Outcome(ASKED, 2, 1e-6)], "onnx": [refused]}).splitlines()
    assert lines[2] == "| `raytrain serve` (uvicorn) | 2 | 0 | 0 | 2 of 2 | 1.0e-06 |"
    assert lines[-1] == "ONNX graphs: does not apply: scan compares words with regions"


def test_values_are_drawn_at_even_distances() -> None:
    assert spread(range(101), 3) == [0, 50, 100] and spread(["a", "b"], 5) == ["a", "b"]


def test_a_route_that_answers_otherwise_is_wrong(tmp_path: Path) -> None:
    """By a hub export of a captions run and of a composed run; the other routes need seconds, or processes."""
    for package in ("huggingface_hub", "transformers", "PIL"):
        pytest.importorskip(package)
    runs = made_up(tmp_path / "runs", 3)
    outcomes = compare(runs, ["hub"], 3, tmp_path)["hub"]
    assert all(is_right("hub", outcome) for outcome in outcomes)
    texts_and_images, both = {"text": 3, "image": 3, "image + text": 0}, {"text": 0, "image": 0, "image + text": 3}
    assert [outcome.query_counts for outcome in outcomes] == [texts_and_images, both]
    wrong = {Query("a dog", None): Answer(["nothing"], [1.0])}
    assert not is_right("hub", ask("hub", runs[0], wrong, tmp_path))
