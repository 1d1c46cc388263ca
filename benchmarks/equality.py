"""Show that two checkouts of this project compute the same numbers.

    git worktree add --detach ../before 03b36b7
    python benchmarks/equality.py --before ../before
    python benchmarks/equality.py --before ../before --only dvse_tokens leaderboard

The checkout that holds this script is the one after. Each case trains a recipe for 20 steps on a small made-up table,
once by each checkout, in a process of its own that reads `raytrain` from that checkout alone: every method, words and
token states, trained backbones, composed queries, two ranks under torchrun. The tables, pictures and tiny pretrained
models are made once, by the checkout before: that one's tables open in the other is shown along the way.

Compared are, at full precision: the loss of each backward pass, the gradient norm of each update, all metrics of each
epoch in the journal but times, the metrics of the test split (plain, and re-ranked where captions are searched), and
the weights of the last checkpoint. In one process they are equal bit for bit; between two ranks up to 1e-6, relative to
values above 1. A case whose recipe the checkout before has not is named, and not compared. The case `leaderboard` has
both checkouts list the recorded runs of the one before: rows of leaderboard.csv are equal cell by cell, whatever the
columns are called.

The made-up tables are so small that 03b36b7 takes torch's own matrix product throughout: it looks for a faster one, by
timing, from 2**26 multiplications on (raytrain/products.py there). Exit code 1 where anything differs.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

ROOT = Path(__file__).resolve().parent.parent
STEPS = 20
TOLERANCE_OF_RANKS = 1e-6
TIMES = re.compile(r"cost/.*_(seconds|share)")  # metrics that differ from run to run
BEFORE, AFTER = "before", "after"

Numbers = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """One recipe, made small.

    Args:
        recipe: a name of `raytrain train`.
        table: folder name of the table it trains on.
        changes: further overrides.
        ranks: processes, under torchrun where they are two.
        searches_captions: and not composed queries: re-ranking is of captions.
    """

    recipe: str
    table: str = "captions"
    changes: tuple[str, ...] = ()
    ranks: int = 1
    searches_captions: bool = True


SMALL = (
    "encoder.dim=24", "optim.batch_size=24", "optim.num_epochs=4", f"optim.max_steps={STEPS}", "data.min_word_count=1",
    "optim.lr=0.002",
)  # fmt: skip
REGIONS = ("data.image_features=lite0",)  # the recipes of the papers name features of theirs
FP32 = ("optim.precision=fp32",)  # in place of fp16, whose scaler is a GPU's: without it gradients overflow
QUERIES: dict[str, Any] = {"table": "queries", "searches_captions": False}
DIVE = ("optim.batch_size=4", "method.head_dim=8", "method.mean_warmup_epochs=1")  # a batch is of images
DVSE = ("method.kind=dvse", "method.views=4")
VIT = ("encoder.image.kind=transformer", "encoder.image.path=vit", "encoder.image.lr_scale=1.0")
BERT = ("encoder.text.kind=transformer", "encoder.text.path=bert", "encoder.text.lr_scale=1.0", "data.max_words=12")
CASES: dict[str, Case] = {
    "vse_infinity_tokens": Case("vse_infinity_flickr8k"),
    "vse_infinity_words": Case("vse_infinity_flickr8k_bigru"),
    "vse_infinity_bert": Case("vse_infinity_flickr8k", changes=BERT),
    "dvse_tokens": Case("vse_infinity_flickr8k", changes=DVSE),
    "dvse_words": Case("dvse_flickr30k", changes=(*REGIONS, "method.weight_gradient=true", "optim.accumulation=2")),
    "dvse_vit": Case("dvse_cub", "pictures", (*VIT, "optim.batch_size=6")),
    "dive_tokens": Case("dive_flickr8k_grid", changes=DIVE),
    "dive_words": Case("dive_flickr30k", changes=(*REGIONS, *DIVE, *FP32)),
    "vsepp_tokens": Case("vsepp_flickr8k"),
    "vsepp_words": Case("vsepp_flickr30k", changes=REGIONS),
    "pvse_tokens": Case("pvse_flickr8k"),
    "pvse_words": Case("pvse_flickr30k", changes=REGIONS),
    "pcme_tokens": Case("pcme_flickr8k"),
    "pcme_words": Case("pcme_flickr30k", changes=(*REGIONS, *FP32)),
    "pcmepp_tokens": Case("pcmepp_flickr8k_grid"),
    "pcmepp_words": Case("pcmepp_flickr30k", changes=REGIONS),
    "scan_tokens": Case("scan_flickr8k"),
    "scan_words_i2t": Case("scan_flickr30k_i2t", changes=REGIONS),
    "sgraf_sgr_tokens": Case("sgraf_flickr8k", changes=("method.sim_dim=8",)),
    "sgraf_saf_words": Case("sgraf_flickr30k_saf", changes=(*REGIONS, "method.sim_dim=8")),
    "vsrn_tokens": Case("vsrn_flickr8k"),
    "vsrn_words": Case("vsrn_flickr30k", changes=(*REGIONS, "method.caption_dim=16")),
    "caan_tokens": Case("caan_flickr8k", changes=("method.hidden_dim=8",)),
    "imram_tokens": Case("imram_flickr8k"),
    "imram_words_i2t": Case("imram_flickr30k_i2t", changes=REGIONS),
    "mv_vse_tokens": Case("mv_vse_flickr8k_grid"),
    "maxmatch_tokens": Case("maxmatch_flickr8k_grid", changes=DIVE),
    "asymvlm_tokens": Case("asymvlm_flickr8k"),
    "naaf_tokens": Case("naaf_flickr8k"),
    "naaf_words": Case("naaf_flickr30k", changes=REGIONS),
    "half_queries_sum": Case("half_sum_products", **QUERIES),
    "composed_sum": Case("sum_products", **QUERIES),
    "composed_combiner": Case("combiner_products", **QUERIES),
    "composed_tirg": Case("tirg_products", **QUERIES),
    "composed_mgur": Case("mgur_products", **QUERIES),
    "composed_rau": Case("rau_products_linear", changes=("method.theta=0.5",), **QUERIES),
    "composed_rau_bf16": Case(
        "rau_fashion_iq", changes=(*REGIONS, "data.text_features=minilm", "method.theta=0.5"), **QUERIES
    ),
    "two_ranks_dvse": Case("vse_infinity_flickr8k", changes=DVSE, ranks=2),
    "two_ranks_dive": Case("dive_flickr8k_grid", changes=(*DIVE, "method.dropout=0"), ranks=2),
    "two_ranks_scan_words": Case("scan_flickr30k_i2t", changes=REGIONS, ranks=2),
    "two_ranks_rau": Case("rau_products_linear", changes=("method.theta=0.5", "method.dropout=0"), ranks=2, **QUERIES),
}
LEADERBOARD = "leaderboard"

# run by the checkout before, with the folder to fill as its argument
MAKE_TABLES = """
import sys
from pathlib import Path
from tests.data.pictures import entry, karpathy
from tests.encoders.tiny_models import WORDS, bert, vit
from tests.tables import make_query_table, make_table

