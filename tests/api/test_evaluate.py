"""Evaluating and re-ranking a run in this process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import raytrain
from raytrain.tracking.journal import Journal


@pytest.fixture
def copied(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "small" / "first"))


def test_an_evaluation_is_a_value_and_prints_nothing(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = raytrain.evaluate(copied, diagnostics=True)
    assert (result.run, result.split, result.protocol) == (str(copied), "val", "split/val")
    best = max(row["val/rsum"] for row in raytrain.history(copied))
    assert result.metrics[result.headline] == pytest.approx(best, abs=0.01)
    assert result.rerank is None and result.diagnostics
    names = list(result.as_dict())
    assert names[:3] == ["run", "split", "protocol"] and "sheet_page" not in names
    assert Journal(copied).read()[-1]["event"] == "evaluation"
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_temperatures_are_searched_and_then_applied(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = raytrain.rerank(copied, trials=0, modes=["cross"])
    assert chosen.settings_tried > 1 and set(chosen.held_out) == {"i2t", "t2i", "rsum"}
    assert (raytrain.evaluate(copied).rerank is not None) == (chosen.params["mode"] != "off")
    with pytest.raises(raytrain.UsageError, match="choose from"):
        raytrain.rerank(copied, modes=["best"])
    assert capsys.readouterr().out == ""


def test_what_excludes_each_other_is_refused_before_anything_is_opened(run: Path) -> None:
    with pytest.raises(raytrain.UsageError, match="sheet goes without shards"):
        raytrain.evaluate(run, shards=2, sheet=True)
    with pytest.raises(raytrain.UsageError, match="holds no finished checkpoint"):
        raytrain.evaluate(run.parent / "nothing")
