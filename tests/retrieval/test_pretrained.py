"""A portable model by Hugging Face's own functions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from raytrain.errors import UsageError
from raytrain.retrieval.load import load

pytest.importorskip("huggingface_hub", reason="needs the extra `export`")

from raytrain.retrieval.pretrained import PretrainedRetriever


@pytest.mark.parametrize("name", ["dvse over token states", "dive over words", "trained backbones"])
def test_from_pretrained_and_save_pretrained_round_trip(
    name: str, export_of: Callable[[str], Path], tmp_path: Path
) -> None:
    opened = PretrainedRetriever.from_pretrained(export_of(name), device="cpu")
    opened.save_pretrained(tmp_path / "saved")
    again = PretrainedRetriever.from_pretrained(str(tmp_path / "saved"), device="cpu")
    expected = load(export_of(name), device="cpu").encode_text(["a dog", "a cat runs"])
    for each in (opened, again, load(tmp_path / "saved", device="cpu")):
        torch.testing.assert_close(each.encode_text(["a dog", "a cat runs"]), expected, rtol=0, atol=0)


def test_what_was_not_opened_from_a_folder_is_not_saved(export_of: Callable[[str], Path], tmp_path: Path) -> None:
    opened = PretrainedRetriever.from_pretrained(export_of("dive over words"), device="cpu")
    opened.folder = None
    with pytest.raises(UsageError, match="raytrain export"):
        opened.save_pretrained(tmp_path)
