"""Image files and Karpathy folders, made in the test."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest


def write_image(path: Path, seed: int | None = None, size: tuple[int, int] = (40, 32)) -> None:
    """A noisy (width, height) picture in the format of the name; without a seed, another for each name."""
    seed = zlib.crc32(path.name.encode()) if seed is None else seed
    image = pytest.importorskip("PIL.Image", reason="Pillow (extra `encode`) writes the test's pictures")
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.fromarray(pixels).save(path)


def entry(number: int, split: str, **changes: Any) -> dict[str, Any]:
    """One image of Karpathy's JSON with two captions."""
    sentences = [{"raw": f"Caption {k} of picture {number}.", "sentid": 2 * number + k} for k in range(2)]
    return {"filename": f"{number}.jpg", "imgid": number, "split": split, "sentences": sentences, **changes}


def karpathy(root: Path, entries: list[dict[str, Any]], pictures: bool = True) -> Path:
    """A folder with dataset_made.json and a picture for each plain entry."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "dataset_made.json").write_text(json.dumps({"dataset": "made", "images": entries}))
    (root / "images").mkdir(exist_ok=True)
    if pictures:
        for number, item in enumerate(entries):
            name = str(item.get("filename", ""))
            if name and ".." not in name and not name.startswith("/"):
                write_image(root / "images" / str(item.get("filepath", "")) / name, number)
    return root


def left_behind(folder: Path) -> list[str]:
    """Names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())
