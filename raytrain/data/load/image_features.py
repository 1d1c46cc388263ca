"""The image features of a run: one feature array of a table, or several that are joined region by region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from raytrain.data.table.description import Feature
from raytrain.errors import UsageError


@dataclass(frozen=True)
class ImageFeatures:
    """Feature arrays whose regions are joined: region r of an image is that of the first array, then of the second, ...

    Args:
        arrays: at least one, each (N, R, F_i); R differs only where the global regions alone are read.
        which: "all" regions, or only the "global" one (R = 1).
    """

    arrays: tuple[Feature, ...]
    which: str = "all"

    @classmethod
    def of(cls, features: Mapping[str, Feature], names: Sequence[str], which: str, where: str) -> ImageFeatures:
        """The named ones of a table's features.

        Args:
            features: of the table, by name; all of `names` are there.
            names: at least one.
            which: as above.
            where: the features are, for errors.

        Raises:
            UsageError: the arrays have other regions than one another, or one does not state its global region.
        """
        joined = cls(tuple(features[name] for name in names), which)
        for array in joined.arrays:
            if which == "global" and global_region(array) is None:
                raise UsageError(
                    f"image feature '{array.name}' of {where} has no global_index; data.regions=global needs features "
                    "made by `raytrain data encode`"
                )
            if which == "all" and _layout(array) != _layout(joined.arrays[0]):
                raise UsageError(
                    f"image features {_layout_in_words(joined.arrays[0])} and {_layout_in_words(array)} of {where} "
                    "have other regions, which cannot be joined one by one; name arrays of one layout, or set "
                    "data.regions=global, which joins the vectors of whole images alone"
                )
        return joined

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(array.name for array in self.arrays)

    @property
    def regions(self) -> int:
        """R, regions per image."""
        return 1 if self.which == "global" else self.arrays[0].shape[1]

    @property
    def width(self) -> int:
        """F, features of a region: the sum over the arrays."""
        return sum(array.shape[2] for array in self.arrays)

    @property
    def global_region(self) -> int | None:
        """Which region stands for the whole image; None where the arrays do not state it."""
        return 0 if self.which == "global" else self.arrays[0].encoder.get("global_index")

    @property
    def missing(self) -> list[str]:
        """Ids of images whose features are zeros in one of the arrays, since they could not be read."""
        return list(dict.fromkeys(identity for array in self.arrays for identity in array.encoder.get("missing", ())))


def global_region(array: Feature) -> int | None:
    """Which region of an array stands for the whole image; an array of one region may leave it out."""
    place: int | None = array.encoder.get("global_index", 0 if array.shape[1] == 1 else None)
    return place


def _layout(array: Feature) -> tuple[object, ...]:
    """What tells which part of an image each region is."""
    return array.shape[1], array.encoder.get("layout"), array.encoder.get("global_index")


def _layout_in_words(array: Feature) -> str:
    return f"'{array.name}' ({array.shape[1]} regions, layout {array.encoder.get('layout') or 'not stated'})"
