"""Every way in which training or a sweep could come by the test split ends its command with exit code 4."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

pytest.importorskip("optuna", reason="the searches are Optuna's")

from raytrain.cli.main import main
from raytrain.cluster.evaluate import evaluate_by_shards
from raytrain.config import override
from raytrain.data.table import QuerySplit, Split, Table
from raytrain.data.table.test_guard import VARIABLE
from raytrain.errors import RefusedError
from raytrain.run_evaluation.evaluate import evaluate_run
from raytrain.tracking.journal import Journal
from raytrain.training import fit as loop
from raytrain.training.fit import fit
from raytrain.training.run import open_tables
from raytrain.training.train_state import TrainState
from search_spaces import SPACES
from tests import forked
from tests.runs import small_run
from tests.sweeps.in_process import Place
from tests.tables import make_query_table, make_table


def table_of_its_own(trial: Any) -> None:
    trial.suggest_categorical("data.table", ["here", "there"])


def split_of_its_own(trial: Any) -> None:
    trial.suggest_categorical("data.val_split", ["val", "train"])


def metric_of_its_own(trial: Any) -> None:
    trial.suggest_categorical("evaluation.select", ["val/rsum", "val/i2t/recall_at_1"])


def honest_at_first(trial: Any) -> dict[str, Any]:
    """Derives a table for its second trial alone, which nobody who walks the space sees."""
    trial.suggest_float("method.margin", 0.1, 0.3)
    return {"data.table": "elsewhere"} if trial.number == 1 else {}


@pytest.fixture(autouse=True)
def _sly(monkeypatch: pytest.MonkeyPatch) -> None:
    for space in (table_of_its_own, split_of_its_own, metric_of_its_own, honest_at_first):
        monkeypatch.setitem(SPACES, space.__name__, space)


def read_test_as_val(table: Path) -> None:
    """Its rows of test are rows of val by now."""
    rows = Table(table).items
    split = pa.array(["val" if name == "test" else name for name in rows["split"].to_pylist()])
    renamed = rows.set_column(rows.schema.get_field_index("split"), "split", split)
    del rows
    (table / "items.arrow").unlink()
    with pa.OSFile(str(table / "items.arrow"), "wb") as sink, pa.ipc.new_file(sink, renamed.schema) as out:
        out.write_table(renamed)


def between_trials(place: Place, monkeypatch: pytest.MonkeyPatch, change: Callable[[], object]) -> int:
    """A sweep under whose second trial the table changes."""
    validate = loop.validate

    def then_change(state: TrainState, *given: Any) -> dict[str, float]:
        metrics = validate(state, *given)
        if state.config.name == "s-t000":
            change()
        return metrics

    monkeypatch.setattr(loop, "validate", then_change)
    code = place.sweep("--name", "s")
    trials = [event for event in Journal(place.run("s")).read() if event["event"] == "trial"]
    assert [event["number"] for event in trials] == [0]  # the second one was not counted as a failure
    return code


def in_a_trial(place: Place, monkeypatch: pytest.MonkeyPatch, attempt: Callable[[], object]) -> int:
    """A sweep whose method tries something in its first step."""
    assert place.train("name=done") == 0

    def train_step(*given: object) -> None:
        attempt()
        raise AssertionError("it was not refused")

    monkeypatch.setattr(loop, "train_step", train_step)
    return place.sweep("--name", "s")


def resumed(place: Place, *changes: str) -> int:
    assert place.sweep("--name", "s", "--trials", "1") == 0
    return place.sweep("--resume", "s", "--trials", "2", *changes)


def copied(place: Place) -> str:
    shutil.copytree(place.table, place.root / "copy")
    read_test_as_val(place.root / "copy")
    return f"data.table={place.root / 'copy'}"


def other(place: Place) -> str:
    return f"data.table={make_table(place.root / 'other', seed=1).path}"


def swap(place: Place) -> None:
    make_table(place.table, seed=1)


ATTEMPTS: dict[str, Callable[[Place, pytest.MonkeyPatch], int]] = {
    "train: val_split": lambda place, patch: place.train("data.val_split=test"),
    "train: train_split": lambda place, patch: place.train("data.train_split=test"),
    "train: chosen by a metric of test": lambda place, patch: place.train("evaluation.select=test/rsum"),
    "train: an edited table": lambda place, patch: place.train(copied(place)),
    "sweep: val_split": lambda place, patch: place.sweep("data.val_split=test"),
    "sweep: train_split": lambda place, patch: place.sweep("data.train_split=test"),
    "sweep: chosen by a metric of test": lambda place, patch: place.sweep("evaluation.select=test/rsum"),
    "sweep: an edited table": lambda place, patch: place.sweep(copied(place)),
    "space: data.table": lambda place, patch: place.sweep(space="table_of_its_own"),
    "space: data.val_split": lambda place, patch: place.sweep(space="split_of_its_own"),
    "space: evaluation.select": lambda place, patch: place.sweep(space="metric_of_its_own"),
    "space: a table derived later": lambda place, patch: place.sweep(space="honest_at_first"),
    "resume: val_split": lambda place, patch: resumed(place, "data.val_split=test"),
    "resume: another table": lambda place, patch: resumed(place, other(place)),
    "resume: an edited table": lambda place, patch: resumed(place, copied(place)),
    "between trials: another table": lambda place, patch: between_trials(place, patch, lambda: swap(place)),
    "between trials: an edited table": lambda place, patch: between_trials(
        place, patch, lambda: read_test_as_val(place.table)
    ),
    "in a trial: Table.split": lambda place, patch: in_a_trial(
        place, patch, lambda: Table(place.table).split("test", allow_test=True)
    ),
    "in a trial: Split": lambda place, patch: in_a_trial(
        place, patch, lambda: Split(Table(place.table), "test", allow_test=True)
    ),
    "in a trial: evaluate_run": lambda place, patch: in_a_trial(
        place, patch, lambda: evaluate_run(place.run("done"), "test")
    ),
    "in a trial: evaluate by shards": lambda place, patch: in_a_trial(
        place, patch, lambda: evaluate_by_shards(place.run("done"), "test", None, 2)
    ),
}


@pytest.mark.parametrize("attempt", list(ATTEMPTS))
def test_every_attempt_ends_with_exit_code_4(
    attempt: str, here: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ATTEMPTS[attempt](here, monkeypatch) == 4, capsys.readouterr().err


def test_a_command_that_a_trial_starts_ends_with_exit_code_4_and_opens_nothing(
    here: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also that the sweeps above are refused for what they try: this one, which makes nothing of it, ends with 0."""
    assert here.train("name=done") == 0
    run = str(here.run("done"))
    codes: list[int | None] = []
    train_step = loop.train_step

    def evaluate_first(*given: Any) -> Any:
        if not codes:
            codes.append(main(["evaluate", run, "--split", "test"]))
            process = forked.start(forked.command, ["evaluate", run, "--split", "test"])
            process.join(120)
            codes.append(process.exitcode)
        return train_step(*given)

    monkeypatch.setattr(loop, "train_step", evaluate_first)
    assert here.sweep("--name", "s") == 0
    assert codes == [4, 4]
    assert main(["evaluate", run, "--split", "test"]) == 0  # once nothing trains
    opened = [event for event in Journal(run).read() if event["event"] == "evaluation"]
    assert [event["test_openings"] for event in opened] == [1]


