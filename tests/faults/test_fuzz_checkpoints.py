"""Damaged checkpoints: a run goes on from the newest whole one or says in a line why not; a longer run of the same:

python -m tests.faults.fuzz_checkpoints --cases 5000 --seed 7
"""

from __future__ import annotations

import signal
from pathlib import Path

from tests.faults.fuzz_checkpoints import hang, run_cases


def test_damaged_checkpoints_are_never_gone_on_from(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGALRM, hang)
    try:
        outcomes = run_cases(tmp_path, 40, seed=0)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert outcomes["failed"] == 0
    assert outcomes["fell back"] > 15 and outcomes.total() == 40
