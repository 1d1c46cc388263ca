"""What methods inherit: learning rates per layer, the collapse alarm, and defaults that say no."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from raytrain.methods.base import COLLAPSE_TOLERANCE, Method, StepContext, collapsed, identity_gather, layer_scales


def layers(count: int) -> nn.ModuleList:
    return nn.ModuleList(nn.Linear(2, 2) for _ in range(count))


def test_layer_scales_follow_the_longest_list() -> None:
    module = nn.ModuleDict({"embeddings": nn.Linear(2, 2), "layers": layers(3)})
    assert layer_scales(module, "m.", 0.8, 0.5) == {
        "m.": 0.8, "m.layers.0.": 0.2, "m.layers.1.": 0.4, "m.layers.2.": 0.8, "m.embeddings.": 0.1,
    }  # fmt: skip
    assert layer_scales(module, "m.", 0.8, 1.0) == {"m.": 0.8}


def test_shorter_lists_and_what_has_no_layers_learn_as_the_last_layer() -> None:
    encoder = nn.ModuleDict({"blocks": layers(2), "norm": nn.Linear(2, 2)})
    module = nn.ModuleDict({"heads": layers(1), "encoder": encoder})
    assert layer_scales(module, "", 0.1, 0.5) == {"": 0.1, "encoder.blocks.0.": 0.05, "encoder.blocks.1.": 0.1}
    assert layer_scales(nn.Linear(2, 2), "m.", 0.1, 0.5) == {"m.": 0.1}


@pytest.mark.parametrize("scale", [0.1, 1.0])
def test_every_parameter_has_the_rate_of_its_layer(scale: float) -> None:
    """The longest matching prefix of a parameter's name says its rate."""
    embedded = nn.ModuleDict({"embeddings": nn.Linear(2, 2), "proj": nn.Linear(2, 2)})
    module = nn.ModuleDict({"model": nn.ModuleDict({"text": embedded, "layer": layers(12)})})
    scales = layer_scales(module, "b.", scale, 0.7)
    for name, _ in module.named_parameters():
        prefix = max((start for start in scales if f"b.{name}".startswith(start)), key=len)
        if ".layer." in name:
            expected = scale * 0.7 ** (11 - int(name.split(".")[2]))
        else:
            expected = scale * 0.7**12 if "embeddings" in name else scale
        assert scales[prefix] == pytest.approx(expected), name


@pytest.mark.parametrize("margin", [0.1, 0.2])
def test_a_loss_of_twice_the_margin_is_a_collapse_to_within_the_tolerance(margin: float) -> None:
    chance = 2 * margin
    for difference, expected in ((0, 1), (0.9, 1), (-0.9, 1), (1.1, 0), (-1.1, 0)):
        loss = torch.tensor(chance * (1 + difference * COLLAPSE_TOLERANCE))
        assert collapsed(loss, margin, hardest=True) == expected
    assert collapsed(torch.tensor(chance), margin, hardest=False) == 0
    assert collapsed(torch.tensor(torch.nan), margin, hardest=True) == 0
    assert collapsed(torch.tensor(0.0), 0.0, hardest=True) == 0


def test_a_method_predicts_no_uncertainty_and_must_define_the_rest() -> None:
    method = Method()
    assert method.uncertainty({}) is None
    assert (dict(method.lr_scales), method.prefix, method.noise_shape, method.local_features) == ({}, "", (), False)
    for undefined in (method.encode_query, method.encode_gallery, method.forward):
        with pytest.raises(NotImplementedError):
            undefined({})
    with pytest.raises(NotImplementedError):
        method.similarity(torch.zeros(1, 2), torch.zeros(1, 2))


@pytest.mark.parametrize(
    ("query", "gallery", "cost"), [((5, 8), (7, 8), 1), ((5, 3, 8), (7, 8), 3), ((5, 3, 8), (7, 4, 8), 12)]
)
def test_a_pair_costs_one_number_per_pair_of_its_embeddings(
    query: tuple[int, ...], gallery: tuple[int, ...], cost: int
) -> None:
    assert Method().pair_cost(torch.zeros(query), torch.zeros(gallery)) == cost


def test_a_step_without_context_is_the_first_of_a_single_process() -> None:
    context, rows = StepContext(), torch.zeros(2, 3)
    assert (context.epoch, context.num_epochs) == (0, 1)
    assert context.gather is identity_gather and context.gather(rows) is rows
