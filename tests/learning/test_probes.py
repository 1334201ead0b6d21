"""Five worlds so small that what must be learned is known: a learner that fails one has a fault, and which.

All share one shape, so that one compiled program learns them all.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.team import AgentGroup, Team
from rookery.learning import ppo
from rookery.learning.ppo import PPO, ScheduledHparams
from rookery.learning.rollout import rollout
from rookery.types import TimeStep

STEPS, CUES, ACTIONS, DISCOUNT = 4, 2, 2, 0.8


@struct.dataclass
class ProbeParams:
    observation: jax.Array  # u8[cue, step]
    reward: jax.Array  # f32[cue, step, action]
    length: jax.Array  # i32[]: the world terminates after so many steps; beyond STEPS, only the time limit ends it


@struct.dataclass
class ProbeState:
    cue: jax.Array
    step: jax.Array


@dataclasses.dataclass(frozen=True)
class Probe:
    """One agent, one of two cues drawn at the start; what is seen and paid stands in a table."""

    num_agents = 1
    num_actions = ACTIONS
    max_steps = STEPS
    dropout_slots = ()

    def observation_shape(self, slot):
        return (2,)

    def default_params(self):
        return ProbeParams(
            jnp.zeros((CUES, STEPS + 1), jnp.uint8), jnp.zeros((CUES, STEPS, ACTIONS)), jnp.int32(STEPS + 1)
        )

    def reset(self, key, params, agent_mask=None):
        state = ProbeState(jax.random.randint(key, (), 0, CUES), jnp.int32(0))
        return state, self._tell(state, jnp.zeros(1), True, params)

    def step(self, state, action, params):
        reward = params.reward[state.cue, state.step, action]
        state = state.replace(step=state.step + 1)
        return state, self._tell(state, reward, False, params)

    def _tell(self, state, reward, is_first, params):
        shade = params.observation[state.cue, state.step]
        return TimeStep(
            observation=jnp.stack([shade, 255 - shade])[None],
            reward=reward,
            terminated=state.step >= params.length,
            truncated=state.step >= STEPS,
            is_first=jnp.bool_(is_first),
            agent_mask=jnp.ones(1, bool),
            info={},
        )


CONFIG = PPO(
    sequence_length=STEPS, num_minibatches=4, minibatch_size=64, recompute_every=2, gamma=DISCOUNT, gae_lambda=0.95,
    vf_coef=0.5, target_kl=0.05, rollback_kl=None,
)  # fmt: skip
POLICY = RecurrentPolicy(MLPNetwork(encoder_size=16, hidden_size=16, head_size=16), (2,), ACTIONS)
TEAM = Team((AgentGroup("learner", (0,), POLICY, learner=CONFIG),))
PRESENT = jnp.ones((64, 1), bool)
HPARAMS = ScheduledHparams(jnp.float32(1e-2), jnp.float32(1e-3), jnp.float32(1))


@jax.jit
def learn(params: ProbeParams, key):
    """Train, then play once more: the last trajectory with its values and probabilities, [T(+1), E]."""
    env = Probe()

    def play(learner, key):
        lifted = jax.tree.map(lambda x: x[None], learner.params["policy"])
        trajectories, _ = rollout(env, TEAM, {"learner": lifted}, params, key, PRESENT)
        return jax.tree.map(lambda x: x[0], trajectories["learner"])

    def again(learner, key):
        play_key, learn_key = jax.random.split(key)
        learner, _ = ppo.ppo_update(CONFIG, POLICY, learner, play(learner, play_key), HPARAMS, learn_key)
        return learner, None

    learner, _ = jax.lax.scan(again, CONFIG.init(POLICY, key, steps=0), jax.random.split(key, 120))
    last = play(learner, jax.random.fold_in(key, 1))
    logits, value, _, _ = POLICY.unroll(
        learner.params["policy"], POLICY.initial_carry(64), last.observation, last.is_first
    )
    return last, value, jax.nn.softmax(logits)


def probe(observation, reward, length=STEPS + 1):
    """Fill the tables from rules: observation(cue, step) and reward(cue, step, action)."""
    cues, steps, actions = range(CUES), range(STEPS), range(ACTIONS)
    return ProbeParams(
        jnp.array([[observation(c, t) for t in range(STEPS + 1)] for c in cues], jnp.uint8),
        jnp.array([[[reward(c, t, a) for a in actions] for t in steps] for c in cues], jnp.float32),
        jnp.int32(length),
    )


def solve(params, seed=0):
    last, value, probability = learn(params, jax.random.PRNGKey(seed))
    return last, np.asarray(value), np.asarray(probability)


@pytest.mark.parametrize(("length", "worth"), [(1, [1]), (3, [2.44, 1.8, 1])])
def test_a_constant_reward_until_death(length, worth):
    """The critic alone, and that nothing follows death."""
    _, value, _ = solve(probe(lambda c, t: 50 * t, lambda c, t, a: 1, length))
    np.testing.assert_allclose(value[:length], np.tile(worth, (64, 1)).T, atol=0.1)


def test_a_constant_reward_for_ever():
    """1 / (1 - 0.8), though every episode is cut off after four steps."""
    _, value, _ = solve(probe(lambda c, t: 100, lambda c, t, a: 1))
    np.testing.assert_allclose(value[:STEPS], 5, atol=0.25)


def test_a_reward_told_by_the_observation():
    """The encoder's gradient."""
    last, value, _ = solve(probe(lambda c, t: 200 * c, lambda c, t, a: 2 * c - 1, length=1))
    cue = np.asarray(last.observation)[0, :, 0] > 100
    assert cue.any()
    assert not cue.all()
    np.testing.assert_allclose(value[0], np.where(cue, 1, -1), atol=0.1)


def test_a_reward_to_come_is_discounted():
    _, value, _ = solve(probe(lambda c, t: 60 * t, lambda c, t, a: t == 2, length=3))
    np.testing.assert_allclose(value[:3], np.tile([0.64, 0.8, 1], (64, 1)).T, atol=0.1)


def test_an_action_that_matters():
    """The policy's gradient: one action pays, and which one depends on what is seen."""
    last, value, probability = solve(probe(lambda c, t: 200 * c, lambda c, t, a: 1 if a == c else -1, length=1))
    cue = (np.asarray(last.observation)[0, :, 0] > 100).astype(int)
    assert (probability[0, np.arange(64), cue] > 0.95).all()
    np.testing.assert_allclose(value[0], 1, atol=0.15)
    assert last.reward[0].mean() > 0.9


def test_a_cue_that_must_be_remembered():
    """The memory's gradient: what was seen first decides what pays two steps later."""
    params = probe(
        lambda c, t: 200 * c if t == 0 else 100,
        lambda c, t, a: 0 if t < 2 else (1 if a == c else -1),
        length=3,
    )
    last, value, probability = solve(params)
    cue = (np.asarray(last.observation)[0, :, 0] > 100).astype(int)
    assert (probability[2, np.arange(64), cue] > 0.95).all()
    np.testing.assert_allclose(value[0], 0.64, atol=0.15)
    assert not last.loss_mask[3].any()
