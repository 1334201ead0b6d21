"""Play one episode and keep everything that a replay needs."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.communication import initial_comm_state
from rookery.agents.team import Team, act_group, advance, initial_carry, record_actions
from rookery.keys import RECORDED_EPISODES
from rookery.learning.rollout import rollout
from rookery.limits import MAX_EPISODES, check_count, check_key_seed
from rookery.tasks.checks import start_backend
from rookery.training.evaluation import evaluation_key
from rookery.training.memory import check_result_fits
from rookery.training.team_influence import measures_influence, team_influence
from rookery.training.train_step import Run
from rookery.types import Env, PyTree
from rookery.viz.recording import Recording
from rookery.viz.render_state import RenderState, action_names, has_numbered_goals, make_render_state

INFLUENCE_TOLERANCE = 1e-6
"""Nats: smaller influence is rounding error of 32-bit arithmetic, and recorded as 0."""


def record_episode(
    env: Env,
    team: Team,
    params: dict[str, PyTree],
    *,
    seed: int = 0,
    episodes: int = 1,
    agent_mask: np.ndarray | None = None,
    focal_slot: int = 0,
    rank: Callable[[Recording], Any] | None = None,
    note: str = "",
) -> Recording:
    """Play `episodes` evaluation episodes and keep one of them.

    Args:
      rank: keep the episode where this is largest, the first of equal ones; None: the one with the median return of the
        agent in `focal_slot`.
      params: policy parameters by group name; no agent learns.
      agent_mask: bool[A], the agents that take part; default all.
      note: a line shown under the title.
    Raises: ConfigError or IncompatibleError if the team does not fill the environment's slots, or the episodes cannot
      fit into memory.
    """
    team = Team(tuple(dataclasses.replace(group, learner=None) for group in team.groups))
    team.validate(env)
    start_backend()
    mask = jnp.ones(env.num_agents, bool) if agent_mask is None else jnp.asarray(agent_mask)
    play = _compiled_episode(env, team)
    episodes = check_count("episodes", episodes, MAX_EPISODES)
    keys = jax.random.split(evaluation_key(seed, RECORDED_EPISODES), episodes)
    _check_recording_fits(play, episodes, params, mask)
    played = [jax.device_get(play(*jax.random.split(key), params, mask)) for key in keys]
    if rank is not None:
        return max((_recording(env, team, episode, note) for episode in played), key=rank)
    by_return = sorted(played, key=lambda episode: _drop_after_end(*episode)[1][:, focal_slot].sum())
    return _recording(env, team, by_return[episodes // 2], note)


def _recording(env: Env, team: Team, played: tuple, note: str) -> Recording:
    """An episode as `_compiled_episode` plays it."""
    states, reward, action, _ = _drop_after_end(*played)
    return Recording(
        task=env.task.kind,
        agent_names=_names(team),
        roles=_roles(team),
        reward=reward,
        action=action,
        action_names=action_names(env)[0],
        **recording_fields(states),
        note=note,
    )


def record_run(run: Run, learners: dict[str, PyTree], *, seed: int = 0, note: str = "") -> Recording:
    """Play one evaluation episode with the whole team of a run, and record the influence between its agents.

    Influence is recorded where an intrinsic reward of the run measures it.

    Args:
      learners: learner states of one replica, as in a run's state without the axis of replicas.
    """
    start_backend()
    env, team = run.env, run.team
    params, agent_mask = run.team_setup(learners).params, jnp.ones(env.num_agents, bool)
    key = evaluation_key(seed, RECORDED_EPISODES)
    reset_key, act_key = jax.random.split(key)
    play = _compiled_episode(env, team)
    _check_recording_fits(play, 1, params, agent_mask)
    # The keys that `rollout` uses for one episode, so that both play the same one.
    played = play(jax.random.split(reset_key, 1)[0], act_key, params, agent_mask)
    states, reward, action, _ = _drop_after_end(*jax.device_get(played))
    influence = None
    if measures_influence(run):

        @jax.jit
        def measure_influence(learners):
            trajectories, _ = rollout(env, team, params, env.default_params(), key, agent_mask[None])
            return team_influence(run, learners, trajectories)[:, 0]

        influence = np.asarray(measure_influence(learners))
        influence = np.where(np.abs(influence) < INFLUENCE_TOLERANCE, 0, influence)
        if not influence.any():
            note = f"{note}{', ' if note else ''}no influence above {INFLUENCE_TOLERANCE:g} nats"
        influence = influence[: len(reward)]
    return Recording(
        task=env.task.kind,
        agent_names=_names(team),
        roles=_roles(team),
        reward=reward,
        action=action,
        action_names=action_names(env)[0],
        **recording_fields(states),
        influence=influence,
        note=note,
    )


def record_initial_state(env: Env, seed: int = 0) -> Recording:
    """A recording without steps: the state in which the episode of this seed starts. Raises: ConfigError."""
    check_key_seed(seed)
    start_backend()
    params = env.default_params()
    render_state = make_render_state(env)
    state = jax.device_get(jax.jit(lambda key: render_state(env.reset(key, params)[0]))(jax.random.PRNGKey(seed)))
    agents = env.num_agents
    return Recording(
        task=env.task.kind,
        agent_names=tuple(f"agent {slot}" for slot in range(agents)),
        roles=("learning",) * agents,
        reward=np.zeros((0, agents), np.float32),
        action=np.zeros((0, agents), np.int8),
        action_names=action_names(env)[0],
        **recording_fields(jax.tree.map(lambda x: x[None], state)),
    )


def recording_fields(states: RenderState) -> dict[str, Any]:
    """The fields of a Recording that are shown in its states. `states`: arrays with a leading axis [T+1]."""
    return {
        "tiles": states.tiles,
        "position": states.position,
        "heading": states.heading,
        "agent_mask": states.agent_mask,
        "carrying": states.carrying if np.any(states.carrying) else None,
        "prestige": states.prestige,
        "goals": numbered_goals(np.asarray(states.goals), np.asarray(states.tiles)),
        "views": states.views,
        "visible": states.visible,
    }


def numbered_goals(goals: np.ndarray, tiles: np.ndarray) -> np.ndarray:
    """The goals that a replay numbers, i16[K, 2], from int[T+1, K, 2] and the tiles of the states, [T+1, H, W].

    None if there is only one, if they move, or if they look different.
    """
    fixed = has_numbered_goals(goals[0], tiles[0]) and (goals == goals[0]).all()
    return goals[0].astype(np.int16) if fixed else np.zeros((0, 2), np.int16)


def _check_recording_fits(play: Any, episodes: int, params: dict[str, PyTree], agent_mask: jax.Array) -> None:
    """Raises ConfigError for episodes that memory cannot hold: each keeps every state up to the time limit."""
    key = jax.random.PRNGKey(0)
    remedy = "record fewer or shorter episodes (max_steps), or a smaller map"
    check_result_fits(f"recordings of {episodes:,} episodes", episodes, remedy, play, key, key, params, agent_mask)


def _names(team: Team) -> tuple[str, ...]:
    """A name per slot: that of its group, numbered if the group fills several slots."""
    names = {
        slot: group.name if len(group.slots) == 1 else f"{group.name} {number + 1}"
        for group in team.groups
        for number, slot in enumerate(group.slots)
    }
    return tuple(names[slot] for slot in sorted(names))


def _roles(team: Team) -> tuple[str, ...]:
    """The role of every slot's policy."""
    roles = {slot: group.policy.role for group in team.groups for slot in group.slots}
    return tuple(roles[slot] for slot in sorted(roles))


