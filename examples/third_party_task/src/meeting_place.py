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
from rookery.gridworld.layout import empty_room, sample_cells
from rookery.gridworld.spec import GridSpec, ViewConfig
from rookery.gridworld.state import GridParams
from rookery.tasks.registry import register


class MeetingParams(struct.PyTreeNode):
    """What a schedule may change during a run."""

    world: GridParams
    company: jax.Array  # f32[], paid a step for each other agent on the cell


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeetingPlace:
    """Configuration and rules."""

    kind: Literal["meeting-place"] = "meeting-place"
    height: int = 9
    width: int = 9
    views: tuple[ViewConfig, ...] = (ViewConfig(observation_type="symbolic"),) * 3
    max_steps: int = 100
    company: float = 1.0

    metric_names = ("met",)

    def __post_init__(self):
        room = (self.height - 2) * (self.width - 2)
        if room < len(self.views):
            raise ConfigError(f"{len(self.views)} agents do not fit into a {self.height}×{self.width} room; enlarge it")

    @property
    def grid_spec(self) -> GridSpec:
        return GridSpec(
            height=self.height,
            width=self.width,
            views=self.views,
            max_steps=self.max_steps,
            num_actions=3,
            collide=False,
        )

    def default_params(self) -> MeetingParams:
        world = GridParams(
            prestige_decay=jnp.float32(0.99),
            spawn_delay=jnp.zeros(len(self.views), jnp.int32),
            goal_hiding_prob=jnp.float32(0),
        )
        return MeetingParams(world=world, company=jnp.float32(self.company))

    def generate(self, key):
        """An empty room; agents on different cells."""
        cell_key, heading_key = jax.random.split(key)
        tiles = jnp.asarray(empty_room(self.height, self.width))
        rows, cols = jnp.meshgrid(jnp.arange(1, self.height - 1), jnp.arange(1, self.width - 1), indexing="ij")
        cells = jnp.stack([rows.ravel(), cols.ravel()], -1)
        position = sample_cells(cell_key, cells, len(self.views))
        heading = jax.random.randint(heading_key, (len(self.views),), 0, 4)
        return tiles, position, heading, ()

    def reward(self, before, after, move_result, params: MeetingParams):
        """Pay for company. An absent agent is none, and gets none."""
        same = (after.position[:, None] == after.position).all(-1) & before.agent_mask
        met = jnp.where(before.agent_mask, same.sum(-1) - 1, 0).astype(jnp.float32)
        return params.company * met, before.task, {"met": met}


def add_tasks() -> None:
    """Called by Rookery when it looks for tasks."""
    register("meeting-place-v0", "three agents are paid for standing together", MeetingPlace())
