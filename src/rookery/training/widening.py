"""Automatic widening: a task grows harder in one respect at a time, while its learner still learns from others there.

A task samples some whole numbers in each episode between two borders (`Task.episode_ranges`), such as the number of
goals and that of obstacles. A run with a `Widening` begins with the lower border alone. At every evaluation it measures
the learner's cultural transmission at the upper border of one of these numbers, each in its turn: where it exceeds a
bound, the border moves up by a step; where it falls below another, down by a step. All this is per replica. The borders
are arguments of the compiled update: nothing compiles again when they move.

Source: automatic domain randomization as used by Bhoopchand et al. 2023, arXiv:2203.00715. Their bounds are not
published; the defaults and the fixed order of turns are ours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int32

from rookery.errors import ConfigError, suggest
from rookery.interfaces import EpisodeRange
from rookery.limits import MAX_EPISODES, NumericFields, check_at_most
from rookery.training.policy_config import RandomPolicyConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Widening(NumericFields):
    """What is widened in a run, by how much, and when."""

    steps: dict[str, int]
    """By how much the upper border of each of the task's ranges moves at once, such as {"goals": 1}; they take turns in
    this order."""
    widen_above: float = 0.85  # cultural transmission at the border, above which it moves up
    narrow_below: float = 0.75  # below which it moves down
    episodes: int = 64  # to measure it, with experts throughout, for the first half, and without

    def __post_init__(self) -> None:
        if not self.steps:
            raise ConfigError('widening.steps is empty; name what is widened, such as {"goals": 1}')
        for name, step in self.steps.items():
            if step < 1:
                raise ConfigError(f"widening.steps.{name}={step} must be at least 1")
        if not self.narrow_below <= self.widen_above:
            raise ConfigError(
                f"widening.narrow_below={self.narrow_below} must be at most widen_above={self.widen_above}, or a "
                "border would move up and down at once"
            )
        if self.episodes < 1:
            raise ConfigError(f"widening.episodes={self.episodes} must be at least 1")
        check_at_most("widening.episodes", self.episodes, MAX_EPISODES)


class WideningState(struct.PyTreeNode):
    """How far a replica has come; leaves lead with M in a run's state."""

    most: dict[str, Int32[Array, "*M"]]  # the upper border of each widened range
    evaluations: Int32[Array, "*M"]  # that moved a border, or could have


def check_widening(config: Any) -> None:
    """Check that a run, a `RunConfig`, can be widened as its `widening` says.

    Raises: ConfigError for a range that the task does not have, a schedule of a border that is widened, a team whose
      cultural transmission is not defined, and a run that is not evaluated.
    """
    widening: Widening = config.widening
    ranges = config.task.episode_ranges
    for name in widening.steps:
        if name not in ranges:
            raise ConfigError(
                f"widening.steps.{name}: the task samples no such number; {suggest(name, ranges)}. In Goal Cycle, "
                "min_goals and min_obstacles give a range each"
            )
    if config.task.grid_spec is None:
        raise ConfigError("widening needs a task on the gridworld, from which experts can leave within an episode")
    schedules = [config.env_schedules, *(variant.env_schedules or {} for variant in config.variants)]
    borders = [param for name in widening.steps for param in (ranges[name].least_param, ranges[name].most_param)]
    if twice := [param for param in borders if any(param in by_name for by_name in schedules)]:
        raise ConfigError(f"env_schedules.{twice[0]} is a border that widening moves; leave one of the two out")
    learning = [slot for group in config.team if group.learner is not None for slot in group.slots]
    if len(learning) != 1:
        raise ConfigError(f"widening goes by the cultural transmission of one learner, and slots {learning} learn")
    if not expert_slots(config.team):
        raise ConfigError(
            "widening needs experts to learn from; give the team a group that neither learns nor moves at random, such "
            "as one with a scripted or frozen policy"
        )
    if config.eval_episodes < 1:
        raise ConfigError("widening happens at evaluations, which eval_episodes=0 turns off; set it to at least 1")


def expert_slots(team: Sequence[Any]) -> tuple[int, ...]:
    """Slots of the groups that there is something to learn from: those that neither learn nor move at random.

    Args:
      team: `GroupConfig`s.
    """
    experts = (g for g in team if g.learner is None and not isinstance(g.policy, RandomPolicyConfig))
    return tuple(sorted(slot for group in experts for slot in group.slots))


def initial_widening(widening: Widening | None, ranges: dict[str, EpisodeRange]) -> WideningState | None:
    """The lower borders alone; None without widening."""
    if widening is None:
        return None
    return WideningState({name: jnp.int32(ranges[name].least) for name in widening.steps}, jnp.int32(0))


def border_params(
    widening: Widening | None, ranges: dict[str, EpisodeRange], state: WideningState | None, at_border: bool = False
) -> dict[str, Float[Array, ""]]:
    """Task parameters of one replica; none without widening.

    Args:
      at_border: the range whose turn it is has its upper border alone.
    """
    if widening is None or state is None:
        return {}
    params = {}
    for name, is_turn in turns(widening, state).items():
        params[ranges[name].most_param] = jnp.float32(state.most[name])
        if at_border:
            least = jnp.where(is_turn, state.most[name], ranges[name].least)
            params[ranges[name].least_param] = jnp.float32(least)
    return params


def turns(widening: Widening, state: WideningState) -> dict[str, Bool[Array, ""]]:
    """Of each widened range, whether its border is evaluated next: in the order of `widening.steps`, for JAX returns
    the names of `state.most` sorted."""
    number_of_next = state.evaluations % len(widening.steps)
    return {name: number_of_next == number for number, name in enumerate(widening.steps)}


def cultural_transmission_of(
    full: Float[Array, ""], half: Float[Array, ""], solo: Float[Array, ""], experts: Float[Array, ""]
) -> Float[Array, ""]:
    """½ (A_full - A_solo) / E + ½ (A_half - A_solo) / E of mean returns; NaN unless E, the experts', is positive.

    In JAX, for a compiled evaluation; the scorecard computes it in numpy with 64 bits.
    """
    return jnp.where(experts > 0, (full + half - 2 * solo) / (2 * jnp.where(experts > 0, experts, 1.0)), jnp.nan)


def move_border(
    widening: Widening, ranges: dict[str, EpisodeRange], state: WideningState, transmission: Float[Array, ""]
) -> WideningState:
    """The state after an evaluation at the border whose turn it is; where transmission is NaN, no border moves."""
    direction = jnp.int32(transmission > widening.widen_above) - jnp.int32(transmission < widening.narrow_below)
    most = {}
    for name, is_turn in turns(widening, state).items():
        moved = jnp.clip(state.most[name] + direction * widening.steps[name], ranges[name].least, ranges[name].most)
        most[name] = jnp.where(is_turn, moved, state.most[name])
    return WideningState(most, state.evaluations + 1)
