"""Evaluation files: their names and contents, intervals of every metric, and what is lost or broken."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from raytrain.errors import UsageError
from raytrain.evaluation.protocols.composed import ComposedQueries, evaluate_composed
from raytrain.evaluation.protocols.many_to_many import evaluate_relevance
from raytrain.evaluation.protocols.protocols import Protocol, Result, evaluate, find_protocol
from raytrain.evaluation.protocols.relevance import of_pairs
from raytrain.evaluation.report import (
    digest,
    digest_of,
    evaluation_name,
    read_evaluations,
    read_ranks,
    write_evaluation,
)
from raytrain.evaluation.reranking.fast_reranking import Temperatures
from tests.evaluation.oracles import blocks_of

FACTS = {
    "split": "test", "fingerprint": "f" * 64, "checkpoint": "best", "seed": 0, "commit": "abc", "uid": "r",
    "test_openings": 1,
}  # fmt: skip
FIVE_FOLDS = Protocol("coco/1k5f", items=20, texts=60, folds=5)


def scores(images: int = 20, per_image: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    owner = torch.arange(images).repeat_interleave(per_image)
    right = (owner[:, None] == torch.arange(images)).float()
    return right + torch.randn(images * per_image, images, generator=generator), owner


def test_an_evaluation_file_keeps_what_a_comparison_needs(tmp_path: Path) -> None:
    similarity, owner = scores()
    plain = evaluate(similarity, owner, "karpathy/test")
    again = evaluate(similarity, owner, "karpathy/test", Temperatures("cross", 20.0, None))
    folded = evaluate(similarity, owner, FIVE_FOLDS)
    written = [write_evaluation(tmp_path, result, FACTS).name for result in (plain, again, folded)]
    assert written == ["test.json", "test.rerank.json", "test.coco-1k5f.json"]
    assert not list((tmp_path / "evaluation").glob("*.part*"))

    (tmp_path / "evaluation" / "similarity_val.json").write_text(json.dumps({"split": "val"}))
    documents = {Path(document_of["file"]).name: document_of for document_of in read_evaluations(tmp_path)}
    assert set(documents) == set(written)
    document = documents["test.json"]
    assert document["metrics"] == pytest.approx(dict(plain.metrics))
    low, high = document["intervals"]["rsum"]
    assert low < document["metrics"]["rsum"] < high
    assert (document["transductive"], documents["test.rerank.json"]["transductive"]) == (False, True)
    assert documents["test.rerank.json"]["rerank"] == {"mode": "cross", "i2t": 20.0, "t2i": None, "beta": 1.0}
    ranks = read_ranks(document)
    assert ranks is not None
    assert ranks["t2i"].tolist() == plain.ranks["t2i"].tolist()
    np.testing.assert_array_equal(ranks["item_of_text"], owner)


def test_an_evaluation_without_its_facts_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fingerprint"):
        write_evaluation(tmp_path, evaluate(*scores(), "split/test"), {"split": "test"})
    assert list(tmp_path.iterdir()) == []


def eccv() -> Result:
    """Two images and five texts, of which some queries have no positive."""
    similarity = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.2, 0.6], [0.1, 0.5]])
    pairs = {"i2t": {"1": ["a", "c", "e"], "2": ["d"]}, "t2i": {"a": ["1"], "e": ["1"]}}
    ids = {"i": ["1", "2"], "t": list("abcde")}
    positives = {name: of_pairs(pairs[name], ids[name[0]], ids[name[2]]) for name in pairs}
    return evaluate_relevance(similarity, torch.tensor([0, 0, 1, 1, 1]), find_protocol("partial/coco/eccv"), positives)


def test_an_evaluation_file_has_an_interval_of_every_metric(tmp_path: Path) -> None:
    assert write_evaluation(tmp_path, eccv(), FACTS).name == "test.partial-coco-eccv.json"
    (document,) = read_evaluations(tmp_path)
    assert document["headline"] == "eccv/map_at_r"
    assert set(document["intervals"]) == set(document["metrics"])
    assert document["interval_over"] == "images; training noise not covered"
    low, high = document["intervals"]["eccv/map_at_r"]
    assert low <= document["metrics"]["eccv/map_at_r"] <= high


def test_composed_queries_keep_their_ranks_and_references(tmp_path: Path) -> None:
    similarity = torch.rand(6, 9, generator=torch.Generator().manual_seed(0))
    ids = [str(position) for position in range(9)]
    reference, targets = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([[3], [4], [5], [6], [7], [8]])
    queries = ComposedQueries(
        reference, targets, torch.full((6, 1), -1), torch.zeros(9, dtype=torch.int64), [""], ids[:6], ids
    )
    result = evaluate_composed(blocks_of(similarity), queries, "split/val")
    write_evaluation(tmp_path, result, {**FACTS, "split": "val"})
    (document,) = read_evaluations(tmp_path)
    assert Path(document["file"]).name == "val.json"
    ranks = read_ranks(document)
    assert ranks is not None
    assert set(ranks) == {"query", "reference", "target", *(f"gallery/recall_at_{k}" for k in (1, 10, 50))}
    assert ranks["gallery/recall_at_1"].shape == (100, 16)
    assert document["interval_over"] == "queries and gallery items; training noise not covered"
    assert ranks["query"].tolist() == result.ranks["query"].tolist()
    assert ranks["reference"].tolist() == reference.tolist()


def test_names_say_what_differs_from_the_whole_split_as_it_is() -> None:
    similarity, owner = scores(4)
    plain = evaluate(similarity, owner, "split/val")
    assert evaluation_name("val", plain) == "val"
    assert evaluation_name("test", plain) == "test.split-val"
    re_ranked = Result("split/val", {}, {}, {}, rerank=Temperatures("cross", None, 20.0))
    assert evaluation_name("val", re_ranked) == "val.rerank"
    inductive = Result("coco/5k", {}, {}, {}, rerank=Temperatures("cross", None, 20.0, t2i_bank=5))
    assert evaluation_name("test", inductive) == "test.coco-5k.inductive"


def test_files_that_are_no_evaluations_are_left_out_and_lost_ranks_are_none(tmp_path: Path) -> None:
    assert read_evaluations(tmp_path) == []
    path = write_evaluation(tmp_path, eccv(), FACTS)
    folder = path.parent
    (folder / "a.json").write_text("{")
    (folder / "b.json").write_text("[]")
    (folder / "c.json").write_bytes(b"\xff")
    (folder / "d.json").write_text(json.dumps({"schema": 99, "metrics": {}}))
    (document,) = read_evaluations(tmp_path)
    assert document["file"] == str(path)
    (folder / document["ranks"]).write_bytes(b"no archive")
    assert read_ranks(document) is None
    (folder / document["ranks"]).unlink()
    assert read_ranks(document) is None


def test_scores_of_one_split_are_never_filed_under_another(tmp_path: Path) -> None:
    for protocol, split in (
        ("split/test", "val"),
        ("karpathy/val", "test"),
        ("coco/5k", "val"),
        ("split/val", "train"),
    ):
        with pytest.raises(UsageError, match=f"protocol {protocol} is of split"):
            write_evaluation(tmp_path, Result(protocol, {}, {}, {}), FACTS | {"split": split})
    assert list(tmp_path.iterdir()) == []


def test_the_digest_is_of_the_content_and_not_of_its_layout(tmp_path: Path) -> None:
    path = write_evaluation(tmp_path, evaluate(*scores(), "split/test"), FACTS)
    document = json.loads(path.read_text())
    assert digest(document) == digest_of(path) == digest(read_evaluations(tmp_path)[0])
    path.write_text(json.dumps(dict(reversed(document.items()))))
    assert digest_of(path) == digest(document)
    assert digest(document | {"seed": 1}) != digest(document)
