"""The game itself: a world that goes on at every tick, whoever moves its agents. No clock, no socket, no terminal.

Every slot has somebody of the cast who acts in it. In the open slots a person may sit down; from then on the
person's actions count, and from the moment the person leaves those of the cast again, whose memory was kept up
meanwhile. So a game never waits for anybody, and a person who vanishes leaves no hole.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Hashable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.team import Team, act_all, initial_carry
from rookery.errors import ConfigError
from rookery.types import Env, PyTree
from rookery.viz.record_episode import recording_fields
from rookery.viz.recording import Recording
from rookery.viz.render_state import RenderState, action_names, make_render_state

MAX_QUEUED_ACTIONS = 2
"""Actions a person may be ahead of the world; more would make it lag behind the keys."""


@dataclasses.dataclass(frozen=True)
class GameSetup:
    """Who acts in a game: the world, a team that fills every slot, and what to call them."""

    env: Env
    team: Team
    params: dict[str, PyTree]
    agent_names: tuple[str, ...]  # [A]
    roles: tuple[str, ...]  # [A], as in a Recording
    task_id: str
    description: str = ""  # one line on the task


@dataclasses.dataclass
class Seat:
    """One person's: what they pressed and not yet done, and what they hold down."""

    slot: int
    queued_actions: collections.deque = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=MAX_QUEUED_ACTIONS)
    )
    held_action: int | None = None


