"""A small share of tests/faults/fuzz_tables.py, in this process: damaged tables are refused, or give the same numbers.

RAYTRAIN_FUZZ_TABLES sets the number of cases per kind of file, RAYTRAIN_FUZZ_SEED which.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults.fuzz_tables import KINDS, Whole, one_case

CASES = int(os.environ.get("RAYTRAIN_FUZZ_TABLES", "5"))
SEED = os.environ.get("RAYTRAIN_FUZZ_SEED", "0")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Whole:
    return Whole.make(tmp_path_factory.mktemp("fuzz"))


def test_the_whole_table_gives_the_same_numbers_again(whole: Whole) -> None:
    assert set(whole.numbers) == {"train", "evaluate", "evaluate unverified"}
    assert whole.fault("npy", described_again=False) is None


@pytest.mark.parametrize("kind", KINDS)
def test_damage_is_refused_or_changes_no_number(kind: str, whole: Whole) -> None:
    faults = [one_case(whole, kind, f"{kind} {SEED} {case}", fork=False) for case in range(CASES)]
    assert not any(faults)


def test_features_that_were_replaced_do_not_train_and_are_not_evaluated(
    whole: Whole, capsys: pytest.CaptureFixture[str]
) -> None:
    path: Path = whole.table / "features" / "lite0.npy"
    before = path.read_bytes()
    path.write_bytes(before[:-2] + b"\x00\x3c")
    try:
        codes = {name: code for name, code, _, _ in whole.outcomes("npy")}
    finally:
        path.write_bytes(before)
    assert codes == {
        "check": 3, "check queries": 0, "dry run": 4, "train": 4, "evaluate": 4, "evaluate unverified": 0,
    }  # fmt: skip
