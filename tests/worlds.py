"""Small gridworlds given as text, and single steps in them, for the tests."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rookery.gridworld.observation import observe_grid
from rookery.gridworld.spec import ViewConfig
from rookery.gridworld.tiles import GOAL, OBSTACLE
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.grid_env import GridEnv

NORTH, EAST, SOUTH, WEST = range(4)
LEFT, RIGHT, FORWARD, STAY = 0, 1, 2, 6
SMALL = ViewConfig(size=3, observation_type="symbolic")  # cheap to compile


def map_text(text: str) -> str:
    """A map given as indented text."""
    return "\n".join(line.strip() for line in text.strip().split("\n"))


def task_on(text: str, agents: int = 1, view: ViewConfig = SMALL, **settings) -> GoalCycle:
    """A Goal Cycle on a map given as text."""
    settings.setdefault("num_goals", max(1, sum(c.isdigit() or c == "G" for c in text)))
    if text.count("A") < agents:
        text = text.replace("A", ".")  # the test places them
    return GoalCycle(map=map_text(text), views=(view,) * agents, **settings)


class Game(NamedTuple):
    """One task with its compiled functions."""

    env: GridEnv
    reset: object
    step: object


@functools.cache
def game(task: GoalCycle) -> Game:
    env = GridEnv(task)
    return Game(env, jax.jit(env.reset), jax.jit(env.step))


def start(task: GoalCycle, position=None, heading=None, seed: int = 0):
    """A state at the start of an episode, with agents placed by the test."""
    state, _ = game(task).reset(jax.random.PRNGKey(seed), task.default_params())
    return put(state, position, heading)


def put(state, position=None, heading=None):
    if position is not None:
        state = state.replace(position=jnp.array(position, jnp.int32).reshape(-1, 2))
    if heading is not None:
        state = state.replace(heading=jnp.array(heading, jnp.int32).reshape(-1))
    return state


def act(task: GoalCycle, state, *action: int, params=None):
    """One step, with one action per agent."""
    return game(task).step(state, jnp.array(action, jnp.int32), task.default_params() if params is None else params)


@functools.cache
def _perceive(view: ViewConfig):
    return jax.jit(lambda state, agent: observe_grid(state, agent, view), static_argnums=1)


def view_text(state, agent: int, view: ViewConfig) -> str:
    """View of an agent as text: ? unseen, # obstacle, . floor, G goal, a digit for another agent."""
    kind, visible, agents = (np.asarray(x) for x in _perceive(view)(state, agent))
    marks = np.where(kind == OBSTACLE, "#", np.where(kind == GOAL, "G", "."))
    for other in reversed(range(len(agents))):
        marks[agents[other]] = str(other)
    return "\n".join("".join(row) for row in np.where(visible, marks, "?"))
