"""Influence from true policies, through messages, and by a model: on agents whose policies are tables."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.communication import CommunicationConfig
from rookery.agents.networks import JaquesNetwork, MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.team import AgentGroup, Team
from rookery.errors import ConfigError
from rookery.interfaces import LossInputs
from rookery.learning import actor_critic
from rookery.learning.a2c import A2C
from rookery.learning.actor_critic import ScheduledHparams
from rookery.learning.intrinsic import CentralizedInfluence, MessageInfluence, MOAInfluence, counterfactual
from rookery.learning.intrinsic.influence import influence
from rookery.learning.r2d2 import R2D2
from rookery.nn.cells import LSTMState
from rookery.types import MessageTrajectory, OthersInfo, Trajectory

STEPS, EPISODES, ACTIONS, AGENTS = 4, 2, 3, 3
NETWORK = MLPNetwork(encoder_size=4, hidden_size=4, head_size=4)


class Listener(RecurrentPolicy):
    """Its logits: a table's row for its communication observation, turned by its memory, a step counter."""

    def inputs(self, params, observation, comms_obs=None):
        return jnp.asarray(comms_obs, jnp.float32)

    def unroll(self, params, carry, observation, is_first, comms_obs=None):
        steps = jnp.broadcast_to(jnp.arange(len(observation))[:, None, None] * 1.0, (*observation.shape[:2], 4))
        return None, None, steps, LSTMState(steps, steps)

    def counterfactual_logits(self, params, pre_step_state, inputs, comms_offset, num_values):
        result = jnp.arange(num_values)[:, None] if num_values else None
        return params["table"][result] * (1 + pre_step_state.hidden[None, :, :1])


POLICY_WITHOUT_INPUTS = RecurrentPolicy(
    NETWORK, (1,), ACTIONS, communication=CommunicationConfig(), num_agents=AGENTS
)  # fmt: skip


def listener(**communication) -> Listener:
    return Listener(NETWORK, (1,), ACTIONS, communication=CommunicationConfig(**communication), num_agents=AGENTS)


def played(key, communication: CommunicationConfig, symbols: int = 0) -> Trajectory:
    """A random trajectory of one slot."""
    keys = jax.random.split(key, 5)
    messages = None
    if symbols:
        message = jax.random.randint(keys[3], (STEPS, EPISODES), 0, symbols)
        says = jax.random.normal(keys[4], (STEPS, EPISODES, symbols))
        messages = MessageTrajectory(message=message, log_prob=jnp.zeros((STEPS, EPISODES)), logits=says)
    return Trajectory(
        observation=jnp.zeros((STEPS + 1, EPISODES, 1), jnp.uint8),
        action=jax.random.randint(keys[0], (STEPS, EPISODES), 0, ACTIONS),
        reward=jax.random.normal(keys[1], (STEPS, EPISODES)),
        log_prob=jnp.zeros((STEPS, EPISODES)),
        is_first=jnp.zeros((STEPS + 1, EPISODES), bool).at[0].set(True),
        terminated=jnp.zeros((STEPS, EPISODES), bool),
        loss_mask=jnp.ones((STEPS, EPISODES), bool),
        comms_obs=jnp.zeros((STEPS + 1, EPISODES, communication.size(AGENTS, ACTIONS)), jnp.uint8),
        logits=jax.random.normal(keys[2], (STEPS, EPISODES, ACTIONS)),
        messages=messages,
    )


def stack(*trees):
    return jax.tree.map(lambda *x: jnp.stack(x), *trees)


TABLE = jax.random.normal(jax.random.PRNGKey(3), (ACTIONS, ACTIONS)) * 2


def conditional(t: int) -> jax.Array:
    """A listener's logits for each choice of another, f32[K, 1, A], at step t: the memory before it counts t."""
    return TABLE[:, None] * (1 + t)


