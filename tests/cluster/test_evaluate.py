"""A split ranked in shards has the ranks of one process, for any number of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raytrain.cluster import evaluate as sharded
from raytrain.cluster.evaluate import Shard, evaluate_by_shards, rank_by_shards, share_images
from raytrain.data.table import Split, Table
from raytrain.errors import UsageError
from raytrain.evaluation.ranking.counts import image_to_text_counts, text_to_image_counts
from raytrain.evaluation.ranking.recall import DIRECTIONS
from raytrain.methods.dvse import DVSE
from raytrain.scoring import embed
from raytrain.scoring.embed import embed_split, score
from raytrain.scoring.feed import open_feed
from raytrain.training.build import build_method
from raytrain.training.fit import fit
from raytrain.training.run import open_tables
from tests.ray_cluster import LocalCluster
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
    result = rank_by_shards(workers, split, here, lambda promise: promise)

    scores, owner = score(model, *embed_split(model, split, feed, CPU)), torch.from_numpy(split.item_of_text)
    expected = {"i2t": image_to_text_counts(scores, owner), "t2i": text_to_image_counts(scores, owner)}
    for way in DIRECTIONS:
        assert result[way].ranks().tolist() == expected[way].ranks().tolist()
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
        evaluate_by_shards(tmp_path, "val", "coco/1k5f", shards=2)
    with pytest.raises(UsageError, match="at least 1"):
        evaluate_by_shards(tmp_path, "val", None, shards=-1)
    for split, protocol in (("val", "split/test"), ("val", "coco/5k"), ("test", "karpathy/val")):
        with pytest.raises(UsageError, match=f"protocol {protocol} is of split"):
            evaluate_by_shards(tmp_path, split, protocol, shards=2)


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_shards_rank_no_scores_of_half_precision(
    precision: torch.dtype, table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny(table, tmp_path)
    split, feed = open_tables(config)["val"], open_feed(config, table)
    assert isinstance(split, Split)
    similarity = DVSE.similarity
    monkeypatch.setattr(DVSE, "similarity", lambda *given: similarity(*given).to(precision))
    shard = Shard(build_method(config, feed), feed, split, CPU, memory_mib=1.0)
    with pytest.raises(UsageError, match=r"DVSE\.similarity gives"):
        rank_by_shards([shard], split, here, lambda promise: promise)


SCRIPT = """
import json, sys
import torch
from raytrain.cluster.evaluate import evaluate_by_shards
from raytrain.run_evaluation.evaluate import evaluate_run
from raytrain.evaluation.report import read_evaluations, read_ranks
from raytrain.errors import RaytrainError
torch.set_num_threads(1)
for shards in (0, 2, 3):
    try:
        run = sys.argv[1]
        found = evaluate_by_shards(run, "test", None, shards) if shards else evaluate_run(run, "test")
        ranks = read_ranks(read_evaluations(sys.argv[1])[-1])
        print(json.dumps({"metrics": found["metrics"], "ranks": {k: v.tolist() for k, v in ranks.items()}}))
    except RaytrainError as error:
        print(json.dumps({"error": str(error)}))
"""


@pytest.mark.cluster
@pytest.mark.slow
def test_ray_gives_the_ranks_of_one_process_with_shards_on_two_nodes(cluster: LocalCluster, tmp_path: Path) -> None:
    table = make_table(tmp_path / "table", items=2100, texts_per_item=3, regions=2, ragged=True)
    config = tiny(table, tmp_path, optim__batch_size=1000, optim__num_epochs=1, method__kind="dive")
    fit(config, open_tables(config))
    assert len(Table(table.path).split("test", allow_test=True)) > 2 * 256  # three batches, so shards of two and of one
    done = cluster.run("-c", SCRIPT, str(config.folder))
    assert done.returncode == 0, done.stdout + done.stderr
    here, there, refused = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert "3 shards need as many CPUs; the cluster has 2" in refused["error"]
    assert there == here
    assert len(set(np.array(here["ranks"]["t2i"]).tolist())) > 10  # a model that learned something, and not one rank
