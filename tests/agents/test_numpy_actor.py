"""The numpy form of a policy against its JAX form, and its own rules."""

import dataclasses
import pickle
import subprocess
import sys
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

import rookery
from rookery.agents import zoo
from rookery.agents.communication import CommunicationConfig
from rookery.agents.networks import JaquesNetwork, MLPNetwork, NdousseNetwork
from rookery.agents.numpy_actor import NumpyActor
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.weights import Agent, save_agent
from rookery.errors import ConfigError, IncompatibleError, NotFoundError
from rookery.nn.cells import RecurrentCell, reset_state
from rookery.nn.numpy_modules import numpy_im2col

POLICIES = {
    "ndousse2021": RecurrentPolicy(NdousseNetwork(), (21, 21, 3), 7),
    "mlp": RecurrentPolicy(MLPNetwork(encoder_size=24, hidden_size=16, head_size=12), (3, 5, 8), 3),
    "gru": RecurrentPolicy(MLPNetwork(encoder_size=24, hidden_size=16, head_size=12, cell="gru"), (3, 5, 8), 3),
    "jaques2019": RecurrentPolicy(JaquesNetwork(), (7, 9, 3), 8),
    "follower": RecurrentPolicy(
        JaquesNetwork(hidden_size=16),
        (5, 6, 3),
        8,
        communication=CommunicationConfig(visible_actions=True, influencers=(1,)),
        num_agents=3,
    ),
}


def random_agent(name: str) -> Agent:
    """Untrained, with random weights (biases too), large enough to reach the nonlinear parts of all functions."""
    return with_random_weights(POLICIES[name])


def random_agent_of(network, observation_shape, num_actions: int = 3) -> Agent:
    return with_random_weights(RecurrentPolicy(network, observation_shape, num_actions))


def with_random_weights(policy: RecurrentPolicy) -> Agent:
    random = np.random.default_rng(0)

    def sampled(leaf):
        fan = leaf.shape[0] if len(leaf.shape) > 1 else 1
        return (random.standard_normal(leaf.shape) * (2 / fan) ** 0.5).astype(np.float32)

    shapes = jax.eval_shape(policy.init, jax.random.PRNGKey(0))
    return Agent(policy, jax.tree.map(sampled, shapes), {"name": "random"})


@pytest.fixture(scope="module", params=POLICIES)
def agent(request) -> Agent:
    return random_agent(request.param)


