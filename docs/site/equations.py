"""Equations drawn when the site is built: TeX into SVG, in the colour of the text, without a script or a font."""

from __future__ import annotations

import html
import io
import re
import zlib
from typing import Any

POINTS = 13.0


def fence(source: str, language: str, css_class: str, options: Any, md: Any, **more: Any) -> str:
    """A ```math block as a figure; a line of TeX is a line of the figure."""
    lines = [svg(line) for line in source.splitlines() if line.strip()]
    return f'<div class="equation" role="math" aria-label="{html.escape(source, quote=True)}">{"".join(lines)}</div>'


def svg(tex: str) -> str:
    """A line of TeX, as matplotlib's mathtext reads it, as an <svg> element.

    Raises:
        ValueError: it is none.
    """
    from matplotlib import rc_context
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import math_to_image

    buffer = io.BytesIO()
    with rc_context({"mathtext.fontset": "cm", "svg.fonttype": "path", "svg.hashsalt": "raytrain"}):
        math_to_image(f"${tex}$", buffer, prop=FontProperties(size=POINTS), format="svg", color="black")
    drawn = buffer.getvalue().decode("utf-8")
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.S)
    drawn = re.sub(r'<g id="patch_1">.*?</g>', "", drawn, count=1, flags=re.S)  # the background
    # glyphs are defined once per drawing, under names that another drawing on the page must not have
    salt = f"m{zlib.crc32(tex.encode()):08x}"
    drawn = re.sub(r'(id="|href="#)', rf"\g<1>{salt}", drawn)
    drawn = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", drawn, flags=re.S)  # it would hold for the whole page
    return drawn.replace("<svg ", '<svg aria-hidden="true" fill="currentColor" ', 1)
