"""Raw texts and images in, embeddings of a trained model out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from raytrain.data.load.batches import read_ahead
from raytrain.data.load.readers import Batch
from raytrain.errors import UsageError
from raytrain.methods.base import Method
from raytrain.retrieval.images import ImageInput, Picture, open_picture
from raytrain.retrieval.index.weights import weights_sha256
from raytrain.retrieval.query_images import Source, regions_of
from raytrain.retrieval.scores import Kind
from raytrain.retrieval.table_rows import RAW_AT_ONCE
from raytrain.retrieval.texts import TextInput
from raytrain.scoring.embed import encode_batches


class Embedder:
    """A trained model with what prepares raw texts and images for it.

    Embeddings are float32, on the device of the model.

    Args:
        model: in evaluation mode, on its device.
        texts, images: prepare raw texts and images for it.
        composed: whether its queries are an image with a text that changes it.
        device: of the model.
    """

    def __init__(
        self, model: Method, texts: TextInput, images: ImageInput, *, composed: bool, device: torch.device
    ) -> None:
        self.model, self.texts, self.images, self.composed, self.device = model, texts, images, composed, device

    @property
    def notes(self) -> list[str]:
        """What is worth knowing of the backbones that were loaded so far."""
        return [*self.texts.notes, *self.images.notes]

    @cached_property
    def weights(self) -> str:
        """Hash of the model's weights, by which an index knows its model, 64 hex digits."""
        return weights_sha256(self.model)

    def encode_text(self, texts: Sequence[str], batch_size: int = RAW_AT_ONCE) -> Tensor:
        """(N, ...) embeddings of texts.

        Raises:
            UsageError: the run's queries are composed, or its token states are of no text model that is here.
        """
        if self.composed:
            raise UsageError("this run answers an image with a text that changes it; a text alone is no query of it")
        return self.embed_inputs(self.model.encode_query, self.texts.read, _listed(texts, str, "texts"), batch_size)

    def encode_image(self, images: Sequence[Picture], batch_size: int = RAW_AT_ONCE) -> Tensor:
        """(N, ...) embeddings of images, as gallery items.

        Args:
            images: files, bytes of files, or images of Pillow.

        Raises:
            DataError: an image is missing, broken, too large, or of another format.
            UsageError: the run's image features are of no backbone that is here.
        """
        return self.embed_inputs(
            self.model.encode_gallery, self.read_images, _listed(images, None, "images"), batch_size
        )

    def encode_composed(self, images: Sequence[Picture], texts: Sequence[str], batch_size: int = RAW_AT_ONCE) -> Tensor:
        """(N, ...) embeddings of composed queries: each image with the text that changes it.

        Raises:
            DataError, UsageError: as `encode_image` and `encode_text`; or the run's queries are not composed.
        """
        images, texts = _listed(images, None, "images"), _listed(texts, str, "texts")
        return self.embed_composed([(self.read_images, image) for image in images], texts, batch_size)

    def embed_composed(self, images: Sequence[Source], texts: Sequence[str], size: int) -> Tensor:
        """(N, ...) embeddings of composed queries, from what reads each of their images."""
        if not self.composed:
            raise UsageError("this run answers texts or images; an image with a text needs a run of composed retrieval")
        if len(images) != len(texts):
            raise UsageError(f"{len(texts)} texts and {len(images)} images; a composed query is one of each")

        def read(pairs: Sequence[tuple[Source, str]]) -> Batch:
            reference = regions_of([image for image, _ in pairs])
            renamed = {"reference": reference["regions"], "reference_mask": reference["region_mask"]}
            return {**renamed, **self.texts.read([text for _, text in pairs])}

        return self.embed_inputs(self.model.encode_query, read, list(zip(images, texts, strict=True)), size)

    def read_images(self, images: Sequence[Picture]) -> Batch:
        return self.images.read([open_picture(image) for image in images])

    @torch.no_grad()
    def embed_inputs(self, encode: Callable[[Batch], Tensor], read: Callable[..., Batch], raw: Sequence[object],
               size: int) -> Tensor:  # fmt: skip
        if not raw:
            raise UsageError("nothing to embed: the list is empty")
        return encode_batches(encode, (read(raw[n : n + size]) for n in range(0, len(raw), size)), self.device)

    @torch.no_grad()
    def embed_batch(self, batch: Batch, of: Kind) -> Tensor:
        """(B, ...) embeddings of a batch of images or texts that readers of a table gave."""
        return encode_batches(self._encode(of), [batch], self.device)

    @torch.no_grad()
    def embed_rows(self, of: Kind, read: Callable[[np.ndarray], Batch], rows: np.ndarray, size: int) -> Tensor:
        batches = read_ahead(lambda start: read(rows[start : start + size]), range(0, len(rows), size))
        return encode_batches(self._encode(of), batches, self.device)

    def _encode(self, of: Kind) -> Callable[[Batch], Tensor]:
        return self.model.encode_query if of == "texts" else self.model.encode_gallery


def _listed(values: Sequence[object], kind: type | None, what: str) -> list:  # type: ignore[type-arg]
    """The values as a list; UsageError where one text or image was given, and not a sequence of them."""
    if isinstance(values, (str, bytes, os.PathLike)) or not isinstance(values, Sequence):
        raise UsageError(f"give a list of {what}, as in [{what[:-1]}]")
    if kind is not None and not all(isinstance(value, kind) for value in values):
        raise UsageError(f"{what} are of type {kind.__name__}")
    return list(values)
