"""What agents are told beside their view."""

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


def board(did, said, does) -> CommState:
    return CommState(*(jnp.array([row], jnp.int32) for row in (did, said, does)), messages=jnp.full((1, AGENTS), -1))


def test_what_is_told_lies_where_it_is_said_to_lie():
    hears = CommunicationConfig(visible_actions=True, vocab_size=2, influencers=(2, 0))
    told = np.asarray(hears.encode(board([1, -1, 3], [0, 1, -1], [2, -1, 0]), ACTIONS))[0]
    assert len(told) == hears.size(AGENTS, ACTIONS) == 3 * 4 + 3 * 2 + 2 * 4
    blocks = [told[:4], told[4:8], told[8:12]]
    assert [list(np.flatnonzero(b)) for b in blocks] == [[1], [], [3]]
    for slot, symbol in enumerate([0, 1, None]):
        at = hears.message_offset(slot, AGENTS, ACTIONS)
        assert list(np.flatnonzero(told[at : at + 2])) == ([] if symbol is None else [symbol])
    for slot, action in ((2, 0), (0, 2)):
        at = hears.influencer_offset(slot, AGENTS, ACTIONS)
        assert list(np.flatnonzero(told[at : at + 4])) == [action]


def test_what_is_done_and_said_is_told_in_the_next_step():
    group = AgentGroup("all", (0, 1, 2), None)
    action = jnp.array([[3], [2], [1]])
    says = {"message": jnp.array([[1], [0], [1]])}
    there = jnp.array([[True, True, False]])
    now = record_actions(initial_comm_state(1, AGENTS), group, action, says, there)
    hears = CommunicationConfig(visible_actions=True, vocab_size=2)
    assert not hears.encode(now, ACTIONS).any()
    later = advance(now)
    assert (later.prev_actions.tolist(), later.prev_messages.tolist()) == (
        [[3, 2, -1]],
        [[1, 0, -1]],
    )  # of the absent, nothing
    assert (advance(later).prev_actions == -1).all()
    assert (later.actions == -1).all()


@pytest.mark.parametrize(("actions", "policy_size", "model_size"), [(9, 117_426, 143_652), (8, 117_297, 140_576)])
def test_the_papers_parameters(actions, policy_size, model_size):
    """Jaques et al. 2019: 15×15 views, five agents, nine actions in Cleanup and eight in Harvest."""
    policy = RecurrentPolicy(JaquesNetwork(), (15, 15, 3), actions, communication=CommunicationConfig(), num_agents=5)
    key = jax.ShapeDtypeStruct((2,), np.uint32)
    own = jax.eval_shape(policy.init, key)
    model = jax.eval_shape(lambda k: MOAInfluence().init(k, policy), key)
    assert (count_parameters(own), count_parameters(model)) == (policy_size, model_size)
    assert policy_size + model_size in (261_078, 257_873)


SMALL = RecurrentPolicy(
    JaquesNetwork(filters=2, encoder_size=4, hidden_size=4), (3, 5, 3), ACTIONS,
    communication=CommunicationConfig(vocab_size=2, influencers=(0,)), num_agents=AGENTS,
)  # fmt: skip


def test_had_it_been_told_something_else():
    """The quick way (a row of the kernel) and the plain way (read again) agree, from the memory before the step."""
    params = SMALL.init(jax.random.PRNGKey(0))
    keys = jax.random.split(jax.random.PRNGKey(1), 4)
    seen = jax.random.randint(keys[0], (6, 3, 5, 3), 0, 256).astype(jnp.uint8)
    heard = jnp.zeros((6, SMALL.comms_obs_size)).at[:, -1].set(1.0)
    before = LSTMState(jax.random.normal(keys[1], (6, 4)), jax.random.normal(keys[2], (6, 4)))
    at = SMALL.communication.influencer_offset(0, AGENTS, ACTIONS)
    quick = SMALL.counterfactual_logits(params, before, SMALL.inputs(params, seen[None], heard[None])[0], at, ACTIONS)
    never = jnp.zeros(6, bool)
    for action in range(ACTIONS):
        other = heard.at[:, at : at + ACTIONS].set(jax.nn.one_hot(action, ACTIONS))
        logits, _, _ = SMALL.forward(params, before, seen, never, other)
        np.testing.assert_allclose(quick[action], logits, atol=1e-6)
    assert np.ptp(np.asarray(quick), axis=0).max() > 1e-5


class World:
    num_agents, num_actions, max_steps = AGENTS, ACTIONS, 5

    def observation_shape(self, slot):
        return (3, 5, 3)


def silent(slots, name, **hears) -> AgentGroup:
    policy = RecurrentPolicy(
        SMALL.network, (3, 5, 3), ACTIONS, communication=CommunicationConfig(**hears), num_agents=AGENTS
    )
    return AgentGroup(name, slots, policy)


def test_who_leads_acts_first_and_follows_nobody():
    follower, leader = silent((1, 2), "follower", influencers=(0,)), silent((0,), "leader")
    team = Team((follower, leader))
    team.validate(World())
    assert [(number, group.name) for number, group in team.acting_order] == [(1, "leader"), (0, "follower")]
    with pytest.raises(ConfigError, match="influencers \\[0\\]"):
        Team((follower, silent((0,), "leader", influencers=(1,)))).validate(World())
    with pytest.raises(ConfigError, match="influencers \\[1\\]"):
        Team((silent((1, 2), "follower", influencers=(1,)), leader)).validate(World())
    with pytest.raises(ConfigError, match="another group vocab_size=3"):
        Team((silent((1, 2), "a", vocab_size=2), silent((0,), "b", vocab_size=3))).validate(World())
    with pytest.raises(IncompatibleError, match="which only runs, evaluations"):
        act_group(
            follower, None, None, jnp.zeros((1, 3, 3, 5, 3), jnp.uint8), None, jnp.ones(1, bool), jax.random.PRNGKey(0)
        )
    with pytest.raises(ConfigError, match="vocab_size=1"):
        CommunicationConfig(vocab_size=1)
