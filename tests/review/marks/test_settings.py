"""A row names what differs from the row that it is compared with."""

from __future__ import annotations

from raytrain.review.marks.settings import settings_in_words

DVSE = {"method.kind": "dvse", "method.margin": 0.2, "encoder.dim": 256, "optim.lr": 5e-4, "optim.num_epochs": 25}
DIVE = {"method.kind": "dive", "method.slots": 4, "encoder.dim": 128, "optim.lr": 5e-4, "optim.num_epochs": 30}


def test_shared_settings_that_differ_from_the_first_row_are_named_on_both() -> None:
    words = settings_in_words([DVSE, DIVE], ["dvse", "dive"], [0, 0], ["method.kind"])
    assert words == ["dim=256, num_epochs=25", "dim=128, num_epochs=30"]


def test_settings_in_which_rows_of_a_method_differ_are_named_on_all_of_them() -> None:
    faster = {**DVSE, "optim.lr": 1e-3, "method.margin": 0.1}
    words = settings_in_words([DVSE, faster, DIVE], ["dvse", "dvse", "dive"], [0, 0, 0], ["method.kind"])
    assert words == [
        "margin=0.2, dim=256, lr=0.0005, num_epochs=25", "margin=0.1, lr=0.001", "dim=128, num_epochs=30",
    ]  # fmt: skip


def test_a_row_that_is_compared_with_none_names_nothing_but_its_method() -> None:
    assert settings_in_words([DVSE, DIVE], ["dvse", "dive"], [0, 1], ()) == ["", ""]


def test_names_are_as_long_as_it_takes_to_tell_them_apart() -> None:
    first = {"encoder.text.lr_scale": 1.0, "encoder.image.lr_scale": 0.1, "encoder.text.kind": "tokens", "a.kind": "x"}
    other = {**first, "encoder.text.lr_scale": 0.5, "encoder.text.kind": "bigru", "a.kind": None}
    assert settings_in_words([first, other], ["a", "b"], [0, 0], ()) == [
        "text.lr_scale=1, text.kind=tokens, a.kind=x", "text.lr_scale=0.5, text.kind=bigru, a.kind=null",
    ]  # fmt: skip
