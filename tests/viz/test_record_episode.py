import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.random_policy import RandomPolicy
from rookery.agents.scripted.goal_cycle_expert import GoalCyclePlanner
from rookery.agents.team import AgentGroup, Team
from rookery.gridworld.spec import ViewConfig
from rookery.tasks.grid_env import GridEnv
from rookery.training.evaluation import evaluation_key
from rookery.viz import record_episode as module
from rookery.viz.record_episode import record_episode
from rookery.viz.render_state import PREVIEW_TILE_SIZE
from tests.tiny import TASK, params, policy
from tests.worlds import game

PIXELS = ViewConfig(size=5, tile_size=2)
FILMED = dataclasses.replace(TASK, views=(TASK.views[0], PIXELS, PIXELS), max_steps=12, penalty=0.5)
TEAM = Team((
    AgentGroup("novice", (0,), policy()),
    AgentGroup("expert", (2,), GoalCyclePlanner(FILMED.num_goals, FILMED.height, FILMED.width)),
    AgentGroup("chance", (1,), RandomPolicy(FILMED.num_actions)),
))  # fmt: skip
PARAMS = {"novice": params(), "expert": (), "chance": ()}
STEP = np.array([[-1, 0], [0, 1], [1, 0], [0, -1]])


@pytest.fixture(scope="module", autouse=True)
def no_players_of_other_files():
    module._compiled_episode.cache_clear()


@pytest.fixture(scope="module")
def film():
    return record_episode(GridEnv(FILMED), TEAM, PARAMS, seed=3, note="a note")


@pytest.fixture(scope="module")
def alone():
    return record_episode(GridEnv(FILMED), TEAM, PARAMS, seed=3, agent_mask=np.array([True, False, False]))


def test_what_it_says_of_itself(film):
    assert (film.num_steps, film.num_agents, film.height, film.width) == (12, 3, 5, 6)
    assert film.agent_names == ("novice", "chance", "expert")
    assert film.roles == ("frozen", "random", "scripted")
    assert film.action_names == ("left", "right", "forward", "wait")
    assert (film.task, film.note) == ("goal-cycle", "a note")
    side = TASK.views[0].size * PREVIEW_TILE_SIZE
    assert [view.shape for view in film.views] == [(13, side, side, 3), (13, 10, 10, 3), (13, 10, 10, 3)]


def test_it_is_the_episode_the_environment_plays(film):
    """Its actions, given to the environment from the same key, bring the same worlds, rewards and views."""
    world = game(FILMED)
    key = jax.random.split(evaluation_key(3, 10_000), 1)[0]
    state, timestep = world.reset(jax.random.split(key)[0], FILMED.default_params())
    np.testing.assert_array_equal(film.goals, state.task.goals)
    for t in range(film.num_steps + 1):
        np.testing.assert_array_equal(film.position[t], state.position)
        np.testing.assert_array_equal(film.heading[t], state.heading)
        np.testing.assert_array_equal(film.tiles[t], state.tiles)
        np.testing.assert_array_equal(film.agent_mask[t], state.agent_mask)
        for agent in (1, 2):  # who see pixels are filmed as they see
            np.testing.assert_array_equal(film.views[agent][t], timestep.observation[agent])
        if t < film.num_steps:
            state, timestep = world.step(state, jnp.asarray(film.action[t], jnp.int32), FILMED.default_params())
            np.testing.assert_array_equal(film.reward[t], timestep.reward)


def test_rewards_are_those_of_the_goals_entered(film):
    """Told again by hand, from positions alone."""
    for agent in range(film.num_agents):
        last = None
        for t in range(film.num_steps):
            here, there = film.position[t, agent], film.position[t + 1, agent]
            entered = [k for k, goal in enumerate(film.goals) if (there == goal).all() and (here != there).any()]
            expected = 0.0
            if entered:
                right = last is None or entered[0] == (last + 1) % FILMED.num_goals
                expected, last = (1.0, entered[0]) if right else (-0.5, last)
            assert film.reward[t, agent] == expected
    assert film.returns()[-1, 2] == film.reward[:, 2].sum() > 0  # the planner knows its trade


def test_moves_are_those_of_the_actions(film):
    for agent in range(film.num_agents):
        for t in range(film.num_steps):
            turned = (film.heading[t + 1, agent] - film.heading[t, agent]) % 4
            moved = film.position[t + 1, agent] - film.position[t, agent]
            name = film.action_names[film.action[t, agent]]
            assert turned == {"left": 3, "right": 1, "forward": 0}[name]
            if name == "forward":
                assert tuple(moved) in ((0, 0), tuple(STEP[film.heading[t, agent]]))
            else:
                assert tuple(moved) == (0, 0)


