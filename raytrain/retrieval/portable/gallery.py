"""A gallery that travels with a model: embeddings as .npy, ids and captions as JSON.

gallery/embeddings.npy   (G, ...) float32, by the model beside it
gallery/entries.json     {"of", "ids", "texts", "files", "splits", "items", "fingerprint"}, G entries per list
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, model_validator

from raytrain.errors import DataError, Problem
from raytrain.files import read_model, write_json
from raytrain.retrieval.gallery import Gallery
from raytrain.retrieval.portable.description import FIX

FOLDER = "gallery"
EMBEDDINGS, ENTRIES = "embeddings.npy", "entries.json"


class Entries(BaseModel):
    """As in raytrain.retrieval.gallery.Gallery."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    of: Literal["images", "texts"]
    ids: list[str]
    texts: list[str]
    files: list[str]
    splits: list[str]
    items: list[int]
    fingerprint: str

    @model_validator(mode="after")
    def _of_one_length(self) -> Entries:
        lists = {name: len(getattr(self, name)) for name in ("ids", "texts", "files", "splits", "items")}
        if len(set(lists.values())) != 1:
            raise ValueError(f"lists of different lengths: {lists}")
        return self


def write_gallery(folder: Path, gallery: Gallery) -> None:
    """Store a gallery of a table below the folder of a portable model."""
    place = folder / FOLDER
    place.mkdir()
    np.save(place / EMBEDDINGS, gallery.embeddings.float().cpu().numpy())
    values = Entries(
        of=gallery.of, ids=list(gallery.ids), texts=list(gallery.texts), files=list(gallery.files),
        splits=list(gallery.splits), items=gallery.items.tolist(), fingerprint=gallery.fingerprint,
    )  # fmt: skip
    write_json(place / ENTRIES, values.model_dump())


def read_gallery(folder: Path, device: torch.device) -> Gallery | None:
    """The gallery of a portable model; None where it has none.

    Raises:
        DataError: embeddings and ids do not fit each other.
    """
    place = folder / FOLDER
    if not place.exists():
        return None
    entries = read_model(place / ENTRIES, Entries, FIX)
    try:
        embeddings = np.load(place / EMBEDDINGS, allow_pickle=False)
        if embeddings.dtype != np.float32 or embeddings.ndim < 2 or len(embeddings) != len(entries.ids):
            raise ValueError(f"{embeddings.shape} {embeddings.dtype}, expected {len(entries.ids)} rows of float32")
    except (OSError, ValueError) as error:
        raise DataError(Problem(str(place / EMBEDDINGS), None, f"no embeddings: {error}", FIX)) from None
    return Gallery(
        entries.of, torch.from_numpy(embeddings).to(device), entries.ids, entries.texts, entries.files, entries.splits,
        items=np.array(entries.items, np.int64), fingerprint=entries.fingerprint,
    )  # fmt: skip
