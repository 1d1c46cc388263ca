"""A trained model that people search with: raw texts and images in, embeddings, scores and ranked hits out."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from raytrain.data.table import Table
from raytrain.errors import UsageError
from raytrain.methods.base import Method
from raytrain.retrieval.between_items import BetweenItems
from raytrain.retrieval.embedder import Embedder
from raytrain.retrieval.gallery import Gallery, gallery_of, gallery_of_table, refuse_test_rows, rows_of
from raytrain.retrieval.hits import Hits
from raytrain.retrieval.images import ImageInput, Picture
from raytrain.retrieval.index.store import stored_index
from raytrain.retrieval.query_banks import QueryBanks, normaliser, pooled
from raytrain.retrieval.query_images import Item, QueryImage, Source, regions_of, row_of
from raytrain.retrieval.ranked_hits import ranked_hits
from raytrain.retrieval.scores import Kind
from raytrain.retrieval.table_rows import RAW_AT_ONCE, TableRows
from raytrain.retrieval.texts import TextInput, check_text
from raytrain.scoring.embed import score

if TYPE_CHECKING:
    from raytrain.evaluation.reranking.query_bank import BankNormaliser


class Retriever(Embedder):
    """A trained model with all it takes to embed raw texts and images, and to search. `raytrain.load` makes one.

    Scores are computed in float32 or wider, as an evaluation does.

    Args:
        model, texts, images, composed, device: as of `Embedder`.
        memory_mib: MiB that comparing embeddings may hold beside scores.
        home: readers of the table that it was trained on; None where there is none.
        rows_of_other: makes readers of another table; None where no other can be read.
        banks: of inductive re-ranking; None where nobody can have searched settings.
        own: gallery that a search without one is of; None for the images of `home`, embedded at the first search.
    """

    def __init__(
        self,
        model: Method,
        texts: TextInput,
        images: ImageInput,
        *,
        composed: bool,
        device: torch.device,
        memory_mib: float,
        home: TableRows | None = None,
        rows_of_other: Callable[[Table], TableRows] | None = None,
        banks: QueryBanks | None = None,
        own: Gallery | None = None,
    ) -> None:
        super().__init__(model, texts, images, composed=composed, device=device)
        self.memory_mib = memory_mib
        self.home, self.rows_of_other, self.banks = home, rows_of_other, banks
        self._own = own
        self._others: dict[tuple[Path, str], TableRows] = {}
        self._normalisers: WeakKeyDictionary[Gallery, tuple[Method, BankNormaliser | None]] = WeakKeyDictionary()

    def similarity(self, queries: Tensor, gallery: Tensor) -> Tensor:
        """(Q, G) scores of embedded queries (texts or composed) against embedded images, float32, on the CPU."""
        return score(self.model, queries, gallery, self.memory_mib)

    def gallery(self, table: Table | str | os.PathLike[str] | None = None, of: Kind = "images",
                split: str | None = None) -> Gallery:  # fmt: skip
        """The images or the captions of a table, embedded.

        Args:
            table: default the one that the run was trained on; of a model without it, what was stored with the model.
            of: which.
            split: of the table; default all of them. No score of a query with what answers it is computed.

        Raises:
            RefusedError: rows of test are among them while something trains in this process.
            UsageError: no such split, nothing to embed, or features that this model does not read.
        """
        if table is None and self.home is None and self._own is not None:
            if of != self._own.of or split is not None:
                raise UsageError(
                    f"the {self._own.of} stored with this model are searched whole; name a table to search its {of}"
                    + (f" of the split {split}" if split is not None else "")
                )
            return self._own
        rows = self.table_rows(table)
        chosen = rows_of(rows.table, of, split, rows.missing)
        if of == "texts":
            embedded = self.embed_rows(of, rows.texts, chosen, rows.texts_at_once)
        else:
            embedded = self.embed_rows(of, rows.regions, chosen, rows.images_at_once)
        left_out = len(rows_of(rows.table, of, split)) - len(chosen)
        return gallery_of_table(rows.table, of, chosen, embedded, left_out)

    def open_index(
        self, folder: str | os.PathLike[str], table: Table | str | os.PathLike[str] | None = None
    ) -> Gallery:
        """What `raytrain index` has embedded, as a gallery whose embeddings stay on disk.

        Args:
            folder: of the index.
            table: of the index, where it was moved since.

        Raises:
            UsageError: there is no index, or FAISS is needed and not installed.
            RefusedError: another model made it, its table or its files changed since, or rows of test are in it while
                something trains in this process.
            DataError: a file is missing or damaged.
        """
        index = stored_index(Path(folder).expanduser().resolve())
        manifest = index.manifest
        index.refuse_other_model(self.weights)
        opened = table if isinstance(table, Table) else Table(table or manifest.table)
        index.refuse_other_table(opened)
        refuse_test_rows(opened, manifest.split)
        rows = index.entries()["row"].to_numpy()
        return gallery_of_table(opened, manifest.of, rows, index.embeddings(), manifest.left_out, index.candidates())

    def gallery_of_texts(self, texts: Sequence[str]) -> Gallery:
        """A gallery of any texts."""
        return gallery_of("texts", list(texts), self.encode_text(texts))

    def gallery_of_images(self, images: Sequence[Picture]) -> Gallery:
        """A gallery of any images; the id of a file is its path, that of another image its place."""
        names = [os.fspath(x) if isinstance(x, (str, os.PathLike)) else str(n) for n, x in enumerate(images)]
        return gallery_of("images", names, self.encode_image(images))

    def search(
        self,
        text: str | None = None,
        k: int = 10,
        *,
        image: QueryImage | None = None,
        gallery: Gallery | None = None,
        rerank: bool = False,
    ) -> Hits:
        """The k entries of a gallery that are closest to a text, to an image, or to an image as a text changes it.

        Args:
            text, image: the query, at least one of them.
            k: number of hits.
            gallery: default the one that was stored with the model, else the images of the table that the run was
                trained on, embedded at the first search.
            rerank: inductive Fast Re-ranking, with what `raytrain rerank --bank` chose.

        Raises:
            UsageError: a query that the run does not answer, or nothing to re-rank with.
            DataError, RefusedError: as `encode_image` and `gallery`.
        """
        return self.search_many(
            None if text is None else [text],
            k,
            images=None if image is None else [image],
            gallery=gallery,
            rerank=rerank,
        )[0]

    @torch.no_grad()
    def search_many(
        self,
        texts: Sequence[str] | None = None,
        k: int = 10,
        *,
        images: Sequence[QueryImage] | None = None,
        gallery: Gallery | None = None,
        rerank: bool = False,
    ) -> list[Hits]:
        """As `search`, for many queries of one kind; the n-th text belongs to the n-th image."""
        if k < 1:
            raise UsageError(f"k is {k}; give a number of hits, at least 1")
        for text in texts or ():
            check_text(text)
        gallery = gallery or self._own_gallery()
        queries = self._embed_queries(texts, images, gallery)
        model, normalise = self._scorer(texts, images, gallery, rerank)
        excluded = self._positions_of(images or (), gallery)
        return ranked_hits(model, queries, gallery, k, excluded, normalise, self.memory_mib)

    def _scorer(
        self, texts: Sequence[str] | None, images: Sequence[QueryImage] | None, gallery: Gallery, rerank: bool
    ) -> tuple[Method, BankNormaliser | None]:
        """What scores the queries, and what re-ranks the scores."""
        if texts is None and gallery.of == "images":
            if rerank:
                raise UsageError("re-ranking is of texts with images; images are ranked by an image as they are")
            return BetweenItems(self.model), None
        if not rerank:
            return self.model, None
        if self.composed or self.banks is None:
            raise UsageError("re-ranking is of images and captions; this model has no bank of training queries for it")
        if gallery not in self._normalisers:
            temperatures = self.banks.temperatures()
            model = pooled(self.model, temperatures)
            self._normalisers[gallery] = model, normaliser(self.banks, model, temperatures, gallery, self.memory_mib)
        return self._normalisers[gallery]

    def reranks(self, gallery: Gallery) -> bool:
        """Whether re-ranking changes the scores of a gallery: the search for settings may have found no gain."""
        return self._scorer([""], None, gallery, True)[1] is not None

    def _embed_queries(
        self, texts: Sequence[str] | None, images: Sequence[QueryImage] | None, gallery: Gallery
    ) -> Tensor:
        if texts is not None and images is not None:
            if gallery.of == "texts":
                raise UsageError("an image with a text that changes it is answered by images, not by texts")
            return self.embed_composed([self._source(image, gallery) for image in images], texts, RAW_AT_ONCE)
        if texts is not None:
            if gallery.of == "texts":
                raise UsageError("texts are searched by an image; a text is answered by images")
            return self.encode_text(texts)
        if images is None:
            raise UsageError("nothing to search by: give a text, an image, or both")
        sources = [self._source(image, gallery) for image in images]
        return self.embed_inputs(self.model.encode_gallery, regions_of, sources, RAW_AT_ONCE)

    def _source(self, image: QueryImage, gallery: Gallery) -> Source:
        if not isinstance(image, Item):
            return self.read_images, image
        rows = self.table_rows(gallery.table)
        return rows.regions_of, row_of(rows.table, image.id)

    def _positions_of(self, images: Sequence[QueryImage], gallery: Gallery) -> Mapping[int, int]:
        """{query: position in the gallery of the item that asks}, which is no answer to itself."""
        if gallery.of == "texts" or gallery.table is None:
            return {}
        place = {row: position for position, row in enumerate(gallery.rows.tolist())}
        rows = {n: row_of(gallery.table, image.id) for n, image in enumerate(images) if isinstance(image, Item)}
        return {n: place[row] for n, row in rows.items() if row in place}

    def _own_gallery(self) -> Gallery:
        if self._own is None:
            self._own = self.gallery()
        return self._own

    def table_rows(self, table: Table | str | os.PathLike[str] | None = None) -> TableRows:
        """Readers of a table; default the one that the run was trained on.

        Raises:
            UsageError: there is none, or it has no features that this model reads.
        """
        if table is None:
            if self.home is None:
                raise UsageError("this model came without its table; name one, or give a gallery of texts or images")
            return self.home
        table = table if isinstance(table, Table) else Table(table)
        if self.home is not None and table.path == self.home.table.path:
            return self.home
        if self.rows_of_other is None:
            raise UsageError("this model reads no table; give a gallery of texts or images")
        state = table.path, table.fingerprint
        if state not in self._others:
            self._others[state] = self.rows_of_other(table)
        return self._others[state]
