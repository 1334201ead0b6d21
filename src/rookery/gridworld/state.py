"""Everything that changes in a world, and what a step does to it that tasks pay for."""

from __future__ import annotations

from flax import struct
from jaxtyping import Array, Bool, Float32, Int32, UInt8

from rookery.types import PRNGKey, PyTree


class GridState(struct.PyTreeNode):
    """One world; callers vmap. (row, col), (0, 0) at the top left."""

    tiles: UInt8[Array, "H W"]  # kinds of world/tiles.py
    position: Int32[Array, "A 2"]
    heading: Int32[Array, "A"]  # 0 north (row - 1), 1 east (col + 1), 2 south, 3 west
    carrying: Int32[Array, "A"]  # kind of tile in hand; 0 is nothing
    episode_agent_mask: Bool[Array, "A"]  # takes part in this episode at all
    agent_mask: Bool[Array, "A"]  # is in the world now: seen, in the way, paid
    prestige: Float32[Array, "A"]  # c_t of equation 4
    goals_masked: Bool[Array, ""]  # this episode, from the agents whose view says can_hide_goals
    step: Int32[Array, ""]  # steps since reset
    key: PRNGKey  # of this episode; fold in `step`, never draw from it twice
    task: PyTree  # the task's own; opaque to the world
    invisible_agents: Bool[Array, "A A"] | None = (
        None  # agent of the row does not see the one of the column; None: all are seen
    )


class MoveResult(struct.PyTreeNode):
    """What one step of motion did."""

    moved: Bool[Array, "A"]  # changed cell
    action: Int32[Array, "A"]


class GridParams(struct.PyTreeNode):
    """Numbers a schedule may change during a run without recompiling."""

    prestige_decay: Float32[Array, ""]  # alpha of equation 4, per step
    spawn_delay: Int32[Array, "A"]  # steps an agent is absent at the start
    goal_hiding_prob: Float32[Array, ""]  # of episodes in which goals are hidden where a view says can_hide_goals
