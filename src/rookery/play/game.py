"""The game: an environment that advances at every tick. It knows no clock, no network and no terminal.

Every slot has a policy. In some slots, the human slots, a person may take over: then the person's actions count, until
the person leaves. The policy's memory is updated meanwhile, so that it can take over at any step.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Collection, Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.team import Team, act_all, initial_carry, set_executed_actions
from rookery.agents.team_setup import TeamSetup
from rookery.errors import ConfigError
from rookery.limits import check_key_seed
from rookery.tasks.checks import start_backend
from rookery.types import Env
from rookery.viz.record_episode import recording_fields
from rookery.viz.recording import Recording
from rookery.viz.render_state import RenderState, action_names, has_numbered_goals, make_render_state

MAX_QUEUED_ACTIONS = 2
"""How many actions a person may press in advance; more would make the agent lag behind the keys."""


@dataclasses.dataclass
class Seat:
    """One person's slot, the actions pressed but not executed yet, and the action held down."""

    slot: int
    queued_actions: collections.deque[int] = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=MAX_QUEUED_ACTIONS)
    )
    held_action: int | None = None


class Game:
    """An environment, its team and the persons who play. Episodes follow one another, each with another key.

    `render_state`, `returns`, `reward`, `action`, `step` and `done` are those of the current step; all numpy, replaced
    at every tick. `setup` needs `agent_names`, `roles` and `task_id`.
    """

    def __init__(self, setup: TeamSetup, human_slots: tuple[int, ...], *, seed: int = 0, rest_ticks: int = 15) -> None:
        """Compile, and start the first episode.

        Args:
          human_slots: slots that persons may take, in this order.
          rest_ticks: ticks between the end of an episode and the next one.
        Raises: ConfigError for slots that the task lacks, a team that does not fill its slots, or a seed outside
          [0, 2^32).
        """
        check_key_seed(seed)
        check_human_slots(human_slots, setup.env.num_agents)
        setup.team.validate(setup.env)
        self.setup: TeamSetup
        self.human_slots: tuple[int, ...]
        self.rest_ticks: int
        self.action_names: tuple[str, ...]
        self.idle_action: int
        self.setup, self.human_slots, self.rest_ticks = setup, tuple(human_slots), rest_ticks
        self.action_names, self.idle_action = action_names(setup.env)
        self.paused = False
        self.episode: int = -1
        self._seats: dict[Hashable, Seat] = {}
        start_backend()
        self._base_key = jax.random.PRNGKey(seed)
        self._reset, self._advance = _compile_game(setup.env, setup.team)
        self.restart()
        self._advance(self._loop, setup.params, *self._idle_actions())  # compiled before a person waits for it

    # ---- persons ------------------------------------------------------------------------------------------

    @property
    def seats(self) -> dict[Hashable, int]:
        """The slot of each person who plays."""
        return {person: seat.slot for person, seat in self._seats.items()}

    def sit(self, person: Hashable, slot: int | None = None) -> int | None:
        """Give a person a slot: this one, or the first that is free. Returns it; None if all are taken.

        Raises: ConfigError for a slot that is not for persons or that another person has.
        """
        taken = {seat.slot for who, seat in self._seats.items() if who != person}
        free = [s for s in self.human_slots if s not in taken]
        if slot is None:
            slot = self.seats.get(person, free[0] if free else None)
        elif slot not in free:
            state = "taken" if slot in taken else "not open to persons"
            raise ConfigError(f"slot {slot} is {state}; free are {free or 'none'}")
        if slot is not None and self.seats.get(person) != slot:
            self._seats[person] = Seat(slot)
        return slot

    def leave(self, person: Hashable) -> None:
        """Give the slot back to its policy. Nothing happens for a person without a slot."""
        self._seats.pop(person, None)

    def press(self, person: Hashable, action: str) -> None:
        """Do this action at one of the next ticks. Raises ConfigError for an unknown action or a spectator."""
        self._seat(person).queued_actions.append(self._action_index(action))

    def hold(self, person: Hashable, action: str | None) -> None:
        """Do this action at every tick until another call, and at least once; None: stop.

        Raises: ConfigError as `press`.
        """
        seat = self._seat(person)
        if action is None:
            seat.held_action = None
        elif (number := self._action_index(action)) != seat.held_action:
            seat.queued_actions.append(number)
            seat.held_action = number

    def let_go(self, person: Hashable) -> None:
        """Hold no action any more. Nothing happens for a person without a slot."""
        if person in self._seats:
            self._seats[person].held_action = None

    def _seat(self, person) -> Seat:
        if person not in self._seats:
            raise ConfigError("you are a spectator; take a free slot first")
        return self._seats[person]

    def _action_index(self, action: str) -> int:
        if action not in self.action_names:
            raise ConfigError(f"unknown action {action[:40]!r}; allowed: {', '.join(self.action_names)}")
        return self.action_names.index(action)

    # ---- time ---------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Start another episode."""
        self.episode += 1
        self._loop, render_state = self._reset(jax.random.fold_in(self._base_key, self.episode), self.setup.params)
        self.render_state: RenderState = jax.device_get(render_state)
        agents = self.setup.env.num_agents
        self.step: int
        self.done: bool
        self.ticks_to_restart: int
        self.step, self.done, self.ticks_to_restart = 0, False, 0
        self.returns: np.ndarray = np.zeros(agents)
        self.reward: np.ndarray = np.zeros(agents, np.float32)
        self.action: np.ndarray = np.full(agents, self.idle_action)
        self._history: tuple[list, list, list] = ([self.render_state], [], [])
        self._human_played = [False] * agents
        for seat in self._seats.values():
            seat.queued_actions.clear()

    def tick(self) -> bool:
        """One step, or after the end of an episode one tick of rest; nothing while paused.

        Returns: whether anything changed.
        """
        if self.paused:
            return False
        if self.done:
            self.ticks_to_restart -= 1
            if self.ticks_to_restart <= 0:
                self.restart()
            return True
        self._loop, outputs = self._advance(self._loop, self.setup.params, *self._human_actions())
        self.render_state, self.reward, self.action, self.done = jax.device_get(outputs)
        self.step += 1
        self.returns = self.returns + self.reward
        for history, value in zip(self._history, (self.render_state, self.reward, self.action), strict=True):
            history.append(value)
        if self.done:
            self.ticks_to_restart = self.rest_ticks
        return True

    def _human_actions(self):
        """The actions of persons: (action i32[A], bool[A] where a person decides)."""
        action, is_human = self._idle_actions()
        for seat in self._seats.values():
            is_human[seat.slot] = self._human_played[seat.slot] = True
            if seat.queued_actions:
                action[seat.slot] = seat.queued_actions.popleft()
            elif seat.held_action is not None:
                action[seat.slot] = seat.held_action
        return action, is_human

    def _idle_actions(self):
        agents = self.setup.env.num_agents
        return np.full(agents, self.idle_action, np.int32), np.zeros(agents, bool)

    def recording(self) -> Recording:
        """The episode so far."""
        history, rewards, actions = self._history
        states: Any = jax.tree.map(lambda *states: np.stack(states), *history)
        agents = self.setup.env.num_agents
        roles = [
            "person" if played else role for played, role in zip(self._human_played, self.setup.roles, strict=True)
        ]
        return Recording(
            task=self.setup.task_id,
            agent_names=self.setup.agent_names,
            roles=tuple(roles),
            reward=np.array(rewards).reshape(-1, agents),
            action=np.array(actions, int).reshape(-1, agents),
            action_names=self.action_names,
            **recording_fields(states),
        )


