"""Cleanup: apples grow only while somebody keeps the river clean, which pays nothing.

Rules. Agents stand on the map's start cells and move ahead, back, left or right relative to their heading, or turn,
all at once; nobody enters a wall or another's cell, a contested cell goes to one of its contestants at random, two
cannot swap, followers and rings move. An apple underfoot is eaten and pays 1. Then beams go out: firing costs 1, and
whoever is hit loses 50; cleaning is free and turns the first waste of each of its three lanes into river. Then things
grow. With d the share of the river that is waste: at d >= 0.4 nothing does; below, each free apple cell bears an apple
with probability 0.05·(1 - d/0.4), and clean river cells are tried in random order, each turning to waste with
probability 0.5, until one has. An episode opens with d = 0.47, so the first apples need at least nine cells cleaned.

Source: Jaques et al. 2019; details from the environments the authors cite.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float32

from rookery.errors import ConfigError
from rookery.tasks.social_dilemmas.base import BeamDilemma
from rookery.tasks.social_dilemmas.maps import CLEANUP
from rookery.tasks.social_dilemmas.regrowth import grow_apples, grow_waste, river_waste_fraction
from rookery.tasks.social_dilemmas.state import DilemmaParams


class CleanupParams(struct.PyTreeNode):
    """What a schedule may change without recompiling."""

    world: DilemmaParams
    apple_respawn_prob: Float32[Array, ""]  # a step and free apple cell, when the river is clean
    waste_spawn_prob: Float32[Array, ""]  # a step and clean river cell that is tried
    depletion_threshold: Float32[Array, ""]  # share of waste at which nothing grows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cleanup(BeamDilemma):
    """Configuration and rules. Defaults are the paper's."""

    kind: Literal["cleanup"] = "cleanup"
    map: str = CLEANUP
    apple_respawn_prob: float = 0.05
    waste_spawn_prob: float = 0.5
    depletion_threshold: float = 0.4

    metric_names: ClassVar[tuple[str, ...]] = (*BeamDilemma.metric_names, "cleaned")
    """As every dilemma's with beams; and waste cells turned into river."""

    def __post_init__(self):
        super().__post_init__()
        for name in ("apple_respawn_prob", "waste_spawn_prob"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)} must lie in [0, 1]")
        if not 0 < self.depletion_threshold <= 1:
            raise ConfigError(f"depletion_threshold={self.depletion_threshold} must lie in (0, 1]")
        if not self.parsed_map.river.any():
            raise ConfigError("the map has no river; Cleanup needs cells of ~ or w")

    @property
    def action_names(self) -> tuple[str, ...]:
        return (*super().action_names, "clean")

    def default_params(self) -> CleanupParams:
        return CleanupParams(
            world=self.world_params(),
            apple_respawn_prob=jnp.float32(self.apple_respawn_prob),
            waste_spawn_prob=jnp.float32(self.waste_spawn_prob),
            depletion_threshold=jnp.float32(self.depletion_threshold),
        )

    def apple_probability(self, tiles, params: CleanupParams) -> Float32[Array, ""]:
        """Of an apple on each free cell, after this step."""
        return apple_probability(river_waste_fraction(tiles, self.parsed_map.river), params)

    def respawn_resources(self, tiles, occupied, cell_bits, extra_bits, params: CleanupParams):
        """Apples and at most one waste, as the waste before either says."""
        room, share = self.parsed_map, river_waste_fraction(tiles, self.parsed_map.river)
        grown = grow_apples(tiles, room.orchard, occupied, apple_probability(share, params), cell_bits)
        chance = jnp.where(share < params.depletion_threshold, params.waste_spawn_prob, 0.0)
        return grow_waste(grown, room.river, chance, extra_bits, cell_bits)


def apple_probability(waste_fraction, params: CleanupParams) -> Float32[Array, ""]:
    """Falls linearly from `apple_respawn_prob` in a clean river to 0 at the threshold."""
    return params.apple_respawn_prob * jnp.maximum(1 - waste_fraction / params.depletion_threshold, 0.0)
