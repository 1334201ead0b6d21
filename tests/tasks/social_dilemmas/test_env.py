import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.tasks.registry import TASKS, make_env
from rookery.tasks.social_dilemmas.box_trapped import BoxTrapped
from rookery.tasks.social_dilemmas.cleanup import Cleanup
from rookery.tasks.social_dilemmas.dilemma_tiles import APPLE, FIRE, RIVER, STAY, WALL, WASTE
from rookery.tasks.social_dilemmas.harvest import Harvest
from rookery.tasks.social_dilemmas.maps import CLEANUP_SMALL, HARVEST_SMALL
from rookery.training.train_step import _scalar_params, with_scalar_params
from tests.tasks.social_dilemmas.worlds import EAST

SMALL = {
    "cleanup": Cleanup(map=CLEANUP_SMALL, num_agents=4, view_radius=2, max_steps=60, depletion_threshold=0.9),
    "harvest": Harvest(
        map=HARVEST_SMALL, num_agents=4, view_radius=2, max_steps=60, regrowth_probs=(0.0, 0.2, 0.2, 0.2)
    ),
}


def episode(env, key, worlds: int = 8):
    """Random episodes in several environments: states [T+1, E], time steps and actions [T, E]."""
    params = env.default_params()

    def play(key):
        start = env.reset(key, params)

        def advance(state, key):
            action = jax.random.randint(key, (env.num_agents,), 0, env.num_actions)
            after, timestep = env.step(state, action, params)
            return after, (after, timestep, action)

        _, (states, timestep, actions) = jax.lax.scan(advance, start[0], jax.random.split(key, env.max_steps))
        return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), start[0], states), timestep, actions

    return jax.device_get(jax.jit(jax.vmap(play, out_axes=1))(jax.random.split(key, worlds)))


@pytest.fixture(scope="module", params=SMALL)
def played(request):
    task = SMALL[request.param]
    env = make_env(task)
    return task, env, episode(env, jax.random.PRNGKey(4))


def test_nobody_shares_a_cell_or_stands_in_a_wall(played):
    task, _, (states, _, _) = played
    cell = states.position[..., 0] * 100 + states.position[..., 1]
    assert (np.diff(np.sort(cell, -1)) > 0).all()
    assert (task.parsed_map.tiles[states.position[..., 0], states.position[..., 1]] != WALL).all()


def test_tiles_change_only_as_they_may(played):
    task, _, (states, _, _) = played
    parsed_map = task.parsed_map
    assert not ((states.tiles == APPLE) & ~parsed_map.orchard).any()
    assert not ((states.tiles == WASTE) & ~parsed_map.river).any()
    fixed = ~parsed_map.orchard & ~parsed_map.river
    assert (states.tiles[..., fixed] == parsed_map.tiles[fixed]).all()
    assert np.isin(states.tiles[..., parsed_map.river], (RIVER, WASTE)).all()
    changed = states.tiles[1:] != states.tiles[:-1]
    assert changed.any(), "nothing ever happened"
    assert ((changed & (states.tiles[1:] == WASTE)).sum((-1, -2)) <= 1).all()


def test_no_beam_in_a_wall(played):
    task, _, (states, _, _) = played
    assert states.beam.any()
    assert not (states.beam[..., task.parsed_map.tiles == WALL] > 0).any()


def test_rewards_are_what_was_counted(played):
    _, _, (_, timestep, _) = played
    info = timestep.info
    assert info["apples"].sum() > 0
    assert info["hits"].sum() > 0
    np.testing.assert_array_equal(timestep.reward, info["apples"] - info["zaps"] - 50 * info["times_zapped"])
    np.testing.assert_array_equal(info["hits"].sum(-1), info["times_zapped"].sum(-1))
    moment = np.arange(1, len(timestep.reward) + 1)[:, None, None]
    np.testing.assert_array_equal(info["apple_steps"], info["apples"] * moment)


def test_waste_is_cleaned_and_counted(played):
    task, _, (states, timestep, _) = played
    if task.kind == "cleanup":
        waste = (states.tiles == WASTE).sum((-1, -2)).astype(int)
        grown = waste[1:] - waste[:-1] + timestep.info["cleaned"].sum(-1)
        assert timestep.info["cleaned"].sum() > 0
        assert set(np.unique(grown)) == {0, 1}
    else:
        assert "cleaned" not in timestep.info


def test_an_episode_ends_at_the_limit_and_never_before(played):
    _, _, (_, timestep, _) = played
    assert timestep.truncated[-1].all()
    assert not timestep.truncated[:-1].any()
    assert not timestep.terminated.any()
    assert not timestep.is_first.any()


def test_observations_have_the_shape_that_is_told(played):
    _, env, (_, timestep, _) = played
    assert timestep.observation.dtype == np.uint8
    assert timestep.observation.shape[2:] == (env.num_agents, *env.observation_shape(0))


def test_the_same_key_gives_the_same_episode(played):
    _, env, (states, timestep, actions) = played
    again = episode(env, jax.random.PRNGKey(4))
    jax.tree.map(np.testing.assert_array_equal, again, (states, timestep, actions))
    other = episode(env, jax.random.PRNGKey(5))
    assert (other[0].position != states.position).any()


def test_without_compilation(played):
    """One step outside of jax.jit equals that of the compiled program."""
    _, env, (states, timestep, actions) = played
    state = jax.tree.map(lambda x: jnp.asarray(x[10, 0]), states)
    with jax.disable_jit():
        after, step = env.step(state, jnp.asarray(actions[10, 0]), env.default_params())
    jax.tree.map(np.testing.assert_array_equal, after, jax.tree.map(lambda x: x[11, 0], states))
    jax.tree.map(np.testing.assert_array_equal, step, jax.tree.map(lambda x: x[10, 0], timestep))


