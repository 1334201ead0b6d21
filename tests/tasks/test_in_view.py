"""Which agents each agent sees, on the gridworld and in social dilemmas: oblong maps, results by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from rookery.gridworld.spec import ViewConfig
from rookery.gridworld.tiles import OBSTACLE
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.registry import make_env
from rookery.tasks.social_dilemmas.harvest import Harvest

NORTH, EAST, SOUTH, WEST = range(4)

MAP = """
###########
#A...A...A#
#........o#
#....A....#
###########
"""


def in_view(env, state) -> list[list[int]]:
    visible = np.asarray(env.in_view(state))
    return [list(np.flatnonzero(row)) for row in visible]


def test_in_a_dilemma_all_within_the_square():
    env = make_env(Harvest(map=MAP, num_agents=4, view_radius=2))
    state, _ = env.reset(jax.random.PRNGKey(0), env.default_params())
    state = state.replace(position=jnp.array([[1, 1], [1, 3], [3, 3], [3, 6]]), heading=jnp.array([0, 1, 2, 3]))
    assert in_view(env, state) == [[1, 2], [0, 2], [0, 1], []]
    assert in_view(env, state.replace(agent_mask=jnp.array([True, False, True, True]))) == [[2], [], [0], []]


def test_in_a_grid_ahead_and_not_behind_obstacles():
    view = ViewConfig(size=5, rows_behind=0, observation_type="symbolic")
    env = make_env(GoalCycle(height=6, width=9, num_goals=2, num_obstacles=1, views=(view,) * 3, num_actions=3))
    state, _ = env.reset(jax.random.PRNGKey(0), env.default_params())
    clear = state.tiles.at[1:-1, 1:-1].set(0)
    state = state.replace(
        tiles=clear, position=jnp.array([[2, 1], [2, 4], [2, 6]]), heading=jnp.array([EAST, WEST, EAST])
    )
    assert in_view(env, state) == [[1], [0], []]  # 2 is five cells off, and looks away
    wall = state.replace(tiles=clear.at[1:4, 3].set(OBSTACLE))
    assert in_view(env, wall) == [[], [], []]
    assert in_view(env, state.replace(heading=jnp.array([EAST, EAST, WEST]))) == [[1], [2], [1]]
