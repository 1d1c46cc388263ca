"""The acceptance script of a GPU: each check stands alone, and the whole runs small on a CPU."""

from __future__ import annotations

import ast
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import gpu
from benchmarks.gpu import ROOT, Check, Numbers, Row, Section, Setup, accept, run_section
from benchmarks.gpu_measures import packed_worker

PACKING = "Four runs at once"


def silent(line: str) -> None:
    """Prints nothing."""


def names_and_states(rows: list[Row]) -> list[tuple[str, str]]:
    return [(row.name, row.state) for row in rows]


def test_a_check_that_fails_or_hangs_leaves_the_others_standing(tmp_path: Path) -> None:
    def broken() -> Numbers:
        raise RuntimeError("device-side assert\nand a long stack")

    def hangs() -> Numbers:
        try:
            time.sleep(60)
        except Exception:  # a check that catches what it can
            return {}
        return {}

    def checks(setup: Setup) -> Iterator[Check]:
        yield Check("broken", broken)
        yield Check("off", lambda: {"ok": False, "difference": 0.5})
        yield Check("fine", lambda: {"ok": True, "difference": 0.0})
        yield Check("time", lambda: {"ms": 3.0})
        yield Check("hangs", hangs)
        yield Check("never begun", lambda: {})

    started = time.monotonic()
    rows = run_section(Section("Made", 0.4, checks), Setup("cpu", True, tmp_path), silent)
    assert time.monotonic() - started < 10
    states = [("broken", "failed"), ("off", "failed"), ("fine", "ok"), ("time", "measured"), ("hangs", "skipped")]
    assert names_and_states(rows) == states
    assert rows[0].why == "RuntimeError: device-side assert"
    assert rows[4].why == "the 0.4 s of 'Made' were over"


def test_a_section_that_cannot_be_set_up_is_one_failed_row(tmp_path: Path) -> None:
    def checks(setup: Setup) -> Iterator[Check]:
        raise OSError("no space")
        yield

    rows = run_section(Section("Made", 5, checks), Setup("cpu", True, tmp_path), silent)
    assert [(row.name, row.state, row.why) for row in rows] == [("(setting up)", "failed", "OSError: no space")]


def test_the_sections_end_within_eight_minutes() -> None:
    assert sum(section.budget_s for section in gpu.sections()) < 480


@pytest.mark.slow
def test_the_small_form_runs_on_a_cpu_and_writes_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the section whose processes import torch anew, and with the time that a busy machine takes."""
    own = [replace(section, budget_s=600.0) for section in gpu.sections() if section.title != PACKING]
    monkeypatch.setattr(gpu, "sections", lambda: own)
    rows = accept(Setup("cpu", True, tmp_path), tmp_path / "gpu", silent)
    assert {row.section for row in rows} == {section.title for section in own}
    assert all(row.state in ("ok", "measured") for row in rows), [row for row in rows if row.why]
    written = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert len(written["rows"]) == len(rows) and written["about"]["device"] == "cpu"
    page = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert "| dvse | ok |" in page and "## Training steps" in page


def test_one_of_four_runs_waits_for_the_others_and_trains(tmp_path: Path) -> None:
    (tmp_path / "go").touch()
    assert packed_worker(tmp_path / "0", "cpu", small=True) == 0
    assert (tmp_path / "0.ready").exists()


def test_it_imports_nothing_that_knows_ray_optuna_or_mlflow() -> None:
    above = {"cli", "cluster", "retrieval", "review", "run_evaluation", "studies", "sweeps", "tracking"}
    for path in (ROOT / "benchmarks").glob("gpu*.py"):
        names = [
            name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
        ]
        assert not {name.split(".")[0] for name in names} & {"ray", "optuna", "mlflow", "transformers", "PIL"}
        assert not {name.split(".")[1] for name in names if name.startswith("raytrain.")} & above
