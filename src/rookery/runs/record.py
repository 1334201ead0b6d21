"""Play one episode and keep everything a film needs."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.hearing import blank_board
from rookery.agents.team import Team, act, initial_carry, note, turn_over
from rookery.learning.rollout import rollout
from rookery.runs.evaluation import evaluation_key
from rookery.runs.influence import influence, tells
from rookery.runs.program import Program
from rookery.runs.scene import Scene, action_names, scene_of
from rookery.show.recording import Recording
from rookery.types import Env, PyTree

DOMAIN = 10_000
"""Of the keys of filmed episodes."""

ROUNDING = 1e-6
"""Nats: less influence than this is the error of its arithmetic in 32 bits, and none is shown."""


def record(
    env: Env,
    team: Team,
    params: dict[str, PyTree],
    *,
    seed: int = 0,
    episodes: int = 1,
    present: np.ndarray | None = None,
    focus: int = 0,
    note: str = "",
) -> Recording:
    """Play `episodes` evaluation episodes and keep the one whose return for agent `focus` is the median.

    Args:
      params: by group; nobody learns.
      present: bool[A], who takes part; default all.
    """
    team = Team(tuple(dataclasses.replace(group, learner=None) for group in team.groups))
    team.check(env)
    who = jnp.ones(env.agents, bool) if present is None else jnp.asarray(present)
    play = _player(env, team)
    keys = jax.random.split(evaluation_key(seed, DOMAIN), episodes)
    played = [jax.device_get(play(*jax.random.split(key), params, who)) for key in keys]
    by_return = sorted(range(episodes), key=lambda e: _until_over(*played[e])[1][:, focus].sum())
    scene, reward, action, _ = _until_over(*played[by_return[episodes // 2]])
    return Recording(
        task=env.task.kind,  # type: ignore[attr-defined]
        names=_names(team),
        roles=_roles(team, params),
        reward=reward,
        action=action,
        action_names=action_names(env)[0],
        **shown_fields(scene),
        note=note,
    )


def record_team(program: Program, learners: dict[str, PyTree], *, seed: int = 0, note: str = "") -> Recording:
    """Play one evaluation episode of a run's whole team, with the influence its methods tell of in each step.

    Args:
      learners: one member's, as in a run's state without the members' axis.
    """
    env, team = program.env, program.team
    params, present = program.params(learners, program.frozen), jnp.ones(env.agents, bool)
    key = evaluation_key(seed, DOMAIN)
    reset_key, act_key = jax.random.split(key)
    # The keys of `rollout` with one episode, so that both play the same one.
    played = _player(env, team)(jax.random.split(reset_key, 1)[0], act_key, params, present)
    moved: Any = ()
    if tells(program):

        @jax.jit
        def told(learners):
            played, _ = rollout(env, team, params, env.default_params(), key, present[None])
            return influence(program, learners, played)[:, 0]

        moved = np.asarray(told(learners))
        moved = np.where(np.abs(moved) < ROUNDING, 0, moved)
        if not moved.any():
            note = f"{note}{', ' if note else ''}no influence above {ROUNDING:g} nats"
    scene, reward, action, _ = _until_over(*jax.device_get(played))
    moved = moved[: len(reward)] if len(moved) else ()
    return Recording(
        task=env.task.kind,  # type: ignore[attr-defined]
        names=_names(team),
        roles=_roles(team, params),
        reward=reward,
        action=action,
        action_names=action_names(env)[0],
        **shown_fields(scene),
        influence=moved,
        note=note,
    )


def still(env: Env, seed: int = 0) -> Recording:
    """A recording of no steps: a world as an episode of this seed opens."""
    params = env.default_params()
    scene = jax.device_get(jax.jit(lambda key: scene_of(env)(env.reset(key, params)[0]))(jax.random.PRNGKey(seed)))
    moment = jax.tree.map(lambda x: x[None], scene)
    agents = env.agents
    return Recording(
        task=env.task.kind,  # type: ignore[attr-defined]
        names=tuple(f"agent {slot}" for slot in range(agents)),
        roles=("learning",) * agents,
        reward=np.zeros((0, agents), np.float32),
        action=np.zeros((0, agents), np.int8),
        action_names=action_names(env)[0],
        **shown_fields(moment),
    )


def shown_fields(scenes: Scene) -> dict[str, Any]:
    """The fields of a Recording that moments in a row, [T+1, ...], tell."""
    return {
        "tiles": scenes.tiles,
        "position": scenes.position,
        "heading": scenes.heading,
        "active": scenes.active,
        "carrying": scenes.carrying if np.any(scenes.carrying) else (),
        "prestige": scenes.prestige,
        "goals": cycle(np.asarray(scenes.goals)),
        "views": scenes.views,
        "seen": scenes.lit,
    }


def cycle(goals: np.ndarray) -> np.ndarray:
    """The goals a film numbers, i16[K, 2] of int[T+1, K, 2]: none where there is no cycle or they move."""
    fixed = goals.shape[1] > 1 and (goals == goals[0]).all()
    return goals[0].astype(np.int16) if fixed else np.zeros((0, 2), np.int16)


def _names(team: Team) -> tuple[str, ...]:
    """Of every slot: the group's, numbered where it fills several."""
    names = {
        slot: group.name if len(group.slots) == 1 else f"{group.name} {number + 1}"
        for group in team.groups
        for number, slot in enumerate(group.slots)
    }
    return tuple(names[slot] for slot in sorted(names))


def _roles(team: Team, params: dict[str, PyTree]) -> tuple[str, ...]:
    """Of every slot: who has parameters was trained."""
    roles = {}
    for group in team.groups:
        without = "random" if type(group.policy).__name__ == "RandomPolicy" else "scripted"
        roles |= dict.fromkeys(group.slots, "frozen" if params[group.name] else without)
    return tuple(roles[slot] for slot in sorted(roles))


def _until_over(scene, reward, action, terminated):
    """An episode less what was played after its end."""
    steps = int(np.argmax(terminated)) + 1 if terminated.any() else len(terminated)
    return jax.tree.map(lambda x: x[: steps + 1], scene), reward[:steps], action[:steps], terminated[:steps]


@functools.lru_cache(maxsize=8)
def _player(env: Env, team: Team):
    """One episode as arrays, compiled once for any parameters and any presence."""
    shown = scene_of(env)
    env_params = env.default_params()

    def play(reset_key, act_key, params, who):
        state, told = env.reset(reset_key, env_params, who)
        batched = lambda tree: jax.tree.map(lambda x: x[None], tree)  # noqa: E731
        carries = {group.name: initial_carry(group, 1) for group in team.groups}

        def step(loop, t):
            state, told, carries, board = loop
            keys = jax.random.split(jax.random.fold_in(act_key, t), len(team.groups))
            action = jnp.zeros(env.agents, jnp.int32)
            carries = dict(carries)
            for number, group in team.in_turn:
                chosen, carries[group.name], extras = act(
                    group, params[group.name], carries[group.name], batched(told.observation), batched(state),
                    told.is_first[None], keys[number], board,
                )  # fmt: skip
                board = note(board, group, chosen, extras, told.active[None])
                action = action.at[jnp.array(group.slots)].set(chosen[:, 0])
            state, told = env.step(state, action, env_params)
            return (state, told, carries, turn_over(board)), (shown(state), told.reward, action, told.terminated)

        first = shown(state)
        _, (rest, *steps) = jax.lax.scan(
            step, (state, told, carries, blank_board(1, env.agents)), jnp.arange(env.max_steps)
        )
        both = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, rest)
        return both, *steps

    return jax.jit(play)
