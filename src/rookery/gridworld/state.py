"""The state of a gridworld, the result of a move, and the parameters that all its tasks share."""

from __future__ import annotations

from flax import struct
from jaxtyping import Array, Bool, Float32, Int32, UInt8

from rookery.types import PRNGKey, PyTree


class GridState(struct.PyTreeNode):
    """State of one environment; callers vmap. H×W cells, A agents. (row, col), (0, 0) at the top left."""

    tiles: UInt8[Array, "H W"]  # tile kinds of gridworld/tiles.py
    position: Int32[Array, "A 2"]
    heading: Int32[Array, "A"]  # 0 north (row - 1), 1 east (col + 1), 2 south, 3 west
    carrying: Int32[Array, "A"]  # tile kind in hand; 0 is none
    episode_agent_mask: Bool[Array, "A"]  # takes part in the episode, from the start or later
    agent_mask: Bool[Array, "A"]  # is in the world now: visible, blocking, paid; every step computes it
    prestige: Float32[Array, "A"]  # c_t of equation 4 of Ndousse et al. 2021
    goals_masked: Bool[Array, ""]  # goals are hidden in this episode from agents whose view has can_hide_goals
    step: Int32[Array, ""]  # steps since reset
    key: PRNGKey  # of this episode; fold in `step`, and never use it twice
    task: PyTree  # the task's own part; the gridworld does not read it
    invisible_agents: Bool[Array, "A A"] | None = None  # row cannot see column; None: all are visible
    away: Bool[Array, "A"] | None = None  # has left for a while, see gridworld/presence.py; None: no agent ever leaves


class MoveResult(struct.PyTreeNode):
    """What one step of movement did."""

    moved: Bool[Array, "A"]  # is on another cell than before
    action: Int32[Array, "A"]


class GridParams(struct.PyTreeNode):
    """Parameters of every task on the gridworld; a schedule may change them without recompiling."""

    prestige_decay: Float32[Array, ""]  # alpha of equation 4, per step
    spawn_delay: Int32[Array, "A"]  # steps until each agent enters
    goal_hiding_prob: Float32[Array, ""]  # probability that an episode hides goals, for views with can_hide_goals
    leave_prob: Float32[Array, ""]  # of an agent of the task's `dropout_slots`, per step while it is there
    return_prob: Float32[Array, ""]  # of the same, per step while it is away
    leave_step: Float32[Array, ""]  # the same agents are away from this step
    return_step: Float32[Array, ""]  # until this one
