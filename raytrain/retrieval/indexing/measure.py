"""How candidates answer queries of the table itself, compared with the scores of all entries."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from raytrain.methods.base import Method
from raytrain.retrieval.between_items import BetweenItems
from raytrain.retrieval.gallery import rows_of
from raytrain.retrieval.index.candidate_search import Searched
from raytrain.retrieval.index.candidates import Candidates
from raytrain.retrieval.index.manifest import AskedBy, Measured
from raytrain.retrieval.indexing.embed_table import Target
from raytrain.retrieval.scores import scores_of
from raytrain.retrieval.top_k import top_k

QUERIES, K = 200, 10
_SEED = 0


def measure(target: Target, embeddings: Tensor, candidates: Candidates) -> Measured:
    """The recall of candidates and the share that is proved, over a random sample of queries; no relevance is read.

    Args:
        target: what the index holds.
        embeddings: (G, ...) of its entries.
        candidates: over them.
    """
    retriever, of = target.retriever, target.of
    model, queries, own, asked_by = _queries(target, embeddings)
    k = min(K, len(embeddings))
    searched = Searched(model, embeddings, of, candidates, retriever.memory_mib)
    proved, recalls = 0, list[float]()
    for number in range(len(queries)):
        query = queries[number : number + 1]
        excluded = {} if own is None else {0: own[number]}
        answer = searched.search(query, k, excluded)[0]
        if answer.certainty.kind == "proved":
            proved += 1
            continue
        scores = scores_of(model, query, embeddings, of, retriever.memory_mib)
        if own is not None:
            scores[0, own[number]] = -torch.inf
        best = scores[0, top_k(scores, k)[0]]
        # an entry that ties with the last one is as good
        recalls.append(float((answer.scores >= best[-1] - 1e-6).sum()) / max(1, len(best)))
    recall = min(1.0, float(np.mean(recalls))) if recalls else None
    return Measured(asked_by=asked_by, queries=len(queries), k=k, proved=proved, recall=recall)


def _queries(target: Target, embeddings: Tensor) -> tuple[Method, Tensor, list[int] | None, AskedBy]:
    """(what scores, embedded queries, the entry that each one is, what they are)."""
    retriever, rows, draw = target.retriever, target.rows, np.random.default_rng(_SEED)
    if target.of == "texts":
        images = _drawn(draw, rows_of(rows.table, "images", target.split, rows.missing))
        return retriever.model, retriever.embed_batch(rows.regions(images), "images"), None, "images"
    if not retriever.composed and rows.table.queries is None:
        inside = np.isin(rows.table.texts["item"].to_numpy(), target.chosen)
        if inside.any():
            captions = _drawn(draw, np.flatnonzero(inside))
            return retriever.model, retriever.embed_batch(rows.texts(captions), "texts"), None, "captions"
    places = _drawn(draw, np.arange(len(embeddings)))
    queries = embeddings[torch.from_numpy(places)].to(retriever.device)
    return BetweenItems(retriever.model), queries, places.tolist(), "images"


def _drawn(draw: np.random.Generator, rows: np.ndarray) -> np.ndarray:
    return np.sort(draw.choice(rows, min(QUERIES, len(rows)), replace=False))
