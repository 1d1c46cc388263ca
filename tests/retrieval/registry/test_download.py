"""Addresses of the registry. What they open: test_pyfunc.py."""

from __future__ import annotations

import pytest

from raytrain.errors import TrackingError, UsageError
from raytrain.retrieval.registry.download import downloaded
from raytrain.retrieval.registry.log import Registered


def test_what_is_not_there_is_told_in_one_line(logged: Registered, uri: str) -> None:
    with pytest.raises(TrackingError, match="nobody"):
        downloaded("models:/shop@nobody", uri)
    with pytest.raises(UsageError, match="models:/NAME/VERSION"):
        downloaded("models:/shop/latest", uri)
    assert (downloaded(logged.uri, uri) / "manifest.json").exists()
