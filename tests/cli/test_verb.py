from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import pytest
import typer

from raytrain.cli.verb import CLUSTER, announce, option, verb
from raytrain.errors import UsageError
from tests.command_lines import parse


def made(**more: Any) -> Any:
    """A command line of the verb `greet` alone, as Typer parses it."""
    app = typer.Typer()

    @verb(app, "greet", "raytrain greet all [of you]", **more)
    def run_greet(
        who: str,
        overrides: Annotated[list[str] | None, typer.Argument()] = None,
        times: Annotated[int, option("--times", CLUSTER, "how [often]")] = 1,
        loud: Annotated[bool, option("--loud", CLUSTER, "shout")] = False,
    ) -> dict[str, Any]:
        """Greet [someone]."""
        print(f"hello {who}")
        return {"who": who, "overrides": overrides, "times": times, "exit_code": times - 1}

    return typer.main.get_command(app)


def run(words: list[str], **more: Any) -> Any:
    return made(**more).main(words, prog_name="raytrain greet", standalone_mode=False)


def test_json_is_all_that_stands_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    stdout = sys.stdout
    assert run(["müller", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"who": "müller", "overrides": None, "times": 1, "exit_code": 0}
    assert printed.err == "hello müller\n"
    assert sys.stdout is stdout
    assert run(["all"]) == 0
    assert capsys.readouterr().out == "hello all\n"


def test_a_result_may_name_its_exit_code() -> None:
    assert run(["all", "--times", "4"]) == 3


def test_help_shows_brackets_as_they_are_and_the_names_of_the_moment(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["dvse"]
    greet = made(names=lambda: f"Names: {names} [all].")
    names.append("mine")
    assert greet.main(["--help"], prog_name="raytrain greet", standalone_mode=False) == 0
    screen = capsys.readouterr().out
    for text in ("Greet [someone].", "raytrain greet all [of you]", "how [often]", "Names: ['dvse', 'mine'] [all]."):
        assert text in screen
    assert "<bool>" not in screen and "<int>" in screen


@pytest.mark.parametrize("fields", [None, lambda words: ["a.times"]])
def test_only_a_verb_of_overrides_takes_them_before_its_argument(fields: Any) -> None:
    outcome = made(fields=fields).make_context("greet", ["x=1", "--times", "2", "all", "a.b=c d"]).params
    assert (outcome["who"], outcome["overrides"]) == (
        ("all", ["x=1", "a.b=c d"]) if fields else ("x=1", ["all", "a.b=c d"])
    )


@pytest.mark.parametrize(
    "line",
    [
        "sweep dvse optim.lr=1 seed=3 --recipe r --trials 4 --json",
        "sweep dvse --recipe r optim.lr=1 --trials 4 seed=3 --json",
        "sweep --recipe r --trials 4 dvse --json optim.lr=1 seed=3",
        "sweep optim.lr=1 --recipe=r seed=3 --json --trials=4 dvse",
    ],
)
def test_overrides_may_stand_anywhere(line: str) -> None:
    name, flags = parse(line.split())
    assert (name, flags["space"], flags["recipe"], flags["trials"], flags["json"]) == ("sweep", "dvse", "r", 4, True)
    assert list(flags["overrides"]) == ["optim.lr=1", "seed=3"]


def test_a_flags_value_is_no_override() -> None:
    _, flags = parse(["train", "r", "--tracking", "http://host/?a=b", "--assume", "tokens=3", "--assume=captions=5"])
    assert flags["tracking"] == "http://host/?a=b"
    assert list(flags["assume"]) == ["tokens=3", "captions=5"]
    assert not flags["overrides"]


def test_an_unknown_verb_or_action_shows_those_that_exist() -> None:
    with pytest.raises(UsageError, match=r"no verb 'fly'\. Verbs: demo, init, data, train, "):
        parse(["fly"])
    with pytest.raises(UsageError, match=r"no action 'encod'; did you mean 'encode'\? Actions: build, "):
        parse(["data", "encod"])


def test_a_verb_that_goes_on_announces_its_json_before_it_ends(capsys: pytest.CaptureFixture[str]) -> None:
    app = typer.Typer()
    printed = []

    @verb(app, "go", "raytrain go")
    def run_go() -> dict[str, Any]:
        """Go on."""
        announce({"url": "a"})
        printed.append(capsys.readouterr().out)
        return {}

    for words, expected in ((["--json"], '{"url": "a"}\n'), ([], "")):
        typer.main.get_command(app).main(words, standalone_mode=False)
        assert printed.pop() == expected and capsys.readouterr().out == ""
