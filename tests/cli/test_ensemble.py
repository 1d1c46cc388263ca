"""The verb ensemble, as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.cli.main import main
from tests.runs import fit_here, tiny
from tests.tables import make_table


def test_the_verb_makes_a_run_beside_the_first_and_prints_all_three(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = make_table(tmp_path / "table")
    for seed in (0, 1):
        fit_here(tiny(table, tmp_path, name=f"s{seed}", seed=seed, optim__max_steps=1))
    runs = [str(tmp_path / "default" / name) for name in ("s0", "s1")]
    assert main(["ensemble", *runs, "--scale", "standard", "--name", "both", "--tracking=none", "--json"]) == 0
    printed = capsys.readouterr()
    answer = json.loads(printed.out)
    assert Path(answer["run"]) == tmp_path / "default" / "both"
    assert answer["method"] == "ensemble of 2: 2 DVSE"
    assert [member["run"] for member in answer["members"]] == runs
    assert f"{answer['run']}: ensemble of 2: 2 DVSE, val/rsum" in printed.err
    assert main(["ensemble", *runs, "--name", "both", "--tracking=none"]) == 4
    assert main(["ensemble", runs[0], "--tracking=none"]) == 2
