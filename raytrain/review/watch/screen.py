"""The screen of `raytrain watch`, drawn by rich; every text of a journal is escaped and cut to the width."""

from __future__ import annotations

import textwrap
import time

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from raytrain.data.progress import duration
from raytrain.review.escaping import plain
from raytrain.review.watch.progress import Progress
from raytrain.review.watch.words import counted, left, params_text, rate, short_name, warning

SHOWN_FAILURES = 5
SHOWN_CHARACTERS = 150
"""Of an error."""
FIXED_LINES = 14
"""Lines of the screen that are neither runs nor failures, with some for the settings of the best run."""
_COLOURS = {
    "running": "green",
    "starting": "green",
    "finished": "bold green",
    "silent": "bold red",
    "failed": "bold red",
}


def screen_of(progress: Progress, height: int = 40) -> RenderableType:
    """The progress as a screen.

    Args:
        height: lines that there is room for; runs and failures beyond are counted, the first ones shown.
    """
    failures = progress.failures[-SHOWN_FAILURES:]
    room = max(3, height - FIXED_LINES - 2 * len(failures))
    parts: list[RenderableType] = [_title(progress), *_bar(progress), *_numbers(progress)]
    parts += _best(progress)
    parts += [Text(plain(text), style="bold red", overflow="fold") for text in warning(progress)]
    if progress.running:
        parts += ["", _running(progress, room)]
        if len(progress.running) > room:
            parts.append(_line(f"... and {len(progress.running) - room} more that train", "dim"))
    if failures:
        parts += ["", _failed(progress)]
    if progress.problems:
        newest = progress.problems[-1]
        parts += ["", _line(f"{len(progress.problems)} damaged lines or files left out; the last: {newest}", "yellow")]
    return Group(*parts)


def _line(text: str, style: str = "") -> Text:
    return Text(plain(text), style=style, overflow="ellipsis", no_wrap=True)


def _title(progress: Progress) -> Table:
    line = Table.grid(expand=True, padding=(0, 2, 0, 0))
    line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    line.add_column(no_wrap=True, justify="right")
    status = Text(plain(progress.status), style=_COLOURS.get(progress.status, "bold yellow"))
    if progress.last is not None:
        ago = "" if progress.has_ended else f"  last line {duration(progress.age_s)} ago"
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(progress.last)) if progress.has_ended else ""
        status.append(ago or f"  {at}", style="dim")
    line.add_row(Text(plain(progress.name), style="bold"), status)
    return line


def _bar(progress: Progress) -> list[RenderableType]:
    if not progress.total:
        return []
    line = Table.grid(expand=True, padding=(0, 2, 0, 0))
    line.add_column(ratio=1)
    line.add_column(no_wrap=True, justify="right")
    bar = ProgressBar(total=progress.total, completed=min(progress.done, progress.total))
    line.add_row(bar, Text(counted(progress)))
    return [line]


def _numbers(progress: Progress) -> list[RenderableType]:
    """Counts and slots; below them rate and time left."""
    counts = [f"{count} {state}" for state, count in progress.states.items() if count]
    if progress.slots_busy or progress.slots:
        of = f" of {progress.slots}" if progress.slots else ""
        counts.append(f"slots {progress.slots_busy}{of} busy")
    lines = [counts, [part for part in (rate(progress), left(progress)) if part]]
    return [Text(plain(", ".join(parts)), overflow="fold") for parts in lines if parts]


def _best(progress: Progress) -> list[RenderableType]:
    best = progress.best
    if best is None:
        return [_line(f"best {progress.metric}: none yet", "dim")]
    line = Text.assemble(
        "best ",
        plain(progress.metric),
        " ",
        (f"{best.value:.2f}", "bold"),
        f"  {plain(best.run)} ({plain(best.state)})",
    )
    line.no_wrap, line.overflow = True, "ellipsis"
    if not best.params:
        return [line]
    return [line, Text(f"  {plain(params_text(best.params))}", style="cyan", overflow="fold")]


def _running(progress: Progress, room: int) -> Table:
    table = _table()
    for heading in (
        "trains" if progress.status == "running" else "open",
        "epoch",
        "step",
        "newest",
        "best",
        "last line",
    ):
        table.add_column(heading, justify="left" if not table.columns else "right", no_wrap=True, overflow="ellipsis")
    for run in progress.running[:room]:
        table.add_row(
            Text(plain(short_name(run.run, progress))),
            f"{run.epoch}/{run.epochs or '?'}",
            f"{run.step}/{run.steps}" if run.steps else "-",
            _value(run.value),
            _value(run.best),
            f"{duration(run.age_s)} ago",
        )
    return table


def _failed(progress: Progress) -> Table:
    table = _table()
    shown = progress.failures[-SHOWN_FAILURES:]
    names = [plain(short_name(failure.run, progress)) for failure in shown]
    table.add_column("failed", no_wrap=True, overflow="ellipsis", min_width=min(24, max(map(len, names))))
    more = len(progress.failures) - len(shown)
    table.add_column(f"error (the last {len(shown)} of {len(progress.failures)})" if more else "error", overflow="fold")
    for name, failure in zip(names, shown, strict=True):
        table.add_row(Text(name), Text(textwrap.shorten(plain(failure.error), SHOWN_CHARACTERS, placeholder="...")))
    return table


def _table() -> Table:
    return Table(box=None, header_style="bold", pad_edge=False)


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