def test_logits_values_and_states_are_those_of_the_policy(agent):
    policy, steps, batch = agent.policy, 6, 3
    random = np.random.default_rng(1)
    obs = random.integers(0, 256, (steps, batch, *policy.observation_shape)).astype(np.uint8)
    first = np.zeros((steps, batch), bool)
    first[0] = first[4, 1] = True  # the next episode of one environment opens midway
    comms_obs = (
        random.integers(0, 2, (steps, batch, policy.comms_obs_size)).astype(np.uint8) if policy.comms_obs_size else None
    )
    logits, value, *_ = jax.jit(policy.unroll)(agent.params, policy.initial_carry(batch), obs, first, comms_obs)
    actor = NumpyActor(agent)
    assert actor.comms_obs_size == (
        4 * 8 if policy.communication else 0
    )  # the actions of three agents, and of an influencer
    state = actor.initial_state(batch)
    for t in range(steps):
        ours, our_value, state = actor.forward(
            obs[t], state, is_first=first[t], comms_obs=None if comms_obs is None else comms_obs[t]
        )
        assert ours.dtype == our_value.dtype == np.float32
        np.testing.assert_allclose(ours, logits[t], atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(our_value, value[t], atol=1e-5, rtol=1e-5)
    assert np.ptp(logits) > 0.1, "the logits of the test weights must differ"


def test_a_single_observation_is_as_one_of_a_batch(agent):
    actor = NumpyActor(agent)
    obs = np.random.default_rng(2).integers(0, 256, (2, *actor.observation_shape)).astype(np.uint8)
    batch, _, states = actor.forward(obs)
    single, value, state = actor.forward(obs[1])
    assert (single.shape, value.shape) == ((actor.num_actions,), ())
    np.testing.assert_allclose(single, batch[1], atol=1e-6)
    np.testing.assert_allclose(state.memory.hidden[0], states.memory.hidden[1], atol=1e-6)


def test_an_episode_that_opens_resets_the_memory(agent):
    actor = NumpyActor(agent)
    obs = np.random.default_rng(3).integers(0, 256, (2, *actor.observation_shape)).astype(np.uint8)
    blank, *_ = actor.forward(obs[1])
    _, _, state = actor.forward(obs[0])
    again, *_ = actor.forward(obs[1], state, is_first=True)
    np.testing.assert_array_equal(again, blank)
    remembered, *_ = actor.forward(obs[1], state)
    assert np.abs(remembered - blank).max() > 1e-3


def test_actions_are_sampled_as_the_logits_say():
    actor = NumpyActor(random_agent("mlp"))
    actor._params["heads"]["policy3"]["bias"] = np.log(np.array([0.7, 0.2, 0.1], np.float32))
    actor._params["heads"]["policy3"]["kernel"] = np.zeros_like(actor._params["heads"]["policy3"]["kernel"])
    obs = np.zeros((4000, 3, 5, 8), np.uint8)
    sampled, state = actor.act(obs, actor.initial_state(4000))
    # The standard error of a fraction of 4,000 samples is at most 0.0073; four of them.
    np.testing.assert_allclose(np.bincount(sampled, minlength=3) / 4000, [0.7, 0.2, 0.1], atol=0.03)
    assert actor.act(obs[:5], greedy=True)[0].tolist() == [0] * 5
    later, _ = actor.act(obs, state)
    assert (later != sampled).any(), "each step samples new actions"


def test_samples_depend_on_seed_and_step_alone():
    actor = rookery.load("goal-cycle-demo-expert")
    obs = np.random.default_rng(4).integers(0, 2, (30, *actor.observation_shape)).astype(np.uint8) * 255

    def played(seed):
        state, actions = actor.initial_state(seed=seed), []
        for t, view in enumerate(obs):
            action, state = actor.act(view, state, is_first=t == 0)
            actions.append(action)
        return actions

    assert played(0) == played(0)
    assert all(type(action) is int for action in played(0))
    assert any(played(0) != played(seed) for seed in range(1, 4))


def test_every_zoo_entry_acts():
    for name in zoo.entry_names():
        actor = rookery.load(name)
        action, _ = actor.act(np.zeros(actor.observation_shape, np.uint8))
        assert 0 <= action < actor.num_actions
        assert actor.card == zoo.entry_card(name)


def test_it_is_loaded_from_a_file_and_errors_are_clear(tmp_path):
    agent = random_agent("mlp")
    save_agent(tmp_path / "mine.safetensors", agent.policy, agent.params, agent.card)
    actor = rookery.load(str(tmp_path / "mine.safetensors"))
    assert "observes u8[3×5×8], chooses one of" in repr(actor)
    obs = np.full((3, 5, 8), 255, np.uint8)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(actor)).forward(obs)[0], actor.forward(obs)[0])
    with pytest.raises(NotFoundError, match="the zoo has no 'nobody'"):
        rookery.load("nobody")
    for shape in ((3, 5), (3, 5, 7), (0, 3, 5, 8), (2, 2, 3, 5, 8)):
        with pytest.raises(IncompatibleError, match=r"the agent takes observations of shape \(3, 5, 8\)"):
            actor.act(np.zeros(shape, np.uint8))
    with pytest.raises(IncompatibleError, match=r"make a state with initial_state\(4\)"):
        actor.act(np.zeros((4, 3, 5, 8), np.uint8), actor.initial_state(2))
    with pytest.raises(ConfigError, match="batch_size=0"):
        actor.initial_state(0)
    with pytest.raises(ConfigError, match="seed=-1"):
        actor.initial_state(seed=-1)
    for wrong in ({"batch_size": 2.0}, {"batch_size": "2"}, {"seed": 1.5}, {"seed": True}):
        with pytest.raises(ConfigError, match="must be a whole number"):
            actor.initial_state(**wrong)
    for first in (np.zeros(3, bool), np.zeros((2, 1), bool)):
        with pytest.raises(IncompatibleError, match=r"is_first has the shape .*one for each of the 2 observations"):
            actor.act(np.zeros((2, 3, 5, 8), np.uint8), is_first=first)


