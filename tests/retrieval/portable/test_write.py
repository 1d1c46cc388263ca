"""Writing the portable form. What is in it is opened in test_read.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from raytrain.errors import RefusedError
from raytrain.retrieval.portable import write
from raytrain.retrieval.portable.write import write_portable
from raytrain.retrieval.runs import open_run
from tests.retrieval.runs import encoded, trained

CPU = torch.device("cpu")


def test_a_folder_with_files_is_refused_and_an_empty_one_taken(run: Path, tmp_path: Path) -> None:
    opened = open_run(run, CPU)
    out = tmp_path / "out"
    out.mkdir()
    assert (write_portable(opened, out) / "manifest.json").exists()
    with pytest.raises(RefusedError, match="holds files already"):
        write_portable(opened, out)


def test_a_failure_leaves_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(write, "write_manifest", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        write_portable(open_run(run, CPU), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_backbone_with_other_weights_is_not_taken_along(models: Path, tmp_path: Path) -> None:
    copies = Path(shutil.copytree(models, tmp_path / "models"))
    folder = trained(encoded(tmp_path / "table", copies), tmp_path / "runs")
    weights = load_file(copies / "vit" / "model.safetensors")
    save_file({name: tensor + 1 for name, tensor in weights.items()}, copies / "vit" / "model.safetensors")
    with pytest.raises(RefusedError, match="other weights"):
        write_portable(open_run(folder, CPU), tmp_path / "out")


def test_nothing_in_it_can_run_code(with_gallery: Path) -> None:
    endings = {path.suffix for path in with_gallery.rglob("*") if path.is_file()}
    assert endings <= {".json", ".safetensors", ".npy", ".txt"}
