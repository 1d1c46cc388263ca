"""What `raytrain export` was asked for beside the run and the target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExportOptions:
    """Options of an export; a target reads those that concern it.

    Args:
        with_gallery: whether the embedded images of the run's table go along.
        licence: of the weights, as the hub names it ("apache-2.0"); None leaves it open.
        tracking: MLflow's store; None for the storage's own.
    """

    with_gallery: bool = False
    licence: str | None = None
    tracking: str | None = None