@pytest.fixture(scope="module")
def centralized():
    """Slot 0 leads, slots 1 and 2 listen. Returns team, trajectories as played, and with the influence added."""
    communication = CommunicationConfig(influencers=(0,))
    learner = A2C(intrinsic=(CentralizedInfluence(),))
    team = Team((
        AgentGroup("leader", (0,), POLICY_WITHOUT_INPUTS, learner),
        AgentGroup("listener", (1, 2), listener(influencers=(0,)), learner),
    ))  # fmt: skip
    keys = jax.random.split(jax.random.PRNGKey(0), 3)
    leader = played(keys[0], CommunicationConfig())
    out = played(keys[2], communication)
    trajectories = {
        "leader": stack(leader),
        "listener": stack(played(keys[1], communication), out.replace(loss_mask=out.loss_mask.at[2:, 1].set(False))),
    }
    params = {"leader": None, "listener": {"table": jnp.stack([TABLE, TABLE])}}
    had, moved = counterfactual.add_influence(team, params, trajectories)
    return team, trajectories, had, moved


def test_true_policies_from_the_memory_before_the_step(centralized):
    _, trajectories, had, moved = centralized
    leader = trajectories["leader"]
    measured = had["leader"].others.influence["influence-centralized"][0]
    felt = had["listener"].others.influence["influence-centralized"]
    for t in range(STEPS):
        for e in range(EPISODES):
            own, choice = leader.logits[0, t, e], leader.action[0, t, e]
            one = influence(conditional(t), own, choice, jnp.zeros(1, jnp.int32), "kl")[0]
            here = trajectories["listener"].loss_mask[:, t, e]  # the absent are not influenced
            np.testing.assert_allclose(measured[t, e], one * here.sum(), rtol=1e-4, atol=1e-6)
            np.testing.assert_allclose(felt[:, t, e], one * here, rtol=1e-4, atol=1e-6)
    assert (measured > 0.01).all()
    steps = trajectories["listener"].loss_mask.sum((1, 2))
    np.testing.assert_allclose(moved, [0, *(felt.sum((1, 2)) / steps)], rtol=1e-5)


class Exact(MOAInfluence):
    """A model that knows the listeners' tables."""

    def predictions(self, params, policy, trajectory):
        t = jnp.arange(STEPS)[:, None, None, None]
        return jnp.broadcast_to(
            TABLE[:, None, None, None] * (1 + t), (ACTIONS, STEPS, EPISODES, AGENTS - 1, ACTIONS)
        )  # fmt: skip


def modeled(leader: Trajectory, in_view=True) -> Trajectory:
    everybody = jnp.zeros((STEPS, EPISODES, AGENTS), jnp.int32)
    others = OthersInfo(
        action=everybody,
        in_view=jnp.broadcast_to(jnp.asarray(in_view), (STEPS, EPISODES, AGENTS - 1)),
        agent_mask=everybody == 0,
    )
    return leader.replace(others=others)


def test_an_exact_model_tells_what_the_true_policies_tell(centralized):
    """But of the last step, after which the model sees nobody do anything."""
    _, trajectories, had, _ = centralized
    leader = modeled(jax.tree.map(lambda x: x[0], trajectories["leader"]))
    own = Exact().influence({}, None, leader).sum(-1)
    outputs = had["leader"].others.influence["influence-centralized"][0]
    both = np.array(trajectories["listener"].loss_mask.all(0))
    both[-1] = False
    np.testing.assert_allclose(own[both], outputs[both], rtol=1e-4)
    np.testing.assert_array_equal(own[-1], 0)
    assert both.sum() == 5


def test_who_is_out_of_view_or_absent_counts_nothing(centralized):
    leader = jax.tree.map(lambda x: x[0], centralized[1]["leader"])
    whole = Exact().influence({}, None, modeled(leader))
    half = Exact().influence({}, None, modeled(leader, in_view=[True, False]))
    np.testing.assert_array_equal(half[..., 0], whole[..., 0])
    np.testing.assert_array_equal(half[..., 1], 0)
    assert (whole[:-1] > 0.01).all()
    gone = modeled(leader)
    gone = gone.replace(others=gone.others.replace(agent_mask=gone.others.agent_mask.at[1, :, 2].set(False)))
    assert not Exact().influence({}, None, gone)[1, :, 1].any()


