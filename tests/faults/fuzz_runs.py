"""Puts hostile lines and values into the files of one recorded run or sweep, and goes over all of the storage.

    python -m tests.faults.fuzz_runs --cases 500 --seed 1

A case is its seed: the same seed damages the same bytes. Each case must end without a traceback, and what is read of
the runs that were not touched must stay as it was. Prints one JSON object per failure, and one of counts at the end.
`--cases` damages are made per kind of file, and each goes through every verb that reads many runs.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from raytrain.cli.main import main as raytrain
from raytrain.config import DataConfig, DVSEConfig, RunConfig, flatten
from raytrain.errors import Problem
from raytrain.review.accounting import read_journals, sweep_costs
from raytrain.review.charts.plots import temperature_map
from raytrain.review.costs import run_costs
from raytrain.review.importance import importances
from raytrain.review.runs import runs_of
from raytrain.review.trials import sweeps_of
from raytrain.tracking.journal import Journal
from tests.faults.fuzz import DAMAGES
from tests.review.made_runs import CROSS, make_run, write_search, write_space

LIMIT_S = 60.0
SPACE = {
    "optim.lr": {"name": "FloatDistribution", "attributes": {"step": None, "low": 1e-4, "high": 1e-2, "log": True}},
    "method.views": {"name": "IntDistribution", "attributes": {"log": False, "step": 1, "low": 1, "high": 4}},
}
FILES = {
    "journal": "e/hurt/journal.jsonl",
    "sweep journal": "e/search/journal.jsonl",
    "space": "e/search/space.json",
    "rerank": "e/hurt/rerank.json",
    "evaluation": "e/hurt/evaluation/test.json",
    "ranks": "e/hurt/evaluation/test.ranks.npz",
}
"""{kind: file that is damaged}."""
DAMAGED = ("hurt", "search")  # folders; a start that has lost its kind makes a run of a sweep
HOSTILE: list[bytes] = [
    b"null", b"[]", b"7", b'"text"', b"{}", b"{", b"NaN", b"\xff\xfe\x00", b"\x00", b"[" * 5000, b'{"event": "epoch"}',
    b'{"event": "epcoh", "time": 1}', b'{"event": ["epoch"], "time": 1}', b'{"event": "epoch", "time": NaN}',
    b'{"event": "epoch", "time": 1e999, "epoch": 1}', b'{"event": "epoch", "time": 1, "epoch": {"a": [1]}}',
    b'{"event": "epoch", "time": 1, "epoch": 99999999999999999999999, "metrics": {}}',
    b'{"event": "epoch", "time": 1, "epoch": 2, "metrics": {"val/rsum": "high", "cost/worker_seconds": []}}',
    b'{"event": "epoch", "time": 1, "epoch": 2, "metrics": {"val/rsum": ' + b"9" * 400 + b"}}",
    b'{"event": "epoch", "time": 1, "epoch": 2, "metrics": [["val/rsum", 1]]}',
    b'{"event": "start", "time": 1}', b'{"event": "start", "time": 1, "config": ["a"], "uid": {}, "kind": []}',
    b'{"event": "start", "time": 1, "config": {"method.kind": [], "evaluation.select": {}}, "uid": "u"}',
    b'{"event": "start", "time": 1, "kind": "sweep", "options": [], "workers": "two", "uid": "u"}',
    b'{"event": "resume", "time": -5, "epoch": "three"}', b'{"event": "resume", "time": 1, "epoch": -3}',
    b'{"event": "trial", "time": 1, "number": "0", "run": 7, "params": [], "state": {}, "value": "high"}',
    b'{"event": "trial", "time": 1}', b'{"event": "room", "time": 1, "slots": null}',
    b'{"event": "end", "time": 99999999999999999, "status": ["finished"]}', b'{"event": "end", "time": 1}',
    b'{"event": "end", "time": 2, "status": "finished", "error": "\\ud800\\u0000"}',
    b'{"event": "cost", "time": 1, "metrics": {"cost/money": {"EUR": 1}}}',
    b'{"event": "evaluation", "time": 1, "metrics": 3}', b'{"event": "rerank", "time": 1, "params": [1], "kind": {}}',
]  # fmt: skip


def make_storage(storage: Path, names: Sequence[str] = ("hurt", "beside", "other")) -> None:
    """Runs and a sweep; "hurt" is damaged, "beside" shares its table, "other" has data of its own."""
    for number, name in enumerate(names):
        more = {"fingerprint": "b" * 64} if name == "other" else {}
        config = RunConfig(data=DataConfig(table="t"), method=DVSEConfig(views=2 + number))
        temperatures = CROSS if "beside" in names else None
        make_run(storage / "e" / name, temperatures=temperatures, **more, **flatten(config) | {"name": name})
    write_search(storage / "e" / "hurt", {side: [["off", 0, 90.0], ["cross", 4.0, 95.0]] for side in ("i2t", "t2i")})
    sweep = Journal(storage / "e" / "search")
    options = {"concurrent": 2, "resources_per_worker": {"CPU": 1.0}, "cost": "gpu_seconds"}
    sweep.write("start", uid="s", kind="sweep", run="search", experiment="e", workers=1, options=options, config={})
    for number in range(10):
        params = {"optim.lr": 1e-3 + 1e-4 * number, "method.views": 1 + number % 4}
        sweep.write(
            "trial", number=number, run=f"search-t{number:03d}", params=params, state="complete",
            value=300.0 + number, epochs=2, cost=float(number),
        )  # fmt: skip
    sweep.write("end", status="finished", error=None, metrics={})
    sweep.close()
    write_space(storage / "e" / "search", SPACE)


def damage(path: Path, data: bytes, draw: random.Random) -> None:
    """Writes a damaged `data` to the file, or puts something else in its place."""
    choice = draw.random()
    if choice < 0.03:
        os.unlink(path)
        draw.choice([path.mkdir, lambda: path.symlink_to(path.name), lambda: os.mkfifo(path)])()
        return
    if choice < 0.5 and b"\n" in data and path.suffix == ".jsonl":
        lines = data.split(b"\n")
        at = draw.randrange(len(lines))
        lines[at : at + draw.choice((0, 1))] = [draw.choice(HOSTILE)]
        data = b"\n".join(lines)
    elif choice < 0.6:
        data = draw.choice(HOSTILE)
    else:
        for _ in range(draw.choice((1, 1, 2))):
            if path.suffix == ".jsonl" and b"\n" in data:
                lines = data.split(b"\n")
                at = draw.randrange(len(lines))
                lines[at] = draw.choice(DAMAGES)(lines[at], draw)
                data = b"\n".join(lines)
            else:
                data = draw.choice(DAMAGES)(data, draw)
    path.write_bytes(data)


@contextlib.contextmanager
def damaged(path: Path, draw: random.Random) -> Iterator[None]:
    """Inside, the file is damaged; afterwards it is what it was."""
    data = path.read_bytes()
    damage(path, data, draw)
    try:
        yield
    finally:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink()
        path.write_bytes(data)


def read_all(storage: Path) -> tuple[Any, list[Problem]]:
    """What every reader of many runs says of the runs that are never damaged, and what they left out."""
    skipped: list[Problem] = []
    runs = runs_of(read_journals(storage, None, skipped), skipped)
    for run in runs:
        for kind in ("plain", "transductive"):
            run.evaluation("split/test", kind)
        assert isinstance(run.val | {"epochs": run.epochs, "seed": run.seed}, dict)
    temperature_map(storage / "e" / "hurt", skipped)
    return [
        (run.name, run.val, run.status, run.usage, run.evaluations) for run in runs if run.folder.name not in DAMAGED
    ], skipped


def read_all_sweeps(storage: Path) -> tuple[Any, list[Problem]]:
    """The same of the readers of sweeps."""
    skipped: list[Problem] = []
    journals = read_journals(storage, None, skipped)
    sweep_costs(journals)
    for sweep in sweeps_of(read_journals(storage, None, skipped), skipped).values():
        importances(sweep.trials, sweep.space)
    return [cost for cost in run_costs(journals) if cost["run"] not in DAMAGED], skipped


def leaderboard(storage: Path, out: Path) -> tuple[Any, list[Any]]:
    """The rows of the verb for the runs that are never damaged, and what it left out."""
    answer = run_verb("leaderboard", "--storage", str(storage), "--out", str(out))
    cells = ("runs", "val/rsum", "test/rsum", "rsum_low", "rsum_high", "worker_seconds", "seeds", "rerank")
    rows = [row for row in answer["rows"] if "hurt" not in row["runs"]]
    return [{name: row.get(name) for name in cells} for row in rows], answer["skipped"]


def run_verb(*words: str, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """The one JSON object that a verb prints; its exit code has to be one of `codes`."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        code = raytrain([*words, "--json"])
    assert code in codes, f"exit code {code}"
    answer: dict[str, Any] = json.loads(out.getvalue(), parse_constant=_no_json)
    return answer


