"""The code blocks of the pages: which there are, and what they contain."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
)
FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>.+?) -->\n)?^```(?P<language>[\w+-]*)[^\n]*\n(?P<code>.*?)^```[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
SHELL = ("", "bash", "sh", "shell", "console", "text")


class Block(NamedTuple):
    page: str
    line: int
    language: str
    code: str
    reason: str | None  # why a Python block is not run; None: it is


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, match.start("code")), match["language"], match["code"], match["reason"])
        for match in FENCE.finditer(text)
    ]


def commands(page: str) -> list[tuple[int, list[str]]]:
    """Line and words of every command in the blocks of a page that have no language, or a shell's.

    Comments are left out, a line that ends in a backslash goes on in the next, and `$ ` before a command is a prompt.
    """
    found = []
    for block in blocks(page):
        if block.language not in SHELL:
            continue
        pending = ""
        for offset, line in enumerate(block.code.splitlines()):
            if line.endswith("\\"):
                pending += line[:-1] + " "
                continue
            line, pending = pending + line, ""
            if words := split_command(line):
                found.append((block.line + offset + 1, words))
    return found


def split_command(line: str) -> list[str]:
    """The words of a command; [] if the line is none, such as output or a map."""
    line = line.strip().removeprefix("$ ")
    if not re.match(r"(?:\S*/)?(rookery|python3?|make|pip)(\s|$)", line):
        return []
    line = re.split(r"\s{2,}(?:[^\s-]|-\s)|\s+#\s", line, maxsplit=1)[0]  # a comment, or a description in a column
    try:
        words = shlex.split(line)
    except ValueError:
        return []
    for stop in ("|", "&&", ">", ";"):
        words = words[: words.index(stop)] if stop in words else words
    return [words[0].rsplit("/", 1)[-1], *words[1:]]
