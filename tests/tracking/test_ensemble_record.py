"""What a journal says of an ensemble's members."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from raytrain.tracking.ensemble_record import ensemble_of, ensemble_title, member_folders
from raytrain.tracking.events import why_no_event

MEMBER: dict[str, Any] = {
    "run": "../a", "uid": "u", "method": "DVSE", "seed": 0, "commit": "c0ffee", "fingerprint": "f" * 64,
    "features": {"lite0.npy": "0" * 64}, "checkpoint": "checkpoint_00000002", "weights": "1" * 64,
}  # fmt: skip


def start(*members: dict[str, Any], scale: str = "none") -> dict[str, Any]:
    return {"event": "start", "time": 1.0, "ensemble": {"scale": scale, "members": list(members)}}


def test_a_start_with_members_is_an_event_and_is_read() -> None:
    line = start(MEMBER, MEMBER | {"run": "../b", "added_later": 1})
    assert why_no_event(line) is None
    record = ensemble_of(line)
    assert record is not None
    assert member_folders(Path("/runs/e/both"), record) == [Path("/runs/e/a"), Path("/runs/e/b")]
    assert ensemble_of({}) is None


@pytest.mark.parametrize(
    "line", [start(MEMBER), start(MEMBER, MEMBER, scale="other"), start(MEMBER, MEMBER | {"spread": 0.0})]
)
def test_one_member_another_scale_and_no_spread_are_no_ensemble(line: dict[str, Any]) -> None:
    assert why_no_event(line) is not None
    with pytest.raises(ValidationError):
        ensemble_of(line)


def test_the_weights_stand_for_all_that_scores_depend_on() -> None:
    records = [ensemble_of(start(MEMBER, MEMBER | change)) for change in ({}, {"weights": "2" * 64}, {"shift": 0.5})]
    assert len({record.weights for record in records if record}) == 3


def test_the_title_counts_members_of_one_method() -> None:
    assert ensemble_title(["DVSE", "DivE"]) == "ensemble of 2: DVSE, DivE"
    assert ensemble_title(["DVSE", "DVSE", "DivE"]) == "ensemble of 3: 2 DVSE, DivE"
