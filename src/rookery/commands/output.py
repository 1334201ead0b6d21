"""What commands print, without a heavy import."""

from __future__ import annotations

import codecs
import json
import sys
from typing import Any

LONG_COMMANDS = ("train", "resume", "generations", "clone", "demo", "reproduce", "sweep")
"""Commands whose work takes hours, and outlasts the terminal or the pipe that it is printed to."""


def outlast_readers(command: str) -> None:
    """From now on what this process cannot print, because nothing reads it any more, is not an error: on standard error
    in every command, on standard output in those of `LONG_COMMANDS`.

    So a run does not end with its terminal, and `rookery train && next` sees the exit code of the training.
    """
    from rookery.training.lasting_output import LastingOutput

    errors: Any = LastingOutput(sys.stderr)
    sys.stderr = errors
    if command in LONG_COMMANDS:
        output: Any = LastingOutput(sys.stdout)
        sys.stdout = output


def print_json(row: Any) -> None:
    """One line of JSON, flushed. Raises ValueError for NaN and infinity, which JSON does not have."""
    # What another encoding lacks would become an escape that JSON does not have, such as \xd7.
    ensure_ascii = codecs.lookup(sys.stdout.encoding or "utf-8").name != "utf-8"
    print(json.dumps(row, allow_nan=False, ensure_ascii=ensure_ascii), flush=True)


def print_table(rows: list[list[str]], *, indent: int = 0) -> None:
    """Rows of texts as aligned columns, two spaces apart; every row has as many columns as the first."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True))
        print(" " * indent + line.rstrip())


def format_nested(data: Any, indent: int = 0) -> list[str]:
    """JSON values as readable lines: one key per line, what is inside indented, floats in four digits."""
    margin, lines = " " * indent, []
    entries = data.items() if isinstance(data, dict) else [("-", item) for item in data]
    for key, value in entries:
        name = key if key == "-" else f"{key}:"
        if _fits_in_a_line(value):
            lines.append(f"{margin}{name} {_format_value(value)}")
        elif key == "-":
            first, *rest = format_nested(value, indent + 2)
            lines += [f"{margin}- {first.lstrip()}", *rest]
        else:
            lines.append(f"{margin}{name}")
            lines += format_nested(value, indent + 2)
    return lines


def _fits_in_a_line(value: Any) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return not any(isinstance(item, dict | list) for item in items) and len(_format_value(value)) < 100


def _format_value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_format_value(item)}" for key, item in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_format_value, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else "none" if value is None else str(value)
