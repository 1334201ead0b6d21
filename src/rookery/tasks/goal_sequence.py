"""Goal Sequence: enter goals that look different in a hidden order, trial after trial.

Rules. An episode has several trials. Goals, start cells and the order are random in each episode and stay the same for
all its trials; at the end of a trial all agents return to their start, with their first heading, and the order starts
again. The order is a long random sequence of goals, never the same goal twice in a row. Entering the goal that is next
in an agent's order pays 1 and advances the order; entering any other costs the penalty and changes nothing. Each agent
is paid for its own entries alone. Recurrent state lasts across trials: later trials improve only by what an agent
remembers or sees others do. With `sequence` the order is the same in all episodes and repeats, so that it can be
learned by the weights.

Agents in `fading_slots` are there to be learned from, and disappear step by step, so that no agent comes to depend on
them. At each step each of them is visible with probability `visibility` · (1 - `fade` · k / (K-1)) in trial k of K:
with `fade=1` always in the first trial and never in the last; with a schedule of `visibility` less and less during
training. While invisible they act and are paid as before. They themselves see no other agent.

Source: Cook et al. 2024, Artificial Generational Intelligence, Goal Sequence: 7×7 cells, three kinds of goal, 3×3 cells
visible, +1 and -1; in-context: 4 trials of 30 steps and 1 - k/(K-1); in-weights: one trial of 50 steps and 1 - t/(T-1)
at time t of T.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Float32, Int, Int32, UInt8

from rookery import keys
from rookery.errors import ConfigError
from rookery.gridworld.layout import sample_cells
from rookery.gridworld.state import GridParams, GridState, MoveResult
from rookery.gridworld.tiles import GOAL_KINDS, OBSTACLE
from rookery.tasks.checks import check_cost, check_fading, check_non_negative, check_slots
from rookery.tasks.grid_task import GridTask, as_cells
from rookery.types import PRNGKey


class GoalSequenceParams(struct.PyTreeNode):
    """Numbers that a schedule may change without recompiling."""

    world: GridParams
    goal_reward: Float32[Array, ""]  # paid for the goal that is next
    penalty: Float32[Array, ""]  # >= 0, subtracted for any other
    visibility: Float32[Array, ""]  # probability per step that a fading agent is visible, in the first trial
    fade: Float32[Array, ""]  # fraction of it that is gone in the last trial


class GoalSequenceState(struct.PyTreeNode):
    """The task's part of a state: K goals, L steps of a trial, A agents."""

    goals: Int32[Array, "K 2"]  # (row, col); goal k has the tile kind GOAL_KINDS[k]
    sequence: Int32[Array, "L"]  # the order of goals; a trial cannot use more
    progress: Int32[Array, "A"]  # how many goals of the order the agent has entered in this trial
    start_position: Int32[Array, "A 2"]
    start_heading: Int32[Array, "A"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GoalSequence(GridTask):
    """Settings and rules. The length of an episode follows from the number of trials and their length."""

    metric_names: ClassVar[tuple[str, ...]] = ("goals", "mistakes", "last_trial_goals")
    """Entries that paid; entries that cost; entries that paid in the last trial."""

    kind: Literal["goal-sequence"] = "goal-sequence"
    height: int = 9
    width: int = 9
    max_steps: int = dataclasses.field(default=120, init=False)
    num_goals: int = 3  # one of each kind
    num_obstacles: int = 0
    num_trials: int = 4
    trial_steps: int = 30
    penalty: float = 1.0
    sequence: tuple[int, ...] = ()  # goals from 0, repeated in every trial; empty: random in each episode
    map: str | None = None  # ASCII, see gridworld/layout.py; replaces height, width and obstacles
    fading_slots: tuple[int, ...] = ()  # slots of agents that the others see in a fraction of steps only
    visibility: float = 1.0  # that fraction in the first trial
    fade: float = 0.0  # fraction of it that is gone in the last trial

    def __post_init__(self) -> None:
        for name in ("num_trials", "trial_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least 1")
        object.__setattr__(self, "max_steps", self.num_trials * self.trial_steps)
        super().__post_init__()
        check_non_negative("num_obstacles", self.num_obstacles)
        if not 2 <= self.num_goals <= len(GOAL_KINDS):
            raise ConfigError(
                f"num_goals={self.num_goals} must lie in [2, {len(GOAL_KINDS)}], the kinds of goal that look different"
            )
        check_cost("penalty", self.penalty)
        check_fading(self)
        check_slots("fading_slots", self.fading_slots, len(self.views))
        if self.fading_slots and self.collide:
            raise ConfigError("invisible agents would block others; leave out fading_slots or set collide=False")
        if any(not 0 <= goal < self.num_goals for goal in self.sequence):
            raise ConfigError(f"sequence={self.sequence} must hold goals from 0 to {self.num_goals - 1}")
        if any(a == b for a, b in zip(self.sequence, self.sequence[1:] + self.sequence[:1], strict=True)):
            raise ConfigError(f"sequence={self.sequence}: no goal may come twice in a row, also where it repeats")
        num_map_goals = len(self._map_goals)
        if num_map_goals > self.num_goals:
            raise ConfigError(
                f"the map has {num_map_goals} goals for num_goals={self.num_goals}; raise num_goals or remove some"
            )
        num_agents = 0 if self.ascii_map and self.ascii_map.spawn_cells else len(self.views)
        self.check_capacity(self.num_goals - num_map_goals + num_agents + self._num_sampled_obstacles)

    @property
    def _num_sampled_obstacles(self) -> int:
        return 0 if self.ascii_map else self.num_obstacles

    @property
    def _map_goals(self) -> tuple[tuple[int, int], ...]:
        """Cells (row, col) of the goals on the map."""
        return self.ascii_map.goals if self.ascii_map else ()

    @property
    def rules_for_players(self) -> tuple[str, ...]:
        return (
            f"Enter the goals in a hidden order, found by trial and error: the next one pays {self.goal_reward:g}, any "
            f"other costs {self.penalty:g}.",
            f"The order stays the same for all {self.num_trials} trials of {self.trial_steps} steps; after each, all "
            "agents return to their start and the order begins again.",
        )

    def default_params(self) -> GoalSequenceParams:
        return GoalSequenceParams(
            world=self.world_params(),
            goal_reward=jnp.float32(self.goal_reward),
            penalty=jnp.float32(self.penalty),
            visibility=jnp.float32(self.visibility),
            fade=jnp.float32(self.fade),
        )

    def generate(
        self, key: PRNGKey
    ) -> tuple[UInt8[Array, "H W"], Int[Array, "A 2"], Int[Array, "A"], GoalSequenceState]:
        """Place goals, agents and obstacles on different cells; sample the order and the headings."""
        place_key, kind_key, spawn_key, heading_key, order_key = jax.random.split(key, 5)
        ascii_map, map_goals, num_agents = self.ascii_map, self._map_goals, len(self.views)
        spawn_cells = ascii_map.spawn_cells if ascii_map else ()
        num_sampled_goals, num_sampled_agents = self.num_goals - len(map_goals), 0 if spawn_cells else num_agents
        sampled = sample_cells(
            place_key,
            jnp.asarray(self.free_cells),
            num_sampled_goals + num_sampled_agents + self._num_sampled_obstacles,
        )
        goals = jnp.concatenate([as_cells(map_goals), sampled[:num_sampled_goals]])
        if ascii_map and ascii_map.unordered_goals:
            goals = sample_cells(kind_key, goals, self.num_goals)
        obstacles = sampled[len(sampled) - self._num_sampled_obstacles :]
        if spawn_cells:
            position = sample_cells(spawn_key, as_cells(spawn_cells), num_agents)
        else:
            position = sampled[num_sampled_goals : num_sampled_goals + num_agents]
        heading = jax.random.randint(heading_key, (num_agents,), 0, 4)
        tiles = jnp.asarray(self.base_tiles).at[obstacles[:, 0], obstacles[:, 1]].set(OBSTACLE)
        tiles = tiles.at[goals[:, 0], goals[:, 1]].set(jnp.array(GOAL_KINDS[: self.num_goals], jnp.uint8))
        task_state = GoalSequenceState(
            goals=goals,
            sequence=self._sample_sequence(order_key),
            progress=jnp.zeros(num_agents, jnp.int32),
            start_position=position,
            start_heading=heading,
        )
        return tiles, position, heading, task_state

    def _sample_sequence(self, key: PRNGKey) -> Int32[Array, "L"]:
        if self.sequence:
            return jnp.array(np.resize(self.sequence, self.trial_steps), jnp.int32)
        # Each goal is 1 to K-1 places after the one before, modulo K, so never the same.
        first_key, next_key = jax.random.split(key)
        first = jax.random.randint(first_key, (1,), 0, self.num_goals)
        offsets = jax.random.randint(next_key, (self.trial_steps - 1,), 1, self.num_goals)
        return jnp.cumsum(jnp.concatenate([first, offsets])) % self.num_goals

    def reward(
        self, before: GridState, after: GridState, move_result: MoveResult, params: GoalSequenceParams
    ) -> tuple[Float[Array, "A"], GoalSequenceState, dict[str, Float[Array, "A"]]]:
        """Credit or punish each goal just entered."""
        task_state: GoalSequenceState = before.task
        on_goal = (after.position[:, None] == task_state.goals).all(-1) & move_result.moved[:, None]
        entered, goal = on_goal.any(-1), jnp.argmax(on_goal, -1)
        # A trial of T steps has at most T entries, so the order cannot run out before its last step.
        correct = entered & (goal == task_state.sequence[jnp.minimum(task_state.progress, self.trial_steps - 1)])
        mistake = entered & ~correct
        reward = params.goal_reward * correct - params.penalty * mistake
        in_last_trial = before.step >= (self.num_trials - 1) * self.trial_steps
        info = {"goals": correct, "mistakes": mistake, "last_trial_goals": correct & in_last_trial}
        info = {name: value.astype(jnp.float32) for name, value in info.items()}
        return reward, task_state.replace(progress=task_state.progress + correct), info

    def post_step(self, key: PRNGKey, before: GridState, after: GridState, move_result: MoveResult) -> GridState:
        """When a trial is over and another follows, return all agents to their start."""
        task_state: GoalSequenceState = after.task
        steps = after.step + 1  # this one included
        restart = (steps % self.trial_steps == 0) & (steps < self.max_steps)
        return after.replace(
            position=jnp.where(restart, task_state.start_position, after.position),
            heading=jnp.where(restart, task_state.start_heading, after.heading),
            task=task_state.replace(progress=jnp.where(restart, 0, task_state.progress)),
        )

    def visibility_prob(self, step: Int32[Array, ""], params: GoalSequenceParams) -> Float32[Array, ""]:
        """Probability that a fading agent is visible at this step of an episode. f32[]."""
        trial = jnp.minimum(step // self.trial_steps, self.num_trials - 1)
        return params.visibility * (1 - params.fade * trial / max(self.num_trials - 1, 1))

    def invisible_agents(self, state: GridState, params: GoalSequenceParams) -> Bool[Array, "A A"] | None:
        """Fading agents, at random; and they see no other agent."""
        if not self.fading_slots:
            return None
        key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), keys.AGENT_VISIBILITY)
        is_hidden = jax.random.uniform(key, (len(self.fading_slots),)) >= self.visibility_prob(state.step, params)
        slots, num_agents = jnp.array(self.fading_slots), len(self.views)
        invisible = jnp.zeros((num_agents, num_agents), bool).at[:, slots].set(is_hidden).at[slots].set(True)
        return invisible & ~jnp.eye(num_agents, dtype=bool)

    def goal_cells(self, task_state: GoalSequenceState) -> Int[Array, "K 2"]:
        return task_state.goals
