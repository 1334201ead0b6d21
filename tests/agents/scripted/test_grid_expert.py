"""Experts limited to their own view, in Goal Cycle."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents import scripted
from rookery.gridworld.spec import ViewConfig
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.grid_env import GridEnv
from tests.agents.scripted.play import play
from tests.worlds import EAST, SMALL, STAY, act, start, task_on

VIEW = ViewConfig(size=5, observation_type="symbolic")
CLUTTERED = GoalCycle(
    height=7, width=11, num_goals=3, num_obstacles=12, views=(VIEW, SMALL, SMALL), num_actions=3, max_steps=60
)
ROOMS = """
    #########
    #1..#...#
    #...#.#.#
    #.....#.#
    ####A##2#
    #########
"""
ACT = jax.jit(lambda expert, carry, obs, is_first, key: expert.act((), carry, obs, is_first, key), static_argnums=0)


def scout(task):
    return scripted.make_expert(task, "partial")


def test_cells_it_has_not_seen_do_not_change_what_it_does():
    played = [play(scout(CLUTTERED), CLUTTERED, seed) for seed in range(8)]
    assert all(one.same.all() for one in played)
    assert np.mean([one.reward.sum() for one in played]) > 2  # it does earn something


def test_it_explores_finds_the_order_and_remembers_the_way():
    """Two goals in rooms from which the other is not visible."""
    reward = play(scout(task_on(ROOMS, view=VIEW, max_steps=90)), task_on(ROOMS, view=VIEW, max_steps=90)).reward
    paid = np.flatnonzero(reward > 0)
    assert len(paid) >= 5
    assert not (reward < 0).any()
    # From one to the other and back by the shortest way: an about-turn, 2 + 4 + 2 + 2 + 3 steps, four corners.
    assert set(np.diff(paid)[1:]) == {2 + 13 + 4}


def test_a_goal_it_cannot_see_is_found_by_walking_over_it():
    hidden = dataclasses.replace(VIEW, can_hide_goals=True)
    task = task_on("########\n#1...2.#\n#.A....#\n########", view=hidden, max_steps=80)
    played = play(scout(task), task)
    paid = np.flatnonzero(played.reward > 0)
    assert len(paid) >= 5
    assert (np.diff(paid)[2:] == 2 + 4).all()  # once it knows both
    assert not (played.reward < 0).any()
    assert played.same.all()


def test_where_agents_collide_it_walks_around_another():
    task = task_on("#######\n#A.A.1#\n#.....#\n#######", agents=2, view=VIEW, collide=True, max_steps=10)
    state = start(task, [[1, 1], [1, 3]], [EAST, EAST])
    expert = scout(task)
    carry, rewards = expert.initial_carry(1), []
    for t in range(10):
        obs = jax.tree.map(lambda x: x[None], state), jnp.zeros(1, jnp.int32)
        action, carry, _ = ACT(expert, carry, obs, jnp.array([t == 0]), jax.random.PRNGKey(t))
        state, timestep = act(task, state, int(action[0]), STAY)
        rewards.append(float(timestep.reward[0]))
    # Four steps across, one down, one up; right, left, left.
    assert np.flatnonzero(rewards)[0] + 1 == 4 + 2 + 3


def test_means_are_near_those_of_the_planner_that_sees_the_map():
    task = GoalCycle(num_goals=3, views=(ViewConfig(observation_type="symbolic"),))
    env, expert, num_envs = GridEnv(task), scout(task), 100
    slots = jnp.zeros(num_envs, jnp.int32)

    @jax.jit
    def returns(keys):
        states, _ = jax.vmap(env.reset, (0, None))(keys, task.default_params())

        def step(loop, t):
            states, carry = loop
            action, carry, _ = expert.act((), carry, (states, slots), jnp.full(num_envs, t == 0), None)
            states, timestep = jax.vmap(env.step, (0, 0, None))(states, action[:, None], task.default_params())
            return (states, carry), (timestep.reward[:, 0], timestep.info["mistakes"][:, 0])

        return jax.lax.scan(step, (states, expert.initial_carry(num_envs)), jnp.arange(task.max_steps))[1]

    reward, mistakes = returns(jax.random.split(jax.random.PRNGKey(0), num_envs))
    assert 21.5 < float(reward.sum(0).mean()) < 26.5  # 24.4 over 500 episodes
    assert 0.35 < float(mistakes.sum(0).mean()) < 0.9
