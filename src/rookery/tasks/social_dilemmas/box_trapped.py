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
from rookery.tasks.social_dilemmas.base import Dilemma
from rookery.tasks.social_dilemmas.beams import Beams
from rookery.tasks.social_dilemmas.maps import BOX_TRAPPED
from rookery.tasks.social_dilemmas.regrowth import grow_apples
from rookery.tasks.social_dilemmas.state import DilemmaParams, DilemmaState
from rookery.tasks.social_dilemmas.tiles import BOX, COMMON_ACTIONS, EMPTY, OPEN_BOX


class BoxTrappedParams(struct.PyTreeNode):
    """What a schedule may change without recompiling."""

    world: DilemmaParams


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxTrapped(Dilemma):
    """Configuration and rules. The map is our own."""

    kind: Literal["box-trapped"] = "box-trapped"
    map: str = BOX_TRAPPED
    num_agents: Literal[2] = 2
    max_steps: int = 100

    metric_names: ClassVar[tuple[str, ...]] = (*Dilemma.metric_names, "opened")
    """As every dilemma's; and boxes opened, 1 at most."""

    def __post_init__(self):
        if self.num_agents != 2:
            raise ConfigError(f"num_agents={self.num_agents}: Box Trapped has 2, one outside the box and one inside")
        super().__post_init__()
        if not len(self.parsed_map.assigned_spawn_cells) or not self.parsed_map.box.any():
            raise ConfigError("the map needs a box (+) and numbered starts: 0 outside it, 1 inside")

    @property
    def action_names(self) -> tuple[str, ...]:
        return (*COMMON_ACTIONS, "open")

    def default_params(self) -> BoxTrappedParams:
        zero = jnp.float32(0)
        world = DilemmaParams(apple_reward=jnp.float32(self.apple_reward), fire_cost=zero, hit_cost=zero)
        return BoxTrappedParams(world=world)

    def apply_special_actions(self, state: DilemmaState, action, priority):
        """Let agent 0 open the box."""
        closed = state.tiles == BOX
        rows, cols = (
            jnp.abs(jnp.arange(size) - state.position[0, axis]) <= 1 for axis, size in enumerate(closed.shape)
        )
        within = (closed & rows[:, None] & cols).any()
        opens = state.agent_mask & (action == OPEN_BOX) & (jnp.arange(self.num_agents) == 0) & within
        tiles = jnp.where(closed & opens[0], EMPTY, state.tiles).astype(jnp.uint8)
        nobody = jnp.zeros((self.num_agents, self.num_agents), bool)
        beams = Beams(tiles, jnp.zeros_like(state.beam), nobody, jnp.zeros_like(action))
        return beams, {"opened": opens.astype(jnp.float32)}

    def respawn_resources(self, tiles, occupied, cell_bits, extra_bits, params: BoxTrappedParams):
        """Every free apple cell bears one at once."""
        return grow_apples(tiles, self.parsed_map.orchard, occupied, jnp.float32(1.0), cell_bits)