def test_a_refused_sweep_goes_on_once_what_was_refused_is_gone(here: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = here.root / "kept"

    def swapped() -> None:
        here.table.rename(kept)
        swap(here)

    assert between_trials(here, monkeypatch, swapped) == 4
    shutil.rmtree(here.table)
    kept.rename(here.table)
    assert here.sweep("--resume", "s") == 0
    events = Journal(here.run("s")).read()
    assert [(e["number"], e["state"]) for e in events if e["event"] == "trial"] == [
        (0, "complete"), (1, "complete"), (2, "complete"),
    ]  # fmt: skip
    assert [e["status"] for e in events if e["event"] == "end"] == ["failed", "finished"]


def test_fit_takes_no_rows_of_test_and_goes_on_with_no_other_table(tmp_path: Path) -> None:
    config = override(small_run(tmp_path), {"name": "a", "optim.max_steps": 1})
    opened = Table(config.data.table).split("test", allow_test=True)
    with pytest.raises(RefusedError, match="closed while a run trains"):
        fit(config, open_tables(config) | {"val": opened})
    assert not config.folder.exists()
    fit(config, open_tables(config))
    (checkpoint,) = config.folder.glob("checkpoint_*")
    make_table(tmp_path / "table", seed=1)
    with pytest.raises(RefusedError, match="not the table that this began with"):
        fit(config, open_tables(config), resume_from=checkpoint)


def test_composed_queries_are_closed_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = make_query_table(tmp_path / "table")
    assert len(QuerySplit(table, "test", allow_test=True)) > 0
    monkeypatch.setenv(VARIABLE, "a run")
    with pytest.raises(RefusedError, match="closed while a run trains"):
        QuerySplit(table, "test", allow_test=True)
