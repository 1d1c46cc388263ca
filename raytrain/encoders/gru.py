"""A bidirectional GRU over packed sequences, fast on a CPU.

Letters: S all words of a batch, F features of a word, H hidden size.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear
from torch.nn.utils.rnn import PackedSequence

from raytrain.encoders.uncompiled import uncompiled
from raytrain.similarity.installed import module_with_numba

SMALL = 16, 64
"""Least and most H of a recurrence whose steps are compiled loops where numba is installed: that of GPO's weights."""


class BiGRU(nn.GRU):
    """nn.GRU with one bidirectional layer, whose directions are averaged; the same parameters and the same numbers.

    On a GPU cuDNN computes it. On a CPU torch would record every step of the recurrence for autograd and add each
    step's gradient to one as large as the batch; here each step writes its gradient in place, and the gradient of the
    recurrent weight is one matrix product at the end (benchmarks/gru.py).
    """

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__(features, hidden, bidirectional=True)

    def forward(self, rows: Tensor, batch_sizes: Tensor) -> Tensor:  # type: ignore[override]
        """Hidden states of packed words.

        Args:
            rows: (S, F), as torch.nn.utils.rnn.PackedSequence orders them: the first words of all sequences, longest
                sequence first, then the second words.
            batch_sizes: number of sequences that have a first word, a second, and so on; on the CPU.

        Returns:
            (S, H) in the order of `rows`.
        """
        if rows.device.type != "cpu":
            both = self.both_ways(PackedSequence(rows, batch_sizes)).data
            return both.view(len(rows), 2, -1).mean(1)
        forward, backward = directions(self, rows, batch_sizes)
        return (forward + backward) / 2

    def both_ways(self, packed: PackedSequence) -> PackedSequence:
        """Packed rows (S, F) -> the states of both directions side by side, (S, 2H), by torch's own GRU."""
        states: PackedSequence = super().forward(packed)[0]
        return states


@uncompiled
def directions(gru: nn.GRU, rows: Tensor, batch_sizes: Tensor) -> list[Tensor]:
    """[(S, H)] hidden states of packed words in each direction, on a CPU.

    Args:
        gru: of one layer, with biases.
        rows, batch_sizes: as in `BiGRU`.
    """
    sizes = batch_sizes.tolist()
    return [
        _Recurrence.apply(  # type: ignore[no-untyped-call]
            linear(rows, getattr(gru, f"weight_ih_l0{end}"), getattr(gru, f"bias_ih_l0{end}")),
            getattr(gru, f"weight_hh_l0{end}"), getattr(gru, f"bias_hh_l0{end}"), sizes, bool(end),
        )
        for end in (("", "_reverse") if gru.bidirectional else ("",))
    ]  # fmt: skip


