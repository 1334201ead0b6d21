"""Scripted expert for key and door: fetch a key, open the door, walk through it to the goal."""

from __future__ import annotations

import dataclasses

from rookery.agents.scripted.grid_expert import Belief, GridExpert
from rookery.agents.scripted.paths import Subgoal
from rookery.agents.scripted.perception import UNKNOWN
from rookery.gridworld.interactions import PICK_UP, TOGGLE
from rookery.gridworld.tiles import DOOR, KEY, KEY_RACK, OPEN_DOOR
from rookery.types import PyTree


@dataclasses.dataclass(frozen=True)
class KeyDoorExpert(GridExpert):
    """Walks to a goal by a known way, or through an open door, or takes a key to a locked door."""

    def subgoals(self, task_memory: PyTree, belief: Belief) -> tuple[PyTree, tuple[Subgoal, ...]]:
        tiles, free = belief.map_memory.tiles, belief.free
        goals, doors, doorways = belief.map_memory.goals, tiles == DOOR, tiles == OPEN_DOOR
        keys = (tiles == KEY) | (tiles == KEY_RACK)
        in_doorway = (doorways & belief.here).any()
        return task_memory, (
            Subgoal(goals, free & (tiles != UNKNOWN)),
            Subgoal(belief.ahead & in_doorway & free, free),  # out of the doorway on the other side
            Subgoal(doorways & ~in_doorway, free),
            Subgoal(doors & belief.carrying, free, TOGGLE),
            Subgoal(keys & ~belief.carrying & ~in_doorway, free, PICK_UP),
            Subgoal(goals, free),
            Subgoal(belief.map_memory.frontier, free),
        )