def _no_json(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


def every_verb(storage: Path, out: Path) -> Any:
    """What all verbs that read many runs say of those that were not damaged."""
    rows, _ = leaderboard(storage, out)
    run_verb("cost", "--storage", str(storage), "--runs")
    for name, codes in (("e", (0,)), ("e/search", (0, 2)), ("e/hurt", (0, 2))):  # 2 where it is no run any more
        run_verb("report", str(storage / name), "--out", str(out / "report.html"), codes=codes)
    uri = f"sqlite:///{out / 'mlflow.db'}"
    synced = run_verb("track", "sync", "--storage", str(storage), "--experiment", "e", "--uri", uri, codes=(0, 1))
    missing = [failure["file"] for failure in synced["failed"] if "hurt" not in failure["file"]]
    assert all("search" in name for name in missing), missing
    return read_all(storage)[0], read_all_sweeps(storage)[0], rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=20, help="per kind of file")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("kinds", nargs="*", help=f"of {', '.join(FILES)}; default all")
    args = parser.parse_args()
    ended: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as home:
        storage, out = Path(home) / "runs", Path(home) / "out"
        make_storage(storage)
        expected = every_verb(storage, out)
        for kind in args.kinds or FILES:
            for case in range(args.cases):
                seed = f"{kind} {args.seed} {case}"
                ended[one_case(storage, FILES[kind], seed, lambda: every_verb(storage, out), expected)] += 1
    print(json.dumps({"ended": ended}))


def one_case(storage: Path, file: str, seed: str, read: Callable[[], Any], expected: Any) -> str:
    """ "equal", or "failed" after printing why."""
    began = time.monotonic()
    try:
        with damaged(storage / file, random.Random(seed)):
            result = read()
        assert result == expected, "what is read of the other runs has changed"
        assert time.monotonic() - began < LIMIT_S, f"more than {LIMIT_S:g} s"
        return "equal"
    except Exception as error:
        place = traceback.format_exception(error)[-4:]
        print(json.dumps({"seed": seed, "file": file, "error": repr(error)[:300], "where": place}), flush=True)
        return "failed"


if __name__ == "__main__":
    sys.exit(main())
