"""The page of `raytrain compare`: the verdict, metrics, settings, and the queries that two runs rank differently."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from raytrain.data.storage import Root
from raytrain.evaluation.contact_sheet import ContactSheet, files_of
from raytrain.files import replacing
from raytrain.review.contact_sheets.page import READING, sheet_style
from raytrain.review.contact_sheets.pictures import MOST_BYTES, fitted
from raytrain.review.rendering import render
from raytrain.review.two_sides import p_text, signed


def write_comparison_page(path: Path, answer: Mapping[str, Any], sheet: ContactSheet, root: Root | None) -> Path:
    """Write the page of a comparison, and return its path.

    Args:
        answer: as `compare_runs` returns it.
        sheet: the queries that differ most, with two rankings each.
        root: of the image files; None where they are gone.
    """

    def page(pictures: Mapping[str, str]) -> Markup:
        return render("contact_sheets/comparison.html.j2", answer=answer, sheet=sheet, pictures=pictures,
                      style=sheet_style(), reading=READING, metrics=metric_rows(answer))  # fmt: skip

    text = fitted(page, files_of(sheet.sections), root, MOST_BYTES)
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def metric_rows(answer: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Cells of each metric: its name, A, B, the difference, its interval, p."""
    return [
        (
            name.replace("recall_at_", "R@"),
            f"{metric['a']:.1f}",
            f"{metric['b']:.1f}",
            signed(metric["difference"]),
            f"{signed(metric['interval'][0])} to {signed(metric['interval'][1])}",
            p_text(metric["p"]).removeprefix("p = ").removeprefix("p "),
        )
        for name, metric in answer["metrics"].items()
    ]
