"""The digest by which a run's journal knows its evaluation files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def digest(document: Mapping[str, Any]) -> str:
    """sha256 of an evaluation's content, whatever its layout and the file that it was read from."""
    content = {key: value for key, value in document.items() if key != "file"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
