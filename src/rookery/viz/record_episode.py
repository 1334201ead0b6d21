"""Play one episode and keep everything a film needs."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.communication import initial_comm_state
from rookery.agents.team import Team, act_group, advance, initial_carry, record_actions
from rookery.learning.rollout import rollout
from rookery.training.evaluation import evaluation_key
from rookery.training.team_influence import measures_influence, team_influence
from rookery.training.train_step import Run
from rookery.types import Env, PyTree
from rookery.viz.recording import Recording
from rookery.viz.render_state import RenderState, action_names, make_render_state

RECORDING_STREAM = 10_000
"""Of the keys of filmed episodes."""

INFLUENCE_TOLERANCE = 1e-6
"""Nats: less influence than this is the error of its arithmetic in 32 bits, and none is shown."""


def record_episode(
    env: Env,
    team: Team,
    params: dict[str, PyTree],
    *,
    seed: int = 0,
    episodes: int = 1,
    agent_mask: np.ndarray | None = None,
    focal_slot: int = 0,
    note: str = "",
) -> Recording:
    """Play `episodes` evaluation episodes and keep the one whose return for agent `focus` is the median.

    Args:
      params: by group; nobody learns.
      present: bool[A], who takes part; default all.
    """
    team = Team(tuple(dataclasses.replace(group, learner=None) for group in team.groups))
    team.validate(env)
    who = jnp.ones(env.num_agents, bool) if agent_mask is None else jnp.asarray(agent_mask)
    play = _compiled_episode(env, team)
    keys = jax.random.split(evaluation_key(seed, RECORDING_STREAM), episodes)
    played = [jax.device_get(play(*jax.random.split(key), params, who)) for key in keys]
    by_return = sorted(range(episodes), key=lambda e: _drop_after_end(*played[e])[1][:, focal_slot].sum())
    scene, reward, action, _ = _drop_after_end(*played[by_return[episodes // 2]])
    return Recording(
        task=env.task.kind,  # type: ignore[attr-defined]
        agent_names=_names(team),
        roles=_roles(team, params),
        reward=reward,
        action=action,
        action_names=action_names(env)[0],
        **recording_fields(scene),
        note=note,
    )


def record_run(run: Run, learners: dict[str, PyTree], *, seed: int = 0, note: str = "") -> Recording:
    """Play one evaluation episode of a run's whole team, with the influence its methods tell of in each step.

    Args:
      learners: one member's, as in a run's state without the members' axis.
    """
    env, team = run.env, run.team
    params, present = run.policy_params(learners, run.frozen_params), jnp.ones(env.num_agents, bool)
    key = evaluation_key(seed, RECORDING_STREAM)
    reset_key, act_key = jax.random.split(key)
    # The keys of `rollout` with one episode, so that both play the same one.
    played = _compiled_episode(env, team)(jax.random.split(reset_key, 1)[0], act_key, params, present)
    moved: Any = ()
    if measures_influence(run):

        @jax.jit
        def told(learners):
            played, _ = rollout(env, team, params, env.default_params(), key, present[None])
            return team_influence(run, learners, played)[:, 0]

        moved = np.asarray(told(learners))
        moved = np.where(np.abs(moved) < INFLUENCE_TOLERANCE, 0, moved)
        if not moved.any():
            note = f"{note}{', ' if note else ''}no influence above {INFLUENCE_TOLERANCE:g} nats"
    scene, reward, action, _ = _drop_after_end(*jax.device_get(played))
    moved = moved[: len(reward)] if len(moved) else ()
    return Recording(
        task=env.task.kind,  # type: ignore[attr-defined]
        agent_names=_names(team),
        roles=_roles(team, params),
        reward=reward,
        action=action,
        action_names=action_names(env)[0],
        **recording_fields(scene),
        influence=moved,
        note=note,
    )


def record_initial_state(env: Env, seed: int = 0) -> Recording:
    """A recording of no steps: a world as an episode of this seed opens."""
    params = env.default_params()
    scene = jax.device_get(
        jax.jit(lambda key: make_render_state(env)(env.reset(key, params)[0]))(jax.random.PRNGKey(seed))
    )
    moment = jax.tree.map(lambda x: x[None], scene)
    agents = env.num_agents
    return Recording(
        task=env.task.kind,  # type: ignore[attr-defined]
        agent_names=tuple(f"agent {slot}" for slot in range(agents)),
        roles=("learning",) * agents,
        reward=np.zeros((0, agents), np.float32),
        action=np.zeros((0, agents), np.int8),
        action_names=action_names(env)[0],
        **recording_fields(moment),
    )


def recording_fields(states: RenderState) -> dict[str, Any]:
    """The fields of a Recording that moments in a row, [T+1, ...], tell."""
    return {
        "tiles": states.tiles,
        "position": states.position,
        "heading": states.heading,
        "active": states.agent_mask,
        "carrying": states.carrying if np.any(states.carrying) else (),
        "prestige": states.prestige,
        "goals": numbered_goals(np.asarray(states.goals)),
        "views": states.views,
        "seen": states.visible,
    }


def numbered_goals(goals: np.ndarray) -> np.ndarray:
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


def _drop_after_end(scene, reward, action, terminated):
    """An episode less what was played after its end."""
    steps = int(np.argmax(terminated)) + 1 if terminated.any() else len(terminated)
    return jax.tree.map(lambda x: x[: steps + 1], scene), reward[:steps], action[:steps], terminated[:steps]


@functools.lru_cache(maxsize=8)
def _compiled_episode(env: Env, team: Team):
    """One episode as arrays, compiled once for any parameters and any presence."""
    shown = make_render_state(env)
    env_params = env.default_params()

    def play(reset_key, act_key, params, who):
        state, told = env.reset(reset_key, env_params, who)
        batched = lambda tree: jax.tree.map(lambda x: x[None], tree)  # noqa: E731
        carries = {group.name: initial_carry(group, 1) for group in team.groups}

        def step(loop, t):
            state, told, carries, board = loop
            keys = jax.random.split(jax.random.fold_in(act_key, t), len(team.groups))
            action = jnp.zeros(env.num_agents, jnp.int32)
            carries = dict(carries)
            for number, group in team.acting_order:
                chosen, carries[group.name], extras = act_group(
                    group, params[group.name], carries[group.name], batched(told.observation), batched(state),
                    told.is_first[None], keys[number], board,
                )  # fmt: skip
                board = record_actions(board, group, chosen, extras, told.agent_mask[None])
                action = action.at[jnp.array(group.slots)].set(chosen[:, 0])
            state, told = env.step(state, action, env_params)
            return (state, told, carries, advance(board)), (shown(state), told.reward, action, told.terminated)

        first = shown(state)
        _, (rest, *steps) = jax.lax.scan(
            step, (state, told, carries, initial_comm_state(1, env.num_agents)), jnp.arange(env.max_steps)
        )
        both = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, rest)
        return both, *steps

    return jax.jit(play)
