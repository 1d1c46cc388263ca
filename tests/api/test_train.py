"""Recipes with changes, and training in this process: what comes back, what is told, and that nothing is printed."""

from __future__ import annotations

from pathlib import Path

import pytest

import raytrain
from raytrain.config import override, to_yaml
from raytrain.tracking.journal import Journal
from tests.runs import small_run

Trained = tuple[raytrain.TrainedRun, list[raytrain.ProgressEvent]]


def test_changes_are_values_or_words_of_a_command() -> None:
    by_values = raytrain.recipe("dvse_emoji", {"optim.lr": 1e-3, "method.views": 8})
    assert by_values == raytrain.recipe("dvse_emoji", ["optim.lr=1e-3", "method.views=8"])
    assert (by_values.optim.lr, by_values.method.kind) == (1e-3, "dvse")
    with pytest.raises(raytrain.UsageError, match="did you mean 'lr'"):
        raytrain.recipe("dvse_emoji", {"optim.lrr": 1e-3})
    with pytest.raises(raytrain.UsageError, match="did you mean 'dvse_emoji'"):
        raytrain.recipe("dvse_emojis")


def test_a_trained_run_is_a_value_and_its_epochs_are_told(trained: Trained) -> None:
    result, news = trained
    assert (result.epochs, result.selected_on, result.folder.name) == (2, "", "first")
    assert result.best == result.val["val/rsum"] > 0
    assert list(result.as_dict()) == ["run", "val", "best", "selected_on", "epochs", "seconds"]
    events = [event.event for event in news if event.event]
    assert [event["event"] for event in events] == ["start", "epoch", "epoch", "end"]
    assert {event.run for event in news} == {"first"}
    first = next(event for event in news if event.event == events[1])
    assert first.text.endswith(f"first epoch 1/2 val/rsum {events[1]['metrics']['val/rsum']:.2f}")


def test_nothing_is_printed_and_the_errors_are_those_of_the_verb(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = override(small_run(run.parents[2], num_epochs=2), {"name": "first"})
    with pytest.raises(raytrain.RefusedError, match="holds a finished run"):
        raytrain.train(config, tracking="none")
    with pytest.raises(raytrain.RefusedError, match="never read the test split"):
        raytrain.train(config, {"data.val_split": "test"}, tracking="none")
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_a_yaml_file_is_a_run_too_and_weights_are_taken_from_another(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(to_yaml(small_run(run.parents[2], num_epochs=1)), encoding="utf-8")
    changes = {"storage": str(tmp_path), "name": "second"}
    result = raytrain.train(str(path), changes, start_from=run, verify=False, tracking="none")
    assert (result.epochs, result.folder) == (1, tmp_path / "small" / "second")
    start = Journal(result.folder).last("start") or {}
    assert start["config"]["feed.verify"] is False
    assert start["config"]["optim.start_from"].startswith(str(run))
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")
