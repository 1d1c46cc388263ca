"""The answer to a query: entries of a gallery, with their scores and the embeddings that matched."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from raytrain.methods.base import Method
from raytrain.retrieval.gallery import Gallery
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


def hits_of(model: Method, query: Tensor, scores: Tensor, places: Tensor, gallery: Gallery) -> list[Hit]:
    """The hits of one query.

    Args:
        model: that scored it.
        query: its embedding, without a batch dimension.
        scores: (G) of the entries.
        places: positions of the hits in the gallery, best first.
        gallery: that was searched.
    """
    entries = gallery.embeddings[places.to(gallery.embeddings.device)]
    views = views_of(model, query, entries, gallery.of == "texts")
    return [
        Hit(rank, float(scores[place]), place, gallery.ids[place], gallery.texts[place], gallery.files[place],
            gallery.splits[place], *pair)
        for rank, (place, pair) in enumerate(zip(places.tolist(), views, strict=True), start=1)
    ]  # fmt: skip


def view_text(query: int | None, entry: int | None) -> str:
    """ "3": the view of the side that has several; "1 / 3": of the query and of the result; "" where none decides.

    Args:
        query, entry: as in Hit, from 0 on.
    """
    return " / ".join(str(view + 1) for view in (query, entry) if view is not None)
