"""Curves by epoch: which runs have names, where they went on or failed, and how they stay small."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from raytrain.review.charts.training import (
    LOSS,
    MOST_NAMED,
    MOST_POINTS,
    TrainedRun,
    diagnostic_curves,
    epoch_curves,
    trained_run,
)
from raytrain.tracking.run_record import run_record


def run(name: str, losses: list[float | None], *, status: str = "finished", resumed: int | None = None) -> TrainedRun:
    events: list[dict[str, Any]] = [{"event": "start", "time": 0, "run": name, "config": {"method.kind": "dvse"}}]
    for epoch, loss in enumerate(losses, start=1):
        metrics = {LOSS: loss, "diagnostics/set_cosine": 0.5}
        events.append({"event": "epoch", "time": epoch, "epoch": epoch, "metrics": metrics})
        if epoch == resumed:
            events.append({"event": "resume", "time": epoch, "epoch": epoch})
    events.append({"event": "end", "time": 99, "status": status})
    return trained_run(run_record(Path(name), events), events)


def test_a_run_that_logged_nothing_has_no_curve() -> None:
    assert epoch_curves([run("a", [None])], LOSS, "loss") == ""
    assert epoch_curves([run("a", [None]), run("b", [2.0, 1.0])], LOSS, "loss").count(" line") == 2  # with the legend


def test_the_best_runs_have_names_and_the_others_are_counted() -> None:
    svg = epoch_curves([run(f"r{n}", [2.0, 1.0]) for n in range(MOST_NAMED + 3)], LOSS, "loss")
    assert re.findall(r'<path class="(s\d) line"[^>]*><title>(r\d)<', svg)[::-1] == [
        (f"s{n}", f"r{n}") for n in range(MOST_NAMED)
    ]
    assert "3 others" in svg and svg.count('class="other line"') == 4  # and the legend's
    assert "of 11 runs: r0 ends at 1, r1 ends at 1, r2 ends at 1" in svg


def test_resumptions_and_failures_are_marked_where_they_were() -> None:
    svg = epoch_curves([run("a", [3.0, 2.0, 1.0], status="failed", resumed=2)], LOSS, "loss")
    assert re.findall(r'class="mark \w+"[^>]*><title>(.*?)<', svg) == ["a went on after epoch 2", "a failed"]
    before_the_first = epoch_curves([run("a", [3.0, 2.0])._replace(resumed_after=[0])], LOSS, "loss")
    assert "a went on after epoch 0" in before_the_first


def test_a_long_curve_keeps_its_first_and_last_epoch() -> None:
    svg = epoch_curves([run("a", [1000.0 - n for n in range(500)])], LOSS, "loss")
    (path,) = re.findall(r'class="s0 line" d="(M[^"]+)"><title>a', svg)
    assert 40 <= path.count("L") <= MOST_POINTS + 1
    assert "a ends at 501" in svg


def test_a_loss_that_falls_a_hundredfold_has_a_log_axis() -> None:
    assert "loss, log axis" in epoch_curves([run("a", [1000.0, 5.0])], LOSS, "loss")


def test_diagnostics_that_epochs_logged_have_a_chart_each() -> None:
    ((caption, drawing),) = diagnostic_curves([run("a", [1.0, 2.0])])
    assert caption == "mean cosine within image sets; 1 is collapse" and "<svg" in drawing
