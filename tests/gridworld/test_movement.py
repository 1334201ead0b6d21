import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.gridworld.tiles import OBSTACLE
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.grid_env import GridEnv
from tests.worlds import EAST, FORWARD, LEFT, NORTH, RIGHT, SMALL, SOUTH, WEST, act, game, start, task_on

ROOM = """
#########
#..#....#
#.......#
#1......#
#########
"""


@pytest.mark.parametrize(("heading", "to"), [(NORTH, (1, 2)), (EAST, (2, 3)), (SOUTH, (3, 2)), (WEST, (2, 1))])
def test_forward_by_hand(heading, to):
    task = task_on(ROOM)
    state, _ = act(task, start(task, (2, 2), heading), FORWARD)
    assert state.position.tolist() == [list(to)]
    assert state.heading.tolist() == [heading]


@pytest.mark.parametrize("heading", range(4))
def test_turning_by_hand(heading):
    task = task_on(ROOM)
    for action, turn in ((LEFT, -1), (RIGHT, 1)):
        state, _ = act(task, start(task, (2, 2), heading), action)
        assert state.heading.tolist() == [(heading + turn) % 4]
        assert state.position.tolist() == [[2, 2]]


@pytest.mark.parametrize("action", [3, 4, 5, 6])
def test_the_other_four_actions_do_nothing(action):
    task = task_on(ROOM)
    before = start(task, (2, 2), EAST)
    after, timestep = act(task, before, action)
    chex.assert_trees_all_equal(after.replace(step=before.step), before)
    assert timestep.reward.tolist() == [0]


@pytest.mark.parametrize(
    ("position", "heading"),
    [((1, 2), EAST), ((1, 2), NORTH), ((3, 7), EAST), ((3, 7), SOUTH), ((2, 1), WEST)],
)
def test_obstacles_and_border_stop_an_agent(position, heading):
    task = task_on(ROOM)
    state, _ = act(task, start(task, position, heading), FORWARD)
    assert state.position.tolist() == [list(position)]


def test_the_edge_of_an_open_map_stops_an_agent():
    task = task_on("....\n.1..\n....")
    for position, heading in (((0, 3), NORTH), ((0, 3), EAST), ((2, 0), SOUTH), ((2, 0), WEST)):
        state, _ = act(task, start(task, position, heading), FORWARD)
        assert state.position.tolist() == [list(position)]


def test_agents_that_overlap_share_a_cell_and_both_move_on():
    task = task_on(ROOM, agents=2)
    state, _ = act(task, start(task, [(2, 2), (2, 4)], [EAST, WEST]), FORWARD, FORWARD)
    assert state.position.tolist() == [[2, 3], [2, 3]]
    state, _ = act(task, state, FORWARD, FORWARD)
    assert state.position.tolist() == [[2, 4], [2, 2]]


COLLIDE = task_on(ROOM, agents=2, collide=True)


@jax.jit
def both_walk(states):
    """One step of COLLIDE in many environments at once; both agents go forward."""
    step = jax.vmap(game(COLLIDE).env.step, (0, None, None))
    return step(states, jnp.array([FORWARD, FORWARD]), COLLIDE.default_params())[0]


def test_two_agents_wanting_one_cell_take_turns_at_random_by_key():
    state = start(COLLIDE, [(2, 2), (2, 4)], [EAST, WEST])
    states = jax.vmap(lambda k: state.replace(key=k))(jax.random.split(jax.random.PRNGKey(3), 64))
    after = both_walk(states)
    first_won = (after.position[:, 0] == jnp.array([2, 3])).all(-1)
    second_won = (after.position[:, 1] == jnp.array([2, 3])).all(-1)
    assert (first_won ^ second_won).all()
    assert 16 < first_won.sum() < 48  # a fair coin: this far off once in 20,000 draws
    np.testing.assert_array_equal(after.position, both_walk(states).position)
    # The order is drawn afresh each step of an episode too.
    after = both_walk(jax.vmap(lambda t: state.replace(step=t))(jnp.arange(64)))
    assert 16 < (after.position[:, 0] == jnp.array([2, 3])).all(-1).sum() < 48


