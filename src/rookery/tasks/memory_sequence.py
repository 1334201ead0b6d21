"""Memory Sequence: say the digits of a hidden sequence one after another; a mistake ends the trial.

Rules. The sequence is random in each episode, and the same in all its trials; with `sequence` it is the same in all
episodes, so that it can be learned by the weights. Every agent is asked for the digits in their order: the right one
pays 1, any other costs the penalty. The trial ends after the last digit, or for all agents at the first mistake of a
learner; the next one begins at once. The episode is over after its last trial. Recurrent state lasts across the trials
of an episode. Agents have to remember how far they are: they see that they are asked, and not for which digit.

Agents in `fading_slots` are there to be learned from; the others are learners. Fading agents are asked for each digit
one step before the learners, so that a learner sees what they said to the digit that it is asked for; where one is
present, a trial therefore begins with a step in which no learner is asked. Each of them is seen at each step with
probability `visibility` · (1 - `fade` · k / (K-1)) in trial k of K. They are paid like the others, their mistakes end
no trial, and they see no other agent.

Source: Cook et al. 2024, Artificial Generational Intelligence, Memory Sequence. From the paper: in-context 3 digits,
sequences of 24 and 4 trials; in-weights 10 digits and one sequence for all of training; visibility 1 - k/(K-1) over
trials or 1 - t/(T-1) over training. From the published code: +1 and -1; a mistake ends the trial; an agent sees what
the other says to the digit that it is asked for itself; in-context it also sees its own last digit and reward,
in-weights it does not (`show_own`); a digit may follow itself. Ours: a trial begins with a step for the fading agents
alone. In the code these are a part of the environment, which lets them act before the learner.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Float32, Int, Int32, UInt8

from rookery import keys
from rookery.errors import ConfigError
from rookery.interfaces import Task
from rookery.limits import MAX_EPISODE_STEPS, check_at_most
from rookery.tasks.checks import (
    check_agent_mask,
    check_cost,
    check_fading,
    check_finite,
    check_joint_action,
    check_random_key,
    check_slots,
    normalize_settings,
)
from rookery.tasks.float_params import float_params
from rookery.types import Env, PRNGKey, TimeStep

ASKED_COLOR, CORRECT_COLOR, WRONG_COLOR, OTHERS_COLOR = (255, 255, 255), (0, 200, 60), (230, 40, 40), (255, 220, 0)
"""Colors in an observation: the agent is asked for a digit; its own last digit; another agent's."""
MAX_KINDS, MAX_SPEAKERS = 100, 100
"""Of different digits, and of agents."""


class MemoryRules(struct.PyTreeNode):
    """Numbers that a schedule may change without recompiling."""

    correct_reward: Float32[Array, ""]  # for the right digit
    penalty: Float32[Array, ""]  # >= 0, subtracted for any other
    visibility: Float32[Array, ""]  # probability per step that a fading agent is seen, in the first trial
    fade: Float32[Array, ""]  # fraction of it that is gone in the last trial


class MemorySequenceParams(struct.PyTreeNode):
    """Parameters in the form that every task has them in."""

    world: MemoryRules


