"""Tables in Markdown pages, of texts that others wrote."""

from __future__ import annotations

import re
from collections.abc import Iterable


def table_row(cells: Iterable[str]) -> str:
    """One row of a table, with the end of its line; no text adds a column, a row, or a comment that ends a table."""
    return f"| {' | '.join(map(_table_cell, cells))} |\n"


def _table_cell(text: str) -> str:
    one_line = " ".join(text.splitlines()).replace("<!--", "&lt;!--")
    # A backslash in front of the bar would escape its escape.
    return re.sub(r"(\\*)\|", lambda found: f"{2 * found[1]}\\|", one_line)
