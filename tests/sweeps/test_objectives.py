"""What a study maximises and minimises, from the record of a run."""

from __future__ import annotations

from pathlib import Path

from raytrain.sweeps.objectives import cost_of, values
from raytrain.tracking.run_record import read_run
from tests.sweeps.small_sweep import write_run


def test_the_objectives_are_the_best_value_and_the_cost_at_the_end(tmp_path: Path) -> None:
    write_run(tmp_path, [50.0, 60.0, 55.0], "finished", index_bytes=256.0)
    run = read_run(tmp_path)
    assert cost_of(run, "worker_seconds") == 3
    assert values(run, None) == [60.0]
    assert values(run, "index_bytes") == [60.0, 256.0]
    assert values(run, "gpu_seconds") is None  # a version that did not record it


def test_a_run_without_an_epoch_has_no_objectives(tmp_path: Path) -> None:
    write_run(tmp_path, [], "failed")
    assert values(read_run(tmp_path), None) is None
