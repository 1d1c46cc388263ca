"""A split ranked in shards has the ranks of one process, for any number of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raytrain.cluster import evaluate as sharded
from raytrain.cluster.evaluate import Shard, evaluate, rank_by_shards, share_images
from raytrain.data.table import Split, Table
from raytrain.errors import UsageError
from raytrain.evaluation.ranking import image_to_text_counts, text_to_image_counts
from raytrain.evaluation.recall import DIRECTIONS
from raytrain.training import embed
from raytrain.training.embed import embed_split, score
from raytrain.training.feed import open_feed
from raytrain.training.fit import build_method, fit
from raytrain.training.run import open_tables
from tests.runs import tiny
from tests.tables import make_table

CPU = torch.device("cpu")


def here(worker: Shard, method: str, *arguments: Any) -> Any:
    return getattr(worker, method)(*arguments)


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
@pytest.mark.parametrize("method", ["dvse", "dive", "scan"])
def test_counts_of_shards_merge_to_those_of_the_matrix(
    shards: int, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches of two images and pieces of three captions, so that a split of ten images has many of both."""
    table = make_table(tmp_path / "table", items=40, texts_per_item=4, ragged=True)
    for module, name, size in ((sharded, "IMAGES_AT_ONCE", 2), (sharded, "PIECE", 3), (embed, "IMAGES_AT_ONCE", 2)):
        monkeypatch.setattr(module, name, size)
    config = tiny(table, tmp_path, method__kind=method)
    split, feed = open_tables(config)["val"], open_feed(config, table)
    assert isinstance(split, Split)
    model = build_method(config, feed)
    workers = [Shard(model, feed, split, CPU, memory_mib=0.001) for _ in range(shards)]
    found = rank_by_shards(workers, split, here, lambda promise: promise)

    scores, owner = score(model, *embed_split(model, split, feed, CPU)), torch.from_numpy(split.item_of_text)
    expected = {"i2t": image_to_text_counts(scores, owner), "t2i": text_to_image_counts(scores, owner)}
    for way in DIRECTIONS:
        assert found[way].ranks().tolist() == expected[way].ranks().tolist()
    opened = [worker for worker in workers if hasattr(worker, "plan")]
    assert len(opened) == min(shards, 5)
    assert max(len(worker.gallery) for worker in opened) <= -(-5 // len(opened)) * 2  # nobody holds the gallery


@pytest.mark.parametrize(("items", "shards"), [(1, 1), (256, 3), (1000, 3), (5000, 2), (700, 9)])
def test_shares_are_of_whole_batches_and_cover_every_image_once(items: int, shards: int) -> None:
    shares = share_images(items, shards)
    assert len(shares) == shards
    assert [n for share in shares for n in range(share.start, share.stop)] == list(range(items))
    assert all(share.start % 256 == 0 or share.start >= items for share in shares)


def test_what_cannot_be_sharded_is_an_error_of_usage_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="any machine holds"):
        evaluate(tmp_path, protocol="coco/1k5f", shards=2)
    with pytest.raises(UsageError, match="at least 0"):
        evaluate(tmp_path, shards=-1)


# its own process: Ray reads its authentication when it is imported, and ends with the process that started it
SCRIPT = """
import json, sys
from raytrain.cluster.connect import ensure_token
ensure_token()
import ray
import torch
from raytrain.cluster.evaluate import evaluate
from raytrain.evaluation.report import read_evaluations, read_ranks
from raytrain.errors import RaytrainError
torch.set_num_threads(1)
ray.init(address="local", num_cpus=3, object_store_memory=100_000_000, include_dashboard=False, log_to_driver=False)
for shards in (0, 1, 2, 3, 4):
    try:
        found = evaluate(sys.argv[1], "test", shards=shards)
        ranks = read_ranks(read_evaluations(sys.argv[1])[-1])
        print(json.dumps({"metrics": found["metrics"], "ranks": {k: v.tolist() for k, v in ranks.items()}}))
    except RaytrainError as error:
        print(json.dumps({"error": str(error)}))
"""


@pytest.mark.cluster
@pytest.mark.slow
def test_ray_gives_the_ranks_of_one_process_with_one_two_and_three_shards(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="needs the extra `ray`")
    table = make_table(tmp_path / "table", items=2800, texts_per_item=3, regions=2, ragged=True)
    config = tiny(table, tmp_path, optim__batch_size=1000, optim__num_epochs=1, method__kind="dive")
    fit(config, open_tables(config))
    assert len(Table(table.path).split("test", allow_test=True)) > 2 * 256  # three batches, so three shards
    short = tempfile.mkdtemp(prefix="rv", dir="/tmp")  # it holds sockets, whose paths may have 107 characters
    try:
        (Path(short) / "token").write_text("0" * 64)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": f"{short}/token",
            "RAY_TMPDIR": short,
            "TMPDIR": short,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(Path(__file__).parents[2]),
        }
        command = [sys.executable, "-c", SCRIPT, str(config.folder)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    finally:
        shutil.rmtree(short, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-3000:]
    here, *there, refused = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(there) == 3
    assert "4 shards need as many CPUs; the cluster has 3" in refused["error"]
    for each in there:
        assert each == here
    assert len(set(np.array(here["ranks"]["t2i"]).tolist())) > 10  # a model that learned something, and not one rank