def test_colliding_agents_do_not_swap_nor_push():
    state, _ = act(COLLIDE, start(COLLIDE, [(2, 2), (2, 3)], [EAST, WEST]), FORWARD, FORWARD)
    assert state.position.tolist() == [[2, 2], [2, 3]]


def test_a_follower_moves_up_if_its_leader_goes_first():
    state = start(COLLIDE, [(2, 2), (2, 3)], [EAST, EAST])
    after = both_walk(jax.vmap(lambda k: state.replace(key=k))(jax.random.split(jax.random.PRNGKey(0), 64)))
    places = {tuple(map(tuple, p)) for p in after.position.tolist()}
    assert places == {((2, 3), (2, 4)), ((2, 2), (2, 4))}


@functools.cache
def wander(task: GoalCycle, worlds: int, steps: int):
    """Random episodes: positions, headings and agent masks [T+1, B, ...], rewards and tiles."""
    env, params = GridEnv(task), task.default_params()

    def run(key):
        reset_key, play_key = jax.random.split(key)
        state, _ = jax.vmap(env.reset, (0, None))(jax.random.split(reset_key, worlds), params)

        def step(state, key):
            # Forward half of the time, so that agents get about.
            action = jax.random.choice(key, jnp.array([0, 1, 2, 2]), (worlds, env.num_agents))
            state, timestep = jax.vmap(env.step, (0, 0, None))(state, action, params)
            return state, (state.position, state.heading, state.agent_mask, timestep.reward, action)

        _, played = jax.lax.scan(step, state, jax.random.split(play_key, steps))
        return state, played

    return jax.jit(run)


SIZES = [
    GoalCycle(
        height=5, width=9, num_goals=1, num_obstacles=5, views=(SMALL,) * 3, collide=True, spawn_delay=(0, 6, 11)
    ),
    GoalCycle(height=9, width=5, num_goals=4, num_obstacles=3, views=(SMALL,) * 4, collide=True),
    GoalCycle(height=3, width=12, num_goals=2, num_obstacles=0, views=(SMALL,) * 2),
]


@settings(max_examples=24)
@given(st.sampled_from(SIZES), st.integers(0, 2**31 - 1))
def test_any_play_respects_walls_and_bodies(task, seed):
    state, (position, heading, active, _, action) = wander(task, worlds=8, steps=40)(jax.random.PRNGKey(seed))
    state, position, heading, active, action = jax.tree.map(np.asarray, (state, position, heading, active, action))
    world = np.arange(8)[None, :, None]
    assert (state.tiles[world, position[..., 0], position[..., 1]] != OBSTACLE).all()
    assert (position > 0).all()
    assert (position < np.array([task.height - 1, task.width - 1])).all()
    assert ((heading >= 0) & (heading < 4)).all()
    stride = np.abs(np.diff(position, axis=0)).sum(-1)
    assert (stride <= (action[1:] == FORWARD)).all()  # one cell at most, and only by walking
    assert (stride <= active[:-1]).all()
    if task.collide:  # nobody shares a cell
        cell = position[..., 0] * 100 + position[..., 1]
        same = (cell[..., :, None] == cell[..., None, :]) & active[..., :, None] & active[..., None, :]
        assert not (same & ~np.eye(same.shape[-1], dtype=bool)).any()
        assert active[-1].any(-1).all()


# Spawn delay and presence.

LATE = task_on(ROOM, agents=2, spawn_delay=(0, 3))


def test_a_latecomer_is_absent_until_its_step():
    # Headings are such that agent 0, at the goal's east, would see agent 1 right ahead of it.
    state = start(LATE, [(2, 5), (2, 4)], [WEST, NORTH])
    blank = np.zeros(SMALL.shape, np.uint8)
    blank[..., 0] = 255  # the channel 'unseen'
    for t in range(3):
        assert state.agent_mask.tolist() == [True, False]
        state, timestep = act(LATE, state, 6, FORWARD)  # agent 1 would walk
        assert timestep.reward.tolist() == [0, 0]
        assert state.position[1].tolist() == [2, 4]
        assert state.heading[1] == NORTH
        ahead_of_0 = timestep.observation[0][0, 1, 3:7]
        if t < 2:
            np.testing.assert_array_equal(timestep.observation[1], blank)
            assert not ahead_of_0.any()
    assert state.agent_mask.tolist() == [True, True]
    assert not (timestep.observation[1] == blank).all()
    assert ahead_of_0.any()
    state, _ = act(LATE, state, 6, FORWARD)
    assert state.position[1].tolist() == [1, 4]