def test_starts_are_drawn_among_the_maps():
    env = make_env(SMALL["harvest"])
    states, first = jax.jit(jax.vmap(env.reset, (0, None)))(
        jax.random.split(jax.random.PRNGKey(0), 64), env.default_params()
    )
    cells = {tuple(cell) for cell in np.asarray(states.position).reshape(-1, 2)}
    assert cells == {tuple(cell) for cell in env.task.parsed_map.spawn_cells}
    assert set(np.unique(states.heading)) == {0, 1, 2, 3}
    assert first.is_first.all()
    assert not first.reward.any()


def test_the_absent_take_no_part():
    env = make_env(SMALL["cleanup"])
    params, step = env.default_params(), jax.jit(env.step)
    state, timestep = env.reset(jax.random.PRNGKey(0), params, jnp.array([True, False, True, False]))
    state = state.replace(position=jnp.array([(1, 5), (1, 6), (1, 7), (3, 7)]), heading=jnp.full(4, EAST, jnp.int32))
    np.testing.assert_array_equal(timestep.agent_mask, [True, False, True, False])
    after, timestep = step(state, jnp.array([FIRE, FIRE, STAY, FIRE]), params)
    np.testing.assert_array_equal(timestep.reward, [-1, 0, -50, 0])
    np.testing.assert_array_equal(after.heading, state.heading)
    np.testing.assert_array_equal(timestep.agent_mask, [True, False, True, False])
    assert (timestep.observation[1] == timestep.observation[1, 0, 0]).all(), "absent agents see something"
    assert (timestep.observation[0, 2, 3:] == np.array(timestep.observation[0, 2, 3])).any()


def test_schedules_reach_the_numbers_without_recompiling():
    task = dataclasses.replace(SMALL["cleanup"], max_steps=3)
    env, traces = make_env(task), []
    assert {
        "apple_reward",
        "fire_cost",
        "hit_cost",
        "apple_respawn_prob",
        "waste_spawn_prob",
        "depletion_threshold",
    } == set(_scalar_params(task.default_params()))

    @jax.jit
    def reward(state, params):
        traces.append(1)
        return env.step(state, jnp.array([FIRE, STAY, STAY, STAY]), params)[1].reward[0]

    state, _ = env.reset(jax.random.PRNGKey(0), task.default_params(), jnp.arange(4) == 0)
    for cost in (1.0, 0.25):
        changed = with_scalar_params(task.default_params(), {"fire_cost": jnp.float32(cost)})
        assert reward(state, changed) == -cost
    assert len(traces) == 1


def test_the_papers_worlds():
    cleanup, harvest = make_env(TASKS["cleanup-v0"][1]), make_env(TASKS["harvest-v0"][1])
    assert (cleanup.num_agents, cleanup.num_actions, cleanup.max_steps) == (5, 9, 1000)
    assert (harvest.num_agents, harvest.num_actions, harvest.max_steps) == (5, 8, 1000)
    assert cleanup.observation_shape(0) == harvest.observation_shape(4) == (15, 15, 3)
    assert cleanup.action_names[-2:] == ("fire", "clean")


TRAPPED = BoxTrapped(view_radius=2)
OPEN = TRAPPED.action_names.index("open")


def test_the_box_holds_until_agent_0_opens_it():
    env = TRAPPED.make_env()
    params, step = env.default_params(), jax.jit(env.step)
    state, _ = env.reset(jax.random.PRNGKey(0), params)
    for way in range(4):
        state, timestep = step(state, jnp.array([STAY, way]), params)
    state, timestep = step(state, jnp.array([STAY, OPEN]), params)
    np.testing.assert_array_equal(state.position, [(4, 5), (2, 7)])
    assert timestep.info["opened"].sum() == 0
    np.testing.assert_array_equal(state.tiles, TRAPPED.parsed_map.tiles)

    far = state.replace(position=jnp.array([(5, 5), (2, 7)]))
    assert (step(far, jnp.array([OPEN, STAY]), params)[0].tiles == TRAPPED.parsed_map.tiles).all(), "out of reach"

    opened, timestep = step(state, jnp.array([OPEN, STAY]), params)
    np.testing.assert_array_equal(timestep.info["opened"], [1, 0])
    np.testing.assert_array_equal(timestep.reward, [0, 0])
    assert not (np.asarray(opened.tiles) == TRAPPED.parsed_map.tiles)[TRAPPED.parsed_map.box].any()
    assert (np.asarray(opened.tiles) == TRAPPED.parsed_map.tiles)[~TRAPPED.parsed_map.box].all()
    free, timestep = step(opened.replace(heading=jnp.zeros(2, jnp.int32)), jnp.array([OPEN, 2]), params)
    np.testing.assert_array_equal(free.position[1], (1, 7))
    assert timestep.info["opened"].sum() == 0, "there is nothing left to open"


def test_apples_never_run_out():
    env = TRAPPED.make_env()
    params, step = env.default_params(), jax.jit(env.step)
    state, _ = env.reset(jax.random.PRNGKey(0), params)
    state = state.replace(position=jnp.array([(2, 1), (2, 7)]), heading=jnp.zeros(2, jnp.int32))
    total = 0.0
    for way in (1, 1, 0, 1, 0, 1, STAY):  # to and fro between two apples; the last step stands still
        state, timestep = step(state, jnp.array([way, STAY]), params)
        total += float(timestep.reward[0])
    assert total == 6
    assert (np.asarray(state.tiles) == APPLE).sum() == 3, "one is underfoot"
