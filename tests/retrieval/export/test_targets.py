"""Which targets there are, and where each writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from raytrain.errors import UsageError
from raytrain.retrieval.export import targets
from raytrain.retrieval.export.options import ExportOptions
from raytrain.retrieval.export.targets import export_run
from raytrain.retrieval.runs import OpenRun


@pytest.fixture
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two targets that write nothing."""

    def write(run: OpenRun, out: Path, options: ExportOptions) -> Mapping[str, Any]:
        return {"path": str(out), "licence": options.licence}

    monkeypatch.setattr(targets, "TARGETS", {"one": write, "other": write})


def test_one_target_writes_the_folder_and_several_write_below_it(two: None, run: Path, tmp_path: Path) -> None:
    assert export_run(run, ["one"], tmp_path / "out")["paths"] == {"one": str(tmp_path / "out")}
    both = export_run(run, ["one", "other", "one"], tmp_path, options=ExportOptions(licence="mit"))
    assert both["paths"] == {name: str(tmp_path / name) for name in ("one", "other")}
    assert both["exports"]["other"]["licence"] == "mit"
    assert export_run(run, ["other"])["paths"] == {"other": str(run.resolve() / "export" / "other")}


def test_an_unknown_target_is_told_before_anything_is_opened(two: None, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no target 'onne'; did you mean 'one'\?"):
        export_run(tmp_path, ["onne"])
    with pytest.raises(UsageError, match="name a target"):
        export_run(tmp_path, [])
