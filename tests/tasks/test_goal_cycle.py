from types import SimpleNamespace

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.gridworld.spec import ViewConfig
from rookery.gridworld.tiles import GOAL
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.grid_env import GridEnv
from rookery.types import TimeStep
from tests.worlds import EAST, FORWARD, LEFT, NORTH, SMALL, act, game, put, start, task_on

# Goal k stands at (k, 2) of its own row with floor to its left, so that one step east enters it.
LINE = """
#########
#.1.....#
#.2.....#
#.3.....#
#########
"""
A, B, C = 0, 1, 2


def enter(task, state, *goals, params=None):
    """Put each agent to the left of its goal (None: leave it where it is) and let it enter."""
    position, heading, action = state.position, state.heading, []
    for agent, goal in enumerate(goals):
        if goal is None:
            action.append(6)
            continue
        row, col = state.task.goals[goal]
        position = position.at[agent].set(jnp.stack([row, col - 1]))
        heading = heading.at[agent].set(EAST)
        action.append(FORWARD)
    return act(task, state.replace(position=position, heading=heading), *action, params=params)


def rewards(order, task=None):
    task = task or task_on(LINE)
    state, paid = start(task), []
    for goal in order:
        state, timestep = enter(task, state, goal)
        paid.append(float(timestep.reward[0]))
    return paid


def test_text_keeps_its_columns_with_ten_goals_and_more():
    task = GoalCycle(map="#############\n#...........#\n#############", num_goals=10, views=(SMALL,))
    tiles = task.base_tiles
    tiles[1, 1:11] = GOAL
    goals = np.array([[1, col] for col in range(1, 11)])
    state = SimpleNamespace(
        tiles=tiles, task=SimpleNamespace(goals=goals), agent_mask=[True], position=[[1, 11]], heading=[1]
    )
    lines = task.to_text(state).split("\n")  # type: ignore[arg-type]
    assert {len(line) for line in lines} == {13 * 3 - 1}
    assert lines[1].split() == ["#", *map(str, range(1, 11)), ">", "#"]
    state.task.goals = goals[:9]
    assert task.to_text(state).split("\n")[1] == "# 1 2 3 4 5 6 7 8 9 G > #"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("order", "paid"),
    [
        ([A, B, C, A], [1, 1, 1, 1]),
        ([B, C, A, B], [1, 1, 1, 1]),
        ([C, A, B, C], [1, 1, 1, 1]),
        ([A, A], [1, -1.5]),
        ([A, C, B], [1, -1.5, 1]),  # a mistake leaves the wanted successor as it was
        ([A, C, A, B, C], [1, -1.5, -1.5, 1, 1]),
        ([C, B, B, A], [1, -1.5, -1.5, 1]),
    ],
)
def test_rewards_by_hand(order, paid):
    assert rewards(order) == paid


def test_four_goals_by_hand():
    task = task_on("#########\n#.1..3..#\n#.2..4..#\n#.......#\n#########")
    assert rewards([3, 0, 1, 2, 3, 1, 0], task) == [1, 1, 1, 1, 1, -1.5, 1]


def test_a_single_goal_pays_each_time_it_is_entered():
    task = task_on("#########\n#.1.....#\n#.......#\n#########")
    assert rewards([0, 0, 0], task) == [1, 1, 1]


def test_standing_on_a_goal_is_free():
    task = task_on("#########\n#.1#....#\n#########")
    state, timestep = enter(task, start(task), A)
    assert timestep.reward.tolist() == [1]
    for action in (
        LEFT,
        LEFT,
        LEFT,
        LEFT,
        3,
        4,
        5,
        6,
        FORWARD,
    ):  # the last one into the block behind the goal
        state, timestep = act(task, state, action)
        assert state.position.tolist() == [[1, 2]]
        assert timestep.reward.tolist() == [0]
        assert timestep.info["goals"].tolist() == timestep.info["mistakes"].tolist() == [0]


def test_an_episode_may_start_on_a_goal_and_that_pays_nothing():
    task = task_on(LINE)
    state = start(task, (1, 2), NORTH)
    _, timestep = act(task, state, LEFT)
    assert timestep.reward.tolist() == [0]
    assert state.task.last_goal.tolist() == [-1]


