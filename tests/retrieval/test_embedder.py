"""Embeddings of raw texts and images: what they are, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.retrieval import Retriever
from raytrain.retrieval.index.weights import weights_sha256


def test_embeddings_do_not_depend_on_how_many_are_read_at_once(retriever: Retriever, pictures: Table) -> None:
    texts = ["a dog", "a cat runs", "two dogs"]
    torch.testing.assert_close(retriever.encode_text(texts, batch_size=2), retriever.encode_text(texts))
    files = [Path(str(pictures.image_root)) / f"{number}.jpg" for number in (1, 3, 4)]
    torch.testing.assert_close(retriever.encode_image(files, batch_size=2), retriever.encode_image(files))


def test_raw_images_have_the_embeddings_of_their_rows(retriever: Retriever, pictures: Table) -> None:
    gallery = retriever.gallery()
    first = Path(str(pictures.image_root)) / gallery.ids[0]
    torch.testing.assert_close(retriever.encode_image([first])[0], gallery.embeddings[0], rtol=1e-4, atol=1e-4)


def test_what_is_no_list_of_texts_or_images_is_refused(retriever: Retriever, composed_retriever: Retriever) -> None:
    for refused, message in (
        (lambda: retriever.encode_text("a dog"), "give a list of texts"),
        (lambda: retriever.encode_text([1]), "texts are of type str"),  # type: ignore[list-item]
        (lambda: retriever.encode_image("1.jpg"), "give a list of images"),  # type: ignore[arg-type]
        (lambda: retriever.encode_text([]), "nothing to embed"),
        (lambda: retriever.encode_composed(["1.jpg"], ["a dog"]), "needs a run of composed retrieval"),
        (lambda: composed_retriever.encode_text(["in red"]), "a text alone is no query"),
        (lambda: composed_retriever.encode_composed(["1.jpg"], ["in red", "in blue"]), "2 texts and 1 images"),
    ):
        with pytest.raises(UsageError, match=message):
            refused()


def test_weights_are_those_of_the_model(retriever: Retriever, composed_retriever: Retriever) -> None:
    assert retriever.weights == weights_sha256(retriever.model) != composed_retriever.weights
