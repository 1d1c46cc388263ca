"""A journal's lines in MLflow's terms, with a client that notes what it is told."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("mlflow", reason="params and metrics are MLflow's")

from raytrain.tracking.replay import METRICS_PER_BATCH, ms, replay, set_status, start_tags, text

RUN = SimpleNamespace(info=SimpleNamespace(run_id="r", status="RUNNING"))


class Client:
    """Notes what is logged, and every batch."""

    def __init__(self) -> None:
        self.metrics: list[tuple[str, float, int]] = []
        self.params: dict[str, str] = {}
        self.tags: dict[str, str] = {}
        self.batches: list[int] = []
        self.ended: list[tuple[str, int | None]] = []

    def log_batch(self, run_id: str, metrics: Any = (), params: Any = (), tags: Any = ()) -> None:
        self.batches.append(len(metrics) + len(params) + len(tags))
        self.metrics += [(metric.key, metric.value, metric.step) for metric in metrics]
        self.params |= {param.key: param.value for param in params}
        self.tags |= {tag.key: tag.value for tag in tags}

    def set_terminated(self, run_id: str, status: str, end_time: int) -> None:
        self.ended.append((status, end_time))

    def update_run(self, run_id: str, status: str) -> None:
        self.ended.append((status, None))


def event(kind: str, **fields: Any) -> dict[str, Any]:
    return {"event": kind, "time": 10.0, **fields}


def test_a_sweep_has_the_best_value_of_its_trials_so_far_and_knows_it_when_it_goes_on() -> None:
    values = [3.0, None, 2.0, 5.0]
    events = [event("trial", number=number, value=value) for number, value in enumerate(values)]
    whole, later = Client(), Client()
    replay(whole, RUN, events, 0)
    best = [(step, value) for name, value, step in whole.metrics if name == "sweep/best"]
    assert best == [(0, 3.0), (1, 3.0), (2, 3.0), (3, 5.0)]
    replay(later, RUN, events, 2)  # the first two lines are there already
    assert later.metrics == [metric for metric in whole.metrics if metric[2] >= 2]


def test_params_are_of_the_first_start_and_names_are_made_to_fit() -> None:
    client = Client()
    events = [event("start", config={"a b@c!": 1}), event("start", config={"a b@c!": 2})]
    replay(client, RUN, events, 0)
    assert client.params == {"a b_at_c_": "1"}


def test_what_is_more_than_a_batch_is_logged_in_several() -> None:
    client = Client()
    metrics = {f"m{number}": 1.0 for number in range(METRICS_PER_BATCH + 1)}
    replay(client, RUN, [event("epoch", epoch=1, metrics=metrics)], 0)
    assert client.batches == [METRICS_PER_BATCH, 1]


def test_an_end_becomes_the_status_and_its_error_a_tag() -> None:
    client = Client()
    end = event("end", status="interrupted", error="Interrupted: signal 15")
    replay(client, RUN, [end], 0)
    assert client.tags == {"raytrain.status": "interrupted", "raytrain.error": "Interrupted: signal 15"}
    assert set_status(client, RUN, end) == "KILLED"
    assert set_status(client, RUN, event("end", status="of a newer version")) == "FAILED"
    assert client.ended == [("KILLED", 10_000), ("FAILED", 10_000)]
    assert set_status(client, RUN, None) == "RUNNING"
    assert len(client.ended) == 2  # it says so already


def test_long_texts_are_cut_and_times_are_in_milliseconds() -> None:
    assert (text("abcdef", 6), text("abcdefg", 6), text({"a": 1}, 9)) == ("abcdef", "abc...", '{"a": 1}')
    assert ms({"time": 1.2345}) == 1234


def test_a_run_names_the_verb_that_made_it() -> None:
    for fields, verb in (({}, "train"), ({"parent": "u"}, "sweep"), ({"ensemble": {"members": []}}, "ensemble")):
        assert start_tags(fields)["mlflow.source.name"] == f"raytrain {verb}"
