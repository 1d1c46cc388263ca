"""Two gloo processes against one: the only test that shows a missing gather."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from raytrain.config import RunConfig
from raytrain.data.table import Table
from raytrain.distributed import any_rank, gather, rank, synchronise_batch_norm, world_size
from raytrain.errors import NonFiniteError
from raytrain.methods.base import StepContext
from raytrain.scoring.embed import embed_split, score
from raytrain.scoring.feed import open_feed
from raytrain.tracking.journal import Journal
from raytrain.training import checkpoint
from raytrain.training.build import build_method, open_batches
from raytrain.training.fit import fit
from raytrain.training.run import open_tables
from tests.runs import tiny
from tests.tables import make_query_table, make_table

CPU = torch.device("cpu")
DIVE: dict[str, Any] = {
    "method__kind": "dive", "method__dropout": 0.0, "method__head_dim": 4, "method__mean_warmup_epochs": 1,
    "optim__batch_size": 6,
}  # fmt: skip
QUERY: dict[str, Any] = {"method__kind": "composed", "method__dropout": 0.0, "optim__batch_size": 12}
SCAN_WORDS: dict[str, Any] = {"method__kind": "scan", "method__pooling": "mean", "encoder__text__kind": "bigru"}
SGRAF: dict[str, Any] = {
    "method__kind": "sgraf", "method__dropout": 0.0, "method__sim_dim": 6, "method__mean_warmup_epochs": 1,
}  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "vse_infinity": {"method__kind": "vse_infinity"},
    "dvse": {"method__weight_gradient": True, "method__fused_weight": 0.5, "method__score": "learned"},
    "dive": DIVE,
    "dive-ragged": {**DIVE, "method__diversity_of": "final", "optim__batch_size": 4},
    "dive-words": {**DIVE, "encoder__text__kind": "bigru", "method__similarity": "match_probability"},
    "dive-pairs": {**DIVE, "data__batch_by": "pair", "method__aggregator": "pie_net", "method__diversity": "gram"},
    "vsepp": {"method__kind": "vsepp", "method__mean_warmup_epochs": 1, "method__order": True},
    "vsepp-words": {"method__kind": "vsepp", "encoder__text__kind": "bigru", "method__same_image": "negative"},
    "pvse": {"method__kind": "pvse", "method__mean_warmup_epochs": 1},
    # sums over all pairs: the smaller scale keeps their gradients, and what rounding leaves of them, small
    "pcme": {
        "method__kind": "pcme",
        "method__uniformity_weight": 1.0,
        "method__log_sigma_start": -2.0,
        "method__match_scale": 2.0,
        "method__match_shift": 2.0,
    },
    "pcme-words": {"method__kind": "pcme", "encoder__text__kind": "bigru", "method__search_by": "match_probability"},
    "pcmepp": {"method__kind": "pcmepp", "method__vib_weight": 1.0},
    "pcmepp-words": {"method__kind": "pcmepp", "encoder__text__kind": "bigru", "method__variance_norm": False},
    "dvse-margin": {"method__orth_penalty": "margin", "method__orth_weight": 5.0},
    "query-rau": {**QUERY, "method__kind": "rau", "method__theta": 0.5, "method__theta_mode": "quantile"},
    "query-rau-words": {**QUERY, "method__kind": "rau", "method__shared_blocks": True, "encoder__text__kind": "bigru"},
    "query-tirg": {**QUERY, "method__composition": "tirg", "method__scale_learned": True},
    "query-mgur": {**QUERY, "method__composition": "fusion", "method__base_loss": "multi_grained"},
    "query-image": {**QUERY, "method__composition": "image"},
    "scan": {"method__kind": "scan", "method__mean_warmup_epochs": 1},
    "scan-words": {**SCAN_WORDS, "method__direction": "i2t"},
    "sgraf-sgr": {**SGRAF, "method__module": "sgr"},
    "sgraf-saf": {**SGRAF, "method__module": "saf", "method__memory_mib": 1},  # in blocks that are computed again
}


def one_step(config: RunConfig, epoch: float) -> dict[str, torch.Tensor]:
    """Losses, gradients and batch norm statistics of the first batch."""
    splits = open_tables(config)
    feed = open_feed(config, splits["train"].table)
    torch.manual_seed(0)
    model = build_method(config, feed).train()
    synchronise_batch_norm(model)
    parallel: torch.nn.Module = model
    if world_size() > 1:
        parallel = torch.nn.parallel.DistributedDataParallel(model, broadcast_buffers=False)
    batches = open_batches(config, splits["train"], feed, model.noise_shape)
    losses = parallel(next(batches.epoch(0)), StepContext(epoch, 5, gather))
    losses["loss"].backward()
    found = {f"loss/{name}": value.detach() for name, value in losses.items()}
    found |= {f"gradient/{name}": p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    found |= {f"buffer/{name}": b.clone() for name, b in model.named_buffers()}
    found["scores"] = score(model, *embed_split(model, splits["val"], feed, CPU))
    return found


def table_for(name: str, table: Table) -> Table:
    """The table that the name asks for: of composed queries, or whose images have different numbers of captions."""
    kind = name.partition("-")[0 if name.startswith("query") else 2]
    return Table(table.path.parent / kind) if kind in ("query", "ragged") else table


def longer_rows(number: int) -> list[torch.Tensor]:
    """What is gathered from ranks whose local features differ in number, and this rank's gradient of its squares."""
    mine = torch.full((1 + number, 3 - number, 2), 1.0 + number, requires_grad=True)
    everywhere = gather(mine)
    everywhere.square().sum().backward()
    assert mine.grad is not None
    return [everywhere.detach(), mine.grad]