def test_a_latecomer_earns_nothing_before_it_comes():
    task = task_on("#####\n#A1.#\n#####", spawn_delay=(2,))
    state = start(task, heading=EAST)
    rewards = []
    for _ in range(4):
        state, timestep = act(task, state, FORWARD)
        rewards.append(float(timestep.reward[0]))
    assert rewards == [0, 0, 1, 0]


def test_an_absent_agent_is_not_in_the_way_and_waits_until_its_cell_is_free():
    task = task_on(ROOM, agents=2, collide=True, spawn_delay=(0, 2))
    state = start(task, [(2, 3), (2, 4)], [EAST, NORTH])
    state, _ = act(task, state, FORWARD, 6)  # walks over the absent one's cell
    assert state.position[0].tolist() == [2, 4]
    for _ in range(3):  # due at step 2, but its cell is taken
        state, timestep = act(task, state, 6, FORWARD)
        assert state.agent_mask.tolist() == [True, False]
        assert timestep.agent_mask.tolist() == [True, False]
    state, _ = act(task, state, FORWARD, 6)
    assert state.position[0].tolist() == [2, 5]
    assert state.agent_mask.tolist() == [True, True]
    state, _ = act(task, state.replace(heading=jnp.array([WEST, NORTH])), FORWARD, 6)
    assert state.position[0].tolist() == [2, 5]  # now it is in the way


def test_of_two_latecomers_on_one_cell_only_one_enters():
    task = task_on(ROOM, agents=3, collide=True, spawn_delay=(0, 1, 1))
    state = start(task, [(1, 1), (2, 4), (2, 4)], [NORTH] * 3)
    state, _ = act(task, state, 6, 6, 6)
    assert state.agent_mask.tolist() == [True, True, False]


def test_who_is_not_present_never_comes():
    task = task_on(ROOM, agents=2, spawn_delay=(0, 3))
    env, params = game(task).env, task.default_params()
    state, timestep = env.reset(jax.random.PRNGKey(0), params, jnp.array([True, False]))
    assert timestep.agent_mask.tolist() == [True, False]
    for _ in range(5):
        state, timestep = act(task, state, FORWARD, FORWARD)
        assert timestep.agent_mask.tolist() == [True, False]


def test_a_schedule_may_change_the_delay_without_recompiling():
    params = LATE.default_params()
    reset = game(LATE).reset
    reset(jax.random.PRNGKey(0), params)
    compiled = reset._cache_size()
    sooner = params.replace(world=params.world.replace(spawn_delay=jnp.zeros(2, jnp.int32)))
    assert reset(jax.random.PRNGKey(0), sooner)[1].agent_mask.tolist() == [True, True]
    assert reset._cache_size() == compiled


# Compilation and batching change nothing.


def test_jit_and_vmap_equal_plain_steps():
    task = GoalCycle(height=5, width=9, num_goals=2, num_obstacles=2, views=(SMALL, SMALL), collide=True)
    env, params = GridEnv(task), task.default_params()
    keys = jax.random.split(jax.random.PRNGKey(1), 3)
    actions = jax.random.randint(jax.random.PRNGKey(2), (3, 4, env.num_agents), 0, 3)

    def episode(key, actions):
        state, first = env.reset(key, params)
        return first, *jax.lax.scan(lambda s, a: env.step(s, a, params), state, actions)

    first, last, timestep = jax.jit(jax.vmap(episode))(keys, actions)
    reset, step = game(task).reset, game(task).step
    for i in range(3):
        state, opening = reset(keys[i], params)
        chex.assert_trees_all_equal(opening, jax.tree.map(lambda x, i=i: x[i], first))
        for t in range(4):
            state, now = step(state, actions[i, t], params)
            chex.assert_trees_all_equal(now, jax.tree.map(lambda x, i=i, t=t: x[i, t], timestep))
        chex.assert_trees_all_equal(state, jax.tree.map(lambda x, i=i: x[i], last))
    with jax.disable_jit():
        plain = env.step(state, actions[0, 0], params)
    chex.assert_trees_all_equal(plain, step(state, actions[0, 0], params))
