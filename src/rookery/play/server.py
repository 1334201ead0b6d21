"""A game on the network: one page, one WebSocket a browser, and a clock that waits for nobody.

Bound to loopback unless told otherwise. From a client it takes the messages of `messages` and nothing else: no
path, no code. Who sends what is no message gets an error back; who sends too fast is read more slowly, then hung
up on; who does not read is passed over, then hung up on; the game goes on for the others.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import ipaddress
import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rookery.errors import ConfigError, StorageError
from rookery.play import http, websocket
from rookery.play.game import Game, check_rate
from rookery.play.http import Refused, Request
from rookery.play.messages import LIMIT, Message, parse
from rookery.play.page import game_page
from rookery.play.websocket import Closed, Incoming
from rookery.show import colours

CLIENTS = 32  # connections at once
RATE, BURST = 40.0, 40  # messages a second, and at once, that a hand can need; above, reading slows down
FLOOD = 400  # messages above the rate after which a client is hung up on
BACKLOG = 256 << 10  # bytes a client may leave unread before frames pass it over
STALLED = 10.0  # seconds it may do so
PING_EVERY, SILENCE = 5.0, 15.0  # seconds between pings, and without any sign of life


@dataclasses.dataclass(eq=False)
class Client:
    """One browser."""

    number: int
    writer: asyncio.StreamWriter
    tokens: float = BURST
    filled: float = 0.0  # when tokens were last counted
    excess: int = 0
    heard: float = 0.0  # when it last gave a sign of life
    pinged: float = 0.0  # when it was last asked for one
    behind: float | None = None  # since when frames pass it over

    def send(self, data: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(data)


class Server:
    """Serves one game until cancelled. `ticks` holds when each of the last ticks began (seconds, monotonic)."""

    def __init__(self, game: Game, *, host: str = "127.0.0.1", port: int = 0, rate: float = 5.0):
        """Args:
          host: address to bind to. port: 0 for any free one. rate: ticks a second.
        Raises: ConfigError for a rate or port out of range.
        """
        check_rate(rate)
        if not 0 <= port < 1 << 16:
            raise ConfigError(f"port={port} must lie in [0, 65535]")
        self.game, self.host, self.port, self.rate = game, host, port, rate
        self.loopback = host == "localhost" or _is_loopback(host)
        self.clients: dict[int, Client] = {}
        self.ticks: list[float] = []
        self._connections: dict[asyncio.Task, asyncio.StreamWriter] = {}
        self._numbers = itertools.count(1)
        self._page = game_page(game.troupe.task)
        self._latest = b""
        self._filming = asyncio.Lock()

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve and play; `ready` is called when `url` can be opened. Raises StorageError if the port is taken."""
        try:
            server = await asyncio.start_server(self._connect, self.host, self.port, limit=http.HEAD_LIMIT)
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise StorageError(
                f"cannot serve at {self.host} port {self.port}: {why}; choose another --port or --host"
            ) from None
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            ready()
            try:
                await self._play()
            finally:
                await self._hang_up()

    async def _hang_up(self) -> None:
        """Say goodbye to everybody, and wait until they have noticed."""
        for client in self.clients.values():
            client.send(websocket.closing(websocket.GOING_AWAY, "the game was closed"))
        for writer in self._connections.values():
            writer.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=1)
        for writer in self._connections.values():
            writer.transport.abort()
        if self._connections:
            await asyncio.wait(self._connections, timeout=http.PATIENCE)

    # ---- the clock ----------------------------------------------------------------------------------------

    async def _play(self) -> None:
        self._tell_all()
        period, due = 1 / self.rate, time.monotonic()
        while True:
            due += period
            now = time.monotonic()
            if due < now:
                due = now  # the machine was asleep or busy: go on from here rather than hurry after
            await asyncio.sleep(due - now)
            began = time.monotonic()
            self.ticks = [*self.ticks[-999:], began]
            if self.game.tick():
                self._tell_all()
            self._look_after(began)

    def _tell_all(self) -> None:
        self._latest = websocket.frame(websocket.TEXT, _dump(self._moment()))
        for client in self.clients.values():
            self._offer(client)

    def _offer(self, client: Client) -> None:
        """Send the moment, unless the client has not read the last ones: then the next will do as well."""
        if client.writer.transport.get_write_buffer_size() > BACKLOG:
            client.behind = client.behind or time.monotonic()
        else:
            client.behind = None
            client.send(self._latest)

    def _look_after(self, now: float) -> None:
        for client in list(self.clients.values()):
            stalled = client.behind is not None and now - client.behind > STALLED
            if stalled or now - client.heard > SILENCE:
                client.writer.transport.abort()  # its reader finds out and leaves
            elif now - client.pinged >= PING_EVERY:
                client.pinged = now
                client.send(websocket.frame(websocket.PING))

    # ---- one connection -----------------------------------------------------------------------------------

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            writer.write(await self._answer(reader, writer))
            async with asyncio.timeout(http.PATIENCE):
                await writer.drain()
        except TimeoutError:
            writer.transport.abort()  # who does not read must not hold its place
        except (EOFError, OSError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            del self._connections[task]

    async def _answer(self, reader, writer) -> bytes:
        """Serve one request; returns what is left to send."""
        try:
            if sum(not other.is_closing() for other in self._connections.values()) > CLIENTS:
                raise Refused(503, "too many browsers at once")
            request = await http.read_request(reader)
            http.check_origin(request, self.loopback)
            if request.target == "/play":
                writer.write(_upgrade(request))
                return await self._serve(reader, writer)
            if request.target == "/":
                return http.response(200, self._page, "text/html")
            if request.target == "/film":
                http.check_asked_here(request)
                return await self._film()
            raise Refused(404, "there is no such page; the game is at /")
        except Refused as refusal:
            return http.response(refusal.status, f"{refusal}\n")

    async def _film(self) -> bytes:
        from rookery.show.film import film_html

        async with self._filming:  # one at a time, and beside the clock: a long episode takes seconds
            film, episode = self.game.recording(), self.game.episode + 1
            page = await asyncio.to_thread(film_html, film)
        name = f'Content-Disposition: attachment; filename="episode-{episode}.html"'
        return http.response(200, page, "text/html", (name,))

    async def _serve(self, reader, writer) -> bytes:
        now = time.monotonic()
        client = Client(next(self._numbers), writer, filled=now, heard=now, pinged=now)
        self.clients[client.number] = client
        try:
            self.game.sit(client.number)
            client.send(websocket.frame(websocket.TEXT, _dump(self._hello())))
            self._tell_seats()
            client.send(self._latest)
            incoming = Incoming(reader, LIMIT)
            while True:
                kind, payload = await incoming.next()
                await self._hear(client, kind, payload)
        except Closed as closed:
            return b"" if closed.code is None else websocket.closing(closed.code, closed.reason)
        finally:
            del self.clients[client.number]
            self.game.leave(client.number)
            self._tell_seats()

    async def _hear(self, client: Client, kind: int, payload: bytes) -> None:
        """Take one message in. Raises Closed for a flood."""
        now = client.heard = time.monotonic()
        client.tokens = min(BURST, client.tokens + (now - client.filled) * RATE)
        client.filled = now
        if client.tokens < 1:
            # Not reading on is the answer that costs least: the client's own sends begin to wait.
            client.excess += 1
            if client.excess == 1:
                self._complain(client, f"more than {RATE:.0f} messages a second; the rest is dropped")
            if client.excess > FLOOD:
                raise Closed(websocket.POLICY, "flood")
            await asyncio.sleep(0.5 / RATE)
            return
        client.tokens -= 1
        if client.tokens >= BURST - 1:
            client.excess = 0
        if kind == websocket.PING:
            client.send(websocket.frame(websocket.PONG, payload))
        elif kind == websocket.TEXT:
            try:
                self._do(client, parse(payload))
            except ConfigError as error:
                self._complain(client, str(error))

    def _do(self, client: Client, message: Message) -> None:
        value: Any = message.value
        if message.kind == "press":
            self.game.press(client.number, value)
        elif message.kind == "hold":
            self.game.hold(client.number, value)
        elif message.kind == "sit":
            if value is None:
                self.game.leave(client.number)
            else:
                self.game.sit(client.number, value)
            self._tell_seats()
        elif client.number not in self.game.seats and self.game.seats:
            raise ConfigError("only who plays may stop or restart the game")
        elif message.kind == "pause":
            self.game.paused = value
            self._tell_all()
        elif value:
            self.game.restart()
            self._tell_all()

    # ---- what is told -------------------------------------------------------------------------------------

    def _complain(self, client: Client, what: str) -> None:
        client.send(websocket.frame(websocket.TEXT, _dump({"error": what})))

    def _tell_seats(self) -> None:
        seats = self.game.seats
        taken = sorted(seats.values())
        for client in self.clients.values():
            told = {"you": seats.get(client.number), "taken": taken, "watching": len(self.clients) - len(seats)}
            client.send(websocket.frame(websocket.TEXT, _dump({"seats": told})))

    def _hello(self) -> dict:
        game = self.game
        troupe = game.troupe
        return {
            "hello": {
                "task": troupe.task,
                "about": troupe.about,
                "height": game.scene.tiles.shape[0],
                "width": game.scene.tiles.shape[1],
                "limit": troupe.env.max_steps,
                "rate": self.rate,
                "actions": game.actions,
                "open": game.open_slots,
                "agents": [
                    {"name": name, "role": role, "mark": colours.mark(i), "view": list(game.scene.views[i].shape[:2])}
                    for i, (name, role) in enumerate(zip(troupe.names, troupe.roles, strict=True))
                ],
            }
        }

    def _moment(self) -> dict:
        game, scene = self.game, self.game.scene
        return {
            "moment": {
                "episode": game.episode + 1,
                "step": game.step,
                "over": bool(game.over),
                "paused": game.paused,
                "rest": round(game.restart_in / self.rate, 1),
                "goals": scene.goals.tolist() if len(scene.goals) > 1 else [],
                "position": scene.position.tolist(),
                "heading": scene.heading.tolist(),
                "active": scene.active.tolist(),
                "carrying": scene.carrying.tolist(),
                "prestige": np.round(scene.prestige.astype(float), 3).tolist(),
                "reward": np.round(game.reward.astype(float), 3).tolist(),
                "returns": np.round(game.returns, 3).tolist(),
                "action": np.asarray(game.action).tolist(),
                "tiles": _packed(scene.tiles),
                "views": [_packed(view) for view in scene.views],
                "seen": [_packed(lit) for lit in scene.lit],
            }
        }


def _upgrade(request: Request) -> bytes:
    """The answer to a WebSocket handshake. Raises Refused."""
    headers = request.headers
    tokens = {token.strip() for token in headers.get("connection", "").lower().split(",")}
    if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in tokens:
        raise Refused(426, "this address speaks WebSocket")
    answer = websocket.accept_key(headers.get("sec-websocket-key", ""))
    if answer is None or headers.get("sec-websocket-version") != "13":
        raise Refused(400, "not a WebSocket handshake of version 13")
    lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
    return "\r\n".join((*lines, f"Sec-WebSocket-Accept: {answer}", "", "")).encode()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _dump(told: dict) -> bytes:
    return json.dumps(told, separators=(",", ":"), allow_nan=False).encode()


def _packed(array) -> str:
    return base64.b64encode(np.ascontiguousarray(array).astype(np.uint8).tobytes()).decode("ascii")
