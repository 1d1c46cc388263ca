"""Rows of a compiled loop divided among threads."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("numba", reason="needs the extra `fast`")

from raytrain.similarity.compiled import on_threads


@pytest.mark.parametrize("rows", [0, 1, 2, 7])
def test_every_row_is_in_one_part(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    parts: list[int] = []
    on_threads(lambda first, last: parts.extend(range(first, last)), rows)
    assert sorted(parts) == list(range(rows))


def test_an_error_of_a_part_comes_out() -> None:
    def broken(first: int, last: int) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        on_threads(broken, 2)
