"""The loop: what a run learns, writes and leaves, where it stops, and that resumed equals uninterrupted."""

from __future__ import annotations

import os
import shutil
import signal
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raytrain.config import RunConfig, override
from raytrain.data.table import Table
from raytrain.errors import Interrupted, NonFiniteError, RaytrainError, RefusedError, Stopped
from raytrain.methods.base import StepContext
from raytrain.scoring.feed import open_feed
from raytrain.tracking.journal import Journal
from raytrain.training import checkpoint
from raytrain.training import fit as loop
from raytrain.training.build import build_method, open_batches
from raytrain.training.fit import fit, train_epoch, train_step
from raytrain.training.memory import Estimate
from raytrain.training.run import open_tables
from raytrain.training.train_state import TrainState
from tests.runs import fit_here, tiny
from tests.tables import make_query_table, make_table

CPU = torch.device("cpu")
DIVE: dict[str, Any] = {
    "method__kind": "dive", "method__head_dim": 4, "method__iterations": 2, "optim__batch_size": 4,
}  # fmt: skip
COMPOSED: dict[str, Any] = {
    "encoder__dim": 16, "encoder__pooling": "mean", "optim__batch_size": 30, "optim__lr": 1e-2, "method__dropout": 0.0,
    "data__word_drop": 0.0,
}  # fmt: skip


def weights(folder: Path) -> dict[str, torch.Tensor]:
    path = checkpoint.latest(folder)
    assert path is not None
    return checkpoint.load(path).weights


def epochs(config: RunConfig) -> list[dict[str, Any]]:
    return [event for event in Journal(config.folder).read() if event["event"] == "epoch"]


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return make_table(tmp_path_factory.mktemp("sixty") / "table", items=60)


@pytest.mark.parametrize(
    ("method", "text"),
    [
        *product(
            ["vse_infinity", "dvse", "mv_vse", "dive", "maxmatch", "vsepp", "pvse", "pcme", "pcmepp", "vsrn"],
            ["tokens", "bigru"],
        ),
        *product(["caan", "imram", "naaf"], ["tokens"]),
    ],
)
def test_a_run_learns_what_the_made_up_table_hides(method: str, text: str, sixty: Table, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"method__kind": method, "optim__num_epochs": 6, "optim__lr": 5e-3}
    if method in ("dive", "maxmatch"):
        rates = {"optim__lr": 3e-3, "method__image_lr_scale": 1.0, "method__set_lr_scale": 1.0}
        changes = DIVE | rates | {"method__kind": method, "optim__num_epochs": 8}
    reported: list[dict[str, float]] = []
    config = tiny(sixty, tmp_path, encoder__text__kind=text, data__word_drop=0.0, **changes)
    fit_here(config, report=lambda metrics, _: reported.append(metrics))
    assert reported[-1]["train/loss"] < reported[1]["train/loss"] / 1.2
    if text == "tokens":  # the words of the table are random: only the token states tell of the image
        assert reported[-1]["best"] > 450  # chance is about 100


