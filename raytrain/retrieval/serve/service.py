"""What the service does for its requests: searches through the model's queue, images through bounded pools."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from raytrain.errors import DataError, UsageError
from raytrain.retrieval.hits import Hit
from raytrain.retrieval.serve.limits import Limits
from raytrain.retrieval.serve.model_queue import ModelQueue
from raytrain.retrieval.serve.pictures import GalleryPictures, decode_upload
from raytrain.retrieval.serve.replies import Refusal, busy
from raytrain.retrieval.serve.schema import SearchAnswer, result_of
from raytrain.retrieval.serve.searcher import Query, Searcher
from raytrain.retrieval.texts import check_text

Value = TypeVar("Value")


class Service:
    """Searches and pictures for requests that have passed the guard and the bounds.

    Args:
        searcher: that answers queries.
        limits: of what is done at once, and for how long.
    """

    def __init__(self, searcher: Searcher, limits: Limits) -> None:
        self.searcher, self.limits = searcher, limits
        self.pictures = GalleryPictures(searcher.galleries["images"], limits.cached_thumbnails)
        self.queue = ModelQueue[Query, list[Hit]](
            searcher.answer, lambda query: (query.kind, query.rerank), limits.max_waiting, limits.max_batch
        )
        self.uploads = ThreadPoolExecutor(limits.decoders, "uploads")
        self.shown = ThreadPoolExecutor(limits.decoders, "pictures")
        self.decoded = asyncio.Semaphore(limits.max_pictures)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Inside, requests are answered."""
        try:
            async with self.queue.running():
                yield
        finally:
            for pool in (self.uploads, self.shown):
                pool.shutdown(wait=False, cancel_futures=True)

    async def search(self, query: Query, upload: bytes | None = None) -> SearchAnswer:
        """The answer to a query.

        Args:
            upload: bytes of its image, which are decoded when it is its turn.

        Raises:
            Refusal: the query or its image is wrong, or there is no answer in time.
        """
        started = time.monotonic()
        try:
            if query.text is not None:
                check_text(query.text)
        except UsageError as error:
            raise Refusal(422, str(error)) from None
        try:
            async with asyncio.timeout(self.limits.answer_s):
                if upload is None:
                    hits = await self._hits(query)
                else:
                    async with self.decoded:
                        image = await self._in_pool(self.uploads, lambda: decode_upload(upload, self.limits))
                        hits = await self._hits(replace(query, image=image))
        except DataError as error:
            raise Refusal(422, str(error)) from None
        except TimeoutError:
            raise busy(f"no answer within {self.limits.answer_s:g} s") from None
        of_images = query.of == "images"
        return SearchAnswer(
            of=query.of,
            gallery=len(self.searcher.galleries[query.of]),
            reranked=query.rerank,
            seconds=time.monotonic() - started,
            results=[result_of(hit, of_images and hit.id in self.pictures) for hit in hits],
        )

    async def picture(self, identity: str, small: bool) -> bytes:
        """A JPEG of a gallery's image.

        Raises:
            Refusal: there is none of this id, or it cannot be read, or not in time.
        """
        if identity not in self.pictures:
            raise Refusal(404, "the gallery has no image of this id")
        picture = self.pictures.cached_thumbnail(identity) if small else None
        if picture is None:
            read = self.pictures.thumbnail if small else self.pictures.picture
            try:
                async with asyncio.timeout(self.limits.answer_s):
                    picture = await self._in_pool(self.shown, lambda: read(identity))
            except TimeoutError:
                raise busy(f"no image within {self.limits.answer_s:g} s") from None
        if picture is None:
            raise Refusal(404, "this image cannot be read")
        return picture

    async def _hits(self, query: Query) -> list[Hit]:
        self.searcher.check(query)
        return await self.queue.ask(query)

    async def _in_pool(self, pool: ThreadPoolExecutor, work: Callable[[], Value]) -> Value:
        return await asyncio.get_running_loop().run_in_executor(pool, work)
