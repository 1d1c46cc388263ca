from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.cli.main import build_parser, main
from raytrain.data.table import Table
from raytrain.tracking.journal import Journal
from tests.tables import make_table


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
    found: dict[str, object] = json.loads(capsys.readouterr().out)  # the whole of stdout
    return found


def test_train_prints_the_promised_json(tmp_path: Path, table: Table, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "vse_infinity_emoji", "--json", *settings(tmp_path, table), "name=a"]) == 0
    found = last_json(capsys)
    assert found["epochs"] == 2
    assert set(found) >= {"run", "val", "epochs", "seconds"}


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
    found = last_json(capsys)
    assert found["test_openings"] == 2
    assert set(found) >= {"protocol", "metrics", "queries", "gallery", "fingerprint"}
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


def test_every_verb_shows_an_example_in_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in (["train"], ["sweep"], ["evaluate"], ["rerank"], ["leaderboard"], ["doctor"], ["data", "build"],
                 ["data", "check"], ["data", "encode"], ["track", "sync"]):  # fmt: skip
        with pytest.raises(SystemExit) as error:
            build_parser().parse_args([*verb, "--help"])
        assert error.value.code == 0
        assert f"raytrain {' '.join(verb)}" in capsys.readouterr().out.split("usage:")[1]
