"""Time-outs, and images that are held at once."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from raytrain.retrieval.serve.limits import Limits
from raytrain.retrieval.serve.replies import Refusal
from raytrain.retrieval.serve.searcher import Query, Searcher
from raytrain.retrieval.serve.service import Service
from tests.retrieval.serve.clients import picture


def test_an_answer_that_takes_too_long_is_given_up(searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    goes_on = threading.Event()
    monkeypatch.setattr(searcher, "answer", lambda queries: goes_on.wait(10))

    async def ask() -> None:
        service = Service(searcher, Limits(answer_s=0.02))
        async with service.running():
            with pytest.raises(Refusal, match=r"no answer within 0.02 s") as refused:
                await service.search(Query("a dog"))
            goes_on.set()
        assert refused.value.status == 503

    asyncio.run(ask())


def test_only_so_many_images_are_held_decoded(searcher: Searcher, monkeypatch: pytest.MonkeyPatch) -> None:
    held, most = 0, 0

    async def count(service: Service, query: Query) -> list[Any]:
        nonlocal held, most
        held, most = held + 1, max(most, held + 1)
        await asyncio.sleep(0.01)
        held -= 1
        return []

    monkeypatch.setattr(Service, "_hits", count)

    async def ask() -> None:
        service = Service(searcher, Limits(max_pictures=2))
        async with service.running():
            await asyncio.gather(*(service.search(Query(), picture()) for _ in range(6)))

    asyncio.run(ask())
    assert most == 2


def test_the_time_of_an_answer_is_told(searcher: Searcher) -> None:
    async def ask() -> float:
        service = Service(searcher, Limits())
        async with service.running():
            return (await service.search(Query("a dog"))).seconds

    started = time.monotonic()
    assert 0 < asyncio.run(ask()) < time.monotonic() - started
