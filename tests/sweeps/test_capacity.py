"""When another trial may start: as nodes come and go, and until a budget is spent."""

from __future__ import annotations

import pytest

from raytrain.sweeps.capacity import LOOK_EVERY_S, Capacity
from raytrain.sweeps.options import SweepOptions


def test_nodes_that_join_or_leave_change_the_room_at_the_next_look(capsys: pytest.CaptureFixture[str]) -> None:
    nodes, now, told = [{"CPU": 2.0}], [0.0], list[int]()
    capacity = Capacity(
        SweepOptions(workers=2, concurrent=3), False, lambda: 0.0, lambda: nodes, lambda: now[0], told.append
    )
    assert capacity.room() == 1
    nodes += [{"CPU": 4.0}, {"CPU": 8.0}]
    assert capacity.room() == 1  # not looked yet
    now[0] += LOOK_EVERY_S
    assert capacity.room() == 3  # of seven, as many as were asked for
    del nodes[:]
    now[0] += LOOK_EVERY_S
    assert capacity.room() == 0
    assert told == [3, 0]  # the first look is no change
    assert capsys.readouterr().err.count("the cluster has room for") == 2


def test_hours_are_of_this_life_and_gpu_hours_of_all() -> None:
    now, spent = [100.0], [0.0]
    nodes = [{"CPU": 2.0, "GPU": 1.0}]
    options = SweepOptions(hours=2, gpu_hours=0.5, resources_per_worker={"GPU": 0.25})
    capacity = Capacity(options, True, lambda: spent[0], lambda: nodes, lambda: now[0])
    assert capacity.room() == 2  # four quarters of a GPU, but two CPUs
    assert capacity.spent() is None
    spent[0] = 1800.0
    assert capacity.spent() == "0.5 GPU-hours"
    spent[0] = 0.0
    assert capacity.spent() == "0.5 GPU-hours"  # what is spent stays spent
    later = Capacity(options, True, lambda: spent[0], lambda: nodes, lambda: now[0])
    now[0] += 7199
    assert later.spent() is None
    now[0] += 1
    assert later.spent() == "2 hours"
