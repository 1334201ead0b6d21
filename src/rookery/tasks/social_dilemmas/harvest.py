"""Harvest: apples regrow only near other apples, so that an agent that eats the last of a clump ends it for all.

Rules. Agents start on the start cells of the map. All act at the same time: they move ahead, back, left or right
relative to their heading, or turn. No agent enters a wall or the cell of another agent; a contested cell goes to one of
the contestants at random; two agents cannot swap cells; an agent may follow one that leaves, also in a ring, which
stays where it is if an agent outside it gets one of its cells. An agent eats the apple on its cell, which pays 1.
Then agents that fire send out beams: firing costs 1, and an agent that is hit loses 50. Then an apple grows on each
free apple cell with probability 0, 0.005, 0.02 or 0.05 if there are 0, 1, 2 or at least 3 apples on the eight cells
around it.

Source: Jaques et al. 2019; details from the environments that the paper cites.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float32, UInt8, UInt32

from rookery.errors import ConfigError
from rookery.tasks.social_dilemmas.dilemma import BeamDilemma, check_orchard
from rookery.tasks.social_dilemmas.dilemma_state import DilemmaParams
from rookery.tasks.social_dilemmas.maps import HARVEST
from rookery.tasks.social_dilemmas.regrowth import count_nearby_apples, grow_apples


class HarvestParams(struct.PyTreeNode):
    """Numbers that a schedule may change without recompiling."""

    world: DilemmaParams
    regrowth_probs: Float32[Array, "4"]  # probability per step near 0, 1, 2 and at least 3 apples


@dataclasses.dataclass(frozen=True, kw_only=True)
class Harvest(BeamDilemma):
    """Settings and rules. Defaults are those of the paper."""

    kind: Literal["harvest"] = "harvest"
    map: str = HARVEST
    regrowth_probs: tuple[float, float, float, float] = (0.0, 0.005, 0.02, 0.05)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_orchard(self.parsed_map)
        if len(self.regrowth_probs) != 4 or not all(0 <= prob <= 1 for prob in self.regrowth_probs):
            raise ConfigError(
                f"regrowth_probs={self.regrowth_probs} must be four probabilities in [0, 1], near 0, 1, 2, 3 apples"
            )

    @property
    def rules_for_players(self) -> tuple[str, ...]:
        alone, one, two, more = self.regrowth_probs
        return (
            *super().rules_for_players,
            f"Per step, an apple regrows with probability {more:g} next to three or more apples, {two:g} next to two, "
            f"{one:g} next to one and {alone:g} next to none.",
        )

    def default_params(self) -> HarvestParams:
        return HarvestParams(world=self.world_params(), regrowth_probs=jnp.array(self.regrowth_probs, jnp.float32))

    def respawn_resources(
        self,
        tiles: UInt8[Array, "H W"],
        occupied: Bool[Array, "H W"],
        cell_bits: UInt32[Array, "H W"],
        extra_bits: UInt32[Array, ""],
        params: HarvestParams,
    ) -> UInt8[Array, "H W"]:
        """Apples grow near apples, counted before any grew."""
        num_near, by_count = count_nearby_apples(tiles), params.regrowth_probs
        prob = jnp.where(num_near == 0, by_count[0], jnp.where(num_near == 1, by_count[1], by_count[2]))
        prob = jnp.where(num_near >= 3, by_count[3], prob)
        return grow_apples(tiles, self.parsed_map.orchard, occupied, prob, cell_bits)
