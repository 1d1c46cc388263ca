"""What a protocol ranks, query by query: scores, right answers and the entries that were retrieved first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from raytrain.data.table import QuerySplit, Split
from raytrain.errors import UsageError, argument
from raytrain.evaluation.contact_sheet import FIRST, Asked, Entry, Query, Ranking, clipped
from raytrain.evaluation.protocols.composed import scored_blocks
from raytrain.evaluation.protocols.protocols import PARTIAL, PROTOCOLS, Result, find_protocol
from raytrain.evaluation.ranking.counts import best_first
from raytrain.scoring.composed_queries import composed_queries
from raytrain.scoring.matched_views import views_of
from raytrain.scoring.protocol_runner import Scored, positives_of

BLOCK_ELEMENTS = 2_000_000


class Block(NamedTuple):
    """Some queries of one direction with all that they rank.

    Args:
        queries: (q,) their positions.
        scores: (q, G) as they rank; -inf at what a query does not rank.
        right: (q, P) columns that answer each query, -1 where it has fewer.
        columns: (G,) positions of the columns in the gallery.
    """

    queries: Tensor
    scores: Tensor
    right: Tensor
    columns: Tensor


def refuse_protocol(protocol: str) -> None:
    """Raises UsageError for a protocol whose ranks are not those of a whole split with its own right answers."""
    whole = protocol.removeprefix(PARTIAL)
    published = PROTOCOLS.get(whole)
    if published is not None and published.folds == 1 and published.relevance in ("own", "class"):
        return
    if published is not None or whole.startswith(("fashioniq/", "cirr/")):
        raise UsageError(
            f"{protocol} has no contact sheet: a sheet shows ranks in a whole split, where its own captions, classes "
            f"or targets are right. Leave {argument('protocol')} out, or give split/NAME"
        )


def directions(split: Split | QuerySplit) -> tuple[Asked, ...]:
    """What asks in a split."""
    return ("query",) if isinstance(split, QuerySplit) else ("t2i", "i2t")


def blocks_of(scored: Scored, result: Result, direction: Asked, chosen: Sequence[int] | None = None) -> Iterator[Block]:
    """The scores by which a result ranked, block by block.

    Args:
        scored: what the result is of.
        result: of a protocol that `refuse_protocol` lets pass.
        direction: what asks.
        chosen: positions of some of the queries; None takes all.
    """
    if isinstance(scored.split, QuerySplit):
        yield from _composed_blocks(scored, scored.split, chosen)
        return
    similarity, owner = scored.matrix, torch.from_numpy(scored.split.item_of_text)
    right, positions = _right_answers(scored, result, direction, owner)
    if chosen is not None:
        positions = positions[torch.isin(positions, torch.tensor(list(chosen), dtype=torch.int64))]
    normalise = None
    if result.rerank is not None:
        bank = None if scored.bank is None else getattr(scored.bank, direction)
        normalise = result.rerank.normaliser(direction, similarity, bank)
    columns = torch.arange(similarity.shape[0 if direction == "i2t" else 1])
    for queries in torch.split(positions, max(1, BLOCK_ELEMENTS // len(columns))):
        if direction == "i2t":
            part = similarity[:, queries]
            scores = (part if normalise is None else normalise(part, columns=queries)).T
        else:
            part = similarity[queries]
            scores = part if normalise is None else normalise(part, queries)
        yield Block(queries, scores, right[queries], columns)


def _right_answers(scored: Scored, result: Result, direction: Asked, owner: Tensor) -> tuple[Tensor, Tensor]:
    """((Q, P) positions that answer each query, -1 where it has fewer, (q,) the queries that have one)."""
    assert isinstance(scored.split, Split)
    definition, number = find_protocol(result.protocol), len(result.ranks[direction])
    if definition.relevance == "class":
        positives = positives_of(scored.split, definition, None)[direction]
        right = torch.full((number, positives.items.shape[1]), -1)
        right[positives.queries] = positives.items
        return right, positives.queries
    if direction == "t2i":
        return owner[:, None], torch.arange(number)
    counts = torch.bincount(owner, minlength=number)
    right = torch.full((number, max(1, int(counts.max()))), -1)
    order = owner.argsort(stable=True)
    place = torch.arange(len(owner)) - (counts.cumsum(0) - counts)[owner[order]]
    right[owner[order], place] = order
    return right, counts.nonzero()[:, 0]


def _composed_blocks(scored: Scored, split: QuerySplit, chosen: Sequence[int] | None) -> Iterator[Block]:
    """Blocks of composed queries, in those of the evaluation, so that their scores are the same to the last bit."""
    queries = composed_queries(split)
    part_of_query = queries.part[queries.reference]
    wanted = None if chosen is None else torch.tensor(list(chosen), dtype=torch.int64)
    for part in range(len(queries.parts)):
        rows, columns = (part_of_query == part).nonzero()[:, 0], (queries.part == part).nonzero()[:, 0]
        for chunk, scores, targets in scored_blocks(scored.blocks(), queries, rows, columns):
            kept = (targets >= 0).any(1) if wanted is None else torch.isin(chunk, wanted)
            if bool(kept.any()):
                yield Block(chunk[kept], scores[kept], targets[kept], columns)


def answered(scored: Scored, result: Result, direction: Asked, chosen: Sequence[int]) -> list[Query]:
    """Some queries with what was retrieved for them, in the order given.

    Args:
        scored, result, direction: as `blocks_of`.
        chosen: positions of queries that have a right answer.
    """
    by_position: dict[int, Query] = {}
    for block in blocks_of(scored, result, direction, chosen):
        for row, position in enumerate(block.queries.tolist()):
            by_position[position] = _query(scored, result, direction, block, row)
    return [by_position[position] for position in chosen]


def _query(scored: Scored, result: Result, direction: Asked, block: Block, row: int) -> Query:
    position, scores = int(block.queries[row]), block.scores[row]
    right = block.right[row][block.right[row] >= 0]
    number = min(FIRST, int((scores > -torch.inf).sum()))
    first = best_first(scores[None], number)[0]
    rank = int(result.ranks[direction][position]) + 1
    best = right[scores[right] == scores[right].max()].max()  # of equal scores the higher index ranks above
    columns = torch.cat([first, best[None]])
    places = block.columns[columns]
    texts = direction == "i2t"
    asking, entries = (scored.gallery, scored.query) if texts else (scored.query, scored.gallery)
    views = views_of(scored.model, asking[position], entries[places.to(entries.device)], texts)
    named = [_named(scored.split, texts, place) for place in places.tolist()]
    shown = [
        Entry(rank=place + 1 if place < number else rank, score=float(scores[column]), right=column in right.tolist(),
              query_view=view[0], item_view=view[1], **names)
        for place, (column, view, names) in enumerate(zip(columns.tolist(), views, named, strict=True))
    ]  # fmt: skip
    return Query(position=position, **_asking(scored.split, direction, position),
                 rankings=[Ranking(first=shown[:number], best=shown[-1])])  # fmt: skip


def _asking(split: Split | QuerySplit, direction: Asked, position: int) -> dict[str, str]:
    """Id, text and file of a query."""
    table = split.table
    if isinstance(split, QuerySplit):
        assert table.queries is not None
        identity = table.queries["id"][int(split.rows[position])].as_py()
        text = table.texts["text"][int(split.text[position])].as_py()
        file = table.items["file"][int(split.items[split.reference[position]])].as_py()
        return {"id": clipped(identity), "text": clipped(text), "file": file}
    named = _named(split, direction == "t2i", position)
    return named if direction == "t2i" else {**named, "text": ""}


def _named(split: Split | QuerySplit, text: bool, position: int) -> dict[str, str]:
    """Id, text and file of a caption, or of an image with its first caption, by position in the split."""
    table = split.table
    if text:
        row = int(split.texts[position])
        return {"id": clipped(table.texts["id"][row].as_py()), "text": clipped(table.texts["text"][row].as_py()),
                "file": ""}  # fmt: skip
    row, caption = int(split.items[position]), ""
    if isinstance(split, Split):
        own = np.flatnonzero(split.item_of_text == position)[:1]
        caption = "".join(table.texts["text"].take(pa.array(split.texts[own])).to_pylist())
    return {"id": clipped(table.items["id"][row].as_py()), "text": clipped(caption),
            "file": table.items["file"][row].as_py()}  # fmt: skip
