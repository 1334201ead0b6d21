"""HTML pages from Jinja2 templates: every value is escaped, and styles and scripts are part of the page."""

from __future__ import annotations

import functools
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment

CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
"""A page may run the scripts in it and load nothing, whatever a name in the data contains."""

PACKAGES = ("rookery.viz", "rookery.play")
"""Packages with a folder `templates`, and with styles and scripts next to it."""


def render_template(name: str, **values: object) -> str:
    """The text of a template. Values are escaped, except those of type `markupsafe.Markup`.

    In a template, `asset(name)` is the text of a style or script, and `value | tojson` is safe inside a script element.
    """
    return _environment().get_template(name).render(**values)


@functools.cache
def _environment() -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    loader = ChoiceLoader([PackageLoader(package) for package in PACKAGES])
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["asset"] = _asset
    environment.globals["content_security_policy"] = Markup(CONTENT_SECURITY_POLICY)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "ensure_ascii": True}
    return environment


@functools.cache
def _asset(name: str):
    from markupsafe import Markup

    for package in PACKAGES:
        file = resources.files(package).joinpath(name)
        if file.is_file():
            return Markup(file.read_text("utf-8"))  # our own file, not data
    raise FileNotFoundError(name)
