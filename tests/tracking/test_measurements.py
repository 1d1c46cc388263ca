"""Names of what was measured: by split and protocol, apart from the training curve."""

from __future__ import annotations

from typing import Any

import pytest

from raytrain.tracking.measurements import evaluation_metrics, headline, place_of, rerank_metrics


def evaluation(split: str, protocol: str | None, kind: str = "", **more: Any) -> dict[str, Any]:
    metrics = {f"{kind}{split}/i2t/recall_at_1": 40.0, f"{kind}{split}/rsum": 312.4}
    return {"event": "evaluation", "time": 1.0, "split": split, "protocol": protocol, "metrics": metrics, **more}


@pytest.mark.parametrize(
    ("split", "protocol", "kind", "place"),
    [
        ("test", "split/test", "", "test/split"),
        ("test", None, "", "test/split"),  # of journals that did not name it
        ("val", "karpathy/val", "", "val/karpathy"),
        ("test", "coco/5k", "", "test/coco-5k"),
        ("test", "partial/coco/1k5f", "", "test/partial-coco-1k5f"),
        ("test", "split/test", "rerank/", "rerank/test/split"),
        ("test", "split/test", "inductive/", "inductive/test/split"),
        ("a.b", "class/a.b", "", "a.b/class"),
    ],
)
def test_a_metric_names_its_split_and_protocol(split: str, protocol: str | None, kind: str, place: str) -> None:
    event = evaluation(split, protocol, kind)
    assert place_of(event) == place
    values = {name: value for name, value in evaluation_metrics(event).items() if name != "test/openings"}
    assert values == {f"{place}/i2t/recall_at_1": 40.0, f"{place}/rsum": 312.4}


def test_intervals_and_openings_stand_beside_their_metrics() -> None:
    shown = {"headline": "rsum", "intervals": {"rsum": [305.1, 319.8]}, "interval_level": 0.95}
    event = evaluation("test", "coco/5k", "rerank/", test_openings=3, **shown)
    values = evaluation_metrics(event)
    assert (values["rerank/test/coco-5k/interval/rsum_low"], values["rerank/test/coco-5k/interval/rsum_high"]) == (
        305.1,
        319.8,
    )
    assert values["test/openings"] == 3
    assert headline(event) == "rsum 312.40 (95 % 305.10 to 319.80)"
    assert headline(evaluation("test", "coco/5k", headline="rsum")) == "rsum 312.40"
    assert headline(evaluation("test", "coco/5k")) is None  # of a journal from before
    assert "test/openings" not in evaluation_metrics(evaluation("val", "split/val", test_openings=3))


def test_a_choice_of_temperatures_says_what_it_gains_on_queries_not_seen() -> None:
    held_out = {"rsum": {"gain": 2.5, "standard_error": None, "folds": 10}}
    event = {"event": "rerank", "metrics": {"inductive/val/rsum": 310.0}, "held_out": held_out}
    assert rerank_metrics(event) == {
        "inductive/val/rsum": 310.0,
        "inductive/val/held_out/rsum_gain": 2.5,
        "inductive/val/held_out/rsum_standard_error": None,
    }
    assert rerank_metrics({"event": "rerank"}) == {}