class _Recurrence(torch.autograd.Function):
    """h_t = (1 - z) n + z h_{t-1}, with r and z the sigmoids of their gates, n = tanh(x_n + r (W_n h_{t-1} + b_n))."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, weight: Tensor, bias: Tensor, sizes: list[int], reverse: bool) -> Tensor:
        """(S, 3H) projected inputs, (3H, H) recurrent weight and (3H) bias -> (S, H) states."""
        inputs = inputs.to(weight.dtype)
        states, inner, former = inputs.new_empty(3, len(inputs), weight.shape[1])
        gates = torch.empty_like(inputs)
        given = inputs, weight, bias, sizes, reverse, states, former, gates, inner
        if (compiled := _compiled(weight)) is not None:
            compiled.forward(*given)
        else:
            _forward(*given)
        context.save_for_backward(weight, gates, inner, former)
        context.sizes, context.reverse = sizes, reverse
        return cast(Tensor, states)

    @staticmethod
    @once_differentiable
    def backward(context: Any, slopes: Tensor) -> tuple[Tensor | None, ...]:
        weight, gates, inner, former = context.saved_tensors
        gate_slopes = torch.empty_like(gates)  # gradient of the recurrent product
        new_slopes = torch.empty_like(inner)
        read = slopes.contiguous(), weight, gates, inner, former
        given = *read, context.sizes, context.reverse, gate_slopes, new_slopes
        if (compiled := _compiled(weight)) is not None:
            compiled.backward(*given)
        else:
            _backward(*given)
        weight_slope, bias_slope = gate_slopes.T @ former, gate_slopes.sum(0)
        gate_slopes[:, 2 * weight.shape[1] :] = new_slopes  # the gradient of the inputs differs in this part only
        return gate_slopes, weight_slope, bias_slope, None, None


def _forward(
    inputs: Tensor, weight: Tensor, bias: Tensor, sizes: list[int], reverse: bool,
    states: Tensor, former: Tensor, gates: Tensor, inner: Tensor,
) -> None:  # fmt: skip
    """Fills states, the states before them, gates and W_n h + b_n; the first state before any is zero."""
    hidden = weight.shape[1]
    both_in, new_in, both_gates, resets, updates, news, all_inner, all_former, all_states = (
        torch.split(part, sizes)
        for part in (*_both_and_new(inputs), _both_and_new(gates)[0], *gates.chunk(3, 1), inner, former, states)
    )
    product = inputs.new_empty(max(sizes), 3 * hidden)
    before: Tensor | None = None
    for step in _order(sizes, reverse):
        rows, earlier = sizes[step], all_former[step]
        kept = 0 if before is None else min(rows, len(before))
        if before is not None:
            earlier[:kept].copy_(before[:kept])
        if kept < rows:
            earlier[kept:].zero_()
        # the product with a state of zeros is not computed
        recurrent = torch.addmm(bias, earlier, weight.T, out=product[:rows]) if kept else bias.expand(rows, -1)
        both, new = _both_and_new(recurrent)
        torch.add(both_in[step], both, out=both_gates[step]).sigmoid_()
        all_inner[step].copy_(new)
        torch.addcmul(new_in[step], resets[step], all_inner[step], out=news[step]).tanh_()
        before = torch.lerp(news[step], earlier, updates[step], out=all_states[step])


def _backward(
    slopes: Tensor, weight: Tensor, gates: Tensor, inner: Tensor, former: Tensor,
    sizes: list[int], reverse: bool, gate_slopes: Tensor, new_slopes: Tensor,
) -> None:  # fmt: skip
    """Fills the gradients of the recurrent product and of n's argument, from those of the states."""
    reset, update, new = gates.chunk(3, 1)
    # the factors that do not depend on later states, for all words at once
    unit = gates.new_ones(())
    to_new, to_update, to_reset, rest = new * new, former - new, inner * reset, unit - update
    torch.sub(unit, to_new, out=to_new).mul_(rest)
    to_update.mul_(update).mul_(rest)
    to_reset.mul_(torch.sub(unit, reset, out=rest))
    all_slopes, all_steps, of_reset, of_update, of_inner, of_new, by_new, by_update, by_reset, resets, updates = (
        torch.split(part, sizes)
        for part in (
            slopes, gate_slopes, *gate_slopes.chunk(3, 1), new_slopes, to_new, to_update, to_reset, reset, update,
        )
    )  # fmt: skip
    total, carried = slopes.new_empty(2, max(sizes), weight.shape[1])
    order, later = list(_order(sizes, reverse)), 0  # rows of the step behind
    for place, step in reversed(list(enumerate(order))):
        rows, slope = sizes[step], all_slopes[step]
        if kept := min(rows, later):
            whole = total[:rows]
            torch.add(slope[:kept], carried[:kept], out=whole[:kept])
            whole[kept:] = slope[kept:]
            slope = whole
        torch.mul(slope, by_new[step], out=of_new[step])
        torch.mul(of_new[step], by_reset[step], out=of_reset[step])
        torch.mul(slope, by_update[step], out=of_update[step])
        torch.mul(of_new[step], resets[step], out=of_inner[step])
        if place:
            torch.mul(slope, updates[step], out=carried[:rows]).addmm_(all_steps[step], weight)
            later = rows


def _both_and_new(gates: Tensor) -> tuple[Tensor, Tensor]:
    """(S, 3H) -> (S, 2H) for reset and update gate, (S, H) for the new state."""
    both, new = torch.split(gates, [2 * gates.shape[1] // 3, gates.shape[1] // 3], 1)
    return both, new


def _order(sizes: list[int], reverse: bool) -> range:
    """The steps of the recurrence, in its order."""
    return range(len(sizes) - 1, -1, -1) if reverse else range(len(sizes))


def _compiled(weight: Tensor) -> ModuleType | None:
    """The module of compiled loops for states so small that calls take longer than what they compute; else None."""
    if weight.dtype != torch.float32 or not SMALL[0] <= weight.shape[1] <= SMALL[1]:
        return None
    return module_with_numba("raytrain.encoders.compiled.gru_steps")
