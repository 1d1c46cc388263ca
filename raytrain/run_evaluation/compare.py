"""`raytrain compare A B`: two finished runs, or two groups of seeds, on the queries of one split."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raytrain.config import method_label, method_name
from raytrain.errors import RefusedError, UsageError
from raytrain.evaluation.contact_sheet import Asked, ContactSheet, Section
from raytrain.evaluation.evaluation_file import read_rank_arrays
from raytrain.review.comparison import same_queries
from raytrain.review.contact_sheets.comparison_page import write_comparison_page
from raytrain.review.contact_sheets.page import image_root
from raytrain.review.marks.filed import filed_evaluations
from raytrain.review.two_sides import TwoSides, compare_sides, differing_settings
from raytrain.run_evaluation.answers import directions, refuse_protocol
from raytrain.run_evaluation.evaluate import Evaluated, evaluate_run
from raytrain.run_evaluation.query_rules import NUMBER, Positions, highest
from raytrain.run_evaluation.sheets import group_of, sheet_of, side_by_side
from raytrain.tracking.journal import Journal
from raytrain.tracking.run_record import RunRecord, run_record

Folder = str | os.PathLike[str]


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Args:
        name: of its first run's folder (with the experiment where both sides have one name), and how many seeds more.
        records: its runs, which differ by seed alone.
        evaluations: of each, without re-ranking.
        ranks: of each.
    """

    name: str
    records: Sequence[RunRecord]
    evaluations: Sequence[Mapping[str, Any]]
    ranks: Sequence[Mapping[str, np.ndarray]]

    def as_dict(self) -> dict[str, Any]:
        seeds = [record.start.get("seed") for record in self.records]
        method = method_label(method_name(self.records[0].config)).title
        return {"name": self.name, "method": method, "seeds": seeds,
                "runs": [str(record.folder) for record in self.records]}  # fmt: skip


def compare_runs(
    a: Sequence[Folder],
    b: Sequence[Folder],
    split: str = "val",
    protocol: str | None = None,
    html: Folder | None = None,
) -> dict[str, Any]:
    """How two sides differ: in metrics with paired intervals, in single queries, and in their settings.

    Ranks are those of recorded evaluations; of another split than test, missing ones are made. Pictures need models:
    for a page the first run of each side is evaluated again, which on test counts as an opening like any evaluation.

    Args:
        a, b: folders of finished runs; several of a side differ by seed alone.
        split: of the table that both were trained on.
        protocol: default `split/<split>`.
        html: file for a page with the queries that differ most.

    Returns:
        {"a", "b": {"name", "method", "seeds", "runs"}, "split", "protocol", "fingerprint",
        "queries": {direction: number}, "difference", "interval", "p": of rsum, A minus B,
        "verdict", "covers", "not_covered", "metrics": {name: {"a", "b", "difference", "interval", "p"}},
        "changes": {direction: {"a_better", "b_better", "equal"}}, "settings": {dotted name: [of A, of B]},
        "html": path or None}

    Raises:
        UsageError: no folder of a run, runs of a side that differ by more than their seed, or a protocol without
            pictures.
        RefusedError: runs on other data, unfinished runs, or a test split that was not opened.
    """
    protocol = protocol or f"split/{split}"
    records = [_records(folders) for folders in (a, b)]
    _refuse_other_data(*records)
    seen: list[Evaluated] = []
    if html is not None:
        refuse_protocol(protocol)
        for record in (record for side in records for record in side) if split == "test" else ():
            recorded_evaluation(record, split, protocol)
        for side in records:
            evaluate_run(side[0].folder, split, protocol, viewer=lambda evaluated: seen.append(evaluated[0]))
    alike = records[0][0].folder.name == records[1][0].folder.name
    first, second = (_side(side, split, protocol, alike) for side in records)
    if not same_queries(first.ranks[0], second.ranks[0]):
        raise RefusedError(f"{first.name} and {second.name} were evaluated on other queries; evaluate both again")
    sides = compare_sides(first.ranks, second.ranks, (first.records[0].config, second.records[0].config))
    evaluation, rsum = first.evaluations[0], sides.metrics["rsum"]
    answer: dict[str, Any] = {
        "a": first.as_dict(),
        "b": second.as_dict(),
        "split": split,
        "protocol": protocol,
        "fingerprint": evaluation["fingerprint"],
        "queries": evaluation["queries"],
        "difference": rsum.difference,
        "interval": list(rsum.interval),
        "p": rsum.p,
        "verdict": sides.verdict(f"A ({first.name})", f"B ({second.name})"),
        "covers": sides.coverage.over,
        "not_covered": sides.not_covered,
        "metrics": {name: difference.as_dict() for name, difference in sides.metrics.items()},
        "changes": {direction: changes.counts for direction, changes in sides.changes.items()},
        "settings": {name: list(values) for name, values in sides.settings.items()},
        "html": None,
    }
    if html is not None:
        sheet = _sheet(seen, sides, (first.name, second.name))
        root = image_root(seen[0].scored.split.table.path, sheet.fingerprint)
        answer["html"] = str(write_comparison_page(Path(html).expanduser(), answer, sheet, root))
    return answer


