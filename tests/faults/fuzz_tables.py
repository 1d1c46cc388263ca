"""Damages table.json, Arrow, .npy and YAML files, runs the verbs that read them, and says what none of them may do.

    python -m tests.faults.fuzz_tables --cases 500 --seed 1 table.json arrow npy yaml

A verb may do its work or end with one of its exit codes. It may not end with a traceback or by a signal, take more than
CASE_S, or give another number than the whole table gives. Half of the Arrow and .npy cases are described again, as if
their hashes were right: another number is allowed there, but only under another fingerprint or other feature hashes.

Cases run in forks of a process that has everything imported. A case is its seed. Prints a JSON object per failure and
one at the end.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from raytrain.cli.main import main as raytrain
from raytrain.config import RunConfig, override, to_yaml
from raytrain.data.table import Table
from raytrain.data.table.description import fingerprint_of
from raytrain.files import sha256
from raytrain.training.run import train
from tests.faults.fuzz import DAMAGES
from tests.runs import tiny
from tests.tables import make_query_table, make_table, redescribe

CASE_S = 60
EXIT_CODES = (0, 2, 3, 4)
KINDS = {
    "table.json": ["table.json"],
    "arrow": ["items.arrow", "texts.arrow", "queries/queries.arrow"],
    "npy": ["features/lite0.npy", "features/minilm.npy", "features/minilm.offsets.npy"],
    "yaml": ["../run.yaml"],
}


@dataclass
class Whole:
    """What is damaged: a table of captions, one of queries in it, a finished run and its config as YAML.

    Args:
        home: folder of all of it.
        table: folder of the table.
        run: folder of the run.
        config: of the run.
        numbers: {verb: number} of the whole table.
    """

    home: Path
    table: Path
    run: Path
    config: RunConfig
    numbers: dict[str, float]

    @classmethod
    def make(cls, home: Path) -> Whole:
        table = make_table(home / "table", items=12, texts_per_item=2, regions=2, features=6, token_features=6)
        make_query_table(home / "table" / "queries", bases=1, features=6, token_features=6)
        offsets = sha256(table.path / "features" / "minilm.offsets.npy")
        redescribe(table.path, lambda d: d["features"]["minilm"].update(offsets_sha256=offsets))
        Table(table.path).description.write(table.path)  # with a checksum
        changes = {"method__views": 1, "optim__batch_size": 4, "optim__num_epochs": 1, "data__regions": "all"}
        config = tiny(table, home / "runs", **changes)
        train(config)
        (home / "run.yaml").write_text(to_yaml(override(config, {"name": "again"})), encoding="utf-8")
        whole = cls(home, table.path, config.folder, config, {})
        whole.numbers = {name: number for name, code, number, _ in whole.outcomes("npy") if number is not None}
        return whole

    def commands(self, kind: str) -> dict[str, list[str]]:
        """{name: words} of the verbs that read a kind of file."""
        recipe = str(self.home / "run.yaml")
        if kind == "yaml":
            return {"show": ["show", recipe], "dry run": ["train", recipe, "--dry-run", "--json"]}
        return {
            "check": ["data", "check", str(self.table), "--no-images", "--json"],
            "check queries": ["data", "check", str(self.table / "queries"), "--no-images", "--json"],
            "dry run": ["train", recipe, "--dry-run", "--json"],
            "train": ["train", recipe, "--json", "--tracking", "none", f"storage={self.home / 'new'}"],
            "evaluate": ["evaluate", str(self.run), "--json"],
            "evaluate unverified": ["evaluate", str(self.run), "--json", "--no-verify"],
        }

    def outcomes(self, kind: str) -> list[tuple[str, int, float | None, str]]:
        """(name, exit code, number, last words) of each verb; what it raises is raised."""
        results = []
        for name, words in self.commands(kind).items():
            out, err = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                code = raytrain(words)
            number = None
            if code == 0 and name in ("train", "evaluate", "evaluate unverified"):
                answer = json.loads(out.getvalue())
                number = answer["best"] if name == "train" else answer["metrics"]["rsum"]
            results.append((name, code, number, err.getvalue()[-400:]))
        shutil.rmtree(self.home / "new", ignore_errors=True)
        return results

    def fault(self, kind: str, described_again: bool) -> str | None:
        """What a verb did that it may not do; None where nothing."""
        for name, code, number, words in self.outcomes(kind):
            stopped = code == 1 and "NonFiniteError" in words  # features that hold NaN stop training by name
            if (code not in EXIT_CODES and not stopped) or "Traceback" in words:
                return f"{name}: exit code {code}: {words}"
            if code and not words.strip():
                return f"{name}: exit code {code} without a word"
            if number is None or number == self.numbers[name]:
                continue
            if not described_again and name != "evaluate unverified":
                return f"{name}: {number}, the whole table gives {self.numbers[name]}"
            if described_again and name != "train":
                return f"{name}: {number} of a run on other data, which gave {self.numbers[name]}"
        return None


def damaged(whole: Whole, kind: str, draw: random.Random) -> tuple[Path, bytes, str, bool]:
    """Damages a file: (path, its bytes before, name, whether its hash is described again)."""
    name = draw.choice(KINDS[kind])
    path = whole.table / name
    before = data = path.read_bytes()
    for _ in range(draw.choice((1, 1, 2, 4))):
        data = draw.choice(DAMAGES)(data, draw)
    path.write_bytes(data)
    again = kind in ("arrow", "npy") and draw.random() < 0.5
    if again:
        redescribe(path.parent if kind == "arrow" else whole.table, lambda values: describe(values, path))
    return path, before, name, again


def describe(description: dict[str, Any], path: Path) -> None:
    """Puts the hash of a file of a table right."""
    stem = path.name.removesuffix(".npy")
    if path.suffix == ".arrow":
        description["files"][path.name] = sha256(path)
        composed = {"gallery": description["gallery"]} if "gallery" in description else {}
        description["fingerprint"] = fingerprint_of(description["files"], composed)
    elif stem.endswith(".offsets"):
        description["features"][stem.removesuffix(".offsets")]["offsets_sha256"] = sha256(path)
    else:
        description["features"][stem]["sha256"] = sha256(path)


def in_child(work: Callable[[], str | None], limit_s: float) -> str | None:
    """What `work` returns in a fork; how the fork ended where it did not end by itself."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            result = work()
        except BaseException:
            result = traceback.format_exc()[-1500:]
        os.write(writer, (result or "").encode(errors="replace")[:4000])
        os._exit(0)
    os.close(writer)
    deadline = time.monotonic() + limit_s
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(reader)
            return f"more than {limit_s:.0f} s"
        time.sleep(0.01)
    with os.fdopen(reader, "rb") as file:
        printed = file.read().decode(errors="replace")
    return f"ended by signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else printed or None


