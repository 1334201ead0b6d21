"""Box Trapped: one agent is boxed in; the other can let it out, which pays nothing, or eat apples that never run out.

Rules. Agent 0 moves freely, agent 1 stands inside a box of walls. Both move and turn as in the other dilemmas; there
are no beams. Agent 0's action "open" takes the whole box away if a part of it is on one of the eight cells around;
agent 1's does nothing. An apple underfoot is eaten and pays 1; it is back as soon as its cell is free.

The paper describes this world in words only: map, sizes, the reach of "open" and the time limit are our own.
Source: Jaques et al. 2019, Box Trapped.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax.numpy as jnp
from flax import struct

from rookery.errors import ConfigError
from rookery.tasks.dilemma.beams import Beams
from rookery.tasks.dilemma.dilemma import Dilemma
from rookery.tasks.dilemma.growth import grow_apples
from rookery.tasks.dilemma.maps import BOX_TRAPPED
from rookery.tasks.dilemma.state import DilemmaState, DilemmaWorldParams
from rookery.tasks.dilemma.tiles import BOX, COMMON_ACTIONS, EMPTY, OPEN


class BoxTrappedParams(struct.PyTreeNode):
    """What a schedule may change without recompiling."""

    world: DilemmaWorldParams


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxTrapped(Dilemma):
    """Configuration and rules. The map is our own."""

    kind: Literal["box-trapped"] = "box-trapped"
    map: str = BOX_TRAPPED
    agents: Literal[2] = 2
    max_steps: int = 100

    counts: ClassVar[tuple[str, ...]] = (*Dilemma.counts, "opened")
    """As every dilemma's; and boxes opened, 1 at most."""

    def __post_init__(self):
        if self.agents != 2:
            raise ConfigError(f"agents={self.agents}: Box Trapped has 2, one outside the box and one inside")
        super().__post_init__()
        if not len(self.room.own_starts) or not self.room.box.any():
            raise ConfigError("the map needs a box (+) and numbered starts: 0 outside it, 1 inside")

    @property
    def action_names(self) -> tuple[str, ...]:
        return (*COMMON_ACTIONS, "open")

    def default_params(self) -> BoxTrappedParams:
        zero = jnp.float32(0)
        world = DilemmaWorldParams(apple_reward=jnp.float32(self.apple_reward), fire_cost=zero, hit_cost=zero)
        return BoxTrappedParams(world=world)

    def special(self, state: DilemmaState, action, lot):
        """Let agent 0 open the box."""
        closed = state.tiles == BOX
        rows, cols = (
            jnp.abs(jnp.arange(size) - state.position[0, axis]) <= 1 for axis, size in enumerate(closed.shape)
        )
        within = (closed & rows[:, None] & cols).any()
        opens = state.active & (action == OPEN) & (jnp.arange(self.agents) == 0) & within
        tiles = jnp.where(closed & opens[0], EMPTY, state.tiles).astype(jnp.uint8)
        nobody = jnp.zeros((self.agents, self.agents), bool)
        beams = Beams(tiles, jnp.zeros_like(state.beam), nobody, jnp.zeros_like(action))
        return beams, {"opened": opens.astype(jnp.float32)}

    def grow(self, tiles, occupied, word, luck, params: BoxTrappedParams):
        """Every free apple cell bears one at once."""
        return grow_apples(tiles, self.room.orchard, occupied, jnp.float32(1.0), word)
