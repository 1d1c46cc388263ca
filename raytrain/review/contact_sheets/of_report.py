"""The contact sheets of a report: those of the best of its runs that has some."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from markupsafe import Markup

from raytrain.errors import Problem
from raytrain.evaluation.contact_sheet import ContactSheet
from raytrain.review.contact_sheets.page import SHEET_STYLE, image_root, sheet_part, sheets_of_run
from raytrain.review.escaping import plain
from raytrain.review.pages.report_page import ContactSheets
from raytrain.review.report.report import Report
from raytrain.review.runs import ReviewedRun


def contact_sheets_of(report: Report, skipped: list[Problem]) -> ContactSheets | None:
    """The section for the page of a report; None where no run has sheets.

    Args:
        skipped: where the problems of damaged sheets are added, which are left out.
    """
    places = {folder: place for place, row in enumerate(report.board.rows) for folder in row.folders}
    for run in sorted(report.reviewed, key=lambda run: places.get(str(run.folder), len(places))):
        if sheets := sheets_of_run(run.evaluations, skipped=skipped):
            return ContactSheets(functools.partial(_sheets_of, run, sheets), (SHEET_STYLE,))
    return None


def _sheets_of(run: ReviewedRun, sheets: Sequence[ContactSheet], most_bytes: int) -> Markup:
    heading = Markup("<p>Of {}.</p>").format(plain(run.name))
    root = image_root(str(run.config.get("data.table")), sheets[0].fingerprint)
    return heading + sheet_part(sheets, root, most_bytes - len(heading))
