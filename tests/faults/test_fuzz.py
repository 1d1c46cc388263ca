"""Damaged annotations of every source give a table or a DataError: never another exception, a crash or a hang.

RAYTRAIN_FUZZ_CASES sets how many cases a source has, RAYTRAIN_FUZZ_SEED which; a longer run:

    RAYTRAIN_FUZZ_CASES=2000 RAYTRAIN_FUZZ_SEED=7 pytest tests/faults/test_fuzz.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.downloads import DOWNLOADS
from tests.data.layouts import LAYOUTS
from tests.faults.fuzz import CASE_S

CASES = int(os.environ.get("RAYTRAIN_FUZZ_CASES", "5"))
SEED = os.environ.get("RAYTRAIN_FUZZ_SEED", "0")


@pytest.mark.skipif(os.name != "posix", reason="hangs are ended by SIGALRM, memory is bounded by setrlimit")
def test_damaged_annotations_give_a_table_or_a_data_error() -> None:
    command = [sys.executable, "-m", "tests.faults.fuzz", "--cases", str(CASES), "--seed", SEED]
    here = Path(__file__).parents[2]
    limit_s = 120 + CASES * len(LAYOUTS) * CASE_S // 4
    done = subprocess.run(command, cwd=here, capture_output=True, text=True, timeout=limit_s, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    failures = [line for line in lines if "seed" in line]
    assert failures == []
    assert done.returncode == 0, done.stderr[-2000:]
    ended = lines[-1]["ended"]
    assert sum(ended.values()) == CASES * len(LAYOUTS) + -(-CASES // 10) * len(DOWNLOADS)
    # the damage is neither so small that nothing is noticed nor so large that nothing is read
    assert ended["error"] > ended["table"] > 0
