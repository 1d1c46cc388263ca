"""What MLflow shows first: how a run ended, and the verdict of a sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrain.tracking.description import best_run_of, describe_run, describe_sweep, escaped
from raytrain.tracking.run_record import run_record
from raytrain.tracking.sweep_record import SearchIdentity

CONFIG = {"method.kind": "dvse", "data.table": "/data/emoji", "optim.num_epochs": 8, "optim.lr": 0.0003}


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"event": kind, "time": 1.0, **fields}


def trial(number: int, value: float | None, state: str = "complete") -> dict[str, Any]:
    return event(
        "trial", number=number, run=f"s-t00{number}", params={"optim.lr": 0.00123456}, state=state, value=value
    )


START = event("start", config=CONFIG)
EPOCHS = [event("epoch", epoch=number, metrics={"val/rsum": value}) for number, value in [(1, 200.0), (2, 190.0)]]
TRIALS = [trial(0, 300.0), trial(1, 312.0), trial(2, 400.0, "pruned"), trial(3, None, "failed")]


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([START], "dvse on emoji."),
        ([START, *EPOCHS], "dvse on emoji: val/rsum 200.00 at epoch 1 of 8."),
        ([START, *EPOCHS, event("end", status="finished")], "dvse on emoji: val/rsum 200.00 at epoch 1 of 8."),
        ([START, *EPOCHS, event("end", status="pruned")], "of 8. Stopped early after 2 epochs."),
        (
            [START, event("end", status="failed", error="Error: <b>*no*</b>.\nmore")],
            r"Failed after 0 epochs: Error: \<b\>\*no\*\</b\>.",
        ),
    ],
)
def test_a_run_says_how_it_ended_and_its_best_epoch(events: list[dict[str, Any]], text: str, tmp_path: Path) -> None:
    assert describe_run(run_record(tmp_path, events), events, None).endswith(text)


def test_a_trial_says_what_was_tried_and_a_run_what_was_measured(tmp_path: Path) -> None:
    measured = {"split": "test", "metrics": {"test/rsum": 305.0}, "headline": "rsum"}
    events = [START, event("evaluation", **measured), event("evaluation", **measured | {"protocol": "coco/5k"})]
    sweep = tmp_path / "my_sweep"
    sweep.mkdir()
    record = run_record(tmp_path, events)
    text = "test/split: rsum 305.00. test/coco-5k: rsum 305.00."
    assert describe_run(record, events, sweep) == f"dvse on emoji. {text}"  # no sweep, or a damaged one
    SearchIdentity(space={"optim.lr": {}, "method.views": {}}, base={}, data="", search={}).write(sweep)
    assert (
        describe_run(record, events, sweep) == rf"dvse on emoji. Settings tried by my\_sweep: optim.lr 0.0003. {text}"
    )


def test_a_finished_sweep_names_its_best_run_its_lead_and_how_sure_it_is() -> None:
    best = {"run": "s-t001", "params": {}, "value": 312.0}
    events = [START, *TRIALS, event("end", status="finished", best=best)]
    note, tags = describe_sweep(events, "#/experiments/1/runs/abc")
    assert note == (
        "**[s-t001](#/experiments/1/runs/abc) leads with val/rsum 312.00** on emoji. The recipe (trial 0) has 300.00, "
        "a difference of +12.00. Each trial has one seed, so that small differences may be chance. "
        "4 trials: 2 complete, 1 pruned, 1 failed."
    )
    assert tags == {"best.run": "s-t001", "best.optim.lr": "0.001235"}
    repeat = event("repeat", number=1, run="s-t001", values=[312.0, 308.0], mean=310.0, std=2.83)
    note, _ = describe_sweep([*events[:-1], repeat, events[-1]], None)
    assert note.startswith("**s-t001 leads with")
    assert "Over 2 seeds its mean is 310.00 (standard deviation 2.83)." in note
    recipe = {"run": "s-t000", "params": {}, "value": 300.0}
    assert "It is the recipe itself" in describe_sweep([*events, event("end", status="finished", best=recipe)], None)[0]


def test_a_sweep_that_has_not_finished_says_so() -> None:
    assert describe_sweep([START], None) == ("Running. 0 trials.", {})
    assert best_run_of([START]) is None
    note, tags = describe_sweep([START, *TRIALS], None)
    assert note.startswith("Running. **s-t001 leads so far")  # before the pruned one, as the sweep chooses
    assert tags["best.run"] == best_run_of([START, *TRIALS]) == "s-t001"
    stopped = [START, *TRIALS, event("end", status="interrupted", error="signal 15")]
    assert describe_sweep(stopped, None)[0].startswith("Interrupted: signal 15. **")
    assert describe_sweep([*stopped, event("resume")], None)[0].startswith("Running. **")
    lost = [START, trial(0, None, "failed"), event("end", status="failed", error="every trial failed", best=None)]
    assert describe_sweep(lost, None) == ("Failed: every trial failed. 1 trials: 1 failed.", {})


def test_names_are_no_instructions() -> None:
    assert escaped("[a](http://x) <img src=x>\n`b_c` **d** &lt; R&D") == (
        r"\[a\](http://x) \<img src=x\> \`b\_c\` \*\*d\*\* \&lt; R&D"
    )
