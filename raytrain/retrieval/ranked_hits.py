"""Embedded queries against a gallery: the best entries of each, all compared, or candidates with a certificate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from raytrain.methods.base import Method
from raytrain.retrieval.gallery import Gallery
from raytrain.retrieval.hits import Hits, hits_of
from raytrain.retrieval.index.candidate_search import Searched
from raytrain.retrieval.index.certificate import Certainty
from raytrain.retrieval.scores import scores_of
from raytrain.retrieval.top_k import top_k

if TYPE_CHECKING:
    from raytrain.evaluation.reranking.query_bank import BankNormaliser

SCORES_AT_ONCE = 2**24
"""Scores of queries against a gallery that are in memory at once."""


def ranked_hits(
    model: Method,
    queries: Tensor,
    gallery: Gallery,
    k: int,
    excluded: Mapping[int, int],
    normalise: BankNormaliser | None,
    memory_mib: float,
) -> list[Hits]:
    """The k best entries for each query, equal scores in the order of the gallery.

    Candidates of an index are used where scores are the method's own: re-ranked ones are of every entry.

    Args:
        model: that scores.
        queries: (Q, ...) embeddings on its device.
        excluded: {query: position of an entry that is no answer to it}.
        normalise: re-ranks scores of all entries; None leaves them.
        memory_mib: as in `scores_of`.
    """
    if gallery.candidates is not None and normalise is None:
        searched = Searched(model, gallery.embeddings, gallery.of, gallery.candidates, memory_mib)
        answers = zip(queries, searched.search(queries, k, excluded), strict=True)
        return [hits_of(model, query, a.scores, a.places, gallery, a.certainty) for query, a in answers]
    hits: list[Hits] = []
    everything = Certainty("scored", len(gallery))
    at_once = max(1, SCORES_AT_ONCE // max(len(gallery), 1))
    for start in range(0, len(queries), at_once):
        part = queries[start : start + at_once]
        scores = scores_of(model, part, gallery.embeddings, gallery.of, memory_mib)
        scores = scores if normalise is None else normalise(scores)
        for row, position in excluded.items():
            if start <= row < start + len(part):
                scores[row - start, position] = -torch.inf
        for query, row_scores, places in zip(part, scores, top_k(scores, k), strict=True):
            hits.append(hits_of(model, query, row_scores[places], places, gallery, everything))
    return hits
