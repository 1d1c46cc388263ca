"""How often the host waits for a GPU: in a training step of every method, in encoding, per tile of an evaluation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from raytrain.config import METHOD_CONFIGS
from raytrain.data.table import Table
from raytrain.distributed import default_device
from raytrain.scoring.embed import count_pairs, embed_split, score
from tests.gpu.fake_gpu import FakeGPU
from tests.gpu.steps import STEPS, open_run, step_on_fake_gpu

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "gpu.md"
ALLOWED = {"pcmepp-mixed": 1}
"""Waits of steps that are not free of them: the masks of mixed images come about on the device."""

fake = pytest.mark.usefixtures("fake_gpu_available")


def test_there_is_a_step_of_every_method() -> None:
    kinds = {changes.get("method__kind", "dvse") for changes in STEPS.values()}
    assert kinds == {name for name in METHOD_CONFIGS if METHOD_CONFIGS.package_of(name) is None}


def test_the_page_has_the_waits_of_every_step() -> None:
    rows = re.findall(r"^\| ([a-z_]+[a-z_-]*) \| (\d+) \| (\d+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name: int(now) for name, _, now in rows} == {name: ALLOWED.get(name, 0) for name in STEPS}


@fake
@pytest.mark.parametrize("name", STEPS)
def test_a_training_step_waits_for_nothing(name: str, gpu_tables: Table) -> None:
    """Upload, forward, backward, clipping, optimizer, averaging."""
    assert len(step_on_fake_gpu(name, gpu_tables).waits) == ALLOWED.get(name, 0)


@fake
@pytest.mark.parametrize("name", ["dvse", "dive-ragged", "scan-words", "vsrn-words"])
def test_nor_does_one_of_two_ranks(name: str, gpu_tables: Table) -> None:
    """Exchanges of embeddings and of batch norm's statistics too."""
    assert step_on_fake_gpu(name, gpu_tables, ranks=2).waits == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", STEPS)
def test_a_real_gpu_agrees(name: str, gpu_tables: Table) -> None:
    """CUDA itself raises at the first wait; the first step, which sets libraries and the optimizer up, may wait."""
    run = open_run(name, gpu_tables, default_device())
    run.step()
    torch.cuda.set_sync_debug_mode("default" if name in ALLOWED else "error")
    try:
        run.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@fake
@pytest.mark.parametrize("name", ["vse_infinity", "dive-words", "vsepp-words", "scan-words", "query-tirg"])
def test_encoding_waits_for_nothing_and_an_evaluation_once_per_tile(name: str, gpu_tables: Table) -> None:
    with FakeGPU() as gpu:
        run = open_run(name, gpu_tables, gpu.device)
        model, split = run.state.model, run.splits["val"]
        gpu.waits.clear()
        query, gallery = embed_split(model, split, run.feed, gpu.device)
        assert gpu.waits == []
        tiles = 0
        compare = model.similarity

        def counted(*pair: torch.Tensor) -> torch.Tensor:
            nonlocal tiles
            tiles += 1
            return compare(*pair)

        model.similarity = counted  # type: ignore[method-assign]
        if name.startswith("query"):
            scores = score(model, query, gallery)
            assert scores.device.type == "cpu"
        else:
            item_of_text = torch.arange(len(query)) // 5
            counts = count_pairs(model, query, gallery, item_of_text, memory_mib=0.02)
            assert counts["t2i"].better.device.type == "cpu"
        at_the_ends = 10  # of an evaluation, whatever the number of its tiles
        assert len(gpu.waits) <= tiles + at_the_ends
        assert tiles > at_the_ends or name != "scan-words"
