"""How often the test split was opened by a run, by its weights under another name, and by all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raytrain.tracking.openings import NAME, Opened, Openings, count_openings, openings_of_journal
from raytrain.tracking.run_record import RunRecord


def openings_of_run(
    record: RunRecord, events: Sequence[Mapping[str, Any]], evaluations: Sequence[Mapping[str, Any]]
) -> Openings:
    """Openings of the test split, as its journal, its evaluation files and the counting file beside it say.

    `of_test` is 0 where openings were not counted by test rows, in runs from before there were counting files.

    Args:
        record: of the run.
        events: of its journal.
        evaluations: files of the run.
    """
    stated = [e for e in evaluations if e.get("split") == "test"]
    most = max([len(set(openings_of_journal(events))), *_numbers(stated, "test_openings")])
    in_all = max(_numbers(stated, "test_openings_in_all"), default=0)
    for opening in [event["opening"] for event in events if isinstance(event.get("opening"), Mapping)][-1:]:
        opened = Opened(str(opening.get("test")), str(opening.get("weights")), record.uid)
        counted = count_openings([record.folder.parent / NAME], opened, events)
        most, in_all = max(most, counted.of_run), max(in_all, *counted)
    return Openings(most, max(in_all, most) if in_all else 0)


def _numbers(evaluations: Sequence[Mapping[str, Any]], name: str) -> list[int]:
    """A whole number of each evaluation that has it."""
    return [e[name] for e in evaluations if isinstance(e.get(name), int)]
