"""Backbones small enough to encode with in a moment."""

from __future__ import annotations

import pytest

from tests.encoders import tiny_models


@pytest.fixture(scope="session")
def vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_models.vit(tmp_path_factory.mktemp("models") / "vit"))


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_models.bert(tmp_path_factory.mktemp("models") / "bert"))
