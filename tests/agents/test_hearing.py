"""What agents are told beside their view."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.hearing import Board, Hears, blank_board
from rookery.agents.networks import InfluenceNetwork, Memory
from rookery.agents.recurrent import RecurrentPolicy, count_parameters
from rookery.agents.team import Group, Team, act, note, turn_over
from rookery.errors import ConfigError, MisfitError
from rookery.learning.intrinsic import ModelledInfluence

AGENTS, ACTIONS = 3, 4


def board(did, said, does) -> Board:
    return Board(*(jnp.array([row], jnp.int32) for row in (did, said, does)), says=jnp.full((1, AGENTS), -1))


def test_what_is_told_lies_where_it_is_said_to_lie():
    hears = Hears(actions=True, symbols=2, leaders=(2, 0))
    told = np.asarray(hears.tell(board([1, -1, 3], [0, 1, -1], [2, -1, 0]), ACTIONS))[0]
    assert len(told) == hears.size(AGENTS, ACTIONS) == 3 * 4 + 3 * 2 + 2 * 4
    blocks = [told[:4], told[4:8], told[8:12]]
    assert [list(np.flatnonzero(b)) for b in blocks] == [[1], [], [3]]
    for slot, symbol in enumerate([0, 1, None]):
        at = hears.message_at(slot, AGENTS, ACTIONS)
        assert list(np.flatnonzero(told[at : at + 2])) == ([] if symbol is None else [symbol])
    for slot, action in ((2, 0), (0, 2)):
        at = hears.leader_at(slot, AGENTS, ACTIONS)
        assert list(np.flatnonzero(told[at : at + 4])) == [action]


def test_what_is_done_and_said_is_told_in_the_next_step():
    group = Group("all", (0, 1, 2), None)
    action = jnp.array([[3], [2], [1]])
    says = {"message": jnp.array([[1], [0], [1]])}
    there = jnp.array([[True, True, False]])
    now = note(blank_board(1, AGENTS), group, action, says, there)
    hears = Hears(actions=True, symbols=2)
    assert not hears.tell(now, ACTIONS).any()
    later = turn_over(now)
    assert (later.did.tolist(), later.said.tolist()) == ([[3, 2, -1]], [[1, 0, -1]])  # of the absent, nothing
    assert (turn_over(later).did == -1).all()
    assert (later.does == -1).all()


@pytest.mark.parametrize(("actions", "policy_size", "model_size"), [(9, 117_426, 143_652), (8, 117_297, 140_576)])
def test_the_papers_parameters(actions, policy_size, model_size):
    """Jaques et al. 2019: 15×15 views, five agents, nine actions in Cleanup and eight in Harvest."""
    policy = RecurrentPolicy(InfluenceNetwork(), (15, 15, 3), actions, hears=Hears(), agents=5)
    key = jax.ShapeDtypeStruct((2,), np.uint32)
    own = jax.eval_shape(policy.init, key)
    model = jax.eval_shape(lambda k: ModelledInfluence().init(k, policy), key)
    assert (count_parameters(own), count_parameters(model)) == (policy_size, model_size)
    assert policy_size + model_size in (261_078, 257_873)


SMALL = RecurrentPolicy(
    InfluenceNetwork(filters=2, width=4, memory_size=4), (3, 5, 3), ACTIONS,
    hears=Hears(symbols=2, leaders=(0,)), agents=AGENTS,
)  # fmt: skip


def test_had_it_been_told_something_else():
    """The quick way (a row of the kernel) and the plain way (read again) agree, from the memory before the step."""
    params = SMALL.init(jax.random.PRNGKey(0))
    keys = jax.random.split(jax.random.PRNGKey(1), 4)
    seen = jax.random.randint(keys[0], (6, 3, 5, 3), 0, 256).astype(jnp.uint8)
    heard = jnp.zeros((6, SMALL.heard_size)).at[:, -1].set(1.0)
    before = Memory(jax.random.normal(keys[1], (6, 4)), jax.random.normal(keys[2], (6, 4)))
    at = SMALL.hears.leader_at(0, AGENTS, ACTIONS)
    quick = SMALL.if_told(params, before, SMALL.inputs(params, seen[None], heard[None])[0], at, ACTIONS)
    never = jnp.zeros(6, bool)
    for action in range(ACTIONS):
        other = heard.at[:, at : at + ACTIONS].set(jax.nn.one_hot(action, ACTIONS))
        logits, _, _ = SMALL.read(params, before, seen, never, other)
        np.testing.assert_allclose(quick[action], logits, atol=1e-6)
    assert np.ptp(np.asarray(quick), axis=0).max() > 1e-5


class World:
    agents, actions, max_steps = AGENTS, ACTIONS, 5

    def observation_shape(self, slot):
        return (3, 5, 3)


def silent(slots, name, **hears) -> Group:
    policy = RecurrentPolicy(SMALL.network, (3, 5, 3), ACTIONS, hears=Hears(**hears), agents=AGENTS)
    return Group(name, slots, policy)


def test_who_leads_acts_first_and_follows_nobody():
    follower, leader = silent((1, 2), "follower", leaders=(0,)), silent((0,), "leader")
    team = Team((follower, leader))
    team.check(World())
    assert [(number, group.name) for number, group in team.in_turn] == [(1, "leader"), (0, "follower")]
    with pytest.raises(ConfigError, match="leaders \\[0\\]"):
        Team((follower, silent((0,), "leader", leaders=(1,)))).check(World())
    with pytest.raises(ConfigError, match="leaders \\[1\\]"):
        Team((silent((1, 2), "follower", leaders=(1,)), leader)).check(World())
    with pytest.raises(ConfigError, match="3 symbols"):
        Team((silent((1, 2), "a", symbols=2), silent((0,), "b", symbols=3))).check(World())
    with pytest.raises(MisfitError, match="told in runs"):
        act(follower, None, None, jnp.zeros((1, 3, 3, 5, 3), jnp.uint8), None, jnp.ones(1, bool), jax.random.PRNGKey(0))
    with pytest.raises(ConfigError, match="symbols=1"):
        Hears(symbols=1)