def check_human_slots(human_slots: Collection[int], num_agents: int) -> None:
    """Raises ConfigError for slots that the task lacks, or one that is named twice."""
    if len(set(human_slots)) != len(human_slots) or not set(human_slots) <= set(range(num_agents)):
        raise ConfigError(
            f"persons cannot take the slots {list(human_slots)}; allowed: each of 0 to {num_agents - 1} at most once"
        )


def check_fps(fps: float) -> None:
    """Raises ConfigError for a number of ticks per second at which no one can play."""
    if not 0.5 <= fps <= 30:
        raise ConfigError(f"fps={fps} must lie in [0.5, 30]")


def ordered_goals(state: RenderState) -> list[list[int]]:
    """[row, col] of each goal in the order of its number; none for a single goal, or goals that look different."""
    return state.goals.tolist() if has_numbered_goals(np.asarray(state.goals), np.asarray(state.tiles)) else []


@functools.lru_cache(maxsize=8)
def _compile_game(env: Env, team: Team):
    """Functions that start an episode and advance it, compiled once. Policies act in every slot, also in persons'."""
    render_state = make_render_state(env)
    env_params = env.default_params()

    def start(key, params):
        reset_key, act_key = jax.random.split(key)
        state, timestep = env.reset(reset_key, env_params)
        carries = {group.name: initial_carry(group, 1) for group in team.groups}
        return (state, timestep, carries, act_key), render_state(state)

    def remember_human(group, carry, timesteps, states, action, is_human):
        """The carry of a group's policy once it knows what persons did in its slots."""
        slots = jnp.array(group.slots)
        executed = set_executed_actions(group, carry, timesteps.observation, states, action[slots, None])
        taken = is_human[slots]
        return jax.tree.map(lambda x, y: jnp.where(taken.reshape(-1, *[1] * (x.ndim - 1)), x, y), executed, carry)

    def advance(loop, params, human_action, is_human):
        state, timestep, carries, key = loop
        step_key, key = jax.random.split(key)
        states, timesteps = jax.tree.map(lambda x: x[None], (state, timestep))
        (action,), carries = act_all(team, params, carries, timesteps, states, step_key)
        action = jnp.where(is_human, human_action, action)
        for group in team.groups:
            carries[group.name] = remember_human(group, carries[group.name], timesteps, states, action, is_human)
        state, timestep = env.step(state, action, env_params)
        done = timestep.terminated | timestep.truncated
        return (state, timestep, carries, key), (render_state(state), timestep.reward, action, done)

    return jax.jit(start), jax.jit(advance)
