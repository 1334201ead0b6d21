import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.play.websocket import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    MessageReader,
    WebSocketClosed,
    accept_key,
    encode_close_frame,
    encode_frame,
    unmask,
)  # fmt: skip

MASK = b"\x01\x02\x03\x04"


def masked(first: int, payload: bytes = b"") -> bytes:
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes([first]) + size + MASK + unmask(payload, MASK)


def read(content: bytes, limit: int = 200):
    """All messages of a stream, and how it ended: (messages, close code, reason)."""

    async def all_of_it():
        reader = asyncio.StreamReader()
        reader.feed_data(content)
        reader.feed_eof()
        incoming, found = MessageReader(reader, limit), []
        try:
            while True:
                found.append(await incoming.read_message())
        except WebSocketClosed as closed:
            return found, closed.code, closed.reason

    return asyncio.run(all_of_it())


def test_the_handshake_of_the_standard():
    assert accept_key("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, section 1.3
    for bad in ("", "short", "dGhlIHNhbXBsZSBub25jZQ", "!!!!", "é" * 24):
        assert accept_key(bad) is None


def test_a_text_of_the_standard():
    hello = bytes.fromhex("818537fa213d7f9f4d5158")  # RFC 6455, section 5.7: a masked "Hello"
    assert read(hello)[0] == [(TEXT, b"Hello")]
    assert encode_frame(TEXT, b"Hello") == bytes.fromhex("810548656c6c6f")
    assert encode_frame(TEXT, b"a" * 256)[:4] == bytes.fromhex("817e0100")
    assert encode_frame(TEXT, b"a" * 65536)[:10] == bytes.fromhex("817f0000000000010000")


def test_texts_in_pieces_with_a_ping_between():
    stream = masked(0x01, b"Hel") + masked(0x89, b"?") + masked(0x00, b"l") + masked(0x80, b"o")
    assert read(stream)[0] == [(PING, b"?"), (TEXT, b"Hello")]


@pytest.mark.parametrize(
    ("stream", "code"),
    [
        (b"\x81\x05Hello", 1002),  # unmasked
        (masked(0xC1, b"x"), 1002),  # an extension nobody agreed on
        (masked(0x82, b"x"), 1003),  # binary
        (masked(0x80, b"x"), 1002),  # goes on with nothing
        (masked(0x01, b"x") + masked(0x81, b"y"), 1002),  # a text within a text
        (masked(0x83, b"x"), 1002),  # a kind that does not exist
        (masked(0x09, b"x"), 1002),  # a ping in pieces
        (masked(0x89, b"x" * 126), 1002),  # a long ping
        (masked(0x81, b"x" * 201), 1009),
        (masked(0x01, b"x" * 150) + masked(0x80, b"x" * 51), 1009),
        (masked(0x01) + masked(0x00) * 20, 1009),  # endless pieces of nothing
        (b"\x81\xff" + (1 << 62).to_bytes(8, "big"), 1009),  # what it says it is, is never waited for
        (masked(0x88, b"\x03\xe8bye"), 1000),
        (masked(0x88), 1000),
        (masked(0x81, b"x" * 50)[:20], None),  # gone in the middle
        (b"", None),
    ],
)
def test_who_breaks_the_rules_is_told(stream, code):
    found, ended, _ = read(stream)
    assert (found, ended) == ([], code)


@given(st.binary(max_size=600))
def test_any_bytes_end_in_an_orderly_way(stream):
    found, code, _ = read(stream)
    assert all(kind in (TEXT, PING, PONG) and len(payload) <= 200 for kind, payload in found)
    assert code in (None, 1000, 1002, 1003, 1009)


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4))
def test_masks_come_off(payload, mask):
    assert unmask(unmask(payload, mask), mask) == payload
    assert unmask(payload, mask) == bytes(b ^ mask[i % 4] for i, b in enumerate(payload))


def test_a_reason_too_long_is_cut():
    assert len(encode_close_frame(1008, "é" * 200)) <= 127
    assert encode_close_frame(1001)[:2] == bytes([0x80 | CLOSE, 2])
