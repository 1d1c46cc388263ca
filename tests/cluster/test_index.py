"""An index over actors is that of one process; Ray itself is tried by tests/cluster/test_encode.py."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from raytrain.cluster.encode import Worker
from raytrain.cluster.index import index_on_ray
from raytrain.data.encode.jobs import Done, Job, Work, pipelined
from raytrain.errors import UsageError
from raytrain.retrieval.index.store import stored_index
from raytrain.retrieval.indexing.index_run import index_run
from tests.retrieval.runs import encoded, models, trained


@dataclass
class Actors:
    """Workers that get the job as Ray sends it, and return their batches in another order."""

    gpus: bool = False
    devices: list[str | None] = field(default_factory=list)

    def __call__(self, job: Job, shards: Iterable[list[Work]]) -> Iterator[Done]:
        worker = Worker(pickle.loads(pickle.dumps(job)))
        for shard in reversed(list(shards)):
            yield from reversed(list(pipelined(worker.job, shard)))


def test_workers_open_their_own_model_and_their_batches_may_come_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = trained(encoded(tmp_path / "table", models(tmp_path / "models")), tmp_path / "runs")
    actors = Actors()

    def on_ray(workers: int, device: str | None) -> Actors:
        actors.devices.append(device)
        return actors

    monkeypatch.setattr("raytrain.cluster.index.actors_on_ray", on_ray)
    made = index_on_ray(run, 2, out=tmp_path / "there", device=None, shard_items=4, progress=None)
    index_run(run, None, tmp_path / "here", device="cpu", shard_items=4, progress=None)
    assert made["embedded"] == 16 and actors.devices == [None]
    assert stored_index(tmp_path / "there").manifest == stored_index(tmp_path / "here").manifest


def test_a_negative_number_of_workers_is_an_error_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="workers"):
        index_on_ray(tmp_path, workers=-1)


def test_actors_on_gpus_do_not_ask_this_process_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index_options: dict[str, Any] = {}
    monkeypatch.setattr("raytrain.cluster.index.actors_on_ray", lambda *given: SimpleNamespace(gpus=True))
    monkeypatch.setattr("raytrain.cluster.index.index_run", lambda run, **options: index_options.update(options))
    index_on_ray(tmp_path, 2, device=None)
    assert (index_options["device"], index_options["embed_on"]) == (None, "cuda")


def test_an_address_that_each_machine_would_look_up_is_refused() -> None:
    with pytest.raises(UsageError, match="a folder that all nodes mount"):
        index_on_ray("models:/emoji@champion", 2)
