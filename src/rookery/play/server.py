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
from rookery.play.client_messages import MAX_MESSAGE_BYTES, ClientMessage, parse_message
from rookery.play.game import Game, check_fps
from rookery.play.http import HttpError, HttpRequest
from rookery.play.page import game_page
from rookery.play.websocket import MessageReader, WebSocketClosed
from rookery.viz import colors

MAX_CLIENTS = 32  # connections at once
MESSAGES_PER_SECOND, MESSAGE_BURST = (
    40.0,
    40,
)  # messages a second, and at once, that a hand can need; above, reading slows down
MAX_EXCESS_MESSAGES = 400  # messages above the rate after which a client is hung up on
MAX_UNSENT_BYTES = 256 << 10  # bytes a client may leave unread before frames pass it over
STALL_TIMEOUT = 10.0  # seconds it may do so
PING_INTERVAL, SILENCE_TIMEOUT = 5.0, 15.0  # seconds between pings, and without any sign of life


@dataclasses.dataclass(eq=False)
class Client:
    """One browser."""

    client_id: int
    writer: asyncio.StreamWriter
    tokens: float = MESSAGE_BURST
    refilled_at: float = 0.0  # when tokens were last counted
    excess_messages: int = 0
    last_received_at: float = 0.0  # when it last gave a sign of life
    last_ping_at: float = 0.0  # when it was last asked for one
    behind_since: float | None = None  # since when frames pass it over

    def send(self, data: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(data)


class Server:
    """Serves one game until canceled. `ticks` holds when each of the last ticks began (seconds, monotonic)."""

    def __init__(self, game: Game, *, host: str = "127.0.0.1", port: int = 0, fps: float = 5.0):
        """Args:
          host: address to bind to. port: 0 for any free one. rate: ticks a second.
        Raises: ConfigError for a rate or port out of range.
        """
        check_fps(fps)
        if not 0 <= port < 1 << 16:
            raise ConfigError(f"port={port} must lie in [0, 65535]")
        self.game, self.host, self.port, self.fps = game, host, port, fps
        self.loopback = host == "localhost" or _is_loopback(host)
        self.clients: dict[int, Client] = {}
        self.tick_times: list[float] = []
        self._connections: dict[asyncio.Task, asyncio.StreamWriter] = {}
        self._client_ids = itertools.count(1)
        self._page = game_page(game.setup.task_id)
        self._latest_frame = b""
        self._replay_lock = asyncio.Lock()

    @property
    def url(self) -> str:
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}/"

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve and play; `ready` is called when `url` can be opened. Raises StorageError if the port is taken."""
        try:
            server = await asyncio.start_server(
                self._handle_connection, self.host, self.port, limit=http.MAX_HEADER_BYTES
            )
        except (OSError, UnicodeError) as error:
            why = getattr(error, "strerror", None) or error
            raise StorageError(
                f"cannot serve at {self.host} port {self.port}: {why}; choose another --port or --host"
            ) from None
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            ready()
            try:
                await self._run_clock()
            finally:
                await self._close_all()

    async def _close_all(self) -> None:
        """Say goodbye to everybody, and wait until they have noticed."""
        for client in self.clients.values():
            client.send(websocket.encode_close_frame(websocket.GOING_AWAY, "the game was closed"))
        for writer in self._connections.values():
            writer.close()
        if self._connections:
            await asyncio.wait(self._connections, timeout=1)
        for writer in self._connections.values():
            writer.transport.abort()
        if self._connections:
            await asyncio.wait(self._connections, timeout=http.REQUEST_TIMEOUT)

    # ---- the clock ----------------------------------------------------------------------------------------

    async def _run_clock(self) -> None:
        self._broadcast_state()
        period, due = 1 / self.fps, time.monotonic()
        while True:
            due += period
            now = time.monotonic()
            if due < now:
                due = now  # the machine was asleep or busy: go on from here rather than hurry after
            await asyncio.sleep(due - now)
            began = time.monotonic()
            self.tick_times = [*self.tick_times[-999:], began]
            if self.game.tick():
                self._broadcast_state()
            self._check_clients(began)

    def _broadcast_state(self) -> None:
        self._latest_frame = websocket.encode_frame(websocket.TEXT, _to_json_bytes(self._state_message()))
        for client in self.clients.values():
            self._send_state(client)

    def _send_state(self, client: Client) -> None:
        """Send the moment, unless the client has not read the last ones: then the next will do as well."""
        if client.writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            client.behind_since = client.behind_since or time.monotonic()
        else:
            client.behind_since = None
            client.send(self._latest_frame)

    def _check_clients(self, now: float) -> None:
        for client in list(self.clients.values()):
            stalled = client.behind_since is not None and now - client.behind_since > STALL_TIMEOUT
            if stalled or now - client.last_received_at > SILENCE_TIMEOUT:
                client.writer.transport.abort()  # its reader finds out and leaves
            elif now - client.last_ping_at >= PING_INTERVAL:
                client.last_ping_at = now
                client.send(websocket.encode_frame(websocket.PING))

    # ---- one connection -----------------------------------------------------------------------------------

    async def _handle_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections[task] = writer
        try:
            writer.write(await self._respond(reader, writer))
            async with asyncio.timeout(http.REQUEST_TIMEOUT):
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

    async def _respond(self, reader, writer) -> bytes:
        """Serve one request; returns what is left to send."""
        try:
            if sum(not other.is_closing() for other in self._connections.values()) > MAX_CLIENTS:
                raise HttpError(503, "too many browsers at once")
            request = await http.read_request(reader)
            http.check_origin(request, self.loopback)
            if request.target == "/play":
                writer.write(_upgrade(request))
                return await self._serve_websocket(reader, writer)
            if request.target == "/":
                return http.http_response(200, self._page, "text/html")
            if request.target == "/film":
                http.check_same_origin(request)
                return await self._replay_download()
            raise HttpError(404, "there is no such page; the game is at /")
        except HttpError as refusal:
            return http.http_response(refusal.status, f"{refusal}\n")

    async def _replay_download(self) -> bytes:
        from rookery.viz.video import replay_html

        async with self._replay_lock:  # one at a time, and beside the clock: a long episode takes seconds
            film, episode = self.game.recording(), self.game.episode + 1
            page = await asyncio.to_thread(replay_html, film)
        name = f'Content-Disposition: attachment; filename="episode-{episode}.html"'
        return http.http_response(200, page, "text/html", (name,))

    async def _serve_websocket(self, reader, writer) -> bytes:
        now = time.monotonic()
        client = Client(next(self._client_ids), writer, refilled_at=now, last_received_at=now, last_ping_at=now)
        self.clients[client.client_id] = client
        try:
            self.game.sit(client.client_id)
            client.send(websocket.encode_frame(websocket.TEXT, _to_json_bytes(self._hello_message())))
            self._broadcast_seats()
            client.send(self._latest_frame)
            incoming = MessageReader(reader, MAX_MESSAGE_BYTES)
            while True:
                kind, payload = await incoming.read_message()
                await self._receive(client, kind, payload)
        except WebSocketClosed as closed:
            return b"" if closed.code is None else websocket.encode_close_frame(closed.code, closed.reason)
        finally:
            del self.clients[client.client_id]
            self.game.leave(client.client_id)
            self._broadcast_seats()

    async def _receive(self, client: Client, kind: int, payload: bytes) -> None:
        """Take one message in. Raises Closed for a flood."""
        now = client.last_received_at = time.monotonic()
        client.tokens = min(MESSAGE_BURST, client.tokens + (now - client.refilled_at) * MESSAGES_PER_SECOND)
        client.refilled_at = now
        if client.tokens < 1:
            # Not reading on is the answer that costs least: the client's own sends begin to wait.
            client.excess_messages += 1
            if client.excess_messages == 1:
                self._send_error(client, f"more than {MESSAGES_PER_SECOND:.0f} messages a second; the rest is dropped")
            if client.excess_messages > MAX_EXCESS_MESSAGES:
                raise WebSocketClosed(websocket.POLICY_VIOLATION, "flood")
            await asyncio.sleep(0.5 / MESSAGES_PER_SECOND)
            return
        client.tokens -= 1
        if client.tokens >= MESSAGE_BURST - 1:
            client.excess_messages = 0
        if kind == websocket.PING:
            client.send(websocket.encode_frame(websocket.PONG, payload))
        elif kind == websocket.TEXT:
            try:
                self._handle_message(client, parse_message(payload))
            except ConfigError as error:
                self._send_error(client, str(error))

    def _handle_message(self, client: Client, message: ClientMessage) -> None:
        value: Any = message.value
        if message.kind == "press":
            self.game.press(client.client_id, value)
        elif message.kind == "hold":
            self.game.hold(client.client_id, value)
        elif message.kind == "sit":
            if value is None:
                self.game.leave(client.client_id)
            else:
                self.game.sit(client.client_id, value)
            self._broadcast_seats()
        elif client.client_id not in self.game.seats and self.game.seats:
            raise ConfigError("only who plays may stop or restart the game")
        elif message.kind == "pause":
            self.game.paused = value
            self._broadcast_state()
        elif value:
            self.game.restart()
            self._broadcast_state()

    # ---- what is told -------------------------------------------------------------------------------------

    def _send_error(self, client: Client, what: str) -> None:
        client.send(websocket.encode_frame(websocket.TEXT, _to_json_bytes({"error": what})))

    def _broadcast_seats(self) -> None:
        seats = self.game.seats
        taken = sorted(seats.values())
        for client in self.clients.values():
            told = {"you": seats.get(client.client_id), "taken": taken, "watching": len(self.clients) - len(seats)}
            client.send(websocket.encode_frame(websocket.TEXT, _to_json_bytes({"seats": told})))

    def _hello_message(self) -> dict:
        game = self.game
        troupe = game.setup
        return {
            "hello": {
                "task": troupe.task_id,
                "about": troupe.description,
                "height": game.render_state.tiles.shape[0],
                "width": game.render_state.tiles.shape[1],
                "limit": troupe.env.max_steps,
                "rate": self.fps,
                "actions": game.action_names,
                "open": game.human_slots,
                "agents": [
                    {
                        "name": name,
                        "role": role,
                        "mark": colors.agent_letter(i),
                        "view": list(game.render_state.views[i].shape[:2]),
                    }
                    for i, (name, role) in enumerate(zip(troupe.agent_names, troupe.roles, strict=True))
                ],
            }
        }

    def _state_message(self) -> dict:
        game, scene = self.game, self.game.render_state
        return {
            "moment": {
                "episode": game.episode + 1,
                "step": game.step,
                "over": bool(game.done),
                "paused": game.paused,
                "rest": round(game.ticks_to_restart / self.fps, 1),
                "goals": scene.goals.tolist() if len(scene.goals) > 1 else [],
                "position": scene.position.tolist(),
                "heading": scene.heading.tolist(),
                "active": scene.agent_mask.tolist(),
                "carrying": scene.carrying.tolist(),
                "prestige": np.round(scene.prestige.astype(float), 3).tolist(),
                "reward": np.round(game.reward.astype(float), 3).tolist(),
                "returns": np.round(game.returns, 3).tolist(),
                "action": np.asarray(game.action).tolist(),
                "tiles": _to_base64(scene.tiles),
                "views": [_to_base64(view) for view in scene.views],
                "seen": [_to_base64(lit) for lit in scene.visible],
            }
        }


def _upgrade(request: HttpRequest) -> bytes:
    """The answer to a WebSocket handshake. Raises Refused."""
    headers = request.headers
    tokens = {token.strip() for token in headers.get("connection", "").lower().split(",")}
    if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in tokens:
        raise HttpError(426, "this address speaks WebSocket")
    answer = websocket.accept_key(headers.get("sec-websocket-key", ""))
    if answer is None or headers.get("sec-websocket-version") != "13":
        raise HttpError(400, "not a WebSocket handshake of version 13")
    lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
    return "\r\n".join((*lines, f"Sec-WebSocket-Accept: {answer}", "", "")).encode()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _to_json_bytes(told: dict) -> bytes:
    return json.dumps(told, separators=(",", ":"), allow_nan=False).encode()


def _to_base64(array) -> str:
    return base64.b64encode(np.ascontiguousarray(array).astype(np.uint8).tobytes()).decode("ascii")
