import socket
import struct
import threading
import time

import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import LostProcessError
from rookery.scaling.links import Link, Message


@pytest.fixture
def pair():
    """Two ends with a short patience, and the sockets behind them."""
    sockets = socket.socketpair()
    links = [Link(end, f"process {number}", timeout=0.5) for number, end in enumerate(sockets)]
    yield links
    for link in links:
        link.fail("the test is over")  # quicker than waiting for each other
    for link in links:
        link.close()


def test_messages_arrive_in_order_and_to_the_bit(pair):
    left, right = pair
    arrays = [
        np.array([1.5, -0.0, np.nan], np.float32),
        np.zeros((0, 3), np.int32),
        np.array(True),
        np.asarray(jnp.array([[1.1]], jnp.bfloat16)),
        np.arange(6).reshape(2, 3).T,
    ]
    left.send(Message({"number": 1}, arrays))
    left.send(Message({"number": 2}))
    first, second = right.receive(), right.receive()
    assert (first.values, second.values, second.arrays) == ({"number": 1}, {"number": 2}, [])
    for sent, arrived in zip(arrays, first.arrays, strict=True):
        assert (sent.dtype, sent.shape, sent.tobytes()) == (arrived.dtype, arrived.shape, arrived.tobytes())


def test_a_heartbeat_keeps_a_silent_process_alive_and_a_stopped_one_is_lost(pair):
    left, right = pair
    right.run_began = True
    with pytest.raises(TimeoutError):
        right.receive(timeout=1.0)  # twice its patience
    left._closing.set()  # its heart stops; its socket stays open
    with pytest.raises(
        LostProcessError, match=r"process 1 is lost \(it has been silent for too long\).*rookery resume"
    ):
        right.receive()


def test_a_closed_connection_is_noticed_at_once():
    ours, theirs = socket.socketpair()
    link = Link(ours, "process 7", timeout=60)
    start = time.monotonic()
    threading.Timer(0.05, theirs.close).start()
    for _ in range(2):  # it stays lost
        with pytest.raises(LostProcessError, match=r"process 7 is lost \(its connection was closed\)"):
            link.receive()
    with pytest.raises(LostProcessError):
        _send_until_it_fails(link)
    assert time.monotonic() - start < 30
    link.close()


def test_a_process_lost_before_the_run_began_leaves_nothing_to_continue():
    ours, theirs = socket.socketpair()
    link = Link(ours, "process 7", timeout=60)
    theirs.close()
    with pytest.raises(
        LostProcessError, match=r"closed\) before the run began: start all processes again with the same"
    ):
        link.receive()
    link.close()


def _send_until_it_fails(link):
    for _ in range(3):  # the first may go into a buffer
        link.send(Message({}))


def test_the_reason_of_a_failure_arrives(pair):
    left, right = pair
    left.send(Message({"last": True}))
    left.fail("the disk is full")
    assert right.receive().values == {"last": True}
    with pytest.raises(LostProcessError, match="process 1 ended the run: the disk is full"):
        right.receive()


def framed(header: bytes) -> bytes:
    """A message without arrays' bytes."""
    return struct.pack("!cQQ", b"M", 8 + len(header), len(header)) + header


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: here\r\n\r\n",
        struct.pack("!cQ", b"M", 3) + b"abc",
        struct.pack("!cQ", b"M", 10) + struct.pack("!Q", 2) + b"{}",
        struct.pack("!cQ", b"M", 1 << 60),
        framed(b'{"values": {}, "arrays": [["float32", [1180591620717411303424]]]}'),
        framed(b'{"values": {}, "arrays": [["float32", 3]]}'),
        framed(b'{"values": {}, "arrays": [["float32", [null]]]}'),
        framed(b'{"values": {}, "arrays": [[3, [1]]]}'),
    ],
)
def test_what_is_no_message_is_refused(data):
    ours, theirs = socket.socketpair()
    link = Link(ours, "a program", timeout=5)
    theirs.sendall(data)
    with pytest.raises(LostProcessError, match="what a program sends is not of a run"):
        link.receive(timeout=20)
    theirs.close()
    link.close()
