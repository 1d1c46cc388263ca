"""Two gloo processes against one: the only test that shows a missing gather."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from raytrain.tracking.journal import Journal
from raytrain.training import checkpoint
from raytrain.training.fit import fit
from raytrain.training.run import open_tables
from tests import forked
from tests.distributed.two_ranks import IN_PARTS, METHODS, TwoRanks, epochs_of, one_step, table_for
from tests.runs import tiny
from tests.tables import make_table


@pytest.mark.parametrize(("method", "epoch"), [(name, epoch) for name in METHODS for epoch in epochs_of(name)])
def test_two_ranks_of_half_the_batch_equal_one_rank(
    method: str, epoch: float, two_ranks: TwoRanks, tmp_path: Path
) -> None:
    whole = one_step(tiny(table_for(method, two_ranks.table), tmp_path, **METHODS[method]), epoch)
    assert any(value.abs().max() > 0 for name, value in whole.items() if name.startswith("gradient"))
    tolerance = 3e-5 if epoch == 0 else 1e-5  # of a gradient that adds up all pairs more rounding is left
    for results in two_ranks.results:
        part = results[f"{method} {epoch}"]
        for name, value in whole.items():
            torch.testing.assert_close(part[name], value, rtol=1e-5, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("method", IN_PARTS)
def test_two_ranks_in_two_parts_each_equal_one_rank(method: str, two_ranks: TwoRanks, tmp_path: Path) -> None:
    whole = one_step(tiny(table_for(method, two_ranks.table), tmp_path, **METHODS[method]), 2.0)
    for results in two_ranks.results:
        for name, value in whole.items():
            cached = results[f"{method} in parts"][name]
            torch.testing.assert_close(cached, value, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_the_rate_of_a_plateau_is_that_of_rank_0_on_both(two_ranks: TwoRanks) -> None:
    expected = {"factor": 1 / 16, "best": 2.0, "bad_epochs": 0.0}
    assert [results["plateau"] for results in two_ranks.results] == [expected, expected]


def test_six_steps_of_two_ranks_give_the_weights_of_one_rank(two_ranks: TwoRanks, tmp_path: Path) -> None:
    config = tiny(two_ranks.table, tmp_path, name="two")
    fit(config, open_tables(config))
    ours, theirs = (checkpoint.latest(storage / "default" / "two") for storage in (tmp_path, two_ranks.folder))
    assert ours is not None
    assert theirs is not None
    loaded = [checkpoint.load(path) for path in (ours, theirs)]
    assert [saved.manifest["world_size"] for saved in loaded] == [1, 2]
    for name, value in loaded[0].weights.items():
        if not name.endswith("0.bias"):  # ahead of batch norm: no true gradient, and Adam scales up what noise there is
            torch.testing.assert_close(value, loaded[1].weights[name], rtol=1e-3, atol=1e-3, msg=name)
    assert len([e for e in Journal(two_ranks.folder / "default" / "two").read() if e["event"] == "epoch"]) == 2


def test_a_nan_on_one_rank_stops_both_at_the_same_step_without_a_hang(two_ranks: TwoRanks) -> None:
    messages = [results["nan"] for results in two_ranks.results]
    assert messages[0] == messages[1]
    assert "step 3 (epoch 2): view_triplet is nan" in messages[0]


def test_torchrun_trains_through_the_command_line(tmp_path: Path) -> None:
    """By the launcher that torchrun calls; its processes are forked."""
    table = make_table(tmp_path / "table")
    arguments = [
        "train", "dvse_emoji", f"data.table={table.path}", f"storage={tmp_path}", "name=pair", "encoder.dim=8",
        "optim.batch_size=20", "optim.num_epochs=1", "--tracking", "none",
    ]  # fmt: skip
    settings = LaunchConfig(
        1,
        1,
        nproc_per_node=2,
        start_method="forkserver",
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id="pair",
    )
    caught = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT
    handlers = {number: signal.getsignal(number) for number in caught}
    try:
        assert elastic_launch(settings, forked.command)(arguments) == {0: 0, 1: 0}
    finally:
        for number, handler in handlers.items():  # the launcher sets its own
            signal.signal(number, handler)
    start = Journal(tmp_path / "emoji" / "pair").last("start")
    assert start is not None
    assert start["workers"] == 2