@pytest.fixture(scope="module")
def queries(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return make_query_table(tmp_path_factory.mktemp("queries") / "table")


@pytest.mark.parametrize("kind", ["composed", "rau"])
def test_both_halves_of_the_query_are_learned_and_neither_is_enough(kind: str, queries: Table, tmp_path: Path) -> None:
    best = {}
    for composition in ("fusion", "image", "text"):
        changes = {"name": composition, "method__kind": kind, "method__composition": composition}
        reported: list[dict[str, float]] = []
        config = tiny(queries, tmp_path, **COMPOSED, **changes, optim__num_epochs=12)
        fit_here(config, report=lambda metrics, _, reported=reported: reported.append(metrics))
        best[composition] = reported[-1]["best"]
    assert best["fusion"] > 260
    assert best["fusion"] > 60 + max(best["image"], best["text"])


def test_the_run_folder_holds_its_whole_story(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path)
    reported: list[tuple[dict[str, float], Path | None]] = []
    fit_here(config, report=lambda metrics, path: reported.append((metrics, path)))
    events = Journal(config.folder).read()
    assert [event["event"] for event in events] == ["start", "epoch", "epoch", "end"]
    assert events[0]["config"]["method.views"] == 2
    assert events[0]["fingerprint"] == table.fingerprint
    assert events[-1]["status"] == "finished"
    assert [path.name for _, path in reported if path] == ["checkpoint_00000003", "checkpoint_00000006"]
    assert reported[-1][0]["epoch"] == 2
    assert reported[-1][0]["best"] == max(metrics["val/rsum"] for metrics, _ in reported)
    similarity = np.load(config.folder / "evaluation" / "similarity_val.npy", allow_pickle=False)
    assert similarity.shape == (30, 6)
    assert reported[-1][0]["cost/worker_seconds"] > 0
    assert reported[-1][0]["cost/gpu_seconds"] == 0 or torch.cuda.is_available()


@pytest.mark.filterwarnings("ignore:tiny")
def test_a_run_of_sets_journals_their_variance(table: Table, tmp_path: Path) -> None:
    metrics = fit_here(tiny(table, tmp_path, **DIVE))
    assert metrics["diagnostics/set_log_variance"] < 0
    assert metrics["diagnostics/query_set_log_variance"] < 0
    assert 0 <= metrics["train/collapsed"] <= 1


def test_a_rau_run_journals_its_uncertainty(queries: Table, tmp_path: Path) -> None:
    config = tiny(queries, tmp_path, **COMPOSED, method__kind="rau", method__theta=0.5, method__theta_mode="quantile")
    fit_here(config)
    first, second = (event["metrics"] for event in epochs(config))
    assert first["train/further_positives"] == 0  # theta waits for the second epoch
    assert 0.2 < second["train/further_positives"] < 0.8
    assert second["train/sigma"] > 0
    assert -1 <= second["diagnostics/uncertainty_rank_correlation"] <= 1


@pytest.mark.parametrize("kind", ["pcme", "pcmepp"])
def test_probabilistic_image_text_runs_journal_their_uncertainty(kind: str, table: Table, tmp_path: Path) -> None:
    metrics = fit_here(tiny(table, tmp_path, method__kind=kind))
    assert -1 <= metrics["diagnostics/uncertainty_rank_correlation"] <= 1


def test_a_collapse_that_lasts_an_epoch_is_told(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table")
    for name in ("lite0", "minilm"):  # images and captions that nothing tells apart
        features = np.load(table.path / "features" / f"{name}.npy", mmap_mode="r+")
        features[...] = 1.0
    changes = {"optim__lr": 1e-7, "method__mean_warmup_epochs": 1, "method__dropout": 0.0, "feed__verify": False}
    with pytest.warns(UserWarning, match="tiny: in every step of epoch 2 .*mean_warmup_epochs") as warned:
        fit_here(tiny(table, tmp_path, **DIVE, **changes))
    assert len(warned) == 1


@dataclass(frozen=True)
class Interruption:
    """A whole run, and one that ended in its second epoch after a checkpoint within it.

    Args:
        whole: config of the run that nothing stopped.
        parts: config of the run that was stopped.
        first, inside: checkpoints after its first epoch and within its second.
    """

    whole: RunConfig
    parts: RunConfig
    first: Path
    inside: Path


class StopHere(Exception):
    """Ends a run from its report."""


@pytest.fixture(
    scope="module",
    params=[
        {},
        {"optim__ema_decay": 0.5},
        {"optim__accumulation": 2},
        DIVE,
        {"method__kind": "pcme"},
        {"method__kind": "naaf", "method__sample_words": 2},
        {"optim__schedule": "plateau", "optim__plateau_patience": 0, "optim__decay_factor": 4.0, "optim__lr": 1e-6},
    ],
    # dive: batches of images, dropout drawn by step; naaf: a threshold estimated from step to step; plateau: at a rate
    # that changes no rank, so that it falls within the run
    ids=["plain", "average", "accumulation", "images", "pcme", "naaf", "plateau"],
)
def interruption(
    request: pytest.FixtureRequest, table: Table, tmp_path_factory: pytest.TempPathFactory
) -> Interruption:
    root = tmp_path_factory.mktemp("interrupted")
    whole = tiny(table, root / "whole", optim__num_epochs=3, **request.param)
    fit_here(whole)

    def stop(metrics: dict[str, float], path: Path | None) -> None:
        if metrics["epoch"] == 2:
            raise StopHere

    parts = tiny(table, root / "parts", optim__num_epochs=3, optim__checkpoint_steps=4, **request.param)
    with pytest.raises(StopHere):
        fit_here(parts, report=stop, checkpoint_root=root / "kept")
    first, inside, _ = checkpoint.complete(root / "kept")  # after 3 steps, 4 (or 5: the next update), and 6
    return Interruption(whole, parts, first, inside)


@pytest.mark.parametrize("place", ["first", "inside"])
def test_resumed_equals_uninterrupted_bit_for_bit(place: str, interruption: Interruption, tmp_path: Path) -> None:
    whole, parts = interruption.whole, override(interruption.parts, {"storage": str(tmp_path)})
    shutil.copytree(interruption.parts.folder, parts.folder)
    fit_here(parts, resume_from=getattr(interruption, place))
    expected = weights(whole.folder)
    assert all(torch.equal(value, expected[name]) for name, value in weights(parts.folder).items())
    ours, theirs = (
        {name: value for name, value in epochs(config)[-1]["metrics"].items() if not name.startswith("cost")}
        for config in (parts, whole)
    )
    assert ours == theirs
    resumed = Journal(parts.folder).last("resume")
    assert resumed is not None
    assert resumed["epoch"] == 1


def test_a_nan_feature_stops_the_run_naming_step_and_term(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table")
    features = np.load(table.path / "features" / "lite0.npy", mmap_mode="r+")
    features[0] = np.nan
    config = tiny(table, tmp_path, feed__verify=False)
    with pytest.raises(NonFiniteError, match=r"step \d \(epoch 1\): view_triplet is nan"):
        fit_here(config)
    end = Journal(config.folder).last("end")
    assert end is not None
    assert end["status"] == "failed"
    assert "NonFiniteError" in end["error"]


def test_sigterm_writes_a_checkpoint_and_says_resumable(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, optim__num_epochs=50)
    killed = []

    def kill(metrics: dict[str, float], path: Path | None) -> None:
        if metrics["epoch"] == 2:
            os.kill(os.getpid(), signal.SIGTERM)
            killed.append(True)

    with pytest.raises(Interrupted) as error:
        fit_here(config, report=kill)
    assert killed
    assert error.value.exit_code == 75
    latest = checkpoint.latest(config.folder)
    assert latest is not None
    assert checkpoint.load(latest).manifest["step"] == 7  # the first step after the signal
    end = Journal(config.folder).last("end")
    assert end is not None
    assert end["status"] == "interrupted"


def test_a_run_stopped_at_its_very_last_step_is_validated_on_resuming(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, optim__max_steps=4)

    def stop(metrics: dict[str, float], path: Path | None) -> None:
        if metrics["epoch"] == 1:
            os.kill(os.getpid(), signal.SIGTERM)  # noticed after step 4, the last

    with pytest.raises(Interrupted):
        fit_here(config, report=stop)
    latest = checkpoint.latest(config.folder)
    assert latest is not None
    assert checkpoint.load(latest).manifest["step"] == 4
    metrics = fit_here(config, resume_from=latest)
    assert metrics["val/rsum"] > 0
    assert [event["step"] for event in epochs(config)] == [3, 4]


def test_a_run_that_went_on_elsewhere_is_written_to_no_more_from_here(table: Table, tmp_path: Path) -> None:
    """As on a host that was cut off: the run was started again on another one, and this one trains on."""
    config = tiny(table, tmp_path, name="a")
    journal = Journal(config.folder)

    def cut_off(metrics: dict[str, float], checkpoint: Path | None) -> None:
        journal.write("resume", uid="u", life="another", epoch=1, checkpoint=checkpoint and checkpoint.name)

    with pytest.raises(RaytrainError, match="another process has gone on with this run"):
        fit_here(config, report=cut_off)
    assert [event["event"] for event in journal.read()] == ["start", "epoch", "resume"]  # no second epoch, no end
    assert len(list(config.folder.glob("checkpoint_*"))) == 1


def test_max_steps_ends_a_dry_run_early(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, optim__max_steps=1)
    fit_here(config)
    assert [path.name for path in checkpoint.complete(config.folder)] == ["checkpoint_00000001"]


def test_only_the_best_and_the_last_checkpoint_are_kept(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path, optim__num_epochs=5)
    values: list[float] = []
    fit_here(config, report=lambda metrics, _: values.append(metrics["val/rsum"]))
    kept = [checkpoint.load(path).manifest["epoch"] for path in checkpoint.complete(config.folder)]
    assert kept == sorted({values.index(max(values)) + 1, 5})


def test_the_same_seed_gives_the_same_run_and_another_seed_another(table: Table, tmp_path: Path) -> None:
    first, same, other = (
        fit_here(tiny(table, tmp_path / name, seed=seed)) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first["train/loss"] == same["train/loss"]
    assert first["train/loss"] != other["train/loss"]


def test_a_test_split_and_the_table_of_another_checkpoint_are_refused(table: Table, tmp_path: Path) -> None:
    config = tiny(table, tmp_path)
    tables = open_tables(config)
    with pytest.raises(RefusedError, match="the test split is closed while a run trains"):
        fit(config, {**tables, "val": table.split("test", allow_test=True)})
    assert not config.folder.exists()
    fit_here(override(config, {"optim.max_steps": 1}))
    other = make_table(tmp_path / "other", seed=1)
    moved = tiny(other, tmp_path)
    with pytest.raises(RefusedError, match="fingerprint"):
        fit_here(moved, resume_from=checkpoint.latest(config.folder))


@pytest.mark.parametrize(
    ("error", "status"), [(Stopped("enough"), None), (KeyboardInterrupt(), "interrupted"), (OSError("?"), "failed")]
)
def test_what_a_report_raises_ends_the_run(
    error: BaseException, status: str | None, table: Table, tmp_path: Path
) -> None:
    config = tiny(table, tmp_path, optim__max_steps=1)

    def raises(metrics: dict[str, float], path: Path | None) -> None:
        raise error

    with pytest.raises(type(error)):
        fit_here(config, report=raises)
    end = Journal(config.folder).last("end")
    assert (end and end["status"]) == status


def test_a_run_that_is_expected_not_to_fit_trains_no_step(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "train_step", lambda *given: pytest.fail("it trained"))
    config = tiny(table, tmp_path)
    with pytest.raises(RaytrainError, match="share of a GPU"):
        fit_here(config, memory=Estimate(100, 100))
    start, end = Journal(config.folder).read()
    assert start["memory"] == {"needed_bytes": 100, "allowed_bytes": 100, "ran_out": False}
    assert end["status"] == "failed"


def state_and_batches(table: Table, storage: Path, **changes: Any) -> tuple[TrainState, Any]:
    config = tiny(table, storage, **changes)
    feed = open_feed(config, table)
    torch.manual_seed(config.seed)
    state = TrainState(config, build_method(config, feed), CPU)
    return state, open_batches(config, table.split("train"), feed, state.model.noise_shape)


def test_a_step_adds_to_the_gradient_and_changes_weights_where_it_is_told_to(table: Table, tmp_path: Path) -> None:
    """The gradient of two steps is the sum of theirs; after an update it is gone."""
    state, batches = state_and_batches(table, tmp_path)
    first, second = (next(batches.epoch(epoch)) for epoch in range(2))
    before = {name: value.clone() for name, value in state.model.state_dict().items()}
    parts = []
    for batch in (first, second):
        state.optimizer.zero_grad()
        train_step(state, batch, StepContext(), update=False)
        parts.append([parameter.grad.clone() for parameter in state.model.parameters() if parameter.grad is not None])
    state.optimizer.zero_grad()
    train_step(state, first, StepContext(), update=False)
    train_step(state, second, StepContext(), update=False)
    summed = [parameter.grad for parameter in state.model.parameters() if parameter.grad is not None]
    for together, one, other in zip(summed, *parts, strict=True):
        torch.testing.assert_close(together, one + other)
    assert all(torch.equal(value, before[name]) for name, value in state.model.named_parameters())
    train_step(state, first, StepContext())
    assert not all(torch.equal(value, before[name]) for name, value in state.model.named_parameters())
    assert all(parameter.grad is None for parameter in state.model.parameters())


def test_a_step_moves_the_average_by_its_decay(table: Table, tmp_path: Path) -> None:
    state, batches = state_and_batches(table, tmp_path, optim__ema_decay=0.75)
    assert state.average is not None
    before = {name: value.clone() for name, value in state.average.items()}
    train_step(state, next(batches.epoch(0)), StepContext())
    for name, value in state.model.state_dict().items():
        expected = 0.75 * before[name] + 0.25 * value if value.is_floating_point() else value
        torch.testing.assert_close(state.average[name], expected)


def test_a_gradient_is_clipped_to_its_largest_norm(table: Table, tmp_path: Path) -> None:
    """Without clipping, AdamW's second moments after one step are (1 - beta) times the squared gradient."""

    def squared_norm(clip_norm: float) -> float:
        state, batches = state_and_batches(table, tmp_path, optim__clip_norm=clip_norm)
        train_step(state, next(batches.epoch(0)), StepContext())
        moments = [moment["exp_avg_sq"] for moment in state.optimizer.state.values()]
        return float(sum(moment.sum() for moment in moments)) / (1 - 0.999)

    whole = squared_norm(0.0)
    assert squared_norm(whole**0.5 / 2) == pytest.approx(whole / 4, rel=1e-3)
    assert squared_norm(whole**0.5 * 2) == pytest.approx(whole, rel=1e-3)


def test_a_gradient_that_is_not_finite_is_named(table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, batches = state_and_batches(table, tmp_path)
    before = {name: value.clone() for name, value in state.model.state_dict().items()}
    next(state.model.parameters()).register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(NonFiniteError, match=r"step 0: the gradient is (inf|nan); lower optim\.lr"):
        train_step(state, next(batches.epoch(0)), StepContext())
    assert all(torch.equal(value, before[name]) for name, value in state.model.named_parameters())


@pytest.mark.parametrize(
    ("changes", "updates"),
    [({}, [True, True, True]), ({"optim__accumulation": 2}, [False, True, True]), ({"optim__max_steps": 1}, [True])],
)
def test_an_epoch_says_after_each_step_whether_it_changed_the_weights(
    changes: dict[str, Any], updates: list[bool], table: Table, tmp_path: Path
) -> None:
    state, batches = state_and_batches(table, tmp_path, **changes)
    assert batches.steps == 3
    assert list(train_epoch(state, batches)) == updates
    assert (state.epoch, state.step, state.step_in_epoch) == (1, len(updates), 0)
    assert 0 <= state.train_metrics["cost/data_wait_share"] <= 1


def test_an_epoch_goes_on_from_the_step_at_which_it_stands(table: Table, tmp_path: Path) -> None:
    whole, batches = state_and_batches(table, tmp_path)
    list(train_epoch(whole, batches))
    part, batches = state_and_batches(table, tmp_path)
    steps = train_epoch(part, batches)
    next(steps)
    steps.close()
    assert (part.epoch, part.step, part.step_in_epoch) == (0, 1, 1)
    assert len(list(train_epoch(part, batches))) == 2
    assert part.train_metrics["train/loss"] == whole.train_metrics["train/loss"]
