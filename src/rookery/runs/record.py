"""Play one episode and keep everything a film needs."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.team import Team, act, initial_carry
from rookery.runs.evaluation import evaluation_key
from rookery.show.recording import Recording
from rookery.tasks.env import Env
from rookery.types import PyTree
from rookery.world.paint import observe, perceive
from rookery.world.prestige import blue_share
from rookery.world.sight import view_cells
from rookery.world.spec import ACTION_NAMES

PICTURE_PIXELS = 5
"""A cell's side in the pictures of views that are not pixels themselves."""


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
    keys = jax.random.split(evaluation_key(seed, 10_000), episodes)
    played = [jax.device_get(play(key, params, who)) for key in keys]
    by_return = sorted(range(episodes), key=lambda e: played[e][1][:, focus].sum())
    (tiles, position, heading, active, blue, views, lit), reward, action, goals = played[by_return[episodes // 2]]
    roles = {
        group.name: "random" if type(group.policy).__name__ == "RandomPolicy" else "scripted" for group in team.groups
    }
    names, role = {}, {}
    for group in team.groups:
        for number, slot in enumerate(group.slots):
            names[slot] = group.name if len(group.slots) == 1 else f"{group.name} {number + 1}"
            role[slot] = roles[group.name] if not params[group.name] else "frozen"
    return Recording(
        task=env.task.kind,
        names=tuple(names[slot] for slot in range(env.agents)),
        roles=tuple(role[slot] for slot in range(env.agents)),
        tiles=tiles.astype(np.uint8),
        position=position.astype(np.int16),
        heading=heading.astype(np.int8),
        active=active,
        prestige=blue.astype(np.float32),
        reward=reward.astype(np.float32),
        action=action.astype(np.int8),
        action_names=ACTION_NAMES[: env.actions],
        goals=goals.astype(np.int16),
        views=tuple(np.asarray(view) for view in views),
        seen=tuple(np.asarray(cells) for cells in lit),
        note=note,
    )


@functools.lru_cache(maxsize=8)
def _player(env: Env, team: Team):
    """One episode as arrays, compiled once for any parameters and any presence."""
    world = env.task.world
    pictured = tuple(
        view if view.kind == "pixels" else dataclasses.replace(view, kind="pixels", tile_pixels=PICTURE_PIXELS)
        for view in world.views
    )
    painted = dataclasses.replace(world, views=pictured)
    env_params = env.default_params()

    def shown(state):
        views = tuple(observe(state, agent, painted) for agent in range(env.agents))
        lit = []
        for agent, view in enumerate(world.views):
            _, seen, _ = perceive(state, agent, view)
            row, col = view_cells(state.position[agent], state.heading[agent], view)
            # Cells beyond the map are dropped, not wrapped round.
            row, col = (jnp.where(x < 0, 10**6, x) for x in (row, col))
            lit.append(jnp.zeros((world.height, world.width), bool).at[row, col].max(seen, mode="drop"))
        blue = blue_share(state.prestige, world.prestige_rule)
        return state.tiles, state.position, state.heading, state.active, blue, views, tuple(lit)

    def play(key, params, who):
        reset_key, act_key = jax.random.split(key)
        state, told = env.reset(reset_key, env_params, who)
        batched = lambda tree: jax.tree.map(lambda x: x[None], tree)  # noqa: E731
        carries = {group.name: initial_carry(group, 1) for group in team.groups}

        def step(loop, t):
            state, told, carries = loop
            keys = jax.random.split(jax.random.fold_in(act_key, t), len(team.groups))
            action = jnp.zeros(env.agents, jnp.int32)
            carries = dict(carries)
            for group, group_key in zip(team.groups, keys, strict=True):
                chosen, carries[group.name], _ = act(
                    group, params[group.name], carries[group.name], batched(told.observation), batched(state),
                    told.is_first[None], group_key,
                )  # fmt: skip
                action = action.at[jnp.array(group.slots)].set(chosen[:, 0])
            state, told = env.step(state, action, env_params)
            return (state, told, carries), (shown(state), told.reward, action)

        first = shown(state)
        goals = state.task.goals
        _, (rest, reward, action) = jax.lax.scan(step, (state, told, carries), jnp.arange(env.max_steps))
        both = jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, rest)
        return both, reward, action, goals

    return jax.jit(play)
