"""Disks that are full, without inodes, or read-only: a clear error, the last good state, and going on afterwards."""

from __future__ import annotations

import contextlib
import json
import re
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from raytrain.cli.main import main
from raytrain.config import override, to_yaml
from raytrain.data.build import build
from raytrain.data.encode.encode import encode
from raytrain.data.encode.jobs import Done, Job, Work, in_process
from raytrain.data.table import Table
from raytrain.errors import DiskFullError
from raytrain.tracking.journal import Journal
from raytrain.training import checkpoint
from raytrain.training.fit import fit
from raytrain.training.run import open_tables, train
from tests.data.pictures import entry, karpathy
from tests.encoders import tiny_models
from tests.faults.test_kills import epochs, wait_for
from tests.ray_cluster import LocalCluster
from tests.runs import small_run
from tests.tables import make_table

pytestmark = pytest.mark.faults


@contextlib.contextmanager
def mounted(place: Path, options: str) -> Iterator[Path]:
    """An empty file system in the memory, with these options of `mount`."""
    place.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of 2 MB."""
    with mounted(tmp_path / "disk", "size=2m") as place:
        yield place


def fill(place: Path) -> Path:
    """A file that takes all the room there is."""
    ballast = place / "ballast"
    with open(ballast, "ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"\0" * 4096)
    assert shutil.disk_usage(place).free == 0
    return ballast


@contextlib.contextmanager
def files_up_to(limit_bytes: int) -> Iterator[None]:
    """No file of this process grows beyond a limit: what a quota does, where nothing can be mounted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def vit(tmp_path: Path) -> str:
    return str(tiny_models.vit(tmp_path / "vit"))


def pictures(place: Path, root: Path, count: int = 60) -> Path:
    """A table there, of images elsewhere. Its features take 544 bytes an image: 17 x 16 in fp16."""
    return build("karpathy", karpathy(root, [entry(n, "train") for n in range(count)]), place / "table").path


