"""Everything that changes in a social dilemma's world."""

from __future__ import annotations

from flax import struct
from jaxtyping import Array, Bool, Float32, Int32, UInt8

from rookery.types import PRNGKey


class DilemmaState(struct.PyTreeNode):
    """One world; callers vmap. (row, col), (0, 0) at the top left."""

    tiles: UInt8[Array, "H W"]  # kinds of tiles.py
    beam: UInt8[Array, "H W"]  # covered in the last step: 0, FIRE_BEAM or CLEAN_BEAM
    position: Int32[Array, "A 2"]  # of the absent: anything
    heading: Int32[Array, "A"]  # 0 north (row - 1), 1 east (col + 1), 2 south, 3 west
    agent_mask: Bool[Array, "A"]  # takes part in this episode: in the way, seen, paid
    step: Int32[Array, ""]  # steps since reset
    key: PRNGKey  # of this episode; fold in `step`, never draw from it twice


class DilemmaParams(struct.PyTreeNode):
    """What every such world pays. Numbers a schedule may change during a run without recompiling."""

    apple_reward: Float32[Array, ""]
    fire_cost: Float32[Array, ""]  # >= 0, taken from who fires
    hit_cost: Float32[Array, ""]  # >= 0, taken from who is hit
