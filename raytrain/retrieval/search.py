"""`raytrain search`: one query against the images or the texts of a table, with a trained model."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from raytrain.errors import UsageError
from raytrain.retrieval.gallery import Gallery
from raytrain.retrieval.hits import Hit
from raytrain.retrieval.images import open_picture
from raytrain.retrieval.load import OpenModel, open_model
from raytrain.retrieval.page import write_page
from raytrain.retrieval.query_images import Item
from raytrain.retrieval.scores import Kind
from raytrain.retrieval.texts import check_text


def search_run(
    model: str | os.PathLike[str],
    text: str | None = None,
    image: str | os.PathLike[str] | None = None,
    item: str | None = None,
    *,
    table: str | os.PathLike[str] | None = None,
    of: Kind | None = None,
    split: str | None = None,
    index: str | os.PathLike[str] | None = None,
    k: int = 10,
    rerank: bool = False,
    device: str | None = None,
    html: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """The k images or texts of a table that are closest to a text, an image, or an image as a text changes it.

    Nothing is measured: queries are the caller's own, no score is compared with what would have been right, and no
    opening of the test split is counted.

    Args:
        model: folder of a finished run or of an export, or an address of MLflow's registry.
        text, image, item: the query; image is a file, item the id of an image of the table.
        table: that is searched; default the run's own, or the images stored with an export. Where a run's own was
            moved, this is where it is now; so it is of the table of an index.
        of: what is searched; default images, or what the index holds.
        split: of the table; default all of them.
        index: folder that `raytrain index` made, which says what is searched.
        k: number of results.
        rerank: inductive Fast Re-ranking.
        device: as in `load`.
        html: file for a page with thumbnails.

    Returns:
        {"run": folder of the run or of the export, or address, "query": {"text", "image", "item"}, "table",
        "fingerprint", "of", "index": folder or None,
        "certainty": {"kind", "compared", "recall", "measured_on", "text"},
        "gallery": number of entries, "left_out": images without features, "reranked", "notes", "seconds",
        "results": [{"rank", "id", "score", "text", "path", "split", "query_view", "item_view"}], "html": path or None}

    Raises:
        UsageError: a query that the run does not answer, or nothing to re-rank with.
        DataError: the image, the checkpoint or the table is damaged.
        RefusedError: the run has not finished, its table has changed, or something trains; or the index is of another
            model, or of a table that changed since.
    """
    picture = _checked_query(text, image, item, k)
    opened = open_model(model, device, table)
    retriever = opened.retriever
    started = time.monotonic()
    if index is None:
        gallery = retriever.gallery(opened.table, of or "images", split)
    else:
        gallery = retriever.open_index(index, table)
        _refuse_other_rows(gallery, of, split)
    embedded = time.monotonic()
    query_image = Item(item) if item is not None else picture
    hits = retriever.search(text, k, image=query_image, gallery=gallery, rerank=rerank)
    reranked = rerank and retriever.reranks(gallery)
    answer = {
        "run": opened.name,
        "query": {"text": text, "image": None if image is None else os.fspath(image), "item": item},
        "table": str(gallery.table.path) if gallery.table else None,
        "fingerprint": gallery.table.fingerprint if gallery.table else None,
        "of": gallery.of,
        "index": None if index is None else str(Path(index).expanduser().resolve()),
        "certainty": {**asdict(hits.certainty), "text": str(hits.certainty)},
        "gallery": len(gallery),
        "left_out": gallery.left_out,
        "reranked": reranked,
        "notes": _notes(opened, gallery, rerank and not reranked),
        "seconds": {"gallery": embedded - started, "query": time.monotonic() - embedded},
        "results": [_result(hit, gallery) for hit in hits],
        "html": None,
    }
    if html is not None:
        answer["html"] = str(write_page(Path(html).expanduser(), answer, gallery, hits, picture))
    return answer


def _checked_query(text: str | None, image: Any, item: str | None, k: int) -> Any:
    """The query's image; what is wrong with a query is said before a model is loaded."""
    if k < 1:
        raise UsageError(f"-k {k}: give a number of results, at least 1")
    if text is None and image is None and item is None:
        raise UsageError('nothing to search by: give a text ("a red shoe"), --image FILE, or both')
    if image is not None and item is not None:
        raise UsageError("--image is a file and --item an image of the table; give one of them")
    if text is not None:
        check_text(text)
    return None if image is None else open_picture(image)


def _refuse_other_rows(gallery: Gallery, of: Kind | None, split: str | None) -> None:
    """Raises UsageError where an index is of other rows than was asked for."""
    if split is not None:
        raise UsageError("an index says which split is searched; leave --split out, or leave --index out")
    if of is not None and of != gallery.of:
        raise UsageError(f"the index holds {gallery.of}; leave --to {of} out, or make an index with --of {of}")


def _result(hit: Hit, gallery: Gallery) -> dict[str, Any]:
    """A hit as JSON has it; the path is where its image lies."""
    values = asdict(hit)
    file = values.pop("file")
    values.pop("position")
    return {**values, "path": str(gallery.table.image_root / file) if gallery.table and file else None}


def _notes(opened: OpenModel, gallery: Gallery, no_gain: bool) -> list[str]:
    notes = [*opened.retriever.notes]
    if gallery.left_out:
        notes.append(f"{gallery.left_out:,} images without features are left out")
    if no_gain:
        notes.append(f"re-ranking changes nothing: the search for its settings in {opened.short_name} found no gain")
    return notes
