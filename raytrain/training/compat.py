"""Every private name of torch that raytrain.training touches, with the reason why no public one will do.

tests/training/test_compat.py holds it against the installed version: after an upgrade it says what to look at here.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def move_towards(tensors: Sequence[Tensor], targets: Sequence[Tensor], share: float) -> None:
    """Moves each tensor in place by a share of the way to its target, all of a type in one kernel on a GPU.

    torch's optimizers and clipping compute so, by functions that have no public name.
    """
    torch._foreach_lerp_(list(tensors), list(targets), share)
