"""Templates: what they are given is escaped, and a value that is missing is an error."""

from __future__ import annotations

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from raytrain.review.rendering import asset, render


def test_values_are_escaped_and_markup_is_not() -> None:
    page = render("front.html.j2", drawing=Markup("<svg/>"), headers=["<b>"], rows=[['a & "b"']])
    assert page.startswith("<svg/><div")
    assert '<button type="button">&lt;b&gt;</button>' in page
    assert "a &amp; &#34;b&#34;" in page


def test_a_missing_value_is_an_error_and_no_blank() -> None:
    with pytest.raises(UndefinedError, match="headers"):
        render("front.html.j2", drawing="", rows=[])


def test_an_asset_is_the_file_as_it_is() -> None:
    assert 'for (const button of document.querySelectorAll("th button"))' in asset("script.js")
    assert "{%" not in asset("style.css")
