"""The private names of transformers that the encoders use, held against the version that is installed.

A failure here after an upgrade says which function of raytrain/encoders/compat.py to look at, and what it needs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="backbones are read with transformers")

from raytrain.encoders import compat


def test_weights_of_the_local_cache_are_found_and_missing_ones_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = (
        "cached_weights: transformers' cached_file takes _raise_exceptions_for_missing_entries no more; find how it "
        "returns None for a model without safetensors, or a table's weights would have no hash"
    )
    try:
        assert compat.cached_weights(str(tmp_path)) is None, reason
        (tmp_path / "model.safetensors").write_bytes(b"x")
        assert compat.cached_weights(str(tmp_path)) == tmp_path / "model.safetensors", reason
    except (TypeError, OSError) as error:
        pytest.fail(f"{reason}: {error}")


def test_a_config_that_keeps_its_commit_says_so_and_any_other_says_nothing() -> None:
    from transformers import BertConfig

    config = BertConfig()
    assert compat.hub_revision(config) is None
    config._commit_hash = "abc123"  # as transformers 4 does
    assert compat.hub_revision(config) == "abc123"
