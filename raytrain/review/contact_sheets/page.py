"""Contact sheets as HTML: a part for any page that has style.css, and a page of their own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from raytrain.data.storage import Root
from raytrain.data.table import Table
from raytrain.errors import DataError, Problem
from raytrain.evaluation.contact_sheet import ContactSheet, files_of, read_sheet
from raytrain.files import replacing
from raytrain.review.contact_sheets.pictures import MOST_BYTES, fitted
from raytrain.review.rendering import asset, render

READING = (
    "Below a picture: its rank, its score and, where the method has several embeddings, the view that matched. A right "
    "answer is framed and marked “✓ right”; where none is among the first five, the best one follows with its rank."
)
SHEET_STYLE = "contact_sheets/sheets.css"
"""What a page with the part needs beside style.css."""


def sheets_of_run(evaluations: Sequence[Mapping[str, Any]], skipped: list[Problem] | None = None) -> list[ContactSheet]:
    """The sheets of a run that show its present evaluations: by protocol, without re-ranking first.

    Args:
        evaluations: of the run that count, as `ReviewedRun.evaluations` has them.
        skipped: where the problems of damaged sheets are added, which are left out; None discards them.
    """
    sheets = []
    for evaluation in sorted(evaluations, key=lambda each: (str(each["protocol"]), bool(each.get("rerank")))):
        try:
            sheet = read_sheet(dict(evaluation))
        except DataError as error:
            (skipped if skipped is not None else []).extend(error.problems)
            continue
        if sheet is not None:
            sheets.append(sheet)
    return sheets


def image_root(table: str | os.PathLike[str], fingerprint: str) -> Root | None:
    """Where the image files of a table lie; None where it is gone, names no place, or is not the one of the sheets."""
    try:
        opened = Table(table)
        return opened.image_root if opened.fingerprint == fingerprint else None
    except DataError:
        return None


def sheet_part(sheets: Sequence[ContactSheet], root: Root | None, most_bytes: int, level: int = 3) -> Markup:
    """The sections of sheets for a page that has style.css and contact_sheets/sheets.css; "" without a sheet.

    Args:
        sheets: of one run.
        root: of the image files, as `image_root` gives it.
        most_bytes: that this part of the page may take.
        level: of its headings.
    """
    if not sheets:
        return Markup()

    def part(pictures: Mapping[str, str]) -> Markup:
        return render("contact_sheets/part.html.j2", sheets=sheets, pictures=pictures, level=level, reading=READING)

    return fitted(part, files_of(section for sheet in sheets for section in sheet.sections), root, most_bytes)


def sheet_style() -> Markup:
    """style.css and what contact sheets add to it."""
    return asset("style.css") + asset(SHEET_STYLE)


def write_sheet_page(path: Path, sheets: Sequence[ContactSheet], root: Root | None) -> Path:
    """Write the page of the sheets of one run, at least one, and return its path."""

    def page(pictures: Mapping[str, str]) -> Markup:
        return render("contact_sheets/sheet_page.html.j2", sheets=sheets, pictures=pictures, style=sheet_style(),
                      reading=READING)  # fmt: skip

    text = fitted(page, files_of(section for sheet in sheets for section in sheet.sections), root, MOST_BYTES)
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
    return path
