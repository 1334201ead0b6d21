"""A study or a run as one HTML file that needs no other: verdicts, tables, curves and replays."""

from __future__ import annotations

import html
import math
import numbers
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rookery.errors import ConfigError
from rookery.storage.atomic import write_bytes
from rookery.viz.pages import render_template
from rookery.viz.plots import figure_to_svg
from rookery.viz.recording import Recording
from rookery.viz.replay_page import replay_fragment

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_VERDICTS = {True: ("holds", "✓ Holds"), False: ("fails", "✗ Does not hold"), None: ("open", "? Not decided")}
_NOT_TESTED = ("open", "– Not tested")
"""CSS class and word of a verdict."""


class Report:
    """Collects parts in order and writes them as one self-contained HTML file.

    Every text is escaped: markup in data is shown, never interpreted. Methods return the report, so that calls can be
    chained.
    """

    def __init__(self, title: str, subtitle: str = "") -> None:
        self.title = title
        self.subtitle = subtitle
        self._parts: list[dict[str, Any]] = []
        self._num_figures = 0
        self._num_replays = 0

    def heading(self, text: str) -> Report:
        return self._add("heading", text=text)

    def paragraph(self, text: str) -> Report:
        """A paragraph; line breaks in the text are kept."""
        return self._add("paragraph", text=text)

    def verdict(self, text: str, holds: bool | None, tested: bool = True) -> Report:
        """A claim and whether it holds; None: the runs do not decide it, or, if not `tested`, say nothing about it."""
        css_class, word = _VERDICTS[None if holds is None else bool(holds)] if tested else _NOT_TESTED
        return self._add("verdict", css_class=css_class, word=word, text=text)

    def table(self, headers: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "") -> Report:
        """A table of texts, numbers (shown with 4 digits, aligned right), bools, or None for a missing value.

        Raises: ConfigError if a row does not have as many cells as there are headers.
        """
        rows = [list(row) for row in rows]
        for i, row in enumerate(rows):
            if len(row) != len(headers):
                raise ConfigError(f"row {i} has {len(row)} cells for {len(headers)} headers")
        columns = [[row[c] for row in rows if row[c] is not None] for c in range(len(headers))]
        return self._add(
            "table",
            headers=headers,
            rows=[[_cell(value) for value in row] for row in rows],
            numeric=[bool(column) and all(map(_is_number, column)) for column in columns],
            caption=caption,
        )

    def key_values(self, pairs: Mapping[str, object], title: str = "") -> Report:
        """A list of names and values, shown as in `table`."""
        return self._add("key_values", pairs=[(key, _cell(value)) for key, value in pairs.items()], title=title)

    def figure(self, figure: Figure, caption: str = "") -> Report:
        """A matplotlib Figure, embedded as SVG as it is now."""
        from markupsafe import Markup

        self._num_figures += 1
        # Ids within a figure are the same in all figures; a prefix makes them unique in the page.
        prefix = f"figure{self._num_figures}-"
        svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", figure_to_svg(figure))
        svg = svg.replace("<svg", f'<svg role="img" aria-label="{html.escape(caption or "Figure")}"', 1)
        return self._add("figure", svg=Markup(svg), caption=caption)

    def replay(self, recording: Recording, caption: str = "") -> Report:
        """A recorded episode with a player."""
        from markupsafe import Markup

        self._num_replays += 1
        fragment = replay_fragment(recording, f"replay{self._num_replays}", assets=self._num_replays == 1)
        return self._add("replay", fragment=Markup(fragment), caption=caption)

    def html(self) -> str:
        """The text of the page."""
        return render_template("report.html", title=self.title, subtitle=self.subtitle, parts=self._parts)

    def write(self, path: Path | str) -> Path:
        """Write the page, whole or not at all.

        Returns: the path.
        Raises: StorageError if the file cannot be written.
        """
        write_bytes(path, self.html().encode("utf-8", "replace"))
        return Path(path)

    def _add(self, kind: str, **values: Any) -> Report:
        self._parts.append({"kind": kind, **values})
        return self


def _is_number(value: object) -> bool:
    # numpy's numbers register as numbers.Real too; its bools do not.
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _cell(value: object) -> str:
    """The text of a cell: numbers with four digits, integers in full."""
    if value is None:
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return f"{int(value):,}"
    if isinstance(value, numbers.Real):
        return "–" if math.isnan(value) else f"{float(value):.4g}"
    return str(value)
