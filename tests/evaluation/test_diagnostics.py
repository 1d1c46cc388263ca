from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from raytrain.evaluation.diagnostics import (
    effective_elements,
    rank_correlation,
    set_cosine,
    set_diagnostics,
    set_log_variance,
)


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
    assert set(set_diagnostics(one, some)) == {"diagnostics/set_log_variance", "diagnostics/set_cosine"}
    assert len(set_diagnostics(some, some)) == 4
    assert "diagnostics/effective_elements" in set_diagnostics(one, some, torch.tensor([0, 0]))


def test_set_cosine_is_the_mean_over_pairs() -> None:
    sets = normalize(torch.randn(5, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=-1)
    pairs = [float(one[a] @ one[b]) for one in sets for a in range(3) for b in range(3) if a != b]
    assert set_cosine(sets) == pytest.approx(sum(pairs) / len(pairs))
    assert set_cosine(sets[:, :1].expand(-1, 3, -1)) == pytest.approx(1)


def test_effective_elements_counts_those_that_answer() -> None:
    gallery = torch.eye(4).expand(6, 4, 4)
    owner = torch.arange(6).repeat(2)
    assert effective_elements(torch.eye(4)[[0] * 12], gallery, owner) == pytest.approx(1)
    assert effective_elements(torch.eye(4)[[0, 1] * 6], gallery, owner) == pytest.approx(2)
    # sets of queries: the best of the pairs decides
    asked = torch.stack([torch.eye(4)[[0, 1, 2, 3] * 3], -torch.eye(4)[[0] * 12]], 1)
    assert effective_elements(asked, gallery, owner) == pytest.approx(4)


def test_rank_correlation_is_spearmans() -> None:
    ranks = torch.tensor([0, 3, 3, 10, -1, 2])
    assert rank_correlation(torch.tensor([0.1, 0.5, 0.5, 0.9, 7.0, 0.2]), ranks) == pytest.approx(1)
    assert rank_correlation(-torch.tensor([0.1, 0.5, 0.5, 0.9, 7.0, 0.2]), ranks) == pytest.approx(-1)
    assert rank_correlation(torch.ones(6), ranks) == 0
    # by hand: places 2 1 3 against 1 2 3
    assert rank_correlation(torch.tensor([0.2, 0.1, 0.3]), torch.tensor([4, 5, 6])) == pytest.approx(0.5)