def test_messages_move_the_next_step_and_nobody_moves_itself():
    symbols = ACTIONS  # so that the table has a row for each
    intrinsic = MessageInfluence()
    group = AgentGroup("all", (0, 1), listener(vocab_size=symbols), A2C(intrinsic=(intrinsic,)))
    mute = AgentGroup("mute", (2,), None)
    keys = jax.random.split(jax.random.PRNGKey(0), 2)
    trajectories = {"all": stack(*(played(k, group.policy.communication, symbols) for k in keys))}
    params = {"all": {"table": jnp.stack([TABLE, TABLE * 0])}}  # the second listens to nobody
    had, moved = counterfactual.add_influence(Team((group, mute)), params, trajectories)
    measured = had["all"].others.influence["influence-messages"]
    np.testing.assert_allclose(measured[0], 0, atol=1e-6)  # only the deaf agent observes the first
    messages = trajectories["all"].messages
    for t in range(STEPS - 1):
        for e in range(EPISODES):
            answer = jnp.zeros(1, jnp.int32)
            wanted = influence(conditional(t + 1), messages.logits[1, t, e], messages.message[1, t, e], answer, "kl")[0]
            np.testing.assert_allclose(measured[1, t, e], wanted, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(measured[:, -1], 0)
    assert moved[0] > 0.01
    np.testing.assert_allclose(moved[1:], 0, atol=1e-6)


def test_impossible_teams_are_refused():
    own = RecurrentPolicy(NETWORK, (1,), ACTIONS, communication=CommunicationConfig(), num_agents=AGENTS)
    lone = AgentGroup("lone", (0,), own, A2C(intrinsic=(CentralizedInfluence(),)))
    with pytest.raises(ConfigError, match="no learning group observes its actions"):
        counterfactual.check_influence_setup(Team((lone,)))
    with pytest.raises(ConfigError, match="go together"):
        counterfactual.check_influence_setup(
            Team((AgentGroup("mute", (0,), own, A2C(intrinsic=(MessageInfluence(),))),))
        )
    with pytest.raises(ConfigError, match="go together"):
        counterfactual.check_influence_setup(Team((AgentGroup("loud", (0,), listener(vocab_size=3), A2C()),)))


@pytest.mark.parametrize("rewarded", ["leader", "listener"])
def test_influencers_that_act_by_action_values_are_refused(rewarded):
    """They have no probabilities of the actions that they did not take."""
    reward = A2C(intrinsic=(CentralizedInfluence(),))
    leader = AgentGroup("leader", (0,), POLICY_WITHOUT_INPUTS, R2D2())
    also = AgentGroup("also", (2,), POLICY_WITHOUT_INPUTS, reward if rewarded == "leader" else A2C())
    heard = AgentGroup("listener", (1,), listener(influencers=(0, 2)), reward if rewarded == "listener" else A2C())
    with pytest.raises(ConfigError, match="'leader': its learner, kind 'r2d2', acts by action values"):
        counterfactual.check_influence_setup(Team((leader, also, heard)))
    # Without the reward nothing is measured, and observed actions need no probabilities.
    counterfactual.check_influence_setup(
        Team((leader, AgentGroup("listener", (1,), listener(influencers=(0,)), A2C())))
    )


# -------------------------------------------------------------------------------- the losses, on a real small network

SMALL = JaquesNetwork(filters=2, encoder_size=4, hidden_size=4)
POLICY = RecurrentPolicy(SMALL, (3, 5, 3), ACTIONS, communication=CommunicationConfig(vocab_size=2), num_agents=AGENTS)


def batch_of(reward, influence_told, environment: float):
    """Loss slopes of one agent with messages and a model, for these rewards."""
    keys = jax.random.split(jax.random.PRNGKey(5), 3)
    trajectory = played(keys[0], POLICY.communication, 2)
    others = dataclasses.replace(modeled(trajectory).others, influence={"influence-messages": influence_told})
    random_observation = jax.random.randint(keys[1], (STEPS + 1, EPISODES, 3, 5, 3), 0, 256).astype(jnp.uint8)
    trajectory = trajectory.replace(observation=random_observation, reward=reward, others=others)
    config = A2C(
        sequence_length=STEPS, intrinsic=(MessageInfluence(extrinsic_coef=environment), MOAInfluence(loss_weight=2.0))
    )  # fmt: skip
    learner = config.init(POLICY, keys[2], STEPS)
    plain = config.intrinsic[0].extrinsic_coef * reward + influence_told
    trajectory = trajectory.replace(messages=trajectory.messages.replace(reward=plain))
    fresh = actor_critic.recompute(config, POLICY, learner.params, trajectory)
    sequences = actor_critic.take_sequences(config, trajectory, fresh, jnp.arange(EPISODES))
    hparams = ScheduledHparams(jnp.float32(1.0), jnp.float32(0.0), jnp.float32(1.0))
    return actor_critic.gradient(config, POLICY, learner.params, sequences, hparams, keys[2])


def test_each_policy_learns_from_its_own_rewards():
    """The messages' head from alpha e + beta c; the actions' from e alone; the model from neither."""
    grads_of = jax.jit(batch_of, static_argnums=2)
    one = jax.random.normal(jax.random.PRNGKey(0), (STEPS, EPISODES))
    parts, base = grads_of(one, one * 0.5, 0.0)
    _, other_world = grads_of(one * -3, one * 0.5, 0.0)
    _, other_influence = grads_of(one, one * -2, 0.0)

    def same(left, right, *path):
        for name in path:
            left, right = left[name], right[name]
        return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True))

    assert same(base, other_world, "policy", "message_head")
    assert not same(base, other_world, "policy", "heads")
    assert same(base, other_influence, "policy", "heads")
    assert not same(base, other_influence, "policy", "message_head")
    assert same(base, other_world, "intrinsic")
    assert same(base, other_influence, "intrinsic")
    assert np.abs(base["intrinsic"]["influence-moa"]["output"]["kernel"]).max() > 0
    np.testing.assert_allclose(parts["moa_loss/influence-moa"], np.log(ACTIONS), rtol=0.02)  # knows nothing yet