def work(number: int, folder: str, table: str) -> None:
    """What each of two processes does; rank 0 writes what the test compares."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=number, world_size=2)
    opened = Table(table)
    found: dict[str, Any] = {}
    for name, changes in METHODS.items():
        for epoch in (0.0, 2.0):
            found[f"{name} {epoch}"] = one_step(tiny(table_for(name, opened), Path(folder), **changes), epoch)
    found["padded"] = longer_rows(number)
    found["any"] = [any_rank(number == 1, CPU), any_rank(False, CPU)]

    # a whole run, resumed half way, and a NaN that only rank 1 reads
    config = tiny(opened, Path(folder), name="two")
    fit(config, open_tables(config))
    bad = tiny(opened, Path(folder), name="nan")
    splits = open_tables(bad)
    try:
        fit(bad, {**splits, "train": splits["train"]}, report=_poison_rank_1)
    except NonFiniteError as error:
        found["nan"] = str(error)
    torch.save(found, f"{folder}/rank{number}.pt")
    dist.destroy_process_group()


def _poison_rank_1(metrics: dict[str, float], path: Path | None) -> None:
    """After the first epoch rank 1 alone reads NaN for features."""
    if rank() == 1:
        from raytrain.data.load import readers

        read = readers.Regions.read

        def poisoned(self: Any, *arguments: Any) -> Any:
            batch = read(self, *arguments)
            batch["regions"][0, 0, 0] = torch.nan
            return batch

        readers.Regions.read = poisoned  # type: ignore[method-assign]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]], Table]:
    folder = tmp_path_factory.mktemp("ranks")
    table = make_table(folder / "table", items=27)  # uneven shares of the validation split
    make_table(folder / "ragged", items=27, ragged=True)  # two ranks hold different numbers of captions
    make_query_table(folder / "query")
    mp.spawn(work, (str(folder), str(table.path)), nprocs=2)  # type: ignore[no-untyped-call]
    return folder, [torch.load(folder / f"rank{r}.pt", weights_only=True) for r in range(2)], table


@pytest.mark.parametrize("epoch", [0.0, 2.0], ids=["sum of negatives", "hardest negative"])
@pytest.mark.parametrize("method", list(METHODS))
def test_two_ranks_of_half_the_batch_equal_one_rank(method: str, epoch: float, two: Any, tmp_path: Path) -> None:
    _, found, table = two
    whole = one_step(tiny(table_for(method, table), tmp_path, **METHODS[method]), epoch)
    assert any(value.abs().max() > 0 for name, value in whole.items() if name.startswith("gradient"))
    for number in range(2):
        part = found[number][f"{method} {epoch}"]
        for name, value in whole.items():
            torch.testing.assert_close(part[name], value, rtol=1e-5, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_rows_of_different_length_travel_padded_with_zeros(two: Any) -> None:
    expected = torch.zeros(3, 3, 2)
    expected[0] = 1.0
    expected[1:, :2] = 2.0
    for number in range(2):
        everywhere, gradient = two[1][number]["padded"]
        torch.testing.assert_close(everywhere, expected)
        # twice the value, times the number of ranks, whose gradients are averaged
        torch.testing.assert_close(gradient, torch.full((1 + number, 3 - number, 2), 4.0 * (1 + number)))


def test_a_flag_of_one_rank_reaches_all(two: Any) -> None:
    assert [found["any"] for found in two[1]] == [[True, False], [True, False]]


def test_six_steps_of_two_ranks_give_the_weights_of_one_rank(two: Any, tmp_path: Path) -> None:
    folder, _, table = two
    config = tiny(table, tmp_path, name="two")
    fit(config, open_tables(config))
    ours, theirs = (checkpoint.latest(storage / "default" / "two") for storage in (tmp_path, folder))
    assert ours is not None
    assert theirs is not None
    loaded = [checkpoint.load(path) for path in (ours, theirs)]
    assert [one.manifest["world_size"] for one in loaded] == [1, 2]
    for name, value in loaded[0].weights.items():
        if not name.endswith("0.bias"):  # ahead of batch norm: no true gradient, and Adam scales up what noise there is
            torch.testing.assert_close(value, loaded[1].weights[name], rtol=1e-3, atol=1e-3, msg=name)
    assert len([e for e in Journal(folder / "default" / "two").read() if e["event"] == "epoch"]) == 2


def test_a_nan_on_one_rank_stops_both_at_the_same_step_without_a_hang(two: Any) -> None:
    messages = [found["nan"] for found in two[1]]
    assert messages[0] == messages[1]
    assert "step 3 (epoch 2): view_triplet is nan" in messages[0]


def test_torchrun_trains_through_the_command_line(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table")
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "raytrain.cli",
        "train", "dvse_emoji", f"data.table={table.path}", f"storage={tmp_path}", "name=pair", "encoder.dim=8",
        "optim.batch_size=20", "optim.num_epochs=1",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    start = Journal(tmp_path / "emoji" / "pair").last("start")
    assert start is not None
    assert start["workers"] == 2