def test_encoding_stops_when_the_disk_fills_up_and_goes_on_when_there_is_room(
    disk: Path, tmp_path: Path, vit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pictures(disk, tmp_path / "root")
    encode(table, vit, name="first", progress=None)
    before = Table(table)

    def disk_fills_up(job: Job, shards: Iterable[list[Work]]) -> Iterator[Done]:
        for batch, done in enumerate(in_process(job, shards)):
            if batch == 6:
                fill(disk)
            yield done

    options = {"name": "second", "batch_size": 4, "shard_items": 8, "progress": None}
    with pytest.raises(DiskFullError) as caught:
        encode(table, vit, map_batches=disk_fills_up, **options)  # type: ignore[arg-type]
    assert str(table) in str(caught.value)
    assert "disk is full" in str(caught.value)
    assert Table(table).description == before.description
    assert main(["data", "encode", str(table), "--backbone", vit, "--name", "third"]) == 75
    assert str(table) in capsys.readouterr().err
    (disk / "ballast").unlink()
    done = encode(table, vit, **options)  # type: ignore[arg-type]
    assert done["taken_up"] == 24
    again = encode(table, vit, name="whole", batch_size=4, shard_items=8, progress=None)
    features = Table(table).features
    assert again["taken_up"] == 0
    assert features["second"].sha256 == features["whole"].sha256
    assert not (table / "encoding").exists()


def test_what_cannot_fit_is_told_before_anything_is_encoded(
    disk: Path, tmp_path: Path, vit: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = pictures(disk, tmp_path / "root")
    ballast = fill(disk)
    with open(ballast, "rb+") as file:
        file.truncate(ballast.stat().st_size - 24_576)
    assert main(["data", "encode", str(table), "--backbone", vit]) == 75
    said = capsys.readouterr().err
    assert str(table / "encoding" / "vit") in said
    assert re.search(r"takes [\d.]+ kB and [\d.]+ kB are free there: [\d.]+ kB are missing", said)
    assert "images" not in said  # no line of progress
    assert not (table / "encoding").exists()


def test_a_limit_on_files_is_told_and_lifted(tmp_path: Path, vit: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = pictures(tmp_path, tmp_path / "root")
    with files_up_to(20_000):
        assert main(["data", "encode", str(table), "--backbone", vit]) == 75
    said = capsys.readouterr().err
    assert str(table) in said
    assert "ulimit -f" in said
    assert not (table / "encoding").exists()
    assert main(["data", "encode", str(table), "--backbone", vit]) == 0


@pytest.mark.parametrize("limit_bytes", [1_000, 60_000], ids=["weights", "state"])
def test_a_checkpoint_that_does_not_fit_leaves_the_last_one(tmp_path: Path, limit_bytes: int) -> None:
    """Weights are written by safetensors, the state by torch: each tells a full disk in its own way."""
    import torch

    config = override(small_run(tmp_path), {"name": "full"})
    facts = {"epoch": 1, "step": 1, "metrics": {}, "selected": 1.0, "fingerprint": ""}
    weights, state = {"a": torch.zeros(1000)}, {"b": torch.zeros(100_000)}
    first = checkpoint.save(tmp_path / "run", config, weights, state, facts)
    with files_up_to(limit_bytes), pytest.raises(DiskFullError) as caught:
        checkpoint.save(tmp_path / "run", config, weights, state, facts | {"step": 2})
    assert str(tmp_path / "run") in str(caught.value)
    assert "checkpoint_00000002" in str(caught.value)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [first.name]
    checkpoint.load(first)


def use_up_inodes(place: Path) -> Path:
    """A folder of as many empty files as the file system takes."""
    ballast = place / "ballast"
    ballast.mkdir()
    with contextlib.suppress(OSError):
        for number in range(10_000):
            (ballast / str(number)).touch()
    assert shutil.disk_usage(place).free > 0
    return ballast


@pytest.mark.parametrize(("options", "use_up"), [("size=2m", fill), ("size=20m,nr_inodes=60", use_up_inodes)])
def test_training_goes_on_from_the_last_checkpoint_once_there_is_room(
    options: str, use_up: Callable[[Path], Path], tmp_path: Path
) -> None:
    with mounted(tmp_path / "disk", options) as disk:
        goes_on_once_there_is_room(disk, use_up, tmp_path)


def goes_on_once_there_is_room(disk: Path, use_up: Callable[[Path], Path], tmp_path: Path) -> None:
    config = override(small_run(tmp_path), {"name": "run"})
    fit(config, open_tables(config))
    whole = checkpoint.latest(config.folder)
    assert whole is not None
    full = override(config, {"storage": str(disk)})
    ballast = []

    def report(metrics: dict[str, float], folder: Path | None) -> None:
        if not ballast:
            ballast.append(use_up(disk))

    with pytest.raises(DiskFullError) as caught:
        fit(full, open_tables(full), report)
    assert caught.value.exit_code == 75
    assert str(full.folder) in str(caught.value)
    assert [path.name for path in checkpoint.complete(full.folder)] == [min(p.name for p in full.folder.glob("ch*"))]
    shutil.rmtree(ballast[0]) if ballast[0].is_dir() else ballast[0].unlink()
    train(full)
    ended = checkpoint.latest(full.folder)
    assert ended is not None
    assert (ended / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    events = Journal(full.folder).read()
    assert [event["epoch"] for event in events if event["event"] == "epoch"] == [1, 2, 3]
    assert events[-1]["status"] == "finished"


READ_ONLY: dict[str, tuple[list[str], int]] = {
    "train": (["train", "{recipe}", "name=second", "--tracking", "none"], 1),
    "sweep": (["sweep", "dvse_core", "--recipe", "{recipe}", "--trials", "1", "--tracking", "none"], 1),
    "evaluate": (["evaluate", "{run}"], 1),
    "rerank": (["rerank", "{run}"], 1),
    "leaderboard": (["leaderboard", "--storage", "{storage}"], 1),
    "leaderboard elsewhere": (["leaderboard", "--storage", "{storage}", "--out", "{elsewhere}"], 0),
    "cost": (["cost", "--storage", "{storage}"], 0),
    "track sync": (["track", "sync", "--storage", "{storage}", "--experiment", "small"], 1),
    "track sync elsewhere": (
        ["track", "sync", "--storage", "{storage}", "--experiment", "small", "--uri", "sqlite:///{elsewhere}.db"], 0,
    ),
}  # fmt: skip
"""{name: (command, exit code)} on a storage that cannot be written to."""


def test_verbs_that_read_work_on_a_read_only_storage_and_the_others_name_it(
    disk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], no_cluster: None
) -> None:
    make_table(tmp_path / "table", items=64)
    config = override(small_run(tmp_path, 1, batch_size=64), {"name": "run", "storage": str(disk / "runs")})
    (tmp_path / "recipe.yaml").write_text(to_yaml(config))
    fit(config, open_tables(config))
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    places = {"recipe": tmp_path / "recipe.yaml", "run": config.folder, "storage": disk / "runs"}
    ended = {}
    for name, (command, _) in READ_ONLY.items():
        code = main([word.format_map(places | {"elsewhere": tmp_path / "out"}) for word in command])
        message = capsys.readouterr().err.lower()
        named = str(disk) in message and ("read-only" in message or "cannot be written" in message)
        ended[name] = code if code == 0 or named else message
    assert ended == {name: code for name, (_, code) in READ_ONLY.items()}


@pytest.mark.cluster
@pytest.mark.slow
def test_a_sweep_whose_storage_fills_up_stops_and_goes_on_once_there_is_room(
    cluster: LocalCluster, disk: Path, tmp_path: Path
) -> None:
    make_table(tmp_path / "table", items=64)
    config = override(small_run(tmp_path, num_epochs=20, batch_size=64), {"storage": str(disk)})
    (tmp_path / "run.yaml").write_text(to_yaml(config))
    first, second = (disk / "small" / f"full-t00{number}" for number in range(2))
    command = ["-m", "raytrain.cli", "sweep", "dvse_core", "--recipe", str(tmp_path / "run.yaml"), "--trials", "2"]
    command += ["--concurrent", "1", "--grace-epochs", "20", "--rerank-trials", "0", "--tracking", "none", "--json"]
    process = cluster.python(*command, "--name", "full")
    wait_for(lambda: len(epochs(second)) >= 2, process)
    ballast = fill(disk)
    out, err = process.communicate(timeout=180)
    assert len(epochs(second)) < 20  # it was full in the middle of the trial
    assert process.returncode == 75, out + err
    assert "the disk is full" in err
    assert "go on with --resume full" in err
    before = Journal(first).read()
    ballast.unlink()
    done = cluster.run(*command, "--resume", "full")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["trials"] == {"total": 2, "complete": 2, "pruned": 0, "failed": 0}
    assert Journal(first).read() == before
    assert epochs(second) == list(range(1, 21))
    lines = (disk / "small" / "full" / "study.journal").read_bytes().splitlines(keepends=True)
    assert all(json.loads(line) and line.endswith(b"\n") for line in lines)
