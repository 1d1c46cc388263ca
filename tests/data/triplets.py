"""Folders of composed-retrieval annotations with small pictures, made in the test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.data.pictures import write_image


def dump(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def change(path: Path, row: int, **fields: Any) -> None:
    """Change one entry of a list as somebody with an editor would."""
    entries = json.loads(path.read_text(encoding="utf-8"))
    entries[row] |= fields
    dump(path, entries)


def products(root: Path) -> Path:
    """Four products and two triplets per split, the second with two targets."""
    entries = []
    for split in ("train", "val", "test"):
        names = [f"{split}-{n}" for n in range(4)]
        for name in names:
            entries.append({"id": name, "file": f"{name}.jpg", "split": split, "type": "Socks", "colour": "Red"})
            write_image(root / "images" / f"{name}.jpg")
        triplets = [
            {"reference": names[2], "caption": "same but  in red", "kind": "colour", "targets": [names[0]]},
            {"reference": names[1], "caption": "for women", "kind": "gender", "targets": [names[3], names[2]]},
        ]
        dump(root / f"triplets.{split}.json", triplets)
    dump(root / "products.json", entries)
    return root


def fashion_iq(root: Path) -> Path:
    """Three images and two pairs for each category and split; one image of shirt's train is in toptee's val."""
    for category in ("dress", "shirt", "toptee"):
        for split in ("train", "val", "test"):
            names = [f"{category[0]}{split}{n}" for n in range(3)]
            if (category, split) == ("toptee", "val"):
                names[2] = "strain0"
            for name in names:
                write_image(root / "images" / f"{name}.jpg")
            pairs = [
                {"target": names[0], "candidate": names[2], "captions": ["is red.", " has long  sleeves"]},
                {"target": names[1], "candidate": names[0], "captions": ["is shorter", ""]},
            ]
            if split == "test":
                pairs = [{key: pair[key] for key in ("candidate", "captions")} for pair in pairs]
            dump(root / "captions" / f"cap.{category}.{split}.json", pairs)
            dump(root / "image_splits" / f"split.{category}.{split}.json", names)
    return root


def cirr(root: Path) -> Path:
    """Eight images and two queries per split; test1 has no targets and one caption of a blank."""
    for number, (split, folder) in enumerate((("train", "train/34"), ("val", "dev"), ("test1", "test1"))):
        names = [f"{split}-{n}-img0" for n in range(8)]
        for name in names:
            write_image(root / "img_raw" / folder / f"{name}.png")
        entries: list[dict[str, Any]] = [
            {"reference": names[7], "target_hard": names[2], "caption": "three bottles", "members": names[2:]},
            {"reference": names[0], "target_hard": names[5], "caption": "remove a dog", "members": names[:6]},
        ]
        for row, entry in enumerate(entries):
            entry |= {"pairid": 10 * number + row, "img_set": {"id": row, "members": entry.pop("members")}}
            if split == "test1":
                del entry["target_hard"]
        if split == "test1":
            entries[1]["caption"] = " "
        dump(root / "captions" / f"cap.rc2.{split}.json", entries)
        notes = [
            ["photos of bottles", "[c] None existed", "[cr0] Nothing worth mentioning", "a  wall"],
            ["[cr1] x"] * 4,
        ]
        extended = [
            {
                "pairid": entry["pairid"],
                "reference": entry["reference"],
                "caption_extend": dict(zip("0123", notes_of_entry, strict=True)),
            }
            for entry, notes_of_entry in zip(entries, notes, strict=True)
        ]
        dump(root / "captions_ext" / f"cap.ext.rc2.{split}.json", extended)
        dump(root / "image_splits" / f"split.rc2.{split}.json", {name: f"./{folder}/{name}.png" for name in names})
    return root
