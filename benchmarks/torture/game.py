"""Malformed messages to the game, by the thousand, while its ticks are timed."""

from __future__ import annotations

import asyncio
import random
import time

import numpy as np
from benchmarks.play import game
from benchmarks.torture.record import TrialError
from tests.play.client import Socket

from rookery.errors import ConfigError
from rookery.play.client_messages import parse_message
from rookery.play.server import Server

MESSAGES_PER_TRIAL = 1000
FPS = 10.0
GOOD = ('{"press": "forward"}', '{"hold": null}', '{"sit": 1}', '{"pause": false}', '{"restart": true}')


def mutated(dice: random.Random) -> str | bytes:
    text = bytearray(dice.choice(GOOD).encode())
    for _ in range(dice.randint(1, 4)):
        position = dice.randrange(len(text) + 1)
        text[position : position + dice.randint(0, 3)] = dice.randbytes(dice.randint(0, 3))
    return bytes(text) if dice.random() < 0.5 else text.decode(errors="replace")


def trial(number: int) -> str:
    """A thousand messages: each through the reader, and as many as the server lets in through a socket."""
    dice = random.Random(number)
    messages = [mutated(dice) for _ in range(MESSAGES_PER_TRIAL)]
    for message in messages:
        try:
            parse_message(message)
        except ConfigError as error:
            if len(str(error)) > 300:
                raise TrialError(f"a long answer to {message[:100]!r}") from None
    return asyncio.run(_send(messages))


async def _send(messages: list[str | bytes]) -> str:
    server = Server(game(), fps=FPS)
    ready = asyncio.Event()
    running = asyncio.create_task(server.run(ready.set))
    await ready.wait()
    player = await Socket.open(server.url + "play")
    reading = asyncio.create_task(_read(player))
    await asyncio.sleep(1)
    begin = time.monotonic()
    socket = None
    for message in messages:
        try:
            socket = socket or await Socket.open(server.url + "play")
            socket.send(message)
            await asyncio.sleep(0.002)
            await socket.writer.drain()
        except (ConnectionError, OSError):
            socket = None  # put out for its messages, as it should
    await asyncio.sleep(1)
    gaps = np.diff([tick for tick in server.tick_times if tick >= begin]) * 1000
    alive = not running.done()
    for task in (reading, running):
        task.cancel()
    await asyncio.gather(reading, running, return_exceptions=True)
    if not alive or len(gaps) < 5:
        raise TrialError(f"the game stopped: {len(gaps)} ticks")
    return f"tick of {1000 / FPS:.0f} ms: median {np.median(gaps):.0f}, 99 % {np.quantile(gaps, 0.99):.0f} ms"


async def _read(socket: Socket) -> None:
    while True:
        await socket.next()
