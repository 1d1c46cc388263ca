"""The digest of an evaluation file is that of what it says."""

from __future__ import annotations

from raytrain.evaluation.digest import digest


def test_order_and_the_name_of_the_file_do_not_matter_and_every_value_does() -> None:
    document = {"split": "test", "metrics": {"rsum": 1.0, "i2t/recall_at_1": 0.5}}
    same = {"metrics": {"i2t/recall_at_1": 0.5, "rsum": 1.0}, "split": "test", "file": "/moved/test.json"}
    assert digest(document) == digest(same)
    assert digest(document) != digest(document | {"metrics": {"rsum": 1.0000001, "i2t/recall_at_1": 0.5}})
