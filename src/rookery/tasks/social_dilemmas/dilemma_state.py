"""The state of a social dilemma, and the parameters that all of them share."""

from __future__ import annotations

from flax import struct
from jaxtyping import Array, Bool, Float32, Int32, UInt8

from rookery.types import PRNGKey


class DilemmaState(struct.PyTreeNode):
    """State of one environment; callers vmap. H×W cells, A agents. (row, col), (0, 0) at the top left."""

    tiles: UInt8[Array, "H W"]  # tile kinds of tiles.py
    beam: UInt8[Array, "H W"]  # of the last step: NO_BEAM, FIRE_BEAM or CLEAN_BEAM
    position: Int32[Array, "A 2"]  # undefined for absent agents
    heading: Int32[Array, "A"]  # 0 north (row - 1), 1 east (col + 1), 2 south, 3 west
    agent_mask: Bool[Array, "A"]  # takes part in this episode: blocking, visible, paid
    step: Int32[Array, ""]  # steps since reset
    key: PRNGKey  # of this episode; fold in `step`, and never use it twice


class DilemmaParams(struct.PyTreeNode):
    """Rewards of every social dilemma; a schedule may change them without recompiling."""

    apple_reward: Float32[Array, ""]
    fire_cost: Float32[Array, ""]  # >= 0, subtracted from the agent that fires
    hit_cost: Float32[Array, ""]  # >= 0, subtracted from an agent that is hit
