"""What a run is expected to hold of its share of a GPU."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from raytrain.errors import OutOfMemory

MARGIN = 0.1
"""Of the estimate, left free for what it does not show: validation, and blocks that the allocator cannot use again."""


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to hold on its GPU.

    Args:
        needed_bytes: of two steps, without the margin; where they ran out of memory, what they held by then.
        allowed_bytes: the run's share.
        ran_out: whether the two steps ran out of memory.
    """

    needed_bytes: int
    allowed_bytes: int
    ran_out: bool = False

    @property
    def fits(self) -> bool:
        return not self.ran_out and self.needed_bytes * (1 + MARGIN) <= self.allowed_bytes

    def refuse_too_much(self) -> None:
        """Raises OutOfMemory where the run does not fit."""
        if not self.fits:
            told = f"{'more than ' if self.ran_out else ''}{self.needed_bytes / 2**30:.2f} GiB"
            raise OutOfMemory(
                f"a step on the largest batch takes {told}, and with a tenth to spare that is more than the "
                f"{self.allowed_bytes / 2**30:.2f} GiB of its share of a GPU. Lower optim.batch_size or "
                "data.max_words, or raise --gpus-per-worker"
            )

    def as_dict(self) -> dict[str, Any]:
        """For a journal."""
        return asdict(self)
