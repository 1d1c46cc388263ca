"""One finding, as a line of JSON."""

from __future__ import annotations

from raytrain.cluster.doctor.check import Check


def test_a_finding_is_plain_json_with_an_empty_fix_where_nothing_is_to_be_done() -> None:
    assert Check("storage", "ok", "/runs: 90 GB free").as_dict() == {
        "name": "storage", "state": "ok", "found": "/runs: 90 GB free", "fix": "",
    }  # fmt: skip
