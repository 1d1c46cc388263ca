from __future__ import annotations

import json
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.core import TyperGroup

import raytrain
from raytrain.cli.main import command, main, open_closed_streams
from raytrain.data.table import Table
from raytrain.tracking.journal import Journal
from tests.command_lines import parse
from tests.tables import make_table

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "torch", "ray", "optuna", "mlflow", "numpy", "pyarrow", "pydantic", "yaml", "raytrain.search_spaces",
    "raytrain.config",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Table]:
    """A storage folder with one finished run, made by the command line."""
    folder = tmp_path_factory.mktemp("cli")
    table = make_table(folder / "table")
    assert main(["train", "dvse_emoji", *settings(folder, table), "name=first"]) == 0
    return folder, table


def settings(folder: Path, table: Table) -> list[str]:
    return [
        f"data.table={table.path}", f"storage={folder}", "encoder.dim=8", "optim.batch_size=20", "optim.num_epochs=2",
        "--tracking=none",
    ]  # fmt: skip


def last_json(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    result: dict[str, object] = json.loads(capsys.readouterr().out)  # the whole of stdout
    return result


def test_train_prints_the_promised_json(tmp_path: Path, table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "vse_infinity_emoji", "--json", *settings(tmp_path, table), "name=a"]) == 0
    result = last_json(capsys)
    assert result["epochs"] == 2
    assert set(result) >= {"run", "val", "epochs", "seconds"}


def test_a_finished_run_or_another_config_is_not_overwritten(trained: tuple[Path, Table]) -> None:
    folder, table = trained
    assert main(["train", "dvse_emoji", *settings(folder, table), "name=first"]) == 4
    assert main(["train", "dvse_emoji", *settings(folder, table), "name=first", "optim.lr=0.1"]) == 4


def test_rerank_then_evaluate_gives_both_rows_and_counts_the_openings(
    trained: tuple[Path, Table], capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna", reason="the search of temperatures needs optuna")
    folder, _ = trained
    run = str(folder / "emoji" / "first")
    assert main(["rerank", run, "--trials", "20", "--json"]) == 0
    assert set(last_json(capsys)) >= {"params", "before", "after", "settings_tried", "seconds"}
    assert main(["evaluate", run, "--split", "test", "--json"]) == 0
    assert last_json(capsys)["test_openings"] == 1
    assert main(["evaluate", run, "--split", "test", "--json"]) == 0
    result = last_json(capsys)
    assert result["test_openings"] == 2
    assert set(result) >= {"protocol", "metrics", "queries", "gallery", "fingerprint"}
    opened = [e for e in Journal(run).read() if e["event"] == "evaluation" and e["split"] == "test"]
    assert {event["test_openings"] for event in opened} == {1, 2}
    assert main(["leaderboard", "--storage", str(folder), "--json"]) == 0
    assert last_json(capsys)["rows"]
    assert {path.suffix for path in folder.glob("leaderboard.*")} == {".md", ".csv", ".tex", ".html"}


def test_evaluation_refuses_a_table_that_changed(tmp_path: Path) -> None:
    table = make_table(tmp_path / "table")
    assert main(["train", "dvse_emoji", *settings(tmp_path, table), "name=a"]) == 0
    make_table(tmp_path / "table", items=32)
    assert main(["evaluate", str(tmp_path / "emoji" / "a")]) == 4


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["train", "dvse_emoji", "optim.lrr=1"], 2, "did you mean 'lr'"),
        (["train", "dvse_emojii"], 2, "no recipe 'dvse_emojii'"),
        (["train", "dvse_emoji", "data.val_split=test"], 4, "never read the test split"),
        (["train", "dvse_emoji", "data.table=nowhere"], 3, "raytrain data build"),
        (["data", "build", "emojis", "--out", "t"], 2, "Sources: "),
        (["data", "check", "nowhere"], 3, "table.json"),
        (["data", "check", "~no_such_user/table"], 2, "write the path without ~"),
        (["evaluate", "nowhere"], 2, "no finished checkpoint"),
    ],
)
def test_errors_have_their_exit_code_and_say_what_to_do(
    arguments: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    if arguments[0] == "train":
        arguments = [*arguments, "--tracking=none"]
    assert main(arguments) == code
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


VERBS = [
    name
    for name, parsed in command().commands.items()
    for name in ([f"{name} {action}" for action in parsed.commands] if isinstance(parsed, TyperGroup) else [name])
]


def test_these_are_the_verbs() -> None:
    assert VERBS == [
        "demo", "init", "data build", "data detect", "data check", "data vocabulary", "data encode", "train", "sweep",
        "study list", "study run", "study report", "watch",
        "evaluate", "rerank", "ensemble", "compare", "leaderboard", "cost", "track sync", "report", "search", "index",
        "serve", "export", "promote", "show", "recipes", "spaces", "methods", "sources", "licences", "submit", "doctor",
    ]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_shows_an_example_that_parses_before_its_options(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*verb.split(), "--help"]) == 0
    screen = capsys.readouterr().out
    usage, options = screen.split("Examples:")
    assert f"Usage: raytrain {verb}" in usage and "--json" not in usage and "--json" in options
    examples = re.findall(r"^   (raytrain .*?) *$", options, re.M)
    assert examples and all(example.startswith(f"raytrain {verb}") for example in examples)
    for example in examples:
        name, flags = parse(shlex.split(example.partition(" > ")[0])[1:])
        assert name == verb and flags


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = f"""
import resource, sys
from raytrain.cli.main import main
main(["--help"])
heavy = [name for name in {HEAVY} if name in sys.modules]
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([heavy, used.ru_utime + used.ru_stime]), file=sys.stderr)
"""
    runs = [run_python(f"import json\n{code}") for _ in range(3)]
    assert {tuple(heavy) for heavy, _ in runs} == {()}
    assert min(seconds for _, seconds in runs) <= 0.5  # of CPU; the others had the caches of this machine against them


