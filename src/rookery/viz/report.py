"""A study or run as one page that needs nothing else: verdicts, tables, curves and films."""

import html
import math
import numbers
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rookery.errors import ConfigError
from rookery.viz.files import write_file_atomic
from rookery.viz.plots import figure_to_svg
from rookery.viz.recording import Recording
from rookery.viz.video import html_page, read_asset, replay_fragment

_VERDICTS = {True: ("holds", "✓ Holds"), False: ("fails", "✗ Does not hold"), None: ("open", "? Not decided")}


class Report:
    """Collects parts in order, then writes them as one self-contained HTML file.

    Every text is escaped: what comes from data is shown, never run. Methods return the report, to be
    chained.
    """

    def __init__(self, title: str, subtitle: str = ""):
        self.title = title
        self.subtitle = subtitle
        self._parts = []
        self._num_figures = 0
        self._num_replays = 0

    def heading(self, text: str) -> "Report":
        return self._add(f"<h2>{_escape(text)}</h2>")

    def paragraph(self, text: str) -> "Report":
        """Line breaks in the text are kept."""
        return self._add(f'<p class="paragraph">{_escape(text)}</p>')

    def verdict(self, text: str, holds: bool | None) -> "Report":
        """A claim and whether it holds; None where the runs do not decide it."""
        kind, word = _VERDICTS[None if holds is None else bool(holds)]
        return self._add(f'<p class="verdict {kind}"><strong>{word}</strong> <span>{_escape(text)}</span></p>')

    def table(self, headers: Sequence[str], rows: Sequence[Sequence], caption: str = "") -> "Report":
        """Cells are texts, numbers (shown to 4 digits, aligned right), bools, or None for a missing one.

        Raises: ConfigError if a row has not as many cells as there are headers.
        """
        rows = [list(row) for row in rows]
        for i, row in enumerate(rows):
            if len(row) != len(headers):
                raise ConfigError(f"row {i} has {len(row)} cells for {len(headers)} headers")
        columns = [[row[c] for row in rows if row[c] is not None] for c in range(len(headers))]
        numeric = [bool(column) and all(map(_is_number, column)) for column in columns]
        kinds = [' class="number"' if n else "" for n in numeric]
        head = "".join(f'<th scope="col"{k}>{_escape(h)}</th>' for k, h in zip(kinds, headers, strict=True))
        body = "".join(
            "<tr>" + "".join(f"<td{k}>{_cell(v)}</td>" for k, v in zip(kinds, row, strict=True)) + "</tr>\n"
            for row in rows
        )
        title = f"<caption>{_escape(caption)}</caption>" if caption else ""
        label = _escape(caption or "Table")
        # Focusable, so that a wide table can be scrolled from the keyboard.
        return self._add(
            f'<div class="scroll" tabindex="0" role="region" aria-label="{label}"><table>{title}'
            f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody></table></div>"
        )

    def key_values(self, pairs: Mapping[str, object], title: str = "") -> "Report":
        items = "".join(f"<dt>{_escape(k)}</dt><dd>{_cell(v)}</dd>\n" for k, v in pairs.items())
        head = f"<h3>{_escape(title)}</h3>" if title else ""
        return self._add(f'<section class="pairs">{head}<dl>\n{items}</dl></section>')

    def figure(self, figure, caption: str = "") -> "Report":
        """A matplotlib Figure, embedded as SVG as it is now."""
        self._num_figures += 1
        # Figures name their parts alike; a prefix keeps those of one page apart.
        prefix = f"figure{self._num_figures}-"
        svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", figure_to_svg(figure))
        svg = svg.replace("<svg", f'<svg role="img" aria-label="{_escape(caption or "Figure")}"', 1)
        return self._add(f'<figure><div class="plot">{svg}</div>{_caption(caption)}</figure>')

    def replay(self, recording: Recording, caption: str = "") -> "Report":
        """A recorded episode with its player."""
        self._num_replays += 1
        fragment = replay_fragment(recording, f"film{self._num_replays}", assets=self._num_replays == 1)
        return self._add(f"<figure>{fragment}{_caption(caption)}</figure>")

    def html(self) -> str:
        head = f"<h1>{_escape(self.title)}</h1>"
        if self.subtitle:
            head += f'\n<p class="subtitle">{_escape(self.subtitle)}</p>'
        body = "\n".join(["<main>", f"<header>{head}</header>", *self._parts, "</main>"])
        return html_page(self.title, body, read_asset("report.css"))

    def write(self, path: str | os.PathLike) -> Path:
        """Write the page, whole or not at all.

        Returns: the path.
        Raises: StorageError if the disk refuses.
        """
        return write_file_atomic(path, self.html().encode("utf-8", "replace"))

    def _add(self, part):
        self._parts.append(part)
        return self


def _escape(text):
    return html.escape(str(text))


def _caption(text):
    return f"<figcaption>{_escape(text)}</figcaption>" if text else ""


def _is_number(value):
    # numpy's numbers register as numbers.Number too; its bools do not, and must not.
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _cell(value):
    """A cell's text: numbers to four digits, whole ones whole."""
    if value is None:
        return "–"
    if isinstance(value, bool) or type(value).__name__ in ("bool", "bool_"):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return f"{int(value):,}"
    if _is_number(value):
        return "–" if math.isnan(value) else f"{float(value):.4g}"
    return _escape(value)
