"""Data sets of a run: named after the table and its splits, known by the fingerprint."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from raytrain.tracking.datasets import Input, inputs_of, log_inputs

START = {
    "event": "start",
    "time": 1.0,
    "config": {"data.table": "/data/emoji"},
    "fingerprint": "0123456789" * 6 + "abcd",
}


def evaluation(split: str) -> dict[str, Any]:
    return {"event": "evaluation", "time": 2.0, "split": split}


def test_training_and_validation_are_inputs_and_each_split_that_was_evaluated() -> None:
    trained = [Input("emoji/train", "training"), Input("emoji/val", "validation")]
    assert inputs_of([START]) == trained
    events = [START, evaluation("val"), evaluation("test"), evaluation("test"), evaluation("dev")]
    assert inputs_of(events) == [*trained, Input("emoji/test", "test"), Input("emoji/dev", "evaluation")]
    assert inputs_of([]) == inputs_of([START | {"config": {}}]) == []


def test_an_input_is_sent_once_with_the_fingerprint_as_digest_and_no_data() -> None:
    pytest.importorskip("mlflow", reason="inputs are MLflow's")
    sent: list[Any] = []
    client = SimpleNamespace(log_inputs=lambda run_id, datasets: sent.append(datasets))
    there = [SimpleNamespace(dataset=SimpleNamespace(name="emoji/train"))]
    run = SimpleNamespace(info=SimpleNamespace(run_id="r"), inputs=SimpleNamespace(dataset_inputs=there))
    log_inputs(client, run, [START])
    ((item,),) = sent
    assert (item.dataset.name, item.dataset.digest) == ("emoji/val", START["fingerprint"][:36])
    assert (item.dataset.source, item.dataset.schema) == ('{"uri": "/data/emoji"}', None)
    assert [(tag.key, tag.value) for tag in item.tags] == [("mlflow.data.context", "validation")]
    there.append(SimpleNamespace(dataset=SimpleNamespace(name="emoji/val")))
    log_inputs(client, run, [START])
    log_inputs(client, run, [START | {"fingerprint": None}])
    assert len(sent) == 1
