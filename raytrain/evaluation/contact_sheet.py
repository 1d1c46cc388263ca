"""A contact sheet as data: queries that a rule drew, and what was retrieved for each. It holds names and no pictures.

It stands beside the evaluation whose ranks it shows: `val.json` has `val.sheet.json`, `val.rerank.json` has
`val.rerank.sheet.json`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from raytrain.files import read_model, write_json

SUFFIX = ".sheet.json"
SCHEMA_VERSION = 1
FIRST = 5
"""Results that are shown for each query."""
MOST_CHARACTERS = 500
"""Of a caption; what is longer is cut, so that no caption fills a page."""
AGAIN = "Make it again with `raytrain evaluate RUN --sheet`."
Asked = Literal["i2t", "t2i", "query"]
"""What asks: an image for captions, a caption for images, or an image with a text that changes it for images."""
Name = Annotated[str, Field(max_length=4_096)]
Score = Annotated[float, Field(allow_inf_nan=False)]
Rank = Annotated[int, Field(ge=1)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="allow")


class Entry(_Part):
    """An image or a caption that was retrieved.

    Args:
        rank: from 1 on.
        id: in the table.
        text: the caption, or the first caption of an image; "" where it has none.
        file: of the image, relative to the table's image root; "" for a caption.
        score: the method's own, or what re-ranking made of it.
        right: whether it answers the query.
        query_view, item_view: which embedding of the query and of the entry matched, from 0 on; None where a side has
            one alone, or the method's score is no maximum over embeddings, nor a soft one.
    """

    rank: Rank
    id: Name
    text: Name
    file: Name
    score: Score
    right: bool
    query_view: int | None = None
    item_view: int | None = None


class Ranking(_Part):
    """What one system retrieved for a query.

    Args:
        first: the entries with the highest scores, best first.
        best: the right answer with the highest score; its rank is the one that the evaluation counted.
    """

    first: Annotated[list[Entry], Field(max_length=50)]
    best: Entry

    @property
    def shown(self) -> list[Entry]:
        """The first entries, and the best right answer where it is not among them."""
        return [*self.first, *([self.best] if self.best.rank > len(self.first) else [])]


class Query(_Part):
    """A query and what each system of the sheet retrieved for it.

    Args:
        position: among the queries of its direction in the split.
        id, text: of the caption, the image or the composed query; the text of an image is "".
        file: of the image that asks, or that the text changes; "" for a caption.
        rankings: one per system.
    """

    position: Annotated[int, Field(ge=0)]
    id: Name
    text: Name
    file: Name
    rankings: Annotated[list[Ranking], Field(min_length=1, max_length=2)]


class Section(_Part):
    """Queries of one direction that one rule drew.

    Args:
        rule: its name, one word.
        title: the rule in a few words.
        direction: what asks.
        drawn: the rule in a sentence.
        queries: in the order of the rule.
    """

    rule: Name
    title: Name
    direction: Asked
    drawn: Name
    queries: Annotated[list[Query], Field(max_length=200)]


class ContactSheet(_Part):
    """Sections that show one evaluation, or two side by side.

    Args:
        run: name of its folder.
        split, protocol, fingerprint, checkpoint: as in the evaluation.
        systems: what each ranking of a query is of, one name or two.
        gallery: {direction: entries that a query is ranked against}.
        ranks_sha256: of the evaluation's ranks, by which a sheet of an earlier evaluation is known.
        seed: of the random draw.
        credits: that the licences of the images ask for, each once.
    """

    version: Annotated[int, Field(ge=1, le=SCHEMA_VERSION)] = SCHEMA_VERSION
    run: Name
    split: Name
    protocol: Name
    fingerprint: Name
    checkpoint: Name
    systems: Annotated[list[Name], Field(min_length=1, max_length=2)]
    gallery: dict[str, int]
    ranks_sha256: str
    seed: int
    sections: Annotated[list[Section], Field(max_length=32)]
    credits: Annotated[list[Name], Field(max_length=10_000)] = []


def sheet_file(evaluation: Path) -> Path:
    """Where the sheet of an evaluation file stands."""
    return evaluation.with_name(f"{evaluation.name.removesuffix('.json')}{SUFFIX}")


def page_file(evaluation: Path) -> Path:
    """Where the page of an evaluation's sheets stands."""
    return sheet_file(evaluation).with_suffix(".html")


def write_sheet(evaluation: Path, sheet: ContactSheet) -> Path:
    """Write the sheet of an evaluation file, and return its path."""
    return write_json(sheet_file(evaluation), sheet.model_dump())


def read_sheet(evaluation: dict[str, Any]) -> ContactSheet | None:
    """The sheet of an evaluation, as `read_evaluations` gives these; None where there is none of its present ranks.

    Raises:
        DataError: the sheet is damaged; each problem names a field.
    """
    try:
        sheet = read_model(sheet_file(Path(evaluation["file"])), ContactSheet, AGAIN)
    except FileNotFoundError:
        return None
    return sheet if sheet.ranks_sha256 == evaluation.get("ranks_sha256") else None


def clipped(text: str) -> str:
    """The text on one line, cut at MOST_CHARACTERS."""
    line = " ".join(text[: 4 * MOST_CHARACTERS].split())
    return line if len(line) <= MOST_CHARACTERS else f"{line[: MOST_CHARACTERS - 1]}…"


def files_of(sections: Iterable[Section]) -> list[str]:
    """The image files that sections show, one name per place where it stands."""
    names: list[str] = []
    for query in (query for section in sections for query in section.queries):
        names += [query.file, *(entry.file for ranking in query.rankings for entry in ranking.shown)]
    return [name for name in names if name]
