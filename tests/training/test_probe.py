"""The two steps that tell what a run will hold, and what comes of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from raytrain.config import RunConfig, override
from raytrain.data.table import Table
from raytrain.errors import NonFiniteError, OutOfMemory
from raytrain.tracking.journal import Journal
from raytrain.training import probe
from raytrain.training.fit import fit
from raytrain.training.input_sizes import Sizes, table_sizes
from raytrain.training.probe import estimate
from raytrain.training.run import open_tables
from tests.runs import small_run
from tests.tables import make_table

CPU = torch.device("cpu")


class Scale:
    """A meter that does the work and measures a given number of bytes."""

    total = 1000

    def __init__(self, bytes_: int, runs_out: bool = False) -> None:
        self.bytes_, self.runs_out, self.worked = bytes_, runs_out, 0

    def peak(self, work: Callable[[], None]) -> int:
        work()
        self.worked += 1
        if self.runs_out:
            raise torch.OutOfMemoryError("tried to allocate 3 GiB")
        return self.bytes_

    def held(self) -> int:
        return self.bytes_


def losses(config: RunConfig) -> list[tuple[float, float]]:
    events = [event for event in Journal(config.folder).read() if event["event"] == "epoch"]
    return [(event["metrics"]["train/loss"], event["metrics"]["val/rsum"]) for event in events]


def test_a_run_that_fits_trains_as_one_that_was_not_asked(tmp_path: Path) -> None:
    base = small_run(tmp_path)
    plain, probed = (override(base, {"name": name}) for name in ("plain", "probed"))
    fit(plain, open_tables(plain), device=CPU)
    torch.manual_seed(7)
    random.seed(7)
    drawn = random.getstate()
    memory = estimate(probed, CPU, 0.5, scale := Scale(400))
    assert random.getstate() == drawn
    assert scale.worked == 1
    fit(probed, open_tables(probed), device=CPU, memory=memory)
    assert losses(probed) == losses(plain)
    start = Journal(probed.folder).last("start")
    assert start is not None
    assert start["memory"] == {"needed_bytes": 400, "allowed_bytes": 500, "ran_out": False}
    assert "memory" not in (Journal(plain.folder).last("start") or {})


@pytest.mark.parametrize("scale", [Scale(470), Scale(300, runs_out=True)], ids=["margin", "out"])
def test_one_that_does_not_is_refused_before_it_trains(tmp_path: Path, scale: Scale) -> None:
    config = override(small_run(tmp_path), {"name": "large"})
    memory = estimate(config, CPU, 0.5, scale)
    with pytest.raises(OutOfMemory, match=r"GiB of its share of a GPU\. Lower optim\.batch_size"):
        fit(config, open_tables(config), device=CPU, memory=memory)
    start, end = Journal(config.folder).read()
    assert start["memory"]["needed_bytes"] == scale.bytes_
    assert end["status"] == "failed" and end["error"].startswith("OutOfMemory")


def test_a_random_batch_that_is_not_finite_says_nothing_about_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverges(*given: object, lr: float) -> None:
        raise NonFiniteError("step 0 (epoch 1): loss is nan")

    monkeypatch.setattr(probe, "two_steps", diverges)
    memory = estimate(small_run(tmp_path), CPU, 0.5, Scale(400))
    assert (memory.needed_bytes, memory.allowed_bytes, memory.ran_out) == (400, 500, False)


def test_the_batch_is_the_largest_there_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve images of one to five captions, of which the batch takes the six with the most: 5, 5, 4, 4, 3, 3."""
    table = make_table(tmp_path / "table", ragged=True)
    config = override(small_run(tmp_path, batch_size=6), {"method.kind": "dive", "data.batch_by": "image"})
    tried: list[tuple[Sizes, float]] = []
    monkeypatch.setattr(probe, "two_steps", lambda config, sizes, device, lr: tried.append((sizes, lr)))
    estimate(config, CPU, 0.5, Scale(1))
    ((sizes, lr),) = tried
    split = table.split("train")
    most = sorted(np.bincount(split.item_of_text).tolist())[-6:]
    assert sizes.captions == int(np.ceil(sum(most) / 6))
    assert sizes.captions > table_sizes(config).captions
    assert sizes.tokens == table_sizes(config).tokens
    assert sizes.regions == 5
    assert lr == 0  # a large step could make the second loss infinite


def test_a_trial_that_would_not_fit_is_told_to_tune_as_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tune = pytest.importorskip("ray.tune", reason="Ray is not installed")
    from raytrain.sweeps import single_worker
    from raytrain.sweeps.ledger import Ledger, recorder
    from raytrain.sweeps.options import SweepOptions
    from raytrain.sweeps.trial import trial_config
    from raytrain.tracking.mirror import Mirror

    heard: list[dict[str, object]] = []
    monkeypatch.setattr(tune, "report", heard.append)
    monkeypatch.setattr(single_worker, "device_of", lambda share: CPU)
    monkeypatch.setattr(probe, "CudaMeter", lambda device: Scale(300))
    base = override(small_run(tmp_path), {"name": "packed"})
    config = trial_config(base, "packed", 0, {})
    single_worker.run_single_worker(
        config, {"CPU": 1.0, "GPU": 0.25}, "the sweep", Table(config.data.table).fingerprint
    )
    ledger = Ledger(base, "packed", SweepOptions(), Mirror(None))
    ended = SimpleNamespace(config={"number": 0, "changes": {}}, last_result=heard[-1])
    recorder(ledger).on_trial_complete(1, [], ended)
    assert len(heard) == 1 and heard[0]["done"] is True  # ended, and not as an exception that Tune tries again
    assert ledger.recorded[0]["state"] == "failed"
    assert "takes 0.00 GiB" in ledger.recorded[0]["error"]
    assert losses(config) == []


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_share_of_a_gpu_holds_what_was_estimated(tmp_path: Path) -> None:
    from raytrain.sweeps.single_worker import train_single_worker

    base = small_run(tmp_path)
    fits, large = (override(base, {"name": name}) for name in ("fits", "large"))
    fingerprint = Table(base.data.table).fingerprint
    train_single_worker(fits, {"CPU": 1.0, "GPU": 0.25}, "the sweep", fingerprint, lambda metrics: None)
    start = Journal(fits.folder).last("start")
    assert start is not None
    device = torch.device("cuda", 0)
    assert 0 < start["memory"]["needed_bytes"] < start["memory"]["allowed_bytes"]
    assert torch.cuda.max_memory_reserved(device) <= start["memory"]["needed_bytes"] * 1.1 + (64 << 20)
    with pytest.raises(OutOfMemory, match="share of a GPU"):
        train_single_worker(large, {"CPU": 1.0, "GPU": 1e-4}, "the sweep", fingerprint, lambda metrics: None)
