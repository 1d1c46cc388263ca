"""The memory that a run is expected to hold of its share of a GPU, and whether that fits."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from raytrain.errors import OutOfMemory

MARGIN = 0.1
"""A run fits when its estimate plus this share of it fits: the estimate leaves out validation, and blocks of memory
that the allocator cannot use again."""


@dataclass(frozen=True)
class Estimate:
    """The memory that a run is expected to hold on its GPU.

    Args:
        needed_bytes: what two training steps held, without the margin; where they ran out of memory, what they held
            until then.
        allowed_bytes: the run's share of the GPU.
        ran_out: whether the two steps ran out of memory.
    """

    needed_bytes: int
    allowed_bytes: int
    ran_out: bool = False

    @property
    def fits(self) -> bool:
        """Whether the run fits its share with the margin."""
        return not self.ran_out and self.needed_bytes * (1 + MARGIN) <= self.allowed_bytes

    def refuse_too_much(self) -> None:
        """Raises OutOfMemory where the run does not fit."""
        if not self.fits:
            needed = f"{'more than ' if self.ran_out else ''}{self.needed_bytes / 2**30:.2f} GiB"
            raise OutOfMemory(
                f"a step on the largest batch takes {needed}, and with a tenth to spare that is more than the "
                f"{self.allowed_bytes / 2**30:.2f} GiB of its share of a GPU. Lower optim.batch_size or "
                "data.max_words, or give a worker more of a GPU"
            )

    def as_dict(self) -> dict[str, Any]:
        """{"needed_bytes", "allowed_bytes", "ran_out"}, for a journal."""
        return asdict(self)
