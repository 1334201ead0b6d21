"""Scripted expert for key and door: fetch a key, open the door, go through, walk to the goal."""

from __future__ import annotations

import dataclasses

from rookery.agents.scripted.grid_expert import Belief, GridExpert
from rookery.agents.scripted.paths import Subgoal
from rookery.agents.scripted.perception import UNKNOWN
from rookery.gridworld.interactions import PICK_UP, TOGGLE
from rookery.gridworld.tiles import DOOR, KEY, KEY_RACK, OPEN_DOOR


@dataclasses.dataclass(frozen=True)
class KeyDoorExpert(GridExpert):
    """Walks to a goal it knows a way to; else steps through an open door; else takes a key to a locked one."""

    def subgoals(self, task_memory, belief: Belief):
        kind, free = belief.map_memory.tiles, belief.free
        goals, doors, doorways = belief.map_memory.goals, kind == DOOR, kind == OPEN_DOOR
        keys = (kind == KEY) | (kind == KEY_RACK)
        inside = (doorways & belief.here).any()
        return task_memory, (
            Subgoal(goals, free & (kind != UNKNOWN)),
            Subgoal(belief.ahead & inside & free, free),  # it came in facing the other side
            Subgoal(doorways & ~inside, free),
            Subgoal(doors & belief.carrying, free, TOGGLE),
            Subgoal(keys & ~belief.carrying & ~inside, free, PICK_UP),
            Subgoal(goals, free),
            Subgoal(belief.map_memory.frontier, free),
        )