class Game:
    """A world, its cast and the persons in it. Episodes follow one another, each of another key.

    `scene`, `returns`, `reward`, `action`, `step` and `over` tell the moment; all numpy, replaced at every tick.
    """

    def __init__(self, setup: GameSetup, human_slots: tuple[int, ...], *, seed: int = 0, rest_ticks: int = 15):
        """Compiles and starts the first episode.

        Args:
          open_slots: where persons may sit, the first free one first.
          rest: ticks between the end of an episode and the next.
        Raises: ConfigError for slots the world lacks, or a team that does not fill it.
        """
        agents = setup.env.num_agents
        if len(set(human_slots)) != len(human_slots) or not set(human_slots) <= set(range(agents)):
            raise ConfigError(
                f"slots {list(human_slots)} cannot be opened to persons; the task has slots 0 to {agents - 1}, each once"
            )
        setup.team.validate(setup.env)
        self.setup, self.human_slots, self.rest_ticks = setup, tuple(human_slots), rest_ticks
        self.action_names, self.idle_action = action_names(setup.env)
        self.paused = False
        self.episode = -1
        self._seats: dict[Hashable, Seat] = {}
        self._base_key = jax.random.PRNGKey(seed)
        self._reset, self._advance = _compile_game(setup.env, setup.team)
        self.restart()
        self._advance(self._loop, setup.params, *self._idle_actions())  # compiled before anybody waits for it

    # ---- persons ------------------------------------------------------------------------------------------

    @property
    def seats(self) -> dict[Hashable, int]:
        """Who sits where."""
        return {person: seat.slot for person, seat in self._seats.items()}

    def sit(self, person: Hashable, slot: int | None = None) -> int | None:
        """Give a person a slot: this one, or the first that is free. Returns it; None if all are taken.

        Raises: ConfigError for a slot that is not open or that another person has.
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
        """The cast takes the slot over. Leaving twice is no mistake."""
        self._seats.pop(person, None)

    def press(self, person: Hashable, action: str) -> None:
        """Do this at the next tick, or the one after. Raises ConfigError for no such action, or a spectator."""
        self._seat(person).queued_actions.append(self._action_index(action))

    def hold(self, person: Hashable, action: str | None) -> None:
        """Do this at every tick until told otherwise, and once even if that comes at once; None is letting go.

        Raises: ConfigError as `press`.
        """
        seat = self._seat(person)
        if action is None:
            seat.held_action = None
        elif (number := self._action_index(action)) != seat.held_action:
            seat.queued_actions.append(number)
            seat.held_action = number

    def _seat(self, person) -> Seat:
        if person not in self._seats:
            raise ConfigError("you are a spectator; take a free slot first")
        return self._seats[person]

    def _action_index(self, action: str) -> int:
        if action not in self.action_names:
            raise ConfigError(f"no action {action[:40]!r}; allowed: {', '.join(self.action_names)}")
        return self.action_names.index(action)

    # ---- time ---------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """End this episode, if one is on, and start another."""
        self.episode += 1
        self._loop, scene = self._reset(jax.random.fold_in(self._base_key, self.episode), self.setup.params)
        self.render_state: RenderState = jax.device_get(scene)
        agents = self.setup.env.num_agents
        self.step, self.done, self.ticks_to_restart = 0, False, 0
        self.returns = np.zeros(agents)
        self.reward = np.zeros(agents, np.float32)
        self.action = np.full(agents, self.idle_action)
        self._history: tuple[list, list, list] = ([self.render_state], [], [])
        self._human_played = [False] * agents
        for seat in self._seats.values():
            seat.queued_actions.clear()

    def tick(self) -> bool:
        """One step; after the end one tick of rest; nothing while paused. Returns whether anything changed."""
        if self.paused:
            return False
        if self.done:
            self.ticks_to_restart -= 1
            if self.ticks_to_restart <= 0:
                self.restart()
            return True
        self._loop, told = self._advance(self._loop, self.setup.params, *self._human_actions())
        self.render_state, self.reward, self.action, self.done = jax.device_get(told)
        self.step += 1
        self.returns = self.returns + self.reward
        for kept, now in zip(self._history, (self.render_state, self.reward, self.action), strict=True):
            kept.append(now)
        if self.done:
            self.ticks_to_restart = self.rest_ticks
        return True

    def _human_actions(self):
        """What persons do now: (action i32[A], bool[A] where it counts)."""
        action, person = self._idle_actions()
        for seat in self._seats.values():
            person[seat.slot] = self._human_played[seat.slot] = True
            if seat.queued_actions:
                action[seat.slot] = seat.queued_actions.popleft()
            elif seat.held_action is not None:
                action[seat.slot] = seat.held_action
        return action, person

    def _idle_actions(self):
        agents = self.setup.env.num_agents
        return np.full(agents, self.idle_action, np.int32), np.zeros(agents, bool)

    def recording(self) -> Recording:
        """The episode so far, to be saved or shown as a film."""
        scenes, rewards, actions = self._history
        whole: Any = jax.tree.map(lambda *moments: np.stack(moments), *scenes)
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
            **recording_fields(whole),
        )


def check_fps(fps: float) -> None:
    """Raises ConfigError for ticks a second that nobody can play at."""
    if not 0.5 <= fps <= 30:
        raise ConfigError(f"rate={fps} must lie in [0.5, 30] ticks a second")


@functools.lru_cache(maxsize=8)
def _compile_game(env: Env, team: Team):
    """How an episode opens and goes on, compiled once: the cast thinks at every step, for persons too."""
    scene = make_render_state(env)
    env_params = env.default_params()

    def start(key, params):
        reset_key, act_key = jax.random.split(key)
        state, told = env.reset(reset_key, env_params)
        carries = {group.name: initial_carry(group, 1) for group in team.groups}
        return (state, told, carries, act_key), scene(state)

    def advance(loop, params, given, person):
        state, told, carries, key = loop
        step_key, key = jax.random.split(key)
        worlds, moments = jax.tree.map(lambda x: x[None], (state, told))
        (action,), carries = act_all(team, params, carries, moments, worlds, step_key)
        action = jnp.where(person, given, action)
        state, told = env.step(state, action, env_params)
        over = told.terminated | told.truncated
        return (state, told, carries, key), (scene(state), told.reward, action, over)

    return jax.jit(start), jax.jit(advance)