def test_communication_observations_must_fit_and_agents_that_send_messages_are_refused():
    agent = random_agent("follower")
    actor, obs = NumpyActor(agent), np.zeros((5, 6, 3), np.uint8)
    without, *_ = actor.forward(obs)
    np.testing.assert_array_equal(actor.forward(obs, comms_obs=np.zeros(32))[0], without)
    changed, *_ = actor.forward(obs, comms_obs=np.eye(32)[3])
    assert np.abs(changed - without).max() > 1e-3
    with pytest.raises(IncompatibleError, match=r"comms_obs has shape \(31,\), this agent takes \(32,\)"):
        actor.act(obs, comms_obs=np.zeros(31))
    with pytest.raises(IncompatibleError, match=r"comms_obs has shape \(1,\), this agent takes \(0,\)"):
        NumpyActor(random_agent("mlp")).act(np.zeros((3, 5, 8), np.uint8), comms_obs=np.zeros(1))
    sender = dataclasses.replace(
        agent, policy=dataclasses.replace(agent.policy, communication=CommunicationConfig(vocab_size=4))
    )
    with pytest.raises(IncompatibleError, match="sends one of 4 messages per step"):
        NumpyActor(sender)


def test_patches_by_hand():
    picture = np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1)
    assert numpy_im2col(picture, 2)[0, 1, 2].tolist() == [6, 7, 10, 11]
    assert numpy_im2col(picture, 2, stride=2).shape == (1, 1, 2, 4)
    assert numpy_im2col(picture, 2, stride=2)[0, 0, 1].tolist() == [2, 3, 6, 7]


def test_loading_is_offered_without_importing_anything_heavy():
    code = "import rookery, sys; assert 'load' in dir(rookery); assert 'jax' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_agent_with_action_values_takes_the_best_except_for_random_actions():
    sampling = random_agent("mlp")
    agent = dataclasses.replace(sampling, policy=dataclasses.replace(sampling.policy, epsilon=0.3))
    obs = np.random.default_rng(2).integers(0, 256, (3, 5, 8)).astype(np.uint8)
    actor, batch = NumpyActor(agent), np.tile(obs, (3000, 1, 1, 1))
    best, _ = actor.act(obs, greedy=True)
    chosen, _ = actor.act(batch, actor.initial_state(3000))
    fraction = np.bincount(chosen, minlength=3) / 3000
    np.testing.assert_allclose(fraction, np.where(np.arange(3) == best, 0.8, 0.1), atol=0.03)
    params = jax.device_put(agent.params)
    action, _, extras = jax.jit(agent.policy.act)(
        params, agent.policy.initial_carry(3000), batch, np.zeros(3000, bool), jax.random.PRNGKey(0)
    )
    np.testing.assert_allclose(np.bincount(action, minlength=3) / 3000, fraction, atol=0.04)
    np.testing.assert_allclose(np.exp(extras["log_prob"]), np.where(np.asarray(action) == best, 0.8, 0.1), rtol=1e-5)


def test_observations_in_another_form_are_refused():
    """Divided by 255, as wrappers do, an agent would act on, blind."""
    actor = NumpyActor(random_agent("mlp"))
    obs = np.random.default_rng(2).integers(0, 256, actor.observation_shape).astype(np.uint8)
    logits = actor.forward(obs)[0]
    for same in (obs.tolist(), obs.astype(np.int64), obs.astype(np.float64)):
        np.testing.assert_array_equal(actor.forward(same)[0], logits)
    others = (
        obs / 255,
        (obs > 99).astype(np.float32),
        obs > 99,
        np.full(obs.shape, np.nan),
        obs.astype(np.int8),
        obs + 0.5,
    )
    for other in (*others, obs.astype(object), obs.astype(np.int64) + 1000):
        with pytest.raises(IncompatibleError, match="whole numbers from 0 to 255"):
            actor.act(other)
    np.testing.assert_array_equal(actor.forward(np.zeros(obs.shape))[0], actor.forward(np.zeros_like(obs))[0])


