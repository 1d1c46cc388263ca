"""What `raytrain.sweep` asks of the search; the search itself is a stand-in."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import raytrain
from raytrain.progress import say
from raytrain.sweeps.options import SweepOptions
from tests.cli.test_sweep import RESULT


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the search was called with, filled when it is."""
    given: dict[str, Any] = {}

    def search(space: Any, base: Any, options: SweepOptions, **more: Any) -> dict[str, Any]:
        given.update(space=space, base=base, options=options, **more)
        say("a trial starts", "s-t000")
        return RESULT

    monkeypatch.setitem(sys.modules, "raytrain.sweeps.sweep", SimpleNamespace(sweep=search))
    monkeypatch.setattr("raytrain.cluster.connect.connect", lambda address: given.update(address=address))
    cost = SimpleNamespace(as_dict=lambda: {"sweep": "s"})
    monkeypatch.setattr("raytrain.review.costs.record_sweep_cost", lambda *arguments: cost)
    return given


def own_space(trial: Any) -> None:
    trial.suggest_float("optim.lr", 1e-4, 1e-3)


def test_options_space_and_news_reach_the_sweep(
    calls: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    news: list[raytrain.ProgressEvent] = []
    base = raytrain.recipe("dvse_emoji", {"storage": str(tmp_path)})
    result = raytrain.sweep(own_space, base, name="s", tracking="none", progress=news.append, trials=3, sampler="grid")
    assert (calls["space"], calls["base"], calls["name"]) == (own_space, base, "s")
    assert calls["options"] == SweepOptions(trials=3, sampler="grid")
    assert [(event.text, event.run) for event in news] == [("a trial starts", "s-t000")]
    assert (result.best or {})["run"] == "s-t002" and result.cost == {"sweep": "s"}
    raytrain.sweep("dvse", "dvse_emoji", ["optim.lr=1e-3"], tracking="none")
    assert calls["name"].startswith("dvse-emoji-") and calls["base"].optim.lr == 1e-3
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_a_name_that_does_not_exist_starts_nothing(calls: dict[str, Any]) -> None:
    with pytest.raises(raytrain.UsageError, match="no sweep option 'trails'; did you mean 'trials'"):
        raytrain.sweep("dvse", "dvse_emoji", trails=3)  # type: ignore[call-arg]
    with pytest.raises(raytrain.UsageError, match="no search space 'dvs'"):
        raytrain.sweep("dvs", "dvse_emoji")
    with pytest.raises(raytrain.UsageError, match="name the recipe of trial 0"):
        raytrain.sweep("dvse")
    assert not calls
