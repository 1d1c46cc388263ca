"""The simulator of sweeps on cases that can be worked out by hand, and its parts against Ray's and against totals."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.simulate_sweeps import of_length, options, profile, start_up
from benchmarks.sweep_model import Simulation
from benchmarks.sweep_parts import Cluster, Halving, Rates, StartUp, Trial

ONE = Trial(10, (20, 20, 20), (1.0, 2.0, 3.0))


def run(trials: list[Trial], nodes: int = 1, gpus: int = 1, workers: int = 1, **more: object) -> object:
    return Simulation(trials, Cluster(nodes, gpus, workers), **more).run()  # type: ignore[arg-type]


def test_one_trial_on_one_gpu() -> None:
    result = run([ONE])
    assert (result.wall_s, result.kept_s, result.startup_s, result.lost_s, result.idle_s) == (70, 60, 10, 0, 0)
    assert (result.best, result.best_at_s, result.epochs) == (3.0, 70, 3)


def test_three_trials_on_two_gpus_leave_one_idle_at_the_end() -> None:
    result = run([ONE] * 3, gpus=2)
    assert (result.wall_s, result.slots_s, result.idle_s) == (140, 280, 70)
    assert result.share("idle") == 0.25


def test_a_trial_of_two_workers_counts_twice_and_one_that_does_not_fit_is_refused() -> None:
    result = run([ONE, ONE], nodes=2, gpus=1, workers=2)
    assert (result.wall_s, result.kept_s, result.startup_s) == (140, 2 * 2 * 60, 2 * 2 * 10)
    with pytest.raises(ValueError, match="never fits"):
        run([ONE], workers=2)


def test_the_driver_launches_one_after_the_other() -> None:
    """At 5 s a launch, four trials of 70 s on four GPUs begin at 5, 10, 15 and 20."""
    result = run([ONE] * 4, gpus=4, launch_s=lambda begun: 5.0)
    assert (result.wall_s, result.idle_s) == (90, 5 + 10 + 15 + 20 + (15 + 10 + 5))


def test_launches_may_grow_longer() -> None:
    assert run([ONE] * 2, launch_s=lambda begun: 1.0 + begun).wall_s == 70 + 1 + 70 + 2


def test_a_trial_that_fails_in_its_start_up_only_takes_that() -> None:
    assert run([Trial(15, ()), ONE]).wall_s == 85


def test_halving_stops_the_weaker_at_its_rung_and_never_at_the_last_epoch() -> None:
    good, bad = Trial(0, (10,) * 4, (5.0,) * 4), Trial(0, (10,) * 4, (1.0, 1.0, 9.0, 9.0))
    result = run([good, bad, good], halving=Halving(1, 2, 4))
    assert (result.stopped, result.epochs, result.wall_s, result.best) == (1, 4 + 1 + 4, 90, 5.0)
    assert not Halving(2, 2, 2).stops(2, 0.0)


def test_side_by_side_the_first_cannot_be_compared_and_are_not_stopped() -> None:
    """In order of their results, each is compared with those before it alone."""
    trials = [Trial(0, (10.0,) * 3, (float(-n),) * 3) for n in range(4)]
    assert run(trials, gpus=4, halving=Halving(1, 3, 3)).stopped == 3
    assert run(trials[::-1], gpus=4, halving=Halving(1, 3, 3)).stopped == 0


def test_halving_decides_as_ray_does() -> None:
    schedulers = pytest.importorskip("ray.tune.schedulers", reason="Ray is not installed")
    ours = Halving(2, 3, 27)
    rays = schedulers.ASHAScheduler(
        time_attr="epoch", metric="best", mode="max", max_t=27, grace_period=2, reduction_factor=3
    )
    import random

    draw = random.Random(0)
    decisions = []
    for number in range(60):
        trial, best = SimpleNamespace(trial_id=str(number)), 0.0
        rays.on_trial_add(None, trial)
        for epoch in range(1, 27):
            best += draw.random()
            stops = rays.on_trial_result(None, trial, {"epoch": epoch, "best": best}) == "STOP"
            assert ours.stops(epoch, best) == stops
            decisions.append(stops)
            if stops:
                break
    assert 10 < sum(decisions) < 60


def simulation(trials: list[Trial], cluster: Cluster, rates: Rates = Rates(), seed: int = 0) -> Simulation:  # noqa: B008
    return Simulation(trials, cluster, rates, seed=seed)


def test_a_failed_worker_repeats_its_segment_and_its_start_up() -> None:
    """Cut 5 s into epoch 2 (at 35), found 6 s later: 11 s lost, then 10 s of start-up and the epoch again."""
    simulated = simulation([ONE], Cluster(1))
    simulated._at(35.0, lambda: simulated._worker_fails(simulated.running[0], simulated.running[0].turn))
    result = simulated.run()
    assert (result.wall_s, result.lost_s, result.startup_s, result.kept_s) == (70 + 11 + 10, 11, 20, 60)
    assert result.failures == {"worker": 1, "node": 0, "driver": 0}


def test_a_lost_node_moves_its_trial_when_the_loss_is_noticed() -> None:
    """Node 0 goes at 35, noticed at 65; node 1 is free from 70 on, and the moved trial has two epochs left."""
    simulated = simulation([ONE, ONE], Cluster(2), Rates(node_back_s=1000))
    simulated._at(35.0, lambda: simulated._node_fails(0))
    result = simulated.run()
    assert (result.lost_s, result.startup_s, result.kept_s) == (5 + 30, 30, 120)
    assert result.wall_s == 70 + 10 + 40
    assert result.failures["node"] == 1


def test_a_node_that_comes_back_takes_its_trial_again() -> None:
    simulated = simulation([ONE], Cluster(1), Rates(node_back_s=100))
    simulated._at(35.0, lambda: simulated._node_fails(0))
    result = simulated.run()
    assert result.wall_s == 135 + 10 + 40  # gone from 35 to 135; epoch 1 is kept
    assert result.idle_s == 135 - 65


def test_a_lost_driver_stops_everything_and_loses_only_what_no_checkpoint_has() -> None:
    """At 45 both are 15 s into epoch 2; the driver is back at 345 and each starts up again."""
    simulated = simulation([ONE, ONE], Cluster(1, 2), Rates(driver_back_s=300))
    simulated._at(45.0, simulated._driver_fails)
    result = simulated.run()
    assert (result.lost_s, result.wall_s, result.idle_s) == (30, 345 + 10 + 40, 600)


def test_a_slow_node_slows_the_trials_on_it() -> None:
    result = run([ONE], rates=Rates(slow_share=1.0, slow_factor=2.0))
    assert (result.wall_s, result.kept_s) == (130, 120)


def test_no_second_is_lost_or_counted_twice_whatever_fails() -> None:
    rates = Rates(worker=20, node=15, driver=2, node_back_s=50, driver_back_s=40, slow_share=0.3, slow_factor=1.5)
    for seed in range(5):
        simulated = simulation([ONE] * 40, Cluster(3, 2, 2), rates, seed)
        result = simulated.run()
        assert result.idle_s >= -1e-6 and result.lost_s > 0
        assert result.epochs == 120  # each epoch is kept once
        assert sum(result.failures.values()) > 0
        assert not simulated.running and simulated.free == [2, 2, 2]


def test_failures_come_at_their_rate() -> None:
    """A worker of 1,000 h at 0.05 an hour: 50 failures, within five standard deviations."""
    trials = [Trial(0, (3600.0,) * 10)] * 100
    result = run(trials, rates=Rates(worker=0.05, worker_found_s=0))
    assert abs(result.failures["worker"] - 0.05 * (result.kept_s + result.lost_s) / 3600) < 5 * 50**0.5


def test_a_profile_is_what_the_journals_say(tmp_path: Path) -> None:
    """Two slots: the third trial took the slot that was free first."""

    def write(name: str, events: list[dict[str, object]]) -> None:
        (tmp_path / "e" / name).mkdir(parents=True)
        text = "".join(json.dumps(event) + "\n" for event in events)
        (tmp_path / "e" / name / "journal.jsonl").write_text(text, encoding="utf-8")

    def life(first: float, ends: list[float], status: str) -> list[dict[str, object]]:
        epochs = [
            {"event": "epoch", "time": time, "epoch": n + 1, "metrics": {"val/rsum": float(n)}}
            for n, time in enumerate(ends)
        ]
        start = {"event": "start", "time": first, "kind": "run", "parent": "u", "config": {}}
        return [start, *epochs, {"event": "end", "time": ends[-1], "status": status}]

    trials = [
        {"event": "trial", "number": n, "run": f"s-t{n:03d}", "state": "complete", "params": {}, "time": 200}
        for n in range(4)
    ]
    sweep = {"event": "start", "time": 0, "kind": "sweep", "uid": "u", "config": {"optim.num_epochs": 2}}
    trials[3] |= {"state": "failed", "time": 130}
    write("s", [sweep, *trials])
    write("s-t000", life(10, [30, 50], "finished"))
    write("s-t001", life(12, [40], "pruned"))
    write("s-t002", life(47, [60, 80], "finished"))
    result = profile(tmp_path / "e" / "s", slots=2)
    assert [(trial.startup_s, trial.epochs_s) for trial in result.trials] == [
        (10, (20, 20)), (12, (28,)), (7, (13, 20)), (80, ()),
    ]  # fmt: skip
    assert result.trials[0].best == (0.0, 1.0)
    assert result.epochs == 2


def test_a_process_goes_on_with_the_next_trial_of_its_slot() -> None:
    """A process takes 10 s to start, and each trial 1 s: 11 + 60, then 1 + 60; new processes each time, 142."""
    assert run([ONE, ONE], start=StartUp(10, 1)).wall_s == 71 + 61
    assert run([ONE, ONE], start=StartUp(10, 1, reuse=False)).wall_s == 2 * 71
    assert run([ONE, ONE], gpus=2, start=StartUp(10, 1)).startup_s == 2 * 11


def test_a_node_reads_the_features_once() -> None:
    """Two trials wait 10 + 100 + 1 s for them, and the next two 1 s."""
    result = run([ONE] * 4, gpus=2, start=StartUp(10, 1, read_s=100))
    assert (result.wall_s, result.startup_s) == (111 + 60 + 1 + 60, 2 * 111 + 2)


def test_a_failed_worker_needs_a_new_process_and_no_new_read() -> None:
    """Cut at 136, 5 s into epoch 2, found 6 s later; then 10 + 1 s and two epochs."""
    simulated = Simulation([ONE], Cluster(1), start=StartUp(10, 1, read_s=100))
    simulated._at(136.0, lambda: simulated._worker_fails(simulated.running[0], simulated.running[0].turn))
    assert simulated.run().wall_s == 136 + 6 + 11 + 40


def test_a_lost_node_reads_again() -> None:
    simulated = Simulation([ONE], Cluster(1), Rates(node_back_s=100), start=StartUp(10, 1, read_s=100))
    simulated._at(136.0, lambda: simulated._node_fails(0))
    assert simulated.run().wall_s == 236 + 111 + 40


def test_no_second_is_lost_with_start_ups_of_processes_either() -> None:
    rates = Rates(worker=20, node=15, driver=2, node_back_s=50, driver_back_s=40)
    simulated = Simulation([ONE] * 40, Cluster(3, 2), rates, start=StartUp(5, 1, read_s=20))
    result = simulated.run()
    assert result.idle_s >= -1e-6 and result.epochs == 120
    assert all(0 <= idle <= 2 for idle in simulated.idle_processes)


def test_trials_of_another_length_keep_their_order_and_their_share_of_the_time() -> None:
    """Six epochs of a three-epoch trial: best halfway to its first epoch, then at it; 200 s on average."""
    slow, failed = Trial(0, (40, 40, 40), (2.0, 2.0, 8.0)), Trial(15, ())
    made = of_length([ONE, slow, failed], epochs=6, mean_s=200)
    assert made[0].epochs_s == pytest.approx([400 / 3 / 6] * 6)
    assert made[1].epochs_s == pytest.approx([800 / 3 / 6] * 6)
    assert made[1].best == pytest.approx([1, 2, 2, 2, 5, 8])
    assert made[2] == failed


def test_start_ups_of_the_options() -> None:
    """16.7 GB by 1 GB per second on one node, by 10 / 64 of it on 64; to the GPU by 10 GB per second."""
    args = options().parse_args(["plan"])
    assert start_up(args, 1) == StartUp(12.6 + 10, 0.3 + 5 + 1.67, 16.7, reuse=True)
    assert start_up(args, 64).read_s == pytest.approx(16.7 * 6.4)
    several = options().parse_args(["plan", "--workers", "4", "--copy-gb-per-s", "0"])
    assert start_up(several, 1) == StartUp(20.5 + 10, 0.3 + 5, 16.7, reuse=False)


def test_rungs_of_24_epochs_are_1_3_and_9() -> None:
    assert set(Halving(1, 3, 24).rungs) == {1, 3, 9}
