"""Records: places of annotations, names of splits, and shares to draw."""

from __future__ import annotations

import pytest

from raytrain.data.annotations.records import Record, Shares, SourceLocation, split_in, split_of, with_split
from raytrain.errors import Problem, UsageError

HERE = SourceLocation("a.csv", 2)


def test_a_place_makes_problems_of_its_file_and_row() -> None:
    assert HERE.problem("no image", "Fix it.") == Problem("a.csv", 2, "no image", "Fix it.")


@pytest.mark.parametrize(
    ("name", "split"),
    [("train", "train"), ("restval", "train"), (" Validation ", "val"), ("DEV", "val"), ("testing", "test"),
     ("", None), ("all", None), ("trainset", None)],
)  # fmt: skip
def test_a_name_means_a_split_whatever_its_case_and_blanks(name: str, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("name", "stated"),
    [("f30k-train-0003", "train"), ("my_valid", "valid"), ("train.train", "train"), ("dev_val", "dev or val"),
     ("train-and-test", ""), ("training2", "training"), ("captions", ""), ("", "")],
)  # fmt: skip
def test_a_file_states_the_split_that_one_part_of_its_name_means(name: str, stated: str) -> None:
    if stated == "dev or val":  # both mean val
        assert split_of(split_in(name)) == "val"
    else:
        assert split_in(name) == stated


def test_the_split_of_a_row_takes_precedence_over_that_of_its_file() -> None:
    silent, stating = Record(HERE, ["x"]), Record(HERE, ["x"], split="test")
    assert with_split(silent, "val").split == "val"
    assert with_split(stating, "val").split == "test"
    assert with_split(silent, "") is silent


@pytest.mark.parametrize("shares", [(1.0, 0.0), (0.0, 1.0), (0.5, 0.5), (-0.1, 0.0), (0.0, float("nan"))])
def test_shares_must_leave_images_to_train_on(shares: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="leave some to train"):
        Shares(*shares)


def test_no_share_at_all_is_allowed() -> None:
    assert Shares() == Shares(0.0, 0.0, 0.0)


def test_few_names_have_every_split_that_is_drawn_and_many_keep_theirs() -> None:
    names = [str(number) for number in range(1000)]
    drawn = Shares(val=0.1, test=0.1).draw(names)
    assert all(70 < list(drawn.values()).count(split) < 130 for split in ("val", "test"))
    assert drawn == Shares(val=0.1, test=0.1).draw(reversed(names))
    for count in (3, 5, 8):
        assert set(Shares(val=0.01, test=0.01).draw(names[:count]).values()) == {"train", "val", "test"}
    assert set(Shares(val=0.01, test=0.01).draw(["a", "b"]).values()) == {"train", "test"}
    assert Shares(val=0.1).draw([]) == {}
