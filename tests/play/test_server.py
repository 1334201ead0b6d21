"""The server over real sockets: what it sends, which clients it lets in, and that none spoils the game for others."""

import asyncio
import base64
import json
import random
import re
import socket
from urllib.parse import urlsplit

import pytest
from websockets.datastructures import Headers
from websockets.http11 import Request

from rookery import cli
from rookery.commands import play as play_command
from rookery.errors import ConfigError, StorageError
from rookery.play import access
from rookery.play import server as module
from rookery.play.access import RefusedError, address_for_others, check_request, is_own_name
from rookery.play.server import Server, check_address
from tests.play.client import Socket
from tests.play.conftest import SETUP, served, start


def play(scenario, game=None, **more):
    """Run `scenario(server, connect)` against a served game."""
    game = game or start()

    async def run():
        async with served(game, **more) as server:
            sockets = []

            async def connect(*headers):
                sockets.append(
                    await Socket.open(
                        server.url.replace("/?", "/play?") if "?" in server.url else server.url + "play", headers
                    )
                )
                return sockets[-1]

            try:
                await scenario(server, connect)
            finally:
                for opened in sockets:
                    opened.vanish()

    asyncio.run(run())


async def fetch(server, request: str | bytes) -> tuple[int, dict, str]:
    """Status, headers and body of whatever is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request.encode("latin-1") if isinstance(request, str) else request)
    async with asyncio.timeout(30):
        head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    first, *lines = head.split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


async def fetch_bytes(server, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request)
    async with asyncio.timeout(30):
        content = await reader.read()
    writer.close()
    return content


def get(server, path="/", host=None, more=""):
    return fetch(server, f"GET {path} HTTP/1.1\r\nHost: {host or f'localhost:{server.port}'}\r\n{more}\r\n")


def test_a_person_joins_plays_and_leaves():
    async def scenario(server, connect):
        one = await connect()
        hello = await one.until("hello")
        assert (hello["task"], hello["height"], hello["width"], hello["max_steps"]) == ("a-task-v0", 5, 9, 8)
        assert hello["actions"] == ["left", "right", "forward", "wait"]
        assert "costs 0.5" in hello["rules"][1]
        assert [agent["name"] for agent in hello["agents"]] == ["turner", "walker"]
        assert (await one.until("seats"))["you"] == 0
        other = await connect()
        assert (await other.until("seats"))["you"] == 1
        third = await connect()
        assert await third.until("seats") == {"you": None, "taken": [0, 1], "watching": 1}
        assert (await one.until("seats", lambda s: s["watching"]))["you"] == 0
        one.vanish()
        await third.until("seats", lambda s: s["taken"] == [1])
        third.send({"sit": 0})
        assert (await third.until("seats"))["you"] == 0

    play(scenario)


def test_the_first_visitor_after_the_last_one_left_begins_an_episode():
    async def scenario(server, connect):
        one, two = await connect(), await connect()
        await two.until("state", lambda m: m["step"] >= 2)
        one.vanish()
        kept = await two.until("seats", lambda s: s["taken"] == [1])
        assert (kept["watching"], server.game.episode) == (0, 0)  # the other one still plays
        two.send({"pause": True})
        await two.until("state", lambda m: m["paused"])
        two.vanish()
        async with asyncio.timeout(60):
            while server.clients:
                await asyncio.sleep(0.01)
        state = await (await connect()).until("state")
        assert (state["episode"], state["step"], state["paused"]) == (2, 0, False)

    play(scenario, fps=10)


def test_moments_tell_what_the_game_shows():
    game = start()
    game.paused = True

    async def scenario(server, connect):
        client = await connect()
        moment = await client.until("state")
        assert (moment["step"], moment["done"], moment["paused"]) == (0, False, True)
        assert moment["position"] == game.render_state.position.tolist()
        assert moment["goals"] == [[1, 3], [1, 6]]
        assert base64.b64decode(moment["tiles"]) == game.render_state.tiles.tobytes()
        assert base64.b64decode(moment["views"][1]) == game.render_state.views[1].tobytes()
        assert (
            list(base64.b64decode(moment["visible"][0]))
            == game.render_state.visible[0].reshape(-1).astype(int).tolist()
        )
        client.send({"pause": False})
        await client.until("state", lambda m: not m["paused"] and m["step"])

    play(scenario, game)


def test_a_single_goal_has_no_number():
    game = start()
    game.render_state = game.render_state._replace(goals=game.render_state.goals[:1])
    server = Server(game)
    assert server._state_message()["state"]["goals"] == []
    assert "goal, numbered" not in server._page
    assert "goal, numbered" in Server(start())._page


def test_keys_move_the_agent():
    async def scenario(server, connect):
        client = await connect()
        client.send({"pause": True})
        client.send({"restart": True})
        before = await client.until("state", lambda m: m["paused"] and m["episode"] == 2)
        client.send({"press": "right"})
        client.send({"pause": False})
        after = await client.until("state", lambda m: m["step"] > before["step"])
        assert after["heading"][0] == (before["heading"][0] + 1) % 4
        assert after["action"][0] == 1
        client.send({"restart": True})
        await client.until("state", lambda m: m["episode"] == before["episode"] + 1)

    play(scenario, fps=5)


def test_episodes_end_and_others_begin():
    async def scenario(server, connect):
        client = await connect()
        over = await client.until("state", lambda m: m["done"])
        assert (over["step"], over["seconds_to_restart"]) == (8, 0.1)  # two ticks, twenty a second
        assert (await client.until("state", lambda m: not m["done"]))["episode"] == over["episode"] + 1

    play(scenario)


def test_what_is_no_message_gets_an_error_and_the_game_goes_on():
    async def scenario(server, connect):
        bad, good = await connect(), await connect()
        for text in ("hello", "{}", '{"press": "jump"}', '{"sit": 7}', '{"sit": 1}', "\U0001f600", '{"press": 3}'):
            bad.send(text)
            assert await bad.until("error")
        step = (await good.until("state"))["step"]
        await good.until("state", lambda m: m["step"] != step)
        assert (await bad.until("state"))["step"] >= 0

    play(scenario)


def test_spectators_stop_nothing():
    async def scenario(server, connect):
        players = [await connect(), await connect()]
        spectator = await connect()
        for message in ({"pause": True}, {"restart": True}):
            spectator.send(message)
            assert "only players" in await spectator.until("error")
        spectator.send({"press": "left"})
        assert "spectator" in await spectator.until("error")
        assert not (await players[0].until("state"))["paused"]
        for player in players:
            player.send({"sit": None})
        await spectator.until("seats", lambda s: not s["taken"])
        spectator.send({"pause": True})  # nobody plays: whoever watches may
        await spectator.until("state", lambda m: m["paused"])

    play(scenario)


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (lambda s: s.send("x" * 300), 1009),
        (lambda s: s.send(b"\x00", 2), 1003),
        (lambda s: s.send("x", masked=False), 1002),
        (lambda s: s.send(b"\x03\xe8", 8), 1000),
        (lambda s: s.writer.write(bytes(random.Random(1).randbytes(5000))), 1002),
    ],
)
def test_who_breaks_the_protocol_is_hung_up_on(harm, code):
    async def scenario(server, connect):
        bad, good = await connect(), await connect()
        harm(bad)
        with pytest.raises(ConnectionError, match=str(code)):
            await bad.until("never")
        await good.until("seats", lambda s: s["taken"] == [1])
        step = (await good.until("state"))["step"]
        await good.until("state", lambda m: m["step"] != step)

    play(scenario)


def test_a_flood_slows_the_flooder_and_ends_with_it(monkeypatch):
    monkeypatch.setattr(module, "MAX_EXCESS_MESSAGES", 20_000)

    async def scenario(server, connect):
        bad, good = await connect(), await connect()
        await good.until("state")
        for _ in range(20_000):
            bad.send({"press": "left"})
        assert "messages per second" in await bad.until("error")
        first = server.tick_times[-1]
        for _ in range(10):
            await good.until("state")
        assert server.tick_times[-1] - first < 3  # ten ticks at twenty a second, on a busy machine
        monkeypatch.setattr(module, "MAX_EXCESS_MESSAGES", 30)  # only now: its end must not come among those moments
        with pytest.raises(ConnectionError):
            await bad.until("never")
        await good.until("seats", lambda s: s["taken"] == [1])

    play(scenario)


def test_who_does_not_read_is_passed_over_then_dropped(monkeypatch):
    monkeypatch.setattr(module, "STALL_TIMEOUT", 0.5)
    monkeypatch.setattr(module, "MAX_UNSENT_BYTES", 1000)

    async def scenario(server, connect):
        await connect()  # and reads nothing
        good = await connect()
        await good.until("seats", lambda s: s["taken"] == [0, 1])
        server._latest_state = server._latest_state * 2000  # more than the system's own buffers take
        for client in server.clients.values():
            if client.client_id == 1:
                client.send(server._latest_state * 8)
        await good.until("seats", lambda s: s["taken"] == [1])
        assert list(server.clients) == [2]

    play(scenario)


def test_who_catches_up_during_a_pause_stays(game, monkeypatch):
    server = Server(game)
    client = module.Client(1, StandIn())
    server.clients[1] = client
    monkeypatch.setattr(module.Client, "send", lambda client, message: client.connection.sent.append(message))
    client.connection.unsent = module.MAX_UNSENT_BYTES + 1
    game.paused = True
    server._broadcast_state()
    since = client.behind_since
    server._check_clients(since + 1)
    assert (client.connection.sent, client.behind_since) == ([], since)
    client.connection.unsent = 0
    server._check_clients(since + 2)
    assert client.connection.sent == [server._latest_state]
    server._check_clients(since + 2 * module.STALL_TIMEOUT)
    assert not client.connection.aborted
    client.connection.unsent = module.MAX_UNSENT_BYTES + 1
    server._broadcast_state()
    server._check_clients(client.behind_since + 2 * module.STALL_TIMEOUT)
    assert client.connection.aborted


class StandIn:
    """A connection, and its own transport."""

    def __init__(self):
        self.transport, self.unsent, self.aborted, self.sent = self, 0, False, []

    def get_write_buffer_size(self):
        return self.unsent

    def abort(self):
        self.aborted = True


def test_a_held_key_is_let_go_unless_it_is_repeated(game):
    server = Server(game)
    client = server.clients[1] = module.Client(1, StandIn())
    game.sit(1, 0)
    turns = lambda: int(game._human_actions()[0][0])  # noqa: E731
    server._handle_message(client, module.ClientMessage("hold", "right"))
    turns()  # what was queued
    for _ in range(3):
        server._check_clients(client.held_at + module.HOLD_TIMEOUT - 0.1)
        assert turns() == 1
        server._handle_message(client, module.ClientMessage("hold", "right"))
    server._check_clients(client.held_at + module.HOLD_TIMEOUT + 0.1)
    assert turns() == game.idle_action
    assert client.held_at is None
    server._handle_message(client, module.ClientMessage("hold", "right"))
    game.leave(1)
    server._check_clients(client.held_at + module.HOLD_TIMEOUT + 0.1)


def test_a_pause_ends_with_the_last_visitor():
    async def scenario(server, connect):
        one = await connect()
        one.send({"pause": True})
        one.send({"restart": True})
        await one.until("state", lambda m: m["paused"] and m["step"] == 0)
        one.vanish()
        async with asyncio.timeout(60):
            while server.clients:
                await asyncio.sleep(0.01)
        assert not (await (await connect()).until("state"))["paused"]

    play(scenario)


def test_who_says_nothing_for_long_is_dropped(monkeypatch):
    monkeypatch.setattr(module, "PING_TIMEOUT", 0.6)
    monkeypatch.setattr(module, "PING_INTERVAL", 0.1)
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.2)

    async def scenario(server, connect):
        await connect()  # answers no ping
        good = await connect()  # does, while it waits
        await good.until("seats", lambda s: s["taken"] == [1])

    play(scenario)


def test_pages_and_nothing_else_are_served():
    async def scenario(server, connect):
        status, headers, body = await get(server)
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert "connect-src 'self'" in body
        assert "http:" not in body.replace("http://www.w3.org", "")
        assert not re.search(r"[`'\"}]/(play|replay)\b", body)  # next to the page, also in a folder of a proxy
        status, headers, body = await get(server, "/replay")
        assert status == 200
        assert headers["Content-Disposition"].startswith("attachment")
        assert "RookeryReplay" in body
        for path in ("/etc/passwd", "/../pyproject.toml", "/%2e%2e/", "//", "http://other/", "/play/"):
            assert (await get(server, path))[0] == 404
        assert (await get(server, "/play"))[0] == 426
        for method in ("POST", "PUT", "OPTIONS", "HEAD"):
            assert (await fetch(server, f"{method} / HTTP/1.1\r\nHost: localhost\r\n\r\n"))[0] == 405
        for nonsense in ("\r\n\r\n", "GET /\r\n\r\n", "GET / FTP/1\r\n\r\n", "GET / HTTP/1.1\r\nHost\r\n\r\n"):
            assert await fetch_bytes(server, nonsense.encode()) == b""  # hung up on
        assert (await fetch(server, b"GET / HTTP/1.1\r\nA: " + b"x" * 20_000 + b"\r\n\r\n"))[0] == 431
        for twice in ("Host: localhost", "Origin: http://localhost"):
            assert (await get(server, more=f"{twice}\r\n{twice}\r\n"))[0] == 400

    play(scenario)


def test_only_this_machine_and_its_own_page_are_let_in():
    async def scenario(server, connect):
        here = f"127.0.0.1:{server.port}"
        for host in (
            "evil.example",
            f"evil.example:{server.port}",
            "localhost.evil.example",
            f"localhost:{server.port}.evil.example",
            "",
        ):
            assert (await get(server, host=host or " "))[0] == 403
        for host in (here, "localhost", "LOCALHOST", "[::1]:1", "localhost:9"):  # forwarded ports have other numbers
            assert (await get(server, host=host))[0] == 200
        for origin in ("http://evil.example", "null", "http://localhost:1"):
            with pytest.raises(ConnectionError, match="403"):
                await connect(f"Origin: {origin}")
        await (await connect(f"Origin: http://{here}")).until("hello")

    play(scenario)


def test_so_many_and_no_more(monkeypatch):
    monkeypatch.setattr(module, "MAX_CLIENTS", 3)

    async def scenario(server, connect):
        clients = [await connect() for _ in range(3)]
        with pytest.raises(ConnectionError, match="503"):
            await connect()
        clients[0].vanish()
        await clients[1].until("seats", lambda s: s["watching"] == 0)
        await (await connect()).until("hello")

    play(scenario)


def test_half_a_request_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(module, "REQUEST_TIMEOUT", 0.2)

    async def scenario(server, connect):
        for half in (b"", b"GET / HT"):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(half)
            async with asyncio.timeout(20):
                assert await reader.read() == b""
            writer.close()

    play(scenario)


def test_who_never_reads_its_page_holds_no_place(monkeypatch):
    monkeypatch.setattr(module, "REQUEST_TIMEOUT", 0.5)

    async def long_page(self):
        return module._http_response(module.HTTPStatus.OK, "x" * (1 << 26))  # more than the system's own buffers take

    monkeypatch.setattr(Server, "_replay_response", long_page)

    async def scenario(server, connect):
        _, writer = await asyncio.open_connection(server.host, server.port, limit=1 << 10)
        writer.write(f"GET /replay HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode())
        async with asyncio.timeout(20):
            while not server._connections:
                await asyncio.sleep(0.01)
            while server._connections:
                await asyncio.sleep(0.01)
        writer.close()

    play(scenario)


def test_a_crowd_of_the_mad():
    """Clients that vanish, talk nonsense and break off at random, while one plays on."""
    chance = random.Random(7)

    async def mad(connect):
        client = await connect()
        for _ in range(chance.randrange(6)):
            client.send(
                chance.choice((chance.randbytes(50), json.dumps({"press": "left"}), b"{}", b"")),
                chance.choice((0, 1, 1, 1, 2, 9)),
            )
            await asyncio.sleep(0)
        client.vanish()

    async def scenario(server, connect):
        good = await connect()
        for _ in range(8):
            await asyncio.gather(*(mad(connect) for _ in range(6)))
        async with asyncio.timeout(60):
            while len(server.clients) > 1:
                await good.until("state")
        step = (await good.until("state"))["step"]
        await good.until("state", lambda m: m["step"] != step)

    play(scenario)


def test_numbers_out_of_range(game):
    for bad in ({"fps": 0}, {"fps": 31}, {"fps": float("nan")}, {"port": -1}, {"port": 1 << 16}):
        with pytest.raises(ConfigError):
            Server(game, **bad)


def test_a_port_that_is_taken(game):
    async def scenario(server, connect):
        with pytest.raises(StorageError, match="choose another --port"):
            async with served(start(), port=server.port):
                pass

    play(scenario, game)


def test_where_no_game_can_be_served_is_refused_before_it_is_made(monkeypatch, capsys):
    monkeypatch.setattr(play_command, "make_game_setup", lambda *_: pytest.fail("made"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for host in ("127.0.0.1", "203.0.113.1", "a" * 64):  # taken, of no machine, no name
            assert cli.main(["play", "--host", host, "--port", str(port)]) == 5
            assert f"error: cannot serve at {host} port {port}: " in capsys.readouterr().err
    check_address("127.0.0.1", 0)


def test_slots_that_the_task_lacks_are_all_that_is_said(monkeypatch, capsys):
    monkeypatch.setattr(play_command, "make_game_setup", lambda *_: SETUP)
    assert cli.main(["play", "--port", "0", "--human-slots", "99"]) == 2
    assert capsys.readouterr().err.startswith("error: persons cannot take the slots [99]; allowed: each of 0 to ")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("127.0.0.1", True), ("127.1", True), ("LOCALHOST", True), ("0.0.0.0", False)],
)
def test_the_bound_address_decides_what_is_loopback(host, loopback):
    async def scenario(server, connect):
        assert server.loopback is loopback
        assert ("token=" in server.url) is not loopback
        assert (server.url_for_others is None) is loopback
        foreign = await get(server, host=f"evil.example:{server.port}")
        assert foreign[0] == 403
        await (await connect()).until("hello")

    play(scenario, host=host)


def test_outside_loopback_a_token_is_needed():
    async def scenario(server, connect):
        for path in ("/", "/play", "/replay", "/?token=", "/?token=wrong", "/?token=" + server.token[:-1]):
            assert (await get(server, path))[0] == 403
        for path in ("/", "/replay"):
            assert (await get(server, f"{path}?token={server.token}", host="any.name"))[0] == 200
        with pytest.raises(ConnectionError, match="403"):
            await Socket.open(f"http://127.0.0.1:{server.port}/play")

    play(scenario, host="0.0.0.0")


@pytest.mark.parametrize("route", ["10.1.2.3", None])
def test_the_address_for_others_opens_the_page(monkeypatch, route):
    monkeypatch.setattr(access, "_outward_address", lambda version: route)

    async def scenario(server, connect):
        where = urlsplit(server.url_for_others)
        assert where.netloc == f"{route or socket.gethostname()}:{server.port}"
        assert (await get(server, f"/?{where.query}", host=where.netloc))[0] == 200

    play(scenario, host="0.0.0.0")


def test_where_others_find_the_server(monkeypatch):
    class Datagrams(socket.socket):
        def connect(self, address):
            chosen.append(address[0])
            raise OSError("no route")

    chosen = []
    assert access._outward_address(4) != "127.0.0.1"
    monkeypatch.setattr(socket, "socket", Datagrams)
    monkeypatch.setattr(socket, "gethostname", lambda: "box")
    assert [address_for_others([host]) for host in ("0.0.0.0", "::")] == ["box", "box"]
    assert chosen == ["192.0.2.1", "2001:db8::1"]
    assert address_for_others(["127.0.1.1", "10.1.2.3"]) == "10.1.2.3"
    assert address_for_others(["2001:db8::2"]) == "2001:db8::2"


def test_the_game_waits_for_its_first_player():
    async def scenario(server, connect):
        async with asyncio.timeout(20):
            while len(server.tick_times) < 5:
                await asyncio.sleep(0.02)
        assert server.game.step == 0
        client = await connect()
        await client.until("state", lambda m: m["step"])

    play(scenario)


OWN_NAMES = ("localhost:8765", "localhost", "Localhost:1", "127.0.0.1:1", "127.0.0.2:1", "[::1]:1", "[::1]")
FOREIGN_NAMES = (
    "evil.example:8765", "localhost.evil.example", "localhost:8765.evil.example", "10.0.0.1:1", "", ":1", "[::1].evil",
    "127.0.0.1.evil:1", "localhost:", "localhost:99999", "a@localhost:1", "localhost:1@evil.example", "127.1",
    "[localhost]",
)  # fmt: skip


def test_names_of_this_machine():
    for host in OWN_NAMES:
        assert is_own_name(host), host
        check_request(Request("/", Headers(Host=host)), loopback=True, token="")
    for host in FOREIGN_NAMES:
        assert not is_own_name(host), host
        with pytest.raises(RefusedError, match="this machine alone"):
            check_request(Request("/", Headers(Host=host)), loopback=True, token="")


def test_no_other_site_asks_for_replays(game):
    async def scenario(server, connect):
        async def replay(*headers):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            lines = ("GET /replay HTTP/1.1", f"Host: 127.0.0.1:{server.port}", *headers, "", "")
            writer.write("\r\n".join(lines).encode())
            answer = await reader.read()
            writer.close()
            return answer

        assert b" 403 " in await replay("Sec-Fetch-Site: cross-site")
        assert b" 403 " in await replay("Sec-Fetch-Site: same-site")
        for own in ((), ("Sec-Fetch-Site: same-origin",), ("Sec-Fetch-Site: none",)):
            assert (await replay(*own)).startswith(b"HTTP/1.1 200 ")

    play(scenario, game)
