"""A protocol names its split, and is refused for another one."""

from __future__ import annotations

import pytest

from raytrain.errors import UsageError
from raytrain.evaluation.protocols.named_split import refuse_other_split, split_of
from raytrain.evaluation.protocols.protocols import PROTOCOLS


@pytest.mark.parametrize(
    ("protocol", "split"),
    [
        ("split/val", "val"), ("karpathy/test", "test"), ("class/dev.2", "dev.2"), ("split/test", "test"),
        ("flickr30k/1k", "test"), ("coco/5k", "test"), ("coco/1k5f", "test"), ("partial/coco/cxc", "test"),
        ("cub/unseen", "test"), ("cub/seen", "val"), ("partial/cub/seen", "val"), ("cirr/test1", "test"),
        ("fashioniq/original", "val"), ("partial/fashioniq/val_union-kept-one", "val"), ("partial/cirr/val", "val"),
        ("composed/multi", None),
    ],
)  # fmt: skip
def test_a_protocol_names_its_split(protocol: str, split: str | None) -> None:
    assert split_of(protocol) == split
    refuse_other_split(protocol, split or "any")
    if split is not None:
        with pytest.raises(UsageError, match=f"protocol {protocol} is of split '{split}', and split 'other'"):
            refuse_other_split(protocol, "other")


def test_every_published_protocol_has_a_split() -> None:
    assert all(split_of(name) in ("val", "test") for name in PROTOCOLS)
