"""What runs and sweeps took, on journals whose seconds can be added up by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raytrain.errors import UsageError
from raytrain.review.accounting import attended, read_journals, sweep_costs, usage
from raytrain.review.costs import costs_html, costs_text, record_sweep_cost
from raytrain.review.leaderboard import read_board, write_leaderboard
from raytrain.review.page import to_html
from raytrain.review.prices import Prices, prices_of, read_prices
from raytrain.review.tables import to_csv, to_markdown
from raytrain.tracking.journal import Journal
from tests.review.made_runs import make_run

ROOT = Path(__file__).resolve().parents[2]
PRICES = Prices(currency="EUR", date="2026-11-01", gpu_hour={"A100": 3.6, "A100-SXM4-80": 7.2}, cpu_hour=0.36)


def start(time: float, workers: int = 1, device: str = "x86_64 CPU", **more: Any) -> dict[str, Any]:
    return {"event": "start", "time": time, "kind": "run", "workers": workers, "device": device, **more}


def epoch(time: float, number: int, worker_seconds: float) -> dict[str, Any]:
    return {"event": "epoch", "time": time, "epoch": number, "metrics": {"cost/worker_seconds": worker_seconds}}


def resume(time: float, done: int) -> dict[str, Any]:
    return {"event": "resume", "time": time, "epoch": done}


def end(time: float, status: str) -> dict[str, Any]:
    return {"event": "end", "time": time, "status": status}


def test_a_run_without_accidents_loses_nothing() -> None:
    found = usage([start(100, workers=2), epoch(112, 1, 20), epoch(122, 2, 40), end(122.5, "finished")], {"CPU": 4})
    assert (found.worker_seconds, found.lost_seconds, found.restarts) == (40, 0, 0)
    assert (found.gpu_seconds, found.cpu_seconds) == (0, 160)


def test_a_stopped_trial_loses_what_came_after_its_last_epoch() -> None:
    assert usage([start(0, workers=2), epoch(10, 1, 18), end(13, "pruned")]).lost_seconds == 6
    assert usage([start(0, workers=2), end(7, "failed")]).lost_seconds == 14


def test_an_epoch_that_is_trained_twice_is_counted_once_and_lost_once() -> None:
    """Epoch 2 was told, its checkpoint was not kept: 9 s of it again, and 5 s from its line to the restart."""
    events = [
        start(0), epoch(10, 1, 9), epoch(20, 2, 18), resume(25, 1), epoch(36, 2, 19), end(36, "finished"),
    ]  # fmt: skip
    found = usage(events)
    assert (found.worker_seconds, found.lost_seconds, found.restarts) == (19, 9 + 5, 1)


def test_a_killed_worker_loses_its_epoch_and_the_wait_for_the_next_group() -> None:
    """Two workers, killed at any time between 10 and 30: both are held until the group is there again."""
    found = usage([start(0, workers=2), epoch(10, 1, 18), resume(30, 1), epoch(42, 2, 38), end(42, "finished")])
    assert (found.worker_seconds, found.lost_seconds) == (38, 2 * 20)


def test_a_checkpoint_within_an_epoch_saves_its_part() -> None:
    """Stopped 8 s into epoch 2 with a checkpoint; the counter goes on from 9 + 8 and the epoch takes 7 s more."""
    events = [
        start(0), epoch(10, 1, 9), end(18, "interrupted"), resume(500, 1), epoch(507, 2, 24), end(507, "finished"),
    ]  # fmt: skip
    found = usage(events)
    assert (found.worker_seconds, found.lost_seconds, found.restarts) == (24, 0, 1)


def test_nobody_holds_workers_between_an_interruption_and_its_resumption() -> None:
    events = [start(0), epoch(10, 1, 9), end(14, "interrupted"), resume(5000, 1), epoch(5010, 2, 19)]
    assert usage(events).lost_seconds == 4


def test_the_kill_of_a_sweeps_driver_is_counted_to_the_last_sign_of_life() -> None:
    """The sweep's journals fall silent at 50 and go on at 900: of the trial's 880 s of silence 30 were held."""
    sweep = [{"event": "start", "time": 0}, {"event": "resume", "time": 900}, end(1000, "finished")]
    trial = [start(5), epoch(20, 1, 14), end(901, "killed"), resume(910, 1), epoch(925, 2, 28), end(925, "finished")]
    other = [start(5), epoch(50, 1, 44), end(901, "killed")]
    there = attended(sweep, [trial, other])
    assert there == [(0, 50), (900, 1000)]
    assert usage(trial, there=there).lost_seconds == 30 + 10  # to the last sign, and from the resumption on
    assert usage(trial).lost_seconds == 0  # without a sweep nobody knows when it was killed


def write(folder: Path, events: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


def small_sweep(storage: Path, device: str = "NVIDIA A100-SXM4-80GB", slots: int | None = 4) -> None:
    """Two slots of two workers for 100 s: 80 + 40 + 30 worker-seconds kept, 2 x 5 lost, 4 x 100 = 400 held."""
    options = {"concurrent": 2, "resources_per_worker": {"CPU": 3.0}}
    begun = {"kind": "sweep", "uid": "u", "workers": 2, "options": options} | ({"slots": slots} if slots else {})
    trials = [("t000", "complete"), ("t001", "pruned"), ("t002", "failed")]
    write(
        storage / "e" / "s",
        [
            {"event": "start", "time": 1000, **begun},
            *(
                {
                    "event": "trial",
                    "time": 1050,
                    "number": int(name[1:]),
                    "run": f"s-{name}",
                    "state": state,
                    "params": {},
                }
                for name, state in trials
            ),
            end(1100, "finished"),
        ],
    )
    shared = {"workers": 2, "device": device, "parent": "u"}
    write(storage / "e" / "s-t000", [start(1010, **shared), epoch(1050, 1, 80), end(1050, "finished")])
    write(storage / "e" / "s-t001", [start(1010, **shared), epoch(1030, 1, 40), end(1035, "pruned")])
    write(storage / "e" / "s-t000-s1", [start(1060, **shared), epoch(1075, 1, 30), end(1075, "finished")])
    write(storage / "e" / "alone", [start(0, workers=9), epoch(10, 1, 90)])  # no part of the sweep


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


def test_slots_that_come_and_go_are_held_for_as_long_as_they_are_there(tmp_path: Path) -> None:
    """4 slots for 30 s, 8 for 50, none for 10, 2 for 10: 120 + 400 + 0 + 20 worker-seconds were held."""
    small_sweep(tmp_path)
    journal = tmp_path / "e" / "s" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    for time, slots in ((1030, 8), (1080, 0), (1090, 2)):
        lines.insert(-1, {"event": "room", "time": time, "slots": slots})
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (cost,) = sweep_costs(read_journals(tmp_path), PRICES)
    assert cost.slots == 2
    assert cost.busy == pytest.approx(150 / 540)
    assert cost.held_money == pytest.approx(540 * 0.002)


def test_trials_that_share_a_gpu_pay_their_part(tmp_path: Path) -> None:
    found = usage([start(0, device="NVIDIA A100"), epoch(10, 1, 10), end(10, "finished")], {"CPU": 1, "GPU": 0.25})
    assert found.gpu_seconds == 2.5
    assert found.money(PRICES) == pytest.approx(10 * 0.25 * 3.6 / 3600)


def test_slots_of_older_journals_are_what_was_asked_for(tmp_path: Path) -> None:
    small_sweep(tmp_path, slots=None)
    (cost,) = sweep_costs(read_journals(tmp_path))
    assert cost.slots == 4
    assert cost.money is None and cost.currency is None


def test_a_recorded_sweep_from_before_slots_were_written_can_be_told() -> None:
    """docs/results: 24 trials, two at a time, of one worker; its own journal has the same sum of worker-seconds."""
    costs = {cost.sweep: cost for cost in sweep_costs(read_journals(ROOT / "docs" / "results", "flickr8k"))}
    cost = costs["dvse-sweep"]
    stated = Journal(ROOT / "docs" / "results" / "flickr8k" / "dvse-sweep").last("end")
    assert stated is not None
    assert cost.slots == 2
    assert cost.worker_seconds == pytest.approx(stated["metrics"]["cost/worker_seconds"])
    assert 0 < cost.busy < 1


def test_a_device_without_a_price_is_named_and_not_guessed(tmp_path: Path) -> None:
    small_sweep(tmp_path, device="NVIDIA H100")
    (cost,) = sweep_costs(read_journals(tmp_path), PRICES)
    assert cost.money is None and cost.held_money is None
    assert cost.unpriced == ["NVIDIA H100"]
    assert "No price of NVIDIA H100" in costs_text([cost])


def test_a_cpu_worker_costs_its_cpus(tmp_path: Path) -> None:
    small_sweep(tmp_path, device="x86_64 CPU")
    (cost,) = sweep_costs(read_journals(tmp_path), PRICES)
    assert cost.money == pytest.approx(160 * 3 * 0.36 / 3600)
    assert cost.gpu_seconds == 0


def test_the_cost_becomes_a_line_of_the_sweeps_journal(tmp_path: Path) -> None:
    small_sweep(tmp_path)
    record_sweep_cost(tmp_path / "e" / "s", PRICES)
    line = Journal(tmp_path / "e" / "s").last("cost")
    assert line is not None
    assert line["metrics"]["cost/money"] == pytest.approx(0.32)
    assert line["metrics"]["cost/busy"] == pytest.approx(0.375)
    assert line["currency"] == "EUR" and line["prices_date"] == "2026-11-01"
    with pytest.raises(UsageError, match="is no sweep"):
        record_sweep_cost(tmp_path / "e" / "alone", PRICES)


def test_the_tables_show_shares_and_money_where_there_are_any(tmp_path: Path) -> None:
    small_sweep(tmp_path)
    costs = sweep_costs(read_journals(tmp_path), PRICES)
    text = costs_text(costs)
    assert "38%" in text and "2.5%" in text and "60%" in text and "0.32 EUR" in text and "0.80 EUR" in text
    assert "money" not in costs_text(sweep_costs(read_journals(tmp_path)))
    assert "0.32 EUR" in costs_html(costs)
    assert costs_text([]) == "No sweeps." and costs_html([]) == ""


def test_each_run_is_told_with_its_sweep(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from raytrain.cli.main import main

    small_sweep(tmp_path)
    (tmp_path / "prices.yaml").write_text("currency: EUR\ndate: 2026-11-01\ngpu_hour: {a100: 7.2}\n")
    assert main(["cost", "--storage", str(tmp_path), "--runs", "--json"]) == 0
    told = capsys.readouterr()
    text = told.err.splitlines()
    runs = {run["run"]: run for run in json.loads(told.out)["runs"]}
    assert (runs["s-t001"]["sweep"], runs["s-t001"]["worker_seconds"], runs["s-t001"]["lost_seconds"]) == ("s", 40, 10)
    assert runs["s-t001"]["money"] == pytest.approx(50 * 0.002)
    assert (runs["alone"]["sweep"], runs["alone"]["money"]) == (None, None)  # a CPU has no price in this table
    assert any(line.startswith("s-t001") and line.endswith("0.10 EUR") for line in text)
    assert "Prices in EUR of 2026-11-01." in text


def test_rows_of_the_leaderboard_have_money_and_losses(tmp_path: Path) -> None:
    make_run(tmp_path / "e" / "a", seed=0)  # 30 worker-seconds on a device that its journal does not name
    make_run(tmp_path / "e" / "b", seed=1)
    journal = tmp_path / "e" / "b" / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    for number, line in enumerate(lines):
        line["time"] = 1000.0 + number
    lines.insert(-1, {"event": "end", "time": 1003.0 + 100, "status": "interrupted"})
    lines.insert(-1, {"event": "resume", "time": 9000.0, "epoch": 3})
    lines[-1]["time"] = 9001.0
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    (row,) = read_board(tmp_path, "e", PRICES).rows
    assert row["worker_seconds"] == 30 and row["cpu_seconds"] == 30
    assert row["lost_seconds"] == 50  # 100 s of one run, over two runs
    assert row["money"] == pytest.approx((30 + 50) * 0.36 / 3600)
    board = read_board(tmp_path, "e", PRICES)
    assert "lost s" in to_markdown(board) and "0.01 EUR" in to_markdown(board)
    assert "50 lost" in to_html(board) and "0.01 EUR" in to_html(board)
    assert "lost_seconds,money,currency" in to_csv(board)
    plain = to_markdown(read_board(tmp_path, "e"))
    assert "money" not in plain.lower()


def test_the_leaderboard_tells_what_its_sweeps_took(tmp_path: Path) -> None:
    small_sweep(tmp_path)
    found = write_leaderboard(tmp_path, "e", tmp_path / "out", PRICES)
    assert found["sweeps"][0]["money"] == pytest.approx(0.32)
    page = (tmp_path / "out" / "leaderboard.html").read_text(encoding="utf-8")
    assert "What the sweeps took" in page and "0.80 EUR" in page


def test_the_example_table_holds_no_price() -> None:
    example = read_prices(ROOT / "docs" / "prices.example.yaml")
    assert example.cpu_hour is None and set(example.gpu_hour.values()) == {None}
    assert example.of_gpu("NVIDIA H100 80GB HBM3") is None


def test_a_wrong_table_names_its_file_and_every_wrong_field(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("currency: EUR\ncpu_hour: -1\ngpu_hours: {}\n")
    with pytest.raises(UsageError, match=r"(?s)prices.yaml.*cpu_hour.*gpu_hours|prices.yaml.*date.*cpu_hour") as error:
        prices_of(tmp_path)
    assert error.value.exit_code == 2
    for field in ("date", "cpu_hour", "gpu_hours"):
        assert field in str(error.value)
    path.write_text("just words")
    with pytest.raises(UsageError, match="holds no price table"):
        read_prices(path)
    assert prices_of(tmp_path / "elsewhere") is None
