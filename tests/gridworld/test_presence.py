"""Agents that leave within an episode and return: by chance and at fixed steps."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.gridworld.presence import mean_presence
from rookery.tasks.goal_cycle import GoalCycle
from tests.worlds import FORWARD, NORTH, SMALL, STAY, WEST, act, game, start, task_on

ROOM = """
    #######
    #A...A#
    #..1..#
    #######
"""
LEAVING = task_on(ROOM, agents=2, dropout_slots=(1,), leave_step=2, return_step=4)


def masks(task, steps: int, params=None, seed: int = 0) -> np.ndarray:
    """Who is in the world after each step, all agents standing still. bool[T+1, A]."""
    params = task.default_params() if params is None else params
    state, _ = game(task).reset(jax.random.PRNGKey(seed), params)
    rows = [state.agent_mask]
    for _ in range(steps):
        state, timestep = act(task, state, *[STAY] * len(task.views), params=params)
        np.testing.assert_array_equal(timestep.agent_mask, state.agent_mask)
        rows.append(state.agent_mask)
    return np.array(rows)


def test_fixed_steps():
    assert masks(LEAVING, 6)[:, 1].tolist() == [True, True, False, False, True, True, True]
    assert masks(LEAVING, 6)[:, 0].all()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((0.0, 0.0, None, None, 8), 1.0),
        ((0.5, 0.0, None, None, 2), (1 + 0.5) / 2),
        ((0.5, 0.25, None, None, 3), (1 + 0.5 + (0.5 * 0.5 + 0.5 * 0.25)) / 3),
        ((1.0, 1.0, None, None, 4), 0.5),
        ((0.0, 0.0, 2, 4, 8), 0.75),
        ((0.0, 0.0, 6, None, 8), 0.75),
        ((0.0, 0.0, 4, 2, 8), 1.0),
    ],
)
def test_mean_presence_by_hand(arguments, expected):
    assert mean_presence(*arguments) == pytest.approx(expected)


def test_the_steps_are_parameters_that_do_not_recompile():
    step = game(LEAVING).step
    masks(LEAVING, 1)
    compiled = step._cache_size()
    params = LEAVING.default_params()
    at_once = params.replace(world=params.world.replace(leave_step=jnp.float32(0), return_step=jnp.float32(1)))
    assert masks(LEAVING, 3, at_once)[:, 1].tolist() == [False, True, True, True]
    assert step._cache_size() == compiled


def test_an_absent_agent_is_neither_seen_nor_paid_and_returns_where_it_left():
    state = start(LEAVING, [(1, 4), (1, 3)], [WEST, NORTH])  # agent 0 looks at agent 1, which then stands still
    state = state.replace(prestige=jnp.array([0.0, 2.0]))
    for t in range(5):
        is_there = t < 2 or t >= 4
        view = game(LEAVING).env.observe(state)
        assert bool(view[0][0, 1, 3:7].any()) == is_there, t
        assert bool(state.agent_mask[1]) == is_there
        if not is_there:
            assert (np.asarray(view[1])[..., 0] == 255).all()  # it sees nothing
        state, timestep = act(LEAVING, state, STAY, STAY if is_there else FORWARD)
        assert timestep.reward[1] == 0
        assert (state.position[1].tolist(), int(state.heading[1])) == ([1, 3], NORTH)
    assert state.prestige[1] == pytest.approx(2 * 0.99**3)  # it faded only in the three steps that the agent was there


def test_it_is_not_in_the_way_and_waits_until_its_cell_is_free():
    task = dataclasses.replace(LEAVING, collide=True, leave_step=1, return_step=2)
    state = start(task, [(1, 4), (1, 3)], [WEST, NORTH])
    state, _ = act(task, state, STAY, STAY)
    assert state.agent_mask.tolist() == [True, False]
    state, _ = act(task, state, FORWARD, STAY)
    assert state.position[0].tolist() == [1, 3]
    assert state.agent_mask.tolist() == [True, False]  # due, but another agent stands there
    state, _ = act(task, state, FORWARD, STAY)
    assert state.agent_mask.tolist() == [True, True]


def test_the_chain_has_the_rates_asked_for():
    """Leaving at 0.1 and returning at 0.3 per step, agents are away a quarter of the time, for 1 / 0.3 steps each."""
    task = task_on(ROOM, agents=2, dropout_slots=(0, 1), leave_prob=0.1, return_prob=0.3, max_steps=400)
    env, params = game(task).env, task.default_params()

    @jax.jit
    @jax.vmap
    def play(key):
        def step(state, _):
            state, _ = env.step(state, jnp.full(2, STAY), params)
            return state, state.agent_mask

        return jax.lax.scan(step, env.reset(key, params)[0], None, task.max_steps)[1]

    there = np.asarray(play(jax.random.split(jax.random.PRNGKey(1), 60)))  # E, T, A
    before, after = there[:, :-1], there[:, 1:]
    assert (before & ~after).sum() / before.sum() == pytest.approx(0.1, abs=0.01)
    assert (~before & after).sum() / (~before).sum() == pytest.approx(0.3, abs=0.02)
    assert (~there[:, 50:]).mean() == pytest.approx(0.25, abs=0.02)
    correlation = np.corrcoef(there[..., 0].ravel(), there[..., 1].ravel())[0, 1]
    assert abs(correlation) < 0.05  # the agents are independent of each other


def test_an_agent_that_takes_no_part_never_comes():
    state, _ = game(LEAVING).reset(jax.random.PRNGKey(0), LEAVING.default_params(), jnp.array([True, False]))
    for _ in range(6):
        state, timestep = act(LEAVING, state, STAY, STAY)
        assert timestep.agent_mask.tolist() == [True, False]


def test_a_chain_that_never_moves_changes_nothing():
    """The same world with dropout at probability 0: no other random number changes."""
    plain = GoalCycle(height=7, width=7, num_obstacles=2, views=(SMALL,) * 2, collide=True)
    still = dataclasses.replace(plain, dropout_slots=(1,))
    states = []
    for task in (plain, still):
        state, _ = game(task).reset(jax.random.PRNGKey(5), task.default_params())
        for action in (FORWARD, 0, FORWARD, FORWARD, 1, FORWARD) * 3:
            state, timestep = act(task, state, action, FORWARD)
        states.append((state.replace(away=None), timestep))
    for one, other in zip(*map(jax.tree.leaves, states), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dropout_slots": (2,)}, r"dropout_slots=\(2,\) must hold different slots from 0 to 1"),
        ({"dropout_slots": (1,), "leave_prob": 1.5}, r"leave_prob=1\.5 must lie in"),
        ({"dropout_slots": (1,), "leave_step": -1}, "leave_step=-1 must be at least 0"),
        ({"leave_prob": 0.5}, "leave_prob is for agents in dropout_slots, which is empty; add slots, or leave it out"),
        ({"return_prob": 0.5}, "return_prob is for agents in dropout_slots, which is empty"),
        ({"leave_step": 0.0}, "leave_step is for agents in dropout_slots, which is empty"),
        ({"return_step": 5.0}, "return_step is for agents in dropout_slots, which is empty"),
        (
            {"dropout_slots": (1,), "leave_step": 5.0, "return_step": 5.0},
            r"return_step=5\.0 must be later than leave_step=5\.0",
        ),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        task_on(ROOM, agents=2, **changes)
