"""Equations become drawings in the colour of the text, without a reference to another host."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest.importorskip("matplotlib", reason="draws the equations (extra `studies`)")

from docs.site.equations import fence, svg

PAGES = sorted((Path(__file__).resolve().parents[2] / "docs").glob("**/*.md"))


def test_an_equation_is_a_drawing_with_its_source_as_text() -> None:
    drawn = fence("\\frac{1}{K} \\sum_k x_k < 1\n\na", "math", "equation", {}, None)
    assert drawn.count("<svg") == 2 and "currentColor" in drawn and "<style" not in drawn and "#000000" not in drawn
    assert 'aria-label="\\frac{1}{K} \\sum_k x_k &lt; 1' in drawn and "<metadata" not in drawn
    names, used = re.findall(r'id="([^"]+)"', drawn), re.findall(r'href="#([^"]+)"', drawn)
    assert len(names) == len(set(names)) and set(used) <= set(names)
    with pytest.raises(ValueError):
        svg("\\frac{")


def test_every_equation_of_the_pages_can_be_drawn() -> None:
    blocks = [block for page in PAGES for block in re.findall(r"```math\n(.*?)```", page.read_text(), re.S)]
    assert len(blocks) > 10 and all(svg(block.strip()) for block in blocks)
