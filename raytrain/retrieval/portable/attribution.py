"""ATTRIBUTION.txt of an export: whom the data that a model was trained on ask to name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raytrain.review.escaping import plain

NAME = "ATTRIBUTION.txt"


def credits_of(data: Mapping[str, Any]) -> list[str]:
    """A line per attribution that a table states, each once; [] where its source names none.

    Args:
        data: "data" of the model's provenance.
    """
    credits: Sequence[str] = [*data["attributions"], *data["attributions_of_images"]]
    more = data["further_attributions_of_images"]
    further = [f"{more:,} further attributions of single images are in the table"] if more else []
    return [*dict.fromkeys(credits), *further]


def write_attribution(folder: Path, data: Mapping[str, Any], features: Sequence[str]) -> None:
    """Write the page into an export's folder.

    Args:
        data: "data" of the model's provenance.
        features: names of the feature arrays that the model reads.
    """
    lines = [f"- {plain(text)}" for text in credits_of(data)]
    stated = lines or ["The source of the data names no attribution; see it for the terms of its images and texts."]
    page = [
        "Attribution", "",
        f"Trained on the table {plain(data['table'])} (source {plain(data['source'])}, fingerprint "
        f"{data['fingerprint'][:12]}), whose data ask for:", "", *stated, "",
        f"It reads the features {', '.join(map(plain, features)) or 'of no backbone'}. `raytrain licences` lists the "
        "terms of the weights and packages that raytrain brings.", "",
    ]  # fmt: skip
    (folder / NAME).write_text("\n".join(page), encoding="utf-8")
