"""A folder for the Hugging Face hub. Its embeddings: tests/retrieval/test_pretrained.py."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import torch

from raytrain.errors import UsageError
from raytrain.retrieval.export.hub import write_hub
from raytrain.retrieval.export.options import ExportOptions
from raytrain.retrieval.load import load
from raytrain.retrieval.runs import open_run

CPU = torch.device("cpu")


def test_a_hub_folder_is_a_portable_model_with_a_card_and_an_app(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub", reason="needs the extra `export`")
    out = tmp_path / "hub"
    assert write_hub(open_run(run, CPU), out, ExportOptions(licence="apache-2.0")) == {"path": str(out)}
    assert (out / "README.md").read_text(encoding="utf-8").startswith("---\n")
    compile((out / "app.py").read_text(encoding="utf-8"), "app.py", "exec")
    assert "gradio" in (out / "requirements.txt").read_text()
    assert not (out / "gallery").exists()
    assert load(out, device="cpu").encode_text(["a dog"]).shape == (1, 8)


def test_without_the_extra_one_line_names_it(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r'pip install "raytrain\[export\]"'):
        write_hub(open_run(run, CPU), tmp_path / "hub", ExportOptions())
    assert list(tmp_path.iterdir()) == []