def test_what_is_in_sight(film):
    for agent in range(film.num_agents):
        for t in range(film.num_steps + 1):
            row, col = film.position[t, agent]
            assert film.visible[agent][t, row, col]  # where it stands
            lit = np.argwhere(film.visible[agent][t])
            reach = 4 if agent else 2
            assert np.abs(lit - (row, col)).max() <= reach


def test_who_is_absent_is_absent(alone, film):
    np.testing.assert_array_equal(alone.agent_mask, np.tile([True, False, False], (13, 1)))
    np.testing.assert_array_equal(alone.reward[:, 1:], 0)
    np.testing.assert_array_equal(alone.goals, film.goals)  # the same world
    np.testing.assert_array_equal(alone.position[0, 0], film.position[0, 0])
    assert film.agent_mask.all()


def test_presence_and_parameters_need_no_new_program(alone, film):
    """Two films of one team, as the demo shows them, are compiled once."""
    assert module._compiled_episode.cache_info().currsize == 1
    (play,) = [module._compiled_episode(GridEnv(FILMED), TEAM)]
    assert play._cache_size() == 1


def test_the_median_of_several(monkeypatch):
    returns = []
    real = jax.device_get

    def record_transfer(tree):
        tree = real(tree)
        returns.append(float(tree[1][:, 2].sum()))
        return tree

    monkeypatch.setattr(module.jax, "device_get", record_transfer)
    film = record_episode(GridEnv(FILMED), TEAM, PARAMS, seed=1, episodes=7, focal_slot=2)
    assert len(returns) == 7
    assert film.returns()[-1, 2] == pytest.approx(sorted(returns)[3])
    film = record_episode(GridEnv(FILMED), TEAM, PARAMS, seed=1, episodes=7, rank=lambda film: film.returns()[-1, 2])
    assert film.returns()[-1, 2] == pytest.approx(max(returns))


def test_a_teams_film_holds_the_influence_of_the_episode_it_shows():
    """A chain of two: the recorded influence is the mean reward of the influencer, and 0 the other way."""
    from rookery.keys import RECORDED_EPISODES
    from rookery.learning.rollout import rollout
    from rookery.training.build import build
    from rookery.viz.record_episode import record_run
    from tests.training.test_team_influence import config

    run = build(config())
    learners = jax.tree.map(lambda x: x[0], run.init().learners)
    team = record_run(run, learners, seed=2, note="pair")
    assert team.influence.shape == (6, 2, 2)
    assert team.agent_names == ("influencee", "influencer")
    assert team.roles == ("frozen", "frozen")
    key = evaluation_key(2, RECORDED_EPISODES)
    params, agent_mask = run.team_setup(learners, {}).params, jnp.ones((1, 2), bool)
    trajectories, _ = rollout(run.env, run.team, params, run.env.default_params(), key, agent_mask)
    for name, slot in (("influencer", 1), ("influencee", 0)):
        np.testing.assert_array_equal(team.action[:, slot], trajectories[name].action[0, :, 0])
    # By hand: the divergence of the influencee's policy, given the influencer's action, from its mean over all actions.
    trajectory = jax.tree.map(lambda x: x[0], trajectories["influencee"])
    policy = next(group.policy for group in run.team.groups if group.name == "influencee")
    policy_params = jax.tree.map(lambda x: x[0], params["influencee"])
    influencer_probs = np.exp(jax.nn.log_softmax(trajectories["influencer"].logits[0, :, 0]))
    carry = policy.initial_carry(1)
    for t in range(6):
        first = jnp.array([t == 0])
        logits_given = [
            policy.forward(policy_params, carry, trajectory.observation[t], first, jnp.eye(2)[k][None])[0][0]
            for k in range(2)
        ]
        probs_given = np.exp(jax.nn.log_softmax(jnp.stack(logits_given)))
        mean = influencer_probs[t] @ probs_given
        taken = probs_given[int(team.action[t, 1])]
        np.testing.assert_allclose(team.influence[t, 1, 0], taken @ np.log(taken / mean), atol=1e-6)
        _, _, carry = policy.forward(policy_params, carry, trajectory.observation[t], first, trajectory.comms_obs[t])
    assert team.influence[:, 1, 0].max() > 0
    assert team.influence[-1, 0, 1] == 0  # by its model: nobody answers the last step


def test_who_learns_without_influence_has_none():
    from rookery.training.build import build
    from rookery.viz.record_episode import record_run
    from tests.tiny import tiny

    program = build(tiny())
    learners = jax.tree.map(lambda x: x[0], program.init().learners)
    assert record_run(program, learners).influence is None
