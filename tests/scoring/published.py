"""COCO's test as ECCV Caption and CxC ask it, made small."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.data.pictures import write_image
from tests.data.triplets import dump

packaged = pytest.mark.skipif(
    importlib.util.find_spec("eccv_caption") is None, reason="eccv_caption (extra eval) is not installed"
)


def mentioned(notes: Sequence[str], part: str) -> bool:
    """Whether one of a result's notes holds these words."""
    return any(part in note for note in notes)


def coco(root: Path) -> Path:
    """Eight images of COCO's test that ECCV Caption asks, with COCO's ids of their captions, and eight to train on."""
    from raytrain.evaluation.protocols.relevance import cxc_pairs, eccv_pairs

    own = {image: sorted(several)[:5] for image, several in cxc_pairs()["i2t"].items()}
    entries = []
    for number, image in enumerate([*list(eccv_pairs()["i2t"])[:8], *(str(at) for at in range(1, 9))]):
        name = f"{int(image):012d}.jpg"
        write_image(root / "images" / name, number, (8, 6))
        captions = own.get(image, [f"90{number}{at}" for at in range(5)])
        sentences = [{"raw": f"a thing with {at}", "sentid": int(at)} for at in captions]
        split = "test" if number < 8 else ("train" if number % 2 else "val")
        entries.append({"filename": name, "cocoid": int(image), "split": split, "sentences": sentences})
    dump(root / "dataset_coco.json", {"dataset": "coco", "images": entries})
    return root
