"""How the embeddings that matched are written for people, who count from 1."""

from __future__ import annotations


def view_text(query: int | None, entry: int | None) -> str:
    """ "3": the view of the side that has several; "1 / 3": of the query and of the result; "" where none decides.

    Args:
        query, entry: as in Hit, from 0 on.
    """
    return " / ".join(str(view + 1) for view in (query, entry) if view is not None)
