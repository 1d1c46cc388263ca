"""Searches of the service: which queries a run answers, found out by asking it, and answers to several at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from raytrain.errors import RaytrainError, UsageError
from raytrain.retrieval.gallery import Gallery
from raytrain.retrieval.hits import Hit
from raytrain.retrieval.query_images import Item, QueryImage
from raytrain.retrieval.retriever import Retriever
from raytrain.retrieval.scores import Kind
from raytrain.retrieval.serve.replies import Refusal

if TYPE_CHECKING:
    from PIL.Image import Image

ImageKind = Literal["no image", "image", "item"]
QueryKind: TypeAlias = tuple[bool, ImageKind, Kind]
"""Whether a query has a text, what its image is, and what it searches."""


@dataclass(frozen=True, eq=False)
class Query:
    """One query of a client.

    Args:
        text: what to look for, or what changes an image.
        image: decoded.
        item: id of an image of the gallery.
        of: what is searched.
        k: number of results.
        rerank: inductive re-ranking.
    """

    text: str | None = None
    image: Image | None = None
    item: str | None = None
    of: Kind = "images"
    k: int = 10
    rerank: bool = False

    @property
    def kind(self) -> QueryKind:
        image: ImageKind = "image" if self.image is not None else "no image" if self.item is None else "item"
        return self.text is not None, image, self.of


class Searcher:
    """A Retriever and what it searches, for queries of clients.

    Args:
        retriever: that answers; its model is used in one thread at a time.
        images: gallery of images.
        captions: gallery of texts; None where texts are not searched.

    Attributes:
        kinds: of queries that are answered.
        reranked: kinds of queries that can be re-ranked.
    """

    def __init__(self, retriever: Retriever, images: Gallery, captions: Gallery | None) -> None:
        self.retriever = retriever
        self.galleries: dict[Kind, Gallery] = {"images": images, **({} if captions is None else {"texts": captions})}
        self.ids = frozenset(images.ids)
        self.kinds = frozenset(kind for kind in self._all_kinds() if self._answers(kind))
        self.reranked = frozenset(kind for kind in self.kinds if self._reranks(kind))

    def check(self, query: Query) -> None:
        """Raises Refusal for a query that this run does not answer."""
        if query.text is None and query.image is None and query.item is None:
            raise Refusal(422, "nothing to search by: give a text, an image, or both")
        if query.item is not None and query.item not in self.ids:
            raise Refusal(404, "the gallery has no image of this id")
        if query.kind not in self.kinds:
            ways = "; ".join(sorted(_in_words(kind) for kind in self.kinds))
            raise Refusal(422, f"this run does not search {_in_words(query.kind)}. It searches {ways}")
        if query.rerank and query.kind not in self.reranked:
            raise Refusal(422, f"there is no re-ranking here of a search of {_in_words(query.kind)}")

    def answer(self, queries: Sequence[Query]) -> list[list[Hit]]:
        """The hits of queries that are of one kind, and all re-ranked or not."""
        first = queries[0]
        texts = None if first.text is None else [query.text or "" for query in queries]
        images = [query.image if query.item is None else Item(query.item) for query in queries]
        hits = self.retriever.search_many(
            texts,
            max(query.k for query in queries),
            images=None if first.kind[1] == "no image" else [image for image in images if image is not None],
            gallery=self.galleries[first.of],
            rerank=first.rerank,
        )
        return [ranked[: query.k] for ranked, query in zip(hits, queries, strict=True)]

    def _all_kinds(self) -> Iterator[QueryKind]:
        images: tuple[ImageKind, ...] = ("no image", "image", "item")
        yield from ((text, image, of) for of in self.galleries for text in (False, True) for image in images)

    def _answers(self, kind: QueryKind) -> bool:
        text, image, of = kind
        if not text and image == "no image":
            return False
        sample: QueryImage | None = None
        if image == "item":
            sample = Item(self.galleries["images"].ids[0])
        elif image == "image":
            from PIL import Image as pillow

            sample = pillow.new("RGB", (64, 64))
        try:
            self.retriever.search("a" if text else None, 1, image=sample, gallery=self.galleries[of])
        except RaytrainError:
            return False
        return True

    def _reranks(self, kind: QueryKind) -> bool:
        if not kind[0] and kind[2] == "images":  # images by an image stay as they are
            return False
        try:
            return self.retriever.reranks(self.galleries[kind[2]])
        except UsageError:
            return False


def _in_words(kind: QueryKind) -> str:
    """ "images by a text"."""
    text, image, of = kind
    by = [*(["an image"] if image == "image" else ["an image of the gallery"] if image == "item" else []),
          *(["a text"] if text else [])]  # fmt: skip
    return f"{of} by {' with '.join(by)}"
