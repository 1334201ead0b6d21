"""Goal Cycle: visit n identical goals again and again in a hidden cyclic order; a wrong one is punished.

Rules. The first goal an agent touches in an episode pays 1, whichever it is. From then on the cyclic
successor of the last credited goal pays 1 and becomes the last credited; any other, that one again included,
costs the penalty and changes nothing. Only entering counts: standing on a goal is free. Every agent is paid
for itself alone. Goals, obstacles and agents are placed anew each episode, so the order, (n-1)! cycles, must
be found again each time: by trying, or by watching somebody who knows.

Source: Ndousse et al. 2021, section 3.3; details from the authors' environment.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float32, Int32

from rookery.errors import ConfigError
from rookery.gridworld.layout import sample_cells
from rookery.gridworld.state import GridParams, GridState, MoveResult
from rookery.gridworld.tiles import GOAL, OBSTACLE
from rookery.tasks.base import GridTask, check_non_negative
from rookery.types import PRNGKey


class GoalCycleParams(struct.PyTreeNode):
    """What a schedule may change without recompiling."""

    world: GridParams
    goal_reward: Float32[Array, ""]  # paid for a correct goal
    penalty: Float32[Array, ""]  # >= 0, taken for a wrong one


class GoalCycleState(struct.PyTreeNode):
    goals: Int32[Array, "K 2"]  # (row, col) in cyclic order
    last_goal: Int32[Array, "A"]  # last credited, -1 before the first


@dataclasses.dataclass(frozen=True, kw_only=True)
class GoalCycle(GridTask):
    """Configuration and rules. Defaults are the paper's; one view an agent."""

    metric_names = ("goals", "mistakes")
    """Names of what `pay` counts: entries that paid, entries that cost."""

    kind: Literal["goal-cycle"] = "goal-cycle"
    num_goals: int = 3
    num_obstacles: int | None = None  # count; None: from the density
    obstacle_density: float = 0.15  # of the cells inside the border
    penalty: float = 1.5
    map: str | None = None  # ASCII, see world/layout.py; replaces height, width and obstacles

    def __post_init__(self):
        if self.num_goals < 1:
            raise ConfigError(f"num_goals={self.num_goals} must be at least 1")
        if self.num_obstacles is not None:
            check_non_negative("num_obstacles", self.num_obstacles)
        if not 0 <= self.obstacle_density < 1:
            raise ConfigError(f"obstacle_density={self.obstacle_density} must lie in [0, 1)")
        if self.penalty < 0:
            raise ConfigError(f"penalty={self.penalty} must be non-negative; it is subtracted from the reward")
        super().__post_init__()
        plan = self.ascii_map
        if plan is not None and len(plan.goals) > self.num_goals:
            raise ConfigError(
                f"the map has {len(plan.goals)} goals for num_goals={self.num_goals}; raise num_goals or remove some"
            )
        self.check_capacity(len(self._sampled_goals_and_agents) + (0 if plan else self.resolved_num_obstacles))

    @property
    def resolved_num_obstacles(self) -> int:
        if self.num_obstacles is not None:
            return self.num_obstacles
        # The epsilon keeps 0.15 of 20 cells at 3 in binary arithmetic.
        return int(self.obstacle_density * (self.height - 2) * (self.width - 2) + 1e-9)

    @property
    def _sampled_goals_and_agents(self) -> range:
        plan = self.ascii_map
        goals = self.num_goals - (len(plan.goals) if plan else 0)
        return range(goals + (0 if plan and plan.spawn_cells else len(self.views)))

    def default_params(self) -> GoalCycleParams:
        return GoalCycleParams(
            world=self.world_params(), goal_reward=jnp.float32(self.goal_reward), penalty=jnp.float32(self.penalty)
        )

    def generate(self, key: PRNGKey):
        """Place goals, agents and obstacles on different cells, and draw the cyclic order and the headings."""
        place_key, order_key, spawn_key, heading_key = jax.random.split(key, 4)
        plan, agents = self.ascii_map, len(self.views)
        obstacles = 0 if plan else self.resolved_num_obstacles
        drawn = sample_cells(place_key, jnp.asarray(self.free_cells), len(self._sampled_goals_and_agents) + obstacles)
        fixed = [*plan.goals] if plan else []
        loose = self.num_goals - len(fixed)
        goals = drawn[:loose]
        if fixed:
            goals = jnp.concatenate([jnp.array(fixed, jnp.int32), goals])
            if plan and plan.unordered_goals:
                goals = sample_cells(order_key, goals, self.num_goals)
        if plan and plan.spawn_cells:
            position = sample_cells(spawn_key, jnp.array(plan.spawn_cells, jnp.int32), agents)
        else:
            position = drawn[loose : loose + agents]
        blocks = drawn[len(drawn) - obstacles :]
        tiles = jnp.asarray(self.base_tiles)
        tiles = tiles.at[blocks[:, 0], blocks[:, 1]].set(OBSTACLE)
        tiles = tiles.at[goals[:, 0], goals[:, 1]].set(GOAL)
        heading = jax.random.randint(heading_key, (agents,), 0, 4)
        return tiles, position, heading, GoalCycleState(goals=goals, last_goal=jnp.full(agents, -1, jnp.int32))

    def reward(self, before: GridState, after: GridState, move_result: MoveResult, params: GoalCycleParams):
        """Credit or punish each goal just entered."""
        own: GoalCycleState = before.task
        on_goal = (after.position[:, None] == own.goals).all(-1) & move_result.moved[:, None]
        goal = jnp.where(on_goal.any(-1), jnp.argmax(on_goal, -1), -1)
        entered = goal >= 0
        correct = entered & ((own.last_goal < 0) | (goal == (own.last_goal + 1) % self.num_goals))
        mistake = entered & ~correct
        reward = params.goal_reward * correct - params.penalty * mistake
        counts = {"goals": correct.astype(jnp.float32), "mistakes": mistake.astype(jnp.float32)}
        return reward, own.replace(last_goal=jnp.where(correct, goal, own.last_goal)), counts
