"""Iterated matrix games: two players, two actions, the same four payoffs every step; small enough to solve by hand.

Rules. Both players act at once: cooperate (0) or defect (1). If both cooperate, each gets `reward`; if both defect,
each gets `punishment`; if only one defects, it gets `temptation` and the other `sucker`. Then both see both actions,
and play again. The order of the four numbers makes the game: temptation > reward > punishment > sucker is the
prisoner's dilemma, reward > temptation >= punishment > sucker the stag hunt, temptation > reward > sucker > punishment
chicken.

Source: Rapoport and Guyer 1966 for the games; Axelrod 1984 for the iterated game.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Float32, Int, Int32, UInt8

from rookery.errors import ConfigError
from rookery.interfaces import Task
from rookery.limits import MAX_EPISODE_STEPS, check_at_most
from rookery.tasks.checks import (
    check_agent_mask,
    check_finite,
    check_joint_action,
    check_random_key,
    normalize_settings,
)
from rookery.tasks.float_params import float_params
from rookery.types import Env, PRNGKey, TimeStep

COOPERATE, DEFECT = 0, 1
MOVE_COLORS = ((0, 0, 0), (0, 200, 60), (230, 40, 40))  # no action yet, cooperated, defected


class Payoffs(struct.PyTreeNode):
    """Numbers that a schedule may change without recompiling."""

    reward: Float32[Array, ""]  # to each, if both cooperate
    sucker: Float32[Array, ""]  # to the one that cooperates alone
    temptation: Float32[Array, ""]  # to the one that defects alone
    punishment: Float32[Array, ""]  # to each, if both defect


class MatrixParams(struct.PyTreeNode):
    """Parameters in the form that every task has them in."""

    world: Payoffs


class MatrixState(struct.PyTreeNode):
    """One game; callers vmap."""

    last_action: Int32[Array, "2"]  # of each player, -1 before the first step and for absent players
    agent_mask: Bool[Array, "2"]
    step: Int32[Array, ""]  # steps since reset


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatrixGame(Task):
    """Settings. Defaults are Axelrod's prisoner's dilemma."""

    kind: Literal["matrix"] = "matrix"
    moves: tuple[str, str] = ("cooperate", "defect")  # names of the two actions, for people
    reward: float = 3.0
    sucker: float = 0.0
    temptation: float = 5.0
    punishment: float = 1.0
    max_steps: int = 100

    num_agents = 2
    metric_names: ClassVar[tuple[str, ...]] = ("cooperations",)
    """Steps in which the agent cooperated."""

    def __post_init__(self) -> None:
        normalize_settings(self)
        for field in dataclasses.fields(Payoffs):
            check_finite(field.name, getattr(self, field.name))
        if len(self.moves) != 2 or self.moves[0] == self.moves[1]:
            raise ConfigError(f"moves={self.moves} must be two different names, of cooperating and of defecting")
        if self.max_steps < 1:
            raise ConfigError(f"max_steps={self.max_steps} must be at least 1")
        check_at_most("max_steps", self.max_steps, MAX_EPISODE_STEPS)

    @property
    def action_names(self) -> tuple[str, ...]:
        return self.moves

    @property
    def rules_for_players(self) -> tuple[str, ...]:
        cooperate, defect = self.moves
        return (
            f"Both choose at once. Both {cooperate}: {self.reward:g} to each. "
            f"Both {defect}: {self.punishment:g} to each.",
            f"If only one chooses {defect}, it gets {self.temptation:g} and the other {self.sucker:g}.",
        )

    def default_params(self) -> MatrixParams:
        return MatrixParams(world=float_params(Payoffs, self))

    def make_env(self) -> MatrixEnv:
        return MatrixEnv(self)

    def to_text(self, state: MatrixState | None = None) -> str:
        """The payoffs to (row player, column player): the same in every state."""
        width = max(map(len, self.moves))
        payoffs = (
            ((self.reward, self.reward), (self.sucker, self.temptation)),
            ((self.temptation, self.sucker), (self.punishment, self.punishment)),
        )
        lines = [" " * width + "".join(f"  {name:>11}" for name in self.moves)]
        for name, row in zip(self.moves, payoffs, strict=True):
            lines.append(f"{name:{width}}" + "".join(f"  {f'{a:g}, {b:g}':>11}" for a, b in row))
        return "\n".join(lines)


@dataclasses.dataclass(frozen=True)
class MatrixEnv(Env):
    """The game as pure functions; callers vmap over keys and states.

    Observation: u8[2, 1, 2, 3], for each player an image of two pixels, its own last action and the other's: black
    before the first, green for cooperating, red for defecting. Action: i32[2]; with any number but 0 and 1 the player
    sits out the step. Reward: f32[2], 0 for both in a step that one of them sits out. Truncated at `max_steps`, never
    terminated.
    """

    task: MatrixGame

    num_agents = 2
    num_actions = 2
    can_render = True

    @property
    def action_names(self) -> tuple[str, ...]:
        return self.task.moves

    @property
    def max_steps(self) -> int:
        return self.task.max_steps

    def observation_shape(self, slot: int) -> tuple[int, ...]:
        return (1, 2, 3)

    def default_params(self) -> MatrixParams:
        return self.task.default_params()

    def reset(
        self, key: PRNGKey, params: MatrixParams, agent_mask: Bool[Array, "2"] | None = None
    ) -> tuple[MatrixState, TimeStep]:
        """Start an episode. Nothing is random, so the key has no effect."""
        check_random_key(key)
        state = MatrixState(
            last_action=jnp.full(2, -1, jnp.int32),
            agent_mask=check_agent_mask(agent_mask, 2),
            step=jnp.int32(0),
        )
        return state, self._time_step(state, jnp.zeros(2), jnp.bool_(True), jnp.zeros(2))

    def step(self, state: MatrixState, action: Int[Array, "2"], params: MatrixParams) -> tuple[MatrixState, TimeStep]:
        """Both players act at once."""
        payoffs, action = params.world, check_joint_action(action, 2)
        plays = state.agent_mask & ((action == COOPERATE) | (action == DEFECT))
        cooperates, other_cooperates = action == COOPERATE, action[::-1] == COOPERATE
        if_cooperating = jnp.where(other_cooperates, payoffs.reward, payoffs.sucker)
        if_defecting = jnp.where(other_cooperates, payoffs.temptation, payoffs.punishment)
        reward = jnp.where(plays.all(), jnp.where(cooperates, if_cooperating, if_defecting), 0.0)
        after = state.replace(last_action=jnp.where(plays, action, -1).astype(jnp.int32), step=state.step + 1)
        return after, self._time_step(after, reward, jnp.bool_(False), (cooperates & plays).astype(jnp.float32))

    def observe(self, state: MatrixState) -> UInt8[Array, "2 1 2 3"]:
        """Observations of both players; absent ones see nothing."""
        actions = jnp.stack([state.last_action, state.last_action[::-1]], -1)
        return jnp.asarray(MOVE_COLORS, jnp.uint8)[jnp.where(state.agent_mask[:, None], actions, -1) + 1][:, None]

    def in_view(self, state: MatrixState) -> Bool[Array, "2 2"]:
        """Both players see each other."""
        return state.agent_mask.all() & ~jnp.eye(2, dtype=bool)

    def _time_step(
        self, state: MatrixState, reward: Float[Array, "2"], is_first: Bool[Array, ""], cooperated: Float[Array, "2"]
    ) -> TimeStep:
        return TimeStep(
            observation=self.observe(state),
            reward=reward.astype(jnp.float32),
            terminated=jnp.bool_(False),
            truncated=state.step >= self.max_steps,
            is_first=is_first,
            agent_mask=state.agent_mask,
            info={"cooperations": cooperated},
        )
