"""Writing the page of a report, and where it lies."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from raytrain.errors import distinct
from raytrain.files import replacing
from raytrain.review.contact_sheets.of_report import contact_sheets_of
from raytrain.review.pages.report_page import report_html
from raytrain.review.prices import Prices
from raytrain.review.report.report import read_report
from raytrain.review.report.subject import Subject
from raytrain.tracking.artifacts import REPORT
from raytrain.tracking.journal import Journal


def write_report(
    subject: Subject, out: str | os.PathLike[str] | None = None, prices: Prices | None = None
) -> dict[str, Any]:
    """Write the report on a run, a sweep or an experiment.

    Without `out` it lies in the folder of its subject as report.html, and the journal of a run or sweep that has ended
    names it, so that MLflow gets it. A line in the journal of one that may go on would look like a sign of life. With
    `out` nothing else is touched.

    Returns:
        {"path", "kind", "name", "verdict", "rows", "counts", "bytes", "skipped": damaged lines and files}
    """
    report = read_report(subject, prices)
    page = report_html(report, contact_sheets_of(report, subject.skipped))
    path = subject.folder / REPORT if out is None else Path(out).expanduser()
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(page, encoding="utf-8", newline="")
    if out is None and report.progress is not None and report.progress.has_ended:
        journal = Journal(subject.folder)
        journal.write("report", file=REPORT)
        journal.close()
    return {
        "path": str(path),
        "kind": subject.kind,
        "name": subject.name,
        "verdict": report.verdicts[0].sentence if report.verdicts else "",
        "rows": len(report.board.rows),
        "counts": report.board.counts,
        "bytes": len(page.encode()),
        "skipped": [problem.as_dict() for problem in distinct(subject.skipped)],
    }
