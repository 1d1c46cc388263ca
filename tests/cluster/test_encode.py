"""Encoding over Ray Data equals encoding in one process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.cluster.encode import encode_on_ray
from raytrain.data.build import build
from raytrain.data.table import Table
from raytrain.errors import UsageError
from tests.data.pictures import entry, karpathy
from tests.encoders import tiny_models
from tests.ray_cluster import LocalCluster

SCRIPT = """
import json, sys
from raytrain.cluster.connect import connect
from raytrain.cluster.encode import encode_on_ray
from raytrain.data.encode.encode import encode
from raytrain.errors import RaytrainError

connect()
import torch
torch.set_num_threads(1)  # as Ray's workers have; sums in another order differ in the last bit
from raytrain.data.encode.jobs import in_process

def stops(job, shards):
    for batch, done in enumerate(in_process(job, shards)):
        if batch == 3:
            raise KeyboardInterrupt  # a shard of two batches is complete, and half of another
        yield done

for call in json.loads(sys.argv[1]):
    try:
        stopping = {"map_batches": stops} if call["options"].pop("stops", False) else {}
        run = encode_on_ray if call["options"].get("workers") else encode
        result = run(*call["args"], progress=None, batch_size=2, shard_items=4, **stopping, **call["options"])
        print(json.dumps(result["taken_up"]))
    except KeyboardInterrupt:
        print(json.dumps("stopped"))
    except RaytrainError as error:
        print(json.dumps([str(error), [[p.file, p.row] for p in getattr(error, "problems", [])]]))
"""


@pytest.mark.cluster
def test_ray_gives_the_features_of_one_process_bit_for_bit_and_lists_broken_images(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    table = build("karpathy", karpathy(tmp_path / "root", [entry(n, "train") for n in range(9)]), tmp_path / "table")
    broken = build("karpathy", karpathy(tmp_path / "b", [entry(n, "train") for n in range(5)]), tmp_path / "broken")
    (broken.image_root / "3.jpg").write_text("no picture")
    vit, bert = str(tiny_models.vit(tmp_path / "vit")), str(tiny_models.bert(tmp_path / "bert"))

    def call(path: Path, model: str, **options: object) -> dict[str, object]:
        return {"args": [str(path), model], "options": options}

    calls = [
        call(table.path, vit, name="vit_here"),
        call(table.path, bert, name="bert_here"),
        call(table.path, bert, name="bert_there", workers=1),
        call(table.path, vit, name="vit_there", stops=True),
        call(table.path, vit, name="vit_there", workers=2),
        call(broken.path, vit, workers=1),
        call(table.path, vit, name="x", workers=50),
    ]
    done = cluster.run("-c", SCRIPT, json.dumps(calls))
    assert done.returncode == 0, done.stdout + done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith(('"', "[", "0", "4"))]
    assert answers[:3] == [0] * 3
    assert answers[3:5] == ["stopped", 4]  # Ray goes on with the shards of one process
    assert answers[5][1] == [[str(broken.image_root / "3.jpg"), 3]]
    assert Table(broken.path).features == {}
    assert "50 workers need as many CPUs" in answers[6][0]
    features = Table(table.path).features
    for name in ("vit", "bert"):
        assert features[f"{name}_here"].sha256 == features[f"{name}_there"].sha256
    assert features["vit_there"].sha256 == features["vit_here"].sha256
    assert not (table.path / "encoding").exists()


def test_a_negative_number_of_workers_is_an_error_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="workers"):
        encode_on_ray(tmp_path, "lite0", workers=-1)
