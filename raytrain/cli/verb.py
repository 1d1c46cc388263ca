"""What all verbs share: --json, help that begins with examples, overrides among the flags, and words on mistakes.

A verb is a function of its parsed flags that returns what `--json` prints. Heavy imports stay inside the functions, so
that help and completion are quick.
"""

from __future__ import annotations

import contextlib
import difflib
import functools
import inspect
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Annotated, Any, TextIO, cast

import typer
from typer.core import TyperCommand, TyperGroup

from raytrain.cli.terminal import Printable
from raytrain.errors import UsageError, no_such_name, printable

Run = Callable[..., dict[str, Any]]
DATA, SEARCH, BUDGET, CLUSTER, OUTPUT = "Data", "Search", "Budget", "Cluster", "Output"  # panels of options


def escape(text: str) -> str:
    """The text for help, where rich would take [brackets] for markup."""
    return text.replace("[", r"\[")


def option(name: str, panel: str, text: str, **more: Any) -> Any:
    """A flag of a verb, in a panel of its help."""
    return typer.Option(name, help=escape(text), rich_help_panel=panel, **more)


def verb(
    app: typer.Typer,
    name: str,
    *examples: str,
    panel: str | None = None,
    names: Callable[[], str] | None = None,
    fields: Callable[[Sequence[str]], Iterable[str]] | None = None,
    flags_first: bool = False,
) -> Callable[[Run], Run]:
    """Adds a function to `app` as a verb with `--json`; its docstring is the verb's description.

    Args:
        examples: commands that work; the help shows them before anything else.
        panel: of the verb in the help of all verbs.
        names: returns the last paragraph of the help; called when it is shown.
        fields: returns what the verb's `overrides` may set, for the words of a command line; None where it has none.
        flags_first: the first word that is no flag ends the flags: it and all that follows are a command.
    """

    class ThisVerb(Verb):
        override_fields = staticmethod(fields) if fields else None
        last_paragraph = staticmethod(names) if names else None

    def add(run: Run) -> Run:
        @functools.wraps(run)
        def command(*, json: bool, **given: Any) -> int:
            return _run(run, given, json)

        wants_json = inspect.Parameter("json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_JSON)
        signature = inspect.signature(run, eval_str=True)
        parameters = [*signature.parameters.values(), wants_json]
        command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        # Typer asks for them several times; as texts they would be compiled each time
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        lines = [f"[cyan]  {escape(example)}[/cyan]" for example in examples]
        app.command(
            name,
            cls=ThisVerb,
            help="\n".join([escape(inspect.getdoc(run) or ""), "", "Examples:", *lines]),
            short_help=escape((inspect.getdoc(run) or "").partition("\n\n")[0]),
            rich_help_panel=panel,
            context_settings={"allow_interspersed_args": not flags_first},
        )(command)
        return run

    return add


_JSON = Annotated[bool, option("--json", OUTPUT, "print one JSON object on stdout, and everything else on stderr")]


_json_stdout: ContextVar[TextIO | None] = ContextVar("_json_stdout", default=None)
"""Where JSON goes while a verb runs; None where it is not wanted."""


def announce(result: Mapping[str, Any]) -> None:
    """Print, where JSON is wanted, the object of a verb that goes on, as one that serves does; it then returns {}."""
    stdout = _json_stdout.get()
    if stdout is not None:
        _print_json(result, stdout)


def _run(run: Run, given: dict[str, Any], as_json: bool) -> int:
    """Runs a verb, prints its result where JSON is wanted, and returns the exit code."""
    stdout = sys.stdout
    wanted = _json_stdout.set(stdout if as_json else None)
    try:
        # everything else that is printed, by Ray too, is for people to read
        with contextlib.redirect_stdout(sys.stderr if as_json else cast(TextIO, Printable(stdout))):
            result = run(**given)
    finally:
        _json_stdout.reset(wanted)
    if as_json and result:
        _print_json(result, stdout)
    return int(result.get("exit_code", 0))


def _print_json(result: Mapping[str, Any], stdout: TextIO) -> None:
    text = json.dumps(result, ensure_ascii=False, default=str)
    encoding = stdout.encoding or "utf-8"
    is_plain = text == printable(text) == text.encode(encoding, "replace").decode(encoding)
    print(text if is_plain else json.dumps(result, default=str), file=stdout, flush=True)


class Verb(TyperCommand):
    """One verb: takes a.b=value before, between and after its flags, and lists names when its help is shown."""

    override_fields: Callable[[Sequence[str]], Iterable[str]] | None = None
    last_paragraph: Callable[[], str] | None = None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, self._overrides_last(args) if self.override_fields else args)

    def _overrides_last(self, args: list[str]) -> list[str]:
        """The words with every a.b=value behind the others, so that a recipe may follow one."""
        switches = {flag for param in self.params if getattr(param, "is_flag", False) for flag in param.opts}
        overrides, others = list[str](), list[str]()
        for before, word in zip(["", *args], args, strict=False):
            is_value = before.startswith("--") and "=" not in before and before not in switches
            is_override = "=" in word and not word.startswith("-") and not is_value
            (overrides if is_override else others).append(word)
        return [*others, *overrides]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        if self.last_paragraph:
            self.epilog = escape(self.last_paragraph())
        params = self.get_params(ctx)
        _hide_types_of_switches(params)
        for param in params:
            if param.name == "help":
                param.rich_help_panel = OUTPUT  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


