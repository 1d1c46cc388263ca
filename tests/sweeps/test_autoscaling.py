"""What a sweep asks an autoscaling cluster for."""

from __future__ import annotations

from raytrain.sweeps.autoscaling import EXPIRES_S, RENEW_S, AutoscalerRequest
from raytrain.sweeps.capacity import LOOK_EVERY_S, Capacity
from raytrain.sweeps.options import SweepOptions


class Cluster:
    """Hears what is asked for, and when."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked: list[list[dict[str, float]]] = []

    def ask(self, bundles: list[dict[str, float]], seconds: float) -> None:
        assert seconds > RENEW_S  # or it would be forgotten before it is asked for again
        self.asked.append(bundles)

    def demand(self, concurrent: int | None, workers: int = 1) -> AutoscalerRequest:
        return AutoscalerRequest(workers, {"CPU": 2.0}, concurrent, self.ask, lambda: self.now)


def test_room_is_asked_for_until_the_last_trials_need_less() -> None:
    cluster = Cluster()
    demand = cluster.demand(concurrent=8)
    demand.update(left=20, running=2, room=2)
    assert cluster.asked == [[{"CPU": 2.0}] * 8]
    demand.update(left=19, running=8, room=8)  # the nodes came
    assert len(cluster.asked) == 1
    cluster.now += RENEW_S
    demand.update(left=12, running=8, room=8)
    assert cluster.asked[1:] == [[{"CPU": 2.0}] * 8]
    demand.update(left=3, running=3, room=8)  # nodes without a trial may go
    assert cluster.asked[2:] == [[{"CPU": 2.0}] * 3]
    demand.withdraw()
    demand.withdraw()
    assert cluster.asked[3:] == [[]]


def test_nothing_is_asked_for_where_nobody_said_how_many_or_there_is_room() -> None:
    cluster = Cluster()
    cluster.demand(concurrent=None).update(left=20, running=2, room=2)
    cluster.demand(concurrent=4).update(left=20, running=4, room=4)
    cluster.demand(concurrent=4).update(left=2, running=2, room=2)
    cluster.demand(concurrent=4).withdraw()
    assert cluster.asked == []


def test_of_several_workers_ray_train_asks_for_those_that_train() -> None:
    cluster = Cluster()
    cluster.demand(concurrent=5, workers=3).update(left=20, running=2, room=2)
    assert cluster.asked == [[{"CPU": 2.0}] * 9]


def test_each_look_at_the_cluster_tells() -> None:
    heard: list[int] = []
    now = [0.0]
    capacity = Capacity(
        SweepOptions(), False, lambda: 0.0, lambda: [{"CPU": 3.0}], lambda: now[0], on_look=heard.append
    )  # fmt: skip
    for _ in range(3):
        capacity.room()
    now[0] += LOOK_EVERY_S
    capacity.room()
    assert heard == [3, 3]
    assert EXPIRES_S > RENEW_S + LOOK_EVERY_S
