"""The page of a search: thumbnails with scores and captions, in one file that loads nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raytrain.data.storage import open_image
from raytrain.data.table import Table
from raytrain.data.thumbnails import thumbnail
from raytrain.errors import DataError, Interrupted
from raytrain.files import replacing
from raytrain.retrieval.gallery import Gallery
from raytrain.retrieval.hits import Hit, view_text
from raytrain.review.rendering import environment

if TYPE_CHECKING:
    from PIL.Image import Image


def write_page(
    path: Path, answer: Mapping[str, Any], gallery: Gallery, hits: Sequence[Hit], picture: Image | None
) -> Path:
    """Write the page of an answer, and return its path.

    Args:
        answer: as `search_run` returns it.
        gallery: that was searched.
        hits: of the query, in their order.
        picture: of the query; None where it was a text, or an image of the table.
    """
    query = answer["query"]
    shown = None if picture is None else thumbnail(picture)
    if query["item"] is not None and gallery.table is not None:
        file = dict(zip(gallery.ids, gallery.files, strict=True)).get(query["item"], "")
        shown = _thumbnail_of(gallery.table, file)
    pictures: dict[str, str | None] = {}
    results = []
    for hit in hits:
        if gallery.of == "images" and hit.file not in pictures and gallery.table is not None:
            pictures[hit.file] = _thumbnail_of(gallery.table, hit.file)
        view = view_text(hit.query_view, hit.item_view)
        results.append({"hit": hit, "picture": pictures.get(hit.file), "view": view})
    text = environment("raytrain.retrieval").get_template("search.html.j2").render(
        answer=answer, run=Path(answer["run"]).name, table=Path(answer["table"]).name if answer["table"] else "",
        shown=shown, results=results,
    )  # fmt: skip
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def _thumbnail_of(table: Table, file: str) -> str | None:
    """None where there is no such image, or it cannot be read: a page is made all the same."""
    try:
        return thumbnail(open_image(table.image_root, file)) if file else None
    except (DataError, Interrupted):
        return None
