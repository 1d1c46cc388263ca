"""What MkDocs calls while it builds the site: generated pages, notebooks, links out of docs/, and the checks.

Run by `make docs` from the root of the repository, so that `docs.site`, `tests` and `raytrain` can be imported.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File

from docs.site.commands import broken_commands
from docs.site.notebooks import as_markdown
from docs.site.plots import plots
from docs.site.reference import PAGES

ROOT = Path(__file__).resolve().parents[2]
FROM_ROOT = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "results/README.md": "results/recorded.md",
    "examples/raytrain-two-towers/README.md": "plugins/example.md",
}
"""Pages of the repository outside docs/ that the site has too, and their place in it."""
RARELY_WANTED = ("results.md", "log.md", "changelog.md")
"""Long pages, which a search lists behind the others."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\(((?!https?:|mailto:|#)[^)\s#]+)(#[^)\s]*)?\)")
REMOTE = re.compile(
    r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(?:https?:)?//"""
    r"""|<link[^>]*rel=["']?(?:stylesheet|preconnect|preload)["']?[^>]*href=["']?(?:https?:)?//"""
)
"""What a browser would load from another host."""


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages, the notebooks as pages, and the pages of the repository outside docs/."""
    for name, make in PAGES.items():
        files.append(File.generated(config, f"reference/{name}", content=make()))
    for notebook in sorted((ROOT / "docs" / "notebooks").glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{notebook.stem}.md", content=as_markdown(notebook)))
    text, drawings = plots(ROOT / "results")
    files.append(File.generated(config, "results/plots.md", content=text))
    for name, drawing in drawings.items():
        files.append(File.generated(config, f"results/{name}", content=drawing))
    for source, place in FROM_ROOT.items():
        files.append(File.generated(config, place, content=(ROOT / source).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Check the commands of a page, and point its links at pages of the site.

    Raises:
        PluginError: a command that the command line does not take.
    """
    if page.file.src_uri in RARELY_WANTED:
        page.meta["search"] = {"boost": 0.2}
    if broken := broken_commands(markdown):
        raise PluginError(f"{page.file.src_uri}: " + "; ".join(broken))
    places = {place: source for source, place in FROM_ROOT.items()}
    here = places.get(page.file.src_uri, f"docs/{page.file.src_uri}")
    return _blank_lines_before_lists(_with_links_of_the_site(markdown, here, page.file.src_uri, files))


def _with_links_of_the_site(markdown: str, here: str, page: str, files: Any) -> str:
    """The text with each link as the site has it; what the site does not have becomes plain text.

    Args:
        here: path of the page in the repository, which its links are relative to.
        page: its path in the site.
    """

    def link(match: re.Match[str]) -> str:
        image, text, target, anchor = match.groups()
        in_repository = posixpath.normpath(posixpath.join(posixpath.dirname(here), target))
        in_site = FROM_ROOT.get(in_repository, in_repository.removeprefix("docs/"))
        if not page.startswith("notebooks/"):  # elsewhere a notebook is its page, there the file to download
            in_site = re.sub(r"\.ipynb$", ".md", in_site)
        if in_repository.startswith("docs/") or in_repository in FROM_ROOT:
            relative = posixpath.relpath(in_site, posixpath.dirname(page) or ".")
            return f"{image}[{text}]({relative}{anchor or ''})"
        if not (ROOT / in_repository).exists():
            return match[0]  # MkDocs names it as broken
        return text if text.startswith("`") or "/" not in text else f"`{text}`"

    parts = re.split(r"(^```.*?^```|`[^`\n]+`(?!\]))", markdown, flags=re.S | re.M)
    return "".join(part if place % 2 else LINK.sub(link, part) for place, part in enumerate(parts))


def _blank_lines_before_lists(markdown: str) -> str:
    """A list may follow a paragraph at once on a forge, and needs a blank line here."""
    lines, fenced = list[str](), False
    for line in markdown.splitlines():
        fenced ^= line.startswith("```")
        starts = re.match(r"(?:[-*]|1\.) ", line) is not None
        before = lines[-1] if lines else ""
        if not fenced and starts and before.strip() and not re.match(r"(?:[-*]|\d+\.) |\s", before):
            lines.append("")
        lines.append(line)
    return "\n".join(lines) + "\n"


def on_post_page(output: str, page: Any, config: Any) -> str:
    """Raises PluginError where a page would load something from another host."""
    if remote := REMOTE.search(output):
        raise PluginError(f"{page.file.src_uri}: loads from another host: {remote[0][:100]}")
    return output
