"""Published protocols by name on tables that the sources build: their queries, positives, galleries and notes."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from raytrain.data.annotations.items import Item, to_arrow
from raytrain.data.annotations.triplets import Query, to_tables
from raytrain.data.build import build
from raytrain.data.problems import Problems
from raytrain.data.sources import cirr as cirr_source
from raytrain.data.sources import cub as cub_source
from raytrain.data.sources import fashion_iq as fashion_source
from raytrain.data.table import QuerySplit, Table, open_split
from raytrain.data.table.schema import Gallery
from raytrain.data.table.writer import TableWriter
from raytrain.errors import RefusedError, UsageError
from raytrain.evaluation.protocols.cirr import evaluate_cirr, submissions, write_submissions
from raytrain.evaluation.protocols.composed import ComposedQueries
from raytrain.evaluation.protocols.fashion_iq import PUBLISHED, evaluate_fashion, find_fashion
from raytrain.evaluation.protocols.protocols import Result
from raytrain.scoring.composed_queries import composed_queries
from raytrain.scoring.protocol_runner import Scored, queries_for_protocol, split_result
from tests.data.triplets import cirr, dump, fashion_iq
from tests.evaluation.oracles import blocks_of
from tests.scoring.dot import scored
from tests.scoring.published import coco, mentioned, packaged


def test_the_second_order_is_the_other_text_and_the_same_one_where_a_pair_has_one(tmp_path: Path) -> None:
    val = QuerySplit(build("fashion_iq", fashion_iq(tmp_path / "root"), tmp_path / "table"), "val")
    both = queries_for_protocol(val, "fashioniq/val_union")
    assert isinstance(both, QuerySplit)
    texts = val.table.texts["text"].take(both.text).to_pylist()
    assert texts[:2] == ["Is red and has long sleeves", "Is shorter"]
    assert texts[6:8] == ["Has long sleeves and is red", "Is shorter"]
    assert both.reference.tolist() == [*val.reference.tolist(), *val.reference.tolist()]
    assert both.relevant().tolist() == [*val.relevant().tolist(), *val.relevant().tolist()]
    assert queries_for_protocol(val, "fashioniq/original") is val


@packaged
def test_a_table_with_other_ids_asks_nothing_of_coco(tmp_path: Path) -> None:
    root = coco(tmp_path / "root")
    entries = json.loads((root / "dataset_coco.json").read_text())
    for number, entry in enumerate(entries["images"]):
        entry["cocoid"] = number
        for at, sentence in enumerate(entry["sentences"]):
            sentence["sentid"] = 10 * number + at
    dump(root / "dataset_coco.json", entries)
    test = open_split(build("karpathy", root, tmp_path / "table"), "test", True)
    with pytest.raises(RefusedError, match="finds no query in this split that has positives of COCO's test"):
        split_result(scored(test), "partial/coco/eccv")


@packaged
def test_a_method_that_cannot_compare_two_of_a_kind_leaves_these_directions_out(tmp_path: Path) -> None:
    test = open_split(build("karpathy", coco(tmp_path / "root"), tmp_path / "table"), "test", True)
    (tmp_path / "sis_test.csv").write_text("image1,image2,agg_score\n")
    (tmp_path / "sts_test.csv").write_text("caption1,caption2,agg_score\n")
    vectors = scored(test)
    views = Scored(vectors.model, test, vectors.query, vectors.gallery[:, None])
    object.__setattr__(views, "matrix", vectors.matrix)
    assert "cxc/t2t_recall_at_1" in split_result(vectors, "partial/coco/cxc", annotations=tmp_path).metrics
    result = split_result(views, "partial/coco/cxc", annotations=tmp_path)
    assert "cxc/t2t_recall_at_1" not in result.metrics
    assert mentioned(result.notes, "t2t is missing: the method does not compare two of a kind")


def test_what_the_table_lacks_is_told_with_the_result(tmp_path: Path) -> None:
    root = cirr(tmp_path / "root")
    (root / "img_raw" / "dev" / "val-1-img0.png").unlink()  # a member of the second query's set
    val = QuerySplit(build("cirr", root, tmp_path / "table", allow_missing=0.1), "val")
    result = split_result(scored(val), "partial/cirr/val")
    assert result.queries["query"] == 1
    assert mentioned(result.notes, "1 queries instead of 4,181, 7 images instead of 2,297")
    lacks = "the table lacks 1 of 24 annotated images (1 of 8 in val) and 1 of 6 annotated queries (1 of 2 in val)"
    assert mentioned(result.notes, f"{lacks}: 1 not found; it was built with allow_missing=0.1")


def test_a_benchmark_is_not_asked_of_another_source(tmp_path: Path) -> None:
    val = QuerySplit(build("cirr", cirr(tmp_path / "root"), tmp_path / "table"), "val")
    with pytest.raises(UsageError, match="source cirr: it is for those of fashion_iq"):
        split_result(scored(val), "partial/fashioniq/original")
    with pytest.raises(UsageError, match=r"no protocol 'coco/5k' for composed queries.*fashioniq/val_union.*cirr/val"):
        split_result(scored(val), "coco/5k")


@pytest.mark.parametrize("name", ["coco/eccv", "cub/unseen", "coco/1k5f", "cirr/val", "nonsense"])
def test_a_protocol_that_cannot_be_is_refused_before_anything_is_embedded(name: str, table: Table) -> None:
    with pytest.raises((RefusedError, UsageError), match=name):
        queries_for_protocol(table.split("val"), name)


def test_a_missing_package_is_told_before_anything_is_embedded(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match="raytrain\\[eval\\]"):
        queries_for_protocol(table.split("test", allow_test=True), "partial/coco/cxc")


def test_a_protocol_of_another_split_is_refused_by_the_functions_too(table: Table, tmp_path: Path) -> None:
    val = table.split("val")
    for name in ("split/test", "karpathy/train", "class/test", "coco/1k5f", "partial/coco/eccv", "flickr30k/1k"):
        for call in (queries_for_protocol, lambda split, name: split_result(scored(split), name)):
            with pytest.raises(UsageError, match=f"protocol {name} is of split"):
                call(val, name)
    root = cirr(tmp_path / "root")
    train = QuerySplit(build("cirr", root, tmp_path / "table"), "train")
    with pytest.raises(UsageError, match="partial/cirr/val is of split 'val', and split 'train'"):
        queries_for_protocol(train, "partial/cirr/val")


def written(path: Path, source: str, items: list[Item], queries: list[Query], gallery: Gallery = "split") -> Table:
    """A table of annotations without their photos, which evaluation never opens; as the source writes it with them."""
    with TableWriter(path, {"name": source}) as writer:
        writer.write(*(to_tables(items, queries) if queries else to_arrow(items)), gallery=gallery)
    return Table(path)


def check_missing_one(queries: ComposedQueries, evaluated: Any) -> None:
    """One image fewer has no right to the published name."""
    fewer = ComposedQueries(
        queries.reference,
        queries.targets,
        queries.subset,
        queries.part[:-1],
        queries.parts,
        queries.query_ids,
        queries.item_ids[:-1],
    )
    with pytest.raises(RefusedError, match="instead of"):
        evaluated(fewer)


def test_the_real_fashion_iq_has_the_published_galleries(real_data: Path, tmp_path: Path) -> None:
    folder, problems = real_data / "fashioniq", Problems()
    items, queries = [], []
    for category in PUBLISHED:
        items += fashion_source.read_images(folder, category, "val", ".jpg", problems)[0]
        queries += fashion_source.read_pairs(folder, category, "val", problems)
    val = QuerySplit(written(tmp_path / "table", "fashion_iq", items, queries, "group"), "val")
    results: dict[str, Result] = {}
    for name in ("original", "original-masked", "val_union", "val_union-kept-one"):
        queries_of = queries_for_protocol(val, f"fashioniq/{name}")
        results[name] = split_result(scored(queries_of), f"fashioniq/{name}")
    once = {"dress": 2017, "shirt": 2038, "toptee": 1961}
    assert results["original"].queries == results["val_union-kept-one"].queries == once
    assert results["val_union"].queries == {category: 2 * number for category, number in once.items()}
    assert results["original"].gallery == {"dress": 3817, "shirt": 6346, "toptee": 5373}
    assert results["original-masked"].gallery == {"dress": 3816, "shirt": 6345, "toptee": 5372}
    assert results["val_union-kept-one"].gallery == {"dress": 2628, "shirt": 3089, "toptee": 2902}
    assert results["val_union"].gallery == {"dress": 2627, "shirt": 3088, "toptee": 2901}
    # random embeddings score chance, k of each gallery
    metrics = results["val_union"].metrics
    assert metrics["fashioniq_val_union/dress_recall_at_50"] == pytest.approx(100 * 50 / 2627, abs=2.5)

    protocol = find_fashion("fashioniq/original")
    assert protocol is not None
    check_missing_one(
        composed_queries(val), lambda fewer: evaluate_fashion(blocks_of(torch.zeros(1, 1)), fewer, protocol)
    )


def test_the_real_cirr_has_the_published_gallery_and_files_that_its_server_takes(
    real_data: Path, tmp_path: Path
) -> None:
    folder, problems = real_data / "cirr", Problems()
    items = [item for split in ("val", "test1") for item in cirr_source.read_images(folder, split, problems)[0]]
    queries = [query for split in ("val", "test1") for query in cirr_source.read_pairs(folder, split, problems)]
    table = written(tmp_path / "table", "cirr", items, queries)
    val = QuerySplit(table, "val")
    result = split_result(scored(val), "cirr/val")
    assert result.queries == {"query": 4181, "subset": 4181}
    assert result.gallery == {"query": 2296, "subset": 5}
    assert result.metrics["cirr/subset_recall_at_1"] == pytest.approx(20, abs=2.5)
    assert result.metrics["cirr/recall_at_50"] == pytest.approx(100 * 50 / 2296, abs=1.5)
    check_missing_one(composed_queries(val), lambda fewer: evaluate_cirr(blocks_of(torch.zeros(1, 1)), fewer))

    test = QuerySplit(table, "test", allow_test=True)
    positions = composed_queries(test)
    for path in write_submissions(submissions(scored(test).blocks(), positions), tmp_path):
        assert path.stat().st_size < 5_000_000
        document = json.loads(path.read_text())
        assert len(document) == 4148 + 2
        number = 50 if document["metric"] == "recall" else 3
        for row, identity in enumerate(positions.query_ids):
            names = document[identity]
            assert len(set(names)) == number
            assert positions.item_ids[int(positions.reference[row])] not in names
    assert positions.query_ids[0] == "12063"


@pytest.mark.slow
def test_the_real_cub_has_the_published_unseen_gallery(real_data: Path, tmp_path: Path) -> None:
    birds = cub_source._from_json(real_data / "cub" / "dataset_cub_captions.json", Problems())
    # what the captions say is not asked here, and a short one is quickly tokenised
    items = [
        replace(item, split="test", texts=[(name, "a bird") for name, _ in item.texts])
        for item in birds.items
        if birds.side[item.group] == "test"
    ]
    test = written(tmp_path / "table", "cub", items, []).split("test", allow_test=True)
    result = split_result(scored(test), "cub/unseen")
    assert result.queries == {"i2t": 2933, "t2i": 29330}
    assert result.gallery == {"i2t": 29330, "t2i": 2933}
    assert result.metrics["class/r_precision"] == pytest.approx(2, abs=0.5)  # one of 50 species
    with pytest.raises(UsageError, match="cub/seen is of split 'val'"):
        split_result(scored(test), "cub/seen")
