"""Box Trapped: one agent is trapped in a box; the other can let it out, which pays nothing, or eat unlimited apples.

Rules. Agent 0 moves freely; agent 1 is inside a box of walls. Both move and turn as in the other social dilemmas; there
are no beams. The action "open" of agent 0 removes the whole box if a part of it is on one of the eight cells around the
agent; that of agent 1 does nothing. An agent eats the apple on its cell, which pays 1; the apple regrows as soon as the
cell is free.

The paper describes this environment in words only: map, sizes, the reach of "open" and the time limit are our own.
Source: Jaques et al. 2019, Box Trapped.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int, UInt8, UInt32

from rookery.errors import ConfigError
from rookery.tasks.social_dilemmas.beams import Beams
from rookery.tasks.social_dilemmas.dilemma import Dilemma
from rookery.tasks.social_dilemmas.dilemma_state import DilemmaParams, DilemmaState
from rookery.tasks.social_dilemmas.dilemma_tiles import BOX, COMMON_ACTIONS, EMPTY, OPEN_BOX
from rookery.tasks.social_dilemmas.maps import BOX_TRAPPED
from rookery.tasks.social_dilemmas.regrowth import grow_apples


class BoxTrappedParams(struct.PyTreeNode):
    """Numbers that a schedule may change without recompiling."""

    world: DilemmaParams


@dataclasses.dataclass(frozen=True, kw_only=True)
class BoxTrapped(Dilemma):
    """Settings and rules. The map is our own."""

    kind: Literal["box-trapped"] = "box-trapped"
    map: str = BOX_TRAPPED
    num_agents: Literal[2] = 2
    max_steps: int = 100

    metric_names: ClassVar[tuple[str, ...]] = (*Dilemma.metric_names, "opened")
    """In addition: boxes opened, at most 1."""

    def __post_init__(self) -> None:
        if self.num_agents != 2:
            raise ConfigError(
                f"num_agents={self.num_agents}: Box Trapped has 2 agents, one outside the box and one inside"
            )
        super().__post_init__()
        if not len(self.parsed_map.assigned_spawn_cells) or not self.parsed_map.box.any():
            raise ConfigError("the map needs a box (+) and numbered start cells: 0 outside it, 1 inside")

    @property
    def action_names(self) -> tuple[str, ...]:
        return (*COMMON_ACTIONS, "open")

    @property
    def rules_for_players(self) -> tuple[str, ...]:
        return (
            f"Each apple that you eat pays {self.apple_reward:g}; it grows again as soon as you leave its cell.",
            "Agent A can open the box next to it and let agent B out, which pays nothing.",
        )

    def default_params(self) -> BoxTrappedParams:
        zero = jnp.float32(0)
        world = DilemmaParams(apple_reward=jnp.float32(self.apple_reward), fire_cost=zero, hit_cost=zero)
        return BoxTrappedParams(world=world)

    def apply_special_actions(
        self, state: DilemmaState, action: Int[Array, "A"], priority: UInt32[Array, "A"]
    ) -> tuple[Beams, dict[str, Float[Array, "A"]]]:
        """Agent 0 can open the box."""
        closed = state.tiles == BOX
        rows, cols = (
            jnp.abs(jnp.arange(size) - state.position[0, axis]) <= 1 for axis, size in enumerate(closed.shape)
        )
        in_reach = (closed & rows[:, None] & cols).any()
        opens = state.agent_mask & (action == OPEN_BOX) & (jnp.arange(self.num_agents) == 0) & in_reach
        tiles = jnp.where(closed & opens[0], EMPTY, state.tiles).astype(jnp.uint8)
        no_hits = jnp.zeros((self.num_agents, self.num_agents), bool)
        beams = Beams(tiles, jnp.zeros_like(state.beam), no_hits, jnp.zeros_like(action))
        return beams, {"opened": opens.astype(jnp.float32)}

    def respawn_resources(
        self,
        tiles: UInt8[Array, "H W"],
        occupied: Bool[Array, "H W"],
        cell_bits: UInt32[Array, "H W"],
        extra_bits: UInt32[Array, ""],
        params: BoxTrappedParams,
    ) -> UInt8[Array, "H W"]:
        """An apple grows on every free apple cell."""
        return grow_apples(tiles, self.parsed_map.orchard, occupied, jnp.float32(1.0), cell_bits)
