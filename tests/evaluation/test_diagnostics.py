from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import normalize

from raytrain.evaluation import diagnostics
from raytrain.evaluation.diagnostics import (
    calibration,
    effective_elements,
    effective_rank,
    element_shares,
    ever_closest,
    hubness,
    margins,
    rank_correlation,
    score_diagnostics,
    set_cosine,
    set_diagnostics,
    set_log_variance,
)


def test_log_variance_equals_its_definition_set_by_set() -> None:
    sets = normalize(torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64), dim=-1)
    total = 0.0
    for rows in sets.tolist():
        mean = [sum(column) / 4 for column in zip(*rows, strict=True)]
        total += math.log(1 - math.hypot(*mean))
    assert set_log_variance(sets) == pytest.approx(total / 3)


def test_a_collapsed_set_is_far_below_one_that_points_everywhere() -> None:
    assert set_log_variance(torch.eye(4)[None, :1].expand(1, 3, 4)) == pytest.approx(math.log(1e-12))
    assert set_log_variance(torch.stack([torch.eye(4)[:1], -torch.eye(4)[:1]], 1)) == pytest.approx(0)


def test_only_sets_are_measured() -> None:
    vectors, sets = torch.ones(2, 3), torch.eye(3)[None]
    assert set_diagnostics(vectors, vectors) == {}
    assert set_diagnostics(vectors, sets[:, :1]) == {}
    names = ("set_log_variance", "set_cosine", "effective_rank")
    assert set(set_diagnostics(vectors, sets)) == {f"diagnostics/{name}" for name in names}
    assert len(set_diagnostics(sets, sets)) == 6
    assert "diagnostics/effective_elements" in set_diagnostics(vectors, sets, torch.tensor([0, 0]))


def test_set_cosine_is_the_mean_over_pairs() -> None:
    sets = normalize(torch.randn(5, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)), dim=-1)
    pairs = [float(rows[a] @ rows[b]) for rows in sets for a in range(3) for b in range(3) if a != b]
    assert set_cosine(sets) == pytest.approx(sum(pairs) / len(pairs))
    assert set_cosine(sets[:, :1].expand(-1, 3, -1)) == pytest.approx(1)


def test_effective_elements_counts_those_that_answer() -> None:
    gallery = torch.eye(4).expand(6, 4, 4)
    owner = torch.arange(6).repeat(2)
    assert effective_elements(torch.eye(4)[[0] * 12], gallery, owner) == pytest.approx(1)
    assert effective_elements(torch.eye(4)[[0, 1] * 6], gallery, owner) == pytest.approx(2)
    # sets of queries: the best of the pairs decides
    query_sets = torch.stack([torch.eye(4)[[0, 1, 2, 3] * 3], -torch.eye(4)[[0] * 12]], 1)
    assert effective_elements(query_sets, gallery, owner) == pytest.approx(4)


def test_effective_rank_counts_directions() -> None:
    axes = torch.eye(4, dtype=torch.float64)
    assert effective_rank(axes[None, :3]) == pytest.approx(3)
    assert effective_rank(axes[None, [0, 0, 0]]) == pytest.approx(1)
    assert effective_rank(axes[None, [0, 0, 1, 1]]) == pytest.approx(2)
    sets = torch.randn(3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = 0.0
    for rows in sets:
        values = torch.linalg.svdvals(rows).tolist()
        shares = [value / sum(values) for value in values]
        expected += math.exp(-sum(share * math.log(share) for share in shares)) / 3
    assert effective_rank(sets) == pytest.approx(expected)


def test_use_of_elements_is_counted_over_the_captions_of_each_image() -> None:
    gallery = torch.eye(4).expand(3, 4, 4)
    owner = torch.tensor([0, 0, 0, 1, 1])  # image 2 has no caption
    query = torch.eye(4)[[0, 1, 1, 3, 3]]
    assert element_shares(query, gallery, owner).tolist() == pytest.approx([0.2, 0.4, 0, 0.4])
    assert ever_closest(query, gallery, owner) == pytest.approx(3 / 8)


def test_rank_correlation_is_spearmans() -> None:
    ranks = torch.tensor([0, 3, 3, 10, -1, 2])
    assert rank_correlation(torch.tensor([0.1, 0.5, 0.5, 0.9, 7.0, 0.2]), ranks) == pytest.approx(1)
    assert rank_correlation(-torch.tensor([0.1, 0.5, 0.5, 0.9, 7.0, 0.2]), ranks) == pytest.approx(-1)
    assert rank_correlation(torch.ones(6), ranks) == 0
    # by hand: places 2 1 3 against 1 2 3
    assert rank_correlation(torch.tensor([0.2, 0.1, 0.3]), torch.tensor([4, 5, 6])) == pytest.approx(0.5)


def made_scores(texts: int = 23, images: int = 7) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(texts, images, generator=generator), torch.randint(images - 1, (texts,), generator=generator)


@pytest.mark.parametrize("elements", [4_000_000, 20])
def test_hubness_and_margins_equal_plain_loops(elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "CHUNK_ELEMENTS", elements)
    scores, owner = made_scores()
    actual = score_diagnostics(scores, owner)
    rows = scores.double().tolist()
    for direction, matrix, answers in (
        ("t2i", rows, [{int(image)} for image in owner]),
        ("i2t", list(zip(*rows, strict=True)), [{m for m in range(23) if owner[m] == n} for n in range(7)]),
    ):
        apart, times = [], [0] * len(matrix[0])
        for line, positives in zip(matrix, answers, strict=True):
            for item in sorted(range(len(line)), key=lambda i: line[i])[-min(10, len(line)) :]:
                times[item] += 1
            if positives:  # the last image has no text
                best = max(line[i] for i in positives)
                apart.append(best - max(line[i] for i in range(len(line)) if i not in positives))
        mean = sum(times) / len(times)
        spread = sum((n - mean) ** 2 for n in times) / len(times)
        skew = sum((n - mean) ** 3 for n in times) / len(times) / spread**1.5 if spread else 0.0
        assert actual[f"diagnostics/{direction}/hubness"] == pytest.approx(skew)
        assert actual[f"diagnostics/{direction}/margin"] == pytest.approx(sorted(apart)[(len(apart) - 1) // 2])


def test_a_hub_is_seen() -> None:
    scores = torch.randn(200, 50, generator=torch.Generator().manual_seed(1))
    even = hubness(scores, 1)
    scores[:, 3] += 3
    assert hubness(scores, 1) > even + 3
    assert hubness(torch.eye(4), 1) == 0


def test_a_query_without_positives_or_negatives_has_no_margin() -> None:
    positives = torch.tensor([[True, False], [False, False], [True, True]])
    actual = margins(torch.tensor([[3.0, 1.0], [1.0, 2.0], [1.0, 2.0]]), [(positives, ~positives)])
    assert actual[0] == 2 and bool(actual[1:].isnan().all())


def test_calibration_has_the_recall_of_each_share() -> None:
    uncertainty = torch.tensor([0.4, 0.1, 0.3, 0.2, 9.0])
    ranks = torch.tensor([50, 0, 3, 2, -1])
    assert calibration(uncertainty, ranks, bins=2) == [
        {"queries": 2, "uncertainty": pytest.approx(0.15), "recall": 100.0},
        {"queries": 2, "uncertainty": pytest.approx(0.35), "recall": 50.0},
    ]
    assert len(calibration(uncertainty, ranks, bins=10)) == 4
