"""Meeting Place: agents are paid for standing together, and are not told where.

Rules. Each step an agent earns 1 for every other agent on its own cell. The room is empty, so nothing marks a place:
they must find one another, and stay.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import struct

from rookery.errors import ConfigError
from rookery.tasks.registry import register
from rookery.world.layout import border, draw_cells
from rookery.world.spec import View, WorldSpec
from rookery.world.state import WorldParams


class MeetingParams(struct.PyTreeNode):
    """What a schedule may change during a run."""

    world: WorldParams
    company: jax.Array  # f32[], paid a step for each other agent on the cell


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeetingPlace:
    """Configuration and rules."""

    kind: Literal["meeting-place"] = "meeting-place"
    height: int = 9
    width: int = 9
    views: tuple[View, ...] = (View(kind="symbolic"),) * 3
    max_steps: int = 100
    company: float = 1.0

    counts = ("met",)

    def __post_init__(self):
        room = (self.height - 2) * (self.width - 2)
        if room < len(self.views):
            raise ConfigError(f"{len(self.views)} agents do not fit into a {self.height}×{self.width} room; enlarge it")

    @property
    def world(self) -> WorldSpec:
        return WorldSpec(
            height=self.height, width=self.width, views=self.views, max_steps=self.max_steps, actions=3, collide=False
        )

    def default_params(self) -> MeetingParams:
        world = WorldParams(
            prestige_decay=jnp.float32(0.99),
            spawn_delay=jnp.zeros(len(self.views), jnp.int32),
            hide_share=jnp.float32(0),
        )
        return MeetingParams(world=world, company=jnp.float32(self.company))

    def layout(self, key):
        """An empty room; agents on different cells."""
        cell_key, heading_key = jax.random.split(key)
        tiles = jnp.asarray(border(self.height, self.width))
        rows, cols = jnp.meshgrid(jnp.arange(1, self.height - 1), jnp.arange(1, self.width - 1), indexing="ij")
        cells = jnp.stack([rows.ravel(), cols.ravel()], -1)
        position = draw_cells(cell_key, cells, len(self.views))
        heading = jax.random.randint(heading_key, (len(self.views),), 0, 4)
        return tiles, position, heading, ()

    def pay(self, before, after, events, params: MeetingParams):
        """Pay for company. An absent agent is none, and gets none."""
        same = (after.position[:, None] == after.position).all(-1) & before.active
        met = jnp.where(before.active, same.sum(-1) - 1, 0).astype(jnp.float32)
        return params.company * met, before.task, {"met": met}


def add_tasks() -> None:
    """Called by Rookery when it looks for tasks."""
    register("meeting-place-v0", "three agents are paid for standing together", MeetingPlace())
