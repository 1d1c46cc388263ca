"""Contact sheets of a finished run, made while it is evaluated: the same scores, ranks and opening of the split."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raytrain.data.table import QuerySplit, Split, Table
from raytrain.evaluation.contact_sheet import (
    Asked,
    ContactSheet,
    Query,
    Section,
    clipped,
    files_of,
    page_file,
    write_sheet,
)
from raytrain.evaluation.evaluation_file import read_evaluation_file
from raytrain.review.contact_sheets.page import image_root, write_sheet_page
from raytrain.run_evaluation.answers import answered, blocks_of, directions, refuse_protocol
from raytrain.run_evaluation.evaluate import Evaluated, evaluate_run
from raytrain.run_evaluation.query_rules import Positions, contest, drawn_at_random, fall, gain, highest

PLAIN = "without re-ranking"
ONE_EACH = {"t2i": " At most one caption of each image.", "i2t": "", "query": " At most one query of each reference."}


def evaluate_with_sheet(
    folder: str | os.PathLike[str],
    split: str = "val",
    protocol: str | None = None,
    annotations: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    **options: Any,
) -> dict[str, Any]:
    """`evaluate_run`, with its contact sheets: `<evaluation>.sheet.json` beside each result, and one page of them.

    Args:
        seed: of the random draw.
        options: of `evaluate_run`, as all else.

    Returns:
        what `evaluate_run` returns, and {"sheets": paths of the JSON files, "sheet_page": path of the page}

    Raises:
        UsageError: as `evaluate_run`, or a protocol without contact sheets; nothing has been opened then.
    """
    refuse_protocol(protocol or f"split/{split}")
    maker = SheetMaker(seed)
    result = evaluate_run(folder, split, protocol, annotations, viewer=maker, **options)
    page = page_file(Path(result["files"][0]))
    root = image_root(maker.table, maker.sheets[0].fingerprint)
    write_sheet_page(page, maker.sheets, root)
    return result | {"sheets": [str(path) for path in maker.paths], "sheet_page": str(page)}


@dataclass
class SheetMaker:
    """Makes the sheets of an evaluation, as its viewer.

    Args:
        seed: of the random draw.
        sheets, paths: that were made, the one without re-ranking first.
        table: folder of the table that was evaluated.
    """

    seed: int = 0
    sheets: list[ContactSheet] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)
    table: Path = Path()

    def __call__(self, evaluated: Sequence[Evaluated]) -> None:
        plain, *reranked = evaluated
        self.table = plain.scored.split.table.path
        self._keep(plain, [PLAIN], self._plain_sections(plain))
        for other in reranked:
            kind = "transductive" if other.result.transductive else "inductive"
            self._keep(other, [PLAIN, f"re-ranked ({kind})"], self._improved(plain, other))

    def _keep(self, evaluated: Evaluated, systems: list[str], sections: list[Section]) -> None:
        sheet = sheet_of(evaluated, systems, sections, self.seed)
        self.sheets.append(sheet)
        self.paths.append(write_sheet(evaluated.file, sheet))

    def _plain_sections(self, plain: Evaluated) -> list[Section]:
        by_rule: dict[str, list[Section]] = {"random": [], "worst": [], "contested": []}
        for direction in directions(plain.scored.split):
            ranks, group = ranks_of(plain, direction), group_of(plain.scored.split, direction)
            contested = np.full(len(ranks), -np.inf)
            for block in blocks_of(plain.scored, plain.result, direction):
                contested[block.queries.numpy()] = contest(block.scores).cpu().numpy()
            positions = {
                "random": drawn_at_random(ranks, self.seed),
                "worst": highest(fall(ranks), group),
                "contested": highest(contested, group),
            }
            every = np.unique(np.concatenate(list(positions.values()))).tolist()
            by_position = dict(zip(every, answered(plain.scored, plain.result, direction, every), strict=True))
            for rule, chosen in positions.items():
                title, drawn = self._in_words(rule, direction)
                queries = [by_position[position] for position in chosen.tolist()]
                section = Section(rule=rule, title=title, direction=direction, drawn=drawn, queries=queries)
                by_rule[rule].append(section)
        return [section for sections in by_rule.values() for section in sections]

    def _in_words(self, rule: str, direction: Asked) -> tuple[str, str]:
        """Title of a rule, and the rule in a sentence."""
        if rule == "random":
            return "Drawn at random", f"Queries drawn at random (seed {self.seed})."
        if rule == "worst":
            drawn = "Queries whose best right answer is ranked lowest, the lowest first."
            return "Ranked worst", drawn + ONE_EACH[direction]
        drawn = (
            "Queries whose first and fifth score are nearest to each other, in standard deviations of the query's "
            "scores, the nearest first."
        )
        return "Most contested", drawn + ONE_EACH[direction]

    def _improved(self, plain: Evaluated, other: Evaluated) -> list[Section]:
        drawn = ("Queries whose best right answer re-ranking moves up by the largest factor: from 12 to 1 is more than "
                 "from 400 to 300.")  # fmt: skip
        sections = []
        for direction in directions(plain.scored.split):
            values = gain(ranks_of(plain, direction), ranks_of(other, direction))
            positions = highest(values, group_of(plain.scored.split, direction))
            queries = side_by_side([plain, other], direction, positions)
            sections.append(Section(rule="improved", title="Most improved by re-ranking", direction=direction,
                                    drawn=drawn + ONE_EACH[direction], queries=queries))  # fmt: skip
        return sections


def sheet_of(evaluated: Evaluated, systems: list[str], sections: list[Section], seed: int = 0) -> ContactSheet:
    """A sheet with what its evaluation file says of the run and of the ranks."""
    facts: Mapping[str, Any] = read_evaluation_file(evaluated.file) or {}
    named = ("split", "protocol", "fingerprint", "checkpoint", "ranks_sha256", "gallery")
    run = evaluated.file.parent.parent.name
    credits = credits_of(evaluated.scored.split.table, set(files_of(sections)))
    return ContactSheet(run=run, systems=systems, seed=seed, sections=sections, credits=credits,
                        **{name: facts[name] for name in named})  # fmt: skip


def credits_of(table: Table, files: Set[str]) -> list[str]:
    """The credits that the licences of some image files ask for, each once, in the order of the table."""
    inside = pc.is_in(table.items["file"], pa.array(sorted(files), pa.string()))
    names = table.items["attribution"].filter(inside).to_pylist()
    return list(dict.fromkeys(clipped(name) for name in names if name))


def side_by_side(evaluated: Sequence[Evaluated], direction: Asked, positions: Positions) -> list[Query]:
    """Some queries with what each of several evaluations of the same split retrieved for them."""
    columns = [answered(of.scored, of.result, direction, positions.tolist()) for of in evaluated]
    return [
        Query(position=first.position, id=first.id, text=first.text, file=first.file,
              rankings=[query.rankings[0] for query in (first, *others)])
        for first, *others in zip(*columns, strict=True)
    ]  # fmt: skip


def ranks_of(evaluated: Evaluated, direction: Asked) -> Positions:
    """(Q,) 0-based ranks of a direction's queries, -1 without a right answer."""
    return evaluated.result.ranks[direction].cpu().numpy()


def group_of(split: Split | QuerySplit, direction: Asked) -> Positions:
    """(Q,) what queries have in common: the image of captions, the reference of composed ones; images have nothing."""
    if isinstance(split, QuerySplit):
        return split.reference
    return split.item_of_text if direction == "t2i" else np.arange(len(split.items))
