"""The BiGRU of captions against torch's own on the same packed batch: forward and backward, on the CPU.

    python -m benchmarks.gru --threads 2

Captions have the lengths of a Flickr batch (4 to 26 words, 13 on average). The two take turns, so that a busy machine
slows both; the ratio is of their medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from benchmarks.small_forms import add_options, run_small, times_as_fast
from raytrain.encoders.gru import BiGRU

States = Callable[[], torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--features", type=int, default=300)
    parser.add_argument("--hidden", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=15)
    add_options(parser)
    args = parser.parse_args()
    if args.small:
        return run_small(small, args.json)
    torch.set_num_threads(args.threads)
    rows, our_states, torch_states = contenders(args.batch, args.features, args.hidden)
    difference = float((our_states() - torch_states()).detach().abs().max())
    times: dict[str, list[float]] = {"ours": [], "torch": []}
    for _ in range(args.rounds + 1):
        for name, states in (("ours", our_states), ("torch", torch_states)):
            times[name].append(seconds(states))
    ours_s, torch_s = (statistics.median(times[name][1:]) for name in ("ours", "torch"))
    print(f"threads {args.threads}, {args.batch} captions, {len(rows)} words, {args.features} -> {args.hidden}")
    print(f"largest difference {difference:.1e}")
    print(f"ours {ours_s * 1e3:.1f} ms, torch {torch_s * 1e3:.1f} ms, ratio {torch_s / ours_s:.2f}")


def contenders(batch: int, features: int, hidden: int) -> tuple[torch.Tensor, States, States]:
    """The words of a batch of captions, and what gives their states: ours and torch's."""
    torch.manual_seed(0)
    ours = BiGRU(features, hidden)
    torchs = nn.GRU(features, hidden, bidirectional=True)
    torchs.load_state_dict(ours.state_dict())
    lengths = (4 + 22 * torch.rand(batch).square()).round().long()
    words = torch.randn(batch, int(lengths.max()), features)
    packed = pack_padded_sequence(words, lengths, batch_first=True, enforce_sorted=False)
    rows = packed.data.requires_grad_()

    def our_states() -> torch.Tensor:
        return ours(rows, packed.batch_sizes)

    def torch_states() -> torch.Tensor:
        both = torchs(PackedSequence(rows, packed.batch_sizes))[0].data
        return (both[:, :hidden] + both[:, hidden:]) / 2

    return rows, our_states, torch_states


def small() -> dict[str, float]:
    _, ours, torchs = contenders(64, 300, 256)
    return {"gru": times_as_fast(lambda: torchs().sum().backward(), lambda: ours().sum().backward(), 9)}


def seconds(states: Callable[[], torch.Tensor]) -> float:
    started = time.perf_counter()
    states().sum().backward()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
