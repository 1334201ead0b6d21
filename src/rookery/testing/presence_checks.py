"""The part of the conformance check for tasks that is about absent agents; docs/concepts/presence.md has the rules."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool

from rookery.gridworld.state import GridState
from rookery.testing.conformance import require, require_equal_trees
from rookery.testing.random_episodes import NUM_CHECKED_ENVS, Episodes, Player
from rookery.types import PyTree

_MAX_CHECKED_SLOTS = 12
"""Slots that are tried absent and alone; of more agents, as many spread over them."""


def agent_mask_batches(num_agents: int) -> list[Bool[Array, "E A"]]:
    """Each agent absent, and each alone, in batches for the program that plays the episodes."""
    slots = np.unique(np.linspace(0, num_agents - 1, min(num_agents, _MAX_CHECKED_SLOTS)).astype(int))
    alone = np.eye(num_agents, dtype=bool)[slots]
    masks = np.unique(np.concatenate([~alone, alone]), axis=0)
    masks = masks[masks.any(1)]  # not an episode without agents
    num_batches = -(-len(masks) // NUM_CHECKED_ENVS)
    filled = np.resize(masks, (num_batches * NUM_CHECKED_ENVS, num_agents))
    return [jnp.asarray(batch) for batch in filled.reshape(num_batches, NUM_CHECKED_ENVS, num_agents)]


def check_presence(name: str, player: Player, agent_mask: Bool[Array, "E A"], everyone: Episodes) -> Episodes:
    """The agents of the mask take part; absent ones observe nothing, and nothing depends on them.

    Args:
      name: of the task. everyone: episodes from the same keys in which all agents take part.
    Returns: the episodes of the agents in `agent_mask`.
    """
    played = player.play(agent_mask=agent_mask, action=player.actions(seed=1))
    _check_mask(name, np.asarray(agent_mask), played, everyone)
    _check_observations(name, played)
    _check_actions(name, player, agent_mask, played)
    if isinstance(played.first_state, GridState):
        _check_positions(name, player, agent_mask, played)
    return played


def _check_mask(name: str, agent_mask: np.ndarray, played: Episodes, everyone: Episodes) -> None:
    for timestep in (played.first, played.timesteps):
        outside = np.argwhere(timestep.agent_mask & ~agent_mask)
        require(
            not len(outside),
            f"{name}: agent_mask",
            f"an agent outside agent_mask came in: slot {outside[0][-1] if len(outside) else None}; only agents in the "
            "agent_mask that `reset` gets may ever be there",
        )
    # An agent that enters later, or is away at first, is missing among all agents, too.
    missing = np.argwhere(agent_mask & everyone.first.agent_mask & ~played.first.agent_mask)
    if len(missing):
        env, slot = missing[0].tolist()
        require(
            False,
            f"{name}: agent_mask",
            f"the agent in slot {slot} is not there at reset with agent_mask={agent_mask[env].tolist()}, but it is if "
            "all agents take part; every agent in agent_mask must take part, whoever else does",
        )


def _check_observations(name: str, played: Episodes) -> None:
    """What an agent observes while it is absent is always the same."""
    is_absent = ~_all_steps(played.first.agent_mask, played.timesteps.agent_mask)
    for slot in range(is_absent.shape[-1]):
        views = [timestep.observation for timestep in (played.first, played.timesteps)]
        of_slot = [view[slot] if isinstance(view, tuple) else np.moveaxis(np.asarray(view), axis, 0)[slot]
                   for axis, view in enumerate(views, 1)]  # fmt: skip
        absent = _all_steps(*of_slot)[is_absent[..., slot]]
        require(
            (absent == absent[:1]).all(),
            f"{name}: observation",
            f"the agent in slot {slot} observes something while it is absent; its observation must then always be the "
            "same, such as all zeros, wherever it is and whatever happens",
        )


def _check_actions(name: str, player: Player, agent_mask: Bool[Array, "E A"], played: Episodes) -> None:
    was_there = _all_steps(played.first.agent_mask, played.timesteps.agent_mask[:-1])
    action = np.where(was_there, played.action, (played.action + 1) % player.env.num_actions)
    changed = player.play(agent_mask=agent_mask, action=jnp.asarray(action))
    require_equal_trees(
        changed[:4], played[:4], f"{name}: step", "the action of an agent outside agent_mask must have no effect"
    )


def _check_positions(name: str, player: Player, agent_mask: Bool[Array, "E A"], played: Episodes) -> None:
    """Absent agents stand where one that is there comes by: nothing changes, since they are not there."""
    envs, comes_by = np.arange(NUM_CHECKED_ENVS), np.asarray(agent_mask).argmax(1)
    cell = played.states.position[len(played.action) // 2, envs, comes_by]
    absent_at = np.repeat(cell[:, None], agent_mask.shape[1], axis=1)
    moved = player.play(agent_mask=agent_mask, action=jnp.asarray(played.action), absent_at=jnp.asarray(absent_at))
    is_there = np.asarray(agent_mask)[..., None]
    # Rewards before observations, which may show them as prestige.
    first, second = (
        {"position": np.where(is_there, e.states.position, 0), "reward": e.timesteps.reward} for e in (moved, played)
    )
    for pair in ((first, second), (moved.timesteps, played.timesteps)):
        require_equal_trees(
            *pair,
            f"{name}: step",
            "where an agent outside agent_mask would stand must have no effect: no other agent sees it, is in its way "
            "or is paid for it; leave out agents where `agent_mask` of the state is False",
        )


def _all_steps(first: PyTree, later: PyTree) -> np.ndarray:
    """Of reset and of the steps after it, [T+1, E, ...]."""
    return np.concatenate([jax.device_get(first)[None], later])
