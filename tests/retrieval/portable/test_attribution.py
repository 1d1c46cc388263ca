"""Whom an export names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raytrain.retrieval.portable.attribution import NAME, credits_of, write_attribution

DATA: dict[str, Any] = {
    "table": "photos", "source": "captions", "fingerprint": "0123456789abcdef", "attributions": ["A, CC BY 4.0"],
    "attributions_of_images": ["B", "A, CC BY 4.0"], "further_attributions_of_images": 1200,
}  # fmt: skip


def test_each_credit_is_named_once_and_the_rest_is_counted() -> None:
    assert credits_of(DATA) == ["A, CC BY 4.0", "B", "1,200 further attributions of single images are in the table"]


def test_the_page_names_table_credits_and_features(tmp_path: Path) -> None:
    write_attribution(tmp_path, {**DATA, "attributions_of_images": ["x\n\x1b[31mforged"]}, ["lite0", "minilm"])
    lines = (tmp_path / NAME).read_text(encoding="utf-8").splitlines()
    assert lines[2].startswith("Trained on the table photos (source captions, fingerprint 0123456789ab)")
    assert lines[4:6] == ["- A, CC BY 4.0", "- x \\x1b[31mforged"]
    assert "features lite0, minilm" in lines[-1]


def test_data_without_credits_say_so(tmp_path: Path) -> None:
    nothing = {"attributions": [], "attributions_of_images": [], "further_attributions_of_images": 0}
    write_attribution(tmp_path, DATA | nothing, [])
    assert "names no attribution" in (tmp_path / NAME).read_text(encoding="utf-8")


def test_every_portable_folder_has_it_among_its_verified_files(with_gallery: Path) -> None:
    pytest.importorskip("PIL", reason="decoding images needs pillow")
    assert f'"{NAME}"' in (with_gallery / "manifest.json").read_text(encoding="utf-8")
