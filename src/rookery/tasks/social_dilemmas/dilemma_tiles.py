"""Tile kinds, their characters on a map, and the actions that all social dilemmas share."""

from __future__ import annotations

EMPTY, WALL, APPLE, RIVER, WASTE, STREAM, BOX = range(7)
NUM_DILEMMA_TILE_KINDS = 7
SOLID = (WALL, BOX)
"""Tile kinds that stop agents and beams."""

CHAR_TO_TILE = {
    "#": WALL,
    ".": EMPTY,
    " ": EMPTY,
    "A": EMPTY,  # any agent may start here
    "o": APPLE,  # an apple at the start; apples grow here
    ",": EMPTY,  # no apple at the start; apples grow here
    "~": RIVER,  # clean; waste grows here
    "w": WASTE,  # waste at the start; waste grows here
    "=": STREAM,
    "+": BOX,
} | {str(slot): EMPTY for slot in range(10)}  # the start cell of this agent

NO_BEAM, FIRE_BEAM, CLEAN_BEAM = range(3)

MOVE_LEFT, MOVE_RIGHT, MOVE_FORWARD, MOVE_BACK, STAY, TURN_CLOCKWISE, TURN_COUNTERCLOCKWISE, FIRE, CLEAN = range(9)
OPEN_BOX = FIRE
"""Box Trapped has no beams; there, this action opens the box."""
COMMON_ACTIONS = ("left", "right", "ahead", "back", "stay", "turn clockwise", "turn counterclockwise")
"""Moves are relative to the heading and do not change it."""
