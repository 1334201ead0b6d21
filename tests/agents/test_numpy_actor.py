"""The numpy form of a policy against its JAX form, and its own rules."""

import dataclasses
import subprocess
import sys

import jax
import numpy as np
import pytest

import rookery
from rookery.agents import zoo
from rookery.agents.communication import CommunicationConfig
from rookery.agents.networks import JaquesNetwork, MLPNetwork, NdousseNetwork
from rookery.agents.numpy_actor import NumpyActor
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.weights import Agent, save_agent
from rookery.errors import ConfigError, IncompatibleError, NotFoundError
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
    """Untrained, with random weights (biases too), large enough to bring all nonlinearities to work."""
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


def test_logits_values_and_memories_are_the_policys(agent):
    policy, steps, batch = agent.policy, 6, 3
    random = np.random.default_rng(1)
    seen = random.integers(0, 256, (steps, batch, *policy.observation_shape)).astype(np.uint8)
    first = np.zeros((steps, batch), bool)
    first[0] = first[4, 1] = True  # one world's next episode opens midway
    heard = (
        random.integers(0, 2, (steps, batch, policy.comms_obs_size)).astype(np.uint8) if policy.comms_obs_size else None
    )
    logits, value, *_ = jax.jit(policy.unroll)(agent.params, policy.initial_carry(batch), seen, first, heard)
    actor = NumpyActor(agent)
    assert actor.comms_obs_size == (4 * 8 if policy.communication else 0)  # three agents' actions, and a leader's
    state = actor.initial_state(batch)
    for t in range(steps):
        ours, worth, state = actor.forward(
            seen[t], state, is_first=first[t], comms_obs=None if heard is None else heard[t]
        )
        assert ours.dtype == worth.dtype == np.float32
        np.testing.assert_allclose(ours, logits[t], atol=1e-5, rtol=1e-5)
        np.testing.assert_allclose(worth, value[t], atol=1e-5, rtol=1e-5)
    assert np.ptp(logits) > 0.1, "the test weights must say something"


def test_one_alone_is_one_of_many(agent):
    actor = NumpyActor(agent)
    seen = np.random.default_rng(2).integers(0, 256, (2, *actor.observation_shape)).astype(np.uint8)
    together, _, states = actor.forward(seen)
    alone, value, state = actor.forward(seen[1])
    assert (alone.shape, value.shape) == ((actor.num_actions,), ())
    np.testing.assert_allclose(alone, together[1], atol=1e-6)
    np.testing.assert_allclose(state.memory.hidden[0], states.memory.hidden[1], atol=1e-6)


def test_an_episode_that_opens_forgets_the_one_before(agent):
    actor = NumpyActor(agent)
    seen = np.random.default_rng(3).integers(0, 256, (2, *actor.observation_shape)).astype(np.uint8)
    blank, *_ = actor.forward(seen[1])
    _, _, state = actor.forward(seen[0])
    again, *_ = actor.forward(seen[1], state, is_first=True)
    np.testing.assert_array_equal(again, blank)
    remembered, *_ = actor.forward(seen[1], state)
    assert np.abs(remembered - blank).max() > 1e-3


def test_actions_are_drawn_as_the_logits_say():
    actor = NumpyActor(random_agent("mlp"))
    actor._params["heads"]["policy3"]["bias"] = np.log(np.array([0.7, 0.2, 0.1], np.float32))
    actor._params["heads"]["policy3"]["kernel"] = np.zeros_like(actor._params["heads"]["policy3"]["kernel"])
    seen = np.zeros((4000, 3, 5, 8), np.uint8)
    drawn, state = actor.act(seen, actor.initial_state(4000))
    # Of 4,000 draws a share's standard error is at most 0.0073; four of them.
    np.testing.assert_allclose(np.bincount(drawn, minlength=3) / 4000, [0.7, 0.2, 0.1], atol=0.03)
    assert actor.act(seen[:5], greedy=True)[0].tolist() == [0] * 5
    later, _ = actor.act(seen, state)
    assert (later != drawn).any(), "each step draws anew"


def test_the_draw_depends_on_seed_and_step_alone():
    actor = rookery.load("goal-cycle-demo-expert")
    seen = np.random.default_rng(4).integers(0, 2, (30, *actor.observation_shape)).astype(np.uint8) * 255

    def played(seed):
        state, taken = actor.initial_state(seed=seed), []
        for t, view in enumerate(seen):
            action, state = actor.act(view, state, is_first=t == 0)
            taken.append(action)
        return taken

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
    mine = random_agent("mlp")
    save_agent(tmp_path / "mine.safetensors", mine.policy, mine.params, mine.card)
    actor = rookery.load(str(tmp_path / "mine.safetensors"))
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


def test_what_is_heard_must_fit_and_who_speaks_is_refused():
    agent = random_agent("follower")
    actor, seen = NumpyActor(agent), np.zeros((5, 6, 3), np.uint8)
    silence, *_ = actor.forward(seen)
    np.testing.assert_array_equal(actor.forward(seen, comms_obs=np.zeros(32))[0], silence)
    told, *_ = actor.forward(seen, comms_obs=np.eye(32)[3])
    assert np.abs(told - silence).max() > 1e-3
    with pytest.raises(IncompatibleError, match=r"comms_obs has shape \(31,\), this agent takes \(32,\)"):
        actor.act(seen, comms_obs=np.zeros(31))
    with pytest.raises(IncompatibleError, match=r"comms_obs has shape \(1,\), this agent takes \(0,\)"):
        NumpyActor(random_agent("mlp")).act(np.zeros((3, 5, 8), np.uint8), comms_obs=np.zeros(1))
    speaks = dataclasses.replace(
        agent, policy=dataclasses.replace(agent.policy, communication=CommunicationConfig(vocab_size=4))
    )
    with pytest.raises(IncompatibleError, match="sends one of 4 messages per step"):
        NumpyActor(speaks)


def test_patches_by_hand():
    picture = np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1)
    assert numpy_im2col(picture, 2)[0, 1, 2].tolist() == [6, 7, 10, 11]
    assert numpy_im2col(picture, 2, stride=2).shape == (1, 1, 2, 4)
    assert numpy_im2col(picture, 2, stride=2)[0, 0, 1].tolist() == [2, 3, 6, 7]


def test_loading_is_offered_without_importing_anything_heavy():
    code = "import rookery, sys; assert 'load' in dir(rookery); assert 'jax' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_an_agent_of_action_values_plays_the_best_but_for_its_share_of_random_ones():
    whole = random_agent("mlp")
    agent = dataclasses.replace(whole, policy=dataclasses.replace(whole.policy, epsilon=0.3))
    seen = np.random.default_rng(2).integers(0, 256, (3, 5, 8)).astype(np.uint8)
    actor, batch = NumpyActor(agent), np.tile(seen, (3000, 1, 1, 1))
    best, _ = actor.act(seen, greedy=True)
    chosen, _ = actor.act(batch, actor.initial_state(3000))
    share = np.bincount(chosen, minlength=3) / 3000
    np.testing.assert_allclose(share, np.where(np.arange(3) == best, 0.8, 0.1), atol=0.03)
    params = jax.device_put(agent.params)
    action, _, told = jax.jit(agent.policy.act)(
        params, agent.policy.initial_carry(3000), batch, np.zeros(3000, bool), jax.random.PRNGKey(0)
    )
    np.testing.assert_allclose(np.bincount(action, minlength=3) / 3000, share, atol=0.04)
    np.testing.assert_allclose(np.exp(told["log_prob"]), np.where(np.asarray(action) == best, 0.8, 0.1), rtol=1e-5)
