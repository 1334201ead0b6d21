"""What tasks with one goal share: agents are paid for reaching it, and what happens then.

An agent that enters the goal is paid. Then, depending on `when_reached`, it is placed elsewhere with a random heading
and the episode continues ("respawn", as in the reference code), or the goal moves ("move goal"), or the episode ends
for all agents ("end"). Only entering counts: no reward for a goal that appears under an agent, nor for an agent that is
placed on it.

Source: Ndousse et al. 2021 and the single-goal environment of the reference code. The paper does not state rewards and
episode lengths of its transfer tasks; these are those of the reference code.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Float32, Int, Int32, UInt8

from rookery.errors import ConfigError
from rookery.gridworld.layout import shuffle_cells
from rookery.gridworld.respawn import choose_vacant_cell, respawn_agents
from rookery.gridworld.state import GridParams, GridState, MoveResult
from rookery.gridworld.tiles import FLOOR, GOAL, OBSTACLE
from rookery.tasks.grid_task import GridTask
from rookery.types import PRNGKey


class GoalReachingParams(struct.PyTreeNode):
    """Numbers that a schedule may change without recompiling."""

    world: GridParams
    goal_reward: Float32[Array, ""]  # paid for reaching the goal


class GoalReachingState(struct.PyTreeNode):
    """The task's part of a state. N cells, A agents."""

    goals: Int32[Array, "1 2"]  # (row, col)
    reached: Bool[Array, "A"]  # has entered the goal in this episode
    respawn_cells: Int32[Array, "N 2"]  # where agents, or the goal, may be placed: the first `num_respawn_cells`
    num_respawn_cells: Int32[Array, ""]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GoalReachingTask(GridTask):
    """Base of tasks with one goal; a task adds `kind` and `generate`, which calls `place_goal_and_agents`."""

    when_reached: Literal["respawn", "move goal", "end"] = "respawn"

    metric_names: ClassVar[tuple[str, ...]] = ("goals", "success")
    """Entries that paid; and 1 at the first of an episode, so that its sum is 1 for an agent that succeeded."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.when_reached not in ("respawn", "move goal", "end"):
            raise ConfigError(
                f"when_reached={self.when_reached!r} is not known; allowed: 'respawn', 'move goal', 'end'"
            )

    @property
    def rules_for_players(self) -> tuple[str, ...]:
        then = {
            "respawn": "you are then placed elsewhere, and the goal stays where it is",
            "move goal": "it then moves elsewhere",
            "end": "the episode is then over for all",
        }[self.when_reached]
        return (f"Entering the goal pays {self.goal_reward:g}; {then}.", self._search_rule)

    @property
    def _search_rule(self) -> str:
        """The second of the rules for players: what makes the goal hard to reach."""
        return f"Nothing else pays or costs anything: reach it as often as you can in {self.max_steps} steps."

    def default_params(self) -> GoalReachingParams:
        return GoalReachingParams(world=self.world_params(), goal_reward=jnp.float32(self.goal_reward))

    def place_goal_and_agents(
        self,
        key: PRNGKey,
        tiles: UInt8[Array, "H W"],
        cells: Int[Array, "N 2"],
        goal_candidates: Int[Array, "M"] | None = None,
        num_obstacles: int = 0,
        spawn_cells: Int[Array, "S 2"] | None = None,
    ) -> tuple[UInt8[Array, "H W"], Int[Array, "A 2"], Int[Array, "A"], GoalReachingState]:
        """Put one goal, obstacles and agents on different cells; returns what `generate` must return.

        Args:
          tiles: u8[H, W], walls only.
          cells: floor on which something may be placed.
          goal_candidates: indices of `cells` where the goal may be; None: all.
          spawn_cells: where agents start and respawn; None: any free cell.
        """
        goal_key, place_key, spawn_key, heading_key = jax.random.split(key, 4)
        num_agents = len(self.views)
        goal_candidates = jnp.arange(len(cells)) if goal_candidates is None else goal_candidates
        chosen = goal_candidates[jax.random.randint(goal_key, (), 0, len(goal_candidates))]
        goal = cells[chosen]
        rest = cells.at[chosen].set(cells[0])[1:]
        rest = shuffle_cells(place_key, rest, num_obstacles + (num_agents if spawn_cells is None else 0))
        obstacles, respawn_cells = rest[:num_obstacles], rest[num_obstacles:]
        if spawn_cells is not None:
            respawn_cells = shuffle_cells(spawn_key, spawn_cells, num_agents)
        position = respawn_cells[:num_agents]
        if self.when_reached == "move goal":
            # The other candidates of the goal; if it may be anywhere, all free cells.
            respawn_cells = (
                rest[num_obstacles:]
                if len(goal_candidates) == len(cells)
                else other_goal_cells(cells[goal_candidates], goal)
            )
        tiles = tiles.at[obstacles[:, 0], obstacles[:, 1]].set(OBSTACLE).at[goal[0], goal[1]].set(GOAL)
        heading = jax.random.randint(heading_key, (num_agents,), 0, 4)
        task_state = GoalReachingState(
            goals=goal[None],
            reached=jnp.zeros(num_agents, bool),
            respawn_cells=respawn_cells,
            num_respawn_cells=jnp.int32(len(respawn_cells)),
        )
        return tiles, position, heading, task_state

    def reward(
        self, before: GridState, after: GridState, move_result: MoveResult, params: GoalReachingParams
    ) -> tuple[Float[Array, "A"], GoalReachingState, dict[str, Float[Array, "A"]]]:
        """Pay each agent that entered the goal."""
        task_state: GoalReachingState = before.task
        entered = self._entered_goal(after, task_state, move_result)
        reward = params.goal_reward * entered
        first = entered & ~task_state.reached
        info = {"goals": entered.astype(jnp.float32), "success": first.astype(jnp.float32)}
        return reward, task_state.replace(reached=task_state.reached | entered), info

    def post_step(self, key: PRNGKey, before: GridState, after: GridState, move_result: MoveResult) -> GridState:
        """Place the agents that entered the goal elsewhere, or move the goal."""
        task_state: GoalReachingState = after.task
        entered = self._entered_goal(after, task_state, move_result)
        cells, num_cells = task_state.respawn_cells, task_state.num_respawn_cells
        if self.when_reached == "respawn":
            return respawn_agents(key, after, entered, cells, num_cells, self.collide)
        if self.when_reached == "end":
            return after
        occupied = (after.position[:, None] == cells).all(-1) & after.agent_mask[:, None]
        # A goal would destroy a key that lies there.
        is_floor = after.tiles[cells[:, 0], cells[:, 1]] == FLOOR
        taken = occupied.any(0) | ~is_floor | (jnp.arange(len(cells)) >= num_cells)
        chosen = choose_vacant_cell(jax.random.uniform(key), taken)
        old, new, moves = task_state.goals[0], cells[chosen], entered.any() & ~taken.all()
        tiles = after.tiles.at[old[0], old[1]].set(FLOOR).at[new[0], new[1]].set(GOAL)
        task_state = task_state.replace(goals=new[None], respawn_cells=cells.at[chosen].set(old))
        moved = after.replace(tiles=tiles, task=task_state)
        return jax.tree.map(lambda new, old: jnp.where(moves, new, old), moved, after)

    def is_terminal(self, state: GridState) -> Bool[Array, ""]:
        """Once any agent reached the goal, if that ends the episode."""
        return state.task.reached.any() if self.when_reached == "end" else jnp.bool_(False)

    def goal_cells(self, task_state: GoalReachingState) -> Int[Array, "K 2"]:
        return task_state.goals

    @staticmethod
    def _entered_goal(after: GridState, task_state: GoalReachingState, move_result: MoveResult) -> Bool[Array, "A"]:
        return move_result.moved & (after.position == task_state.goals[0]).all(-1)


def other_goal_cells(candidates: Int[Array, "M 2"], goal: Int[Array, "2"]) -> Int[Array, "M-1 2"]:
    """All candidates but the goal's own cell."""
    index = jnp.argmax((candidates == goal).all(-1))
    return candidates.at[index].set(candidates[0])[1:]
