"""The answer to a query: entries of a gallery, with their scores and the embeddings that matched."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from raytrain.methods.base import Method
from raytrain.retrieval.gallery import Gallery
from raytrain.retrieval.index.certificate import Certainty
from raytrain.scoring.matched_views import views_of


@dataclass(frozen=True)
class Hit:
    """An entry of a gallery in the answer to a query.

    Args:
        rank: from 1 on.
        score: the method's own similarity, or what re-ranking made of it; larger is closer.
        position: in the gallery.
        id, text, file, split: as in Gallery.
        query_view, item_view: which embedding of the query and of the entry are the closest pair, from 0 on; None where
            a side has one embedding alone, or the method's score is no maximum over embeddings, nor a soft one.
    """

    rank: int
    score: float
    position: int
    id: str
    text: str
    file: str
    split: str
    query_view: int | None = None
    item_view: int | None = None


class Hits(list[Hit]):
    """The hits of one query, best first.

    Args:
        hits: in their order.
        certainty: how sure it is that no other entry belongs among them.
    """

    def __init__(self, hits: Iterable[Hit], certainty: Certainty) -> None:
        super().__init__(hits)
        self.certainty = certainty


def hits_of(
    model: Method, query: Tensor, scores: Tensor, places: Tensor, gallery: Gallery, certainty: Certainty
) -> Hits:
    """The hits of one query.

    Args:
        model: that scored it.
        query: its embedding, without a batch dimension.
        scores: (k) of the hits.
        places: (k) positions of the hits in the gallery, best first.
        gallery: that was searched.
        certainty: as in Hits.
    """
    entries = gallery.embeddings[places.to(gallery.embeddings.device)].to(query.device)
    views = views_of(model, query, entries, gallery.of == "texts")
    hits = [
        Hit(rank, score, place, gallery.ids[place], gallery.texts[place], gallery.files[place],
            gallery.splits[place], *pair)
        for rank, (score, place, pair) in enumerate(
            zip(scores.tolist(), places.tolist(), views, strict=True), start=1
        )
    ]  # fmt: skip
    return Hits(hits, certainty)


def view_text(query: int | None, entry: int | None) -> str:
    """ "3": the view of the side that has several; "1 / 3": of the query and of the result; "" where none decides.

    Args:
        query, entry: as in Hit, from 0 on.
    """
    return " / ".join(str(view + 1) for view in (query, entry) if view is not None)