def test_each_agent_is_paid_for_itself_alone():
    task = task_on(LINE, agents=3)
    state, timestep = enter(task, start(task, [(3, 7)] * 3), A, None, B)
    assert timestep.reward.tolist() == [1, 0, 1]
    state, timestep = enter(task, state, C, A, C)  # wrong; first; right
    assert timestep.reward.tolist() == [-1.5, 1, 1]
    assert state.task.last_goal.tolist() == [0, 0, 2]
    state, timestep = enter(task, state, B, B, B)  # all on one cell
    assert timestep.reward.tolist() == [1, 1, -1.5]
    assert timestep.info["goals"].tolist() == [1, 1, 0]
    assert timestep.info["mistakes"].tolist() == [0, 0, 1]


def test_what_others_do_changes_no_reward():
    task = task_on(LINE, agents=2)
    for other in (None, A, B, C):
        state, paid = start(task, [(3, 7)] * 2), []
        for goal in (A, C, B):
            state, timestep = enter(task, state, goal, other)
            paid.append(float(timestep.reward[0]))
        assert paid == [1, -1.5, 1]


def test_prestige_follows_the_rewards():
    task = task_on(LINE, agents=2)
    state, _ = enter(task, start(task, [(3, 7)] * 2), A, None)
    np.testing.assert_allclose(state.prestige, [1, 0])
    state, _ = enter(task, state, None, None)
    np.testing.assert_allclose(state.prestige, [0.99, 0], rtol=1e-6)
    state, _ = enter(task, state, B, A)
    np.testing.assert_allclose(state.prestige, [0.99**2 + 1, 1], rtol=1e-6)
    state, _ = enter(task, state, A, B)
    np.testing.assert_allclose(state.prestige, [0, 1.99], rtol=1e-6)


def test_the_time_limit_is_exact_and_no_death():
    task = task_on(LINE, max_steps=7)
    state, timestep = game(task).reset(jax.random.PRNGKey(0), task.default_params())
    assert timestep.is_first
    assert not timestep.truncated
    for t in range(1, 8):
        state, timestep = act(task, state, 6)
        assert bool(timestep.truncated) == (t == 7)
        assert not timestep.terminated
        assert not timestep.is_first
        assert int(state.step) == t
    assert GoalCycle().max_steps == 250


def test_a_changed_penalty_is_felt_and_does_not_recompile():
    task, traces = task_on(LINE), []
    params = task.default_params()

    @jax.jit
    def step(state, action, params):
        traces.append(1)
        return GridEnv(task).step(state, action, params)

    state = put(start(task), (1, 1), EAST)
    state = state.replace(task=state.task.replace(last_goal=jnp.array([A])))
    for penalty in (1.5, 0.5, 0.0):
        _, timestep = step(state, jnp.array([FORWARD]), params.replace(penalty=jnp.float32(penalty)))
        assert timestep.reward.tolist() == [-penalty]
        assert timestep.info["mistakes"].tolist() == [1]
    _, timestep = step(put(state, (2, 1)), jnp.array([FORWARD]), params.replace(goal_reward=jnp.float32(2)))
    assert timestep.reward.tolist() == [2]
    assert len(traces) == 1


def test_reset_and_step_tell_the_same_things():
    task = GoalCycle(height=7, width=9, views=(SMALL,) * 2, num_obstacles=4)
    env, params = GridEnv(task), task.default_params()
    state, first = game(task).reset(jax.random.PRNGKey(0), params)
    after, timestep = game(task).step(state, jnp.array([2, 2]), params)
    assert isinstance(timestep, TimeStep)
    chex.assert_trees_all_equal_shapes_and_dtypes(first, timestep)
    chex.assert_trees_all_equal_shapes_and_dtypes(state, after)
    assert first.observation.dtype == np.uint8
    assert first.observation.shape == (2, *env.observation_shape(0))
    assert first.reward.tolist() == [0, 0]
    assert (env.num_agents, env.num_actions, env.max_steps) == (2, 7, 250)


def test_views_of_different_shapes_come_as_a_tuple():
    task = GoalCycle(height=7, width=7, num_obstacles=0, views=(SMALL, ViewConfig(size=5)))
    env = GridEnv(task)
    timestep = jax.eval_shape(env.reset, jax.random.PRNGKey(0), task.default_params())[1]
    assert [view.shape for view in timestep.observation] == [(3, 3, 8), (15, 15, 3)]
    assert [env.observation_shape(slot) for slot in range(2)] == [(3, 3, 8), (15, 15, 3)]


def test_three_actions():
    assert GridEnv(GoalCycle(num_actions=3)).num_actions == 3
    task = task_on(LINE, num_actions=3)
    for action, position, heading in ((0, [2, 5], NORTH), (1, [2, 5], 2), (2, [2, 6], EAST)):
        state, _ = act(task, start(task, (2, 5), EAST), action)
        assert (state.position[0].tolist(), int(state.heading[0])) == (position, heading)
