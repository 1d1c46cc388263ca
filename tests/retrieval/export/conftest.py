"""Exports of tests/retrieval/portable/conftest.py."""

from __future__ import annotations

from tests.retrieval.portable.conftest import export_of, with_gallery

__all__ = ["export_of", "with_gallery"]
