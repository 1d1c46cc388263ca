"""The trials of recorded sweeps."""

from __future__ import annotations

import html
from pathlib import Path

from raytrain.review.accounting import read_journals
from raytrain.review.board import Board
from raytrain.review.pages.leaderboard_page import to_html
from raytrain.review.trials import sweeps_of
from raytrain.tracking.journal import Journal
from tests.review.made_runs import write_space

RATE = {"optim.lr": {"name": "FloatDistribution", "attributes": {"step": None, "low": 1e-4, "high": 1e-2, "log": True}}}


def sweep(folder: Path, numbers: list[int], **start: object) -> None:
    journal = Journal(folder)
    journal.write("start", kind="sweep", uid=folder.name, **start)
    for number in numbers:
        write_trial(journal, number, 300.0 + number)


def write_trial(journal: Journal, number: int, value: float) -> None:
    journal.write("trial", number=number, run=f"t{number:03d}", params={}, state="complete", value=value)


def test_trials_come_by_number_with_the_sweeps_space_and_cost(tmp_path: Path) -> None:
    sweep(tmp_path / "e" / "s", [2, 0, 1], options={"cost": "index_bytes"})
    write_space(tmp_path / "e" / "s", RATE)
    sweep(tmp_path / "other" / "t", [0])
    sweeps = sweeps_of(read_journals(tmp_path))
    assert list(sweeps) == ["e/s", "other/t"]
    assert [trial["number"] for trial in sweeps["e/s"].trials] == [0, 1, 2]
    assert (sweeps["e/s"].space, sweeps["e/s"].cost) == (RATE, "index_bytes")
    assert (sweeps["other/t"].space, sweeps["other/t"].cost) == ({}, None)
    assert list(sweeps_of(read_journals(tmp_path, "other"))) == ["other/t"]


def test_a_trial_that_was_written_twice_counts_as_it_was_last(tmp_path: Path) -> None:
    sweep(tmp_path / "e" / "s", [0])
    write_trial(Journal(tmp_path / "e" / "s"), 0, 310.0)
    (trial,) = sweeps_of(read_journals(tmp_path))["e/s"].trials
    assert trial["value"] == 310.0


def test_runs_and_sweeps_without_trials_are_left_out(tmp_path: Path) -> None:
    sweep(tmp_path / "e" / "empty", [])
    Journal(tmp_path / "e" / "run").write("start", kind="run", uid="r")
    assert sweeps_of(read_journals(tmp_path)) == {}


def test_a_sweep_that_selects_on_what_it_trains_on_is_marked_and_its_chart_says_so(tmp_path: Path) -> None:
    sweep(tmp_path / "e" / "s", [0, 1, 2], config={"data.val_split": "train"})
    sweep(tmp_path / "e" / "t", [0, 1, 2], config={"data.val_split": "val"})
    sweeps = sweeps_of(read_journals(tmp_path))
    words = "split 'train', which it trains on"
    assert {name: marked.selection for name, marked in sweeps.items()} == {"e/s": words, "e/t": ""}
    page = html.unescape(to_html(Board([], {}), sweeps))
    assert f"Trials of sweep e/s, selected on {words}" in page
    assert "Trials of sweep e/t<" in page
