"""Which evaluation files of a run count: those that its journal knows, unchanged, of its best weights and its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from raytrain.errors import DataError, Problem
from raytrain.evaluation.contact_sheet import SUFFIX
from raytrain.evaluation.digest import digest
from raytrain.evaluation.evaluation_file import SCHEMA_VERSION, EvaluationFile, read_evaluation_file, read_rank_arrays
from raytrain.evaluation.protocols.named_split import split_of
from raytrain.tracking.run_record import RunRecord, step_of

AGAIN = "evaluate the run again"
TOLERANCE = 1e-6
"""Of a metric in a file and in the journal, in percent points."""


class LeftOut(NamedTuple):
    """Something that a leaderboard does not count, and why.

    Args:
        run: folder name of the run.
        file: name of the evaluation file; "" for the run itself.
        why: the reason, in words.
    """

    run: str
    file: str
    why: str

    def __str__(self) -> str:
        text = f"{self.run}{f' {self.file}' if self.file else ''}: {self.why}"
        return "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text)


def filed_evaluations(
    record: RunRecord, events: Sequence[Mapping[str, Any]], skipped: list[Problem] | None = None
) -> tuple[list[dict[str, Any]], list[LeftOut]]:
    """The evaluation files of a run that count, as `read_evaluations` gives them, and those that do not.

    Args:
        record: of the run.
        events: of its journal.
        skipped: where the problems of damaged files are added, which are in neither list; None discards them.
    """
    counted: list[dict[str, Any]] = []
    left_out: list[LeftOut] = []
    for path in sorted((record.folder / "evaluation").glob("*.json")):
        if path.name.startswith("similarity_") or path.name.endswith(SUFFIX):  # of kept scores; a contact sheet
            continue
        try:
            document = read_evaluation_file(path)
            read_rank_arrays(document or {})
        except FileNotFoundError:
            continue  # replaced or removed just now
        except DataError as error:
            (skipped if skipped is not None else []).extend(error.problems)
            continue
        why: str | None = f"no evaluation of schema {SCHEMA_VERSION}"
        if document is not None:
            why = _why_not(EvaluationFile.model_validate(document), document, path, record, events)
        if document is not None and why is None:
            counted.append(document)
        else:
            left_out.append(LeftOut(record.folder.name, path.name, str(why)))
    stale = [(evaluation, why) for evaluation in counted if (why := _why_stale(evaluation, counted, record))]
    left_out += [LeftOut(record.folder.name, Path(evaluation["file"]).name, why) for evaluation, why in stale]
    return [evaluation for evaluation in counted if all(evaluation is not other for other, _ in stale)], left_out


def _why_not(
    evaluation: EvaluationFile,
    document: Mapping[str, Any],
    path: Path,
    record: RunRecord,
    events: Sequence[Mapping[str, Any]],
) -> str | None:
    """Why a file does not count; None where it does."""
    named, start = split_of(evaluation.protocol), record.start
    if named is not None and named != evaluation.split:
        return f"scores of split '{evaluation.split}' under {evaluation.protocol}, a protocol of '{named}'; {AGAIN}"
    if evaluation.uid is not None and evaluation.uid != record.uid:
        return f"of another run, {evaluation.uid}"
    if evaluation.fingerprint != start.get("fingerprint"):
        other, own = evaluation.fingerprint[:12], str(start.get("fingerprint"))[:12]
        return f"of other data than the run: fingerprint {other}, the run's is {own}"
    if None not in (evaluation.seed, start.get("seed")) and evaluation.seed != start.get("seed"):
        return f"of another run: seed {evaluation.seed}, the run's is {start.get('seed')}"
    if step_of(evaluation.checkpoint) != record.best_step:
        return f"of {evaluation.checkpoint}; the best epoch ended at step {record.best_step}: {AGAIN}"
    return _why_not_of_journal(evaluation, document, path.name, record, events)


def _why_not_of_journal(
    evaluation: EvaluationFile,
    document: Mapping[str, Any],
    name: str,
    record: RunRecord,
    events: Sequence[Mapping[str, Any]],
) -> str | None:
    """Why a file is not what the journal says was written; None where it is.

    Journals from before files had digests name the metrics. Those of a search's validation are in its own event, and
    without re-ranking in the best epoch.
    """
    kind, val = _prefix(document), record.config.get("data.val_split", "val")
    for event in reversed(events):
        files = event.get("files")
        if event.get("event") == "evaluation" and event.get("file") == name:
            stated = event.get("split"), event.get("protocol")
            if stated != (evaluation.split, evaluation.protocol):
                return (
                    f"says {evaluation.split} and {evaluation.protocol}, the run's journal {stated[0]} and {stated[1]}"
                )
            return _why_changed(document, event.get("digest"), event.get("metrics"), f"{kind}{evaluation.split}/")
        if event.get("event") == "rerank" and isinstance(files, Mapping) and name in files:
            return _why_changed(document, files[name], None, "")
        if event.get("event") == "rerank" and files is None and evaluation.protocol == f"split/{val}":
            if kind == f"{event.get('kind') or 'rerank'}/":
                return _why_changed(document, None, event.get("metrics"), f"{kind}{evaluation.split}/")
            if not kind:
                return _why_changed(document, None, record.best_metrics, "val/")
    return f"the run's journal knows no such file; {AGAIN}"


def _why_changed(document: Mapping[str, Any], written: object, metrics: object, prefix: str) -> str | None:
    """Why a file is not the one with this digest or, where there is none, not one with these metrics."""
    if written is not None:
        return None if digest(document) == written else f"changed since it was written; {AGAIN}"
    logged = metrics if isinstance(metrics, Mapping) else {}
    for name, value in document["metrics"].items():
        logged_value = logged.get(f"{prefix}{name}")
        if isinstance(logged_value, (int, float)) and abs(logged_value - value) <= TOLERANCE:
            continue
        if prefix == "val/" and logged_value is None:  # an epoch may log fewer metrics than an evaluation has
            continue
        return f"says {name} {value}, the run's journal {logged_value}; {AGAIN}"
    return None


def _why_stale(
    evaluation: Mapping[str, Any], evaluations: Sequence[Mapping[str, Any]], record: RunRecord
) -> str | None:
    """Why a re-ranked result is not one of the temperatures that validation chose; None where it is."""
    kind, val = _prefix(evaluation), str(record.config.get("data.val_split", "val"))
    if not kind or evaluation["split"] == val:
        return None
    chosen = [e["rerank"] for e in evaluations if e["protocol"] == f"split/{val}" and _prefix(e) == kind]
    if not chosen:
        return f"no result of validation with its temperatures counts; {AGAIN} on {val}"
    return None if chosen[0] == evaluation["rerank"] else f"under other temperatures than validation's; {AGAIN}"


def _prefix(evaluation: Mapping[str, Any]) -> str:
    """ "rerank/" of a transductive result, "inductive/" of one over a bank, "" without re-ranking."""
    if evaluation.get("transductive"):
        return "rerank/"
    return "inductive/" if evaluation.get("rerank") else ""
