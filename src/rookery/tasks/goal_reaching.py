"""What tasks with one goal share: being paid for reaching it, and what happens then.

An agent that enters the goal is paid. Then, as `when_reached` says, it is set down elsewhere, facing anywhere, and
the episode goes on ("respawn", the authors' way); or the goal moves ("move goal"); or the episode ends for all
("end"). Only entering counts: a goal that appears under an agent, or an agent set down, earns nothing.

Source: Ndousse et al. 2021 and the authors' single-goal environment. Rewards and length of the
transfer tasks are not printed; these are the environment's.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float32, Int, Int32

from rookery.errors import ConfigError
from rookery.gridworld.layout import shuffle_cells
from rookery.gridworld.respawn import choose_vacant_cell, respawn_agents
from rookery.gridworld.state import GridParams, GridState, MoveResult
from rookery.gridworld.tiles import FLOOR, GOAL, OBSTACLE
from rookery.tasks.base import GridTask
from rookery.types import PRNGKey


class GoalReachingParams(struct.PyTreeNode):
    """What a schedule may change without recompiling."""

    world: GridParams
    goal_reward: Float32[Array, ""]  # paid for reaching the goal


class GoalReachingState(struct.PyTreeNode):
    goals: Int32[Array, "1 2"]  # (row, col)
    reached: Bool[Array, "A"]  # has been there in this episode
    respawn_cells: Int32[Array, "N 2"]  # the first `count`: where agents, or the goal, may be set down anew
    num_respawn_cells: Int32[Array, ""]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GoalReachingTask(GridTask):
    """Configuration and rules; a task adds its layout."""

    when_reached: Literal["respawn", "move goal", "end"] = "respawn"

    metric_names = ("goals", "success")
    """Entries that paid; and 1 at an agent's first of the episode, so that its sum tells whether it succeeded."""

    def __post_init__(self):
        super().__post_init__()
        if self.when_reached not in ("respawn", "move goal", "end"):
            raise ConfigError(
                f"when_reached={self.when_reached!r} is not known; allowed: 'respawn', 'move goal', 'end'"
            )

    def default_params(self) -> GoalReachingParams:
        return GoalReachingParams(world=self.world_params(), goal_reward=jnp.float32(self.goal_reward))

    def place_goal_and_agents(
        self,
        key: PRNGKey,
        tiles,
        cells: Int[Array, "N 2"],
        goal_candidates: Int[Array, "M"] | None = None,
        num_obstacles: int = 0,
        spawn_cells: Int[Array, "S 2"] | None = None,
    ):
        """Put one goal, obstacles and agents on different cells: what `layout` returns.

        Args:
          tiles: u8[H, W] with walls alone. cells: floor where things may be put.
          places: of `cells`, by number, those the goal may be in; None: any.
          spawns: where agents start and are set down; None: any free cell.
        """
        goal_key, place_key, spawn_key, heading_key = jax.random.split(key, 4)
        agents = len(self.views)
        goal_candidates = jnp.arange(len(cells)) if goal_candidates is None else goal_candidates
        chosen = goal_candidates[jax.random.randint(goal_key, (), 0, len(goal_candidates))]
        goal = cells[chosen]
        rest = cells.at[chosen].set(cells[0])[1:]
        rest = shuffle_cells(place_key, rest, num_obstacles + (agents if spawn_cells is None else 0))
        blocks, free = rest[:num_obstacles], rest[num_obstacles:]
        if spawn_cells is None:
            position = free[:agents]
        else:
            free = shuffle_cells(spawn_key, spawn_cells, agents)
            position = free[:agents]
        if self.when_reached == "move goal":
            # All the goal's other places; where it may be anywhere, all that is free.
            free = (
                rest[num_obstacles:]
                if len(goal_candidates) == len(cells)
                else other_goal_cells(cells[goal_candidates], goal)
            )
        tiles = tiles.at[blocks[:, 0], blocks[:, 1]].set(OBSTACLE).at[goal[0], goal[1]].set(GOAL)
        heading = jax.random.randint(heading_key, (agents,), 0, 4)
        own = GoalReachingState(
            goals=goal[None],
            reached=jnp.zeros(agents, bool),
            respawn_cells=free,
            num_respawn_cells=jnp.int32(len(free)),
        )
        return tiles, position, heading, own

    def reward(self, before: GridState, after: GridState, move_result: MoveResult, params: GoalReachingParams):
        """Pay whoever entered the goal."""
        own: GoalReachingState = before.task
        entered = move_result.moved & (after.position == own.goals[0]).all(-1)
        reward = params.goal_reward * entered
        counts = {"goals": entered.astype(jnp.float32), "success": (entered & ~own.reached).astype(jnp.float32)}
        return reward, own.replace(reached=own.reached | entered), counts

    def post_step(self, key: PRNGKey, before: GridState, after: GridState, move_result: MoveResult) -> GridState:
        """Set down elsewhere whoever entered the goal, or move the goal."""
        own: GoalReachingState = after.task
        entered = move_result.moved & (after.position == own.goals[0]).all(-1)
        if self.when_reached == "respawn":
            return respawn_agents(key, after, entered, own.respawn_cells, own.num_respawn_cells, self.collide)
        if self.when_reached == "end":
            return after
        standing = (after.position[:, None] == own.respawn_cells).all(-1) & after.agent_mask[:, None]
        taken = standing.any(0) | (jnp.arange(len(own.respawn_cells)) >= own.num_respawn_cells)
        chosen = choose_vacant_cell(jax.random.uniform(key), taken)
        old, new, move = own.goals[0], own.respawn_cells[chosen], entered.any() & ~taken.all()
        tiles = after.tiles.at[old[0], old[1]].set(FLOOR).at[new[0], new[1]].set(GOAL)
        own = own.replace(goals=new[None], respawn_cells=own.respawn_cells.at[chosen].set(old))
        moved = after.replace(tiles=tiles, task=own)
        return jax.tree.map(lambda new, old: jnp.where(move, new, old), moved, after)

    def is_terminal(self, state: GridState) -> Bool[Array, ""]:
        """Whether the episode is over before its time."""
        return state.task.reached.any() if self.when_reached == "end" else jnp.bool_(False)


def other_goal_cells(places: Int[Array, "M 2"], goal: Int[Array, "2"]) -> Int[Array, "M-1 2"]:
    """All places but the goal's."""
    here = jnp.argmax((places == goal).all(-1))
    return places.at[here].set(places[0])[1:]
