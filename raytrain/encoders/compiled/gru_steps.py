"""The steps of a small GRU, forward and backward, as compiled loops: what `raytrain.encoders.gru` does with torch.

GPO's weights come from a GRU of 32 numbers over some tens of positions. A step of it takes less time than the ten calls
of torch that compute it.

Letters: S all words of a batch, H hidden size.
"""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
from torch import Tensor

from raytrain.similarity.compiled import compiled

ZERO, ONE = np.float32(0), np.float32(1)


def forward(
    inputs: Tensor, weight: Tensor, bias: Tensor, sizes: list[int], reverse: bool,
    states: Tensor, former: Tensor, gates: Tensor, inner: Tensor,
) -> None:  # fmt: skip
    """Fills states, the states before them, gates and W_n h + b_n; the first state before any is zero."""
    given = inputs.contiguous(), weight.T.contiguous(), bias, states, former, gates, inner
    arrays = [tensor.detach().numpy() for tensor in given]
    cast(Any, _forward)(*arrays, np.array(sizes), reverse)


def backward(
    slopes: Tensor, weight: Tensor, gates: Tensor, inner: Tensor, former: Tensor,
    sizes: list[int], reverse: bool, gate_slopes: Tensor, new_slopes: Tensor,
) -> None:  # fmt: skip
    """Fills the gradients of the recurrent product and of n's argument, from those of the states."""
    given = slopes, weight.contiguous(), gates, inner, former, gate_slopes, new_slopes
    arrays = [tensor.detach().numpy() for tensor in given]
    cast(Any, _backward)(*arrays, np.array(sizes), reverse)


@compiled
def _sigmoid(number: Any) -> Any:
    return ONE / (ONE + math.exp(-number))


@compiled
def _forward(
    inputs: Any, weight: Any, bias: Any, states: Any, former: Any, gates: Any, inner: Any, sizes: Any, reverse: bool
) -> None:
    hidden, steps = weight.shape[0], len(sizes)
    starts = np.cumsum(sizes) - sizes
    recurrent = np.empty(3 * hidden, np.float32)
    for place in range(steps):
        step = steps - 1 - place if reverse else place
        before = step + 1 if reverse else step - 1
        for row in range(sizes[step]):
            word = starts[step] + row
            recurrent[:] = bias
            former[word] = ZERO
            if place > 0 and row < sizes[before]:
                former[word] = states[starts[before] + row]
                for h in range(hidden):
                    for gate in range(3 * hidden):
                        recurrent[gate] += former[word, h] * weight[h, gate]
            for h in range(hidden):
                reset = _sigmoid(inputs[word, h] + recurrent[h])
                update = _sigmoid(inputs[word, hidden + h] + recurrent[hidden + h])
                new = math.tanh(inputs[word, 2 * hidden + h] + reset * recurrent[2 * hidden + h])
                inner[word, h] = recurrent[2 * hidden + h]
                gates[word, h], gates[word, hidden + h], gates[word, 2 * hidden + h] = reset, update, new
                states[word, h] = new + update * (former[word, h] - new)


@compiled
def _backward(
    slopes: Any, weight: Any, gates: Any, inner: Any, former: Any, gate_slopes: Any, new_slopes: Any, sizes: Any,
    reverse: bool,
) -> None:  # fmt: skip
    hidden, steps = weight.shape[1], len(sizes)
    starts = np.cumsum(sizes) - sizes
    carried = np.zeros((sizes.max(), hidden), np.float32)
    later = 0  # rows of the step behind
    for place in range(steps - 1, -1, -1):
        step = steps - 1 - place if reverse else place
        for row in range(sizes[step]):
            word = starts[step] + row
            for h in range(hidden):
                reset, update = gates[word, h], gates[word, hidden + h]
                new = gates[word, 2 * hidden + h]
                slope = slopes[word, h] + (carried[row, h] if row < later else ZERO)
                to_new = slope * (ONE - update) * (ONE - new * new)
                new_slopes[word, h] = to_new
                gate_slopes[word, h] = to_new * inner[word, h] * reset * (ONE - reset)
                gate_slopes[word, hidden + h] = slope * (former[word, h] - new) * update * (ONE - update)
                gate_slopes[word, 2 * hidden + h] = to_new * reset
                carried[row, h] = slope * update
            for gate in range(3 * hidden):
                for h in range(hidden):
                    carried[row, h] += gate_slopes[word, gate] * weight[gate, h]
        later = sizes[step]