def test_no_help_list_or_completion_imports_torch_or_ray() -> None:
    result = run_python(f"""
import json, os, sys
from raytrain.cli.main import main
for verb in {VERBS}:
    assert main([*verb.split(), "--help"]) == 0
for arguments in (["recipes"], ["spaces"], ["methods"], ["sources"], ["show", "dvse_emoji", "method.views=8"]):
    assert main(arguments) == 0
for line in ("train dvse", "sweep dv", "data build kar", "tra"):
    words = ["raytrain", *line.split()]
    os.environ.update(_RAYTRAIN_COMPLETE="complete_bash", COMP_WORDS=" ".join(words), COMP_CWORD=str(len(words) - 1))
    try:
        main([])
    except SystemExit as end:
        assert not end.code
print(json.dumps([name for name in ("torch", "ray", "optuna", "mlflow") if name in sys.modules]), file=sys.stderr)
""")
    assert result == []


def run_python(code: str) -> Any:
    """What the last line of stderr of a process of its own says, as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stderr.splitlines()[-1])


@pytest.mark.parametrize(
    ("line", "completions"),
    [
        ("raytrain tra", ["train", "track"]),
        ("raytrain data en", ["encode"]),
        ("raytrain train dvse_flickr8", ["dvse_flickr8k", "dvse_flickr8k_grid"]),
        ("raytrain sweep vse", ["vse_infinity", "vse_infinity_core", "vsepp"]),
        ("raytrain sweep dvse --recipe sum_", ["sum_emoji", "sum_products"]),
        ("raytrain data build web", ["webdataset"]),
        ("raytrain sweep dvse --sampler ns", ["nsga2"]),
    ],
)
def test_a_shell_completes_verbs_and_names(
    line: str, completions: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_RAYTRAIN_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", line)
    monkeypatch.setenv("COMP_CWORD", str(len(line.split()) - 1))
    with pytest.raises(SystemExit):
        main([])
    assert capsys.readouterr().out.split() == completions


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"raytrain {raytrain.__version__}\n"


def test_no_verb_at_all_shows_the_verbs_and_is_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["data"]) == 2
    printed = capsys.readouterr()
    assert "leaderboard" in printed.out and "vocabulary" in printed.out and printed.err == ""


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("trian", "raytrain: no verb 'trian'; did you mean 'train'?"),
        ("data bild", "raytrain data: no action 'bild'; did you mean 'build'?"),
        ("--verbose", "raytrain: no option --verbose; did you mean --version?"),
        ("train", "raytrain train: missing argument 'RECIPE'; `raytrain train --help` shows examples"),
        ("data build karpathy", "raytrain data: missing option '--out'; `raytrain data build --help` shows examples"),
        ("train dvse_emoji --workers two", "raytrain train: Invalid value for '--workers': Input should be a valid"),
        ("train dvse_emoji --gpu maybe", "'maybe' is not one of 'auto', 'yes', 'no'"),
        ("evaluate RUN --split", "option '--split' requires an argument; `raytrain evaluate --help` shows examples"),
        ("train dvse_emoji 5", "raytrain train: '5' is no override; write name=value, for example optim.lr=1e-4"),
        ("train dvse_emojii", "raytrain train: no recipe 'dvse_emojii'; did you mean 'dvse_emoji'? Recipes: asym"),
        ("sweep dvs --recipe dvse_emoji", "no search space 'dvs'; did you mean 'dvse'? Search spaces: asymvlm, "),
        ("data build karpaty --out t", "no source 'karpaty'; did you mean 'karpathy'? Sources: butd_tsv, "),
        ("data build captions --root r --out t tex=c", "captions has no option 'tex'; did you mean 'text'? Options: "),
        ("train dvse_emoji method.kind=dvs", "method.kind has no choice 'dvs'; did you mean 'dvse'? Choices: "),
        ("train dvse_emoji lr=1", "RunConfig has no field 'lr'; did you mean optim.lr? Fields: "),
        ("sweep dvse --recipe dvse_emoji lr=1", "raytrain sweep: RunConfig has no field 'lr'; did you mean optim.lr?"),
        ("train dvse_emoji method=dive", "to change the method write method.kind=dive, or take a recipe of that meth"),
        ("train dvse_emoji --epochs 3", "raytrain train: no option --epochs; did you mean optim.num_epochs=3?"),
        ("show dvse_emoji --batch-size=32", "no option --batch-size; did you mean optim.batch_size=32?"),
        ("train dvse_emoji --views", "no option --views; did you mean method.views=...?"),
        ("train dvse_emoji --track none", "no option --track; did you mean --tracking?"),
        ("sweep dvse --trails 3", "raytrain sweep: no option --trails; did you mean --trials?"),
        ("data build karpathy --out t --texts-per-image 4", "--texts-per-image; did you mean texts_per_image=4?"),
        ("doctor --everything", "no option --everything. Options: --storage, --address, --tracking, --json."),
    ],
)  # fmt: skip
def test_a_mistake_gets_one_line_that_says_what_was_meant(
    line: str, answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    printed = capsys.readouterr()
    assert answer in printed.err
    assert printed.err.count("\n") == 1 and printed.out == ""


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("raytrain.review.write.read_leaderboard", interrupted)
    assert main(["leaderboard"]) == 130


@pytest.mark.parametrize("arguments", [["recipes"], ["recipes", "--json"], ["show", "no_such_recipe"]])
def test_closed_streams_end_no_verb(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`raytrain recipes >&- 2>&-`: Python then has no streams at all."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    open_closed_streams()
    assert main(arguments) == (2 if "show" in arguments else 0)


def test_a_bug_is_no_usage_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("raytrain.review.write.read_leaderboard", broken)
    with pytest.raises(ZeroDivisionError):
        main(["leaderboard"])


@pytest.mark.parametrize("job", ["encode", "evaluate", "leaderboard", "sweep", "train"])
def test_a_job_is_the_verb_of_its_name(
    job: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [f"jobs/{job}.py", "--help"])
    monkeypatch.setattr("sys.stdout", sys.stdout)  # so that what the entry does to it is undone
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "jobs" / f"{job}.py"), run_name="__main__")
    assert end.value.code == 0
    assert f"Usage: raytrain {'data ' if job == 'encode' else ''}{job} " in capsys.readouterr().out