class Verbs(TyperGroup):
    """A group of verbs, which suggests one where a name is wrong."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        if args[0] not in self.commands and not ctx.resilient_parsing:
            kind = "verb" if ctx.parent is None else "action"
            raise UsageError(no_such_name(kind, args[0], self.commands))
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        _hide_types_of_switches(self.get_params(ctx))
        super().format_help(ctx, formatter)


def _hide_types_of_switches(params: Iterable[Any]) -> None:
    """Help says <bool> beside a flag that takes no value; an empty metavar leaves that out."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = ""


def explain(error: typer.TyperException, words: Sequence[str], command: str) -> str:
    """One line on what is wrong with a command line, and what was meant.

    Args:
        words: of the command line.
        command: what to ask for help where the error does not know its verb.
    """
    context = getattr(error, "ctx", None)
    if hasattr(error, "possibilities") and context is not None:
        return _no_such_option(context.command, str(getattr(error, "option_name", "")), words)
    message = " ".join(error.format_message().split())
    wrong: list[dict[str, Any]] = getattr(error.__cause__, "errors", list)()
    if wrong:  # the value of an option
        given = "" if wrong[0]["type"] == "value_error" else f" (given: {wrong[0]['input']!r:.80})"
        return f"{message.replace('Value error, ', '').rstrip('.')}{given}"
    path = context.command_path if context is not None else command
    return f"{message[:1].lower()}{message[1:].rstrip('.')}; `{path} --help` shows examples"


def _no_such_option(command: Any, name: str, words: Sequence[str]) -> str:
    """On `--epochs 3`: an option that does not exist, with the override or the option that was meant."""
    options = [flag for param in command.params for flag in param.opts if flag.startswith("--")]
    meant = [flag for flag in options if flag.startswith(name)] or difflib.get_close_matches(name, options, 1, 0.75)
    if not meant and isinstance(command, Verb) and command.override_fields:
        from raytrain.config.fields import similar_leaves

        fields = similar_leaves(name.lstrip("-").replace("-", "_"), command.override_fields(words))
        meant = [f"{field}={_value_of(name, words)}" for field in fields]
    meant = meant or difflib.get_close_matches(name, options, 1)
    hint = f"; did you mean {' or '.join(meant)}?" if meant else f". Options: {', '.join(options)}."
    return f"no option {name}{hint}"


def _value_of(name: str, words: Sequence[str]) -> str:
    """What follows an option in a command line; "..." where nothing does."""
    for word, after in zip(words, [*words[1:], "-"], strict=True):
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
        if word == name and not after.startswith("-"):
            return after
    return "..."
