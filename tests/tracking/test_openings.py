"""Openings of the test split are counted by what was opened, once each, by any number of processes."""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

import pytest

from raytrain.tracking.openings import Opened, count_openings, openings_of_journal, read_openings, record_opening

RUN = Opened("t" * 64, "w" * 64, "uid")


def test_the_same_weights_or_the_same_run_go_on_counting(tmp_path: Path) -> None:
    files = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    assert [record_opening(files, RUN, [])[1] for _ in range(2)] == [(1, 1), (2, 2)]
    copied = RUN._replace(uid="another")
    trained_on = RUN._replace(weights="v" * 64)
    assert record_opening(files, copied, [])[1] == (3, 3)
    assert record_opening(files, trained_on, [])[1] == (3, 4)  # two of the run and this one
    assert record_opening(files, Opened("t" * 64, "x" * 64, None), [])[1] == (1, 5)
    assert record_opening(files, RUN._replace(test="u" * 64), [])[1] == (1, 1)
    files[0].unlink()
    assert count_openings(files, RUN, []) == (4, 5)


def test_a_journal_counts_what_the_files_have_lost_and_old_ones_by_time(tmp_path: Path) -> None:
    opening, _ = record_opening([tmp_path / "a.jsonl"], RUN, [])
    events = [
        {"event": "evaluation", "time": 1.0, "split": "test", "rerank": None},
        {"event": "evaluation", "time": 2.0, "split": "test", "rerank": {"i2t": 4.0}},  # of the same opening
        {"event": "evaluation", "time": 3.0, "split": "val", "rerank": None},
        {"event": "epoch"},
        {"event": "evaluation", "time": 4.0, "split": "test", "opening": {"id": opening}},
        {"event": "evaluation", "time": 5.0, "split": "test", "rerank": {}, "opening": {"id": opening}},
    ]
    assert set(openings_of_journal(events)) == {"1.0", opening}
    assert count_openings([tmp_path / "a.jsonl"], RUN, events) == (2, 2)
    assert count_openings([tmp_path / "none.jsonl"], RUN, events) == (2, 2)
    assert record_opening([tmp_path / "none.jsonl"], RUN, events)[1] == (3, 3)


def test_a_file_that_cannot_be_written_gives_a_warning_and_the_others_count(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    files = [tmp_path / "folder", tmp_path / "no" / "such.jsonl", tmp_path / "a.jsonl"]
    with pytest.warns(RuntimeWarning, match="cannot be written") as warned:
        assert record_opening(files, RUN, [])[1] == (1, 1)
    assert len(warned) == 2
    with pytest.warns(RuntimeWarning):
        assert record_opening(files, RUN, [])[1] == (2, 2)


def test_a_link_or_a_pipe_in_the_place_of_the_file_is_neither_written_nor_waited_for(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept")
    (tmp_path / "link").symlink_to(precious)
    os.mkfifo(tmp_path / "pipe")
    files = [tmp_path / "link", tmp_path / "pipe", tmp_path / "a.jsonl"]
    with pytest.warns(RuntimeWarning, match="cannot be written") as warned:
        assert record_opening(files, RUN, [])[1] == (1, 1)
    assert len(warned) == 2 and precious.read_text() == "kept"
    assert count_openings(files[:2], RUN, []) == (0, 0)


def test_torn_and_hostile_lines_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    record_opening([file], RUN, [])
    with open(file, "ab") as out:
        out.write(b'\xff\n[1]\n{"id": 3, "test": "t"}\nnull\n' + b"[" * 100_000 + b'\n{"id": "torn')
    assert record_opening([file], RUN, [])[1] == (2, 2)
    assert len(read_openings(file)) == 2


def count_ten(file: Path) -> list[int]:
    return [record_opening([file], RUN, [])[1].of_run for _ in range(10)]


def test_processes_that_open_at_once_get_different_numbers(tmp_path: Path) -> None:
    with multiprocessing.get_context("forkserver").Pool(
        4
    ) as pool:  # a fork of this process, with its threads, may hang
        numbers = pool.map(count_ten, [tmp_path / "a.jsonl"] * 4)
    assert sorted(number for numbers_of_one in numbers for number in numbers_of_one) == list(range(1, 41))
    assert len({json.loads(line)["id"] for line in (tmp_path / "a.jsonl").read_text().splitlines()}) == 40
