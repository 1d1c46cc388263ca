"""Queries that wait for the model: one thread answers them, those of one kind together."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from raytrain.retrieval.serve.replies import busy

Query = TypeVar("Query")
Answer = TypeVar("Answer")


@dataclass(eq=False)
class _Waiting(Generic[Query, Answer]):
    query: Query
    kind: Hashable
    future: asyncio.Future[Answer]


class ModelQueue(Generic[Query, Answer]):
    """A bounded queue before one thread, which alone uses the model.

    Args:
        answer: of queries of one kind, in their order.
        kind: queries of equal kinds may be answered together.
        max_waiting: queries that wait; a further one is refused.
        max_batch: queries that are answered together.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Query]], Sequence[Answer]],
        kind: Callable[[Query], Hashable],
        max_waiting: int,
        max_batch: int,
    ) -> None:
        self.answer, self.kind = answer, kind
        self.max_waiting, self.max_batch = max_waiting, max_batch
        self._waiting: deque[_Waiting[Query, Answer]] = deque()
        self._wake = asyncio.Event()

    async def ask(self, query: Query) -> Answer:
        """The answer to a query.

        Raises:
            Refusal: too many wait.
            Exception: what answering raised.
        """
        if len(self._waiting) >= self.max_waiting:
            raise busy("too many queries wait")
        waiting = _Waiting(query, self.kind(query), asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._wake.set()
        try:
            answer: Answer = await waiting.future
            return answer
        finally:  # whoever asked may have given up
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiting)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Inside, queries are answered."""
        with ThreadPoolExecutor(1, "model") as thread:
            worker = asyncio.create_task(self._work(thread))
            try:
                yield
            finally:
                worker.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await worker

    async def _work(self, thread: ThreadPoolExecutor) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            batch = self._next_batch()
            if not batch:
                self._wake.clear()
                continue
            answers = await loop.run_in_executor(thread, self._answers, [waiting.query for waiting in batch])
            for waiting, answer in zip(batch, answers, strict=True):
                if waiting.future.done():
                    continue
                if isinstance(answer, Exception):
                    waiting.future.set_exception(answer)
                else:
                    waiting.future.set_result(answer)

    def _next_batch(self) -> list[_Waiting[Query, Answer]]:
        """The query that has waited longest, with others of its kind."""
        batch: list[_Waiting[Query, Answer]] = []
        for waiting in list(self._waiting):
            if len(batch) < self.max_batch and (not batch or waiting.kind == batch[0].kind):
                batch.append(waiting)
                self._waiting.remove(waiting)
        return batch

    def _answers(self, queries: Sequence[Query]) -> Sequence[Answer | Exception]:
        """Each query's answer, or its error: what is wrong with one is not wrong with the others."""
        try:
            return self.answer(queries)
        except Exception as error:
            return [error] if len(queries) == 1 else [self._answers([query])[0] for query in queries]
