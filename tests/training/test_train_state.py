"""What a run's steps change, and what a checkpoint brings back of it."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from raytrain.data.table import Table
from raytrain.errors import NonFiniteError
from raytrain.scoring.feed import open_feed
from raytrain.training import checkpoint
from raytrain.training.build import build_method
from raytrain.training.train_state import TrainState
from tests.runs import tiny

CPU = torch.device("cpu")


def state_of(table: Table, storage: Path, **changes: Any) -> TrainState:
    config = tiny(table, storage, **changes)
    return TrainState(config, build_method(config, open_feed(config, table)), CPU)


def fill(weights: dict[str, torch.Tensor], value: int) -> None:
    for tensor in weights.values():
        tensor.fill_(value)


def values(state: TrainState) -> set[float]:
    return {float(number) for tensor in state.model.state_dict().values() for number in tensor.flatten()}


def test_an_error_inside_leaves_the_weights_that_train(table: Table, tmp_path: Path) -> None:
    state = state_of(table, tmp_path, optim__ema_decay=0.5)
    assert state.average is not None
    fill(state.model.state_dict(), 1)
    fill(state.average, 2)
    with state.averaged_weights():
        assert values(state) == {2}
    assert values(state) == {1}
    with pytest.raises(NonFiniteError), state.averaged_weights():
        raise NonFiniteError("the validation similarities are not finite")
    assert values(state) == {1}


def test_a_run_without_an_average_evaluates_the_weights_that_train(table: Table, tmp_path: Path) -> None:
    state = state_of(table, tmp_path)
    fill(state.model.state_dict(), 1)
    with state.averaged_weights():
        assert values(state) == {1}


@pytest.mark.parametrize(
    ("changes", "updates"),
    [
        ({}, [True] * 5),
        ({"accumulation": 2}, [False, True, False, True, True]),  # the epoch's last step ends a sum of one
        ({"accumulation": 9}, [False, False, False, False, True]),
        ({"accumulation": 2, "max_steps": 3}, [False, True, True]),
    ],
)
def test_weights_change_after_each_accumulation_and_at_the_end(
    changes: dict[str, int], updates: list[bool], table: Table, tmp_path: Path
) -> None:
    state = state_of(table, tmp_path, **{f"optim__{name}": value for name, value in changes.items()})
    planned = []
    while state.step < 5 and not state.out_of_steps():
        planned.append(state.next_step_updates(steps_per_epoch=5))
        state.count_step({})
    assert planned == updates


def test_a_checkpoint_is_due_at_each_multiple_that_the_epoch_does_not_end_at(table: Table, tmp_path: Path) -> None:
    state = state_of(table, tmp_path, optim__checkpoint_steps=2, optim__max_steps=8)
    due = []
    for _ in range(8):
        state.count_step({})
        if state.checkpoint_due(steps_per_epoch=6):
            due.append(state.step)
            state.saved_step = state.step
        if state.step_in_epoch == 6:  # which writes a checkpoint of its own
            state.count_epoch(data_wait_share=0.0)
            state.saved_step = state.step
    assert due == [2, 4]  # not 6, where the epoch ends, nor 8, where the run does
    assert not state_of(table, tmp_path).checkpoint_due(steps_per_epoch=6)


def test_a_multiple_between_two_updates_is_made_up_for_at_the_next_one(table: Table, tmp_path: Path) -> None:
    state = state_of(table, tmp_path, optim__checkpoint_steps=4)
    for _ in range(5):
        state.count_step({})
    assert state.checkpoint_due(steps_per_epoch=100)
    state.saved_step = 5
    assert not state.checkpoint_due(steps_per_epoch=100)


def test_an_epoch_has_the_means_of_its_losses_and_starts_the_next(table: Table, tmp_path: Path) -> None:
    state = state_of(table, tmp_path)
    for loss in (1.0, 2.0, 6.0):
        state.count_step({"loss": torch.tensor(loss), "part": torch.tensor(2 * loss)})
    state.count_epoch(data_wait_share=0.25)
    assert state.train_metrics == {
        "train/loss": 3.0, "train/part": 6.0, "train/lr": 1e-3, "cost/data_wait_share": 0.25,
    }  # fmt: skip
    assert (state.epoch, state.step, state.step_in_epoch, state.sums) == (1, 3, 0, {})


@pytest.mark.parametrize(("collapsed", "expected"), [([1.0, 1.0], 1), ([1.0, 0.0], 0)])
def test_a_collapse_in_every_step_of_an_epoch_warns(
    collapsed: list[float], expected: int, table: Table, tmp_path: Path
) -> None:
    state = state_of(table, tmp_path)
    for value in collapsed:
        state.count_step({"collapsed": torch.tensor(value)})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        state.count_epoch(data_wait_share=0.0)
    assert len(caught) == expected


@pytest.mark.parametrize("ema_decay", [0.0, 0.9])
def test_a_checkpoint_brings_everything_back(ema_decay: float, table: Table, tmp_path: Path) -> None:
    state = state_of(table, tmp_path, optim__ema_decay=ema_decay)
    for parameter in state.model.parameters():
        parameter.grad = torch.ones_like(parameter)
    state.optimizer.step()
    state.count_step({"loss": torch.tensor(2.5)})
    state.epoch, state.best, state.worker_seconds = 3, 41.5, 7.0
    path = state.save(tmp_path / "kept", "a fingerprint", None)
    assert path is not None and path.name == "checkpoint_00000001"

    other = state_of(table, tmp_path, optim__ema_decay=ema_decay, seed=1)
    other.restore(checkpoint.load(path))
    assert (other.epoch, other.step, other.step_in_epoch, other.saved_step) == (3, 1, 1, 1)
    assert (other.best, other.worker_seconds, other.sums) == (41.5, 7.0, {"loss": torch.tensor(2.5)})
    for name, value in state.model.state_dict().items():
        assert torch.equal(other.model.state_dict()[name], value), name
    saved_moments, moments = state.optimizer.state_dict()["state"], other.optimizer.state_dict()["state"]
    assert all(
        torch.equal(moments[row][key], value) for row in saved_moments for key, value in saved_moments[row].items()
    )
    if state.average is not None:
        assert other.average is not None
        assert all(torch.equal(other.average[name], value) for name, value in state.average.items())
        weights = checkpoint.load(path).weights  # what is evaluated is the average
        assert all(torch.equal(weights[name], value) for name, value in state.average.items())


def test_the_manifest_says_what_selects_a_checkpoint(table: Table, tmp_path: Path) -> None:
    state = state_of(table, tmp_path)
    inside = state.save(tmp_path, "f", None)
    state.count_step({})
    ended = state.save(tmp_path, "f", None, {"val/rsum": 12.0, "train/loss": 1.0})
    assert inside is not None and ended is not None
    manifests = [json.loads((path / "manifest.json").read_text()) for path in (inside, ended)]
    assert [manifest["selected"] for manifest in manifests] == [None, 12.0]
    assert [manifest["metrics"] for manifest in manifests] == [{}, {"val/rsum": 12.0, "train/loss": 1.0}]
    assert [(manifest["world_size"], manifest["fingerprint"]) for manifest in manifests] == [(1, "f")] * 2


def test_a_run_is_finished_after_its_epochs_or_once_its_last_step_is_validated(table: Table, tmp_path: Path) -> None:
    state = state_of(table, tmp_path, optim__num_epochs=2, optim__max_steps=4)
    assert not state.finished()
    for _ in range(4):
        state.count_step({})
    assert state.out_of_steps() and not state.finished()  # the epoch is still to be validated
    state.count_epoch(data_wait_share=0.0)
    assert state.finished()
    short = state_of(table, tmp_path, optim__num_epochs=2)
    short.epoch = 2
    assert short.finished()


def test_a_checkpoint_brings_back_the_plateau_and_validation_moves_it(table: Table, tmp_path: Path) -> None:
    changes = {"optim__schedule": "plateau", "optim__plateau_patience": 0, "optim__decay_factor": 4.0}
    state, other = (state_of(table, tmp_path, **changes) for _ in range(2))
    for value in (2.0, 1.0):
        state.count_validation({"val/rsum": value})
    saved = state.save(tmp_path / "kept", "f" * 64, None, {"val/rsum": 1.0})
    assert saved is not None and state.plateau is not None and other.plateau is not None
    other.restore(checkpoint.load(saved))
    assert other.plateau.state() == state.plateau.state() == {"factor": 0.25, "best": 2.0, "bad_epochs": 0.0}
    assert state_of(table, tmp_path).plateau is None
