"""Messages from a browser: one small JSON object with one key. Nothing else is accepted.

| message | meaning |
|---|---|
| `{"press": ACTION}` | do this action once |
| `{"hold": ACTION or null}` | do this action at every tick until another `hold`, or for three seconds |
| `{"sit": SLOT or null}` | take this slot; null: only watch |
| `{"pause": true or false}` | pause and continue, for all |
| `{"restart": true}` | start another episode |
"""

from __future__ import annotations

import dataclasses
import json

from rookery.errors import ConfigError

MAX_MESSAGE_BYTES = 200
"""Length of the longest message."""


@dataclasses.dataclass(frozen=True)
class ClientMessage:
    """One message. `kind`: a key of MESSAGE_TYPES; `value`: of one of the types given there."""

    kind: str
    value: str | int | bool | None


MESSAGE_TYPES: dict[str, tuple[type, ...]] = {
    "press": (str,),
    "hold": (str, type(None)),
    "sit": (int, type(None)),
    "pause": (bool,),
    "restart": (bool,),
}


def parse_message(text: str | bytes) -> ClientMessage:
    """Read one message. Raises ConfigError, and no other error, if it is not valid."""
    if len(text) > MAX_MESSAGE_BYTES:
        raise ConfigError(f"a message has at most {MAX_MESSAGE_BYTES} bytes, this one {len(text)}")
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):  # ValueError: also for invalid UTF-8
        raise ConfigError('a message must be JSON, such as {"press": "forward"}') from None
    if not isinstance(message, dict) or len(message) != 1:
        raise ConfigError(f"a message must be an object with one key, one of {', '.join(MESSAGE_TYPES)}")
    ((kind, value),) = message.items()
    if kind not in MESSAGE_TYPES:
        raise ConfigError(f"unknown message {kind[:40]!r}; allowed: {', '.join(MESSAGE_TYPES)}")
    if type(value) not in MESSAGE_TYPES[kind]:  # exactly: true is not a slot
        names = " or ".join({"NoneType": "null", "str": "text", "int": "a whole number", "bool": "true or false"}[
            allowed.__name__] for allowed in MESSAGE_TYPES[kind])  # fmt: skip
        raise ConfigError(f"{kind!r} takes {names}")
    return ClientMessage(kind, value)
