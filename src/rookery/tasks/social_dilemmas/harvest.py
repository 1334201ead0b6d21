"""Harvest: apples grow back beside apples, so whoever eats the last of a clump has ended it for everybody.

Rules. Agents stand on the map's start cells and move ahead, back, left or right relative to their heading, or turn,
all at once; nobody enters a wall or another's cell, a contested cell goes to one of its contestants at random, two
cannot swap, followers and rings move. An apple underfoot is eaten and pays 1. Then beams go out: firing costs 1, and
whoever is hit loses 50. Then each free apple cell bears an apple with probability 0, 0.005, 0.02 or 0.05 for 0, 1, 2
or at least 3 apples on the eight cells around it.

Source: Jaques et al. 2019; details from the environments the authors cite.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float32

from rookery.errors import ConfigError
from rookery.tasks.social_dilemmas.base import BeamDilemma
from rookery.tasks.social_dilemmas.maps import HARVEST
from rookery.tasks.social_dilemmas.regrowth import count_nearby_apples, grow_apples
from rookery.tasks.social_dilemmas.state import DilemmaParams


class HarvestParams(struct.PyTreeNode):
    """What a schedule may change without recompiling."""

    world: DilemmaParams
    regrowth_probs: Float32[Array, "4"]  # chance of an apple beside 0, 1, 2 and at least 3 apples


@dataclasses.dataclass(frozen=True, kw_only=True)
class Harvest(BeamDilemma):
    """Configuration and rules. Defaults are the paper's."""

    kind: Literal["harvest"] = "harvest"
    map: str = HARVEST
    regrowth_probs: tuple[float, float, float, float] = (0.0, 0.005, 0.02, 0.05)

    def __post_init__(self):
        super().__post_init__()
        if len(self.regrowth_probs) != 4 or not all(0 <= chance <= 1 for chance in self.regrowth_probs):
            raise ConfigError(
                f"regrowth_probs={self.regrowth_probs} must be four chances in [0, 1], beside 0, 1, 2, 3 apples"
            )

    def default_params(self) -> HarvestParams:
        return HarvestParams(world=self.world_params(), regrowth_probs=jnp.array(self.regrowth_probs, jnp.float32))

    def respawn_resources(self, tiles, occupied, cell_bits, extra_bits, params: HarvestParams):
        """Apples beside apples, as they were before any grew."""
        near, chance = count_nearby_apples(tiles), params.regrowth_probs
        likely = jnp.where(near == 0, chance[0], jnp.where(near == 1, chance[1], chance[2]))
        likely = jnp.where(near >= 3, chance[3], likely)
        return grow_apples(tiles, self.parsed_map.orchard, occupied, likely, cell_bits)
