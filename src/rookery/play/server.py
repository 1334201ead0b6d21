"""The game on the network: one page, a WebSocket per browser, and a clock that waits for no client.

Bound to loopback unless another host is given. A client can send the messages of `client_messages` and nothing else: no
path, no code. Invalid messages get an error back. A client that sends too fast is read more slowly, then disconnected;
one that does not read misses states, then is disconnected; the game continues for the others.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import itertools
import json
import logging
import secrets
import socket
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import numpy as np
from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.http11 import Request, Response

from rookery.errors import ConfigError, StorageError
from rookery.play.access import RefusedError, address_for_others, check_request, check_same_origin, is_loopback
from rookery.play.client_messages import MAX_MESSAGE_BYTES, ClientMessage, parse_message
from rookery.play.game import Game, check_fps, ordered_goals
from rookery.play.page import game_page
from rookery.viz import colors

MAX_CLIENTS = 32
"""Connections at once."""
MESSAGES_PER_SECOND, MESSAGE_BURST = 40.0, 40
"""Messages per second, and at once, that a person can need; above that, reading slows down."""
MAX_EXCESS_MESSAGES = 400
"""Messages above the rate after which a client is disconnected."""
MAX_UNSENT_BYTES = 256 << 10
"""Bytes that a client may leave unread before it misses states."""
STALL_TIMEOUT = 10.0
"""Seconds for which a client may leave that much unread."""
HOLD_TIMEOUT = 3.0
"""Seconds for which an action is held down without another message that says so; the page repeats it every second."""
PING_INTERVAL, PING_TIMEOUT = 5.0, 10.0
"""Seconds between pings, and seconds for the answer."""
REQUEST_TIMEOUT = 20.0
"""Seconds from a connection to the end of its page or WebSocket handshake, the making of a replay included."""
CLOSE_TIMEOUT = 5.0
"""Seconds for the end of a connection."""

_LOGGER = logging.getLogger("rookery.play")
_LOGGER.addHandler(logging.NullHandler())  # clients that break the protocol are not the player's concern


@dataclasses.dataclass(eq=False)
class Client:
    """One browser."""

    client_id: int
    connection: ServerConnection
    tokens: float = MESSAGE_BURST
    refilled_at: float = 0.0  # when tokens were last counted
    excess_messages: int = 0
    behind_since: float | None = None  # since when it misses states
    held_at: float | None = None  # when it last said that it holds an action down

    def send(self, message: str) -> None:
        """Send without waiting; nothing happens if the connection is closed."""
        broadcast([self.connection], message)


def check_address(host: str, port: int) -> None:
    """Check where a game is to be served, before it is made.

    Raises: ConfigError for a port out of range; StorageError if none of the host's addresses can be served at.
    """
    _check_port(port)
    refusal: Exception | None = None
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                with socket.socket(family, kind, protocol) as trial:
                    trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server's own
                    trial.bind(address)
                    return
            except OSError as error:
                refusal = error
    except (OSError, UnicodeError) as error:
        refusal = error
    if refusal is not None:
        raise _cannot_serve(host, port, refusal)


def _check_port(port: int) -> None:
    if not 0 <= port < 1 << 16:
        raise ConfigError(f"port={port} must lie in [0, 65535]")


def _cannot_serve(host: str, port: int, error: Exception) -> StorageError:
    reason = getattr(error, "strerror", None) or error
    return StorageError(f"cannot serve at {host} port {port}: {reason}; choose another --port or --host")


class Server:
    """Serves one game until canceled. `tick_times`: when each of the last ticks began (seconds, monotonic)."""

    def __init__(self, game: Game, *, host: str = "127.0.0.1", port: int = 0, fps: float = 5.0) -> None:
        """Args:
          host: address to bind to. port: 0 for any free one. fps: ticks per second.
        Raises: ConfigError for an fps or port out of range.
        """
        check_fps(fps)
        _check_port(port)
        self.game: Game
        self.host: str
        self.port: int
        self.fps: float
        self.game, self.host, self.port, self.fps = game, host, port, fps
        self.loopback: bool = False  # known once bound
        self.addresses: tuple[str, ...] = ()  # IP addresses that it is bound to
        self.token: str = secrets.token_urlsafe(16)
        self.clients: dict[int, Client] = {}
        self.tick_times: list[float] = []
        self._connections: set[ServerConnection] = set()
        self._client_ids = itertools.count(1)
        self._page = game_page(game.setup.task_id, numbered=bool(ordered_goals(game.render_state)))
        self._latest_state = ""
        self._replay_lock = asyncio.Lock()

    @property
    def url(self) -> str:
        """The address of the page on this machine, with the token where others can reach it.

        Known once `run` has called `ready`.
        """
        return self._url_at({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.addresses[0], self.addresses[0]))

    @property
    def url_for_others(self) -> str | None:
        """The address of the page on other machines; None if they cannot reach it. Known as `url` is."""
        return None if self.loopback else self._url_at(address_for_others(self.addresses))

    def _url_at(self, host: str) -> str:
        host = f"[{host}]" if ":" in host else host
        return f"http://{host}:{self.port}/" + ("" if self.loopback else f"?token={self.token}")

    async def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve and play; `ready` is called when `url` can be opened. Raises StorageError if it cannot listen there."""
        connections = self._connections

        class TrackedConnection(ServerConnection):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                connections.add(self)
                super().connection_made(transport)

            def connection_lost(self, exc: Exception | None) -> None:
                connections.discard(self)
                super().connection_lost(exc)

        try:
            server = await serve(
                self._serve_client,
                self.host,
                self.port,
                process_request=self._respond,
                compression=None,  # states are small, and a clock waits for them
                server_header=None,
                open_timeout=REQUEST_TIMEOUT,
                ping_interval=PING_INTERVAL,
                ping_timeout=PING_TIMEOUT,
                close_timeout=CLOSE_TIMEOUT,
                max_size=MAX_MESSAGE_BYTES,
                logger=_LOGGER,
                create_connection=TrackedConnection,
            )
        except (OSError, UnicodeError) as error:
            raise _cannot_serve(self.host, self.port, error) from None
        self.addresses = tuple(bound.getsockname()[0] for bound in server.sockets)
        self.port = server.sockets[0].getsockname()[1]
        self.loopback = is_loopback(self.addresses)
        try:
            ready()
            await self._run_clock()
        finally:
            await self._close_all(server)

    async def _close_all(self, server: WebSocketServer) -> None:
        """Close every connection, and wait until clients have noticed, but not for long."""
        server.close(code=CloseCode.GOING_AWAY, reason="the game was closed")
        closed = asyncio.ensure_future(server.wait_closed())
        await asyncio.wait([closed], timeout=1)
        for connection in list(self._connections):
            connection.transport.abort()
        await closed

    # ---- the clock ----------------------------------------------------------------------------------------

    async def _run_clock(self) -> None:
        self._broadcast_state()
        period, due = 1 / self.fps, time.monotonic()
        while True:
            due += period
            now = time.monotonic()
            if due < now:
                due = now  # the machine was asleep or busy: continue from here instead of hurrying
            await asyncio.sleep(due - now)
            began = time.monotonic()
            self.tick_times = [*self.tick_times[-999:], began]
            if self.clients and self.game.tick():  # the game stands still while no page is open
                self._broadcast_state()
            self._check_clients(began)

    def _broadcast_state(self) -> None:
        self._latest_state = _to_json(self._state_message())
        for client in self.clients.values():
            self._send_state(client)

    def _send_state(self, client: Client) -> None:
        """Send the latest state, unless the client has not read the previous ones: then it gets a later one."""
        if client.connection.transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            client.behind_since = client.behind_since or time.monotonic()
        else:
            client.behind_since = None
            client.send(self._latest_state)

    def _check_clients(self, now: float) -> None:
        """Disconnect clients that do not read, and let go what they no longer hold down.

        Those that do not answer pings are the library's task.
        """
        for client in list(self.clients.values()):
            if client.held_at is not None and now - client.held_at > HOLD_TIMEOUT:
                client.held_at = None
                self.game.let_go(client.client_id)
            if client.behind_since is not None:
                self._send_state(client)  # it may have caught up; nothing else is sent while the game is paused
            if client.behind_since is not None and now - client.behind_since > STALL_TIMEOUT:
                client.connection.transport.abort()  # its handler notices and ends

    # ---- one connection -----------------------------------------------------------------------------------

    async def _respond(self, connection: ServerConnection, request: Request) -> Response | None:
        """The answer to a request; None: the WebSocket handshake."""
        try:
            if len(self._connections) > MAX_CLIENTS:
                raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "too many browsers at once")
            check_request(request, loopback=self.loopback, token=self.token)
            path = request.path.partition("?")[0]
            if path == "/play":
                return None
            if path == "/":
                return _http_response(HTTPStatus.OK, self._page, "text/html")
            if path == "/replay":
                check_same_origin(request)
                return await self._replay_response()
            raise RefusedError(HTTPStatus.NOT_FOUND, "there is no such page; the game is at /")
        except RefusedError as refusal:
            return _http_response(refusal.status, f"{refusal}\n")

    async def _replay_response(self) -> Response:
        from rookery.viz.replay_page import replay_html

        async with self._replay_lock:  # one at a time, in a thread: a long episode takes seconds
            recording, episode = self.game.recording(), self.game.episode + 1
            page = await asyncio.to_thread(replay_html, recording)
        response = _http_response(HTTPStatus.OK, page, "text/html")
        response.headers["Content-Disposition"] = f'attachment; filename="episode-{episode}.html"'
        return response

    async def _serve_client(self, connection: ServerConnection) -> None:
        client = Client(next(self._client_ids), connection, refilled_at=time.monotonic())
        if not self.clients and self.game.step:
            self._start_over()
        self.clients[client.client_id] = client
        try:
            self.game.sit(client.client_id)
            client.send(_to_json(self._hello_message()))
            self._broadcast_seats()
            client.send(self._latest_state)
            async for message in connection:
                await self._receive(client, message)
        except ConnectionClosed:
            pass
        finally:
            del self.clients[client.client_id]
            self.game.leave(client.client_id)
            self._broadcast_seats()
            if not self.clients and self.game.paused:  # the next visitor did not pause it
                self.game.paused = False
                self._broadcast_state()

    def _start_over(self) -> None:
        """Another episode for the first visitor after all others left in the middle of one."""
        self.game.restart()
        self._broadcast_state()

    async def _receive(self, client: Client, message: str | bytes) -> None:
        """Handle one message, unless the client sends too many."""
        now = time.monotonic()
        client.tokens = min(MESSAGE_BURST, client.tokens + (now - client.refilled_at) * MESSAGES_PER_SECOND)
        client.refilled_at = now
        if client.tokens < 1:
            # To stop reading is the answer that costs least: the client's own sends begin to wait.
            client.excess_messages += 1
            if client.excess_messages == 1:
                self._send_error(
                    client, f"more than {MESSAGES_PER_SECOND:.0f} messages per second; the rest is dropped"
                )
            if client.excess_messages > MAX_EXCESS_MESSAGES:
                await client.connection.close(CloseCode.POLICY_VIOLATION, "too many messages")
            await asyncio.sleep(0.5 / MESSAGES_PER_SECOND)
            return
        client.tokens -= 1
        if client.tokens >= MESSAGE_BURST - 1:
            client.excess_messages = 0
        if isinstance(message, bytes):
            await client.connection.close(CloseCode.UNSUPPORTED_DATA, "messages are text")
            return
        try:
            self._handle_message(client, parse_message(message))
        except ConfigError as error:
            self._send_error(client, str(error))

    def _handle_message(self, client: Client, message: ClientMessage) -> None:
        value: Any = message.value
        if message.kind == "press":
            self.game.press(client.client_id, value)
        elif message.kind == "hold":
            client.held_at = None if value is None else time.monotonic()
            self.game.hold(client.client_id, value)
        elif message.kind == "sit":
            if value is None:
                self.game.leave(client.client_id)
            else:
                self.game.sit(client.client_id, value)
            self._broadcast_seats()
        elif client.client_id not in self.game.seats and self.game.seats:
            raise ConfigError("only players may pause or restart the game while there are any")
        elif message.kind == "pause":
            self.game.paused = value
            self._broadcast_state()
        elif value:
            self.game.restart()
            self._broadcast_state()

    # ---- messages to clients ------------------------------------------------------------------------------

    def _send_error(self, client: Client, text: str) -> None:
        client.send(_to_json({"error": text}))

    def _broadcast_seats(self) -> None:
        seats = self.game.seats
        taken, watching = sorted(seats.values()), len(self.clients) - len(seats)
        for client in self.clients.values():
            you = seats.get(client.client_id)
            client.send(_to_json({"seats": {"you": you, "taken": taken, "watching": watching}}))

    def _hello_message(self) -> dict:
        """What stays the same throughout the game."""
        game, setup = self.game, self.game.setup
        height, width = game.render_state.tiles.shape
        agents = [
            {"name": name, "role": role, "letter": colors.agent_letter(i), "view": list(view.shape[:2])}
            for i, (name, role, view) in enumerate(
                zip(setup.agent_names, setup.roles, game.render_state.views, strict=True)
            )
        ]
        return {
            "hello": {
                "task": setup.task_id,
                "description": setup.description,
                "rules": setup.rules,
                "height": height,
                "width": width,
                "max_steps": setup.env.max_steps,
                "fps": self.fps,
                "actions": game.action_names,
                "human_slots": game.human_slots,
                "agents": agents,
            }
        }

    def _state_message(self) -> dict:
        game, state = self.game, self.game.render_state
        return {
            "state": {
                "episode": game.episode + 1,
                "step": game.step,
                "done": bool(game.done),
                "paused": game.paused,
                "seconds_to_restart": round(game.ticks_to_restart / self.fps, 1),
                "goals": ordered_goals(state),
                "position": state.position.tolist(),
                "heading": state.heading.tolist(),
                "agent_mask": state.agent_mask.tolist(),
                "carrying": state.carrying.tolist(),
                "prestige": np.round(state.prestige.astype(float), 3).tolist(),
                "reward": np.round(game.reward.astype(float), 3).tolist(),
                "returns": np.round(game.returns, 3).tolist(),
                "action": np.asarray(game.action).tolist(),
                "tiles": _to_base64(state.tiles),
                "views": [_to_base64(view) for view in state.views],
                "visible": [_to_base64(cells) for cells in state.visible],
            }
        }


def _http_response(status: HTTPStatus, body: str, content_type: str = "text/plain") -> Response:
    """A whole answer; the connection ends with it."""
    content = body.encode("utf-8", "replace")
    headers = Headers({
        "Content-Type": f"{content_type}; charset=utf-8",
        "Content-Length": str(len(content)),
        "Connection": "close",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        "Referrer-Policy": "no-referrer",
    })  # fmt: skip
    return Response(status.value, status.phrase, headers, content)


def _to_json(message: dict) -> str:
    return json.dumps(message, separators=(",", ":"), allow_nan=False)


def _to_base64(array) -> str:
    return base64.b64encode(np.ascontiguousarray(array).astype(np.uint8).tobytes()).decode("ascii")
