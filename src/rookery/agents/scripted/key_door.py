"""Scripted expert for key and door: fetch a key, open the door, go through, walk to the goal."""

from __future__ import annotations

import dataclasses

from rookery.agents.scripted.explorer import Explorer, Sees
from rookery.agents.scripted.memory import UNKNOWN
from rookery.agents.scripted.paths import Wish
from rookery.world.objects import PICK_UP, TOGGLE
from rookery.world.tiles import DOOR, KEY, KEY_RACK, OPEN_DOOR


@dataclasses.dataclass(frozen=True)
class KeyBearer(Explorer):
    """Walks to a goal it knows a way to; else steps through an open door; else takes a key to a locked one."""

    def wish(self, own, sees: Sees):
        kind, free = sees.memory.kind, sees.free
        goals, doors, doorways = sees.memory.goals, kind == DOOR, kind == OPEN_DOOR
        keys = (kind == KEY) | (kind == KEY_RACK)
        inside = (doorways & sees.here).any()
        return own, (
            Wish(goals, free & (kind != UNKNOWN)),
            Wish(sees.ahead & inside & free, free),  # it came in facing the other side
            Wish(doorways & ~inside, free),
            Wish(doors & sees.carrying, free, TOGGLE),
            Wish(keys & ~sees.carrying & ~inside, free, PICK_UP),
            Wish(goals, free),
            Wish(sees.memory.frontier, free),
        )
