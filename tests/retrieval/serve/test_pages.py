"""The pages as markup; tests/retrieval/serve/test_browser.py opens them."""

from __future__ import annotations

import re

import pytest

from raytrain.retrieval import Retriever
from raytrain.retrieval.serve.limits import Limits
from raytrain.retrieval.serve.pages import ASSETS, asset, login_page, search_page
from raytrain.retrieval.serve.searcher import Searcher


def test_a_page_offers_what_the_run_answers_and_escapes_names(
    searcher: Searcher, composed_retriever: Retriever
) -> None:
    page = search_page(searcher, "<b>run</b>", False, Limits())
    assert "16 images and 32 captions, by &lt;b&gt;run&lt;/b&gt;." in page
    assert 'value="texts"' in page and 'id="file"' in page and "re-rank" not in page and "changed as" not in page
    composed = Searcher(composed_retriever, composed_retriever.gallery(), None)
    page = search_page(composed, "run", False, Limits())
    assert "changed as the text says" in page and 'value="texts"' not in page


@pytest.mark.parametrize("page", ["login", "search"])
def test_a_page_is_valid_and_loads_nothing_from_elsewhere(page: str, searcher: Searcher) -> None:
    text = login_page() if page == "login" else search_page(searcher, "run", True, Limits())
    html5lib = pytest.importorskip("html5lib", reason="html5lib checks the markup")
    html5lib.HTMLParser(strict=True).parse(text)
    assert not re.search(r"https?://|//[a-z]|<style|style=| on[a-z]+=", text)
    assert text.count("<script") == 1 and not re.search(r"<script[^>]*>[^<]", text)
    assert set(re.findall(r'static/([\w.]+)"', text)) <= set(ASSETS)
    for name in re.findall(r'<label for="(\w+)"', text):
        assert f'id="{name}"' in text


def test_assets_are_files_of_the_package() -> None:
    assert all(asset(name) and not re.search(r"https?://|url\(", asset(name)) for name in ASSETS)
