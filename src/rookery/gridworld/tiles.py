"""Tile kinds and their properties. A task may use any of them; what they pay is up to the task."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

FLOOR, OBSTACLE, GOAL, KEY, KEY_RACK, DOOR, OPEN_DOOR, GOAL_2, GOAL_3, GOAL_4, GOAL_5 = range(11)
"""A key can be picked up once; a rack has unlimited keys; `DOOR` is locked. Goals 2 to 5 are for tasks whose goals look
different. Agents can walk over keys, racks and goals."""
NUM_TILE_KINDS = 11
GOAL_KINDS = (GOAL, GOAL_2, GOAL_3, GOAL_4, GOAL_5)

WALKABLE = np.array([kind not in (OBSTACLE, DOOR) for kind in range(NUM_TILE_KINDS)])
TRANSPARENT = WALKABLE

TILE_COLORS = np.array(
    [
        (0, 0, 0),  # floor
        (74, 65, 42),  # obstacle
        (255, 255, 0),  # goal
        (0, 200, 255),  # key
        (0, 120, 160),  # key rack
        (150, 75, 0),  # door
        (60, 45, 10),  # open door
        (0, 158, 115),  # goals 2 to 5: green, white, pink, orange; none as red or as blue as an agent
        (240, 240, 240),
        (204, 121, 167),
        (230, 140, 0),
    ],
    np.uint8,
)
UNSEEN_COLOR = np.array((35, 25, 30), np.uint8)

TILE_TO_CHAR = {FLOOR: ".", OBSTACLE: "#", KEY: "k", KEY_RACK: "K", DOOR: "D", OPEN_DOOR: "/"} | dict.fromkeys(
    GOAL_KINDS, "G"
)
"""The character of each tile kind in text."""


def has_property(kind: Int[jax.Array, "..."], kinds: Bool[np.ndarray, "K"]) -> jax.Array:
    """Whether tiles have a property, such as `WALKABLE`: the entries of `kinds`, without a table, which XLA does not
    fuse."""
    lacks = jnp.zeros(kind.shape, bool)
    for number in np.flatnonzero(~kinds).tolist():
        lacks |= kind == number
    return ~lacks
