"""The pages of the reference that are made from the code: commands, settings, journal, table, metrics, names."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, get_args, get_origin

PAGES: dict[str, Callable[[], str]] = {}
"""{name of the file in docs/reference/: what makes its text}."""


def page(name: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
    """Add a function to PAGES."""

    def add(make: Callable[[], str]) -> Callable[[], str]:
        PAGES[name] = make
        return make

    return add


def cell(value: object) -> str:
    """A text as a cell of a Markdown table."""
    return re.sub(r"\s+", " ", str(value)).replace("|", "\\|").replace("<", "&lt;").strip()


def table(headers: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table."""
    headers = list(headers)
    lines = [headers, ["---"] * len(headers), *([cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def plain(markup: str) -> str:
    """A help text without the command line's own markup."""
    return re.sub(r"\[/?cyan\]", "", markup).replace(r"\[", "[")


@page("commands.md")
def commands_page() -> str:
    from raytrain.cli.main import command

    parts = [
        "# Commands\n\nEvery verb with its arguments and flags, as `raytrain VERB --help` shows them.\n",
        "Exit codes: 0 done, 1 failed, 2 usage, 3 bad data, 4 refused, 75 interrupted and resumable.\n",
    ]
    for words, verb in sorted(_verbs(command(), ())):
        parts.append(_verb_text(" ".join(("raytrain", *words)), verb))
    return "\n".join(parts)


def _verbs(group: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, verb in group.commands.items():
        if hasattr(verb, "commands"):
            yield from _verbs(verb, (*words, name))
        elif not verb.hidden:
            yield (*words, name), verb


def _verb_text(name: str, verb: Any) -> str:
    description, _, examples = plain(verb.help or "").partition("Examples:")
    arguments = [param for param in verb.params if param.param_type_name == "argument"]
    options = [param for param in verb.params if param.param_type_name == "option" and not param.hidden]
    usage = " ".join([name, *(str(param.metavar or param.name) for param in arguments)])
    lines = [f"## {name}\n", description.strip() + "\n"]
    if lines_of_examples := [line.strip() for line in examples.splitlines() if line.strip()]:
        lines += ["```", *lines_of_examples, "```\n"]
    lines.append(f"`{usage}`\n")
    if arguments:
        lines.append(table(("argument", ""), ((f"`{p.metavar or p.name}`", plain(p.help or "")) for p in arguments)))
    rows = [
        (
            ", ".join(f"`{flag}`" for flag in (*param.opts, *param.secondary_opts)),
            _value(param),
            plain(param.help or ""),
        )
        for param in options
    ]
    lines.append(table(("flag", "value, default", ""), rows))
    return "\n".join(lines)


def _value(param: Any) -> str:
    if param.is_flag:
        return ""
    kind = f"`{param.metavar}`" if param.metavar else type_text(param.type_descriptor.annotation)
    default = "" if param.default is None or callable(param.default) else f", {param.default}"
    return f"{kind}{default}"


@page("settings.md")
def settings_page() -> str:
    from raytrain.config import METHOD_CONFIGS, RunConfig
    from raytrain.config.fields import KINDS

    parts = [
        "# Settings\n\nEvery field of a run by its dotted name, with its bounds and its default: what `name=value` of "
        "a command, `raytrain.recipe(..., {name: value})` and a search space may set. `raytrain show RECIPE` prints "
        "the values of a recipe.\n"
    ]
    root = RunConfig.model_fields
    single = [name for name in root if not _is_model(root[name].annotation) and name not in KINDS]
    parts += ["## The run\n", _fields_table("", {name: root[name] for name in single})]
    for name, field in root.items():
        if _is_model(field.annotation) and name not in KINDS:
            parts += _part_text(name, field.annotation, KINDS)
    for kind in sorted(METHOD_CONFIGS):
        config = METHOD_CONFIGS[kind]
        paper = f" ({config.label.paper})" if config.label.paper else ""
        parts += [f"## method.kind={kind}\n", f"{config.label.title}: {config.label.summary}{paper}\n"]
        parts.append(_fields_table("method", config.model_fields))
    return "\n".join(parts)


def _part_text(place: str, part: Any, kinds: Mapping[str, Any]) -> list[str]:
    fields = {key: field for key, field in part.model_fields.items() if f"{place}.{key}" not in kinds}
    parts = [f"## {place}\n", f"{first_paragraph(part)}\n", _fields_table(place, fields)]
    for inner, of_kind in kinds.items():
        if inner.startswith(f"{place}."):
            for kind, model in of_kind.items():
                parts += [f"### {inner}.kind={kind}\n", f"{first_paragraph(model)}\n"]
                parts.append(_fields_table(inner, model.model_fields))
    return parts


def first_paragraph(value: Any) -> str:
    """The first paragraph of a docstring."""
    return (inspect.getdoc(value) or "").partition("\n\n")[0]


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and hasattr(annotation, "model_fields")


def _fields_table(place: str, fields: Mapping[str, Any]) -> str:
    rows = []
    for key, field in fields.items():
        name = f"{place}.{key}" if place else key
        bounds = ", ".join(filter(None, (_bound(item) for item in field.metadata)))
        default = "required" if field.is_required() else _shown(field.get_default(call_default_factory=True))
        rows.append((f"`{name}`", type_text(field.annotation), bounds, default, field.description or ""))
    return table(("field", "type", "bounds", "default", ""), rows)


def _shown(value: Any) -> str:
    return "none" if value is None else '""' if value == "" else str(list(value) if isinstance(value, tuple) else value)


def _bound(item: Any) -> str:
    signs = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "min_length": "length at least",
             "max_length": "length at most", "multiple_of": "multiple of", "pattern": "matches"}  # fmt: skip
    return ", ".join(
        f"{words} {f'`{bound}`' if sign == 'pattern' else bound}"
        for sign, words in signs.items()
        if (bound := getattr(item, sign, None)) is not None
    )


def type_text(annotation: Any) -> str:
    """A type in words: `int`, `none or str`, `"a" or "b"`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is type(None) or annotation is None:
        return "none"
    if str(origin) in ("typing.Union", "<class 'types.UnionType'>") or str(origin).endswith("UnionType'>"):
        return " or ".join(type_text(argument) for argument in arguments)
    if str(origin) == "typing.Literal":
        return " or ".join(f"`{argument}`" for argument in arguments)
    if str(origin).endswith("Annotated") or hasattr(annotation, "__metadata__"):
        bounds = ", ".join(filter(None, (_bound(item) for item in annotation.__metadata__)))
        return type_text(arguments[0]) + (f" {bounds}" if bounds else "")
    if origin is not None:
        inside = ", ".join("..." if argument is Ellipsis else type_text(argument) for argument in arguments)
        return f"{origin.__name__} of {inside}"
    return getattr(annotation, "__name__", str(annotation))


def _models_text(models: Mapping[str, Any], level: str = "##") -> list[str]:
    parts = []
    for title, model in models.items():
        explained = argument_texts(model)
        rows = [
            (f"`{field.alias or key}`", type_text(field.annotation),
             "required" if field.is_required() else _shown(field.get_default(call_default_factory=True)),
             explained.get(key, field.description or ""))
            for key, field in model.model_fields.items()
        ]  # fmt: skip
        parts += [f"{level} {title}\n", table(("field", "type", "default", ""), rows)]
    return parts


def argument_texts(model: Any) -> dict[str, str]:
    """{field: what the docstring's Args say of it}."""
    arguments = (inspect.getdoc(model) or "").partition("Args:\n")[2].partition("\n\n")[0]
    return {
        name: " ".join(text.split()) for name, text in re.findall(r"^    (\w+): (.*(?:\n        .*)*)", arguments, re.M)
    }


@page("journal.md")
def journal_page() -> str:
    from raytrain.tracking import events

    parts = [
        "# Journal\n\n`journal.jsonl` in the folder of a run or sweep is the truth of it: one JSON object per line, "
        "appended and never changed. MLflow, leaderboards and reports are made from it. Readers check the fields "
        "below, keep others, and name a line that is damaged.\n\n"
        "`raytrain.history(run)` and `raytrain.trials(sweep)` are its rows in Python.\n"
    ]
    for name, model in events.EVENTS.items():
        parts += [f"## {name}\n", f"{EVENT_TEXTS[name]}\n"]
        parts += _models_text({name: model})[1:]
    parts += ["## Parts\n"]
    parts += _models_text(
        {"config": events.Config, "options of a sweep": events.SweepOptions, "ray": events.RayIds}, "###"
    )
    return "\n".join(parts)


EVENT_TEXTS = {
    "start": "The first line of a run or sweep.",
    "resume": "It goes on after an interruption, from a checkpoint.",
    "epoch": "An epoch of a run has ended; `metrics` has its losses and validation metrics.",
    "evaluation": "`raytrain evaluate` has measured the run on a split.",
    "rerank": "Temperatures of Fast Re-ranking were chosen.",
    "room": "The number of worker slots of a sweep has changed.",
    "trial": "A trial of a sweep has ended.",
    "repeat": "One of the best trials of a sweep was trained with another seed.",
    "cost": "What a sweep has taken, in seconds and money.",
    "report": "A report was written.",
    "end": "The run or sweep has ended; a later `resume` reopens it.",
}


@page("table.md")
def table_page() -> str:
    from raytrain.data.table import description, schema
    from raytrain.data.table import table as table_module

    text = inspect.getdoc(table_module) or ""
    parts = ["# Table\n", "The on-disk form of every data set. [Data](../data.md) says how one is built.\n"]
    parts += ["```", text, "```\n"]
    parts += ["## table.json\n", *_models_text({"the file": description.TableDescription}, "###")]
    parts += _models_text({"an entry of features": description.FeatureEntry, "accounts": description.Accounts}, "###")
    source = inspect.getsource(schema)
    comments = dict(re.findall(r'\("(\w+)", [^#\n]*\),\s*#\s*(.*)', source))
    for title, columns in (("items", schema.ITEMS), ("texts", schema.TEXTS), ("queries", schema.QUERIES)):
        rows = [(f"`{field.name}`", field.type, comments.get(field.name, "")) for field in columns]
        parts += [f"## {title}.arrow\n", table(("column", "type", ""), rows)]
    return "\n".join(parts)


@page("metrics.md")
def metrics_page() -> str:
    from raytrain.evaluation.protocols.protocols import PROTOCOLS
    from raytrain.review.board import COMPOSED, IMAGE_TEXT

    parts = [
        "# Metrics\n\nNames of metrics in journals, evaluation files, MLflow and leaderboards. `val/` stands before "
        "those of validation, `test/` before those of the test split, `rerank/` and `inductive/` before both where "
        "scores were re-ranked. Recalls are in percent.\n",
        "## Retrieval\n",
        table(("metrics", "shown as"), ((", ".join(f"`{name}`" for name in names), title)
                                        for title, names in (*IMAGE_TEXT, *COMPOSED))),
        "`rsum` is the sum of the recalls at 1, 5 and 10 of both directions, or at 1, 10 and 50 of composed queries; "
        "`i2t/` are images that look for captions, `t2i/` captions that look for images. "
        "[Evaluation](../evaluation.md) has the denominators, the ties and the protocols.\n",
        "## Protocols\n",
        table(("protocol",), ((f"`{name}`",) for name in sorted(PROTOCOLS))),
    ]  # fmt: skip
    for title, module in METRIC_FUNCTIONS:
        parts += [f"## {title}\n", f"::: {module}\n    options:\n      show_root_heading: false"]
        parts.append("      show_root_toc_entry: false\n      heading_level: 3\n")
    return "\n".join(parts)


METRIC_FUNCTIONS = (("Diagnostics", "raytrain.evaluation.diagnostics"),)


@page("names.md")
def names_page() -> str:
    from raytrain.cli import names
    from raytrain.config import METHOD_CONFIGS

    methods = [(kind, METHOD_CONFIGS[kind].label.summary) for kind in sorted(METHOD_CONFIGS)]
    lists = (
        ("Recipes", "whole runs by name", names.recipe_summaries()),
        ("Methods", "`method.kind`", methods),
        ("Search spaces", "what a sweep draws", names.space_summaries()),
        ("Studies", "questions of papers", names.study_summaries()),
        ("Sources", "layouts of data sets that `raytrain data build` reads", names.source_summaries()),
    )
    parts = ["# Recipes, methods, spaces, studies, sources\n\nWhat has a name, from the docstrings of the code.\n"]
    for title, what, rows in lists:
        parts += [f"## {title}\n", f"{what[:1].upper()}{what[1:]}.\n"]
        parts.append(table(("name", ""), ((f"`{name}`", text) for name, text in rows)))
    return "\n".join(parts)
