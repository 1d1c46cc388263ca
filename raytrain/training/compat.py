"""Every private name of torch that raytrain.training touches, with the reason why no public one will do.

tests/training/test_compat.py holds it against the installed version: after an upgrade it says what to look at here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor


def move_towards(tensors: Sequence[Tensor], targets: Sequence[Tensor], share: float) -> None:
    """Moves each tensor in place by a share of the way to its target, all of a type in one kernel on a GPU.

    torch's optimizers and clipping compute so, by functions that have no public name.
    """
    torch._foreach_lerp_(list(tensors), list(targets), share)


def _undecorated(method: Callable[..., Any]) -> Any:
    """A method of an optimizer without what torch wraps around it, above all the import of its compiler."""
    return inspect.unwrap(method)


class AdamW(torch.optim.AdamW):
    """torch's AdamW, without importing torch's compiler: 3 s of CPU in each process that trains one worker.

    torch's own methods import it to say that they are not to be compiled; nothing that trains here is.
    """

    step = cast(Any, torch.no_grad()(_undecorated(torch.optim.AdamW.step)))
    zero_grad = _undecorated(torch.optim.AdamW.zero_grad)
    add_param_group = _undecorated(torch.optim.AdamW.add_param_group)
    state_dict = _undecorated(torch.optim.AdamW.state_dict)
    load_state_dict = _undecorated(torch.optim.AdamW.load_state_dict)
