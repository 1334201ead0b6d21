"""Kinds of tile, their marks in a map, and the actions that all these worlds share."""

from __future__ import annotations

EMPTY, WALL, APPLE, RIVER, WASTE, STREAM, BOX = range(7)
NUM_DILEMMA_TILE_KINDS = 7
SOLID = (WALL, BOX)
"""Neither an agent nor a beam gets through these."""

CHAR_TO_TILE = {
    "#": WALL,
    ".": EMPTY,
    " ": EMPTY,
    "A": EMPTY,  # any agent may start here
    "o": APPLE,  # there at the start; grows here
    ",": EMPTY,  # apples grow here, none is there at the start
    "~": RIVER,  # clean; waste grows here
    "w": WASTE,  # there at the start; grows here
    "=": STREAM,
    "+": BOX,
} | {str(slot): EMPTY for slot in range(10)}  # where the agent of this number starts

NO_BEAM, FIRE_BEAM, CLEAN_BEAM = range(3)

MOVE_LEFT, MOVE_RIGHT, MOVE_FORWARD, MOVE_BACK, STAY, TURN_CLOCKWISE, TURN_COUNTERCLOCKWISE, FIRE, CLEAN = range(9)
OPEN_BOX = FIRE
"""Box Trapped has no beams; its action of this number opens the box."""
COMMON_ACTIONS = ("left", "right", "ahead", "back", "stay", "turn clockwise", "turn counterclockwise")
"""Moves are relative to the heading, and do not change it."""
