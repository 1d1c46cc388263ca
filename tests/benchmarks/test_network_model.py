"""Seconds of collectives and of steps, on networks small enough to work out by hand."""

from __future__ import annotations

import pytest

from benchmarks.exchanges import Sent
from benchmarks.network_model import BUCKET_BYTES, Compute, Link, Network, step_time

NETWORK = Network(inside=Link(1, 10), outside=Link(100, 5), host=Link(7, 1e9), gpus_per_node=4)


def test_one_rank_sends_nothing() -> None:
    assert NETWORK.all_reduce_s(1e6, 1) == NETWORK.all_gather_s(1e6, 1) == NETWORK.host_s({"flags": Sent(1, 8)}, 1) == 0
    alone = step_time(Compute(3, 1, 0.5), {"gradients": Sent(1, 10**9), "rows": Sent(3, 10**9)}, 1, NETWORK)
    assert (alone.seconds, alone.waited_s, alone.gradients_s) == (4, 0, 0)


def test_a_ring_inside_a_node() -> None:
    """Scatter and gather: three messages each, of a quarter of the 40 bytes."""
    assert NETWORK.all_reduce_s(40, 4) == pytest.approx(2 * 3 * (1 + 10 / 10))
    assert NETWORK.all_gather_s(40, 4) == pytest.approx(3 * (1 + 40 / 10))


def test_two_nodes_share_the_link_of_each() -> None:
    """All-reduce: 2 messages of half the 40 bytes; all-gather: the 160 bytes of the other node."""
    inside = 2 * 3 * (1 + 10 / 10)
    assert NETWORK.all_reduce_s(40, 8) == pytest.approx(inside + 2 * (100 + 20 / 5))
    assert NETWORK.all_gather_s(40, 8) == pytest.approx((100 + 160 / 5) + 3 * (1 + 2 * 40 / 10))


def test_small_sums_over_many_nodes_take_the_trees_and_large_ones_the_ring() -> None:
    """On 16 nodes trees are 2 log2(16) messages deep, and the ring has 30; its bytes are 15 / 16 of the trees'."""
    inside = 2 * 3 * 1
    assert NETWORK.all_reduce_s(0, 64) == inside + 8 * 100
    huge = 1e9
    assert NETWORK.all_reduce_s(huge, 64) == pytest.approx(
        inside + 1.5 * huge / 10 + 30 * 100 + 2 * 15 / 16 * huge / 5, rel=1e-9
    )


def test_hosts_pass_flags_twice_and_shapes_once_around() -> None:
    assert NETWORK.host_s({"flags": Sent(1, 0), "shapes": Sent(3, 0)}, 5) == 4 * (2 + 3) * 7


def test_gradients_hide_behind_the_backward_pass_but_for_the_last_bucket() -> None:
    fast = Network(Link(0, 1e9), Link(0, 1e9), Link(0, 1e9))
    size = 4 * BUCKET_BYTES
    one_bucket, all_of_them = (fast.all_reduce_s(count, 8) for count in (BUCKET_BYTES, size))
    sent = {"gradients": Sent(4, size)}
    slow_backward = step_time(Compute(10, 0, backward_share=0.5), sent, 8, fast)
    assert slow_backward.gradients_s == pytest.approx(one_bucket)
    fast_backward = step_time(Compute(0.02, 0, backward_share=0.5), sent, 8, fast)
    assert fast_backward.gradients_s == pytest.approx(all_of_them - 0.01)
    assert fast_backward.seconds == pytest.approx(0.02 + all_of_them - 0.01)


def test_rows_and_statistics_are_waited_for_call_by_call() -> None:
    sent = {
        "rows": Sent(2, 80), "norms": Sent(1, 12), "gradients of norms": Sent(1, 48), "gradients": Sent(1, 0),
        "flags": Sent(1, 8),
    }  # fmt: skip
    expected = 2 * NETWORK.all_gather_s(40, 4) + NETWORK.all_gather_s(12, 4) + NETWORK.all_reduce_s(48, 4)
    assert step_time(Compute(1, 1), sent, 4, NETWORK).waited_s == pytest.approx(expected)


def test_a_step_takes_as_long_as_the_slower_of_device_and_host() -> None:
    sent = {"gradients": Sent(1, 0), "flags": Sent(1, 0)}
    step = step_time(Compute(1, 0, host_s=2), sent, 4, NETWORK)
    assert step.host_s == 2 + 3 * 2 * 7
    assert step.seconds == step.host_s
    assert step_time(Compute(100, 0, host_s=2), sent, 4, NETWORK).seconds == 100 + step.gradients_s
