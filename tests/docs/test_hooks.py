"""Links out of docs/ become pages of the site or plain text; wrong commands and remote assets end the build."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("mkdocs", reason="builds the site (extra `docs`)")

from mkdocs.exceptions import PluginError

from docs.site.hooks import on_page_markdown, on_post_page


def page(place: str) -> SimpleNamespace:
    return SimpleNamespace(file=SimpleNamespace(src_uri=place), meta={})


def test_links_are_those_of_the_site_and_lists_begin_after_a_blank_line() -> None:
    text = "See [docs/data.md](docs/data.md#more), [here](jobs/train.py) and `[x](y.md)`:\n- a\n- b\n"
    assert on_page_markdown(text, page("contributing.md"), None, None) == (
        "See [docs/data.md](data.md#more), here and `[x](y.md)`:\n\n- a\n- b\n"
    )
    text = "[photos](notebooks/read_a_sweep.ipynb)\n"
    assert on_page_markdown(text, page("index.md"), None, None) == "[photos](notebooks/read_a_sweep.md)\n"
    text = "[recorded](../results/README.md) [gone](../gone.md) [up](../CHANGELOG.md)\n"
    assert on_page_markdown(text, page("results.md"), None, None) == (
        "[recorded](results/recorded.md) [gone](../gone.md) [up](changelog.md)\n"
    )


def test_a_wrong_command_and_a_remote_asset_end_the_build() -> None:
    with pytest.raises(PluginError, match="raytrain trian"):
        on_page_markdown("```\nraytrain trian\n```\n", page("index.md"), None, None)
    with pytest.raises(PluginError, match="another host"):
        on_post_page('<script src="https://host/a.js"></script>', page("index.md"), None)
    assert on_post_page('<a href="https://host/">x</a>', page("index.md"), None)
