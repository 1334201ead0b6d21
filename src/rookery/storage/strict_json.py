"""JSON text as plain values, without what JSON does not have and what no program here writes."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DIGITS = 19
"""Of a whole number in a file: more than 64 bits hold is damage or an attack."""
MAX_DEPTH = 100
"""Of lists and objects inside each other: more is damage or an attack, and no recursion reaches its limit below it."""


NUMBER = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
"""How a number is written where a person writes one: Python reads more, such as 1_0 and digits of other scripts."""


def is_whole_number_text(text: str) -> bool:
    """Whether a text is a whole number of at most `MAX_DIGITS` digits without a sign: `int` refuses thousands."""
    return text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS


def parse_json(text: str) -> Any:
    """JSON text as plain values, all of which can be written again.

    Raises: ValueError (JSONDecodeError for what is not JSON) for NaN, infinity and numbers beyond the range of floats
      or 64 bits, a key twice in one object, half a character, and more than `MAX_DEPTH` values inside each other.
    """
    try:
        data = json.loads(
            text,
            object_pairs_hook=_reject_duplicate_keys,
            parse_constant=_reject_nonfinite,
            parse_float=finite_float,
            parse_int=bounded_int,
        )
    except RecursionError:
        raise _nesting_error() from None
    check_depth(data)
    if r"\ud" in text.lower():  # an escape of half a character
        reject_half_characters(data)
    return data


def check_depth(data: Any) -> None:
    """Raises ValueError for lists and objects that are nested more than `MAX_DEPTH` deep."""
    level = [data]
    for _ in range(MAX_DEPTH + 1):
        nested = [value for value in level if isinstance(value, dict | list)]
        if not nested:
            return
        level = [inner for value in nested for inner in (value.values() if isinstance(value, dict) else value)]
    raise _nesting_error()


def _nesting_error() -> ValueError:
    return ValueError(f"nested too deeply: at most {MAX_DEPTH} lists and objects inside each other")


def reject_half_characters(data: Any) -> None:
    """Raises ValueError for texts that UTF-8 cannot hold."""
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError as bad:
        half = bad.object[bad.start]
        raise ValueError(f"a text holds half a character (\\u{ord(half):04x})") from None


def _reject_duplicate_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f"the key {key!r} occurs twice in one object")
        result[key] = value
    return result


def _reject_nonfinite(word: str) -> Any:
    raise ValueError(f"{word} is not a JSON number")


def finite_float(word: str) -> float:
    """Raises ValueError for a number beyond the range of floats."""
    if not math.isfinite(number := float(word)):
        raise ValueError(f"the number {word[:20]} is too large")
    return number


def bounded_int(word: str) -> int:
    """Raises ValueError for a whole number of more than `MAX_DIGITS` digits."""
    if len(word) > MAX_DIGITS:
        raise ValueError(f"the number {word[:MAX_DIGITS]}… has {len(word)} digits")
    return int(word)
