"""Cleanup: apples grow only while agents keep the river clean, which pays nothing.

Rules. Agents start on the start cells of the map. All act at the same time: they move ahead, back, left or right
relative to their heading, or turn. No agent enters a wall or the cell of another agent; a contested cell goes to one of
the contestants at random; two agents cannot swap cells; an agent may follow one that leaves, also in a ring, which
stays where it is if an agent outside it gets one of its cells. An agent eats the apple on its cell, which pays 1.
Then agents that fire or clean send out beams: firing costs 1, and an agent that is hit loses 50; cleaning is free and
turns the first waste in each of its three lanes into river. Then apples and waste grow. Let d be the fraction of the
river that is waste. If d reaches `depletion_threshold`, nothing grows. Otherwise an apple grows on each free apple cell
with probability `apple_respawn_prob` · (1 - d / `depletion_threshold`), and clean river cells are tried in random
order, each turning into waste with probability `waste_spawn_prob`, until one has. An episode starts with more waste
than that, so no apple grows until some is cleaned.

Source: Jaques et al. 2019; details from the environments that the paper cites.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Float32, UInt8, UInt32

from rookery.errors import ConfigError
from rookery.tasks.checks import check_probability
from rookery.tasks.social_dilemmas.dilemma import BeamDilemma, check_orchard
from rookery.tasks.social_dilemmas.dilemma_state import DilemmaParams
from rookery.tasks.social_dilemmas.maps import CLEANUP
from rookery.tasks.social_dilemmas.regrowth import grow_apples, grow_waste, river_waste_fraction


class CleanupParams(struct.PyTreeNode):
    """Numbers that a schedule may change without recompiling."""

    world: DilemmaParams
    apple_respawn_prob: Float32[Array, ""]  # per step and free apple cell, if the river is clean
    waste_spawn_prob: Float32[Array, ""]  # per step and clean river cell that is tried
    depletion_threshold: Float32[Array, ""]  # fraction of waste at which nothing grows


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cleanup(BeamDilemma):
    """Settings and rules. Defaults are those of the paper."""

    kind: Literal["cleanup"] = "cleanup"
    map: str = CLEANUP
    apple_respawn_prob: float = 0.05
    waste_spawn_prob: float = 0.5
    depletion_threshold: float = 0.4

    metric_names: ClassVar[tuple[str, ...]] = (*BeamDilemma.metric_names, "cleaned")
    """In addition: waste cells turned into river."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("apple_respawn_prob", "waste_spawn_prob"):
            check_probability(name, getattr(self, name))
        if not 0 < self.depletion_threshold <= 1:
            raise ConfigError(f"depletion_threshold={self.depletion_threshold} must lie in (0, 1]")
        if not self.parsed_map.river.any():
            raise ConfigError("the map has no river; Cleanup needs cells of ~ or w")
        check_orchard(self.parsed_map)

    @property
    def action_names(self) -> tuple[str, ...]:
        return (*super().action_names, "clean")

    @property
    def rules_for_players(self) -> tuple[str, ...]:
        return (
            *super().rules_for_players,
            f"Apples grow only while less than {self.depletion_threshold:.0%} of the river is waste, the faster the "
            "less; cleaning it pays nothing.",
        )

    def default_params(self) -> CleanupParams:
        return CleanupParams(
            world=self.world_params(),
            apple_respawn_prob=jnp.float32(self.apple_respawn_prob),
            waste_spawn_prob=jnp.float32(self.waste_spawn_prob),
            depletion_threshold=jnp.float32(self.depletion_threshold),
        )

    def apple_probability(self, tiles: UInt8[Array, "H W"], params: CleanupParams) -> Float32[Array, ""]:
        """Probability of an apple on each free apple cell after this step. f32[]."""
        return apple_probability(river_waste_fraction(tiles, self.parsed_map.river), params)

    def respawn_resources(
        self,
        tiles: UInt8[Array, "H W"],
        occupied: Bool[Array, "H W"],
        cell_bits: UInt32[Array, "H W"],
        extra_bits: UInt32[Array, ""],
        params: CleanupParams,
    ) -> UInt8[Array, "H W"]:
        """Apples and at most one cell of waste grow; both probabilities depend on the waste before."""
        river, orchard = self.parsed_map.river, self.parsed_map.orchard
        fraction = river_waste_fraction(tiles, river)
        with_apples = grow_apples(tiles, orchard, occupied, apple_probability(fraction, params), cell_bits)
        waste_prob = jnp.where(fraction < params.depletion_threshold, params.waste_spawn_prob, 0.0)
        return grow_waste(with_apples, river, waste_prob, extra_bits, cell_bits)


def apple_probability(waste_fraction: Float[Array, ""], params: CleanupParams) -> Float32[Array, ""]:
    """Falls linearly from `apple_respawn_prob` in a clean river to 0 at `depletion_threshold`. f32[]."""
    return params.apple_respawn_prob * jnp.maximum(1 - waste_fraction / params.depletion_threshold, 0.0)
