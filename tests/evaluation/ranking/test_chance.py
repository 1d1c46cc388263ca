"""What a random order reaches in a small gallery, and which recalls are marked for it."""

from __future__ import annotations

import itertools

import pytest

from raytrain.evaluation.ranking.chance import chance_note, chance_recall, trivial_recalls


@pytest.mark.parametrize(("k", "gallery", "positives"), [(1, 4, 1), (2, 6, 2), (3, 5, 2), (5, 5, 1), (7, 3, 1)])
def test_chance_is_the_share_of_orders_with_a_positive_among_the_first(k: int, gallery: int, positives: int) -> None:
    orders = list(itertools.permutations(range(gallery)))
    answered = sum(min(order.index(item) for item in range(positives)) < k for order in orders)
    assert chance_recall(k, gallery, positives) == pytest.approx(100 * answered / len(orders))


def test_nine_images_make_recalls_trivial_and_a_thousand_do_not() -> None:
    names = [f"{way}/recall_at_{k}" for way in ("i2t", "t2i") for k in (1, 5, 10)]
    small = trivial_recalls([*names, "rsum"], {"i2t": 9, "t2i": 45}, {"i2t": 45, "t2i": 9})
    assert set(small) == {"i2t/recall_at_5", "i2t/recall_at_10", "t2i/recall_at_5", "t2i/recall_at_10"}
    assert small["t2i/recall_at_10"] == 100.0
    assert small["t2i/recall_at_5"] == pytest.approx(500 / 9)
    assert trivial_recalls(names, {"i2t": 1000, "t2i": 5000}, {"i2t": 5000, "t2i": 1000}) == {}


def test_other_protocols_name_their_galleries_in_their_own_way() -> None:
    assert set(trivial_recalls(["recall_at_1", "recall_at_50"], {"query": 9}, {"query": 100})) == {"recall_at_50"}
    prefix = "fashioniq_original"
    names = [f"{prefix}/dress_recall_at_10", f"{prefix}/shirt_recall_at_10", f"{prefix}/recall_at_10"]
    chances = trivial_recalls(names, {"dress": 2, "shirt": 2}, {"dress": 20, "shirt": 40})
    assert chances == {names[0]: pytest.approx(50.0), names[1]: pytest.approx(25.0), names[2]: pytest.approx(37.5)}
    cirr = ["cirr/recall_at_5", "cirr/subset_recall_at_3"]  # a subset has five members by definition
    assert set(trivial_recalls(cirr, {"query": 2}, {"query": 7, "subset": 5})) == {"cirr/recall_at_5"}
    assert trivial_recalls(["eccv/i2t_recall_at_1"], {"i2t": 3, "t2i": 3}, {"i2t": 4, "t2i": 4}).keys() == {
        "eccv/i2t_recall_at_1"
    }
    assert trivial_recalls(["recall_at_1"], {}, {}) == {}


def test_the_note_lists_what_chance_reaches() -> None:
    assert chance_note({}) == []
    assert chance_note({"t2i/recall_at_10": 100.0}) == [
        "the gallery is so small that a random order reaches t2i/recall_at_10 100.0"
    ]