def _drop_after_end(states, reward, action, terminated):
    """An episode without the steps after its end."""
    steps = int(np.argmax(terminated)) + 1 if terminated.any() else len(terminated)
    return jax.tree.map(lambda x: x[: steps + 1], states), reward[:steps], action[:steps], terminated[:steps]


@functools.lru_cache(maxsize=8)
def _compiled_episode(env: Env, team: Team):
    """The function that plays one episode, compiled once for any parameters and any agent mask."""
    render_state = make_render_state(env)
    env_params = env.default_params()

    def play(reset_key, act_key, params, agent_mask):
        state, timestep = env.reset(reset_key, env_params, agent_mask)
        batched = lambda tree: jax.tree.map(lambda x: x[None], tree)  # noqa: E731
        carries = {group.name: initial_carry(group, 1) for group in team.groups}

        def step(loop, t):
            state, timestep, carries, comm_state = loop
            keys = jax.random.split(jax.random.fold_in(act_key, t), len(team.groups))
            action = jnp.zeros(env.num_agents, jnp.int32)
            carries = dict(carries)
            for number, group in team.acting_order:
                group_action, carries[group.name], extras = act_group(
                    group, params[group.name], carries[group.name], batched(timestep.observation), batched(state),
                    timestep.is_first[None], keys[number], comm_state,
                )  # fmt: skip
                comm_state = record_actions(comm_state, group, group_action, extras, timestep.agent_mask[None])
                action = action.at[jnp.array(group.slots)].set(group_action[:, 0])
            state, timestep = env.step(state, action, env_params)
            outputs = render_state(state), timestep.reward, action, timestep.terminated
            return (state, timestep, carries, advance(comm_state)), outputs

        first = render_state(state)
        comm_state = initial_comm_state(1, env.num_agents)
        _, (rest, *steps) = jax.lax.scan(step, (state, timestep, carries, comm_state), jnp.arange(env.max_steps))
        states = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, rest)
        return states, *steps

    return jax.jit(play)
