"""An evaluation file as a model: the fields that a review reads, with their types."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, field_validator

from raytrain.errors import DataError, Problem
from raytrain.evaluation.reranking.record import checked_temperatures
from raytrain.evaluation.significance import GALLERY
from raytrain.files import read_model, read_regular

SCHEMA_VERSION = 1
FIX = "It is left out; evaluate the run again with `raytrain evaluate`."
Finite = Annotated[float, Field(allow_inf_nan=False)]


class EvaluationFile(BaseModel):
    """What `write_evaluation` wrote. Further fields are kept as they are.

    Args:
        ranks: name of the file beside it with the rank of every query.
        rerank: as `Temperatures.as_dict` gives it; None without re-ranking.
    """

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    split: str
    protocol: str
    metrics: dict[str, Finite]
    headline: str = "rsum"
    fingerprint: str
    checkpoint: str
    seed: int | None = None
    commit: str | None = None
    transductive: bool | None = None
    rerank: dict[str, Any] | None = None
    ranks: str | None = None
    ranks_sha256: str | None = None
    uid: str | None = None
    test_openings: int | None = None
    queries: dict[str, int] = {}
    gallery: dict[str, int] = {}

    @field_validator("rerank")
    @classmethod
    def _are_temperatures(cls, rerank: dict[str, Any] | None) -> dict[str, Any] | None:
        if rerank is not None:
            checked_temperatures(rerank)
        return rerank


class _AnyObject(BaseModel):
    model_config = ConfigDict(extra="allow")


def read_evaluation_file(path: Path) -> dict[str, Any] | None:
    """An evaluation file as plain values with its path under "file"; None of a file that is no evaluation.

    The description of cached similarities and files of later schemas are no evaluations.

    Raises:
        DataError: the file is damaged; each problem names a field.
    """
    values = read_model(path, _AnyObject, FIX).model_dump()
    if values.get("schema") != SCHEMA_VERSION or "metrics" not in values:
        return None
    read_model(path, EvaluationFile, FIX)
    return {**values, "file": str(path)}


def read_rank_arrays(evaluation: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """The rank arrays of an evaluation, as `read_ranks` describes them; None where there is no such file.

    Raises:
        DataError: the file is not the one that was written, or holds no ranks.
    """
    name = evaluation.get("ranks")
    if not name:
        return None
    path = Path(evaluation["file"]).parent / Path(name).name
    try:
        data = read_regular(path)
        if evaluation.get("ranks_sha256") not in (None, hashlib.sha256(data).hexdigest()):
            raise ValueError("its sha256 is not the one that the evaluation recorded")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            if "query" not in arrays and "i2t" not in arrays:
                return None  # a protocol without ranks
            names: list[str] = ["i2t", "t2i", "item_of_text"]
            if "query" in arrays:
                optional = [name for name in arrays if name == "target" or name.startswith(GALLERY)]
                names = ["query", "reference", *optional]
            ranks = {name: arrays[name] for name in names}
        _check(ranks)
    except FileNotFoundError:
        return None
    except Exception as error:  # zip, zlib and numpy each raise errors of their own
        raise DataError(Problem(str(path), None, f"no rank arrays: {error}", FIX)) from None
    return ranks


def _check(ranks: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError for arrays that are no ranks, or that do not fit each other."""
    draws = {name: array for name, array in ranks.items() if name.startswith(GALLERY)}
    ranks = {name: array for name, array in ranks.items() if name not in draws}
    for name, array in draws.items():
        if array.ndim != 2 or array.dtype.kind not in "iuf" or not array.size or not np.isfinite(array).all():
            raise ValueError(f"{name} has shape {array.shape} and dtype {array.dtype}, or is not finite")
    for name, array in ranks.items():
        if array.ndim != 1 or array.dtype.kind != "i" or not len(array) or array.min() < -1:
            raise ValueError(f"{name} has shape {array.shape} and dtype {array.dtype}, or holds values below -1")
    if "query" in ranks:
        fits = len({len(array) for array in ranks.values()}) == 1
    else:
        owner = ranks["item_of_text"]
        fits = len(ranks["t2i"]) == len(owner) and owner.min() >= 0 and owner.max() < len(ranks["i2t"])
    if not fits:
        raise ValueError(f"lengths do not fit each other: {', '.join(f'{k} {len(v)}' for k, v in ranks.items())}")
