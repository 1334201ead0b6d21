"""The little of WebSocket (RFC 6455) that a game needs: text both ways, pings, and an orderly end.

Extensions and binary messages are not spoken. A peer that breaks the rules is told why and hung up on.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import struct

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 0x1, 0x2, 0x8, 0x9, 0xA, 0x0
HANDSHAKE_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of RFC 6455, section 1.3

NORMAL_CLOSURE, GOING_AWAY, PROTOCOL_ERROR, UNSUPPORTED, POLICY_VIOLATION, MESSAGE_TOO_BIG = (
    1000,
    1001,
    1002,
    1003,
    1008,
    1009,
)

MAX_FRAMES = 8
"""Frames one message may come in."""


class WebSocketClosed(Exception):
    """The peer is gone, or must go: `code` is what to close with, None if there is nobody to tell."""

    def __init__(self, code: int | None, reason: str = ""):
        super().__init__(reason)
        self.code, self.reason = code, reason


def accept_key(key: str) -> str | None:
    """The answer to a handshake's Sec-WebSocket-Key; None if it is not one (16 bytes in base64)."""
    try:
        if len(base64.b64decode(key, validate=True)) != 16:
            return None
    except (binascii.Error, ValueError):
        return None
    return base64.b64encode(hashlib.sha1(key.encode() + HANDSHAKE_GUID).digest()).decode()


def encode_frame(opcode: int, payload: bytes = b"") -> bytes:
    """One whole, unmasked message, as servers send them."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", 0x80 | opcode, 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 127, size)
    return head + payload


def encode_close_frame(code: int, reason: str = "") -> bytes:
    """A close frame; the reason is cut to what one may hold."""
    return encode_frame(CLOSE, struct.pack("!H", code) + reason.encode()[:120])


class MessageReader:
    """What a client sends, message by message."""

    def __init__(self, reader: asyncio.StreamReader, limit: int):
        """`limit`: bytes of the longest message, at least 125; of a frame that says it is longer nothing is read."""
        self._reader, self._limit = reader, max(limit, 125)
        self._parts: list[bytes] | None = None  # of a text that comes in several frames

    async def read_message(self) -> tuple[int, bytes]:
        """The next text message, ping or pong: (TEXT | PING | PONG, payload).

        Raises: Closed when the peer closed, vanished, or broke the protocol.
        """
        try:
            while True:
                kind, final, payload = await self._read_frame()
                if kind == CLOSE:
                    raise WebSocketClosed(NORMAL_CLOSURE)
                if kind in (PING, PONG):
                    return kind, payload
                if kind == BINARY:
                    raise WebSocketClosed(UNSUPPORTED, "messages are text")
                if kind not in (TEXT, CONTINUATION) or (kind == CONTINUATION) != (self._parts is not None):
                    raise WebSocketClosed(PROTOCOL_ERROR, "a frame out of place")
                self._parts = [*(self._parts or []), payload]
                if len(self._parts) > MAX_FRAMES or sum(map(len, self._parts)) > self._limit:
                    raise WebSocketClosed(
                        MESSAGE_TOO_BIG, f"a message has at most {self._limit} bytes in {MAX_FRAMES} frames"
                    )
                if final:
                    text, self._parts = b"".join(self._parts), None
                    return TEXT, text
        except (asyncio.IncompleteReadError, OSError):
            raise WebSocketClosed(None, "vanished") from None

    async def _read_frame(self) -> tuple[int, bool, bytes]:
        first, second = await self._reader.readexactly(2)
        final, kind, size = bool(first & 0x80), first & 0x0F, second & 0x7F
        if first & 0x70:
            raise WebSocketClosed(PROTOCOL_ERROR, "no extension was agreed on")
        if not second & 0x80:
            raise WebSocketClosed(PROTOCOL_ERROR, "a client masks its frames")
        if kind >= CLOSE and (size > 125 or not final):
            raise WebSocketClosed(PROTOCOL_ERROR, "control frames are short and whole")
        if size == 126:
            (size,) = struct.unpack("!H", await self._reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self._reader.readexactly(8))
        if size > self._limit:
            raise WebSocketClosed(MESSAGE_TOO_BIG, f"a message has at most {self._limit} bytes")
        mask = await self._reader.readexactly(4)
        return kind, final, unmask(await self._reader.readexactly(size), mask)


def unmask(payload: bytes, mask: bytes) -> bytes:
    """Payload XOR the four bytes of the mask, over and over; its own inverse."""
    pad = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pad, "big")).to_bytes(len(payload), "big")
