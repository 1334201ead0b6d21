"""How steady the game's clock is: four agents and three browsers, measured at the server and at the clients.

    python benchmarks/play.py [--fps FPS] [--seconds S] [--chromium]

Prints one line for the server, with the time between its ticks, and one per client, with the time between the steps
that arrived. Clients are plain sockets, or, with --chromium, three tabs of a headless Chromium, whose pages report when
they had shown each step.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import dataclasses
import os
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from rookery.agents.team import AgentGroup, Team
from rookery.agents.team_setup import TeamSetup
from rookery.play.game import Game
from rookery.play.server import Server
from rookery.tasks import registry
from rookery.tasks.grid_env import GridEnv
from rookery.training.make_team import load_policy

HANDSHAKE = (
    "GET /play HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def game() -> Game:
    """Four agents on the demo's grid: one trained, and three scripted ones that people may take. It does not end."""
    task = registry.get_task("goal-cycle-demo-v0")
    task = dataclasses.replace(task, views=task.views[:1] * 4, max_steps=100_000)
    env = GridEnv(task)
    trained, trained_params = load_policy("goal-cycle-demo-expert", env, (0,))
    expert, expert_params = load_policy("scripted", env, (1, 2, 3))
    team = Team((AgentGroup("trained", (0,), trained), AgentGroup("scripted", (1, 2, 3), expert)))
    params = {"trained": trained_params, "scripted": expert_params}
    roles = ("frozen", "scripted", "scripted", "scripted")
    names = ("trained", "expert 1", "expert 2", "expert 3")
    return Game(TeamSetup(env, team, params, names, roles, "benchmark"), (1, 2, 3), rest_ticks=10)


async def browser(server: Server, arrivals: list[float], sizes: list[int]) -> None:
    """Read every message, and press a key five times per second."""
    reader, writer = await asyncio.open_connection(server.host, server.port, limit=1 << 24)
    writer.write(HANDSHAKE.encode())
    await reader.readuntil(b"\r\n\r\n")
    last_press = 0.0
    while True:
        _, size = await reader.readexactly(2)
        if size == 126:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await reader.readexactly(8))
        payload = await reader.readexactly(size)
        if payload.startswith(b'{"state"'):
            arrivals.append(time.monotonic())
            sizes.append(size)
        if time.monotonic() - last_press > 0.2:
            last_press = time.monotonic()
            text = b'{"press":"forward"}'
            writer.write(bytes([0x81, 0x80 | len(text), 0, 0, 0, 0]) + text)


def summary(name: str, times: list[float], fps: float) -> str:
    """How far the time between ticks was from what it should be."""
    gaps = np.diff(times) * 1000
    late = np.abs(gaps - 1000 / fps)
    low, middle, high = np.quantile(late, (0.5, 0.95, 0.99))
    return (
        f"{name}: {len(gaps)} ticks, mean {gaps.mean():.2f} ms; off by median {low:.2f}, 95 % {middle:.2f}, "
        f"99 % {high:.2f}, maximum {late.max():.2f} ms"
    )


NOTE_TIMES = """
    window.shown = [];
    new MutationObserver(() => window.shown.push(performance.now() / 1000))
        .observe(document.querySelector("#game"), { attributes: true, attributeFilter: ["data-step"] });
"""


@contextlib.asynccontextmanager
async def sockets(server: Server, count: int):
    """Plain clients; yields a function that returns, for each, when steps arrived since its last call."""
    arrivals, sizes = [[] for _ in range(count)], []
    clients = [asyncio.create_task(browser(server, times, sizes)) for times in arrivals]

    async def read() -> list[list[float]]:
        copies = [list(times) for times in arrivals]
        for times in arrivals:
            times.clear()
        return copies

    yield read
    print(f"{np.mean(sizes) / 1000:.1f} kB per step")
    for task in clients:
        task.cancel()
    await asyncio.gather(*clients, return_exceptions=True)


@contextlib.asynccontextmanager
async def tabs(server: Server, count: int):
    """As `sockets`, with tabs of Chromium."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.play.client import BROWSER, chromium

    if BROWSER is None:
        raise SystemExit("no Chromium on this machine; leave out --chromium to measure with plain sockets")
    with tempfile.TemporaryDirectory() as folder:
        async with chromium(Path(folder)) as visit:
            pages = [await visit(server.url) for _ in range(count)]
            for page in pages:
                await page.until("document.querySelector('#game').dataset.step !== undefined")
                await page.run(NOTE_TIMES)

            async def read() -> list[list[float]]:
                return [await page.run("window.shown.splice(0)") for page in pages]

            yield read
            problems = [problem for page in pages for problem in page.problems]
            print(f"{len(problems)} errors in the pages")


async def measure(fps: float, seconds: float, clients) -> None:
    server = Server(game(), fps=fps)
    ready = asyncio.Event()
    running = asyncio.create_task(server.run(ready.set))
    await ready.wait()
    async with clients(server, 3) as read:
        await asyncio.sleep(1)  # the first steps are not counted
        await read()
        start, cpu_start = time.monotonic(), time.process_time()
        await asyncio.sleep(seconds)
        cpu_fraction = (time.process_time() - cpu_start) / (time.monotonic() - start)
        arrivals = await read()
        print(f"{fps:g} ticks per second requested, 4 agents, 3 browsers, load of the machine {os.getloadavg()[0]:.1f}")
        print(summary("server", [t for t in server.tick_times if t >= start], fps))
        for number, times in enumerate(arrivals):
            print(summary(f"browser {number + 1}", times, fps))
        print(f"this process took {100 * cpu_fraction:.0f} % of one core")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fps", type=float, default=10.0, help="ticks per second")
    parser.add_argument("--seconds", type=float, default=30.0, help="seconds to measure")
    parser.add_argument("--chromium", action="store_true", help="three tabs of a real browser as clients")
    options = parser.parse_args()
    asyncio.run(measure(options.fps, options.seconds, tabs if options.chromium else sockets))
