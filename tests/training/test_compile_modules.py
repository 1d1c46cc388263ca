"""`optim.compile`: the same numbers, no graph per caption length, and one clear error without a compiler."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from benchmarks.gpu_measures import made_up_step
from raytrain.config import RunConfig, override
from raytrain.errors import UsageError
from raytrain.methods.base import Batch, StepContext
from raytrain.recipes.load import load_recipe
from raytrain.training.compile_modules import compile_modules
from raytrain.training.input_sizes import Sizes
from raytrain.training.train_state import TrainState

CPU = torch.device("cpu")
WORDS = Sizes(regions=4, region_features=8, tokens=6, words=30)
SMALL = {"optim.batch_size": 8, "optim.precision": "fp32", "encoder.dim": 8, "encoder.gpo_dim": 4}


def small(recipe: str, folder: Path) -> RunConfig:
    return override(load_recipe(recipe), {**SMALL, "data.table": str(folder / "none")})


def cut(batch: Batch, length: int) -> Batch:
    """The batch with captions of at most so many words, and one of two words."""
    mask = batch["text_mask"][:, :length].clone()
    mask[0, 2:] = False
    return {**batch, "text": batch["text"][:, :length].contiguous(), "text_mask": mask}


def gradients(state: TrainState, batch: Batch) -> dict[str, Tensor]:
    torch.manual_seed(0)
    state.model.zero_grad()
    losses = state.model.train()(batch, StepContext(1.0, 2))
    losses["loss"].backward()
    named = {name: weight.grad for name, weight in state.model.named_parameters() if weight.grad is not None}
    return {"loss": losses["loss"].detach(), **{name: grad.clone() for name, grad in named.items()}}


def test_compiled_modules_give_the_same_gradients_and_no_graph_per_caption_length(tmp_path: Path) -> None:
    state, batch = made_up_step(small("vse_infinity_coco", tmp_path), WORDS, CPU)
    batch = dict(batch)
    lengths = (6, 5, 4, 3)
    plain = [gradients(state, cut(batch, length)) for length in lengths]
    names = list(state.model.state_dict())
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    compile_modules(state.model, CPU, backend="eager")  # traced as for inductor, and then run as it is
    graphs = []
    for length, expected in zip(lengths, plain, strict=True):
        for name, value in gradients(state, cut(batch, length)).items():
            torch.testing.assert_close(value, expected[name], rtol=1e-5, atol=1e-6)
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
    assert 0 < graphs[0] < graphs[1] == graphs[2] == graphs[3]  # the second length compiles for all lengths
    assert list(state.model.state_dict()) == names


def test_the_switch_compiles_every_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[nn.Module] = []
    monkeypatch.setattr(nn.Module, "compile", lambda self, backend: compiled.append(self))
    config = override(small("vse_infinity_coco", tmp_path), {"optim.compile": True})
    state, _ = made_up_step(config, WORDS, CPU)
    assert compiled == list(state.model.children()) and len(compiled) == 3  # images, texts, contrast
    compiled.clear()
    made_up_step(override(config, {"optim.compile": False}), WORDS, CPU)
    assert not compiled


@pytest.mark.parametrize(("device", "missing"), [("cpu", "C\\+\\+ compiler"), ("cuda", "Triton")])
def test_without_a_compiler_one_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, missing: str
) -> None:
    module = "raytrain.training.compile_modules"
    monkeypatch.setattr(f"{module}.shutil.which", lambda name: None)
    monkeypatch.setattr(f"{module}.importlib.util.find_spec", lambda name: None)
    state, _ = made_up_step(small("vse_infinity_coco", tmp_path), WORDS, CPU)
    with pytest.raises(UsageError, match=f"optim.compile=true needs .*{missing}.* on {device}"):
        compile_modules(state.model, torch.device(device))