root = Path(sys.argv[1])
make_table(root / "captions", items=96, texts_per_item=5, regions=7, features=24, token_features=16, noise=1.0)
make_query_table(root / "queries", bases=10, features=24, token_features=16)
words = WORDS[5:-1]
pictures = [entry(number, ("train", "train", "val", "test")[number % 4]) for number in range(72)]
for number, picture in enumerate(pictures):
    for k, sentence in enumerate(picture["sentences"]):
        sentence["raw"] = " ".join(words[(number // 4 + k + j * (1 + number % 3)) % len(words)] for j in range(4 + k))
karpathy(root / "karpathy", pictures)
vit(root / "vit")
bert(root / "bert")
"""


def main() -> int:
    if sys.argv[1:2] == ["record"]:
        return record(Path(sys.argv[2]), json.loads(sys.argv[3]))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, metavar="FOLDER", help="the other checkout")
    names = [*CASES, LEADERBOARD]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    args = parser.parse_args()
    checkouts = {BEFORE: Path(args.before).resolve(), AFTER: ROOT}
    if not (checkouts[BEFORE] / "raytrain").is_dir():
        raise SystemExit(f"--before {args.before} is no checkout of raytrain")
    chosen = args.only or names
    started, equal, new = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory(prefix="equality-") as folder:
        work = Path(folder)
        if any(name in CASES for name in chosen):
            make_tables(work, checkouts[BEFORE])
            print("| case | steps | losses | gradient norms | metrics | weights | verdict |")
            print("|---|---:|---:|---:|---:|---:|---|")
        for name in chosen:
            try:
                compare = compare_boards if name == LEADERBOARD else compare_runs
                line, same = compare(name, work, checkouts)
            except subprocess.CalledProcessError as error:
                if is_new(name, error.stderr):
                    new += 1
                    print(f"| {name} | new: the checkout before has no recipe {CASES[name].recipe} |", flush=True)
                    continue
                line, same = f"{name} FAILED: {' '.join(error.cmd)[:300]}\n{error.stderr[-3000:]}", False
            equal += same
            print(line, flush=True)
    print(f"\n{equal} of {len(chosen) - new} equal, {new} new, in {time.monotonic() - started:.0f} s")
    return 0 if equal + new == len(chosen) else 1


def is_new(name: str, stderr: str) -> bool:
    """Whether a case failed because a checkout has no such recipe; the one after has it, as a test holds."""
    return name in CASES and f"no recipe '{CASES[name].recipe}'" in stderr


def make_tables(work: Path, checkout: Path) -> None:
    """Fills `work` with the tables, pictures and tiny models that the cases name."""
    run_in(checkout, work, "-c", MAKE_TABLES, str(work))
    build = ["data", "build", "karpathy", "--root", str(work / "karpathy"), "--out", str(work / "pictures")]
    run_in(checkout, work, "-m", "raytrain.cli", *build)


def compare_runs(name: str, work: Path, checkouts: Mapping[str, Path]) -> tuple[str, bool]:
    """The case's row, and whether the checkouts agree in it.

    Raises:
        CalledProcessError: one of them could not train, re-rank or evaluate.
    """
    case = CASES[name]
    with ThreadPoolExecutor(3 - case.ranks) as pool:  # two processes at a time
        before, after = pool.map(lambda which: results(name, work, which, checkouts[which]), (BEFORE, AFTER))
    differences = [largest_difference(before[part], after[part]) for part in before]
    steps = len(before["losses"]["each step"])
    limit = TOLERANCE_OF_RANKS if case.ranks > 1 else 0.0
    equal = steps == STEPS and max(differences) <= limit
    shown = " | ".join(f"{difference:.1e}" if difference else "0" for difference in differences)
    return f"| {name} | {steps} | {shown} | {'equal' if equal else 'DIFFERENT'} |", equal


def results(name: str, work: Path, which: str, checkout: Path) -> dict[str, Numbers]:
    """What a checkout makes of a case: {"losses", "norms", "metrics", "weights"}."""
    case, storage, steps_file = CASES[name], work / which, work / f"{which}-{name}.json"
    run = storage / "equality" / name
    place = [f"data.table={work / case.table}", f"storage={storage}", "experiment=equality", f"name={name}"]
    commands = [["train", case.recipe, *SMALL, *case.changes, *place, "--tracking", "none"]]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={case.ranks}"]
    if case.ranks == 1:
        launcher = []
        if case.searches_captions:
            commands.append(["rerank", str(run), "--trials", "0"])
        commands.append(["evaluate", str(run), "--split", "test"])
    run_in(checkout, work, *launcher, str(Path(__file__).resolve()), "record", str(steps_file), json.dumps(commands))
    steps = json.loads(steps_file.read_text(encoding="utf-8"))
    last = sorted(run.glob("checkpoint_*"))[-1]
    return {
        "losses": {"each step": np.array([float.fromhex(value) for value in steps["losses"]])},
        "norms": {"each update": np.array([float.fromhex(value) for value in steps["norms"]])},
        "metrics": metrics_of(run),
        "weights": load_file(last / "model.safetensors"),
    }


def metrics_of(run: Path) -> Numbers:
    """Every metric of every epoch but times, and every metric of every evaluation, by where it stands."""
    lines = (run / "journal.jsonl").read_text(encoding="utf-8").splitlines()
    documents = [(f"epoch {event['epoch']}", event) for event in map(json.loads, lines) if event["event"] == "epoch"]
    files = [(path.name, json.loads(path.read_text(encoding="utf-8"))) for path in run.glob("evaluation/*.json")]
    documents += [(name, document) for name, document in files if "metrics" in document]
    return {
        f"{place} {name}": np.array(value, float)  # null, which stands for NaN, becomes NaN
        for place, document in documents
        for name, value in document["metrics"].items()
        if not TIMES.fullmatch(name)
    }


def largest_difference(before: Numbers, after: Numbers) -> float:
    """0 where all are equal bit for bit, else the largest difference, relative to values above 1; inf where one lacks.

    Numbers that only differ in the sign of a zero, or in the bits of a NaN, are equal.
    """
    if before.keys() != after.keys() or any(before[name].shape != after[name].shape for name in before):
        return np.inf
    largest = 0.0
    for name, value in before.items():
        if not np.array_equal(value, after[name], equal_nan=value.dtype.kind == "f"):
            difference = np.abs(value - after[name], dtype=float) / np.maximum(1.0, np.abs(value))
            largest = max(largest, float(np.nan_to_num(difference, nan=np.inf).max()))
    return largest


def compare_boards(name: str, work: Path, checkouts: Mapping[str, Path]) -> tuple[str, bool]:
    """A line on the recorded runs as both checkouts list them, and whether their rows agree."""
    places = [checkouts[BEFORE] / place for place in ("results", "docs/results")]  # where they are, and where they were
    shutil.copytree(next(place for place in places if place.exists()), work / "results")

    def rows(which: str) -> list[list[str]]:
        command = ["leaderboard", "--storage", str(work / "results"), "--out", str(work / f"board-{which}")]
        run_in(checkouts[which], work, "-m", "raytrain.cli", *command)
        with open(work / f"board-{which}" / "leaderboard.csv", encoding="utf-8", newline="") as file:
            return list(csv.reader(file))[1:]

    with ThreadPoolExecutor(2) as pool:
        before, after = pool.map(rows, (BEFORE, AFTER))
    different = sum(row != other for row, other in zip(before, after, strict=False))
    equal = bool(before) and before == after
    summary = f"{len(before)} and {len(after)} rows of {len(before[0])} cells, {different} rows differ"
    return f"\n{name}: {summary}: {'equal' if equal else 'DIFFERENT'}", equal


def run_in(checkout: Path, work: Path, *arguments: str) -> None:
    """Python with these arguments, in the folder `work`, with `raytrain` of this checkout, on one thread of the CPU.

    Raises:
        CalledProcessError: it failed; "stderr" says why.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAYTRAIN_", "RAY_"))}
    environment |= {
        "PYTHONPATH": str(checkout),
        "PYTHONSAFEPATH": "1",  # this script's own folder is no place to import from
        "PYTHONDONTWRITEBYTECODE": "1",  # the other checkout stays as it is
        "NUMBA_CACHE_DIR": str(work / f"numba-{checkout.name}"),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    command = [sys.executable, *arguments]
    subprocess.run(command, env=environment, cwd=work, check=True, capture_output=True, text=True, timeout=600)


def record(steps_file: Path, commands: Sequence[Sequence[str]]) -> int:
    """Run commands of `raytrain` in this process; the losses and gradient norms of rank 0, in hexadecimal, to a file.

    torch's own functions are wrapped, so that nothing here depends on where the checkout keeps its loop.
    """
    import torch

    import raytrain

    package, checkout = Path(raytrain.__file__).resolve(), os.environ["PYTHONPATH"]
    if not package.is_relative_to(checkout):
        raise SystemExit(f"raytrain was imported from {package}, and not from {checkout}")
    steps: dict[str, list[str]] = {"losses": [], "norms": []}
    backward: Any = torch.Tensor.backward
    clip = torch.nn.utils.clip_grad_norm_

    def recorded_backward(tensor: torch.Tensor, *given: Any, **more: Any) -> None:
        steps["losses"].append(float(tensor.detach()).hex())
        backward(tensor, *given, **more)

    def recorded_clip(*given: Any, **more: Any) -> torch.Tensor:
        norm = clip(*given, **more)
        steps["norms"].append(float(norm).hex())
        return norm

    torch.Tensor.backward = recorded_backward  # type: ignore[assignment, method-assign]
    torch.nn.utils.clip_grad_norm_ = recorded_clip
    for command in commands:
        sys.argv = ["raytrain", *command]
        try:
            runpy.run_module("raytrain.cli", run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise
    if int(os.environ.get("RANK", "0")) == 0:
        steps_file.write_text(json.dumps(steps), encoding="utf-8")
    if "RANK" in os.environ:
        # all is on the disk; now and then a thread of gloo aborts a process whose interpreter shuts down around it
        os._exit(0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
