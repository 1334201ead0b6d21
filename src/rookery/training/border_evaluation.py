"""Cultural transmission at the borders of a run's task, which decides on their next move."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rookery import keys
from rookery.gridworld.presence import NEVER
from rookery.learning.rollout import rollout
from rookery.tasks.registry import make_env
from rookery.training.evaluation import evaluation_key
from rookery.training.train_step import Run, TrainState, hide_missing, show_missing, with_scalar_params
from rookery.training.widening import (
    Widening,
    border_params,
    cultural_transmission_of,
    expert_slots,
    move_border,
    turns,
)


class BorderEvaluator:
    """Evaluates all replicas of a run at a border of their own, and moves it; compiled once.

    The learner plays with all others throughout, with others that leave after the first half, and alone, in the same
    episodes; E is the experts' mean return in the first of these, without agents that move at random. Other numbers
    that are widened keep their range.
    """

    def __init__(self, run: Run, widening: Widening, devices: list[Any] | None = None) -> None:
        task: Any = run.config.task
        ranges, learner = task.episode_ranges, run.team.learning_slots[0]
        experts = jnp.array(expert_slots(run.config.team))
        others = tuple(slot for slot in range(run.env.num_agents) if slot != learner)
        leaving: Any = {"dropout_slots": others, "leave_prob": 0.0, "return_prob": 0.0}
        env = make_env(dataclasses.replace(task, **leaving))
        everyone, alone = jnp.ones(env.num_agents, bool), jnp.arange(env.num_agents) == learner
        masks = jnp.stack([everyone, everyone, alone])
        leave_steps = jnp.array([NEVER, env.max_steps // 2, NEVER], jnp.float32)

        def evaluate(state: TrainState, key, replica_params, frozen_params) -> Any:
            setup = run.team_setup(state.learners, {**frozen_params, **replica_params})
            before: Any = state.widening
            borders = border_params(widening, ranges, before, at_border=True)
            episodes_key = jax.random.fold_in(key, state.num_updates)

            def play(condition):
                agent_mask, leave_step = condition
                values = {**borders, "leave_step": leave_step, "return_step": jnp.float32(NEVER)}
                params = with_scalar_params(env.default_params(), values)
                mask = jnp.broadcast_to(agent_mask, (widening.episodes, env.num_agents))
                return rollout(env, setup.team, setup.params, params, episodes_key, mask)[1].episode_return.mean(0)

            # One after another, so that an episode is compiled once and not once for each condition.
            full, half, solo = jax.lax.map(play, (masks, leave_steps))
            expert_return = full[experts].mean()
            transmission = cultural_transmission_of(full[learner], half[learner], solo[learner], expert_return)
            after = move_border(widening, ranges, before, transmission)
            measured = {
                name: jnp.where(is_turn, transmission, jnp.nan) for name, is_turn in turns(widening, before).items()
            }
            return after, hide_missing({"most": after.most, "transmission": measured})

        self._run, self._devices = run, devices
        self._evaluate = jax.jit(run.map_replicas(evaluate, devices, num_args=3))

    def __call__(self, state: TrainState) -> tuple[TrainState, dict[str, dict[str, np.ndarray]]]:
        """The state with its borders moved, and {'most': {name: i32[M]}, 'transmission': {name: f32[M]}}: NaN where it
        was not measured this time, or is undefined."""
        replica_keys = jnp.stack([evaluation_key(seed, keys.WIDENING_EPISODES) for _, seed in self._run.replicas])
        after, metrics = self._evaluate(state, replica_keys, self._run.schedules.replica_params)
        state = state.replace(widening=self._run.place_on_devices(after, self._devices))
        return state, show_missing(jax.device_get(metrics))
