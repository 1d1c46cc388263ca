"""The file that MLflow runs to make the model."""

from __future__ import annotations

import runpy

import pytest

from raytrain.retrieval.registry.log import CODE


def test_it_sets_a_search_model() -> None:
    pytest.importorskip("mlflow", reason="the registry is MLflow's")
    values = runpy.run_path(str(CODE))
    assert values["SearchModel"].__name__ == "SearchModel"
