"""The attention loss: relative positions by hand, and what it counts."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.interfaces import LossInputs
from rookery.learning.a2c import A2C
from rookery.learning.auxiliary.attention import CELLS_PER_UNIT, AttentionLoss
from rookery.learning.rollout import requested_info
from rookery.training.build import build
from rookery.types import OthersInfo, Sequences
from tests.tiny import CONFIG, NOVICE, tiny
from tests.worlds import EAST, NORTH, SOUTH, game, start, task_on

ROOM = """
    #########
    #A.....A#
    #...1...#
    #A......#
    #########
"""
L, N = 2, 1


def test_relative_positions_by_hand():
    """Cells ahead, and to the right, for three headings; walls and views do not matter."""
    task = task_on(ROOM, agents=3)
    state = start(task, [(1, 2), (3, 5), (2, 2)], [NORTH, EAST, SOUTH])
    relative = np.asarray(game(task).env.relative_positions(state))
    assert relative[0].tolist() == [[0, 0], [-2, 3], [-1, 0]]
    assert relative[1].tolist() == [[-3, -2], [0, 0], [-3, -1]]
    assert relative[2].tolist() == [[-1, 0], [1, -3], [0, 0]]


def inputs(mask, relative) -> tuple[AttentionLoss, dict, LossInputs]:
    """A batch of one sequence of two steps, with two other agents; the loss's own weights are 0."""
    policy = RecurrentPolicy(MLPNetwork(encoder_size=4, hidden_size=4, head_size=4), (3, 3, 8), 3, num_agents=3)
    loss = AttentionLoss()
    params = jax.tree.map(jnp.zeros_like, loss.init(jax.random.PRNGKey(0), policy))
    blank = jnp.zeros((L, N))
    batch = Sequences(
        observation=jnp.zeros((L + 1, N, 3, 3, 8), jnp.uint8),
        is_first=jnp.zeros((L + 1, N), bool),
        action=blank.astype(jnp.int32),
        reward=blank,
        terminated=blank > 0,
        loss_mask=jnp.array([[True], [False]]),
        next_in_episode=blank > 0,
        carry=policy.initial_carry(N),
        others=OthersInfo(
            agent_mask=jnp.array(mask, bool).reshape(L + 1, N, 3),
            relative_position=jnp.array(relative, jnp.int32).reshape(L + 1, N, 2, 2),
        ),
    )
    return loss, params, LossInputs(policy, {}, batch, jnp.zeros((L, N, 4)), jax.random.PRNGKey(1))


def test_the_loss_by_hand():
    """With weights of 0 every prediction is 0, so the loss is the mean of both coordinates' distances."""
    mask = [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    relative = [[[4, -2], [7, 7]], [[1, 1], [0, 3]], [[9, 9], [9, 9]]]
    loss, params, given = inputs(mask, relative)
    np.testing.assert_allclose(loss.loss(params, given) * CELLS_PER_UNIT, [[[3, 7]], [[1, 1.5]]], rtol=1e-6)
    # Only the agent that is there, at the step that counts.
    assert loss.loss_mask(given.batch).tolist() == [[[True, False]], [[False, False]]]
    assert float(loss.metrics(params, given)["cells"]) == 3


def test_a_run_is_given_what_the_loss_requests_and_no_more():
    entry = dataclasses.replace(NOVICE, learner=A2C(sequence_length=4, auxiliary=(AttentionLoss(),)))
    assert requested_info(entry) == ("relative_position", "agent_mask")
    run = build(tiny(team=(entry, *CONFIG.team[1:]), variants=CONFIG.variants[:1]))
    assert run.team.groups[0].policy.num_agents == run.env.num_agents
    assert requested_info(NOVICE) == ()
