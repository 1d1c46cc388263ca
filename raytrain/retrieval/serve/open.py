"""The service of a finished run: what uvicorn here and each replica of a cluster start from."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from raytrain.errors import UsageError
from raytrain.retrieval.load import load_beside
from raytrain.retrieval.runs import finished_run
from raytrain.retrieval.serve.access import Access
from raytrain.retrieval.serve.app import create_app
from raytrain.retrieval.serve.limits import Limits

if TYPE_CHECKING:
    from fastapi import FastAPI


def open_service(
    run: str | os.PathLike[str],
    table: str | os.PathLike[str] | None = None,
    split: str | None = None,
    *,
    rerank: bool = False,
    device: str | None = None,
    access: Access | None = None,
    limits: Limits | None = None,
) -> FastAPI:
    """The app that searches a table with a finished run; everything is embedded before it returns.

    Args:
        run: folder of a finished run.
        table: that is searched; default the run's own. Where that was moved, this is where it is now.
        split: of the table; default all of them.
        rerank: whether the page re-ranks until it is told otherwise.
        device: as in `raytrain.retrieval.load.load`.
        access, limits: as in `create_app`.

    Raises:
        UsageError: the run answers no query, or there is nothing to re-rank with.
        DataError, RefusedError: as `load`.
    """
    record = finished_run(run)
    retriever, searched = load_beside(record, device, table)
    if rerank:
        if retriever.composed or retriever.banks is None:
            raise UsageError("--rerank is of texts with images; the queries of this run are composed")
        retriever.banks.temperatures()  # says what to do where there are none
    images = retriever.gallery(searched, "images", split)
    captions = None if retriever.composed else retriever.gallery(searched, "texts", split)
    app = create_app(retriever, images, captions, limits=limits, access=access, run=record.folder.name, rerank=rerank)
    notes = [*retriever.notes]
    if images.left_out:
        notes.append(f"{images.left_out:,} images without features are left out")
    for note in notes:
        print(f"  {note}", file=sys.stderr)
    return app
