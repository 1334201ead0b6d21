"""A connection between two processes of a run: messages in order, and a heartbeat that notices when the other is lost.

Nothing that arrives is executed: a message is JSON and the bytes of arrays.
"""

from __future__ import annotations

import contextlib
import json
import math
import queue
import socket
import struct
import threading
from typing import Any

import numpy as np

from rookery.errors import LostProcessError

HEARTBEAT_TIMEOUT = 100.0
"""Seconds of silence after which the other process counts as lost; one that was killed is noticed at once."""

_FRAME = struct.Struct("!cQ")  # kind, bytes that follow
_MESSAGE, _PING, _FAILURE = b"M", b"P", b"E"
_CHUNK = 1 << 20
_MAX_FRAME = 1 << 42


class Message:
    """A dictionary of plain values, and arrays in order."""

    def __init__(self, values: dict[str, Any], arrays: list[np.ndarray] | None = None) -> None:
        self.values: dict[str, Any] = values
        self.arrays: list[np.ndarray] = arrays or []

    def encode(self) -> bytes:
        arrays = [np.ascontiguousarray(array) for array in self.arrays]
        forms = [[array.dtype.name, list(array.shape)] for array in self.arrays]
        header = json.dumps({"values": self.values, "arrays": forms}).encode()
        return b"".join((struct.pack("!Q", len(header)), header, *(array.tobytes() for array in arrays)))

    @classmethod
    def decode(cls, data: bytes) -> Message:
        """Raises ValueError for what `encode` does not make."""
        try:
            (size,) = struct.unpack_from("!Q", data)
            header = json.loads(data[8 : 8 + size])
            values, forms = dict(header["values"]), header["arrays"]
            return cls(values, _decode_arrays(data, forms, 8 + size) if forms else [])
        except (struct.error, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise ValueError(str(error)) from None


def _decode_arrays(data: bytes, forms: list[Any], start: int) -> list[np.ndarray]:
    from rookery.storage.array_files import dtype_of  # imports JAX, whose flags are settled with the first messages

    arrays = []
    for name, shape in forms:
        dtype, count = dtype_of(name), math.prod(shape)
        array = np.frombuffer(data, dtype, count, start) if count else np.empty(0, dtype)
        arrays.append(array.reshape(shape))
        start += count * dtype.itemsize
    return arrays


class Link:
    """One end of a connection.

    Args:
      connection: a connected socket, which then belongs to the link.
      peer: name of the other process in messages.
      timeout: seconds of silence after which it counts as lost.
    """

    def __init__(self, connection: socket.socket, peer: str, timeout: float = HEARTBEAT_TIMEOUT) -> None:
        self.peer = peer
        self.run_began = False
        """Whether the run has a folder, with which it can be continued when the other process is lost."""
        self._socket, self._timeout = connection, timeout
        self._socket.settimeout(timeout)
        with contextlib.suppress(OSError):
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sending, self._closing = threading.Lock(), threading.Event()
        self._received: queue.Queue[Message | LostProcessError | OSError] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        threading.Thread(target=self._ping, daemon=True).start()

    def send(self, message: Message) -> None:
        """Raises LostProcessError if the other process is lost; with its own reason if it gave one."""
        try:
            self._send(_MESSAGE, message.encode())
        except OSError as error:
            self.receive_failure(error)

    def receive(self, timeout: float | None = None) -> Message:
        """The next message; waits for it as long as the other process lives.

        Args:
          timeout: seconds; None: no limit.
        Raises: LostProcessError if it is lost; TimeoutError.
        """
        try:
            item = self._received.get(timeout=timeout)
        except queue.Empty:
            raise TimeoutError from None
        if isinstance(item, Message):
            return item
        self._received.put(item)  # for the next call
        if isinstance(item, OSError):
            raise LostProcessError(self._lost(_reason(item)))
        raise item

    def receive_failure(self, error: OSError) -> None:
        """Raise why nothing can be sent any more: what the other process said before it ended, if it said anything."""
        with contextlib.suppress(TimeoutError):
            while True:
                self.receive(timeout=2.0)
        raise LostProcessError(self._lost(_reason(error)))

    def is_lost(self, timeout: float = 0.0) -> bool:
        """Whether nothing more can arrive, for which it waits so many seconds; a killed process is noticed at once."""
        self._reader.join(timeout)
        return not self._reader.is_alive()

    def fail(self, reason: str) -> None:
        """Tell the other process that this one ends, and why. Never raises."""
        with contextlib.suppress(OSError):
            self._socket.settimeout(2.0)
            self._send(_FAILURE, reason.encode())

    def close(self) -> None:
        """Close after everything that was sent has arrived, or the other end has gone."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        # A socket that is closed before all that came in was read would take back what it sent last.
        self._reader.join(timeout=5.0)
        self._socket.close()

    def _send(self, kind: bytes, data: bytes) -> None:
        view = memoryview(data)
        with self._sending:
            self._socket.sendall(_FRAME.pack(kind, len(data)))
            for start in range(0, len(data), _CHUNK):  # the timeout is for each piece
                self._socket.sendall(view[start : start + _CHUNK])

    def _ping(self) -> None:
        while not self._closing.wait(self._timeout / 5):
            try:
                self._send(_PING, b"")
            except OSError:
                return  # the reader notices, too

    def _read(self) -> None:
        try:
            while True:
                kind, size = _FRAME.unpack(self._read_exactly(_FRAME.size))
                if kind not in (_MESSAGE, _PING, _FAILURE) or size > _MAX_FRAME:
                    raise ValueError
                data = self._read_exactly(size)
                if kind == _FAILURE:
                    reason = data.decode(errors="replace")
                    self._received.put(LostProcessError(f"{self.peer} ended the run: {reason}"))
                    return
                if kind == _MESSAGE:
                    self._received.put(Message.decode(data))
        except OSError as error:
            self._received.put(error)
        except Exception:  # whatever it is, `receive` would wait for ever
            self._received.put(LostProcessError(f"what {self.peer} sends is not of a run of this version"))

    def _read_exactly(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self._socket.recv(min(size - len(data), _CHUNK))
            if not piece:
                raise ConnectionResetError
            data += piece
        return bytes(data)

    def _lost(self, reason: str) -> str:
        if not self.run_began:
            return (
                f"{self.peer} is lost ({reason}) before the run began: start all processes again with the same command"
            )
        return (
            f"{self.peer} is lost ({reason}); the run is stopped, and what lay after its last checkpoint with it: "
            "continue it with 'rookery resume'"
        )


def _reason(error: OSError) -> str:
    return "it has been silent for too long" if isinstance(error, TimeoutError) else "its connection was closed"
