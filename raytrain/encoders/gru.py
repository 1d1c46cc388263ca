"""A bidirectional GRU over packed sequences, fast on a CPU.

Letters: S all words of a batch, F features of a word, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import linear
from torch.nn.utils.rnn import PackedSequence


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
        sizes = batch_sizes.tolist()
        states = [
            _Recurrence.apply(  # type: ignore[no-untyped-call]
                linear(rows, getattr(self, f"weight_ih_l0{end}"), getattr(self, f"bias_ih_l0{end}")),
                getattr(self, f"weight_hh_l0{end}"), getattr(self, f"bias_hh_l0{end}"), sizes, bool(end),
            )
            for end in ("", "_reverse")
        ]  # fmt: skip
        return (states[0] + states[1]) / 2  # type: ignore[no-any-return]

    def both_ways(self, packed: PackedSequence) -> PackedSequence:
        """Packed rows (S, F) -> the states of both directions side by side, (S, 2H), by torch's own GRU."""
        states: PackedSequence = super().forward(packed)[0]
        return states


class _Recurrence(torch.autograd.Function):
    """h_t = (1 - z) n + z h_{t-1}, with r and z the sigmoids of their gates, n = tanh(x_n + r (W_n h_{t-1} + b_n))."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, weight: Tensor, bias: Tensor, sizes: list[int], reverse: bool) -> Tensor:
        """(S, 3H) projected inputs, (3H, H) recurrent weight and (3H) bias -> (S, H) states."""
        hidden = weight.shape[1]
        inputs = inputs.to(weight.dtype)
        states, inner = inputs.new_empty(2, len(inputs), hidden)
        former = inputs.new_zeros(len(inputs), hidden)
        gates = torch.empty_like(inputs)
        for here, before in _steps(sizes, reverse):
            if before is not None:
                rows = min(here.stop - here.start, before.stop - before.start)
                former[here][:rows] = states[before][:rows]
            recurrent = torch.addmm(bias, former[here], weight.T)
            gate = gates[here]
            torch.add(inputs[here, : 2 * hidden], recurrent[:, : 2 * hidden], out=gate[:, : 2 * hidden]).sigmoid_()
            reset, update, new = gate.chunk(3, 1)
            inner[here] = recurrent[:, 2 * hidden :]
            torch.addcmul(inputs[here, 2 * hidden :], reset, inner[here], out=new).tanh_()
            torch.lerp(new, former[here], update, out=states[here])
        context.save_for_backward(weight, gates, inner, former)
        context.sizes, context.reverse = sizes, reverse
        return cast(Tensor, states)

    @staticmethod
    @once_differentiable
    def backward(context: Any, slopes: Tensor) -> tuple[Tensor | None, ...]:
        weight, gates, inner, former = context.saved_tensors
        hidden = weight.shape[1]
        reset, update, new = gates.chunk(3, 1)
        # the factors that do not depend on later states, for all words at once
        to_new = (1 - update) * (1 - new * new)
        to_update = (former - new) * update * (1 - update)
        to_reset = inner * reset * (1 - reset)
        gate_slopes = torch.empty_like(gates)  # gradient of the recurrent product
        new_slopes = torch.empty_like(new)
        carried: Tensor | None = None
        for here, before in reversed(list(_steps(context.sizes, context.reverse))):
            slope = slopes[here].contiguous()
            if carried is not None:
                rows = min(len(slope), len(carried))
                slope = slope.clone()
                slope[:rows] += carried[:rows]
            step = gate_slopes[here]
            torch.mul(slope, to_new[here], out=new_slopes[here])
            torch.mul(new_slopes[here], to_reset[here], out=step[:, :hidden])
            torch.mul(slope, to_update[here], out=step[:, hidden : 2 * hidden])
            torch.mul(new_slopes[here], reset[here], out=step[:, 2 * hidden :])
            if before is not None:
                carried = torch.addmm(slope * update[here], step, weight)
        weight_slope, bias_slope = gate_slopes.T @ former, gate_slopes.sum(0)
        gate_slopes[:, 2 * hidden :] = new_slopes  # the gradient of the inputs differs in this part only
        return gate_slopes, weight_slope, bias_slope, None, None


def _steps(sizes: list[int], reverse: bool) -> Iterator[tuple[slice, slice | None]]:
    """(rows of a step, rows of the step before it; None at the first), in the order of the recurrence."""
    slices, start = [], 0
    for size in sizes:
        slices.append(slice(start, start + size))
        start += size
    if reverse:
        slices.reverse()
    before: slice | None = None
    for here in slices:
        yield here, before
        before = here
