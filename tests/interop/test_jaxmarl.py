"""The interface by dictionaries."""

import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import ConfigError, InvalidActionError
from rookery.interop.jaxmarl import DictEnv
from rookery.tasks import registry
from tests.interop.counting import Counting, random_value
from tests.tiny import TASK, assert_same

BOTH = ("agent_0", "agent_1")


@pytest.mark.parametrize("name", registry.TASKS)
def test_every_task_has_spaces_that_hold_what_it_tells(name):
    env = DictEnv(name)
    observations, _ = jax.eval_shape(env.reset, jax.random.PRNGKey(0))
    assert list(observations) == env.agents
    assert env.num_agents == len(env.agents)
    for agent in env.agents:
        space = env.observation_space(agent)
        assert (observations[agent].shape, observations[agent].dtype) == (space.shape, space.dtype)
        assert env.action_space(agent).n == registry.make_env(registry.get_task(name)).num_actions


def test_an_episode_by_hand_and_the_next_one_opens_at_once():
    env = DictEnv(Counting(), limit=3, final_observation=True)
    reset, step = jax.jit(env.reset), jax.jit(env.step)
    observations, state = reset(jax.random.PRNGKey(3))
    assert observations["agent_1"].tolist() == [[random_value(3), 0]]
    observations, state, rewards, dones, infos = step(jax.random.PRNGKey(4), state, {"agent_0": 1, "agent_1": 2})
    assert observations["agent_0"].tolist() == [[1]]
    assert {name: float(reward) for name, reward in rewards.items()} == {"agent_0": 1.0, "agent_1": 0.0}
    assert not any(dones.values())
    assert set(dones) == {*BOTH, "__all__"}
    assert infos["agent_mask"].tolist() == [True, True]
    observations, state, rewards, dones, infos = step(jax.random.PRNGKey(5), state, {"agent_0": 0, "agent_1": 2})
    assert all(dones.values())
    assert float(rewards["agent_1"]) == 2.0
    assert infos["units"].tolist() == [0.0, 2.0]
    assert (infos["terminated"].tolist(), infos["truncated"].tolist()) == ([True, True], [False, False])
    assert {leaf.shape for leaf in jax.tree.leaves({**infos, "final_observation": ()})} == {(2,)}
    assert infos["final_observation"]["agent_0"].tolist() == [[3]]
    assert observations["agent_0"].tolist() == [[0]]
    assert observations["agent_1"].tolist() == [[random_value(5), 0]]
    assert int(state.step) == 0


def test_step_env_opens_nothing_anew():
    env = DictEnv(Counting(), limit=1)
    _, state = env.reset(jax.random.PRNGKey(3))
    observations, state, _, dones, _ = env.step_env(jax.random.PRNGKey(4), state, {"agent_0": 2, "agent_1": 0})
    assert bool(dones["__all__"])
    assert observations["agent_0"].tolist() == [[2]]
    assert int(state.step) == 1


def test_the_same_numbers_as_the_functional_environment_under_vmap():
    plain, env = registry.make_env(TASK), DictEnv(TASK)
    params = plain.default_params()
    keys = jax.random.split(jax.random.PRNGKey(0), 4)
    observations, states = jax.jit(jax.vmap(env.reset))(keys)
    plain_states, timestep = jax.jit(jax.vmap(plain.reset, (0, None)))(keys, params)
    step = jax.jit(jax.vmap(env.step))
    plain_step = jax.jit(jax.vmap(plain.step, (0, 0, None)))
    random = np.random.default_rng(0)
    for _ in range(TASK.max_steps - 1):
        action = random.integers(plain.num_actions, size=(4, env.num_agents)).astype(np.int32)
        by_agent = {agent: action[:, slot] for slot, agent in enumerate(env.agents)}
        observations, states, rewards, _, _ = step(keys, states, by_agent)
        plain_states, timestep = plain_step(plain_states, action, params)
        for slot, agent in enumerate(env.agents):
            np.testing.assert_array_equal(observations[agent], timestep.observation[:, slot])
            np.testing.assert_array_equal(rewards[agent], timestep.reward[:, slot])


def test_a_tasks_numbers_change_without_compiling_anew():
    env = DictEnv(Counting())
    step = jax.jit(env.step_env)
    _, state = env.reset(jax.random.PRNGKey(0))
    actions = {"agent_0": 2, "agent_1": 0}
    for pays in (1.0, 0.25):
        *_, rewards, _, _ = step(jax.random.PRNGKey(0), state, actions, params=jnp.float32(pays))
        assert float(rewards["agent_0"]) == 2 * pays
    assert step._cache_size() == 1


