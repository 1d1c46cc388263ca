"""The plots of the recorded runs of results/: how sweeps went, what a setting does, what re-ranking gives."""

from __future__ import annotations

import re
from pathlib import Path

from markupsafe import Markup

from raytrain.errors import Problem
from raytrain.review.accounting import read_journals
from raytrain.review.leaderboard import board_of
from raytrain.review.pages.figures import curve_figures, importance_of, rerank_figures, sweep_figures
from raytrain.review.rendering import asset, render
from raytrain.review.trials import sweeps_of

HOLLOW = Markup(".open{fill-opacity:.15;stroke:#566172}.name{font-weight:600}")
"""Points of trials that were stopped early, which the pages draw as rings."""


def plots(storage: Path) -> tuple[str, dict[str, str]]:
    """The text of a page with every plot, and {name of a file beside it: its SVG}."""
    skipped: list[Problem] = []
    journals = read_journals(storage, None, skipped)
    board, sweeps = board_of(journals, None, skipped), sweeps_of(journals, skipped)
    figures = [
        *(figure for name, sweep in sweeps.items() for figure in sweep_figures(name, sweep, importance_of(sweep))),
        *curve_figures(board.curves),
        *rerank_figures(board),
    ]
    parts, files = ["# Plots\n\nOf the recorded runs, made from their journals when the site is built.\n"], {}
    for number, figure in enumerate(figures):
        name = f"plot{number:02d}.svg"
        files[name] = standalone(str(figure.drawing))
        caption = figure.caption.replace("[", "(").replace("]", ")")
        parts.append(f"**{caption}**\n\n![{caption}]({name})\n")
    return "\n".join(parts), files


def standalone(drawing: str) -> str:
    """A drawing of a page as an SVG file that needs nothing else."""
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing)
    assert size is not None, drawing[:200]
    return render(
        "figure.svg.j2",
        width=size[1],
        height=float(size[2]),
        style=asset("figure.css") + HOLLOW,
        drawings=[Markup(drawing)],
    )
