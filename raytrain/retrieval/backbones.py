"""Frozen backbones by what a table says of the features that they made, for features of further texts and images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raytrain.data.table.description import Feature
from raytrain.encoders.images import LITES
from raytrain.errors import RefusedError

PACKAGED = {f"efficientnet-{name}": name for name in LITES}
"""{backbone as a table names it: name that loads it}, where the two differ."""
_DECISIVE = ("weights_sha256", "settings_sha256", "pixels", "target_pad", "max_tokens", "layout")


def backbone_of(feature: Feature) -> str | None:
    """The name that loads the backbone that made a feature; None where `data encode` did not make it."""
    name = str(feature.encoder.get("backbone", ""))
    return PACKAGED.get(name, name) if feature.encoder.get("weights_sha256") else None


def check_backbone(feature: Feature, facts: Mapping[str, Any]) -> list[str]:
    """What is worth knowing of a loaded backbone that is to make more of a feature; [] where it is the same in all.

    Args:
        feature: of the table that the run was trained on.
        facts: of the backbone as it was loaded now.

    Raises:
        RefusedError: its weights are not those that made the feature.
    """
    recorded, name = feature.encoder, facts["backbone"]
    for key in ("weights_sha256", "layout"):
        if recorded.get(key) != facts.get(key):
            raise RefusedError(
                f"backbone {name} is not the one that made the features '{feature.name}' ({key} is "
                f"{str(facts.get(key))[:24]}, was {str(recorded.get(key))[:24]}); put its files back"
            )
    if recorded.get("settings_sha256") != facts.get("settings_sha256"):
        return [
            f"backbone {name} was read with other settings, or by another version of transformers, than when it made "
            f"the features '{feature.name}'"
        ]
    return []


def same_backbone(feature: Feature, other: Feature) -> bool:
    """Whether two tables' features were made alike, so that one model reads both."""
    if feature.shape[1:] != other.shape[1:] and feature.kind == "image":
        return False
    left, right = dict(feature.encoder), dict(other.encoder)
    if backbone_of(feature) is not None:
        return all(left.get(key) == right.get(key) for key in _DECISIVE)
    for facts in (left, right):
        for key in ("missing", "encoding"):
            facts.pop(key, None)
    return left == right
