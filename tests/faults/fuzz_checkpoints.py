"""Damages the checkpoints of a run and says what a resumption, an evaluation or `--from` did that it should not.

    python -m tests.faults.fuzz_checkpoints --cases 500 --seed 1

A case damages one or more files of the newest of three checkpoints, in half of them with the hashes of the manifest
made to fit, so that what reads the files meets the damage too. The run has to go on from the newest one that is still
whole, with the weights that it was saved with, and must say which ones it left; opening the best checkpoint gives the
one that the run's journal names, or one error. Prints one JSON object per failure, and at the end what became of all.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import random
import shutil
import signal
import sys
import tempfile
import traceback
from collections import Counter
from pathlib import Path
from types import FrameType

import torch

from raytrain.errors import DataError, UsageError
from raytrain.files import sha256
from raytrain.tracking.journal import Journal
from raytrain.training import checkpoint
from raytrain.training.manifest import UnusableCheckpointError, signed
from raytrain.training.run import checkpoint_of
from tests.faults.fuzz import CASE_S, DAMAGES
from tests.tables import make_table
from tests.training.test_checkpoint import DAMAGES as REPLACEMENTS
from tests.training.test_checkpoint import write

FILES = (
    "manifest.json",
    "manifest.json",
    "state.pt",
    "state.pt",
    "model.safetensors",
    "config.yaml",
    "vocabulary.json",
)


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    signal.signal(signal.SIGALRM, hang)
    with tempfile.TemporaryDirectory() as home:
        outcomes = run_cases(Path(home), args.cases, args.seed)
    print(json.dumps({"ended": outcomes}))
    return 1 if outcomes["failed"] else 0


def run_cases(home: Path, cases: int, seed: int) -> Counter[str]:
    """{what became of a case: number of such cases}; "failed" are those that this prints."""
    whole = make_run(home)
    outcomes: Counter[str] = Counter()
    for case in range(cases):
        draw = random.Random(f"{seed} {case}")
        folder = Path(shutil.copytree(whole, home / "run"))
        damaged = damage(folder, draw)
        signal.alarm(CASE_S)
        try:
            outcomes[outcome(folder)] += 1
        except BaseException as error:
            outcomes["failed"] += 1
            where = traceback.format_exception(error)[-3:]
            report = {"seed": f"{seed} {case}", "damaged": damaged, "error": repr(error)[:300], "where": where}
            print(json.dumps(report), flush=True)
        finally:
            signal.alarm(0)
            shutil.rmtree(folder, ignore_errors=True)
    return outcomes


def hang(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"more than {CASE_S} s")


def make_run(home: Path) -> Path:
    """A run with three checkpoints, the second the best, each with weights of its own."""
    table, folder = make_table(home / "table"), home / "whole"
    for step, selected in ((1, 10.0), (2, 30.0), (3, 20.0)):
        write(folder, table, step, selected)
        Journal(folder).write("epoch", epoch=step, step=step, metrics={"val/rsum": selected})
    return folder


def damage(folder: Path, draw: random.Random) -> list[str]:
    """Damage one checkpoint or two, and return the names of what was damaged."""
    names = []
    for step in draw.choice(([3], [3], [2], [2, 3])):
        path = folder / checkpoint.name_of(step)
        for name in draw.sample(sorted(set(FILES)), 1) if draw.random() < 0.3 else [draw.choice(FILES)]:
            file = path / name
            names.append(f"{path.name}/{name}")
            if draw.random() < 0.1:
                REPLACEMENTS[draw.choice(sorted(REPLACEMENTS))](file)
                continue
            file.write_bytes(draw.choice(DAMAGES)(file.read_bytes(), draw))
            if draw.random() < 0.5:
                _make_hashes_fit(path)
    return names


def _make_hashes_fit(path: Path) -> None:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        fields = json.loads((path / "manifest.json").read_bytes())
        fields.pop("manifest_sha256", None)
        fields["files"] = {name: sha256(path / name) for name in fields["files"]}
        (path / "manifest.json").write_text(json.dumps(signed(fields)))


def outcome(folder: Path) -> str:
    """What became of a damaged run.

    Raises:
        AssertionError: the run would go on from what is not whole, or has passed over what is.
    """
    intact = [path for path in sorted(folder.glob("checkpoint_*")) if same(path, folder.parent / "whole" / path.name)]
    with contextlib.suppress(DataError, UsageError):
        best = checkpoint_of(folder)
        saved = checkpoint.load(best)
        assert best.name == "checkpoint_00000002", f"{best.name} was opened in the place of the best one"
        assert saved.manifest["selected"] == 30.0 or best not in intact
    try:
        resumption = checkpoint.newest_whole(folder)
    except UnusableCheckpointError:
        return "newer"
    except UsageError:  # a config that is whole by its hash, and of no run
        return "config"
    assert resumption.path is not None and resumption.path >= max(intact), "a whole checkpoint was passed over"
    assert not {path.name for path in intact} & {*resumption.left}
    assert all("\n" not in why for why in resumption.left.values())
    saved = checkpoint.load(resumption.path)
    state = saved.state()
    assert state["position"][1] == checkpoint.step_of(resumption.path)
    if resumption.path in intact:
        assert torch.equal(saved.weights["a"], torch.arange(3.0))
    else:
        fields = json.loads((resumption.path / "manifest.json").read_bytes())
        hashes = {name: hashlib.sha256((resumption.path / name).read_bytes()).hexdigest() for name in fields["files"]}
        assert fields["files"] == hashes, "the run would go on from damaged files"
    checkpoint.set_aside(folder, resumption.left)
    assert checkpoint.newest_whole(folder) == checkpoint.Resumption(resumption.path)
    return "fell back" if resumption.left else "unharmed" if resumption.path in intact else "still whole"


def same(path: Path, other: Path) -> bool:
    """Whether two checkpoint folders hold the same regular files."""
    return all(
        (path / file.name).is_file() and (path / file.name).read_bytes() == file.read_bytes()
        for file in other.iterdir()
    )


if __name__ == "__main__":
    sys.exit(main())
