"""What loops that numba compiles have in common: the decorator, and the division of rows among threads.

Importing this module needs numba (the extra `fast`). Modules that have a path without it look for numba first
(raytrain/similarity/installed.py), and import their compiled loops only where it is installed.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numba
import numpy as np
import torch

F = TypeVar("F", bound=Callable[..., object])
# only multiply-adds may be fused, so NaN stays NaN
compiled: Callable[[F], F] = numba.njit(fastmath={"contract"}, nogil=True, cache=True)


def on_threads(work: Callable[[int, int], None], rows: int) -> None:
    """Calls work(first, last) for the rows 0..rows, divided among as many threads as torch has.

    Args:
        work: compiled loops, which release the GIL; a row does not depend on which others are in its part.
        rows: their number.
    """
    bounds = np.linspace(0, rows, min(torch.get_num_threads(), max(rows, 1)) + 1).astype(int)
    with ThreadPoolExecutor(len(bounds) - 1) as pool:
        list(pool.map(work, bounds[:-1], bounds[1:]))
