"""Every private name of transformers that raytrain.encoders touches, each with the reason why no public one will do.

tests/encoders/test_compat.py holds them against the installed version: after an upgrade it says what to look at here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def cached_weights(name: str) -> Path | None:
    """The weights of a hub name in the local cache, or None: by its public arguments the function raises instead."""
    from transformers.utils import cached_file

    path = cached_file(name, "model.safetensors", _raise_exceptions_for_missing_entries=False)
    return Path(path) if path else None


def hub_revision(config: Any) -> str | None:
    """The hub's commit that a model's config was read from; None of a folder, and where transformers does not keep it.

    No public field has it. Versions of transformers up to 4 set the private one, version 5 does so no more.
    """
    revision = getattr(config, "_commit_hash", None)
    return str(revision) if revision else None
