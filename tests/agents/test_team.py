import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.networks import MLPNetwork
from rookery.agents.random_policy import RandomPolicy
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.scripted.goal_cycle_expert import GoalCyclePlanner
from rookery.agents.team import AgentGroup, Team, act_group, gather_observations, initial_carry, set_executed_actions
from rookery.errors import ConfigError
from rookery.gridworld.spec import ViewConfig
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.grid_env import GridEnv
from tests.worlds import SMALL

TASK = GoalCycle(height=7, width=8, num_goals=2, num_obstacles=0, views=(SMALL,) * 3, max_steps=9)
ENV = GridEnv(TASK)
RANDOM = RandomPolicy(3)
RECURRENT = RecurrentPolicy(MLPNetwork(encoder_size=8, hidden_size=8, head_size=8), SMALL.shape, 3)
KEY = jax.random.PRNGKey(0)
ACT = jax.jit(RECURRENT.act)
INIT = jax.jit(jax.vmap(RECURRENT.init))


def refused(*groups, env=ENV):
    with pytest.raises(ConfigError) as caught:
        Team(groups).validate(env)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_team_that_fits():
    team = Team((AgentGroup("a", (1,), RECURRENT, learner="any"), AgentGroup("b", (2, 0), RANDOM)))
    team.validate(ENV)
    assert [group.name for group in team.learning_groups] == ["a"]
    assert team.learning_slots == (1,)
    assert team.groups[0].learns
    assert not team.groups[1].learns


@pytest.mark.parametrize(
    "slots", [((0, 1),), ((0, 1), (1, 2)), ((0, 1, 2, 3),), ((0, 0), (1, 2)), ((-1, 0, 1),), ((), (1,))]
)
def test_slots_must_be_filled_exactly_once(slots):
    groups = [AgentGroup(f"g{i}", s, RANDOM) for i, s in enumerate(slots)]
    filled = sorted(slot for group in slots for slot in group)
    assert f"the team fills slots {filled}, the environment has slots [0, 1, 2]" in refused(*groups)


def test_names_must_differ():
    assert "must differ" in refused(AgentGroup("a", (0, 1), RANDOM), AgentGroup("a", (2,), RANDOM))


def test_the_views_of_a_group_that_sees_must_have_one_shape():
    env = GridEnv(GoalCycle(views=(SMALL, ViewConfig(), ViewConfig())))
    message = refused(AgentGroup("a", (0, 1), RECURRENT), AgentGroup("b", (2,), RANDOM), env=env)
    assert "group 'a' has slots whose views differ in shape (slot 0 3×3×8, slot 1 21×21×3); make one" in message
    Team((AgentGroup("a", (0, 1), RANDOM), AgentGroup("b", (2,), RANDOM))).validate(env)


def test_agents_that_see_nothing_act_the_same_whatever_the_views_of_their_slots():
    group, carry, is_first = AgentGroup("a", (0, 2), RANDOM), (), jnp.ones(5, bool)
    views = (jnp.zeros((5, 3, 3, 8)), jnp.zeros((5, 3, 3, 8)), jnp.zeros((5, 21, 21, 3)))
    act = lambda views: act_group(group, (), carry, views, None, is_first, jax.random.PRNGKey(3))[0]  # noqa: E731
    np.testing.assert_array_equal(act(views), act((views[0], views[0], views[0])))
    assert set_executed_actions(group, carry, views, None, act(views)) == carry


def test_a_policy_must_fit_its_observations():
    env = GridEnv(GoalCycle(views=(ViewConfig(), ViewConfig(), ViewConfig())))
    message = refused(AgentGroup("a", (0,), RECURRENT), AgentGroup("b", (1, 2), RANDOM), env=env)
    assert "group 'a'" in message
    assert "3×3×8" in message
    assert "21×21×3" in message


def test_gather_observations():
    same = jnp.arange(5 * 3 * 2).reshape(5, 3, 2)
    np.testing.assert_array_equal(gather_observations(same, (2, 0)), np.stack([same[:, 2], same[:, 0]]))
    mixed = (jnp.zeros((5, 2)), jnp.ones((5, 7)), jnp.full((5, 7), 2))
    assert gather_observations(mixed, (2, 1)).shape == (2, 5, 7)
    assert gather_observations(mixed, (2, 1))[:, 0, 0].tolist() == [2, 1]


