"""The step benchmark: plain steps have our losses and gradients, all products are replayed, the tiny form runs."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import step, step_measures
from benchmarks.plain_steps import PLAIN, PlainModel, RawBatch
from benchmarks.step_measures import CASES, ProductRecorder, last_epoch, loss_difference, padded_batch, raw_batch


def tiny_case(name: str, folder: Path) -> tuple[Any, dict[str, Tensor], PlainModel, RawBatch]:
    config, sizes = step_measures.set_up(CASES[name], "tiny", folder)
    state, batch = step_measures.made_up_step(config, sizes, torch.device("cpu"))
    batch |= {side: 2 * batch[side] - 1 for side in ("regions", "reference") if side in batch}
    raw = raw_batch(batch, config, sizes)
    return state, batch | padded_batch(batch, raw), PLAIN[name](config, sizes), raw


@pytest.mark.parametrize("name", CASES)
def test_the_plain_step_has_our_loss_and_our_gradients(name: str, tmp_path: Path) -> None:
    state, batch, plain, raw = tiny_case(name, tmp_path)
    assert loss_difference(state, batch, plain, raw) < 1e-6
    for layer in [*state.model.modules(), *plain.modules()]:
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    state.model(batch, last_epoch(state.config))["loss"].backward()
    plain(raw).backward()
    theirs = {parameter: weight.grad for parameter, weight in plain.named_parameters()}
    ours = {parameter: weight.grad for parameter, weight in state.model.named_parameters()}
    assert ours.keys() == theirs.keys()
    flat = [torch.cat([side[key].flatten() for key in ours]) for side in (ours, theirs)]
    assert float((flat[0] - flat[1]).norm() / flat[1].norm()) < 1e-5


def test_another_loss_of_the_plain_step_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Off(PLAIN["VSE-infinity"]):  # type: ignore[misc]
        def forward(self, raw: RawBatch) -> Tensor:
            loss: Tensor = 1.001 * super().forward(raw)
            return loss

    monkeypatch.setitem(PLAIN, "VSE-infinity", Off)
    with pytest.raises(SystemExit, match=r"VSE-infinity: the loss of the plain step differs by 1\.0e-03"):
        step_measures.measure("VSE-infinity", 1, "tiny", tmp_path)


def test_products_of_both_passes_are_recorded_with_their_layouts() -> None:
    """As many operations as torch's own counter finds, those of a GRU among them."""
    left, right = torch.randn(5, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    gru = nn.GRU(3, 2)

    def both_passes() -> None:
        hidden = left @ right.T
        (hidden.sum() + gru(hidden[:, None])[0].sum()).backward()

    with FlopCounterMode(display=False) as counter:
        both_passes()
    with ProductRecorder() as recorder:
        both_passes()
    flops = 0
    for func, operands, _ in recorder.calls:
        factors = [operand.shape for operand in operands if hasattr(operand, "shape")][-2:]
        flops += 2 * math.prod(factors[0]) * factors[1][-1]
        assert func.overloadpacket.__name__ in ("mm", "addmm")
    assert flops == counter.get_total_flops() > 0
    layouts = recorder.calls[0][1]
    assert layouts[1].shape == (4, 3) and layouts[1].stride == (1, 4)


def test_replayed_products_compute_nothing_but_products() -> None:
    rows, weight, bias = torch.randn(6, 4), torch.randn(4, 3), torch.randn(3)
    images, filters = torch.randn(1, 2, 5, 5), torch.randn(3, 2, 3, 3)
    with ProductRecorder() as recorder:
        torch.addmm(bias, rows, weight)
        torch.bmm(rows.view(2, 3, 4), torch.randn(2, 4, 5))
        torch.conv2d(images, filters)
        (rows + 1).relu()
    assert [func.overloadpacket.__name__ for func, _, _ in recorder.calls] == ["addmm", "bmm", "convolution"]
    with ProductRecorder() as again:
        recorder.replay()()
    assert [func.overloadpacket.__name__ for func, _, _ in again.calls] == ["mm", "bmm", "convolution"]


def test_phases_add_up_to_the_step(tmp_path: Path) -> None:
    state, batch, _, _ = tiny_case("DVSE", tmp_path)
    clock = step_measures.PhaseClock(state)
    passed = step_measures.seconds_of(lambda: clock.step(batch))
    assert set(clock.seconds) == set(step.PHASES) - {"feeding"}
    assert all(clock.seconds[phase] > 0 for phase in clock.seconds)
    assert 0.8 * passed < sum(clock.seconds.values()) <= passed


def test_the_tiny_form_runs_and_writes_its_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = ["VSE-infinity", "DVSE", "RAU", step.EVALUATION]
    assert (
        step.main(["--tiny", "--rounds", "1", "--threads", "1", "--json", str(tmp_path / "a.json"), "--only", *rows])
        == 0
    )
    written = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))
    assert list(written["rows"]) == rows and written["about"]["tiny"] is True
    printed = capsys.readouterr().out
    assert "| ms | step | feeding | forward |" in printed and "| RAU |" in printed
    assert "times as long as VSE-infinity" in printed
    assert set(step.METHODS) == set(CASES) == set(PLAIN)
