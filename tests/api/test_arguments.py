"""An error names the argument of a call from Python, and the flag of the verb: the same mistakes, made both ways."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import raytrain
from raytrain.cli.main import main

ROOT = Path(raytrain.__file__).resolve().parent
OF_VERBS_ALONE = (
    "cli", "cluster/doctor", "cluster/index.py", "cluster/jobs", "cluster/serve.py", "retrieval/export",
    "retrieval/index", "retrieval/indexing", "retrieval/registry", "retrieval/search.py", "retrieval/serve",
    "review/watch", "run_evaluation/ensemble.py", "tracking/run_lookup.py",
)  # fmt: skip
"""Files and folders of raytrain that no function of the public interface reaches."""
ALSO_OF_VERBS = {"--assume", "--submission", "--sort", "--backend-store-uri"}
"""Flags of single verbs in other files, of tar and of mlflow."""

Mistake = tuple[Callable[[], Any], str, str, str]


def mistakes() -> Iterator[Mistake]:
    """(a call, its verb, the argument that the error names, the flag)."""
    name = "dvse_emoji"
    yield lambda: raytrain.sweep("dvse"), "sweep dvse", f'run="{name}"', f"--recipe {name}"
    yield lambda: raytrain.sweep("dvse", resume="absent"), "sweep dvse --resume absent", "with run", "with --recipe"
    given = f"sweep dvse --recipe {name}"
    yield lambda: raytrain.sweep("dvse", name, hours=0), f"{given} --hours 0", "hours and gpu_hours", "--gpu-hours"
    yield lambda: raytrain.sweep("dvse", name, reduction=1), f"{given} --reduction 1", "reduction is", "--reduction is"
    both = f"{given} --cost gpu_seconds --repeat-best 2"
    call = lambda: raytrain.sweep("dvse", name, cost="gpu_seconds", repeat_best=2)  # noqa: E731
    yield call, both, "repeat_best chooses one trial, cost", "--repeat-best chooses one trial, --cost"
    yield lambda: raytrain.evaluate("r", sheet=True, shards=2), "evaluate r --sheet --shards 2", "sheet goes", "--sheet"
    yield (
        lambda: raytrain.evaluate("r", table="t", shards=2),
        "evaluate r --table t --shards 2",
        "table goes",
        "--table",
    )
    yield lambda: raytrain.leaderboard("absent"), "leaderboard --storage absent", "storage names", "--storage names"
    build = "data build captions --out t"
    yield lambda: raytrain.Table.build("captions", None, "t"), build, "with root", "with --root"
    build = "data build captions --root absent --out t"
    yield lambda: raytrain.Table.build("captions", "absent", "t"), build, "with root.", "with --root."
    uri = "sqlite:///relative.db"
    train = f"train {name} --tracking {uri}"
    yield lambda: raytrain.train(name, tracking=uri), train, 'tracking="none"', "--tracking none"


@pytest.mark.parametrize(("call", "verb", "argument", "flag"), list(mistakes()), ids=lambda value: str(value)[:40])
def test_an_error_names_the_argument_of_a_call_and_the_flag_of_a_verb(
    call: Callable[[], Any],
    verb: str,
    argument: str,
    flag: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(raytrain.RaytrainError) as error:
        call()
    assert argument in str(error.value) and "--" not in str(error.value)
    assert main(verb.split()) == error.value.exit_code
    assert flag in " ".join(capsys.readouterr().err.split())


def test_no_message_below_the_verbs_names_a_flag() -> None:
    """Flags stand in commands, between backticks or word by word; `errors.argument` names all else."""
    offenders = []
    for path in sorted(ROOT.rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        text = path.read_text(encoding="utf-8")
        if "--" not in text or any(place == own or place.startswith(f"{own}/") for own in OF_VERBS_ALONE):
            continue
        for message in (words for words in messages(ast.parse(text)) if not words.startswith("--")):
            flags = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", re.sub("`[^`]*`", "", message)))
            offenders += [f"{place}: {flag}" for flag in flags - ALSO_OF_VERBS]
    assert not offenders


def messages(tree: ast.AST) -> Iterator[str]:
    """Strings of a module, f-strings as wholes, without docstrings and flags that `argument` is given."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    alone = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    alone |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "flag"}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (inside | alone):
            yield node.value
