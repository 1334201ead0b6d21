"""What a browser may say: one small JSON object with one key. Nothing else is read, nothing of it is executed.

| message | meaning |
|---|---|
| `{"press": ACTION}` | do this once |
| `{"hold": ACTION or null}` | do this at every tick until another `hold` |
| `{"sit": SLOT or null}` | take this slot; null: watch |
| `{"pause": true or false}` | stop and go on, for all |
| `{"restart": true}` | begin another episode |
"""

from __future__ import annotations

import dataclasses
import json

from rookery.errors import ConfigError

MAX_MESSAGE_BYTES = 200
"""Bytes of the longest message."""


@dataclasses.dataclass(frozen=True)
class ClientMessage:
    """`kind` is one of KINDS; `value` is of the type it takes."""

    kind: str
    value: str | int | bool | None


MESSAGE_TYPES = {
    "press": (str,),
    "hold": (str, type(None)),
    "sit": (int, type(None)),
    "pause": (bool,),
    "restart": (bool,),
}


def parse_message(text: str | bytes) -> ClientMessage:
    """Read one message. Raises ConfigError saying what is wrong with it, and nothing else whatever comes."""
    if len(text) > MAX_MESSAGE_BYTES:
        raise ConfigError(f"a message has at most {MAX_MESSAGE_BYTES} bytes, this one {len(text)}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):  # of wrong UTF-8 too
        raise ConfigError('a message must be JSON, such as {"press": "forward"}') from None
    if not isinstance(found, dict) or len(found) != 1:
        raise ConfigError(f"a message must be an object with one key, one of {', '.join(MESSAGE_TYPES)}")
    ((kind, value),) = found.items()
    if kind not in MESSAGE_TYPES:
        raise ConfigError(f"no message {kind[:40]!r}; there are: {', '.join(MESSAGE_TYPES)}")
    if type(value) not in MESSAGE_TYPES[kind]:  # exactly: true is not a slot
        names = " or ".join({"NoneType": "null", "str": "text", "int": "a whole number", "bool": "true or false"}[
            allowed.__name__] for allowed in MESSAGE_TYPES[kind])  # fmt: skip
        raise ConfigError(f"{kind!r} takes {names}")
    return ClientMessage(kind, value)
