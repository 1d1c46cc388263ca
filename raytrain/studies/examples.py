"""Single items that a study shows beside its numbers: what each of their embeddings is close to, and where it looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Nearest:
    """An item that is close to an embedding.

    Args:
        text: the caption, or the name of the image's file.
        file: of the image; "" of a caption.
    """

    text: str
    file: str = ""


@dataclass(frozen=True)
class Element:
    """One embedding of an item.

    Args:
        name: its place in the set, from 1 on.
        nearest: of the other side, the closest first.
        attention: (h, w) what it reads of each cell of the image's grid, as a share of its largest; None where that is
            not known.
    """

    name: str
    nearest: Sequence[Nearest]
    attention: Sequence[Sequence[float]] | None = None


@dataclass(frozen=True)
class Example:
    """An item with its elements.

    Args:
        text: its caption.
        elements: of its set.
        file: of the image; "" where the item is a caption.
    """

    text: str
    elements: Sequence[Element]
    file: str = ""


@dataclass(frozen=True)
class PointMap:
    """Embeddings in the plane.

    Args:
        title: what is drawn.
        series: {name: (x, y) of each point}.
    """

    title: str
    series: dict[str, list[tuple[float, float]]]


def files_of(examples: Sequence[Example]) -> Iterator[str]:
    """Image files that the examples show, one per place where it stands."""
    for example in examples:
        yield from (file for file in [example.file, *(of.file for e in example.elements for of in e.nearest)] if file)
