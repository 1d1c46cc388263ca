"""The templates of the pages and charts, in templates/; what they are given is escaped."""

from __future__ import annotations

import functools
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup


@functools.cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("raytrain.review"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, **values: Any) -> Markup:
    """A template with its values; markup that stands among the values has to be Markup, all else is escaped."""
    return Markup(_environment().get_template(template).render(**values))


def asset(name: str) -> Markup:
    """A file of templates/ as it is, such as style.css."""
    environment = _environment()
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])
