"""Joins a task to the gridworld: the environment does what all tasks share, the task defines only its own rules."""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rookery import keys
from rookery.gridworld.interactions import step_interactions
from rookery.gridworld.movement import direction_vector, spawn_delayed, step_movement
from rookery.gridworld.observation import observe_all, observe_grid
from rookery.gridworld.presence import initial_away, step_away
from rookery.gridworld.prestige import update_prestige
from rookery.gridworld.shown_agents import agent_scores
from rookery.gridworld.spec import GridSpec
from rookery.gridworld.state import GridState, MoveResult
from rookery.interfaces import Task
from rookery.tasks.checks import check_agent_mask, check_joint_action, check_random_key
from rookery.types import Env, Observation, PRNGKey, PyTree, TimeStep


@dataclasses.dataclass(frozen=True)
class GridEnv(Env):
    """A gridworld with the rules of a task, as pure functions; callers vmap over keys and states.

    Observation: u8[A, ...] (`ViewConfig.shape`), or a tuple with one array per agent if views differ in shape.
    Action: i32[A], from 0 to `num_actions` - 1; any other number does nothing, because a compiled program cannot raise
    an error: adapters check actions. Reward: f32[A], what the task pays, 0 for absent agents.
    Episodes are truncated at `max_steps`, or terminated if the task says so. A step after that is a mistake of the
    caller: it is computed like any other and is again truncated or terminated.
    """

    task: Task

    can_render = True

    @property
    def spec(self) -> GridSpec:
        """Size, agents and movement of the gridworld."""
        spec = self.task.grid_spec
        if spec is None:
            raise TypeError(
                f"{type(self.task).__name__} has no grid_spec; its make_env() must return its own environment"
            )
        return spec

    @property
    def num_agents(self) -> int:
        return self.spec.num_agents

    @property
    def num_actions(self) -> int:
        return self.spec.num_actions

    @property
    def action_names(self) -> tuple[str, ...]:
        return self.task.action_names

    @property
    def max_steps(self) -> int:
        return self.spec.max_steps

    def observation_shape(self, slot: int) -> tuple[int, ...]:
        return self.spec.views[slot].shape

    def observation_type(self, slot: int) -> Literal["pixels", "symbolic", "objects"]:
        return self.spec.views[slot].observation_type

    def default_params(self) -> PyTree:
        return self.task.default_params()

    def reset(
        self, key: PRNGKey, params: PyTree, agent_mask: Bool[Array, "A"] | None = None
    ) -> tuple[GridState, TimeStep]:
        """Start an episode. Agents outside `agent_mask` (default: all are in it) stay out of the whole episode."""
        check_random_key(key)
        num_agents = self.num_agents
        layout_key, episode_key, hide_key = jax.random.split(key, 3)
        tiles, position, heading, task_state = self.task.generate_within(layout_key, params)
        agent_mask = check_agent_mask(agent_mask, num_agents)
        away = initial_away(self.dropout_slots, num_agents, params.world) if self.dropout_slots else None
        state = GridState(
            tiles=tiles,
            position=position,
            heading=heading,
            carrying=jnp.zeros(num_agents, jnp.int32),
            episode_agent_mask=agent_mask,
            agent_mask=agent_mask & (params.world.spawn_delay <= 0) & (True if away is None else ~away),
            prestige=jnp.zeros(num_agents),
            goals_masked=jax.random.uniform(hide_key) < params.world.goal_hiding_prob,
            step=jnp.int32(0),
            key=episode_key,
            task=task_state,
            away=away,
        )
        state = state.replace(invisible_agents=self.task.invisible_agents(state, params))
        no_metrics = {name: jnp.zeros(num_agents) for name in self.task.metric_names}
        return state, self._time_step(state, jnp.zeros(num_agents), jnp.bool_(True), no_metrics)

    def step(self, state: GridState, action: Int[Array, "A"], params: PyTree) -> tuple[GridState, TimeStep]:
        """All agents act once: they move, the task pays, prestige changes, and delayed agents enter."""
        moved, move_result, reward, info = self.move_and_pay(state, action, params)
        prestige = update_prestige(state.prestige, reward, params.world.prestige_decay)
        moved = self.post_step(state, moved, move_result)
        after = moved.replace(
            prestige=jnp.where(state.agent_mask, prestige, state.prestige),
            step=state.step + 1,
        )
        if after.away is not None:
            presence_key = jax.random.fold_in(_step_key(state), keys.PRESENCE)
            away = step_away(presence_key, after, after.away, self.dropout_slots, params.world)
            after = after.replace(away=away)
        after = spawn_delayed(after, params.world.spawn_delay, self.spec.collide)
        after = after.replace(invisible_agents=self.task.invisible_agents(after, params))
        return after, self._time_step(after, reward, jnp.bool_(False), info)

    def move_and_pay(
        self, state: GridState, action: Int[Array, "A"], params: PyTree
    ) -> tuple[GridState, MoveResult, Float[Array, "A"], dict[str, Float[Array, "A"]]]:
        """The first part of a step. Returns: the state as `post_step` gets it, who moved, rewards, and metrics."""
        action = check_joint_action(action, self.num_agents)
        step_agents = step_interactions if self.spec.has_objects else step_movement
        moved, move_result = step_agents(state, action, self.spec.collide)
        reward, task_state, info = self.task.reward(state, moved, move_result, params)
        return moved.replace(task=task_state), move_result, reward, info

    def post_step(self, before: GridState, after: GridState, move_result: MoveResult) -> GridState:
        """The second part of a step: what the task changes in the world."""
        return self.task.post_step(jax.random.fold_in(_step_key(before), keys.POST_STEP), before, after, move_result)

    def observe(self, state: GridState) -> Observation:
        """Observations of all agents in this state."""
        return observe_all(state, self.spec)

    def agent_scores(self, slot: int, observation: Float[Array, "N ..."]) -> Float[Array, "N C"]:
        return agent_scores(observation, self.spec.views[slot])

    def in_view(self, state: GridState) -> Bool[Array, "A A"]:
        """Which agents each agent sees now: those on a cell that it sees, itself never."""
        visible = [observe_grid(state, agent, view)[2].any((-2, -1)) for agent, view in enumerate(self.spec.views)]
        return jnp.stack(visible) & ~jnp.eye(self.num_agents, dtype=bool)

    def relative_positions(self, state: GridState) -> Int[Array, "A A 2"]:
        """Where each agent is, seen from each agent, whether it sees it or not: cells ahead, and to the right."""
        ahead = direction_vector(state.heading)  # A, 2
        right = direction_vector((state.heading + 1) % 4)
        offset = state.position - state.position[:, None]
        return jnp.stack([(offset * ahead[:, None]).sum(-1), (offset * right[:, None]).sum(-1)], -1)

    def _time_step(self, state: GridState, reward, is_first, info) -> TimeStep:
        return TimeStep(
            observation=self.observe(state),
            reward=reward.astype(jnp.float32),
            terminated=self.task.is_terminal(state),
            truncated=state.step >= self.max_steps,
            is_first=is_first,
            agent_mask=state.agent_mask,
            info=info,
        )


def _step_key(state: GridState) -> PRNGKey:
    """For what is random in the step from this state."""
    return jax.random.fold_in(state.key, state.step)
