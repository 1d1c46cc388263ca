"""Ratios of small benchmarks against committed ones: what is a drop, what is said about it, and what is written."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks import ratios
from benchmarks.ratios import BENCHES, COMMITTED, Expected, compare, expected_of, read, update, warnings_of
from benchmarks.small_forms import run_small, times_as_fast

GRU = {"gru": Expected("gru", 2.0, 0.1)}


class Scripted:
    """Benchmarks that yield what is given, run after run.

    Args:
        runs: {benchmark: the ratios of each of its runs; None for one that fails}.
    """

    def __init__(self, **runs: list[Mapping[str, float] | None]) -> None:
        self.runs = runs

    def __call__(self, bench: str) -> Mapping[str, float] | None:
        return self.runs[bench].pop(0)


def test_a_tolerance_covers_the_spread_of_repeated_runs_and_at_least_a_tenth() -> None:
    assert expected_of("gru", [2.0, 2.0, 2.02]) == Expected("gru", 2.0, 0.1)
    assert expected_of("gru", [1.8, 2.0, 2.2]) == Expected("gru", 2.0, 0.3)


@pytest.mark.parametrize(("ratio", "falls"), [(1.79, True), (1.81, False), (5.0, False)])
def test_a_ratio_falls_where_it_leaves_its_tolerance_downwards(ratio: float, falls: bool) -> None:
    assert bool(warnings_of("gru", {"gru": ratio}, GRU)) == falls


def test_a_failed_benchmark_and_a_ratio_that_is_gone_are_said_and_a_new_one_is_not() -> None:
    assert warnings_of("gru", None, GRU) == {"gru": "failed"}
    assert warnings_of("gru", {"other": 3.0}, GRU) == {"gru": "was not measured"}
    assert warnings_of("loader", {"loader": 3.0}, GRU) == {}


def test_a_ratio_that_fell_is_measured_again_and_the_better_run_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare(["gru"], GRU, Scripted(gru=[{"gru": 1.0}, {"gru": 1.9}])) == {}
    wrong = compare(["gru"], GRU, Scripted(gru=[{"gru": 1.2}, {"gru": 1.0}]))
    assert wrong == {"gru": "fell to 1.20 from 2.00 (at least 1.80)"}
    assert compare(["gru"], GRU, Scripted(gru=[None, {"gru": 2.0}])) == {}
    assert "was 2.00" in capsys.readouterr().out


@pytest.mark.parametrize(("strict", "code"), [([], 0), (["--strict"], 1)])
def test_a_drop_is_a_warning_and_fails_the_build_under_strict_alone(
    strict: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setattr(ratios, "run_bench", lambda bench: {"gru": 1.0})
    path = tmp_path / "ratios.json"
    ratios.write(path, GRU)
    assert ratios.main(["gru", "--file", str(path), *strict]) == code
    assert "::warning title=bench::gru fell to 1.00 from 2.00 (at least 1.80)" in capsys.readouterr().out


def test_an_update_writes_the_median_and_where_it_was_measured_and_keeps_the_others(tmp_path: Path) -> None:
    path = tmp_path / "ratios.json"
    ratios.write(path, {"loader": Expected("loader", 9.0, 0.2, "there")})
    update(["gru"], 3, path, Scripted(gru=[{"gru": 2.0}, None, {"gru": 2.1}]))
    written = read(path)
    assert written["loader"] == Expected("loader", 9.0, 0.2, "there")
    assert written["gru"] == Expected("gru", 2.05, 0.1, written["gru"].where)
    assert re.fullmatch(r"2 runs, .+ cores, load [\d.]+, .+, \d{4}-\d\d-\d\d, commit \w+", written["gru"].where)


def test_an_update_of_a_benchmark_that_fails_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="gru failed"):
        update(["gru"], 2, tmp_path / "ratios.json", Scripted(gru=[None, None]))
    assert not (tmp_path / "ratios.json").exists()


def test_a_name_that_is_no_benchmark_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        ratios.main(["grus"])
    assert "no benchmark of that name: grus" in capsys.readouterr().err


@pytest.mark.parametrize("bench", BENCHES)
def test_every_benchmark_has_a_small_form_and_a_committed_ratio(bench: str) -> None:
    assert callable(importlib.import_module(f"benchmarks.{bench}").small)
    assert bench in {expected.bench for expected in read(COMMITTED).values()}


def test_rounds_give_the_median_ratio_without_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([100.0, 1.0, 2.0, 1.0, 6.0, 2.0, 9.0, 1.0])  # plain and ours, round by round
    monkeypatch.setattr("benchmarks.small_forms.cpu_s", lambda work: next(seconds))
    assert times_as_fast(lambda: None, lambda: None, rounds=3) == 3.0


def test_a_small_form_writes_its_ratios(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_small(lambda: {"gru": 2.0}, tmp_path / "gru.json")
    assert json.loads((tmp_path / "gru.json").read_text(encoding="utf-8")) == {"gru": 2.0}
    assert "gru" in capsys.readouterr().out


def test_small_gru_compares_the_same_states() -> None:
    """The sides of a ratio compute the same."""
    from benchmarks.gru import contenders

    _, ours, torchs = contenders(6, 5, 4)
    assert (ours() - torchs()).abs().max() < 1e-6
