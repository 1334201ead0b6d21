"""Goal Cycle: visit n identical goals again and again in a hidden cyclic order; wrong goals are punished.

Rules. The first goal that an agent enters in an episode pays 1, whichever it is. From then on the cyclic successor of
the last credited goal pays 1 and becomes the last credited goal; any other goal, the last one again included, costs the
penalty and changes nothing. Only entering counts: standing on a goal is free. Each agent is paid for its own entries
alone. Goals, obstacles and agents are placed at random in each episode, so the order, one of (n-1)! cycles, must be
found out each time: by trial and error, or by watching an agent that knows it.

With `min_goals` or `min_obstacles` an episode has a random number of them, uniform between borders that are parameters
of the task. The cyclic order is that of the goals that are there. In the state, a goal that is not there lies in the
bottom right corner of the border, which no agent enters.

Source: Ndousse et al. 2021, section 3.3; details from the reference code.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Float32, Int, Int32, UInt8

from rookery import keys
from rookery.errors import ConfigError
from rookery.gridworld.layout import sample_cells
from rookery.gridworld.state import GridParams, GridState, MoveResult
from rookery.gridworld.tiles import FLOOR, GOAL, OBSTACLE
from rookery.interfaces import EpisodeRange
from rookery.tasks.checks import check_cost, check_non_negative
from rookery.tasks.grid_task import GridTask
from rookery.types import PRNGKey


class GoalCycleParams(struct.PyTreeNode):
    """Numbers that a schedule may change without recompiling."""

    world: GridParams
    goal_reward: Float32[Array, ""]  # paid for a correct goal
    penalty: Float32[Array, ""]  # >= 0, subtracted for a wrong one
    min_goals: Float32[Array, ""] | None = None  # borders of the number of goals; None: every episode has all
    max_goals: Float32[Array, ""] | None = None
    min_obstacles: Float32[Array, ""] | None = None  # the same of obstacles
    max_obstacles: Float32[Array, ""] | None = None


class GoalCycleState(struct.PyTreeNode):
    """The task's part of a state: K goals, A agents."""

    goals: Int32[Array, "K 2"]  # (row, col) in cyclic order
    last_goal: Int32[Array, "A"]  # last credited goal, -1 before the first
    num_goals: Int32[Array, ""] | None = None  # the first so many goals are there; None: all


