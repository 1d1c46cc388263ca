from __future__ import annotations

import pytest

from raytrain.cluster.resources import concurrency, per_worker, room
from raytrain.errors import UsageError


def test_two_workers_of_one_cpu_fill_a_machine_of_two() -> None:
    assert concurrency([{"CPU": 2.0}], 2, per_worker(False)) == 1


def test_a_worker_does_not_straddle_nodes() -> None:
    # 6 CPUs, but each node has room for one worker of two only
    assert concurrency([{"CPU": 3.0}, {"CPU": 3.0}], 2, per_worker(False, {"CPU": 2})) == 1


def test_gpus_bound_what_cpus_would_allow() -> None:
    head, gpu_node = {"CPU": 16.0}, {"CPU": 16.0, "GPU": 4.0}
    assert concurrency([head, gpu_node, gpu_node], 2, per_worker(True)) == 4


def test_the_users_bound_only_lowers_it() -> None:
    nodes = [{"CPU": 8.0}]
    assert concurrency(nodes, 2, per_worker(False), most=3) == 3
    assert concurrency(nodes, 2, per_worker(False), most=9) == 4


def test_tenths_are_counted_exactly() -> None:
    assert concurrency([{"CPU": 0.3}], 1, {"CPU": 0.1}) == 3


def test_a_trial_that_does_not_fit_is_an_error_that_says_what_there_is() -> None:
    with pytest.raises(UsageError, match=r"4 workers \(CPU 1, GPU 1 each\).*CPU 8, GPU 2 on 1 nodes.*room for 2"):
        concurrency([{"CPU": 8.0, "GPU": 2.0}], 4, per_worker(True))


def test_left_to_itself_a_trial_takes_gpus_where_a_node_has_one_and_cpus_where_none_has() -> None:
    assert room([{"CPU": 8.0, "GPU": 2.0}], 2, None) == (True, {"CPU": 1.0, "GPU": 1.0}, 1)
    assert room([{"CPU": 8.0}], 2, None) == (False, {"CPU": 1.0}, 4)
    assert room([{"CPU": 8.0, "GPU": 1.0}], 2, False) == (False, {"CPU": 1.0}, 4)


def test_gpus_that_are_too_few_are_not_replaced_by_cpus_unasked() -> None:
    nodes = [{"CPU": 8.0, "GPU": 1.0}]
    with pytest.raises(UsageError, match=r"GPU 1 each.*room for 1 such workers.*use_gpu=False trains on CPUs"):
        room(nodes, 2, None)
    with pytest.raises(UsageError, match=r"lower workers\.$"):
        room(nodes, 2, True)


def test_trials_that_share_a_gpu_are_of_one_worker() -> None:
    quarter = per_worker(True, {"GPU": 0.25})
    assert concurrency([{"CPU": 8.0, "GPU": 1.0}], 1, quarter) == 4
    with pytest.raises(UsageError, match="cannot share a GPU"):
        concurrency([{"CPU": 8.0, "GPU": 1.0}], 2, quarter)
    assert per_worker(False, {"GPU": 0.25}) == {"CPU": 1.0}