class MemorySequenceState(struct.PyTreeNode):
    """One environment; callers vmap. A agents, L digits in the sequence."""

    sequence: Int32[Array, "L"]  # digits from 0
    place: Int32[Array, ""]  # that learners are asked for, from 0; -1 in a step for fading agents alone
    trial: Int32[Array, ""]  # from 0; the number of trials when the episode is over
    last_digit: Int32[Array, "A"]  # said in the last step, -1 if none
    last_place: Int32[Array, "A"]  # at which it was said
    last_correct: Bool[Array, "A"]  # that digit was right
    seen: Bool[Array, "A"]  # shown to other agents in this step
    agent_mask: Bool[Array, "A"]
    step: Int32[Array, ""]  # steps since reset
    key: PRNGKey  # of this episode; fold in `step`


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemorySequence(Task):
    """Settings and rules. The length of an episode follows from the number of trials and the sequence's length."""

    metric_names: ClassVar[tuple[str, ...]] = ("digits", "mistakes", "last_trial_digits")
    """Right digits; wrong ones; right ones in the last trial."""

    kind: Literal["memory-sequence"] = "memory-sequence"
    num_agents: int = 2
    num_digits: int = 3  # different ones, from 0
    sequence_length: int = 24
    num_trials: int = 4
    sequence: tuple[int, ...] = ()  # digits from 0, the same in all episodes; empty: random in each episode
    mistake_ends_trial: bool = True
    show_own: bool = True  # agents see their own last digit, and whether it was right
    correct_reward: float = 1.0
    penalty: float = 1.0
    fading_slots: tuple[int, ...] = (1,)  # agents that are one digit ahead, and seen in a fraction of steps only
    visibility: float = 1.0  # that fraction in the first trial
    fade: float = 0.0  # fraction of it that is gone in the last trial

    def __post_init__(self) -> None:
        normalize_settings(self)
        for name, low, high in (
            ("num_agents", 1, MAX_SPEAKERS),
            ("num_digits", 2, MAX_KINDS),
            ("sequence_length", 1, MAX_EPISODE_STEPS),
            ("num_trials", 1, MAX_EPISODE_STEPS),
        ):
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"{name}={getattr(self, name)} must lie in [{low}, {high}]")
        check_at_most("num_trials · (sequence_length + 1)", self.max_steps, MAX_EPISODE_STEPS)
        check_finite("correct_reward", self.correct_reward)
        check_cost("penalty", self.penalty)
        check_fading(self)
        check_slots("fading_slots", self.fading_slots, self.num_agents)
        if len(self.fading_slots) == self.num_agents:
            raise ConfigError(f"fading_slots={self.fading_slots} are all agents; leave at least one that learns")
        if self.sequence and len(self.sequence) != self.sequence_length:
            raise ConfigError(
                f"sequence has {len(self.sequence)} digits for sequence_length={self.sequence_length}; give as many"
            )
        if any(not 0 <= digit < self.num_digits for digit in self.sequence):
            raise ConfigError(f"sequence={self.sequence} must hold digits from 0 to {self.num_digits - 1}")

    @property
    def max_steps(self) -> int:
        """Steps of the longest episode: one in which no trial ends early."""
        return self.num_trials * (self.sequence_length + 1)

    @property
    def action_names(self) -> tuple[str, ...]:
        return tuple(str(digit) for digit in range(self.num_digits))

    @property
    def is_fading(self) -> Bool[Array, "A"]:
        """Which agents fade, and are asked one step ahead of the others."""
        return jnp.array([slot in self.fading_slots for slot in range(self.num_agents)])

    @property
    def rules_for_players(self) -> tuple[str, ...]:
        mistake = "ends the trial" if self.mistake_ends_trial else "does not end the trial"
        return (
            f"Say the digits of a hidden sequence in their order: the right one pays {self.correct_reward:g}, "
            f"any other costs {self.penalty:g}.",
            f"A learner's mistake {mistake}. Trials per episode: {self.num_trials}, all with the same sequence.",
        )

    def default_params(self) -> MemorySequenceParams:
        return MemorySequenceParams(world=float_params(MemoryRules, self))

    def make_env(self) -> MemorySequenceEnv:
        return MemorySequenceEnv(self)

    def asked_places(self, state: MemorySequenceState) -> Int32[Array, "A"]:
        """The place of the sequence that each agent is asked for, from 0; -1 if for none."""
        places = state.place + self.is_fading
        return jnp.where((places < self.sequence_length) & state.agent_mask, places, -1)

    def visibility_prob(self, trial: Int32[Array, ""], params: MemorySequenceParams) -> Float32[Array, ""]:
        """Probability that a fading agent is seen in a step of this trial. f32[]."""
        trial = jnp.minimum(trial, self.num_trials - 1)
        return params.world.visibility * (1 - params.world.fade * trial / max(self.num_trials - 1, 1))

    def to_text(self, state: MemorySequenceState) -> str:
        """The sequence, a mark below the place that learners are asked for, and what each agent said last."""
        place = int(state.place)
        actions = ["-" if digit < 0 else str(int(digit)) for digit in state.last_digit]
        return "\n".join([
            " ".join(str(int(digit)) for digit in state.sequence),
            " ".join("^" if i == place else " " for i in range(self.sequence_length)).rstrip(),
            f"trial {int(state.trial) + 1} of {self.num_trials}; said last: {', '.join(actions)}",
        ])  # fmt: skip


