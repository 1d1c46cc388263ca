"""Which embeddings of a query and of what it retrieved are the closest pair, for those who look at results."""

from __future__ import annotations

from torch import Tensor

from raytrain.methods.base import Method


def views_of(model: Method, query: Tensor, entries: Tensor, texts: bool) -> list[tuple[int | None, int | None]]:
    """(view of the query, view of the entry) for each entry, from 0 on.

    None stands for the only embedding of a side, and where a score is no maximum over embeddings, nor a soft one.

    Args:
        query: its embedding, without a batch dimension.
        entries: (n, ...) embeddings of what was retrieved.
        texts: whether the entries are texts that an image asks for; methods take texts first.
    """
    matched = model.matched_views(entries, query[None]) if texts else model.matched_views(query[None], entries)
    if matched is None:
        return [(None, None)] * len(entries)
    pairs = matched[:, 0].flip(-1) if texts else matched[0]
    return [(None if first < 0 else first, None if second < 0 else second) for first, second in pairs.tolist()]
