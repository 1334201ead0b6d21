"""Plays an expert in slot 0, and in a twin environment that looks the same to it."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rookery.gridworld.tiles import NUM_TILE_KINDS
from rookery.gridworld.visibility import agent_view, view_cells
from rookery.tasks.grid_env import GridEnv


class Played(NamedTuple):
    """One episode; arrays lead with its steps."""

    action: np.ndarray
    reward: np.ndarray
    counts: dict[str, np.ndarray]
    same: np.ndarray  # the same action and memory in the twin environment


def visible(state, slot, view):
    """Cells an agent sees now, computed without the expert's code: bool[H, W]."""
    height, width = state.tiles.shape
    _, in_view = agent_view(state.tiles, state.position[slot], state.heading[slot], view)
    row, col = view_cells(state.position[slot], state.heading[slot], view)
    row = jnp.where(in_view & (row >= 0), row, height)
    return jnp.zeros((height, width), bool).at[row, jnp.where(col >= 0, col, width)].set(True, mode="drop")


def unseen_changed(state, slot, view, key):
    """A state that looks the same to the agent, with everything else different."""
    noise = jax.random.randint(key, state.tiles.shape, 0, NUM_TILE_KINDS).astype(state.tiles.dtype)
    lit = visible(state, slot, view)
    other = jnp.arange(state.position.shape[0]) != slot
    shown = lit[state.position[:, 0], state.position[:, 1]]
    return state.replace(
        tiles=jnp.where(lit, state.tiles, noise),
        heading=jnp.where(other, (state.heading + 1) % 4, state.heading),
        position=jnp.where((other & ~shown)[:, None], 0, state.position),
        carrying=jnp.where(other, 3, state.carrying),
        prestige=jnp.where(other, 7.0, state.prestige),
        step=state.step + 17,
        key=key,
        task=jax.tree.map(jnp.zeros_like, state.task),
    )


@functools.cache
def player(expert, task):
    """Compiled; the other agents act at random."""
    env = GridEnv(task)

    def play(key):
        reset_key, key = jax.random.split(key)
        slots, params = jnp.zeros(2, jnp.int32), task.default_params()

        def step(loop, t):
            state, carry = loop
            twin_key, rest_key = jax.random.split(jax.random.fold_in(key, t))
            twin = unseen_changed(state, 0, task.views[0], twin_key)
            both = jax.tree.map(lambda a, b: jnp.stack([a, b]), state, twin)
            action, carry, _ = expert.act((), carry, (both, slots), jnp.full(2, t == 0), rest_key)
            same = [(leaf[0] == leaf[1]).all() for leaf in jax.tree.leaves((action, carry))]
            actions = jax.random.randint(rest_key, (env.num_agents,), 0, 3).at[0].set(action[0])
            next_state, timestep = env.step(state, actions, params)
            counts = {name: count[0] for name, count in timestep.info.items()}
            return (next_state, carry), Played(action[0], timestep.reward[0], counts, jnp.stack(same).all())

        start = env.reset(reset_key, params)[0], expert.initial_carry(2)
        return jax.lax.scan(step, start, jnp.arange(task.max_steps))[1]

    return jax.jit(play)


def play(expert, task, seed: int = 0) -> Played:
    return jax.device_get(player(expert, task)(jax.random.PRNGKey(seed)))
