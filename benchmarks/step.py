"""Where the time of a training step goes, beside its bare matrix products and beside a plain step.

    python benchmarks/step.py                  # the table of docs/evaluation/speed.md: some minutes, on an idle machine
    python benchmarks/step.py --only DVSE --rounds 7 --json step.json
    python benchmarks/step.py --compile        # with a further column: our step under `optim.compile`
    python benchmarks/step.py --small          # ratios at an eighth of the batch, for `make bench`
    python benchmarks/step.py --tiny           # to try the script itself; what it measures says nothing

Each method has the sizes of its recipe for COCO or FashionIQ, and one made-up batch: its captions have 10 to 20 words
or tokens, and a fifth of its regions is dropped where the recipe drops any. Three things are timed in turns, so that
their ratios are of one run:

- our step, as `fit` takes it (`train_step`), split into forward (up to the last gather), similarity and losses,
  backward, optimizer (clipping and finite check included) and gather. Feeding, the reading and padding of a batch of a
  made-up table, is timed beside it; a run reads ahead in a thread while it trains;
- its bare matrix products: every product and convolution of one real step, forward and backward, GRUs included, with
  the same shapes and layouts, one after the other into memory that is there, and nothing in between;
- the plain step of benchmarks/plain_steps.py, with its own feeding. Before anything is timed its loss is compared with
  ours: same weights, same batch, no dropout; a relative difference above 1e-5 is an error.

Numbers are medians over rounds; a ratio is the median of its rounds' ratios. The last row of the table is the
evaluation of COCO 5K by single vectors (benchmarks/evaluation.py), beside the bare product of all its pairs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
METHODS = ("VSE-infinity", "DVSE", "DivE", "RAU", "Combiner", "PCME++")
EVALUATION = "COCO 5K, vectors"
COMPILED = ("compiled", "step / compiled")
PHASES = ("feeding", "forward", "similarity and losses", "backward", "optimizer", "gather")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*METHODS, EVALUATION]
    parser.add_argument("--only", choices=names, nargs="+", metavar="ROW", help=f"of {', '.join(names)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true", help="also take our step compiled by torch: optim.compile")
    parser.add_argument("--tiny", action="store_true", help="a few numbers of everything, to try the script itself")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    import torch

    from benchmarks.small_forms import add_options, run_small
    from benchmarks.step_measures import evaluation, measure

    add_options(parser)
    args = parser.parse_args(arguments)
    if args.small:
        run_small(small, args.json)
        return 0

    before = torch.get_num_threads()
    torch.set_num_threads(args.threads)
    rows: dict[str, dict[str, float]] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="step") as folder:
            for name in args.only or names:
                if name == EVALUATION:
                    rows[name] = evaluation(args.rounds, args.tiny)
                else:
                    rows[name] = measure(
                        name, args.rounds, "tiny" if args.tiny else "paper", Path(folder), args.compile
                    )
                print(f"{name}: {', '.join(f'{key} {value:.3g}' for key, value in rows[name].items())}", flush=True)
    finally:
        torch.set_num_threads(before)
    print(f"\n{as_markdown(rows)}")
    if args.json:
        about = {"threads": args.threads, "rounds": args.rounds, "tiny": args.tiny, "torch": torch.__version__}
        args.json.write_text(json.dumps({"about": about, "rows": rows}, indent=1), encoding="utf-8")
    return 0


def small() -> dict[str, float]:
    """The ratios of `make bench`."""
    from benchmarks.step_measures import small as ratios

    return ratios()


def as_markdown(rows: dict[str, dict[str, float]]) -> str:
    """The table: milliseconds, and ratios."""
    columns = ["step", *PHASES, "products", "step / products", "plain", "plain / step"]
    columns += [name for name in COMPILED if any(name in numbers for numbers in rows.values())]
    lines = ["| ms | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    for name, numbers in rows.items():
        cells = [
            "" if key not in numbers else f"{numbers[key]:.2f}" if "/" in key else f"{1000 * numbers[key]:,.1f}"
            for key in columns
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    if {"VSE-infinity", "DVSE"} <= rows.keys():
        ratio = rows["DVSE"]["step"] / rows["VSE-infinity"]["step"]
        lines += ["", f"DVSE takes {ratio:.2f} times as long as VSE-infinity."]
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
