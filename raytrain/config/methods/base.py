"""What the settings of every method have: a kind, a label, and the nn.Module that they are for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from raytrain.config.parts import Part


@dataclass(frozen=True)
class MethodLabel:
    """How a method is shown: its title in tables, one sentence on how it works, and where it was published."""

    title: str
    summary: str = ""
    paper: str = ""


class MethodPart(Part):
    """The settings of a method; a subclass adds `kind: Literal["name"] = "name"` and its own fields.

    label: how leaderboards and `raytrain methods` show it.
    implementation: its nn.Module as text, "package.module:Class", so that reading a config imports no torch.
    variant_field: name of the field whose value makes it another method in a leaderboard; None where there is none.
    variants: the labels of those, by the field's value.
    batch_ways: what its training batches can be made of (`data.batch_by`), its own way first.
    """

    label: ClassVar[MethodLabel]
    implementation: ClassVar[str]
    variant_field: ClassVar[str | None] = None
    variants: ClassVar[Mapping[str, MethodLabel]] = {}
    batch_ways: ClassVar[tuple[str, ...]] = ("pair",)

    if TYPE_CHECKING:

        @property
        def kind(self) -> str:
            """Name of the method; a field of each subclass."""
