"""Half precision on the CPU, and the same loop on a GPU where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raytrain.data.table import Table
from tests.runs import fit_here, tiny

gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def losses(table: Table, storage: Path, device: str, **changes: object) -> list[float]:
    """The training loss of two epochs."""
    config = tiny(table, storage, **changes)
    reported: list[float] = []
    fit_here(config, report=lambda metrics, _: reported.append(metrics["train/loss"]), device=torch.device(device))
    return reported


DIVE: dict[str, object] = {
    "method__kind": "dive", "method__head_dim": 4, "method__dropout": 0.0, "optim__batch_size": 4,
}  # fmt: skip
KINDS = ["vsepp", "mv_vse", "pvse", "pcme", "pcmepp"]
BASELINES: list[dict[str, object]] = [{"method__kind": kind} for kind in KINDS]


@pytest.mark.parametrize(
    "method",
    [{}, DIVE, DIVE | {"method__kind": "maxmatch"}, DIVE | {"encoder__text__kind": "bigru"}, *BASELINES],
    ids=["dvse", "dive", "maxmatch", "words", *KINDS],
)
def test_bf16_follows_fp32_on_the_cpu(method: dict[str, object], table: Table, tmp_path: Path) -> None:
    whole = losses(table, tmp_path / "fp32", "cpu", **method)
    half = losses(table, tmp_path / "bf16", "cpu", optim__precision="bf16", **method)
    assert half == pytest.approx(whole, rel=0.05)
    assert half != whole


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-2), ("bf16", 0.05), ("fp16", 0.05)])
@pytest.mark.parametrize("text", ["tokens", "bigru"])
@pytest.mark.parametrize("method", [{}, DIVE, *BASELINES], ids=["dvse", "dive", *KINDS])
def test_the_gpu_trains_as_the_cpu_does(
    method: dict[str, object], text: str, precision: str, tolerance: float, table: Table, tmp_path: Path
) -> None:
    kind = {"encoder__text__kind": text, **method}
    whole = losses(table, tmp_path / "cpu", "cpu", **kind)
    on_gpu = losses(table, tmp_path / "gpu", "cuda", optim__precision=precision, **kind)
    assert on_gpu == pytest.approx(whole, rel=tolerance)
