from __future__ import annotations

import importlib.util

import pytest

from raytrain.similarity.installed import module_with_numba


def test_compiled_loops_are_imported_where_numba_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    module_with_numba.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert module_with_numba("raytrain.similarity.smooth_chamfer_cpu") is None
    module_with_numba.cache_clear()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    module = module_with_numba("raytrain.similarity.precision")
    assert module is not None and module.__name__ == "raytrain.similarity.precision"
    module_with_numba.cache_clear()
