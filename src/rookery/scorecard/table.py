"""The table of all cards in a folder, as Markdown, written into a page between two marks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rookery.errors import ConfigError, NotFoundError
from rookery.scorecard.card import read_scorecard
from rookery.scorecard.protocol import Protocol
from rookery.storage.atomic import write_bytes

TABLE_COLUMNS = (
    ("CT", "cultural transmission", "cultural transmission"),
    ("following", "cultural transmission", "following"),
    ("recall", "cultural transmission", "recall"),
    ("alone", "social gain", "return alone"),
    ("social gain", "social gain", "social gain"),
    ("misplaced trust", "misplaced trust", "misplaced trust"),
    ("use of prestige", "whom it follows", "effect on entries, colors swapped"),
    ("first goal", "waiting", "first goal after the experts'"),
    ("4 goals", "transfer", "four goals: social gain"),
    ("4 rooms", "transfer", "four rooms: social gain"),
    ("maze", "transfer", "maze: social gain"),
    ("other order", "robustness", "other order, blue"),
)
"""Heading, probe and number of each column."""


def scorecard_table(folder: Path, protocol: str) -> str:
    """Markdown of the cards of a protocol in a folder, the highest headline first.

    Raises: NotFoundError if there is none; CorruptFileError or IncompatibleError for a file that is not a valid card.
    """
    cards = [card for path in sorted(folder.glob("*.json")) if (card := read_scorecard(path))["protocol"] == protocol]
    if not cards:
        raise NotFoundError(f"{folder} holds no card of {protocol}; write one by rookery score AGENT --out {folder}")
    cards.sort(key=lambda card: -(card["headline"]["value"] if card["headline"]["value"] is not None else -99.0))
    head = ["agent", *(column for column, _, _ in TABLE_COLUMNS)]
    rows = [
        [card["agent"]["name"], *(_cell(card["probes"][probe][number]) for _, probe, number in TABLE_COLUMNS)]
        for card in cards
    ]
    lines = [head, ["---", *["---:"] * len(TABLE_COLUMNS)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(number: dict[str, Any]) -> str:
    """A value with its interval; a dash for an undefined one."""
    if number["value"] is None:
        return "–"
    interval = "" if number["low"] is None else f" [{number['low']:.2f}, {number['high']:.2f}]"
    return f"{number['value']:.2f}{interval}"


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
    return replace_between_marks(page, f"scorecards: {protocol}", scorecard_table(folder, protocol))


def replace_between_marks(page: Path, mark: str, text: str) -> Path:
    """Replace what stands in a page between `<!-- MARK -->` and `<!-- end -->`.

    Returns: the page. Raises: NotFoundError without the page; ConfigError without the marks.
    """
    begin, end = f"<!-- {mark} -->\n", "<!-- end -->"
    try:
        whole = page.read_text(encoding="utf-8")
    except OSError:
        raise NotFoundError(f"no page {page}") from None
    before, found, rest = whole.partition(begin)
    _, also_found, after = rest.partition(end)
    if not (found and also_found):
        raise ConfigError(f"{page} has no lines {begin.strip()} and {end} to write between")
    write_bytes(page, f"{before}{begin}{text}{end}{after}".encode(), follow_link=True)
    return page
