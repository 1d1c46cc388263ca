"""`raytrain study`: list, plan, run, go on, report; training itself happens in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("optuna", reason="what a sweep records of its space is Optuna's")

from raytrain.cli.main import main
from raytrain.config import RunConfig
from raytrain.studies import STUDIES
from tests.studies.conftest import here as here
from tests.studies.in_process import TRAINED, register
from tests.studies.reports import made_study


def test_every_study_is_listed_with_its_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "list", "--json"]) == 0
    listed = {study["name"]: study for study in json.loads(capsys.readouterr().out)["studies"]}
    assert {"dvse/views", "rerank/directions", "dive/similarity", "rau/components"} <= listed.keys()
    assert len(listed) == len(STUDIES) and listed["dvse/views"]["question"].endswith("?")


def run(tmp_path: Path, *more: str) -> int:
    flags = ["--recipe", str(tmp_path / "small.yaml"), "--tracking", "none", "--seeds", "1"]
    return main(["study", "run", "margins", *flags, *more])


def test_a_dry_run_says_what_is_to_be_trained_and_trains_nothing(
    here: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--dry-run") == 0
    assert "2 variants, 1 seeds: 2 runs, of which 0 are recorded and 2 are to be trained" in capsys.readouterr().out
    assert not TRAINED and not (tmp_path / "runs").exists()


def test_a_study_is_trained_and_reported(here: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path) == 0
    assert "2 runs trained, 0 failed, 0 left" in capsys.readouterr().out
    assert run(tmp_path, "--json", "--dry-run") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["counts"]["recorded"] == 2 and all(run["run"] for run in plan["runs"])
    assert main(["study", "report", "margins", "--storage", str(tmp_path / "runs"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["verdict"] == "cannot be told" and answer["sentence"] == "Cannot be told with 1 seed."
    assert [Path(file).name for file in answer["files"]] == ["report.md", "report.html"]
    assert (tmp_path / "runs" / "small" / "study-margins-small" / "report.html").exists()
    # leaderboards take its runs as they take those of a sweep
    assert main(["leaderboard", "--storage", str(tmp_path / "runs")]) == 0


def test_the_name_alone_means_run(here: RunConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "margins", "--recipe", str(tmp_path / "small.yaml"), "--seeds", "2", "--dry-run"]) == 0
    assert "4 are to be trained" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "dvse/view", "--recipe", "dvse_emoji"], "no study 'dvse/view'; did you mean 'dvse/views'? Studies: "),
        (["run", "dvse/views"], "name the recipe whose variants are compared"),
        (["run", "dvse/views", "--recipe", "dvse_emoji", "--seeds", "0"], "--seeds"),
        (["dvse/view"], "no action 'dvse/view'"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_study_of_several_recipes_is_named_by_its_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    register(monkeypatch)
    folder = made_study(tmp_path)
    second = folder.with_name("second")
    second.mkdir()
    (second / "study.json").write_bytes((folder / "study.json").read_bytes())
    report = ["study", "report", "--storage", str(folder.parent.parent)]
    assert main([*report, "margins"]) == 2
    assert "several recipes have the study margins: second, study" in capsys.readouterr().err
    assert main([*report, "second", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "Agrees with the paper: the claim holds." in printed and str(tmp_path / "out" / "report.md") in printed
