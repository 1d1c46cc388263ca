"""What ranks send each other per training step, and how efficient 8, 64 and 256 GPUs would be.

    python -m benchmarks.communication                       # the tables of docs/scale.md, some minutes on a CPU
    python -m benchmarks.communication dvse_coco --step-ms 40 --ranks 16 128

Bytes come from formulas that a test holds against what two gloo ranks send (benchmarks/exchanges.py), for the recipe's
own model and sizes; a small step of the recipe is also taken here on three imitated ranks, and must send what the
formula says. The batch size of a recipe is that of one GPU (weak scaling): negatives are those of all GPUs, so that
each rank compares all rows with all, or only its own with all where a pair costs much (raytrain.distributed.OwnRows).

Seconds are a model: operations counted in small steps (benchmarks/step_cost.py) over assumed rates, or `--step-ms` of a
measured step on one GPU, and latencies and bandwidths that are assumed (benchmarks/network_model.py). Nothing of it was
checked on a GPU or on such a network.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence

from benchmarks.exchanges import Sent, predicted
from benchmarks.network_model import OF_RANKS, Compute, Link, Network, StepTime, step_time
from benchmarks.step_cost import FEW, StepCost, Work, count_step, step_cost
from raytrain.config import override, parse_overrides
from raytrain.recipes.load import load_recipe
from raytrain.training.dry_run import parse_sizes
from raytrain.training.input_sizes import Sizes, usual_sizes

RECIPES = (
    "vse_infinity_coco", "dvse_coco", "dive_coco", "pcmepp_coco", "rau_fashion_iq", "scan_coco", "sgraf_coco",
)  # fmt: skip
OUTSIDE = {"Ethernet, 25 Gb/s": 25, "EFA, 400 Gb/s": 400, "EFA, 3,200 Gb/s": 3200}
"""{network between nodes: Gb/s of a node}"""


def networks(args: argparse.Namespace) -> dict[str, Network]:
    """{name: network}, with the latencies and bandwidths of the options."""
    inside = Link(args.inside_us * 1e-6, args.inside_gb_per_s * 1e9)
    host = Link(args.host_us * 1e-6, 1e9)
    made = {}
    for name, gigabits in OUTSIDE.items():
        latency = args.ethernet_us if name.startswith("Ethernet") else args.efa_us
        link = Link(latency * 1e-6, args.reached * gigabits * 1e9 / 8)
        made[name] = Network(inside, link, host, args.gpus_per_node)
    return made


def refuse_other_bytes(cost: StepCost, sizes: Sizes) -> None:
    """A small step of the recipe on three imitated ranks sends what the formula says."""
    step = count_step(cost.config, sizes, FEW, 3)
    expected = predicted(cost.config, step.model, step.shape, 3, even=True)
    different = [what for what in step.sent if step.sent[what] != expected[what]]
    if different:
        raise SystemExit(f"{cost.config.method.kind}: the formula is wrong about {', '.join(different)}")


def sent_by(cost: StepCost, ranks: int) -> dict[str, Sent]:
    """What one of so many GPUs sends per step."""
    # local features are as long as a rank's longest caption: ranks tell each other their shapes
    return predicted(cost.config, cost.model, cost.shape, ranks, even=not cost.model.local_features, gpu=True)


def seconds_of(work: Work, args: argparse.Namespace) -> float:
    return work.products / (args.tflops * 1e12) + work.moved / (args.memory_tb_per_s * 1e12)


def compute_of(cost: StepCost, ranks: int, args: argparse.Namespace) -> Compute:
    """The work of one GPU that compares the rows of so many; a measured step is that of one GPU, scores included."""
    encoders, scores = seconds_of(cost.encoders(), args), seconds_of(cost.scores(ranks), args)
    if args.step_ms is not None:
        factor = args.step_ms * 1e-3 / (encoders + seconds_of(cost.scores(1), args))
        encoders, scores = factor * encoders, factor * scores
    return Compute(encoders, scores, args.host_ms * 1e-3, args.overlap)


def times(cost: StepCost, ranks: int, network: Network, args: argparse.Namespace, compared: int = 0) -> StepTime:
    """A step of so many GPUs.

    Args:
        compared: GPUs whose rows each of them compares; default all.
    """
    return step_time(compute_of(cost, compared or ranks, args), sent_by(cost, ranks), ranks, network)


def efficiency(cost: StepCost, ranks: int, network: Network, args: argparse.Namespace, compared: int = 0) -> float:
    """Samples per second of a GPU among so many, over those of one GPU alone."""
    return times(cost, 1, network, args).seconds / times(cost, ranks, network, args, compared).seconds


def print_bytes(costs: Mapping[str, StepCost]) -> None:
    heads = (
        "recipe | rows per GPU | parameters | gradients | rows, W = 8 | W = 256 | gradients of rows, W = 8 | W = 256"
    )
    print(f"| {heads} | batch norms, W = 8 | W = 256 | waits |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, cost in costs.items():
        few, many = sent_by(cost, 8), sent_by(cost, 256)
        norms = [sum(sent.get(what, Sent()).bytes for what in ("norms", "gradients of norms")) for sent in (few, many)]
        summed = [sent.get("gradients of rows", Sent()).bytes for sent in (few, many)]
        calls = sum(few.get(what, Sent()).calls for what in OF_RANKS)
        shape = cost.shape
        both = shape.captions != shape.images
        rows = f"{shape.captions:,} captions, {shape.images:,} images" if both else f"{shape.captions:,}"
        print(
            f"| {name} | {rows} | {few['gradients'].bytes / 4e6:.1f} M | {size(few['gradients'].bytes)} | "
            f"{size(few['rows'].bytes)} | {size(many['rows'].bytes)} | {size(summed[0])} | {size(summed[1])} | "
            f"{size(norms[0])} | {size(norms[1])} | {calls} |"
        )


def print_efficiency(costs: Mapping[str, StepCost], counts: Sequence[int], args: argparse.Namespace) -> None:
    """With the scores of all rows on each GPU, and what messages alone would leave."""
    made = networks(args)
    inside = [count for count in counts if count <= args.gpus_per_node]
    columns = [(count, next(iter(made))) for count in inside]
    columns += [(count, name) for count in counts if count not in inside for name in made]
    heads = [f"{count}, inside a node" if count in inside else f"{count}, {name}" for count, name in columns]
    print(f"| recipe | step of one GPU | {' | '.join(heads)} |")
    print(f"| --- | ---: | {' | '.join(['---:'] * len(columns))} |")
    for name, cost in costs.items():
        alone = times(cost, 1, next(iter(made.values())), args).seconds
        shares = [
            " / ".join(f"{100 * efficiency(cost, count, made[network], args, compared):.0f}" for compared in (0, 1))
            for count, network in columns
        ]
        print(f"| {name} | {duration(alone)} | {' | '.join(shares)} |")


def print_parts(costs: Mapping[str, StepCost], counts: Sequence[int], args: argparse.Namespace) -> None:
    """What steps are made of, on the network that `--parts` names."""
    network = networks(args)[args.parts]
    print("| recipe | GPUs | global batch | encoders | scores | waits | gradients | host | step | one score matrix |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, cost in costs.items():
        for count in (1, *counts):
            compute, step = compute_of(cost, count, args), times(cost, count, network, args)
            pairs = cost.shape.captions * cost.shape.images * count**2
            seconds = (
                compute.encoders_s, compute.scores_s, step.waited_s, step.gradients_s, step.host_s, step.seconds,
            )  # fmt: skip
            parts = " | ".join(map(duration, seconds))
            units = count * cost.config.optim.batch_size
            print(f"| {name} | {count} | {units:,} | {parts} | {size(4 * pairs)} |")


def duration(seconds: float) -> str:
    """0.0123 -> "12.3 ms"."""
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms"


def size(count: float) -> str:
    """1234567 -> "1.2 MB"."""
    for unit, one in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= one:
            return f"{count / one:.1f} {unit}"
    return f"{count:.0f} B"


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help=f"recipes, and overrides of all of them; default {' '.join(RECIPES)}")
    parser.add_argument("--assume", action="append", default=[], help="sizes, as of `train --dry-run`")
    parser.add_argument("--ranks", type=int, nargs="+", default=[8, 64, 256], help="GPUs")
    parser.add_argument("--gpus-per-node", type=int, default=8)
    parser.add_argument("--step-ms", type=float, help="measured on one GPU; default from operations and rates")
    parser.add_argument("--tflops", type=float, default=100.0, help="10^12 operations per second that products reach")
    parser.add_argument("--memory-tb-per-s", type=float, default=2.0, help="that everything else reaches")
    parser.add_argument("--host-ms", type=float, default=10.0, help="of the host per step: Python, starting kernels")
    parser.add_argument("--overlap", type=float, default=2 / 3, help="share of the encoders' time that hides gradients")
    parser.add_argument("--reached", type=float, default=0.8, help="share of a network's bandwidth that is reached")
    parser.add_argument("--inside-gb-per-s", type=float, default=360.0, help="NVLink, 10^9 bytes per second of a GPU")
    parser.add_argument("--inside-us", type=float, default=3.0, help="latency inside a node")
    parser.add_argument("--ethernet-us", type=float, default=40.0, help="latency between nodes over Ethernet")
    parser.add_argument("--efa-us", type=float, default=20.0, help="latency between nodes over EFA")
    parser.add_argument("--host-us", type=float, default=30.0, help="latency between processes of two hosts, by gloo")
    parser.add_argument("--parts", choices=list(OUTSIDE), default="EFA, 400 Gb/s")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    args = options().parse_intermixed_args(arguments)
    names = [name for name in args.names if "=" not in name] or RECIPES
    costs = {}
    for name in names:
        recipe = load_recipe(name)
        config = override(recipe, parse_overrides(recipe, [text for text in args.names if "=" in text]))
        sizes = Sizes(**(vars(usual_sizes(config)) | parse_sizes(args.assume)))
        print(f"counting a step of {name}", file=sys.stderr, flush=True)
        costs[name] = step_cost(config, sizes)
        refuse_other_bytes(costs[name], sizes)
    print_bytes(costs)
    print()
    print_efficiency(costs, args.ranks, args)
    print()
    print_parts(costs, args.ranks, args)


if __name__ == "__main__":
    main()