@dataclasses.dataclass(frozen=True, kw_only=True)
class GoalCycle(GridTask):
    """Settings and rules. Defaults are those of the paper."""

    metric_names: ClassVar[tuple[str, ...]] = ("goals", "mistakes")
    """Entries that paid; entries that cost."""

    kind: Literal["goal-cycle"] = "goal-cycle"
    num_goals: int = 3
    num_obstacles: int | None = None  # None: from obstacle_density
    obstacle_density: float = 0.15  # fraction of the cells inside the border
    min_goals: int | None = None  # fewest goals of an episode, at most num_goals; None: always num_goals
    min_obstacles: int | None = None  # fewest obstacles of an episode; None: always as many
    penalty: float = 1.5
    map: str | None = None  # ASCII, see gridworld/layout.py; replaces height, width and obstacles

    def __post_init__(self) -> None:
        if self.num_goals < 1:
            raise ConfigError(f"num_goals={self.num_goals} must be at least 1")
        if self.num_obstacles is not None:
            check_non_negative("num_obstacles", self.num_obstacles)
        if not 0 <= self.obstacle_density < 1:
            raise ConfigError(f"obstacle_density={self.obstacle_density} must lie in [0, 1)")
        check_cost("penalty", self.penalty)
        super().__post_init__()
        ascii_map = self.ascii_map
        if ascii_map is not None and len(ascii_map.goals) > self.num_goals:
            raise ConfigError(
                f"the map has {len(ascii_map.goals)} goals for num_goals={self.num_goals}; "
                "raise num_goals or remove some"
            )
        self._check_ranges()
        self.check_capacity(self._num_sampled_goals_and_agents + (0 if ascii_map else self.resolved_num_obstacles))

    def _check_ranges(self) -> None:
        """Raises ConfigError for numbers of goals and obstacles that no episode can have."""
        for name, low, high in (
            ("min_goals", 1, self.num_goals),
            ("min_obstacles", 0, self.resolved_num_obstacles),
        ):
            value = getattr(self, name)
            if value is not None and self.map is not None:
                raise ConfigError(f"{name}={value}: a map fixes what is on it; leave one of the two out")
            if value is not None and not low <= value <= high:
                raise ConfigError(f"{name}={value} must lie in [{low}, {high}]")

    @property
    def episode_ranges(self) -> dict[str, EpisodeRange]:
        """Goals and obstacles, where the settings name a fewest number."""
        borders = {
            "goals": (self.min_goals, self.num_goals),
            "obstacles": (self.min_obstacles, self.resolved_num_obstacles),
        }
        return {
            name: EpisodeRange(int(least), most, f"min_{name}", f"max_{name}")
            for name, (least, most) in borders.items()
            if least is not None
        }

    @property
    def resolved_num_obstacles(self) -> int:
        """The number of obstacles, also if it is given as a density."""
        if self.num_obstacles is not None:
            return self.num_obstacles
        # Without the epsilon, 0.15 of 20 cells would be 2 in binary arithmetic.
        return int(self.obstacle_density * (self.height - 2) * (self.width - 2) + 1e-9)

    @property
    def _num_sampled_goals_and_agents(self) -> int:
        """How many goals and agents have no place on the map."""
        ascii_map = self.ascii_map
        num_goals = self.num_goals - (len(ascii_map.goals) if ascii_map else 0)
        return num_goals + (0 if ascii_map and ascii_map.spawn_cells else len(self.views))

    @property
    def rules_for_players(self) -> tuple[str, ...]:
        return (
            f"Enter the goals in the order of their numbers, again and again; start with any. Each next goal pays "
            f"{self.goal_reward:g}.",
            f"Any other goal costs {self.penalty:g}, also the last one again. Each agent is paid for its own goals "
            "alone, and no agent sees the numbers.",
        )

    def default_params(self) -> GoalCycleParams:
        borders = {}
        for episode_range in self.episode_ranges.values():
            borders[episode_range.least_param] = jnp.float32(episode_range.least)
            borders[episode_range.most_param] = jnp.float32(episode_range.most)
        return GoalCycleParams(
            world=self.world_params(),
            goal_reward=jnp.float32(self.goal_reward),
            penalty=jnp.float32(self.penalty),
            **borders,
        )

    def generate_within(
        self, key: PRNGKey, params: GoalCycleParams
    ) -> tuple[UInt8[Array, "H W"], Int[Array, "A 2"], Int[Array, "A"], GoalCycleState]:
        """`generate`, with as many goals and obstacles as are sampled between the borders."""
        if not self.episode_ranges:
            return self.generate(key)
        unit = jax.random.uniform(jax.random.fold_in(key, keys.EPISODE_RANGES), (2,))
        counts: dict[str, Int[Array, ""]] = {}
        for i, (name, episode_range) in enumerate(self.episode_ranges.items()):
            low, high = (
                jnp.clip(jnp.round(getattr(params, border)), episode_range.least, episode_range.most)
                for border in (episode_range.least_param, episode_range.most_param)
            )
            counts[name] = jnp.clip(low + jnp.floor(unit[i] * (high - low + 1)), low, high).astype(jnp.int32)
        return self._place(key, counts.get("goals"), counts.get("obstacles"))

    def generate(self, key: PRNGKey) -> tuple[UInt8[Array, "H W"], Int[Array, "A 2"], Int[Array, "A"], GoalCycleState]:
        """Place goals, agents and obstacles on different cells; sample the cyclic order and the headings."""
        return self._place(key, None, None)

    def _place(
        self, key: PRNGKey, num_goals: Int[Array, ""] | None, num_obstacles_here: Int[Array, ""] | None
    ) -> tuple[UInt8[Array, "H W"], Int[Array, "A 2"], Int[Array, "A"], GoalCycleState]:
        """The start of an episode with so many goals and obstacles; None: all."""
        place_key, order_key, spawn_key, heading_key = jax.random.split(key, 4)
        ascii_map, num_agents = self.ascii_map, len(self.views)
        num_obstacles = 0 if ascii_map else self.resolved_num_obstacles
        sampled = sample_cells(
            place_key, jnp.asarray(self.free_cells), self._num_sampled_goals_and_agents + num_obstacles
        )
        map_goals = [*ascii_map.goals] if ascii_map else []
        num_sampled_goals = self.num_goals - len(map_goals)
        goals = sampled[:num_sampled_goals]
        if map_goals:
            goals = jnp.concatenate([jnp.array(map_goals, jnp.int32), goals])
            if ascii_map and ascii_map.unordered_goals:
                goals = sample_cells(order_key, goals, self.num_goals)
        if ascii_map and ascii_map.spawn_cells:
            position = sample_cells(spawn_key, jnp.array(ascii_map.spawn_cells, jnp.int32), num_agents)
        else:
            position = sampled[num_sampled_goals : num_sampled_goals + num_agents]
        obstacles = sampled[len(sampled) - num_obstacles :]
        obstacle_kind, goal_kind = OBSTACLE, GOAL
        if num_obstacles_here is not None:
            is_here = jnp.arange(num_obstacles) < num_obstacles_here
            obstacle_kind = jnp.where(is_here, OBSTACLE, FLOOR).astype(jnp.uint8)
        if num_goals is not None:
            is_here = jnp.arange(self.num_goals) < num_goals
            goals = jnp.where(is_here[:, None], goals, jnp.array([self.height - 1, self.width - 1], jnp.int32))
            goal_kind = jnp.where(is_here, GOAL, OBSTACLE).astype(jnp.uint8)
        tiles = jnp.asarray(self.base_tiles)
        tiles = tiles.at[obstacles[:, 0], obstacles[:, 1]].set(obstacle_kind)
        tiles = tiles.at[goals[:, 0], goals[:, 1]].set(goal_kind)
        heading = jax.random.randint(heading_key, (num_agents,), 0, 4)
        last_goal = jnp.full(num_agents, -1, jnp.int32)
        return tiles, position, heading, GoalCycleState(goals=goals, last_goal=last_goal, num_goals=num_goals)

    def reward(
        self, before: GridState, after: GridState, move_result: MoveResult, params: GoalCycleParams
    ) -> tuple[Float[Array, "A"], GoalCycleState, dict[str, Float[Array, "A"]]]:
        """Credit or punish each goal just entered."""
        task_state: GoalCycleState = before.task
        last_goal = task_state.last_goal
        on_goal = (after.position[:, None] == task_state.goals).all(-1) & move_result.moved[:, None]
        goal = jnp.where(on_goal.any(-1), jnp.argmax(on_goal, -1), -1)
        entered = goal >= 0
        num_goals = self.num_goals if task_state.num_goals is None else task_state.num_goals
        correct = entered & ((last_goal < 0) | (goal == (last_goal + 1) % num_goals))
        mistake = entered & ~correct
        reward = params.goal_reward * correct - params.penalty * mistake
        info = {"goals": correct.astype(jnp.float32), "mistakes": mistake.astype(jnp.float32)}
        return reward, task_state.replace(last_goal=jnp.where(correct, goal, last_goal)), info

    def goal_cells(self, task_state: GoalCycleState) -> Int[Array, "K 2"]:
        return task_state.goals
