"""The demo's steps are commands that parse, in their order; the commands themselves are stand-ins."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raytrain.cli import demo
from raytrain.cli.main import main
from raytrain.recipes import RECIPES
from tests.command_lines import parse

EPOCHS = "optim.num_epochs=1"


class Commands:
    """What a demo started, and what its commands would have left behind."""

    def __init__(self) -> None:
        self.parsed: list[tuple[str, dict[str, Any]]] = []
        self.failing: str | None = None

    def start(self, place: demo.Place, command: list[str], output: int | None) -> Any:
        verb, flags = parse(command)
        self.parsed.append((verb, flags))
        if verb == "data build":
            place.table.mkdir(parents=True)
            (place.table / "table.json").touch()
        if verb == "sweep":
            run = place.experiment / f"{flags['name']}-t003"
            (run / "checkpoint_2").mkdir(parents=True)
            (run / "checkpoint_2" / "config.yaml").touch()
            (place.experiment / flags["name"]).mkdir()
            end = json.dumps({"event": "end", "best": {"run": run.name}})
            (place.experiment / flags["name"] / "journal.jsonl").write_text(f'{{"event": "start"}}\n{end}\n')
        answer = json.dumps({"verdict": f"On {Path(flags.get('subject', '')).name}.", "path": "page.html"})
        code = 75 if verb == self.failing else 0
        return SimpleNamespace(wait=lambda: code, returncode=code, communicate=lambda: (f"words\n{answer}\n", None))


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    commands = Commands()
    monkeypatch.setattr(demo, "start", commands.start)
    monkeypatch.setattr(demo, "PACKAGES", ())
    monkeypatch.setattr("time.strftime", lambda form: "stamp")
    return commands


def test_the_demo_makes_everything_in_the_folder_it_is_given(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--folder", str(tmp_path / "here"), "--trials", "2", "--seeds", "1", EPOCHS]) == 0
    assert [verb for verb, _ in commands.parsed] == [
        "data build", "data encode", "data encode", "sweep", "train", "sweep", "train", "evaluate", "evaluate",
        "leaderboard", "report", "report",
    ]  # fmt: skip
    sweeps = [flags for verb, flags in commands.parsed if verb == "sweep"]
    assert [(flags["space"], flags["recipe"], flags["trials"]) for flags in sweeps] == [
        ("dvse_core", "dvse_emoji", 2), ("vse_infinity_core", "vse_infinity_emoji", 2),
    ]  # fmt: skip
    assert all(flags["recipe"] in RECIPES for flags in sweeps)
    here = tmp_path / "here"
    assert f"storage={here / 'runs'}" in sweeps[0]["overrides"] and EPOCHS in sweeps[1]["overrides"]
    opened = next(flags for verb, flags in commands.parsed if verb == "evaluate")
    assert opened["split"] == "test" and len(opened["folders"]) == 4
    printed = capsys.readouterr().out
    assert "verdict: On emoji. On dvse-stamp." in printed and f"search {here / 'runs/emoji/dvse-stamp-t003'}" in printed


def test_a_table_that_is_there_is_not_built_again(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "tables" / "emoji").mkdir(parents=True)
    (tmp_path / "tables" / "emoji" / "table.json").touch()
    assert main(["demo", "--folder", str(tmp_path), "--json"]) == 0
    verbs = [verb for verb, _ in commands.parsed]
    assert "data build" not in verbs and verbs.count("train") == 4


def test_a_step_that_fails_ends_the_demo_with_its_exit_code(
    commands: Commands, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.failing = "sweep"
    assert main(["demo", "--folder", str(tmp_path)]) == 75
    assert "the step 'search of dvse' failed" in capsys.readouterr().err
    assert commands.parsed[-1][0] == "sweep"


def test_without_its_packages_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["demo", "--folder", str(tmp_path / "here")]) == 2
    assert 'pip install "raytrain[demo]"' in capsys.readouterr().err and not (tmp_path / "here").exists()


def test_a_command_runs_in_the_folder_with_this_python(tmp_path: Path) -> None:
    process = demo.start(demo.Place(tmp_path, 1), ["--version"], subprocess.PIPE)
    output, _ = process.communicate()
    assert process.returncode == 0 and output.startswith("raytrain ")
