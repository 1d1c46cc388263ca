"""Base class of methods over local features of both sides, compared in blocks of pairs that fit a memory budget."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from raytrain.config import EncoderConfig
from raytrain.config.methods.triplet import LocalPairsPart
from raytrain.distributed import OwnRows
from raytrain.encoders.padding import ends_of, know_ends, members
from raytrain.encoders.regions import LocalRegions
from raytrain.errors import UsageError
from raytrain.methods.base import Batch, Inputs, StepContext
from raytrain.methods.branches import word_encoder
from raytrain.methods.triplet import TripletMethod
from raytrain.similarity.precision import l2_normalize
from raytrain.similarity.upload import upload

NUMBERS_PER_MIB = 2**18
"""float32 numbers per MiB."""

CAPTIONS_AT_ONCE = 32
"""Most queries per block: with few, short captions are not computed at the length of the longest in the batch."""


class CrossAttention(TripletMethod):
    """Captions are queries, images the gallery; both are local features, padded with rows of zeros."""

    config: LocalPairsPart
    local_features = True

    def __init__(
        self, encoder: EncoderConfig, config: LocalPairsPart, inputs: Inputs, word_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.config = config
        self.captions: OwnRows | None = None  # of this rank, while it compares no others
        self.image = LocalRegions(inputs.region_features, encoder.dim)
        self.text = word_encoder(encoder, inputs, word_dropout)

    def encode_query(self, batch: Batch) -> Tensor:
        """(B, T[, F]) captions -> (B, T, D) words, L2-normalised."""
        return l2_normalize(self.text(batch["text"], batch["text_mask"]), dim=-1)

    def encode_gallery(self, batch: Batch) -> Tensor:
        """(B, R, F) regions -> (B, R, D), L2-normalised."""
        return self.image(batch["regions"], batch["region_mask"])  # type: ignore[no-any-return]

    def gathered(self, query: Tensor, batch: Batch, context: StepContext) -> Tensor:
        everywhere = super().gathered(query, batch, context)
        if query.device.type != "cpu":
            before = query.shape[1] - batch["text_mask"].shape[1]  # rows ahead of the words
            know_ends(everywhere, context.gather(before + members(batch["text_mask"]).ends))
        return everywhere

    def training_scores(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(Q, G); of several ranks each compares its own captions with all images."""
        captions, images = OwnRows(query), OwnRows(gallery)
        if not captions.is_part:
            return self.similarity(query, gallery)
        know_ends(captions.own_in_place, ends_of(query))
        self.captions = captions
        try:
            return self.similarity(captions.own_in_place, images.all)
        finally:
            self.captions = None

    def item_similarity(self, items: Tensor, others: Tensor) -> Tensor:
        raise UsageError(f"{type(self).__name__} compares words with regions; it has no score of images with images")

    def in_blocks(
        self, compare: Callable[[Tensor, Tensor], tuple[Tensor, ...]], query: Tensor, gallery: Tensor
    ) -> tuple[Tensor, ...]:
        """compare(query, gallery) over blocks of queries of similar length, each block cut to its longest query.

        Where all pairs do not fit into `method.memory_mib`, the backward pass computes each block again instead of
        keeping it. `compare` must therefore draw no random numbers and change no buffer.

        Args:
            compare: (q, t, D) queries and the whole gallery -> tensors with q rows.
            query: (Q, T, D), zero rows for padding.
            gallery: (G, R, D), likewise.

        Returns:
            The tensors of `compare`, with Q rows in the order of `query`.
        """
        captions, ends = self.captions, ends_of(query)
        if captions is not None:
            query, ends = query[captions.rows], ends[captions.rows]
        lengths, order = ends.sort()  # the mask may also drop words inside a caption
        order = upload(order, query.device)
        numbers = max(1, self.pair_cost(query, gallery) * len(gallery))
        fitting = self.config.memory_mib * NUMBERS_PER_MIB // numbers
        again = torch.is_grad_enabled() and fitting < len(query)
        rows = max(1, min(fitting, CAPTIONS_AT_ONCE))
        parts = []
        for rows_of_block, block_lengths in zip(torch.split(order, rows), torch.split(lengths, rows), strict=True):
            block = query[rows_of_block, : max(2, int(block_lengths[-1]))]  # keep a row beside SGRAF's global vector
            parts.append(checkpoint(compare, block, gallery, use_reentrant=False) if again else compare(block, gallery))
        back = order.argsort()
        whole = tuple(torch.cat(blocks)[back] for blocks in zip(*parts, strict=True))
        return whole if captions is None else tuple(map(captions.gather, whole))
