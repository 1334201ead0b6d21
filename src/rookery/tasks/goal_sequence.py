"""Goal sequence: enter goals that look different in a hidden order, trial after trial.

Rules. An episode is a few trials. Goals, agents' starts and the order are drawn anew each episode and stay for all its
trials; at the end of a trial every agent is back at its start, facing as at first, and the order begins again. The
order is a long random row of goals, none twice running. Entering the goal that is next in an agent's order pays 1 and
the one after it becomes next; entering any other costs the penalty and changes nothing. Every agent is paid for
itself alone. A memory lasts over trials: only what is remembered, or seen of others, makes later trials better.
With `sequence` the order is the same in all episodes and goes round: learning it "in weights".

Agents in `fading` slots are those to learn from, and are taken away bit by bit, so that nobody comes to depend on
them. At each step each of them is seen with probability `visibility` · (1 - `fade` · k / (K-1)) in trial k of K: with
`fade=1` always in the first trial and never in the last; with a schedule of `visibility` less and less over training.
Unseen they play on and are paid. They themselves see no other agent.

Source: Cook et al. 2024, Artificial Generational Intelligence, Goal Sequence: 7×7 cells, three kinds of goal, 3×3 cells
seen, +1 and -1; in context 4 trials of 30 steps and 1 - k/(K-1), in weights one of 50 and 1 - t/(T-1) at time t of T.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float32, Int32

from rookery.errors import ConfigError
from rookery.gridworld.layout import sample_cells
from rookery.gridworld.state import GridParams, GridState, MoveResult
from rookery.gridworld.tiles import GOAL_KINDS, OBSTACLE
from rookery.tasks.base import GridTask, as_cells, check_non_negative
from rookery.types import PRNGKey

VISIBILITY_KEY_ID = 0xFADE  # sets the draws of who is seen apart from those of motion


class GoalSequenceParams(struct.PyTreeNode):
    """What a schedule may change without recompiling."""

    world: GridParams
    goal_reward: Float32[Array, ""]  # paid for the goal that is next
    penalty: Float32[Array, ""]  # >= 0, taken for any other
    visibility: Float32[Array, ""]  # share of steps in which those that fade are seen, in the first trial
    fade: Float32[Array, ""]  # how much of that is gone in the last


class GoalSequenceState(struct.PyTreeNode):
    goals: Int32[Array, "K 2"]  # (row, col) by kind: goal k is of tile kind GOALS[k]
    sequence: Int32[Array, "L"]  # goals in the order of a trial, as many as it has steps
    progress: Int32[Array, "A"]  # of this trial's order already entered
    start_position: Int32[Array, "A 2"]
    start_heading: Int32[Array, "A"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class GoalSequence(GridTask):
    """Configuration and rules; one view an agent. The episode's length follows from trials and theirs."""

    metric_names = ("goals", "mistakes", "last_trial_goals")
    """Entries that paid, entries that cost, and entries that paid in the last trial."""

    kind: Literal["goal-sequence"] = "goal-sequence"
    height: int = 9
    width: int = 9
    max_steps: int = dataclasses.field(default=120, init=False)
    num_goals: int = 3  # kinds; one of each
    num_obstacles: int = 0
    num_trials: int = 4
    trial_steps: int = 30
    penalty: float = 1.0
    sequence: tuple[int, ...] = ()  # goals from 0, gone round in every trial; empty: drawn each episode
    map: str | None = None  # ASCII, see world/layout.py; replaces height, width and obstacles
    fading_slots: tuple[int, ...] = ()  # slots whose agents the others see in a share of steps alone
    visibility: float = 1.0  # that share in the first trial
    fade: float = 0.0  # how much of it is gone in the last; 1 is all

    def __post_init__(self):
        for name in ("num_trials", "trial_steps"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least 1")
        object.__setattr__(self, "max_steps", self.num_trials * self.trial_steps)
        super().__post_init__()
        check_non_negative("num_obstacles", self.num_obstacles)
        if not 2 <= self.num_goals <= len(GOAL_KINDS):
            raise ConfigError(f"num_goals={self.num_goals} must lie in [2, {len(GOAL_KINDS)}]: so many look different")
        if self.penalty < 0:
            raise ConfigError(f"penalty={self.penalty} must be non-negative; it is subtracted from the reward")
        for name in ("visibility", "fade"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}={getattr(self, name)} must lie in [0, 1]")
        if any(not 0 <= slot < len(self.views) for slot in self.fading_slots) or len(set(self.fading_slots)) < len(
            self.fading_slots
        ):
            raise ConfigError(f"fading_slots={self.fading_slots} must hold different slots from 0 to {len(self.views) - 1}")
        if self.fading_slots and self.collide:
            raise ConfigError("agents that fade would stand in the way unseen; leave out fading or set collide=False")
        if any(not 0 <= goal < self.num_goals for goal in self.sequence):
            raise ConfigError(f"sequence={self.sequence} must hold goals from 0 to {self.num_goals - 1}")
        if any(a == b for a, b in zip(self.sequence, self.sequence[1:] + self.sequence[:1], strict=True)):
            raise ConfigError(f"sequence={self.sequence}: no goal may come twice running, also where it goes round")
        found = len(self._map_goals)
        if found > self.num_goals:
            raise ConfigError(f"the map has {found} goals for num_goals={self.num_goals}; raise num_goals or remove some")
        agents = 0 if self.ascii_map and self.ascii_map.spawn_cells else len(self.views)
        self.check_capacity(self.num_goals - found + agents + self._num_sampled_obstacles)

    @property
    def _num_sampled_obstacles(self) -> int:
        return 0 if self.ascii_map else self.num_obstacles

    @property
    def _map_goals(self) -> tuple[tuple[int, int], ...]:
        """Cells the map gives to goals."""
        return self.ascii_map.goals if self.ascii_map else ()

    def default_params(self) -> GoalSequenceParams:
        return GoalSequenceParams(
            world=self.world_params(),
            goal_reward=jnp.float32(self.goal_reward),
            penalty=jnp.float32(self.penalty),
            visibility=jnp.float32(self.visibility),
            fade=jnp.float32(self.fade),
        )

    def generate(self, key: PRNGKey):
        """Place goals, agents and obstacles on different cells, and draw the order."""
        place_key, kind_key, spawn_key, heading_key, order_key = jax.random.split(key, 5)
        plan, fixed, agents = self.ascii_map, self._map_goals, len(self.views)
        loose, spawns = self.num_goals - len(fixed), plan.spawn_cells if plan else ()
        drawn = sample_cells(
            place_key, jnp.asarray(self.free_cells), loose + (0 if spawns else agents) + self._num_sampled_obstacles
        )
        goals = jnp.concatenate([as_cells(fixed), drawn[:loose]])
        if plan and plan.unordered_goals:
            goals = sample_cells(kind_key, goals, self.num_goals)
        blocks = drawn[len(drawn) - self._num_sampled_obstacles :]
        position = sample_cells(spawn_key, as_cells(spawns), agents) if spawns else drawn[loose : loose + agents]
        heading = jax.random.randint(heading_key, (agents,), 0, 4)
        tiles = jnp.asarray(self.base_tiles).at[blocks[:, 0], blocks[:, 1]].set(OBSTACLE)
        tiles = tiles.at[goals[:, 0], goals[:, 1]].set(jnp.array(GOAL_KINDS[: self.num_goals], jnp.uint8))
        own = GoalSequenceState(
            goals=goals,
            sequence=self._sample_sequence(order_key),
            progress=jnp.zeros(agents, jnp.int32),
            start_position=position,
            start_heading=heading,
        )
        return tiles, position, heading, own

    def _sample_sequence(self, key: PRNGKey) -> Int32[Array, "L"]:
        if self.sequence:
            return jnp.array(np.resize(self.sequence, self.trial_steps), jnp.int32)
        # Each goal is 1 to K-1 places after the one before, in their circle: never the same.
        first_key, next_key = jax.random.split(key)
        first = jax.random.randint(first_key, (1,), 0, self.num_goals)
        onward = jax.random.randint(next_key, (self.trial_steps - 1,), 1, self.num_goals)
        return jnp.cumsum(jnp.concatenate([first, onward])) % self.num_goals

    def reward(self, before: GridState, after: GridState, move_result: MoveResult, params: GoalSequenceParams):
        """Credit or punish each goal just entered."""
        own: GoalSequenceState = before.task
        on_goal = (after.position[:, None] == own.goals).all(-1) & move_result.moved[:, None]
        entered, goal = on_goal.any(-1), jnp.argmax(on_goal, -1)
        # A trial of T steps has at most T entries, so the order cannot run out before its last step.
        correct = entered & (goal == own.sequence[jnp.minimum(own.progress, self.trial_steps - 1)])
        mistake = entered & ~correct
        reward = params.goal_reward * correct - params.penalty * mistake
        last = before.step >= (self.num_trials - 1) * self.trial_steps
        counts = {"goals": correct, "mistakes": mistake, "last_trial_goals": correct & last}
        counts = {name: value.astype(jnp.float32) for name, value in counts.items()}
        return reward, own.replace(progress=own.progress + correct), counts

    def post_step(self, key: PRNGKey, before: GridState, after: GridState, move_result: MoveResult) -> GridState:
        """Where a trial is over and another follows, put everybody back to the start."""
        own: GoalSequenceState = after.task
        done = after.step + 1  # steps, this one included
        over = (done % self.trial_steps == 0) & (done < self.max_steps)
        return after.replace(
            position=jnp.where(over, own.start_position, after.position),
            heading=jnp.where(over, own.start_heading, after.heading),
            task=own.replace(progress=jnp.where(over, 0, own.progress)),
        )

    def visibility_prob(self, step: Int32[Array, ""], params: GoalSequenceParams) -> Float32[Array, ""]:
        """Probability that an agent that fades is seen after so many steps of an episode. f32[]."""
        trial = jnp.minimum(step // self.trial_steps, self.num_trials - 1)
        return params.visibility * (1 - params.fade * trial / max(self.num_trials - 1, 1))

    def invisible_agents(self, state: GridState, params: GoalSequenceParams) -> Bool[Array, "A A"] | None:
        """Who does not see whom now."""
        if not self.fading_slots:
            return None
        key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), VISIBILITY_KEY_ID)
        gone = jax.random.uniform(key, (len(self.fading_slots),)) >= self.visibility_prob(state.step, params)
        slots, agents = jnp.array(self.fading_slots), len(self.views)
        hidden = jnp.zeros((agents, agents), bool).at[:, slots].set(gone).at[slots].set(True)
        return hidden & ~jnp.eye(agents, dtype=bool)
