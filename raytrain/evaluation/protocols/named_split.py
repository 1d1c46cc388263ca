"""The split that a protocol is of: its scores never stand for those of another one."""

from __future__ import annotations

from raytrain.errors import UsageError, argument
from raytrain.evaluation.protocols.protocols import PARTIAL

WHOLE = ("split", "karpathy", "class")
"""First part of a protocol that names a split itself: split/val."""
SPLIT_OF = {
    "flickr30k": "test",
    "coco": "test",
    "cub/unseen": "test",
    "cub/seen": "val",
    "fashioniq": "val",
    "cirr/val": "val",
    "cirr/test1": "test",
}
"""{protocol, or first part of its name: the split that the benchmark publishes it for}"""


def split_of(protocol: str) -> str | None:
    """The split of a protocol, "test" for coco/5k; None for one that takes any split, such as composed/multi."""
    whole = protocol.removeprefix(PARTIAL)
    family, _, name = whole.partition("/")
    return name if family in WHOLE else SPLIT_OF.get(whole, SPLIT_OF.get(family))


def refuse_other_split(protocol: str, split: str) -> None:
    """Raises UsageError where a protocol is of another split than the one that is evaluated."""
    named = split_of(protocol)
    if named is not None and named != split:
        raise UsageError(
            f"protocol {protocol} is of split '{named}', and split '{split}' was asked for: scores of one split never "
            f"stand for another's. Give {argument('split', named)}, or a protocol of '{split}' such as split/{split}"
        )
