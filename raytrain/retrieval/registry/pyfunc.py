"""A portable model behind MLflow's pyfunc: rows with a text, an image or both, answered by ids and scores.

A server that shows it to others reads whatever they send: texts, images, k and the number of rows have bounds, images
come as base64 of their bytes, and no path is ever opened.
"""

from __future__ import annotations

import base64
import binascii
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PythonModel

from raytrain.errors import RaytrainError, UsageError
from raytrain.retrieval.portable.read import open_portable

if TYPE_CHECKING:
    from raytrain.retrieval.hits import Hit
    from raytrain.retrieval.retriever import Retriever

ARTIFACT = "model"
"""Name of the portable model among the artifacts."""
MOST_ROWS, MOST_RESULTS = 64, 1000
MOST_IMAGE_BYTES = 20 * 2**20


class SearchModel(PythonModel):  # type: ignore[misc]  # MLflow has no types
    """Answers queries from the gallery that is stored with the model. On a GPU where there is one."""

    retriever: Retriever

    def load_context(self, context: Any) -> None:
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.retriever = open_portable(Path(context.artifacts[ARTIFACT]), device)

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # MLflow reads types as hints
        """A data frame with a row per query: lists of ids, scores and captions, best first.

        Args:
            model_input: data frame with the columns "text" and "image" (base64), each of which may be absent, and whose
                values may be.
            params: {"k": results per query, "rerank": inductive Fast Re-ranking}

        Raises:
            MlflowException: a query that the model does not answer, or beyond a bound; 400 for a client.
        """
        import pandas

        params = params or {}
        rows = model_input.to_dict("records")
        try:
            if not 0 < len(rows) <= MOST_ROWS:
                raise UsageError(f"{len(rows)} rows; 1 to {MOST_ROWS} are answered at a time")
            answers = [self._answer(row, params) for row in rows]
        except RaytrainError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        columns = {
            "ids": [[hit.id for hit in hits] for hits in answers],
            "scores": [[hit.score for hit in hits] for hits in answers],
            "texts": [[hit.text for hit in hits] for hits in answers],
        }
        return pandas.DataFrame(columns)

    def _answer(self, row: dict[str, Any], params: dict[str, Any]) -> list[Hit]:
        text, image = (None if _absent(row.get(name)) else row[name] for name in ("text", "image"))
        k = int(params.get("k", 10))
        if not 1 <= k <= MOST_RESULTS:
            raise UsageError(f"k is {k}; give a number from 1 to {MOST_RESULTS}")
        if text is not None and not isinstance(text, str):
            raise UsageError(f"text is of type {type(text).__name__}, not a text")
        picture = None if image is None else image_bytes(image)
        return self.retriever.search(text, k, image=picture, rerank=bool(params.get("rerank", False)))


def image_bytes(encoded: Any) -> bytes:
    """The bytes of an image that came as base64.

    Raises:
        UsageError: it is no base64, or longer than MOST_IMAGE_BYTES.
    """
    if not isinstance(encoded, str):
        raise UsageError(f"image is of type {type(encoded).__name__}, not base64 of a JPEG, PNG or WEBP file")
    if len(encoded) > MOST_IMAGE_BYTES * 4 // 3 + 4:
        raise UsageError(f"image has more than {MOST_IMAGE_BYTES >> 20} MiB")
    try:
        return base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise UsageError("image is not base64; paths are not read, send the bytes of the file") from None


def _absent(value: Any) -> bool:
    """None, NaN of a column that other rows fill, or nothing."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))
