"""Meeting Place: agents are paid for standing on the same cell, and nothing marks where.

Rules. In each step an agent earns 1 for every other agent on its own cell. The room is empty, so agents have to find
each other and stay together.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import struct

from rookery.gridworld.layout import sample_cells
from rookery.gridworld.spec import ViewConfig
from rookery.gridworld.state import GridParams
from rookery.tasks.grid_task import GridTask
from rookery.tasks.registry import register


class MeetingParams(struct.PyTreeNode):
    """Numbers that a schedule may change during a run."""

    world: GridParams
    meeting_reward: jax.Array  # f32[], paid per step for each other agent on the cell


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeetingPlace(GridTask):
    """Settings and rules."""

    metric_names = ("met",)
    """Number of other agents on the cell."""

    kind: Literal["meeting-place"] = "meeting-place"
    height: int = 9
    width: int = 9
    views: tuple[ViewConfig, ...] = (ViewConfig(observation_type="symbolic"),) * 3
    max_steps: int = 100
    num_actions: Literal[3, 7] = 3
    meeting_reward: float = 1.0

    def __post_init__(self):
        super().__post_init__()
        self.check_capacity(len(self.views), "agents")

    def default_params(self) -> MeetingParams:
        return MeetingParams(world=self.world_params(), meeting_reward=jnp.float32(self.meeting_reward))

    def generate(self, key):
        """An empty room; agents on different cells. The task has no state of its own: ()."""
        cell_key, heading_key = jax.random.split(key)
        position = sample_cells(cell_key, jnp.asarray(self.free_cells), len(self.views))
        heading = jax.random.randint(heading_key, (len(self.views),), 0, 4)
        return jnp.asarray(self.base_tiles), position, heading, ()

    def reward(self, before, after, move_result, params: MeetingParams):
        """Pay each agent for the others on its cell. Absent agents neither count nor are paid."""
        together = (after.position[:, None] == after.position).all(-1) & before.agent_mask
        met = jnp.where(before.agent_mask, together.sum(-1) - 1, 0).astype(jnp.float32)
        return params.meeting_reward * met, before.task, {"met": met}


def add_tasks() -> None:
    """Called by Rookery when it looks for tasks: the entry point of the group `rookery.tasks` names it."""
    register("meeting-place-v0", "three agents are paid for standing on the same cell", MeetingPlace())
