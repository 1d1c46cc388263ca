"""Jobs: batches are prepared ahead and encoded in order, and broken images stay in their place."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from raytrain.data.encode.jobs import MAX_READERS, Done, ImageJob, TextJob, Work, in_process, pick_device, pipelined
from raytrain.data.storage import Url
from tests.data import own


def work(*rows: int) -> Work:
    return Work(np.array(rows), [str(row) for row in rows])


class Recorded:
    """A job that notes what is done with each batch, and by which thread."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.threads: set[int] = set()

    def open(self) -> None:
        self.events.append("open")

    def prepare(self, work: Work) -> Any:
        self.threads.add(threading.get_ident())
        self.events.append(f"prepare {work.inputs[0]}")
        return [float(text) for text in work.inputs]

    def encode(self, work: Work, prepared: Any) -> Done:
        return Done(work.rows, np.array(prepared, np.float32).reshape(-1, 1, 1))


def test_a_job_in_this_process_encodes_all_batches_of_all_shards_in_order() -> None:
    job = Recorded()
    done = list(in_process(job, [[work(4, 5), work(6)], [work(0)]]))
    assert [batch.rows.tolist() for batch in done] == [[4, 5], [6], [0]]
    assert [batch.features.ravel().tolist() for batch in done] == [[4.0, 5.0], [6.0], [0.0]]
    assert job.events == ["open", "prepare 4", "prepare 6", "prepare 0"]
    assert threading.get_ident() not in job.threads


def test_two_batches_are_prepared_ahead_and_no_more() -> None:
    taken: list[int] = []

    def batches() -> Iterator[Work]:
        for row in range(6):
            taken.append(row)
            yield work(row)

    results = pipelined(Recorded(), batches())
    next(results)
    assert taken == [0, 1, 2]
    assert [batch.rows.tolist() for batch in results] == [[1], [2], [3], [4], [5]]


def test_an_error_of_a_thread_reaches_the_caller() -> None:
    class Broken(Recorded):
        def prepare(self, work: Work) -> Any:
            return 1 // (2 - int(work.rows[0]))

    with pytest.raises(ZeroDivisionError):
        list(pipelined(Broken(), (work(row) for row in range(4))))


def test_broken_images_are_named_by_position_and_have_zeros(vit: str, tmp_path: Path) -> None:
    for number in range(3):
        own.put(tmp_path / f"{number}.png", own.picture(number))
    own.put(tmp_path / "1.png", b"no picture")
    job = ImageJob(vit, tmp_path, "float16", "cpu")
    job.open()
    batch = Work(np.array([7, 8, 9]), ["2.png", "1.png", "../0.png"])
    prepared = job.prepare(batch)
    done = job.encode(batch, prepared)
    assert [position for position, _ in done.broken] == [1, 2]
    assert done.broken[0][1].startswith("not a JPEG") and "climbs out" in done.broken[1][1]
    assert (done.features.shape, done.features.dtype) == ((3, 17, 16), np.float16)
    assert [bool(row.any()) for row in done.features] == [True, False, False]
    nothing = job.encode(work(1), job.prepare(Work(np.array([8]), ["1.png"])))
    assert not nothing.features.any() and len(nothing.broken) == 1


def test_several_images_are_read_at_a_time_from_a_store_or_for_a_gpu(tmp_path: Path) -> None:
    assert ImageJob("x", tmp_path, "float16", "cpu")._threads() == 1
    assert ImageJob("x", Url("memory://photos"), "float16", "cpu")._threads() == MAX_READERS
    assert 1 <= ImageJob("x", tmp_path, "float16", "cuda")._threads() <= MAX_READERS


def test_texts_become_their_states_one_after_the_other(bert: str) -> None:
    job = TextJob(bert, "float16", "cpu")
    job.open()
    batch = Work(np.array([0, 1]), ["a dog", "a dog runs"])
    done = job.encode(batch, job.prepare(batch))
    assert (done.features.shape, done.features.dtype, done.broken) == ((4 + 5, 12), np.float16, [])
    alone = job.encode(work(1), job.prepare(Work(np.array([1]), ["a dog runs"])))
    np.testing.assert_allclose(done.features[4:], alone.features, atol=1e-2)


def test_a_device_that_is_named_is_used_and_else_a_gpu_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (pick_device("cpu"), pick_device(None)) == ("cpu", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device(None) == "cpu"
