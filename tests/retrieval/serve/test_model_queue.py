"""Queries that wait for one thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from raytrain.retrieval.serve.model_queue import ModelQueue
from raytrain.retrieval.serve.replies import Refusal


def doubled(calls: list[list[int]]) -> ModelQueue[int, int]:
    def answer(queries: Sequence[int]) -> list[int]:
        calls.append(list(queries))
        if 13 in queries:
            raise ValueError("13")
        return [2 * query for query in queries]

    return ModelQueue(answer, lambda query: query % 2, max_waiting=8, max_batch=3)


def test_queries_of_a_kind_are_answered_together_and_each_gets_its_own() -> None:
    calls: list[list[int]] = []

    async def ask() -> list[int]:
        queue = doubled(calls)
        async with queue.running():
            return await asyncio.gather(*(queue.ask(query) for query in (2, 3, 4, 5, 6, 8)))

    assert asyncio.run(ask()) == [4, 6, 8, 10, 12, 16]
    assert calls == [[2, 4, 6], [3, 5], [8]]


def test_what_is_wrong_with_one_query_is_not_wrong_with_the_others() -> None:
    async def ask() -> list[int | BaseException]:
        queue = doubled([])
        async with queue.running():
            return await asyncio.gather(*(queue.ask(query) for query in (3, 13, 5)), return_exceptions=True)

    first, second, third = asyncio.run(ask())
    assert (first, third) == (6, 10) and isinstance(second, ValueError)


def test_a_query_too_many_is_refused_and_one_that_gave_up_makes_room() -> None:
    begun, goes_on, calls = threading.Event(), threading.Event(), list[int]()

    def slow(queries: Sequence[int]) -> Sequence[int]:
        begun.set()
        goes_on.wait(10)
        calls.extend(queries)
        return queries

    async def ask() -> None:
        queue = ModelQueue[int, int](slow, lambda query: query, max_waiting=1, max_batch=1)
        async with queue.running():
            first = asyncio.create_task(queue.ask(1))
            await asyncio.to_thread(begun.wait, 10)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await queue.ask(2)
            third = asyncio.create_task(queue.ask(3))
            await asyncio.sleep(0)
            with pytest.raises(Refusal, match="too many queries wait") as refused:
                await queue.ask(4)
            assert refused.value.status == 503
            goes_on.set()
            assert await asyncio.gather(first, third) == [1, 3]

    asyncio.run(ask())
    assert calls == [1, 3]  # nobody waits for the second any more