def test_random_actions_are_uniform():
    action, carry, extras = RandomPolicy(7).act((), (), None, jnp.zeros(7000, bool), KEY)
    counts = np.bincount(action, minlength=7)
    assert len(counts) == 7
    assert (abs(counts - 1000) < 150).all()
    assert (carry, extras) == ((), {})


@pytest.fixture(scope="module")
def states_and_timesteps():
    keys = jax.random.split(KEY, 4)
    return jax.jit(jax.vmap(ENV.reset, (0, None)))(keys, TASK.default_params())


def test_agents_of_a_learning_group_act_with_their_own_parameters(states_and_timesteps):
    state, timestep = states_and_timesteps
    group = AgentGroup("a", (0, 2), RECURRENT, learner="any")
    params = INIT(jax.random.split(KEY, 2))
    carry = initial_carry(group, 4)
    chex.assert_tree_shape_prefix(carry, (2, 4))
    action, after, extras = jax.jit(lambda *a: act_group(group, *a))(
        params, carry, timestep.observation, state, timestep.is_first, KEY
    )
    assert action.shape == extras["value"].shape == extras["log_prob"].shape == (2, 4)
    chex.assert_trees_all_equal_shapes(after, carry)
    for i, slot in enumerate(group.slots):
        _, carry_after, single = ACT(
            jax.tree.map(lambda x, i=i: x[i], params), RECURRENT.initial_carry(4), timestep.observation[:, slot],
            timestep.is_first, KEY,
        )  # fmt: skip
        np.testing.assert_allclose(extras["value"][i], single["value"], atol=1e-6)
        np.testing.assert_allclose(after.hidden[i], carry_after.hidden, atol=1e-6)
    assert jnp.abs(extras["value"][0] - extras["value"][1]).max() > 1e-3


def test_agents_of_a_frozen_group_share_parameters(states_and_timesteps):
    state, timestep = states_and_timesteps
    group = AgentGroup("a", (0, 2), RECURRENT)
    params = jax.tree.map(lambda x: x[0], INIT(jax.random.split(KEY, 2)))
    _, _, extras = jax.jit(lambda *a: act_group(group, *a))(
        params, initial_carry(group, 4), timestep.observation, state, timestep.is_first, KEY
    )
    for i, slot in enumerate(group.slots):
        _, _, single = ACT(params, RECURRENT.initial_carry(4), timestep.observation[:, slot], timestep.is_first, KEY)
        np.testing.assert_allclose(extras["value"][i], single["value"], atol=1e-6)


def test_a_privileged_group_plans_for_each_of_its_slots(states_and_timesteps):
    state, timestep = states_and_timesteps
    planner = GoalCyclePlanner(2, 7, 8)
    group = AgentGroup("experts", (2, 1), planner)
    action, carry, _ = jax.jit(lambda *a: act_group(group, (), *a))(
        initial_carry(group, 4), timestep.observation, state, timestep.is_first, KEY
    )
    assert action.shape == (2, 4)
    np.testing.assert_array_equal(carry.last_position, np.stack([state.position[:, 2], state.position[:, 1]]))
    plan = jax.jit(planner.act)
    for i, slot in enumerate(group.slots):
        single, _, _ = plan((), planner.initial_carry(4), (state, jnp.full(4, slot)), timestep.is_first, KEY)
        np.testing.assert_array_equal(action[i], single)


def test_slots_of_a_random_group_sample_independently(states_and_timesteps):
    state, _ = states_and_timesteps
    many = jnp.zeros(200, bool)
    group = AgentGroup("r", (0, 1), RANDOM)
    observation = jnp.zeros((200, 3, 1), jnp.uint8)
    action, _, _ = act_group(group, (), initial_carry(group, 200), observation, state, many, KEY)
    assert action.shape == (2, 200)
    assert 0.2 < (action[0] == action[1]).mean() < 0.5
