"""Options of an export."""

from __future__ import annotations

from raytrain.retrieval.export.options import ExportOptions


def test_nothing_goes_along_that_was_not_asked_for() -> None:
    assert ExportOptions() == ExportOptions(with_gallery=False, licence=None, tracking=None)
