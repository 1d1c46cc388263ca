"""What runs and sweeps took, on journals whose seconds can be added up by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.review.accounting import attended, forward, read_journals, sweep_costs, usage
from raytrain.tracking.journal import Journal
from tests.review.made_sweeps import PRICES, end, epoch, resume, small_sweep, start

RESULTS = Path(__file__).resolve().parents[2] / "results"


def test_a_run_without_accidents_loses_nothing() -> None:
    used = usage([start(100, workers=2), epoch(112, 1, 20), epoch(122, 2, 40), end(122.5, "finished")], {"CPU": 4})
    assert (used.worker_seconds, used.lost_seconds, used.restarts) == (40, 0, 0)
    assert (used.gpu_seconds, used.cpu_seconds) == (0, 160)


def test_a_stopped_trial_loses_what_came_after_its_last_epoch() -> None:
    assert usage([start(0, workers=2), epoch(10, 1, 18), end(13, "pruned")]).lost_seconds == 6
    assert usage([start(0, workers=2), end(7, "failed")]).lost_seconds == 14


def test_an_epoch_that_is_trained_twice_is_counted_once_and_lost_once() -> None:
    """Epoch 2 was told, its checkpoint was not kept: 9 s of it again, and 5 s from its line to the restart."""
    events = [
        start(0), epoch(10, 1, 9), epoch(20, 2, 18), resume(25, 1), epoch(36, 2, 19), end(36, "finished"),
    ]  # fmt: skip
    used = usage(events)
    assert (used.worker_seconds, used.lost_seconds, used.restarts) == (19, 9 + 5, 1)


def test_a_killed_worker_loses_its_epoch_and_the_wait_for_the_next_group() -> None:
    """Two workers, killed at any time between 10 and 30: both are held until the group is there again."""
    used = usage([start(0, workers=2), epoch(10, 1, 18), resume(30, 1), epoch(42, 2, 38), end(42, "finished")])
    assert (used.worker_seconds, used.lost_seconds) == (38, 2 * 20)


def test_a_checkpoint_within_an_epoch_saves_its_part() -> None:
    """Stopped 8 s into epoch 2 with a checkpoint; the counter goes on from 9 + 8 and the epoch takes 7 s more."""
    events = [
        start(0), epoch(10, 1, 9), end(18, "interrupted"), resume(500, 1), epoch(507, 2, 24), end(507, "finished"),
    ]  # fmt: skip
    used = usage(events)
    assert (used.worker_seconds, used.lost_seconds, used.restarts) == (24, 0, 1)


def test_nobody_holds_workers_between_an_interruption_and_its_resumption() -> None:
    events = [start(0), epoch(10, 1, 9), end(14, "interrupted"), resume(5000, 1), epoch(5010, 2, 19)]
    assert usage(events).lost_seconds == 4


def test_the_kill_of_a_sweeps_driver_is_counted_to_the_last_sign_of_life() -> None:
    """The sweep's journals fall silent at 50 and go on at 900: of the trial's 880 s of silence 30 were held."""
    sweep = [{"event": "start", "time": 0}, {"event": "resume", "time": 900}, end(1000, "finished")]
    trial = [start(5), epoch(20, 1, 14), end(901, "killed"), resume(910, 1), epoch(925, 2, 28), end(925, "finished")]
    other = [start(5), epoch(50, 1, 44), end(901, "killed")]
    attendance = attended(sweep, [trial, other])
    assert attendance == [(0, 50), (900, 1000)]
    assert usage(trial, attendance=attendance).lost_seconds == 30 + 10  # to the last sign, and from the resumption on
    assert usage(trial).lost_seconds == 0  # without a sweep nobody knows when it was killed


def test_a_sweep_adds_up_its_trials_and_knows_how_busy_its_slots_were(tmp_path: Path) -> None:
    small_sweep(tmp_path)
    (cost,) = sweep_costs(read_journals(tmp_path), PRICES)
    assert (cost.wall_seconds, cost.slots) == (100, 4)
    assert (cost.worker_seconds, cost.gpu_seconds, cost.cpu_seconds) == (150, 150, 450)
    assert (cost.lost_seconds, cost.busy, cost.lost) == (10, 150 / 400, 10 / 400)
    assert cost.trials == {
        "complete": {"trials": 1, "worker_seconds": 80},
        "pruned": {"trials": 1, "worker_seconds": 40},
        "failed": {"trials": 1, "worker_seconds": 0},
        "repeat": {"trials": 1, "worker_seconds": 30},
    }
    # 7.2 an hour is 0.002 a second; the longer of the two names that fit counts
    assert cost.money == pytest.approx(160 * 0.002)
    assert cost.held_money == pytest.approx(400 * 0.002)


@pytest.mark.parametrize("back", [5, 50, 900])
def test_a_clock_that_is_set_back_costs_seconds_and_nothing_else(tmp_path: Path, back: int) -> None:
    """Every line from one on is `back` seconds early, in a run, in the sweep, or in all of them."""
    for number, journals in enumerate((["s"], ["s-t000"], ["s", "s-t000", "s-t001"])):
        root = tmp_path / str(number)
        small_sweep(root)
        for folder in journals:
            path = root / "e" / folder / "journal.jsonl"
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            for line in lines[len(lines) // 2 :]:
                line["time"] -= back
            path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        (cost,) = sweep_costs(read_journals(root), PRICES)
        assert cost.worker_seconds == 150  # counters do not go by the clock
        assert 0 <= cost.wall_seconds <= 100
        assert 0 <= cost.lost_seconds <= 100
        assert cost.held_money is not None and cost.held_money >= 0


def test_a_driver_that_resumes_before_it_started_has_no_negative_span() -> None:
    sweep = forward([{"event": "start", "time": 100}, {"event": "resume", "time": 40}, end(50, "finished")])
    assert attended(sweep, []) == [(100, 100), (100, 100)]


def test_slots_that_come_and_go_are_held_for_as_long_as_they_are_there(tmp_path: Path) -> None:
    """4 slots for 30 s, 8 for 50, none for 10, 2 for 10: 120 + 400 + 0 + 20 worker-seconds were held."""
    small_sweep(tmp_path)
    journal = tmp_path / "e" / "s" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    for time, slots in ((1030, 8), (1080, 0), (1090, 2)):
        lines.insert(-1, {"event": "room", "time": time, "slots": slots})
    lines.sort(key=lambda line: float(line["time"]))
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (cost,) = sweep_costs(read_journals(tmp_path), PRICES)
    assert cost.slots == 2
    assert cost.busy == pytest.approx(150 / 540)
    assert cost.held_money == pytest.approx(540 * 0.002)


def test_trials_that_share_a_gpu_pay_their_part(tmp_path: Path) -> None:
    used = usage([start(0, device="NVIDIA A100"), epoch(10, 1, 10), end(10, "finished")], {"CPU": 1, "GPU": 0.25})
    assert used.gpu_seconds == 2.5
    assert used.money(PRICES) == pytest.approx(10 * 0.25 * 3.6 / 3600)


def test_slots_of_older_journals_are_what_was_asked_for(tmp_path: Path) -> None:
    small_sweep(tmp_path, slots=None)
    (cost,) = sweep_costs(read_journals(tmp_path))
    assert cost.slots == 4
    assert cost.money is None and cost.currency is None


def test_a_recorded_sweep_from_before_slots_were_written_can_be_told() -> None:
    """results/flickr8k: 24 trials, two at a time, of one worker; its own journal has the same sum of worker-seconds."""
    costs = {cost.sweep: cost for cost in sweep_costs(read_journals(RESULTS, "flickr8k"))}
    cost = costs["dvse-sweep"]
    stated = Journal(RESULTS / "flickr8k" / "dvse-sweep").last("end")
    assert stated is not None
    assert cost.slots == 2
    assert cost.worker_seconds == pytest.approx(stated["metrics"]["cost/worker_seconds"])
    assert 0 < cost.busy < 1


def test_a_device_without_a_price_is_named_and_not_guessed(tmp_path: Path) -> None:
    small_sweep(tmp_path, device="NVIDIA H100")
    (cost,) = sweep_costs(read_journals(tmp_path), PRICES)
    assert cost.money is None and cost.held_money is None
    assert cost.unpriced == ["NVIDIA H100"]


def test_a_cpu_worker_costs_its_cpus(tmp_path: Path) -> None:
    small_sweep(tmp_path, device="x86_64 CPU")
    (cost,) = sweep_costs(read_journals(tmp_path), PRICES)
    assert cost.money == pytest.approx(160 * 3 * 0.36 / 3600)
    assert cost.gpu_seconds == 0
