"""What agents observe besides their view."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.communication import CommState, CommunicationConfig, initial_comm_state
from rookery.agents.networks import JaquesNetwork
from rookery.agents.recurrent import RecurrentPolicy, count_parameters
from rookery.agents.team import AgentGroup, Team, act_group, advance, record_actions
from rookery.errors import ConfigError, IncompatibleError
from rookery.learning.intrinsic import MOAInfluence
from rookery.nn.cells import LSTMState

AGENTS, ACTIONS = 3, 4


def comm_state(prev_actions, prev_messages, actions) -> CommState:
    rows = (prev_actions, prev_messages, actions)
    return CommState(*(jnp.array([row], jnp.int32) for row in rows), messages=jnp.full((1, AGENTS), -1))


def test_parts_of_the_communication_observation_lie_at_their_offsets():
    config = CommunicationConfig(visible_actions=True, vocab_size=2, influencers=(2, 0))
    comms_obs = np.asarray(config.encode(comm_state([1, -1, 3], [0, 1, -1], [2, -1, 0]), ACTIONS))[0]
    assert len(comms_obs) == config.size(AGENTS, ACTIONS) == 3 * 4 + 3 * 2 + 2 * 4
    blocks = [comms_obs[:4], comms_obs[4:8], comms_obs[8:12]]
    assert [list(np.flatnonzero(b)) for b in blocks] == [[1], [], [3]]
    for slot, message in enumerate([0, 1, None]):
        start = config.message_offset(slot, AGENTS, ACTIONS)
        assert list(np.flatnonzero(comms_obs[start : start + 2])) == ([] if message is None else [message])
    for slot, action in ((2, 0), (0, 2)):
        start = config.influencer_offset(slot, AGENTS, ACTIONS)
        assert list(np.flatnonzero(comms_obs[start : start + 4])) == [action]


def test_actions_and_messages_are_observed_in_the_next_step():
    group = AgentGroup("all", (0, 1, 2), None)
    action = jnp.array([[3], [2], [1]])
    extras = {"message": jnp.array([[1], [0], [1]])}
    agent_mask = jnp.array([[True, True, False]])
    now = record_actions(initial_comm_state(1, AGENTS), group, action, extras, agent_mask)
    config = CommunicationConfig(visible_actions=True, vocab_size=2)
    assert not config.encode(now, ACTIONS).any()
    later = advance(now)
    assert (later.prev_actions.tolist(), later.prev_messages.tolist()) == (
        [[3, 2, -1]],
        [[1, 0, -1]],
    )  # nothing of the absent agent
    assert (advance(later).prev_actions == -1).all()
    assert (later.actions == -1).all()


@pytest.mark.parametrize(("actions", "policy_size", "model_size"), [(9, 117_426, 143_652), (8, 117_297, 140_576)])
def test_numbers_of_parameters_are_those_of_the_paper(actions, policy_size, model_size):
    """Jaques et al. 2019: 15×15 views, five agents, nine actions in Cleanup and eight in Harvest."""
    policy = RecurrentPolicy(JaquesNetwork(), (15, 15, 3), actions, communication=CommunicationConfig(), num_agents=5)
    key = jax.ShapeDtypeStruct((2,), np.uint32)
    params = jax.eval_shape(policy.init, key)
    model = jax.eval_shape(lambda k: MOAInfluence().init(k, policy), key)
    assert (count_parameters(params), count_parameters(model)) == (policy_size, model_size)
    assert policy_size + model_size in (261_078, 257_873)


SMALL = RecurrentPolicy(
    JaquesNetwork(filters=2, encoder_size=4, hidden_size=4), (3, 5, 3), ACTIONS,
    communication=CommunicationConfig(vocab_size=2, influencers=(0,)), num_agents=AGENTS,
)  # fmt: skip


def test_counterfactual_logits_equal_those_of_changed_observations():
    """The fast way (a row of the kernel) and the plain way (forward again) agree."""
    params = SMALL.init(jax.random.PRNGKey(0))
    keys = jax.random.split(jax.random.PRNGKey(1), 4)
    obs = jax.random.randint(keys[0], (6, 3, 5, 3), 0, 256).astype(jnp.uint8)
    comms_obs = jnp.zeros((6, SMALL.comms_obs_size)).at[:, -1].set(1.0)
    state = LSTMState(jax.random.normal(keys[1], (6, 4)), jax.random.normal(keys[2], (6, 4)))
    start = SMALL.communication.influencer_offset(0, AGENTS, ACTIONS)
    inputs = SMALL.inputs(params, obs[None], comms_obs[None])[0]
    counterfactual = SMALL.counterfactual_logits(params, state, inputs, start, ACTIONS)
    never = jnp.zeros(6, bool)
    for action in range(ACTIONS):
        changed = comms_obs.at[:, start : start + ACTIONS].set(jax.nn.one_hot(action, ACTIONS))
        logits, _, _ = SMALL.forward(params, state, obs, never, changed)
        np.testing.assert_allclose(counterfactual[action], logits, atol=1e-6)
    assert np.ptp(np.asarray(counterfactual), axis=0).max() > 1e-5


class Environment:
    num_agents, num_actions, max_steps = AGENTS, ACTIONS, 5

    def observation_shape(self, slot):
        return (3, 5, 3)


def group_of(slots, name, **communication) -> AgentGroup:
    policy = RecurrentPolicy(
        SMALL.network, (3, 5, 3), ACTIONS, communication=CommunicationConfig(**communication), num_agents=AGENTS
    )
    return AgentGroup(name, slots, policy)


def test_influencers_act_first_and_have_no_influencers():
    influenced, influencer = group_of((1, 2), "influenced", influencers=(0,)), group_of((0,), "influencer")
    team = Team((influenced, influencer))
    team.validate(Environment())
    assert [(number, group.name) for number, group in team.acting_order] == [(1, "influencer"), (0, "influenced")]
    with pytest.raises(ConfigError, match="influencers \\[0\\]"):
        Team((influenced, group_of((0,), "influencer", influencers=(1,)))).validate(Environment())
    with pytest.raises(ConfigError, match="influencers \\[1\\]"):
        Team((group_of((1, 2), "influenced", influencers=(1,)), influencer)).validate(Environment())
    with pytest.raises(ConfigError, match="another group vocab_size=3"):
        Team((group_of((1, 2), "a", vocab_size=2), group_of((0,), "b", vocab_size=3))).validate(Environment())
    with pytest.raises(IncompatibleError, match="which only runs, evaluations"):
        act_group(
            influenced,
            None,
            None,
            jnp.zeros((1, 3, 3, 5, 3), jnp.uint8),
            None,
            jnp.ones(1, bool),
            jax.random.PRNGKey(0),
        )
    with pytest.raises(ConfigError, match="vocab_size=1"):
        CommunicationConfig(vocab_size=1)