def _records(folders: Sequence[Folder]) -> list[RunRecord]:
    """The runs of a side.

    Raises:
        UsageError: no run, one given twice, or runs that differ by more than their seed.
        RefusedError: one has not finished.
    """
    records = []
    for folder in (Path(name).expanduser().resolve() for name in folders):
        record = run_record(folder, Journal(folder).read())
        if not record.start:
            raise UsageError(f"{folder} is not the folder of a run")
        if record.status not in ("finished", "pruned"):
            raise RefusedError(f"{folder.name} has not finished; comparisons are of finished runs")
        records.append(record)
    for other in records[1:]:
        if settings := differing_settings(records[0].config, other.config):
            names = ", ".join(settings)
            raise UsageError(
                f"{records[0].folder.name} and {other.folder.name} are no seeds of one run: {names} differ"
            )
    if not records or len({record.folder for record in records}) < len(records):
        raise UsageError("each side of a comparison is one run, or several seeds, each named once")
    return records


def _refuse_other_data(a: Sequence[RunRecord], b: Sequence[RunRecord]) -> None:
    prints = {str(record.start.get("fingerprint")): _named(record, True) for record in (*b, *a)}
    if len(prints) > 1:
        (one, name), (other, other_name), *_ = prints.items()
        raise RefusedError(
            f"{name} and {other_name} were trained on other data (fingerprints {one[:12]} and {other[:12]}); their "
            "ranks are of other queries"
        )
    if twice := {record.folder for record in a} & {record.folder for record in b}:
        raise UsageError(f"{twice.pop().name} is on both sides; compare two runs")


def _side(records: Sequence[RunRecord], split: str, protocol: str, with_experiment: bool) -> Side:
    evaluations = [recorded_evaluation(record, split, protocol) for record in records]
    ranks = [_ranks(evaluation) for evaluation in evaluations]
    more = f" and {len(records) - 1} more" if len(records) > 1 else ""
    return Side(f"{_named(records[0], with_experiment)}{more}", records, evaluations, ranks)


def _named(record: RunRecord, with_experiment: bool) -> str:
    """A run's folder, with that of its experiment where both sides have one name."""
    return "/".join(record.folder.parts[-2:]) if with_experiment else record.folder.name


def recorded_evaluation(record: RunRecord, split: str, protocol: str) -> Mapping[str, Any]:
    """The evaluation of a run that counts, without re-ranking; made where there is none, but of test.

    Raises:
        RefusedError: there is none of test.
    """
    for _ in range(2):
        events = Journal(record.folder).read()
        for evaluation in filed_evaluations(record, events)[0]:
            named = evaluation["split"], evaluation["protocol"]
            if named == (split, protocol) and not evaluation.get("rerank") and read_rank_arrays(evaluation):
                return evaluation
        if split == "test":
            break
        evaluate_run(record.folder, split, protocol)
    raise RefusedError(
        f"{record.folder.name} has no evaluation of {split} by {protocol}; run `raytrain evaluate {record.folder} "
        f"--split {split}`, which counts the openings of test"
    )


def _ranks(evaluation: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
    ranks = read_rank_arrays(evaluation)
    assert ranks is not None, "only evaluations with ranks are recorded ones"
    return ranks


def _sheet(seen: Sequence[Evaluated], sides: TwoSides, names: tuple[str, str]) -> ContactSheet:
    """The queries of each direction whose ranks differ most, half of them in favour of each side."""
    sections = []
    for direction in directions(seen[0].scored.split):
        factor, group = sides.changes[direction].factor, group_of(seen[0].scored.split, direction)
        for rule, sign in (("a_better", 1), ("b_better", -1)):
            values = np.where(sign * factor > 0, sign * factor, -np.inf)
            sections.append(_section(seen, direction, rule, highest(values, group, NUMBER // 2)))
    return sheet_of(seen[0], [f"A, {names[0]}", f"B, {names[1]}"], sections)


def _section(seen: Sequence[Evaluated], direction: Asked, rule: str, positions: Positions) -> Section:
    better = rule[0].upper()
    drawn = (
        f"Queries whose right answer {better} ranks higher, the largest ratio of both ranks first, at most one of each "
        "image or reference."
    )
    queries = side_by_side(seen, direction, positions)
    return Section(rule=rule, title=f"{better} is better", direction=direction, drawn=drawn, queries=queries)
