"""Kill -9 of `data build` and `data encode` at random moments: the next run ends with what an undisturbed one makes.

Three moments of each by default, to keep the suite short; RAYTRAIN_KILLS=10 asks for ten.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from raytrain.data.build import build
from raytrain.data.table import Table
from tests import forked
from tests.data import own
from tests.encoders import tiny_models

KILLS = int(os.environ.get("RAYTRAIN_KILLS", "3"))
pytestmark = [pytest.mark.faults, pytest.mark.slow]


def start(arguments: list[str]) -> BaseProcess:
    return forked.start(forked.command, arguments)


def finish(arguments: list[str]) -> float:
    """Run to the end; seconds."""
    started = time.monotonic()
    process = start(arguments)
    process.join(120)
    assert process.exitcode == 0
    return time.monotonic() - started


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kill_at_random(
    arguments: list[str], takes_s: float, seed: int, reset: Callable[[], None], after: Callable[[], None]
) -> list[float]:
    """Kills the command at KILLS moments of its duration, each time from the start; the moments, in seconds.

    Args:
        reset: brings back the state before the command.
        after: looks at what a kill left, and lets a run end.
    """
    draw, moments = random.Random(seed), list[float]()
    for _ in range(10 * KILLS):
        reset()
        moment = draw.uniform(0, takes_s)
        process = start(arguments)
        process.join(moment)
        process.kill()
        process.join()
        if process.exitcode == 0:
            takes_s = moment  # it ended before the kill: it is faster than it was when it was timed
            continue
        assert process.exitcode == -signal.SIGKILL  # the kill, and nothing else, ended it
        after()
        moments.append(moment)
        if len(moments) == KILLS:
            return moments
    raise AssertionError(f"{len(moments)} of {KILLS} kills hit a running process")


def test_a_killed_build_starts_clean_and_gives_the_same_table(tmp_path: Path) -> None:
    root = tmp_path / "root"
    for number in range(20):
        pictures = [one for sample in range(10) for one in own.sample(100 * number + sample)]
        own.tar(root / f"train-{number:02d}.tar", pictures)
    place = tmp_path / "tables"
    arguments = ["data", "build", "webdataset", "--root", str(root), "--out", str(place / "made")]
    finish(arguments)
    takes_s = finish(arguments)  # the second run finds everything imported
    whole = tree(place)
    assert len(whole) > 200

    def reset() -> None:
        shutil.rmtree(place, ignore_errors=True)

    def after() -> None:
        table = place / "made"
        assert not table.exists() or tree(table) == {name[5:]: content for name, content in whole.items()}
        finish(arguments)
        assert tree(place) == whole

    kill_at_random(arguments, takes_s, 1, reset, after)


def test_a_killed_rebuild_leaves_the_old_table_or_the_new_one(tmp_path: Path) -> None:
    root = own.webdataset(tmp_path / "root")
    place = tmp_path / "tables"
    arguments = ["data", "build", "webdataset", "--root", str(root), "--out", str(place / "made")]
    finish(arguments)
    whole = tree(place)
    # the state between the two renames, which no kill would hit: the new table is not in place yet, the old is aside
    (place / "made").rename(place / ".made.old")
    (place / ".made.part" / "features").mkdir(parents=True)
    (place / ".made.part" / "items.arrow").write_bytes(b"half")
    finish(arguments)
    assert tree(place) == whole


def test_a_killed_encoding_goes_on_and_gives_the_same_bytes(tmp_path: Path) -> None:
    root, count = tmp_path / "root", 240
    rows = [{"image": f"{number}.png", "text": f"picture {number}", "split": "train"} for number in range(count)]
    own.put(root / "captions.csv", own.as_csv(rows))
    for number in range(count):
        own.put(root / "images" / f"{number}.png", own.picture(number, size=(40, 32)))
    table = build("captions", root, tmp_path / "table").path
    shutil.copytree(table, tmp_path / "before")
    vit = str(tiny_models.vit(tmp_path / "vit"))
    arguments = ["data", "encode", str(table), "--backbone", vit, "--batch-size", "8", "--shard-items", "24"]
    finish(arguments)
    whole = tree(table)

    def reset() -> None:
        shutil.rmtree(table)
        shutil.copytree(tmp_path / "before", table)

    reset()
    takes_s = finish(arguments)
    assert tree(table) == whole  # undisturbed runs agree

    def after() -> None:
        opened = Table(table)
        assert opened.features.keys() <= {"vit"}
        lines = table / "encoding" / "vit" / "shards.jsonl"
        if lines.exists():
            shards.append(sum(line.endswith(b"}") for line in lines.read_bytes().splitlines()))
        finish(arguments)
        assert tree(table) == whole

    shards: list[int] = []
    moments = kill_at_random(arguments, takes_s, 2, reset, after)
    print(json.dumps({"seconds": round(takes_s, 2), "moments": [round(m, 2) for m in moments], "shards": shards}))
