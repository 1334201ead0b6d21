"""Sphinx configuration of the site: `make docs` stages the pages (stage.py) and builds them, warnings as errors."""

from __future__ import annotations

import re
from pathlib import Path

from docutils.nodes import SkipNode
from latex2mathml.converter import convert

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

project = "Rookery"
author = "the Rookery authors"
release = re.search(r'^__version__ = "(.+)"', (ROOT / "src/rookery/__init__.py").read_text(encoding="utf-8"), re.M)[1]

extensions = ["myst_parser", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 4
suppress_warnings = ["misc.highlighting_failure"]  # blocks that mix a command with its output
highlight_language = "text"
add_module_names = False
toc_object_entries = True
toc_object_entries_show_parents = "hide"
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True

html_theme = "furo"
html_title = f"Rookery {release}"
html_favicon = str(HERE / "favicon.svg")
html_static_path = [str(HERE / "static")]
html_css_files = ["extra.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#00695c", "color-brand-content": "#00695c"},
    "dark_css_variables": {"color-brand-primary": "#4fd0a5", "color-brand-content": "#4fd0a5"},
}
html_math_renderer = "mathml"
copybutton_exclude = ".linenos, .gp, .go"


def _mathml(self, node, display: str) -> None:
    text = re.sub(r"\\\|", r"\\Vert ", re.sub(r"\\[Bb]igg?", "", node.astext()))  # what the converter does not know
    self.body.append(convert(text, display=display))
    raise SkipNode


def setup(app):
    """Formulas as MathML, which browsers show without a script."""
    app.add_html_math_renderer(
        "mathml",
        (lambda self, node: _mathml(self, node, "inline"), None),
        (lambda self, node: _mathml(self, node, "block"), None),
    )
    return {"parallel_read_safe": True, "parallel_write_safe": True}
