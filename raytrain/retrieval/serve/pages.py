"""The pages of the service, from the templates that the page of `raytrain search --html` shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raytrain.retrieval.serve.limits import Limits
from raytrain.retrieval.serve.searcher import QueryKind, Searcher
from raytrain.retrieval.texts import MAX_CHARACTERS
from raytrain.review.rendering import environment

if TYPE_CHECKING:
    from jinja2 import Environment

ASSETS = {
    "search.css": "text/css", "serve.css": "text/css", "serve.js": "text/javascript", "login.js": "text/javascript",
}  # fmt: skip
"""{file of templates/ that the pages load: its type}."""


def asset(name: str) -> str:
    """The text of one of ASSETS."""
    templates = _templates()
    assert templates.loader is not None
    return templates.loader.get_source(templates, name)[0]


def login_page() -> str:
    """The page that asks for the token."""
    return _templates().get_template("login.html.j2").render()


def search_page(searcher: Searcher, run: str, rerank: bool, limits: Limits) -> str:
    """The page to search by.

    Args:
        searcher: whose queries it offers.
        run: name of the run.
        rerank: whether re-ranking is on at first.
        limits: of the service.
    """
    images, captions = searcher.galleries["images"], searcher.galleries.get("texts")
    kinds = searcher.kinds
    settings = {
        "kinds": sorted(map(_named, kinds)),
        "reranked": sorted(map(_named, searcher.reranked)),
        "image_bytes": limits.max_image_bytes,
    }
    return _templates().get_template("serve.html.j2").render(
        run=run,
        table=images.table.path.name if images.table else "",
        images=len(images),
        captions=len(captions) if captions and any(of == "texts" for _, _, of in kinds) else 0,
        by_text=any(text for text, _, _ in kinds),
        by_image=any(image == "image" for _, image, _ in kinds),
        composed=any(text and image != "no image" for text, image, _ in kinds),
        reranks=bool(searcher.reranked),
        rerank=rerank,
        settings=settings,
        max_characters=MAX_CHARACTERS,
        empty={"text": "", "rank": "", "score": None, "id": "", "split": ""},
    )  # fmt: skip


def _named(kind: QueryKind) -> str:
    """A kind of query as serve.js names it: "text+item>images"."""
    text, image, of = kind
    return f"{'text+' if text else ''}{image}>{of}"


def _templates() -> Environment:
    return environment("raytrain.retrieval")
