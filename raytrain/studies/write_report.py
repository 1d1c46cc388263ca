"""The report of a study as a Markdown file, as an HTML page, and on request its plots as a PNG."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from raytrain.data.table import Table
from raytrain.errors import DataError
from raytrain.files import replacing
from raytrain.review.contact_sheets.pictures import fitted
from raytrain.review.escaping import markdown, plain
from raytrain.review.pages.leaderboard_page import written_now
from raytrain.review.rendering import render_page
from raytrain.studies.charts import attention_grid, figures, write_png
from raytrain.studies.examples import files_of
from raytrain.studies.report import StudyReport
from raytrain.studies.report_text import (
    READING,
    claim_texts,
    difference_text,
    headers,
    scatter_text,
    value_text,
)

FACT_NAMES = {
    "runs": "Runs", "seeds": "Seeds", "recipe": "Recipe", "budget": "Budget", "split": "Judged on", "data": "Data",
    "commit": "Commit", "best": "Best of several",
}  # fmt: skip


def write_report(report: StudyReport, folder: Path, png: bool = False) -> list[Path]:
    """Write report.md and report.html, and report.png where it is wanted; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [write_png(report, folder / "report.png")] if png else []
    picture = "report.png" if png else None
    for name, text in (("report.md", to_markdown(report, picture)), ("report.html", to_html(report))):
        with replacing(folder / name) as part:
            part.write_text(text, encoding="utf-8")
        written.append(folder / name)
    return written


def to_markdown(report: StudyReport, picture: str | None = None) -> str:
    """The report as Markdown.

    Args:
        picture: address of the plots, relative to the file; None leaves them out.
    """
    study = report.study
    lines = [f"# Study {report.name}", "", study.question, "", f"**{report.sentence}**", "",
             f"The paper: {study.paper}", ""]  # fmt: skip
    if report.decided:
        lines += ["## Claims", "", "| claim | measured | outcome |", "|---|---|---|"]
        lines += [f"| {' | '.join(map(markdown, texts))} |" for texts in claim_texts(report)] + [""]
    lines += ["## Results", "", f"| {' | '.join(map(markdown, headers(report)))} |"]
    lines += [f"|---|{'---:|' * (len(headers(report)) - 1)}"]
    for row in report.rows:
        name = markdown(row.variant.name) + (" (baseline)" if row.variant.name == study.baseline else "")
        cells = [
            "<br>".join(text for text in (value_text(cell), difference_text(cell)) if text)
            for cell in row.cells.values()
        ]
        lines.append(f"| {' | '.join([name, str(row.seeds), *cells])} |")
    lines += ["", READING, ""]
    if text := scatter_text(report):
        lines += [text, ""]
    if picture:
        lines += [f"![{study.measures[0].title} by variant, with the spread over seeds]({picture})", ""]
    if study.notes:
        lines += ["## Notes", "", *(part for note in study.notes for part in (note, ""))]
    lines += ["## What this rests on", ""]
    lines += [f"- {FACT_NAMES[name]}: {text}." for name, text in report.facts.items()]
    return "\n".join(lines) + "\n"


def to_html(report: StudyReport) -> str:
    """The report as one page that needs nothing else, with pictures where the images of its table can be read."""
    root = None
    if report.examples and report.table is not None:
        with contextlib.suppress(DataError):
            root = Table(report.table).image_root
    return str(fitted(lambda pictures: _page(report, pictures), files_of(report.examples), root))


def _page(report: StudyReport, pictures: Mapping[str, str]) -> Markup:
    rows = [
        {
            "name": row.variant.name,
            "is_baseline": row.variant.name == report.study.baseline,
            "seeds": row.seeds,
            "cells": [
                {"key": "" if cell.mean is None else cell.mean, "value": value_text(cell),
                 "difference": difference_text(cell)}
                for cell in row.cells.values()
            ],
        }
        for row in report.rows
    ]  # fmt: skip
    examples = [
        {
            "title": plain(f"{example.file}: {example.text}" if example.file else example.text),
            "file": example.file,
            "picture": pictures.get(example.file),
            "elements": [
                {
                    "grid": attention_grid(of.attention, f"attention of element {of.name}") if of.attention else "",
                    "nearest": [{"text": plain(near.text), "picture": pictures.get(near.file)} for near in of.nearest],
                }
                for of in example.elements
            ],
        }
        for example in report.examples
    ]
    page = render_page(
        "study.html.j2",
        ("style.css", "study.css"),
        ("script.js",),
        title=f"Study {report.name}",
        name=report.name,
        question=plain(report.study.question),
        sentence=report.sentence,
        paper=plain(report.study.paper),
        claims=claim_texts(report),
        headers=headers(report),
        rows=rows,
        reading=READING,
        figures=figures(report),
        examples=examples,
        notes=[plain(note) for note in report.study.notes],
        facts=[(FACT_NAMES[name], text) for name, text in report.facts.items()],
        written=written_now(),
    )
    return Markup(page)
