"""Random episodes of a task's environment, in several environments at once, for its conformance check."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rookery.gridworld.movement import FORWARD
from rookery.gridworld.state import GridState
from rookery.testing.view_checks import Views, differs_from_gridworld, observed, views_of
from rookery.types import Env, PyTree, TimeStep

NUM_CHECKED_ENVS = 6


class Episodes(NamedTuple):
    """Random episodes in NUM_CHECKED_ENVS environments, as numpy arrays."""

    first_state: PyTree  # [E, ...]
    first: TimeStep  # [E, ...]
    states: PyTree  # [T, E, ...], after each step
    timesteps: TimeStep  # [T, E, ...]
    action: np.ndarray  # i32[T, E, A]
    views: Views | None = None  # [T, E, ...]; None for those of the gridworld


class Player:
    """Plays random episodes by one compiled program, and counts how often it is traced."""

    def __init__(self, env: Env, steps: int) -> None:
        self.env: Env
        self.steps: int
        self.traces: int
        self.env, self.steps, self.traces = env, steps, 0
        self._with_views: bool = differs_from_gridworld(env)
        self.params: PyTree = env.default_params()
        self.keys: jax.Array = jax.random.split(jax.random.PRNGKey(0), NUM_CHECKED_ENVS)
        self.everyone: jax.Array = jnp.ones((NUM_CHECKED_ENVS, env.num_agents), bool)
        self._episodes = jax.jit(jax.vmap(self._episode, (0, 0, None, 1, 0), (0, 0, 1, 1, 1)))

    def _episode(self, key, agent_mask, params, action, absent_at):
        self.traces += 1
        first_state, first = self.env.reset(key, params, agent_mask)
        state = first_state
        if isinstance(state, GridState):
            is_placed = ~agent_mask[:, None] & (absent_at >= 0)
            state = state.replace(position=jnp.where(is_placed, absent_at, state.position))

        def step(state, action):
            state, timestep = self.env.step(state, action, params)
            return state, (state, timestep, views_of(self.env, state, timestep) if self._with_views else None)

        states, timesteps, views = jax.lax.scan(step, state, action)[1]
        if views is not None and views.is_observed is not None:
            at_reset = jnp.asarray(observed(self.env, first_state, first))
            views = views._replace(is_observed=jnp.concatenate([at_reset[None], views.is_observed]))
        return first_state, first, states, timesteps, views

    def actions(self, seed: int = 0) -> jax.Array:
        """Random actions; half of them go forward on the gridworld, so that agents get somewhere. i32[T, E, A]."""
        key = jax.random.PRNGKey(seed)
        shape = (self.steps, NUM_CHECKED_ENVS, self.env.num_agents)
        action = jax.random.randint(key, shape, 0, self.env.num_actions)
        forward = jax.random.bernoulli(jax.random.fold_in(key, 1), 0.5, shape)
        return jnp.where(forward & (self.env.num_actions > FORWARD), FORWARD, action)

    def play(self, **changes: Any) -> Episodes:
        """Episodes with `arguments(**changes)`."""
        arguments = self.arguments(**changes)
        *played, views = jax.device_get(self._episodes(*arguments))
        return Episodes(*played, action=np.asarray(arguments[3]), views=views)

    def arguments(
        self,
        keys: jax.Array | None = None,
        agent_mask: jax.Array | None = None,
        params: PyTree = None,
        action: jax.Array | None = None,
        absent_at: jax.Array | None = None,
    ) -> tuple[PyTree, ...]:
        """Arguments of the program; None: those of the first episodes, in which all agents take part.

        Args:
          absent_at: where agents outside `agent_mask` are in the first state of a gridworld, i32[E, A, 2]; if negative,
            where `reset` put them.
        """
        return (
            self.keys if keys is None else keys,
            self.everyone if agent_mask is None else agent_mask,
            self.params if params is None else params,
            self.actions() if action is None else action,
            jnp.full((*self.everyone.shape, 2), -1, jnp.int32) if absent_at is None else absent_at,
        )

    def lower(self) -> jax.stages.Lowered:
        """The program, traced at the first call but not compiled."""
        return self._episodes.lower(*self.arguments())
