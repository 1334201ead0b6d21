"""The attention loss: relative positions by hand, and what it counts."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.interfaces import HealthInputs, LossInputs
from rookery.learning.a2c import A2C
from rookery.learning.auxiliary.attention import CELLS_PER_UNIT, AttentionLoss, last_seen
from rookery.learning.extra_losses import add_extra_losses, loss_denominators
from rookery.learning.rollout import requested_info
from rookery.training.build import build
from rookery.types import OthersInfo, Sequences, Trajectory
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


def test_cells_of_a_minibatch_are_those_of_its_parts_whoever_is_there():
    """Both others are 3 cells off in one sequence, and nobody is there in the other."""
    given = [inputs([mask, [1, 1, 1], [1, 1, 1]], np.full((3, 2, 2), 3))[2] for mask in ([1, 1, 1], [1, 0, 0])]
    loss, params, _ = inputs(np.ones((3, 3)), np.zeros((3, 2, 2)))
    counts = [loss_denominators((loss,), (), part.batch) for part in given]
    assert [float(count["aux/attention"]) for count in counts] == [2, 1]  # at least 1
    whole = {"aux/attention": jnp.float32(2)}
    cells = [
        add_extra_losses(jnp.float32(0), (loss,), (), {"auxiliary": {"attention": params}}, part, whole, 1.0)[1]
        for part in given
    ]
    assert [float(part["attention/cells"]) for part in cells] == [3, 0]


class TestHealth:
    """Two other agents in one episode of four steps, of which the third does not count; predictions are 0."""

    ROWS = ((3, 0, 7), (1, 2, 7), (9, 9, 7), (5, 4, 7))  # ahead and right of the one that is there; ahead of the other

    def measure(self, is_present=True, bias=None):
        loss, params, given = inputs(np.ones((3, 3)), np.zeros((3, 2, 2)))
        if bias is not None:
            params = jax.tree.map(lambda x: x, params)
            params["position"]["bias"] = jnp.array([*bias, 0.0, 0.0]) / CELLS_PER_UNIT
        steps = len(self.ROWS)
        blank = jnp.zeros((steps, 1))
        trajectory = Trajectory(
            observation=jnp.zeros((steps + 1, 1, 3, 3, 8), jnp.uint8),
            action=blank.astype(jnp.int32),
            reward=blank,
            log_prob=blank,
            is_first=jnp.arange(steps + 1)[:, None] == 0,
            terminated=blank > 0,
            loss_mask=jnp.array([True, True, False, True])[:, None],
            others=OthersInfo(
                agent_mask=jnp.broadcast_to(jnp.array([True, is_present, False]), (steps, 1, 3)),
                relative_position=jnp.array([[[[a, b], [c, c]]] for a, b, c in self.ROWS]),
                in_view=jnp.array([True, False, True, False])[:, None, None] & jnp.array([True, False]),
            ),
        )
        health = loss.health(params, HealthInputs(given.policy, {}, trajectory, jnp.zeros((steps, 1, 4))))
        return {name: float(value) * CELLS_PER_UNIT for name, value in health.items()}

    def test_errors_by_hand(self):
        assert self.measure() == pytest.approx(
            {
                "error": (3 + 0 + 1 + 2 + 5 + 4) / 6,
                "error_constant": (0 + 2 + 2 + 0 + 2 + 2) / 6,  # medians 3 and 2
                # (3, 2), as it was not seen before; (3, 0), seen in the first step; (9, 9), seen in the third.
                "error_copy": (0 + 2 + 2 + 2 + 4 + 5) / 6,
            }
        )

    def test_the_best_constant_is_as_good_as_the_constant_and_no_better(self):
        health = self.measure(bias=(3, 2))
        assert health["error"] == pytest.approx(health["error_constant"])

    def test_without_other_agents_nothing_is_measured(self):
        assert np.isnan(list(self.measure(is_present=False).values())).all()


def test_what_was_seen_in_one_episode_is_not_known_in_the_next():
    position = jnp.arange(4.0)[:, None, None, None] * jnp.ones((1, 1, 1, 2))
    seen = jnp.array([True, False, True, True])[:, None, None]
    first = jnp.array([True, False, False, True])[:, None]
    assert last_seen(position, seen, first, jnp.full((1, 2), -1.0))[:, 0, 0, 0].tolist() == [-1, 0, 0, -1]


def test_a_run_is_given_what_the_loss_requests_and_no_more():
    entry = dataclasses.replace(NOVICE, learner=A2C(sequence_length=4, auxiliary=(AttentionLoss(),)))
    assert requested_info(entry) == ("relative_position", "in_view", "agent_mask")
    run = build(tiny(team=(entry, *CONFIG.team[1:]), variants=CONFIG.variants[:1]))
    assert run.team.groups[0].policy.num_agents == run.env.num_agents
    assert requested_info(NOVICE) == ()
