"""Hostile lines and values in one run's files: no reader of many runs raises, and the other runs stay what they were.

RAYTRAIN_FUZZ_CASES sets how many cases a kind of file has; the verbs themselves are gone over by

    python -m tests.faults.fuzz_runs --cases 500
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="importances are Optuna's")

from raytrain.cli.main import main
from tests.faults import fuzz_runs

CASES = int(os.environ.get("RAYTRAIN_FUZZ_CASES", "0"))
KINDS = {"journal": 180, "sweep journal": 120, "space": 60, "rerank": 60, "evaluation": 60, "ranks": 30}


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "runs"
    fuzz_runs.make_storage(folder, ("hurt", "other"))
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_is_left_out_and_changes_no_other_run(
    kind: str, storage: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    read = fuzz_runs.read_all_sweeps if kind in ("sweep journal", "space") else fuzz_runs.read_all
    expected, skipped = read(storage)
    assert skipped == []
    named, damaged_folder = 0, (storage / fuzz_runs.FILES[kind]).parent

    def left_out() -> object:
        nonlocal named
        result, skipped = read(storage)
        named += bool(skipped)
        assert all(str(damaged_folder) in problem.file for problem in skipped)
        return result

    cases = CASES or KINDS[kind]
    for case in range(cases):
        assert fuzz_runs.one_case(storage, fuzz_runs.FILES[kind], f"{kind} 0 {case}", left_out, expected) == "equal", (
            capsys.readouterr().out
        )
    assert named > cases // 3  # the damage is not so small that nothing is noticed


@pytest.mark.parametrize("line", fuzz_runs.HOSTILE, ids=lambda line: repr(line[:50]))
def test_a_hostile_line_is_named_by_its_number(line: bytes, storage: Path, tmp_path: Path) -> None:
    from raytrain.tracking.journal import Journal

    skipped: list[object] = []
    lines = (storage / "e" / "hurt" / "journal.jsonl").read_bytes().split(b"\n")
    (tmp_path / "journal.jsonl").write_bytes(b"\n".join([*lines[:2], line, *lines[2:]]))
    events = Journal(tmp_path).read(skipped)  # type: ignore[arg-type]
    whole = Journal(storage / "e" / "hurt").read()
    if len(events) == len(whole):  # the others are events of few fields
        assert [problem.row for problem in skipped] == [3]  # type: ignore[attr-defined]
    assert [event for event in events if event in whole] == whole


def test_verbs_name_and_count_what_they_leave_out(
    storage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = storage / "e" / "hurt" / "journal.jsonl"
    before, _ = fuzz_runs.leaderboard(storage, tmp_path)
    whole = journal.read_bytes()
    last = whole.count(b"\n") + 2
    try:
        journal.write_bytes(b'["epoch"]\n' + whole + b"\xff\n")
        rows, skipped = fuzz_runs.leaderboard(storage, tmp_path)
        assert rows == before
        assert [(problem["file"], problem["row"]) for problem in skipped] == [(str(journal), 1), (str(journal), last)]
        for suffix in ("md", "html"):
            assert "Left out: 2 damaged lines and files" in (tmp_path / f"leaderboard.{suffix}").read_text()
        answer = fuzz_runs.run_verb("cost", "--storage", str(storage))
        assert [problem["row"] for problem in answer["skipped"]] == [1, last]
        capsys.readouterr()
        assert main(["cost", "--storage", str(storage)]) == 0
        assert f"Left out 2 damaged lines or files:\n{journal}, row 1: holds a list" in (
            capsys.readouterr().err.replace("warning: ", "")
        )
    finally:
        journal.write_bytes(whole)


def test_a_case_is_its_seed(tmp_path: Path) -> None:
    made = []
    for _ in range(2):
        fuzz_runs.damage(tmp_path / "space.json", json.dumps({"space": {}}).encode(), random.Random("4"))
        made.append((tmp_path / "space.json").read_bytes())
    assert made[0] == made[1]
