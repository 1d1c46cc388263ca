"""Bytes that ranks send in a training step: the formula against what was counted, for every method."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from benchmarks.exchanges import Rows, Sent, StepShape, counted, gathered, predicted
from raytrain.config import METHOD_CONFIGS
from raytrain.data.table import Table
from raytrain.distributed import any_rank, gather, synchronise_batch_norm
from raytrain.methods.base import StepContext
from raytrain.scoring.feed import open_feed
from raytrain.training.build import build_method
from raytrain.training.run import open_tables
from tests.distributed.two_ranks import CPU, METHODS, TwoRanks, table_for
from tests.gpu.fake_gpu import FakeGPU
from tests.gpu.steps import STEPS, Run, make_tables, open_run
from tests.runs import tiny


@pytest.fixture(scope="module")
def step_tables(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return make_tables(tmp_path_factory.mktemp("exchanges"))


def test_there_is_a_formula_for_every_method() -> None:
    counted_kinds = {changes.get("method__kind", "dvse") for changes in (*METHODS.values(), *STEPS.values())}
    assert counted_kinds == {name for name in METHOD_CONFIGS if METHOD_CONFIGS.package_of(name) is None}


@pytest.mark.parametrize("name", METHODS)
def test_it_predicts_every_byte_that_two_gloo_ranks_send(name: str, two_ranks: TwoRanks, tmp_path: Path) -> None:
    """Ranks that do not know each other's shapes; DDP's gradients too."""
    config = tiny(table_for(name, two_ranks.table), tmp_path, **METHODS[name])
    model = build_method(config, open_feed(config, open_tables(config)["train"].table))
    steps = [results[f"{name} 2.0"] for results in two_ranks.results]
    expected = predicted(config, model, StepShape.of(*(step["shapes"] for step in steps)), 2, even=False)
    for step in steps:
        sent = {what: Sent(*numbers) for what, numbers in step["sent"].items()}
        sent["gradients"] = Sent(0, sent["gradients"].bytes)
        assert sent == expected


def step(run: Run, ranks: int) -> tuple[dict[str, Sent], StepShape]:
    """What one of so many imitated ranks sends, whose shapes are known to be equal."""
    batch = next(run.batches)
    if "known_positives" in batch:  # of this rank's queries and the targets of all
        batch["known_positives"] = batch["known_positives"].repeat(1, ranks)
    with counted(ranks) as traffic:
        synchronise_batch_norm(run.state.model)
        run.state.model(batch, StepContext(2.0, 5, partial(gather, even=True)))["loss"].backward()
        any_rank(False)
    return traffic.sent, StepShape.of(batch)


@pytest.mark.parametrize("name", STEPS)
def test_it_predicts_what_one_of_three_even_ranks_sends(name: str, step_tables: Table) -> None:
    run = open_run(name, step_tables, CPU)
    sent, shape = step(run, 3)
    expected = predicted(run.state.config, run.state.model, shape, 3, even=True)
    del expected["gradients"]  # there is no DDP here
    assert sent == expected


SIZES: dict[str, dict[str, Any]] = {
    "dvse": {"method__views": 5, "encoder__dim": 12},
    "dive-words": {"method__views": 3, "encoder__dim": 12, "optim__batch_size": 9},
    "pcme-words": {"method__samples": 3},
    "query-rau": {"method__blocks": 3, "encoder__dim": 10},
    "query-mgur": {"optim__batch_size": 8},
}


@pytest.mark.parametrize("name", SIZES)
def test_it_follows_batch_dimensions_and_views(name: str, step_tables: Table) -> None:
    table = table_for("query" if name.startswith("query") else name, step_tables)
    run = Run(tiny(table, table.path.parent, **{**STEPS[name], **SIZES[name]}), CPU)
    sent, shape = step(run, 2)
    expected = predicted(run.state.config, run.state.model, shape, 2, even=True)
    del expected["gradients"]
    assert sent == expected


@pytest.mark.usefixtures("fake_gpu_available")
def test_it_knows_what_is_told_beside_on_a_gpu(step_tables: Table) -> None:
    """Methods of words and regions tell each other where captions end."""
    with FakeGPU() as gpu:
        run = open_run("scan-words", step_tables, gpu.device)
        batch = next(run.batches)
        given = {name: rows.pin_memory().to(gpu.device, non_blocking=True) for name, rows in batch.items()}
        with counted(2) as traffic:
            run.state.model(given, StepContext(2.0, 5, gather))
    expected = predicted(run.state.config, run.state.model, StepShape.of(batch), 2, even=False, gpu=True)
    assert {what: traffic.sent[what] for what in ("rows", "shapes")} == {
        what: expected[what] for what in ("rows", "shapes")
    }


def test_the_formula_of_dvse_by_hand(tmp_path: Path, step_tables: Table) -> None:
    """Two captions and images per rank, D 8, K 2: bytes are 2 x 8 x 4 of captions, 2 x 2 x 8 x 4 of images, 2 x 8."""
    config = tiny(step_tables, tmp_path)
    rows = gathered(config, StepShape(2, 2, 5, 3, 16), ranks=4)
    assert rows == [Rows(2, (8,)), Rows(2, (2, 8)), Rows(2, (), 8)]
    assert [part.size for part in rows] == [64, 128, 16]


def test_counting_puts_back_what_it_replaced() -> None:
    import torch.distributed

    import raytrain.distributed

    with pytest.raises(KeyError), counted(2):
        raise KeyError
    assert raytrain.distributed.dist is torch.distributed
