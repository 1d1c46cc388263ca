"""What `raytrain sweep` asks of the sweep; the sweep itself is a stand-in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raytrain.cli.main import main
from raytrain.config import flatten
from raytrain.recipes import RECIPES
from raytrain.sweeps.options import SweepOptions
from raytrain.tracking.journal import Journal
from search_spaces import SPACES

RESULT: dict[str, Any] = {
    "sweep": "s", "folder": "runs/emoji/s", "uid": "u", "status": "finished", "trials": {"finished": 3, "failed": 1},
    "best": {"run": "s-t002", "value": 412.5}, "front": [], "gpu_seconds": 0.0, "worker_seconds": 9.0, "repeats": [],
    "rerank": None, "mirrored": False, "model": None,
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the sweep was called with, filled when it is."""
    calls: dict[str, Any] = {}

    def sweep(space: Any, base: Any, options: SweepOptions, **more: Any) -> dict[str, Any]:
        calls.update(space=space, base=base, options=options, **more)
        return calls.get("result", RESULT)

    monkeypatch.setitem(sys.modules, "raytrain.sweeps.sweep", SimpleNamespace(sweep=sweep))
    monkeypatch.setattr("raytrain.cluster.connect.connect", lambda address: calls.update(address=address))
    cost = SimpleNamespace(as_dict=lambda: {"sweep": "s"})
    monkeypatch.setattr("raytrain.review.costs.record_sweep_cost", lambda *given: cost)
    return calls


def test_flags_that_are_not_given_are_the_defaults_of_a_sweep(asked: dict[str, Any]) -> None:
    assert main(["sweep", "dvse", "--recipe", "dvse_emoji", "--name", "s", "--tracking", "none"]) == 0
    assert asked["options"] == SweepOptions()
    assert (asked["space"], asked["base"], asked["name"]) == (SPACES["dvse"], RECIPES["dvse_emoji"](), "s")
    assert (asked["resume"], asked["tracking_uri"], asked["address"]) == (False, None, None)


def test_every_flag_reaches_the_sweep(asked: dict[str, Any]) -> None:
    line = (
        "sweep image_text --recipe dvse_emoji optim.lr=1e-3 --trials 9 --workers 2 --concurrent 3 --hours 1.5 "
        "--gpu-hours 4 --search-seed 7 --sampler random --cost gpu_seconds --each-method 2 --warm-start a "
        "--warm-start b --grace-epochs 1 --reduction 4 --rerank-trials 0 --repeat-seeds 3 --max-failures 0 --gpu no "
        "--gpus-per-worker 0.25 --address auto name=mine --tracking none seed=010"
    )
    assert main(line.split()) == 0
    assert asked["options"] == SweepOptions(
        trials=9, workers=2, concurrent=3, hours=1.5, gpu_hours=4.0, seed=7, sampler="random", cost="gpu_seconds",
        each_method=2, warm_start=("a", "b"), grace_epochs=1, reduction=4, rerank_trials=0, repeat_seeds=3,
        max_failures=0, use_gpu=False, resources_per_worker={"CPU": 1.0, "GPU": 0.25},
    )  # fmt: skip
    assert (asked["base"].optim.lr, asked["base"].seed, asked["base"].name) == (1e-3, 10, "mine")
    assert asked["address"] == "auto"
    assert asked["name"].startswith("image_text-emoji-")


@pytest.mark.parametrize("by", ["folder", "name"])
def test_a_resumed_sweep_goes_on_from_its_journal(by: str, asked: dict[str, Any], tmp_path: Path) -> None:
    recorded = {**flatten(RECIPES["dvse_emoji"]()), "optim.lr": 0.25, "search.seed": 3, "storage": "/elsewhere"}
    folder = tmp_path / "emoji" / "s"
    journal = Journal(folder)
    journal.write("start", uid="u", kind="sweep", config=recorded, options={"trials": 6, "reduction": 4})
    line = {
        "folder": ["--resume", str(folder), "optim.clip_norm=1"],
        "name": ["--resume", "s", "--recipe", "dvse_emoji", f"storage={tmp_path}", "optim.clip_norm=1"],
    }
    assert main(["sweep", "dvse", *line[by], "--trials", "8", "--tracking", "none"]) == 0
    assert asked["options"] == SweepOptions(trials=8, reduction=4)
    assert (asked["resume"], asked["name"], asked["base"].storage) == (True, "s", str(tmp_path))
    assert asked["base"].optim.clip_norm == 1
    assert (asked["base"].optim.lr == 0.25) == (by == "folder")
    journal.write("resume", uid="u", trials=8)  # killed again
    assert main(["sweep", "dvse", *line[by], "--tracking", "none"]) == 0
    assert asked["options"] == SweepOptions(trials=8, reduction=4)


def test_the_result_is_printed_and_decides_the_exit_code(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["sweep", "dvse", "--recipe", "dvse_emoji", "--name", "s", "--tracking", "none"]
    asked["result"] = RESULT | {"front": [{"run": "s-t001", "value": 3.0, "cost": 12345.6, "params": {"a.b": 2}}]}
    assert main(command) == 0
    text = capsys.readouterr().out
    assert text.startswith("runs/emoji/s: 3 finished, 1 failed; best s-t002 412.50\n  s-t001: 3.00 at 12,346 (")
    asked["result"] = RESULT | {"best": None}
    assert main([*command, "--json"]) == 1
    printed = json.loads(capsys.readouterr().out)
    assert (printed["exit_code"], printed["cost"], printed["best"]) == (1, {"sweep": "s"}, None)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("sweep dvse", "name the recipe of trial 0: --recipe dvse_emoji"),
        ("sweep dvse --resume nowhere", "is no sweep; give the sweep's folder, or its name together with --recipe"),
        ("sweep dvse --recipe dvse_emoji --cost gold", "no cost 'gold'. Costs: index_bytes, gpu_seconds,"),
        ("sweep dvse --recipe dvse_emoji --sampler best", "'--sampler': 'best' is not one of 'tpe', 'gp',"),
        ("sweep dvse --recipe dvse_emoji --hours 0", "--hours and --gpu-hours are above 0"),
        ("sweep dvse --recipe dvse_emoji --gpus-per-worker -1", "--cpus-per-worker and --gpus-per-worker are above 0"),
    ],
)
def test_a_wrong_flag_starts_nothing(
    line: str, message: str, asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    assert message in capsys.readouterr().err
    assert asked == {}


def test_a_sweep_over_a_recipe_that_selects_on_what_it_trains_on_says_so(
    asked: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["sweep", "dvse", "--recipe", "dvse_emoji", "--name", "s", "--tracking", "none", "--json"]
    words = "split 'train', which it trains on"
    for changes, selection in (([], ""), (["data.val_split=train"], words)):
        assert main([*line, *changes]) == 0
        printed = capsys.readouterr()
        assert json.loads(printed.out)["selected_on"] == selection
        assert (f"every trial is selected on {words}" in printed.err) == bool(changes)
        assert (f"best s-t002 412.50, selected on {words}" in printed.err) == bool(changes)
