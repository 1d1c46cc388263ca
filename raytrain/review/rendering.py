"""The templates of the pages and charts, in templates/; what they are given is escaped."""

from __future__ import annotations

import functools
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


def asset(name: str) -> Markup:
    """A file of templates/ as it is, such as style.css."""
    templates = environment(_PACKAGE)
    assert templates.loader is not None
    return Markup(templates.loader.get_source(templates, name)[0])
