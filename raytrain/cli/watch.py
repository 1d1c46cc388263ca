"""`raytrain watch`: a sweep or run as it goes on, from its journals alone; neither Ray nor MLflow is asked."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Annotated, Any

import typer

from raytrain.cli.options import Experiment, Storage
from raytrain.cli.terminal import print_skipped, screen_console
from raytrain.cli.verb import OUTPUT, option, verb
from raytrain.errors import UsageError

app = typer.Typer()


@verb(
    app,
    "watch",
    "raytrain watch runs/emoji/SWEEP",
    "raytrain watch SWEEP --storage /mnt/shared/runs",
    "raytrain watch runs/emoji/SWEEP --once --json",
    panel="Train",
)
def run_watch(
    sweep: Annotated[str, typer.Argument(metavar="SWEEP", help="folder of a sweep or run, or its name in the storage")],
    storage: Storage = "runs",
    experiment: Experiment = None,
    once: Annotated[bool, option("--once", OUTPUT, "print one screen, and end")] = False,
    interval: Annotated[float, option("--interval", OUTPUT, "seconds between two looks", metavar="SECONDS")] = 2.0,
) -> dict[str, Any]:
    """Show a sweep or run while it goes on: best value, time left, what trains, what failed.

    It reads the journals alone, so that it works wherever the storage is mounted, and after a crash. On a terminal it
    is one screen, elsewhere a line per change. It ends when the sweep ends, and by Ctrl-C.
    """
    from raytrain.review.watch.journals import JournalsReader
    from raytrain.review.watch.progress import Progress
    from raytrain.review.watch.progress_of import progress_of
    from raytrain.review.watch.screen import screen_of
    from raytrain.review.watch.words import changes
    from raytrain.tracking.run_lookup import run_named

    if not interval > 0:
        raise UsageError(f"--interval {interval:g}: give a number of seconds above 0")
    reader = JournalsReader(run_named(sweep, storage, experiment))

    def look() -> Progress:
        now = time.time()
        return progress_of(reader.look(now), now)

    progress = look()
    console = screen_console()
    if once:
        console.print(screen_of(progress, height=1000))
    elif console.is_terminal:
        from rich.live import Live

        with contextlib.suppress(KeyboardInterrupt), Live(console=console, auto_refresh=False) as live:
            live.update(screen_of(progress, console.height), refresh=True)
            while not progress.has_ended:
                time.sleep(interval)
                progress = look()
                live.update(screen_of(progress, console.height), refresh=True)
    else:
        with contextlib.suppress(KeyboardInterrupt):
            before: Progress | None = None
            while True:
                for line in changes(before, progress):
                    print(line, flush=True)
                for problem in progress.problems[len(before.problems) if before else 0 :]:
                    print(problem, file=sys.stderr)
                if progress.has_ended:
                    break
                time.sleep(interval)
                before, progress = progress, look()
    print_skipped(progress.problems)
    return progress.as_dict()