def test_arguments_that_are_no_arrays_or_states_are_refused():
    actor = NumpyActor(random_agent("mlp"))
    obs = np.zeros(actor.observation_shape, np.uint8)
    for named, call in (
        ("state='x' is not a state", lambda: actor.act(obs, "x")),
        (r"observation=\[\[1\], \[1, 2\]\] is not an array", lambda: actor.act([[1], [1, 2]])),
        ("comms_obs='x' is not an array", lambda: actor.act(obs, comms_obs="x")),
        (r"is_first=\[\[1\], \[1, 2\]\] is not an array", lambda: actor.act(obs, is_first=[[1], [1, 2]])),
    ):
        with pytest.raises(IncompatibleError, match=named):
            call()
    with pytest.raises(ConfigError, match="batch_size=10000000000000 must be at most 2,147,483,647"):
        actor.initial_state(10**13)


def test_a_state_of_another_agent_is_refused():
    actor, other = NumpyActor(random_agent("mlp")), NumpyActor(random_agent("gru"))
    observation = np.zeros((2, 3, 5, 8), np.uint8)
    wider = NumpyActor(random_agent_of(MLPNetwork(encoder_size=24, hidden_size=17, head_size=12), (3, 5, 8)))
    message = r"of another agent: .*, that of this agent \[\(2, 16\), \(2, 16\)\]; give"
    for state in (other.initial_state(2), wider.initial_state(2)):
        with pytest.raises(IncompatibleError, match=message):
            actor.act(observation, state)
    actor.act(observation, actor.act(observation, actor.initial_state(2))[1])


class Parts(NamedTuple):
    fast: Any
    slow: Any


class NestedState(NamedTuple):
    hidden: Any
    parts: Parts


class NestedCell(RecurrentCell):
    """Two traces that decay at their own speed, in a state within the state."""

    @nn.nowrap
    def initial_state(self, batch_size):
        hidden, fast, slow = (jnp.zeros((batch_size, self.features)) for _ in range(3))
        return NestedState(hidden, Parts(fast, slow))

    @nn.compact
    def __call__(self, state, inputs, is_first):
        driven = nn.Dense(self.features)(inputs)

        def step(state, scanned):
            x, first = scanned
            before = reset_state(state, first)
            parts = Parts(0.5 * before.parts.fast + x, 0.9 * before.parts.slow + x)
            after = NestedState(parts.fast - parts.slow, parts)
            return after, (after.hidden, before)

        last, (outputs, before) = jax.lax.scan(step, state, (driven, is_first))
        return last, outputs, before


@dataclasses.dataclass(frozen=True, kw_only=True)
class NestedNetwork(MLPNetwork):
    kind: str = "nested"

    def recurrent_cell(self):
        return NestedCell(self.hidden_size)

    def numpy_forward(self):
        return None


def test_a_state_within_a_state_is_kept():
    agent = random_agent_of(NestedNetwork(encoder_size=8, hidden_size=6, head_size=4), (3, 5, 8))
    observation = np.random.default_rng(0).integers(0, 256, (3, 2, 3, 5, 8)).astype(np.uint8)
    first = np.zeros((3, 2), bool)
    first[0] = first[2, 1] = True
    logits = jax.jit(agent.policy.unroll)(agent.params, agent.policy.initial_carry(2), observation, first)[0]
    actor, state = NumpyActor(agent), None
    for t in range(3):
        own, _, state = actor.forward(observation[t], state, is_first=first[t])
        np.testing.assert_allclose(own, logits[t], rtol=1e-4, atol=1e-5)
    assert isinstance(state.memory.parts, Parts)