@dataclasses.dataclass(frozen=True)
class MemorySequenceEnv(Env):
    """The task as pure functions; callers vmap over keys and states.

    Observation: u8[A, A + 1, D, 3], for each agent a picture with a column for each digit. The first row has a white
    pixel in its first column if the agent is asked. The second has its own last digit, green if it was right, else red.
    The others have the last digits of the other agents, in the order of the slots after its own, then those before it:
    yellow, and black for one that it does not see. Action: i32[A], a digit; with any other number the agent says
    nothing, which is not a mistake. Reward: f32[A]. Terminated after the last trial.
    """

    task: MemorySequence

    can_render = True

    @property
    def num_agents(self) -> int:  # type: ignore[override]
        return self.task.num_agents

    @property
    def num_actions(self) -> int:  # type: ignore[override]
        return self.task.num_digits

    @property
    def action_names(self) -> tuple[str, ...]:
        return self.task.action_names

    @property
    def max_steps(self) -> int:  # type: ignore[override]
        return self.task.max_steps

    def observation_shape(self, slot: int) -> tuple[int, ...]:
        return (self.num_agents + 1, self.task.num_digits, 3)

    def default_params(self) -> MemorySequenceParams:
        return self.task.default_params()

    def reset(
        self, key: PRNGKey, params: MemorySequenceParams, agent_mask: Bool[Array, "A"] | None = None
    ) -> tuple[MemorySequenceState, TimeStep]:
        """Start an episode: sample the sequence, if the task has none."""
        check_random_key(key)
        task, num_agents = self.task, self.num_agents
        sampled = jax.random.randint(key, (task.sequence_length,), 0, task.num_digits)
        mask = check_agent_mask(agent_mask, num_agents)
        state = MemorySequenceState(
            sequence=jnp.array(task.sequence, jnp.int32) if task.sequence else sampled,
            place=self._first_place(mask),
            trial=jnp.int32(0),
            last_digit=jnp.full(num_agents, -1, jnp.int32),
            last_place=jnp.full(num_agents, -1, jnp.int32),
            last_correct=jnp.zeros(num_agents, bool),
            seen=jnp.zeros(num_agents, bool),
            agent_mask=mask,
            step=jnp.int32(0),
            key=key,
        )
        state = state.replace(seen=self._sample_seen(state, params))
        none = jnp.zeros(num_agents)
        return state, self._time_step(state, none, jnp.bool_(True), dict.fromkeys(task.metric_names, none))

    def step(
        self, state: MemorySequenceState, action: Int[Array, "A"], params: MemorySequenceParams
    ) -> tuple[MemorySequenceState, TimeStep]:
        """Every agent says one digit at the place that it is asked for."""
        task, rules, action = self.task, params.world, check_joint_action(action, self.num_agents)
        places = task.asked_places(state)
        says = (places >= 0) & (action >= 0) & (action < task.num_digits)
        correct = says & (action == state.sequence[jnp.maximum(places, 0)])
        mistake = says & ~correct
        ends = state.place >= task.sequence_length - 1
        if task.mistake_ends_trial:
            ends |= (mistake & ~task.is_fading).any()
        last_trial = state.trial == task.num_trials - 1
        after = state.replace(
            place=jnp.where(ends, self._first_place(state.agent_mask), state.place + 1),
            trial=jnp.minimum(state.trial + ends, task.num_trials),
            last_digit=jnp.where(says, action, -1).astype(jnp.int32),
            last_place=jnp.where(says, places, -1),
            last_correct=correct,
            step=state.step + 1,
        )
        # What a fading agent said to a place that no learner will be asked for any more is not shown.
        after = after.replace(seen=self._sample_seen(after, params) & ~(task.is_fading & ends))
        info = {"digits": correct, "mistakes": mistake, "last_trial_digits": correct & last_trial}
        info = {name: value.astype(jnp.float32) for name, value in info.items()}
        return after, self._time_step(
            after, rules.correct_reward * correct - rules.penalty * mistake, jnp.bool_(False), info
        )

    def _first_place(self, agent_mask: Bool[Array, "A"]) -> Int32[Array, ""]:
        """Where a trial begins: one place before the first if there is an agent that is one digit ahead."""
        return -(agent_mask & self.task.is_fading).any().astype(jnp.int32)

    def _sample_seen(self, state: MemorySequenceState, params: MemorySequenceParams) -> Bool[Array, "A"]:
        """Which agents are shown to others at this step."""
        key = jax.random.fold_in(jax.random.fold_in(state.key, state.step), keys.AGENT_VISIBILITY)
        is_shown = jax.random.uniform(key, (self.num_agents,)) < self.task.visibility_prob(state.trial, params)
        return state.agent_mask & (is_shown | ~self.task.is_fading)

    def observe(self, state: MemorySequenceState) -> UInt8[Array, "A R W 3"]:
        """Observations of all agents; absent ones see nothing."""
        num_agents, in_view = self.num_agents, self.in_view(state)
        asked = jnp.where(self.task.asked_places(state) >= 0, 0, -1)
        own_digit = state.last_digit if self.task.show_own else jnp.full(num_agents, -1, jnp.int32)

        def row(column, color):  # black if the column is negative
            return (jnp.arange(self.task.num_digits) == column)[:, None] * jnp.asarray(color, jnp.uint8)

        def view(agent):
            own_color = jnp.where(state.last_correct[agent], jnp.array(CORRECT_COLOR), jnp.array(WRONG_COLOR))
            others = [(agent + n) % num_agents for n in range(1, num_agents)]
            actions = [jnp.where(in_view[agent, other], state.last_digit[other], -1) for other in others]
            rows = [row(asked[agent], ASKED_COLOR), row(own_digit[agent], own_color)]
            return jnp.stack([*rows, *(row(action, OTHERS_COLOR) for action in actions)])

        views = jnp.stack([view(agent) for agent in range(num_agents)])
        return views * state.agent_mask[:, None, None, None].astype(jnp.uint8)

    def in_view(self, state: MemorySequenceState) -> Bool[Array, "A A"]:
        """Learners see fading agents in some steps and other learners always; fading agents see none."""
        sees = state.agent_mask & ~self.task.is_fading
        return sees[:, None] & state.seen & ~jnp.eye(self.num_agents, dtype=bool)

    def _time_step(
        self,
        state: MemorySequenceState,
        reward: Float[Array, "A"],
        is_first: Bool[Array, ""],
        info: dict[str, Float[Array, "A"]],
    ) -> TimeStep:
        return TimeStep(
            observation=self.observe(state),
            reward=reward.astype(jnp.float32),
            terminated=state.trial >= self.task.num_trials,
            truncated=state.step >= self.max_steps,
            is_first=is_first,
            agent_mask=state.agent_mask,
            info=info,
        )
