"""`raytrain export`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raytrain.cli.main import main
from tests.retrieval.conftest import models, pictures, run

__all__ = ["models", "pictures", "run"]


def test_the_verb_writes_a_folder_and_prints_where(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("huggingface_hub", reason="needs the extra `export`")
    out = tmp_path / "hub"
    assert main(["export", str(run), "--to", "hub", "--out", str(out), "--gallery", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["paths"] == {"hub": str(out)}
    assert (out / "gallery" / "embeddings.npy").exists()
    assert main(["export", str(run), "--to", "hub", "--out", str(out)]) == 4
    assert "holds files already" in capsys.readouterr().err
    assert main(["export", str(run), "--to", "hubb"]) == 2
    assert "did you mean 'hub'" in capsys.readouterr().err
