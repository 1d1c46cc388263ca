"""Which backbone made features, and whether it still is the one."""

from __future__ import annotations

import pytest

from raytrain.data.table import Table
from raytrain.errors import RefusedError
from raytrain.retrieval.backbones import backbone_of, check_backbone, same_backbone


def test_the_backbone_of_encoded_features_is_known_and_that_of_others_is_not(pictures: Table, table: Table) -> None:
    assert str(backbone_of(pictures.features["vit"])).endswith("/vit")
    assert backbone_of(table.features["lite0"]) is None


def test_other_weights_are_refused_and_other_settings_are_told(pictures: Table) -> None:
    feature = pictures.features["vit"]
    assert check_backbone(feature, feature.encoder) == []
    assert len(check_backbone(feature, {**feature.encoder, "settings_sha256": "other"})) == 1
    with pytest.raises(RefusedError, match="is not the one that made the features 'vit'"):
        check_backbone(feature, {**feature.encoder, "weights_sha256": "other"})


def test_features_made_alike_are_the_same_wherever_the_model_lies(pictures: Table, triplets: Table) -> None:
    assert same_backbone(pictures.features["vit"], triplets.features["vit"])
    assert not same_backbone(pictures.features["vit"], pictures.features["bert"])