def test_the_model_trains_the_convolution_and_shares_nothing_else():
    intrinsic = MOAInfluence()
    keys = jax.random.split(jax.random.PRNGKey(2), 3)
    policy = dataclasses.replace(POLICY, communication=CommunicationConfig())
    trajectory = modeled(played(keys[0], CommunicationConfig()))
    random_observation = jax.random.randint(keys[1], (STEPS + 1, EPISODES, 3, 5, 3), 0, 256).astype(jnp.uint8)
    trajectory = trajectory.replace(observation=random_observation)
    config = A2C(sequence_length=STEPS, intrinsic=(intrinsic,))
    params = config.init(policy, keys[2], STEPS).params

    def loss(params):
        carry = jax.tree.map(lambda x: x[None], policy.initial_carry(EPISODES))
        made = actor_critic.RecomputedBatch(carry, trajectory.reward, trajectory.reward, {intrinsic.kind: carry})
        batch = actor_critic.take_sequences(config, trajectory, made, jnp.arange(EPISODES))
        mask = intrinsic.loss_mask(batch)
        inputs = LossInputs(policy, params["policy"], batch, jnp.zeros((STEPS, EPISODES, 4)), keys[2])
        return (intrinsic.loss(params, inputs, batch.intrinsic_carry[intrinsic.kind]) * mask).sum(), mask

    grads, counts = jax.jit(jax.grad(loss, has_aux=True))(params)
    assert counts.shape == (STEPS, EPISODES, AGENTS - 1)
    assert counts[:-1].all()
    assert not counts[-1].any()  # nothing follows an episode's last step
    moved = {name for name, leaf in _flat(grads["policy"]) if np.any(leaf)}
    assert moved == {"encoder/conv/kernel", "encoder/conv/bias"}


def _flat(tree, prefix=""):
    for name, value in tree.items():
        yield from _flat(value, f"{prefix}{name}/") if isinstance(value, dict) else [(prefix + name, value)]
