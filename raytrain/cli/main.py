"""The command line: `raytrain <verb>`; `python jobs/<verb>.py` is the same command for `raytrain submit`."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

import raytrain
from raytrain.cli import (
    cluster,
    compare,
    data,
    demo,
    ensemble,
    evaluate,
    export,
    index,
    init,
    leaderboard,
    licences,
    report,
    search,
    serve,
    show,
    study,
    sweep,
    train,
    watch,
)
from raytrain.cli.terminal import print_error
from raytrain.cli.verb import Verbs, explain
from raytrain.errors import DataError, RaytrainError, UsageError, naming_flags

_EXAMPLES = (
    "raytrain demo",
    "raytrain init my_project",
    "raytrain data detect my_pictures",
    "raytrain data build emoji --out tables/emoji",
    "raytrain data encode tables/emoji --backbone lite0",
    "raytrain train dvse_emoji optim.num_epochs=2",
    "raytrain sweep dvse --recipe dvse_emoji --trials 8 --workers 2",
    "raytrain study run dvse/views --recipe dvse_emoji --seeds 3",
    "raytrain evaluate runs/emoji/RUN --split test",
    "raytrain leaderboard --experiment emoji",
    "raytrain report emoji",
    'raytrain search runs/emoji/RUN "a red shoe"',
    "raytrain serve runs/emoji/RUN",
)
_EXIT_CODES = "Exit codes: 0 done, 1 failed, 2 usage, 3 bad data, 4 refused, 75 interrupted and resumable."

app = typer.Typer(
    name="raytrain",
    cls=Verbs,
    no_args_is_help=True,
    subcommand_metavar="VERB ...",
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["--help", "-h"]},
    help="\n".join(
        [
            "Train and search ambiguous cross-modal retrieval methods on a cluster.",
            "",
            "Examples:",
            *(f"[cyan]  {example}[/cyan]" for example in _EXAMPLES),
        ]
    ),
    epilog=_EXIT_CODES,
)
app.add_typer(demo.app)
app.add_typer(init.app)
app.add_typer(data.app, name="data", rich_help_panel="Data")
app.add_typer(train.app)
app.add_typer(sweep.app)
app.add_typer(study.app, name="study", rich_help_panel="Train")
app.add_typer(watch.app)
app.add_typer(evaluate.app)
app.add_typer(ensemble.app)
app.add_typer(compare.app)
app.add_typer(leaderboard.app)
app.add_typer(leaderboard.track, name="track", rich_help_panel="Evaluate")
app.add_typer(report.app)
app.add_typer(search.app)
app.add_typer(index.app)
app.add_typer(serve.app)
app.add_typer(export.app)
app.add_typer(show.app)
app.add_typer(licences.app)
app.add_typer(cluster.app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"raytrain {raytrain.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@functools.cache
def command() -> Any:
    """The whole command line, as Typer parses it."""
    return typer.main.get_command(app)


def entry(*verb: str) -> None:
    """The console script, and a job's, which names its verb."""
    open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal or a job's log may take ASCII alone
            stream.reconfigure(errors="backslashreplace")
    code = main([*verb, *sys.argv[1:]])
    sys.stdout = sys.stderr  # libraries have last words, and nothing follows a result
    sys.exit(code)


def open_closed_streams() -> None:
    """Where the shell closed stdout or stderr (`>&-`) Python has None for it: what is printed there goes nowhere."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8"))


def _discard_stdout() -> None:
    """Send what is still to be printed nowhere: Python would complain of the closed pipe at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    name = f"raytrain {words[0]}" if words and words[0] in command().commands else "raytrain"
    try:
        with naming_flags():
            return int(command().main(words, prog_name="raytrain", standalone_mode=False) or 0)
    except RaytrainError as error:
        return _failed(name, error, words)
    except BrokenPipeError:  # `raytrain ... | head` has read enough
        _discard_stdout()
        return 1
    except (OSError, ImportError, RuntimeError) as error:
        from raytrain.api.outside_errors import in_one_line

        in_words = in_one_line(error)
        if in_words is None:
            raise
        return _failed(name, in_words, words)
    except typer.TyperException as error:
        if error.format_message():  # none where a bare `raytrain` has shown its help
            return _failed(name, UsageError(explain(error, words, name)), words)
        return error.exit_code


def _failed(name: str, error: RaytrainError, words: Sequence[str]) -> int:
    """Say what went wrong, on stdout too where JSON is wanted; the exit code."""
    print_error(name, error)
    own_words = words[: words.index("--")] if "--" in words else words
    if "--json" in own_words:
        problems = [problem.as_dict() for problem in error.problems] if isinstance(error, DataError) else []
        answer = {"error": str(error), "exit_code": error.exit_code, "problems": problems}
        try:
            print(json.dumps(answer, ensure_ascii=False), flush=True)
        except OSError:  # stdout itself is what is full or gone
            _discard_stdout()
    return error.exit_code
