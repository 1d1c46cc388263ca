"""Our dropout against torch's nn.Dropout: forward and backward over wide features, on the CPU.

    python -m benchmarks.dropout

The two take turns on one thread; the ratio is the median of theirs, in CPU seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
from torch import nn

from benchmarks.small_forms import add_options, run_small, times_as_fast
from raytrain.encoders.dropout import Dropout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--features", type=int, default=2688, help="2,688: the global vectors of Lite0 and Lite2")
    add_options(parser)
    args = parser.parse_args()
    if args.small:
        return run_small(small, args.json)
    torch.set_num_threads(1)
    ratio = torchs_over_ours(args.rows, args.features, rounds=25)
    print(f"{args.rows} x {args.features}: torch takes {ratio:.2f} times as long")


def small() -> dict[str, float]:
    return {"dropout": torchs_over_ours(512, 2688, rounds=9)}


def torchs_over_ours(row_count: int, features: int, rounds: int) -> float:
    """CPU seconds of nn.Dropout over those of ours."""
    rows = torch.randn(row_count, features, requires_grad=True)

    def step(dropout: nn.Module) -> Callable[[], None]:
        return lambda: dropout(rows).sum().backward()

    return times_as_fast(step(nn.Dropout(0.3)), step(Dropout(0.3)), rounds)


if __name__ == "__main__":
    main()
