"""A small game whose policies always do the same, so that every other change is a person's."""

import asyncio
import contextlib
import dataclasses

import jax
import jax.numpy as jnp
import pytest

from rookery.agents.team import AgentGroup, Team
from rookery.agents.team_setup import TeamSetup
from rookery.interfaces import Policy
from rookery.play.game import Game
from rookery.play.server import Server
from rookery.tasks.grid_env import GridEnv
from rookery.viz.render_state import make_render_state
from tests.worlds import EAST, WEST, put, task_on

# Oblong, so that a transposed axis shows.
TASK = task_on(
    """
    #########
    #A.1..2.#
    #.......#
    #A......#
    #########
    """,
    2,
    max_steps=8,
    penalty=0.5,
    num_actions=3,
)


@dataclasses.dataclass(frozen=True)
class Always(Policy):
    """Always does one action."""

    action: int

    def act(self, params, carry, obs, is_first, key):
        return jnp.full(is_first.shape, self.action, jnp.int32), carry, {}


SETUP = TeamSetup(
    env=GridEnv(TASK),
    team=Team((AgentGroup("left", (0,), Always(0)), AgentGroup("ahead", (1,), Always(2)))),
    params={"left": (), "ahead": ()},
    agent_names=("turner", "walker"),
    roles=("scripted", "scripted"),
    task_id="a-task-v0",
    description="what it is",
    rules=TASK.rules_for_players,
)

RENDER_STATE = jax.jit(make_render_state(SETUP.env))


def start(human_slots=(0, 1), **more) -> Game:
    """Agent 0 at (1, 1) facing east, goal 1 two cells ahead; agent 1 at (3, 7) facing west."""
    game = Game(SETUP, human_slots, rest_ticks=2, **more)
    place(game, [(1, 1), (3, 7)], [EAST, WEST])
    return game


def place(game, position, heading):
    state, *rest = game._loop
    state = put(state, position, heading)
    game._loop = (state, *rest)
    game.render_state = jax.device_get(RENDER_STATE(state))


@pytest.fixture
def game():
    return start()


@contextlib.asynccontextmanager
async def served(game, **more):
    """The game on a real socket, as long as the block lasts."""
    server = Server(game, **{"fps": 20.0, **more})
    ready = asyncio.Event()
    running = asyncio.create_task(server.run(ready.set))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if running.done():
        running.result()
    try:
        yield server
        assert not running.done(), "the game stopped"
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
