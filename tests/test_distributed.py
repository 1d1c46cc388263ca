"""Collectives with gradient: on two gloo processes (tests/distributed/two_ranks.py), and in one process."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import raytrain.distributed
from raytrain.distributed import (
    GlobalBatchNorm1d,
    OwnRows,
    any_rank,
    default_device,
    gather,
    padded,
    rank,
    synchronise_batch_norm,
    world_size,
)
from tests.distributed.two_ranks import CPU, TwoRanks, batch_norm, rows_of_both_ranks
from tests.gpu.steps import imitated_ranks


def test_rows_of_different_length_travel_padded_with_zeros(two_ranks: TwoRanks) -> None:
    expected = torch.zeros(3, 3, 2)
    expected[0] = 1.0
    expected[1:, :2] = 2.0
    for number, results in enumerate(two_ranks.results):
        everywhere, gradient = results["padded"]
        torch.testing.assert_close(everywhere, expected)
        # twice the value, times the number of ranks, whose gradients are averaged
        torch.testing.assert_close(gradient, torch.full((1 + number, 3 - number, 2), 4.0 * (1 + number)))


def test_a_flag_of_one_rank_reaches_all(two_ranks: TwoRanks) -> None:
    assert [results["any"] for results in two_ranks.results] == [[True, False], [True, False]]


@pytest.mark.parametrize(("name", "places"), [("norm", ()), ("norm of images", (4, 5))])
def test_batch_norm_over_two_ranks_is_that_of_all_rows(name: str, places: tuple[int, ...], two_ranks: TwoRanks) -> None:
    """Two and five rows: normalised values, gradients and running statistics are those of the seven."""
    normal, gradient, mean, variance = batch_norm(torch.cat(rows_of_both_ranks(*places)))
    first, second = (results[name] for results in two_ranks.results)
    torch.testing.assert_close(torch.cat([first[0], second[0]]), normal)
    torch.testing.assert_close(torch.cat([first[1], second[1]]), gradient)
    for statistics in (first[2:], second[2:]):
        torch.testing.assert_close(statistics, [mean, variance])


def test_alone_nothing_is_exchanged() -> None:
    rows = torch.ones(3, 2, requires_grad=True)
    assert (rank(), world_size()) == (0, 1)
    assert gather(rows) is rows
    assert [any_rank(flag) for flag in (True, False)] == [True, False]
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    synchronise_batch_norm(model)
    assert type(model[1]) is nn.BatchNorm1d


def test_ranks_whose_shapes_are_known_to_be_equal_do_not_tell_them(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = torch.arange(6.0).view(3, 2)
    with imitated_ranks():
        exchanges: list[torch.Tensor] = []
        dist = raytrain.distributed.dist
        all_gather = dist.all_gather

        def counted(parts: list[torch.Tensor], tensor: torch.Tensor, group: object = None) -> None:
            exchanges.append(tensor)
            all_gather(parts, tensor)

        monkeypatch.setattr(dist, "all_gather", counted)
        told, known = gather(rows), gather(rows, even=True)
    assert torch.equal(told, torch.cat([rows, rows])) and torch.equal(known, told)
    assert [list(tensor.shape) for tensor in exchanges] == [[2], [3, 2], [3, 2]]


def test_a_rank_compares_its_own_rows_with_all() -> None:
    """Scores of all rows, from those of one rank; gradients as if it had computed all, times the number of ranks."""
    texts, images = (torch.randn(count, 3, generator=torch.Generator().manual_seed(count)) for count in (2, 5))
    weight = torch.tensor(1.5, requires_grad=True)
    sides = [side.clone().requires_grad_() for side in (texts, images)]
    with imitated_ranks():
        captions, pictures = (OwnRows(gather(side)) for side in sides)
        assert captions.own.shape == (2, 3) and pictures.all.shape == (10, 3)
        scores = captions.gather(weight * captions.own @ pictures.all.T)
        scores.square().sum().backward()
    whole = [side.repeat(2, 1).requires_grad_() for side in (texts, images)]
    factor = torch.tensor(1.5, requires_grad=True)
    expected = factor * whole[0] @ whole[1].T
    expected.square().sum().backward()
    torch.testing.assert_close(scores, expected)
    assert weight.grad is not None and factor.grad is not None
    torch.testing.assert_close(weight.grad, factor.grad)  # the half of this rank, twice
    for side, rows in zip(sides, whole, strict=True):
        assert side.grad is not None and rows.grad is not None
        torch.testing.assert_close(side.grad, 2 * rows.grad[: len(side)])


def test_one_rank_has_all_rows_and_without_gradients_all_are_compared() -> None:
    rows = torch.ones(3, 2)
    alone = OwnRows(gather(rows))
    assert alone.own.shape == rows.shape and alone.all is rows and not alone.is_part
    assert alone.gather(rows) is rows
    with imitated_ranks(), torch.no_grad():
        assert not OwnRows(gather(rows)).is_part


@pytest.mark.parametrize("training", [True, False])
def test_global_batch_norm_alone_is_torchs_own(training: bool) -> None:
    rows = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    ours, theirs = GlobalBatchNorm1d(3).train(training), nn.BatchNorm1d(3).train(training)
    torch.testing.assert_close(ours(rows), theirs(rows))
    torch.testing.assert_close(ours.running_var, theirs.running_var)


def test_padding_is_at_the_end_of_each_dimension_but_the_first() -> None:
    rows = torch.ones(2, 1, 3)
    wide = padded(rows, [2, 4])
    assert wide.shape == (2, 2, 4)
    assert wide[:, :1, :3].eq(1).all() and wide.sum() == rows.sum()
    assert padded(rows, [1, 3]) is rows


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_the_device_is_the_cpu() -> None:
    assert default_device() == CPU