def test_an_episode_starts_in_the_given_state():
    env = DictEnv(TASK)
    step = jax.jit(env.step)
    first, start = jax.jit(env.reset)(jax.random.PRNGKey(1))
    observations = jax.jit(env.get_obs)(start)
    for agent in env.agents:
        np.testing.assert_array_equal(observations[agent], first[agent])
    state, ended, steps = start, False, 0
    while not ended:
        actions = {agent: jnp.int32(steps % 3) for agent in env.agents}
        observations, state, _, dones, _ = step(jax.random.PRNGKey(steps), state, actions, start)
        ended, steps = bool(dones["__all__"]), steps + 1
    assert steps == TASK.max_steps
    jax.tree.map(np.testing.assert_array_equal, (observations, state), (first, start))
    with pytest.raises(ConfigError, match="reset_state is not a state of this environment"):
        jax.eval_shape(env.step, jax.random.PRNGKey(0), state, actions, env.default_params)
    batch = jax.tree.map(lambda x: x[None], state)
    with pytest.raises(ConfigError, match="reset_state is not a state of this environment"):
        jax.eval_shape(env.step, jax.random.PRNGKey(0), state, actions, batch)


def test_an_environment_that_does_not_observe_states_says_so():
    env = DictEnv(Counting())
    _, state = env.reset(jax.random.PRNGKey(0))
    with pytest.raises(ConfigError, match="CountingEnv has no observations of a state; override its method observe"):
        env.get_obs(state)


def test_agents_of_a_class_observe_alike():
    assert DictEnv(TASK).agent_classes == {"agent": ["agent_0", "agent_1"]}
    assert DictEnv(Counting()).agent_classes == {"1x1": ["agent_0"], "1x2": ["agent_1"]}
    assert DictEnv(Counting(), observation="flat").agent_classes == {"1": ["agent_0"], "2": ["agent_1"]}


def test_spaces_are_jaxmarls_own_where_a_program_has_imported_it(monkeypatch):
    env = DictEnv(Counting())
    theirs = types.SimpleNamespace(Box=lambda *form: ("box", *form), Discrete=lambda n: ("discrete", n))
    monkeypatch.setitem(sys.modules, "jaxmarl.environments.spaces", theirs)
    assert env.action_space("agent_0") == ("discrete", 3)
    assert env.observation_space("agent_1") == ("box", 0, 255, (1, 2), jnp.uint8)


def test_arrays_of_one_number_are_actions_inside_of_jit_too():
    """JaxMARL's scripts give them."""
    env = DictEnv(Counting())
    _, state = env.reset(jax.random.PRNGKey(0))
    step = jax.jit(env.step_env)
    key, numbers = jax.random.PRNGKey(1), {"agent_0": jnp.int32(2), "agent_1": jnp.int32(1)}
    expected = step(key, state, numbers)
    assert_same(step(key, state, {name: action[None] for name, action in numbers.items()}), expected)
    with pytest.raises(InvalidActionError, match=r"the action of agent_1 has the shape \(2,\); give one number"):
        step(key, state, {**numbers, "agent_1": jnp.zeros(2, jnp.int32)})
    with pytest.raises(InvalidActionError, match="the action of agent_1 is float32; give a whole number"):
        step(key, state, {**numbers, "agent_1": jnp.float32(1)})


def test_wrong_actions_are_errors():
    env = DictEnv(Counting())
    key = jax.random.PRNGKey(0)
    _, state = env.reset(key)
    with pytest.raises(InvalidActionError, match="agent_1: action 3 is out of range; allowed: 0 to 2"):
        env.step(key, state, {"agent_0": 0, "agent_1": 3})
    with pytest.raises(ConfigError, match="final_observation='no' must be True or False"):
        DictEnv(Counting(), final_observation="no")  # type: ignore[arg-type]
    with pytest.raises(InvalidActionError, match=r"actions are of \['agent_0', 1\]; give one for each of"):
        env.step(key, state, {"agent_0": 0, 1: 0})  # names of two types cannot be put in order
    for wrong in ({"agent_0": 0}, {"agent_0": 0, "agent_1": 0, "agent_2": 0}, [0, 0]):
        with pytest.raises(InvalidActionError, match="give one for each of: agent_0, agent_1"):
            env.step(key, state, wrong)
        with pytest.raises(InvalidActionError, match="give one for each of"):
            jax.jit(env.step)(key, state, wrong)
    with pytest.raises(ConfigError, match="unexpected keyword argument 'limits'; did you mean 'limit'"):
        DictEnv(Counting(), limits=3)


def test_spaces_sample_what_they_hold(monkeypatch):
    monkeypatch.delitem(sys.modules, "jaxmarl.environments.spaces", raising=False)
    env = DictEnv(Counting())
    keys = jax.random.split(jax.random.PRNGKey(0), 300)
    actions = jax.vmap(env.action_space("agent_0").sample)(keys)
    assert sorted(set(actions.tolist())) == [0, 1, 2]
    assert bool(env.action_space("agent_0").contains(2))
    for other in (3, 1.0, True):
        assert not bool(env.action_space("agent_0").contains(other))
    space = env.observation_space("agent_1")
    samples = jax.vmap(space.sample)(keys)
    assert (samples.shape, samples.dtype) == ((300, 1, 2), jnp.uint8)
    assert int(samples.max()) > 250  # 255 can be drawn: the range is closed
    assert bool(space.contains(samples[0]))
    assert not bool(space.contains(samples))
    available = env.get_avail_actions(None)
    assert available["agent_1"].tolist() == [True, True, True]
