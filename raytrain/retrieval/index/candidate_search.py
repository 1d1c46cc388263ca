"""The best entries among candidates, by the method's own scores, and whether they are proved to be the best of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from raytrain.methods.base import Method
from raytrain.retrieval.index.candidates import Candidates, means
from raytrain.retrieval.index.certificate import Certainty, ceiling, is_proved, raised
from raytrain.retrieval.scores import Kind, scores_of
from raytrain.retrieval.top_k import top_k

FIRST_COUNT, LAST_COUNT = 128, 4096
"""Candidates per vector of a query, at first and at most; doubled until the answer is proved."""
GRAPH_COUNT = 200
"""Candidates per query from a graph, at least; four per result."""


@dataclass(frozen=True)
class Ranked:
    """The answer to a query.

    Args:
        places: (k) int64 positions of entries, best first; equal scores in the order of the entries.
        scores: (k) of them.
        certainty: how sure the answer is.
    """

    places: Tensor
    scores: Tensor
    certainty: Certainty


@dataclass(frozen=True)
class Searched:
    """An index as it is searched.

    Args:
        model: that scores.
        embeddings: (G, ...) of the entries.
        of: what they are.
        candidates: over the same entries, in the same order.
        memory_mib: as in `scores_of`.
    """

    model: Method
    embeddings: Tensor
    of: Kind
    candidates: Candidates
    memory_mib: float

    def search(
        self, queries: Tensor, k: int, excluded: Mapping[int, int], last_count: int = LAST_COUNT
    ) -> list[Ranked]:
        """The k best entries for each query.

        Args:
            queries: (Q, ...) embeddings.
            k: at least 1.
            excluded: {query: entry that is no answer to it}.
            last_count: most candidates per vector of a query.
        """
        if not self.candidates.bounded:
            return self._by_graph(queries, k, excluded)
        assert self.model.monotone, "no such candidates are made for other methods"
        answers: dict[int, Ranked] = {}
        open_queries = np.arange(len(queries))
        count = min(max(FIRST_COUNT, 2 * k), len(self.candidates))
        last_count = min(max(last_count, count), len(self.candidates))
        while len(open_queries):
            ranked = self._once(
                queries[open_queries], k, {n: excluded.get(q) for n, q in enumerate(open_queries.tolist())}, count
            )
            ended = [count == last_count or answer.certainty.kind == "proved" for answer in ranked]
            answers.update({int(q): answer for q, answer, end in zip(open_queries, ranked, ended, strict=True) if end})
            open_queries = open_queries[~np.array(ended)]
            count = min(2 * count, last_count)
        return [answers[number] for number in range(len(queries))]

    def _once(self, queries: Tensor, k: int, excluded: Mapping[int, int | None], count: int) -> list[Ranked]:
        """The best entries among those that have a vector among the `count` nearest to a vector of the query."""
        vectors = queries.reshape(len(queries), -1, queries.shape[-1])
        products, entries = self.candidates.nearest(vectors.flatten(0, 1).cpu().numpy(), count)
        last = torch.from_numpy(products[:, -1].copy()).view(vectors.shape[:2])
        accuracy, form = self.candidates.entry, (queries.shape[1:], self.embeddings.shape[1:])
        bounds = raised(last, vectors.norm(dim=-1).cpu(), queries.shape[-1], accuracy.error, accuracy.longest)
        ceilings = ceiling(self.model, bounds.to(queries.device), self.candidates.vectors, form, self.of)
        ranked = []
        for number, places in enumerate(entries.reshape(len(queries), -1)):
            answer = self._best(queries[number : number + 1], places, k, excluded[number])
            complete = count == len(self.candidates)  # nothing is left out
            terms = vectors.shape[1] + self.candidates.vectors
            above = len(answer.scores) == k and is_proved(float(answer.scores[-1]), float(ceilings[number]), terms)
            if complete or above:
                answer = Ranked(answer.places, answer.scores, Certainty("proved", answer.certainty.compared))
            ranked.append(answer)
        return ranked

    def _by_graph(self, queries: Tensor, k: int, excluded: Mapping[int, int]) -> list[Ranked]:
        _, entries = self.candidates.nearest(means(queries), min(max(GRAPH_COUNT, 4 * k), len(self.candidates)))
        return [
            self._best(queries[number : number + 1], places, k, excluded.get(number))
            for number, places in enumerate(entries)
        ]

    def _best(self, query: Tensor, places: np.ndarray, k: int, excluded: int | None) -> Ranked:
        """The k best of some entries, not proved."""
        distinct = np.unique(places)
        distinct = distinct[(distinct >= 0) & (distinct != (-1 if excluded is None else excluded))]
        positions = torch.from_numpy(distinct)
        scores = scores_of(self.model, query, self.embeddings[positions], self.of, self.memory_mib)
        best = top_k(scores, k)[0] if len(distinct) else positions
        measured = self.candidates.entry.measured
        recall, queries = (None, 0) if measured is None else (measured.recall, measured.recall_queries)
        return Ranked(positions[best], scores[0, best], Certainty("approximate", len(distinct), recall, queries))
