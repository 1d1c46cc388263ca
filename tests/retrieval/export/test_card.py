"""The model card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrain.retrieval.export.card import model_card
from raytrain.retrieval.portable.description import Description

hub = pytest.importorskip("huggingface_hub", reason="needs the extra `export`")

EVALUATION: dict[str, Any] = {
    "split": "test", "protocol": "coco/5k", "headline": "rsum", "interval_level": 0.95,
    "metrics": {"test/rsum": 312.4, "test/i2t/recall_at_1": 51.25, "test/i2t/median_rank": 1.0},
    "intervals": {"rsum": [305.1, 319.8]},
}  # fmt: skip


def described(with_gallery: Path, **facts: Any) -> Description:
    description = Description.read(with_gallery)
    changed = {"provenance": {**description.provenance, **facts}}
    return Description.model_validate({**description.model_dump(by_alias=True), **changed})


def test_the_index_holds_metrics_with_split_protocol_and_data(with_gallery: Path) -> None:
    text = model_card(described(with_gallery, evaluations=[EVALUATION]), "apache-2.0")
    card = hub.ModelCard(text)
    assert card.data.license == "apache-2.0" and card.data.library_name == "raytrain"
    results = {result.metric_name: result for result in card.data.eval_results}
    assert results.keys() == {"rsum", "i2t/recall_at_1"}
    recall = results["i2t/recall_at_1"]
    assert (recall.metric_value, recall.dataset_split) == (51.25, "test")
    assert "test/coco-5k, fingerprint" in recall.dataset_name
    assert "305.10 to 319.80" in text and "One seed" in text


def test_seeds_of_the_sweep_are_stated(with_gallery: Path) -> None:
    seeds = {"values": [9.0, 11.0], "mean": 10.0, "std": 1.4}
    text = model_card(described(with_gallery, evaluations=[EVALUATION], seeds=seeds), None)
    assert "2 seeds: mean 10.00" in text and "standard deviation 1.40" in text


def test_what_nobody_measured_or_stated_is_said(with_gallery: Path) -> None:
    text = model_card(Description.read(with_gallery), None)
    assert "no independent number" in text and "No licence of the weights is stated" in text
    assert "model-index" not in text


def test_names_out_of_the_data_are_no_markup(with_gallery: Path) -> None:
    data = Description.read(with_gallery).provenance["data"]
    hostile = {**data, "attributions": ["<script>alert(1)</script> [x](javascript:1)"], "table": "a|b\n# title"}
    text = model_card(described(with_gallery, data=hostile), None)
    assert "<script>" not in text and "\n# title" not in text and "[x](java" not in text
