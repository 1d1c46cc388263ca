"""Curves of one setting: rows that differ in one number and in nothing else."""

from __future__ import annotations

from typing import Any

from raytrain.review.charts.curves import curves_of
from tests.review.made_rows import made_row, made_scores

BASE = {"method.kind": "dvse", "method.views": 4, "optim.lr": 1e-3, "seed": 0, "name": "x", "flag": True}


def row(rsum: float, **changes: Any) -> Any:
    names = {name.replace("__", "."): value for name, value in changes.items()}
    return made_row(runs=[f"r{rsum}"], val=made_scores(rsum), config=BASE | names)


def test_three_values_of_one_number_make_a_curve_in_ascending_order() -> None:
    rows = [row(310, method__views=8), row(300, method__views=1, seed=5, name="y"), row(305, method__views=2)]
    (curve,) = curves_of(rows)
    assert (curve.method, curve.setting) == ("dvse", "method.views")
    assert curve.points == [(1, 300, 1, None), (2, 305, 1, None), (8, 310, 1, None)]


def test_a_point_has_the_spread_over_its_seeds() -> None:
    rows = [row(300 + k, method__views=k) for k in (1, 2)]
    several = made_row(runs=["a", "b"], seeds=[0, 1], val=made_scores(310, sd=2.5), config=BASE | {"method.views": 8})
    (curve,) = curves_of([*rows, several])
    assert curve.points[-1] == (8, 310, 2, 2.5)


def test_two_values_are_no_curve_and_a_switch_is_no_number() -> None:
    assert curves_of([row(300, method__views=1), row(305, method__views=2)]) == []
    assert curves_of([row(300, flag=value) for value in (True, False)] + [row(310)], least=2) == []


def test_rows_that_differ_elsewhere_too_are_on_no_common_curve() -> None:
    rows = [row(300, method__views=1), row(305, method__views=2), row(310, method__views=8, optim__lr=1e-2)]
    assert curves_of(rows) == []
    other_data = made_row(runs=["o"], fingerprint="b" * 12, config=BASE | {"method.views": 8})
    assert curves_of([*rows[:2], other_data]) == []


def test_re_ranked_rows_and_those_without_a_score_are_left_out() -> None:
    rows = [row(300, method__views=1), row(305, method__views=2)]
    unscored = made_row(runs=["u"], val=made_scores(None), config=BASE | {"method.views": 8})
    ranked = made_row(runs=["q"], rerank="cross i2t 20", transductive=True, config=BASE | {"method.views": 8})
    assert curves_of([*rows, unscored, ranked]) == []
