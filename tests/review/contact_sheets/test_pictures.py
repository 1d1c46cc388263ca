"""Pictures of a page: as large as fits, from inside the image root, and none where one is broken."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from markupsafe import Markup
from PIL import Image

from raytrain.data.storage import Root
from raytrain.errors import Interrupted
from raytrain.review.contact_sheets import pictures
from raytrain.review.contact_sheets.pictures import SIDES, fitted, thumbnails


def noise(path: Path, seed: int, side: int = 200) -> str:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path.name


def side_of(uri: str) -> int:
    return max(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).size)


def test_the_largest_side_at_which_all_fit_is_taken(tmp_path: Path) -> None:
    files = [noise(tmp_path / f"{n}.png", n) for n in range(3)]
    room = 10**6
    for side in SIDES:
        made = thumbnails(files, tmp_path, room)
        assert set(made) == set(files) and {side_of(uri) for uri in made.values()} == {side}
        room = sum(map(len, made.values())) - 1
    assert set(thumbnails(files, tmp_path, room)) == set(files[:2])
    assert thumbnails(files, tmp_path, 0) == {} == thumbnails(files, None, 10**6)


def test_a_picture_counts_as_often_as_it_stands(tmp_path: Path) -> None:
    file = noise(tmp_path / "a.png", 0)
    once = len(thumbnails([file], tmp_path, 10**6)[file])
    assert side_of(thumbnails([file] * 3, tmp_path, 2 * once)[file]) < SIDES[0]


def test_markup_and_pictures_together_keep_the_limit(tmp_path: Path) -> None:
    files = [noise(tmp_path / f"{n}.png", n) for n in range(4)]

    def render(made: Mapping[str, str]) -> Markup:
        return Markup("words " * 100 + "".join(made.get(file, "no picture") for file in files))

    for most in (20_000, 9_000, 3_000, 700):
        assert len(fitted(render, files, tmp_path, most)) <= most


def test_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    root = tmp_path / "images"
    root.mkdir()
    noise(tmp_path / "secret.png", 0)
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "text.png").write_text("no image")
    (root / "whole.png").write_bytes((tmp_path / "secret.png").read_bytes())
    (root / "half.png").write_bytes((tmp_path / "secret.png").read_bytes()[:500])
    files = [
        "link.png",
        "text.png",
        "whole.png",
        "half.png",
        "missing.png",
        "../secret.png",
        str(tmp_path / "secret.png"),
    ]
    assert set(thumbnails(files, root, 10**6)) == {"whole.png"}


def test_a_store_that_does_not_answer_is_asked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    opened = []

    def no_answer(root: Root, file: str) -> None:
        opened.append(file)
        raise Interrupted("no answer")

    monkeypatch.setattr(pictures, "open_image", no_answer)
    assert thumbnails(["a.png", "b.png"], tmp_path, 10**6) == {} and opened == ["a.png"]
