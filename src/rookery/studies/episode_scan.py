"""Step through evaluation episodes and record something at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from rookery.agents.team import Team, act_all, initial_carry
from rookery.types import Env, PRNGKey, PyTree, TimeStep


class EpisodeStep(NamedTuple):
    """One step of E episodes played side by side."""

    state: PyTree  # before the step
    timestep: TimeStep  # what the agents saw when they acted
    action: Int[Array, "E A"]
    carries: dict[str, PyTree]  # recurrent states by group, after the policies acted
    next_state: PyTree
    next_timestep: TimeStep


def scan_episodes(
    env: Env,
    team: Team,
    params: dict[str, PyTree],
    key: PRNGKey,
    num_episodes: int,
    record: Callable[[EpisodeStep], PyTree],
) -> PyTree:
    """Play whole episodes of all agents; returns `record` of every step, stacked along a first axis of max_steps."""
    reset_key, act_key = jax.random.split(key)
    env_params = env.default_params()
    agent_mask = jnp.ones((num_episodes, env.num_agents), bool)
    state, timestep = jax.vmap(env.reset, (0, None, 0))(
        jax.random.split(reset_key, num_episodes), env_params, agent_mask
    )
    carries = {group.name: initial_carry(group, num_episodes) for group in team.groups}

    def step(loop, t):
        state, timestep, carries = loop
        action, carries = act_all(team, params, carries, timestep, state, jax.random.fold_in(act_key, t))
        next_state, next_timestep = jax.vmap(env.step, (0, 0, None))(state, action, env_params)
        recorded = record(EpisodeStep(state, timestep, action, carries, next_state, next_timestep))
        return (next_state, next_timestep, carries), recorded

    return jax.lax.scan(step, (state, timestep, carries), jnp.arange(env.max_steps))[1]
