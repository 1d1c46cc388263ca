"""The service of a trained model: what uvicorn here and each replica of a cluster start from."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from raytrain.errors import UsageError
from raytrain.retrieval.load import open_model
from raytrain.retrieval.serve.access import Access
from raytrain.retrieval.serve.app import create_app
from raytrain.retrieval.serve.limits import Limits

if TYPE_CHECKING:
    from fastapi import FastAPI


def open_service(
    model: str | os.PathLike[str],
    table: str | os.PathLike[str] | None = None,
    split: str | None = None,
    *,
    rerank: bool = False,
    device: str | None = None,
    access: Access | None = None,
    limits: Limits | None = None,
) -> FastAPI:
    """The app that searches a table with a trained model; everything is embedded before it returns.

    Args:
        model, table: as in `open_model`.
        split: of the table; default all of them.
        rerank: whether the page re-ranks until it is told otherwise.
        device: as in `raytrain.retrieval.load.load`.
        access, limits: as in `create_app`.

    Raises:
        UsageError: the model answers no query, or there is nothing to re-rank with.
        DataError, RefusedError: as `load`.
    """
    opened = open_model(model, device, table)
    retriever = opened.retriever
    if rerank:
        if retriever.composed or retriever.banks is None:
            raise UsageError("--rerank is of texts with images; the queries of this run are composed")
        retriever.banks.temperatures()  # says what to do where there are none
    images = retriever.gallery(opened.table, "images", split)
    captions = None if retriever.composed or images.table is None else retriever.gallery(opened.table, "texts", split)
    app = create_app(retriever, images, captions, limits=limits, access=access, run=opened.short_name, rerank=rerank)
    notes = [*retriever.notes]
    if images.left_out:
        notes.append(f"{images.left_out:,} images without features are left out")
    for note in notes:
        print(f"  {note}", file=sys.stderr)
    return app
