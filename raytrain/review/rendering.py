"""The templates of the pages and charts, in templates/; what they are given is escaped."""

from __future__ import annotations

import base64
import functools
import hashlib
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_PACKAGE = "raytrain.review"


@functools.cache
def environment(package: str) -> Environment:
    """The templates of a package, in its folder templates/; values are escaped, and a missing one is an error."""
    return Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **values: Any) -> Markup:
    """A template with its values; markup that stands among the values has to be Markup, all else is escaped."""
    return Markup(environment(_PACKAGE).get_template(template).render(**values))


def render_page(template: str, styles: tuple[str, ...], scripts: tuple[str, ...], **values: Any) -> str:
    """A page that extends base.html.j2, with the policy that lets it run and load nothing but what stands in it.

    Args:
        template: of the page.
        styles, scripts: files of templates/, joined; their hashes are what the page's policy allows.
        values: for the template.
    """
    style, script = (Markup("\n").join(map(asset, names)) for names in (styles, scripts))
    policy = "; ".join(
        [
            "default-src 'none'",
            f"style-src '{_hash(style)}'",
            f"script-src '{_hash(script)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )
    return str(render(template, style=style, script=script, policy=Markup(policy), **values))


def asset(name: str) -> Markup:
    """A file of templates/ as it is, such as style.css."""
    templates = environment(_PACKAGE)
    assert templates.loader is not None
    return Markup(templates.loader.get_source(templates, name)[0])


def _hash(text: str) -> str:
    """As a content security policy names a style or script by its content."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
