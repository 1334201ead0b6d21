"""The episodes that losses, rewards and learners are checked with."""

import jax
import numpy as np

from rookery.agents.communication import CommunicationConfig
from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.interfaces import REQUESTABLE_INFO
from rookery.learning.intrinsic.centralized import CentralizedInfluence
from rookery.testing.sample_episodes import sample_trajectory, with_other_absent_positions, with_other_masked_steps

POLICY = RecurrentPolicy(
    MLPNetwork(encoder_size=2, hidden_size=2, head_size=2),
    (2,),
    3,
    communication=CommunicationConfig(vocab_size=2),
    num_agents=3,
)
KEPT = (".is_first", ".loss_mask", ".others.action", ".others.agent_mask")


def sample():
    trajectory = sample_trajectory(POLICY, REQUESTABLE_INFO, (CentralizedInfluence(),))
    return trajectory.replace(teacher_action=trajectory.action)


def test_absent_agents_do_nothing_and_are_paid_nothing():
    trajectory = sample()
    others, agent_mask = trajectory.others, np.asarray(trajectory.others.agent_mask)
    assert (agent_mask[..., 0] == trajectory.loss_mask).all()
    assert ((np.asarray(others.action) == -1) == ~agent_mask).all()
    assert not np.asarray(others.reward)[~agent_mask].any()
    assert not np.asarray(others.in_view)[~agent_mask[..., 1:]].any()
    counted = agent_mask[np.asarray(trajectory.loss_mask)]
    assert {1, 2, 3} == set(counted.sum(-1).tolist()), "all agents are there, one of the others is away, or both are"


def test_every_number_of_a_step_that_does_not_count_is_another_one_and_no_other_changes():
    trajectory = sample()
    changed, masked = with_other_masked_steps(trajectory, POLICY), ~np.asarray(trajectory.loss_mask)
    leaves = jax.tree_util.tree_leaves_with_path(trajectory)
    assert {path[0].name for path, _ in leaves} == set(type(trajectory).__dataclass_fields__) - {"agent_mask"}
    for (path, before), after in zip(leaves, jax.tree.leaves(changed), strict=True):
        name = jax.tree_util.keystr(path)
        differs = np.asarray(before != after)
        differs = differs.any(tuple(range(2, differs.ndim)))
        if name in KEPT:
            expected = np.zeros_like(differs)
        elif len(differs) == len(masked):
            expected = masked
        else:  # the observation after the last step that counts still belongs to it
            expected = np.concatenate([masked[:1], masked[1:] & masked[:-1], masked[-1:]])
        np.testing.assert_array_equal(differs, expected, err_msg=name)


def test_absent_agents_are_elsewhere_and_nothing_else_changes():
    trajectory = sample()
    changed, is_absent = (
        with_other_absent_positions(trajectory, POLICY),
        ~np.asarray(trajectory.others.agent_mask[..., 1:]),
    )
    for (path, before), after in zip(
        jax.tree_util.tree_leaves_with_path(trajectory), jax.tree.leaves(changed), strict=True
    ):
        differs, name = np.asarray(before != after), jax.tree_util.keystr(path)
        expected = is_absent[..., None] if name == ".others.relative_position" else False
        np.testing.assert_array_equal(differs, np.broadcast_to(expected, differs.shape), err_msg=name)
    assert with_other_absent_positions(sample_trajectory(POLICY, ("agent_mask",)), POLICY) is None
