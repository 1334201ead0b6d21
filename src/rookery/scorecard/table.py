"""The table of all cards in a folder, as Markdown, written into a page between two marks."""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from rookery.errors import ConfigError, NotFoundError
from rookery.intervals import Interval, format_interval, mean_interval
from rookery.scorecard.card import read_scorecard
from rookery.scorecard.protocol import Protocol
from rookery.storage.atomic import check_path, read_file, storage_error, write_bytes
from rookery.viz.markdown import table_row

TABLE_COLUMNS = (
    ("CT", "cultural transmission", "cultural transmission"),
    ("following", "cultural transmission", "following"),
    ("recall", "cultural transmission", "recall"),
    ("alone", "social gain", "return alone"),
    ("social gain", "social gain", "social gain"),
    ("misplaced trust", "misplaced trust", "misplaced trust"),
    ("use of prestige", "whom it follows", "effect on entries, colors swapped"),
    ("first goal", "waiting", "first goal after the experts'"),
    ("no goal", "waiting", "episodes without a goal"),
    ("4 goals", "transfer", "four goals: social gain"),
    ("4 rooms", "transfer", "four rooms: social gain"),
    ("maze", "transfer", "maze: social gain"),
    ("other order", "robustness", "other order, blue"),
)
"""Heading, probe and number of each column."""


def scorecard_table(folder: Path, protocol: str) -> str:
    """Markdown of the cards of a protocol in a folder, the highest headline first; the agents of a group are one row.

    Raises: NotFoundError if there is none; CorruptFileError or IncompatibleError for a file that is not a valid card.
    """
    cards = [card for path in sorted(folder.glob("*.json")) if (card := read_scorecard(path))["protocol"] == protocol]
    if not cards:
        raise NotFoundError(f"{folder} holds no card of {protocol}; write one by rookery score AGENT --out {folder}")
    in_rows: dict[tuple[bool, str], list[dict[str, Any]]] = {}
    for card in cards:
        group = card["agent"].get("group")
        in_rows.setdefault((bool(group), group or card["agent"]["name"]), []).append(card)  # an agent may have its name
    rows = sorted(in_rows.items(), key=lambda row: _headline(row[1]), reverse=True)
    head = ["agent", *(column for column, _, _ in TABLE_COLUMNS)]
    lines = [head, ["---", *["---:"] * len(TABLE_COLUMNS)], *(_row(name, cards) for (_, name), cards in rows)]
    return "".join(map(table_row, lines))


def _headline(cards: list[dict[str, Any]]) -> float:
    """Mean headline of a row's agents, below all others if it is undefined."""
    values = [card["headline"]["value"] for card in cards if card["headline"]["value"] is not None]
    return sum(values) / len(values) if values else -99.0


def _row(name: str, cards: list[dict[str, Any]]) -> list[str]:
    """The cells of one agent, or of a group: then means over agents, with intervals over agents."""
    in_columns = [[card["probes"][probe][number] for card in cards] for _, probe, number in TABLE_COLUMNS]
    if len(cards) == 1:
        return [name, *(_cell(Interval.from_dict(number)) for (number,) in in_columns)]
    cells = []
    for numbers in in_columns:
        defined = [number["value"] for number in numbers if number["value"] is not None]
        left_out = f" ({len(defined)} of {len(cards)})" if 0 < len(defined) < len(cards) else ""
        cells.append(_cell(mean_interval(defined)) + left_out if defined else "–")
    return [f"{name} ({len(cards)} agents)", *cells]


def _cell(number: Interval) -> str:
    """A value with its interval; a dash for an undefined one."""
    return "–" if math.isnan(number.value) else format_interval(number)


def check_scorecard_table(page: Path, folder: Path, protocol: str, rewritten: Collection[str]) -> None:
    """Check that the table could be written, before agents are scored for it, which takes minutes.

    Args:
      rewritten: file names of the cards that will be written first.
    Raises: as `write_scorecard_table`, but for a folder without cards.
    """
    _split_at_marks(page, _mark(protocol))
    for path in sorted(folder.glob("*.json")):
        if path.name not in rewritten:
            read_scorecard(path)


def definitions_markdown(protocol: Protocol) -> str:
    """Markdown that defines every number of a protocol."""
    parts = []
    for name, probe in protocol.probes.items():
        rows = "".join(f"| {number} | {definition} |\n" for number, definition in probe.numbers.items())
        parts.append(f"### {name.capitalize()}\n\n{probe.question}\n\n| number | definition |\n| --- | --- |\n{rows}")
    return "\n".join(parts)


def write_scorecard_table(page: Path, folder: Path, protocol: str) -> Path:
    """Write the table of all cards between `<!-- scorecards: PROTOCOL -->` and `<!-- end -->` of a page.

    Returns: the page. Raises: as `scorecard_table` and `replace_between_marks`.
    """
    return replace_between_marks(page, _mark(protocol), scorecard_table(folder, protocol))


def _mark(protocol: str) -> str:
    return f"scorecards: {protocol}"


def replace_between_marks(page: Path, mark: str, text: str) -> Path:
    """Replace what stands in a page between `<!-- MARK -->` and `<!-- end -->`.

    Returns: the page. Raises: NotFoundError without the page; ConfigError without the marks, or if it is not UTF-8;
      StorageError if it cannot be read or written.
    """
    before, after = _split_at_marks(page, mark)
    if before.endswith("\r\n"):  # as the user's page has them
        text = text.replace("\n", "\r\n")
    write_bytes(page, f"{before}{text}{after}".encode(), follow_link=True)
    return page


def _split_at_marks(page: Path, mark: str) -> tuple[str, str]:
    """What stands in a page up to the first mark's line and from the second one on, with the marks, its line ends kept.

    Raises: as `replace_between_marks`.
    """
    begin, end = f"<!-- {mark} -->", "<!-- end -->"
    check_path(page)
    try:
        whole = read_file(page).decode()
    except FileNotFoundError:
        raise NotFoundError(f"no page {page}") from None
    except OSError as error:
        raise storage_error("read", page, error) from error
    except UnicodeDecodeError:
        raise ConfigError(f"{page} is not UTF-8 text; save it as UTF-8") from None
    found = re.search(rf"{re.escape(begin)}\r?\n", whole)
    last = whole.find(end, found.end()) if found else -1
    if found is None or last < 0:
        raise ConfigError(f"{page} has no lines {begin} and {end} to write between")
    return whole[: found.end()], whole[last:]
