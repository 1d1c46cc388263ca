from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from raytrain.evaluation.diagnostics import set_diagnostics, set_log_variance


def test_log_variance_equals_its_definition_set_by_set() -> None:
    sets = normalize(torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=-1)
    total = 0.0
    for one in sets.tolist():
        mean = [sum(column) / 4 for column in zip(*one, strict=True)]
        total += math.log(1 - math.hypot(*mean))
    assert set_log_variance(sets) == pytest.approx(total / 3)


def test_a_collapsed_set_is_far_below_one_that_points_everywhere() -> None:
    assert set_log_variance(torch.eye(4)[None, :1].expand(1, 3, 4)) == pytest.approx(math.log(1e-12))
    assert set_log_variance(torch.stack([torch.eye(4)[:1], -torch.eye(4)[:1]], 1)) == pytest.approx(0)


def test_only_sets_are_measured() -> None:
    one, some = torch.ones(2, 3), torch.eye(3)[None]
    assert set_diagnostics(one, one) == {}
    assert set_diagnostics(one, some[:, :1]) == {}
    assert set(set_diagnostics(one, some)) == {"diagnostics/set_log_variance"}
    assert len(set_diagnostics(some, some)) == 2