def one_case(whole: Whole, kind: str, seed: str, fork: bool = True) -> str | None:
    """The fault of a case; None where there is none. The file is as before afterwards."""
    descriptions = {folder: (folder / "table.json").read_bytes() for folder in (whole.table, whole.table / "queries")}
    journal = (whole.run / "journal.jsonl").read_bytes()
    path, before, name, again = damaged(whole, kind, random.Random(seed))
    try:
        fault = in_child(lambda: whole.fault(kind, again), CASE_S) if fork else whole.fault(kind, again)
        return fault and f"{name}{' described again' if again else ''}: {fault}"
    finally:
        path.write_bytes(before)
        for folder, content in descriptions.items():
            (folder / "table.json").write_bytes(content)
        (whole.run / "journal.jsonl").write_bytes(journal)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=20, help="of a kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("kinds", nargs="*", default=list(KINDS))
    args = parser.parse_args()
    torch.set_num_threads(1)  # a fork has no threads of OpenMP, and would wait for them
    ended: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as home:
        whole = Whole.make(Path(home))
        for kind in args.kinds:
            for case in range(args.cases):
                fault = one_case(whole, kind, f"{kind} {args.seed} {case}")
                ended[f"{kind}: {'fault' if fault else 'fine'}"] += 1
                if fault:
                    print(json.dumps({"seed": f"{kind} {args.seed} {case}", "fault": fault}), flush=True)
    print(json.dumps({"ended": ended}))


if __name__ == "__main__":
    sys.exit(main())
