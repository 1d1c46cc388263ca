"""The rules of mkdocs.yml that keep the site whole: every page has its place, and nothing comes from another host."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_page_stands_in_the_navigation_once() -> None:
    placed = re.findall(r"([\w/.-]+\.md)$", TEXT.partition("\nnav:\n")[2], re.M)
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").glob("**/*.md")}
    notebooks = {f"notebooks/{path.stem}.md" for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")}
    assert len(placed) == len(set(placed)) and pages | notebooks <= set(placed)


def test_fonts_are_the_readers_and_scripts_the_themes_own() -> None:
    assert "font: false" in TEXT and "https://" not in TEXT and "extra_javascript" not in TEXT


def test_a_warning_ends_make_docs() -> None:
    """MkDocs counts a broken link or anchor only where it may say so: --quiet would hide it from --strict."""
    command = re.search(r"mkdocs build.*", (ROOT / "Makefile").read_text(encoding="utf-8"))
    assert command is not None and command[0] == "mkdocs build --strict"
    kinds = ("omitted_files", "absolute_links", "unrecognized_links", "anchors")
    assert all(f"  {kind}: warn" in TEXT for kind in kinds)
