"""Notebooks as pages of the site."""

from __future__ import annotations

import json
from pathlib import Path


def as_markdown(notebook: Path) -> str:
    """The cells of a notebook, its code in blocks, with where the notebook lies."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    parts = []
    for cell in cells:
        source = "".join(cell["source"]).strip()
        parts.append(source if cell["cell_type"] == "markdown" else f"```python\n{source}\n```")
    title, _, rest = "\n\n".join(parts).partition("\n")
    return f"{title}\n\nA notebook: [{notebook.name}]({notebook.name}) in `docs/notebooks/`.\n{rest}\n"
