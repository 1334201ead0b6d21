"""What trained teams do step by step, and how far each agent influences each other one: trained teams, played again.

Letters: T steps, E episodes, A agents. Influence is computed as in training, from the true policies or from the agent's
own model of the others, so that it can be compared with actions, messages and task metrics.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rookery.keys import TRACED_EPISODES
from rookery.learning.rollout import rollout
from rookery.studies.agent_sources import TrainedTeam
from rookery.studies.session import Session
from rookery.training.evaluation import evaluation_key
from rookery.training.team_influence import team_influence
from rookery.training.train_step import Run
from rookery.training.trainer import load_state
from rookery.types import Env, PRNGKey, PyTree


class RolloutTrace(NamedTuple):
    """Episodes of one team."""

    action: Int[Array, "T E A"]
    reward: Float[Array, "T E A"]  # of the task, without intrinsic rewards
    influence: Float[Array, "T E A A"]  # of the first agent on the second in each step, nats
    info: dict[str, Float[Array, "T E A"]]  # the task's metrics
    message: Int[Array, "T E A"] | None = None


def rollout_traces(session: Session, team: TrainedTeam, num_episodes: int) -> Iterator[tuple[int, RolloutTrace]]:
    """Each seed with its team's episodes, numpy; the same worlds for a seed in every condition."""
    run, state = load_state(session.run_dir(team.run))
    play = jax.jit(lambda learners, key: rollout_trace(run, learners, key, num_episodes))
    for seed in session.seed_range:
        replica = run.config.replicas.index((team.variant, seed))
        learners = jax.tree.map(lambda x, r=replica: jnp.asarray(x[r]), state.learners)
        yield seed, jax.device_get(play(learners, evaluation_key(seed, TRACED_EPISODES)))


def rollout_trace(run: Run, learners: dict[str, PyTree], key: PRNGKey, num_episodes: int) -> RolloutTrace:
    """Play one replica's team, all of whose slots must learn.

    Args:
      learners: as in a run's state, without the axis of replicas.
    """
    setup = run.team_setup(learners)
    env, team = setup.env, setup.team
    agent_mask = jnp.ones((num_episodes, env.num_agents), bool)
    trajectories, _ = rollout(env, team, setup.params, env.default_params(), key, agent_mask)
    position = {slot: (group.name, i) for group in team.learning_groups for i, slot in enumerate(group.slots)}

    def by_slot(pick):
        picked = {name: pick(trajectory) for name, trajectory in trajectories.items()}
        return jnp.stack([picked[name][i] for name, i in (position[slot] for slot in range(env.num_agents))], -1)

    action = by_slot(lambda trajectory: trajectory.action)
    has_messages = all(trajectory.messages is not None for trajectory in trajectories.values())
    return RolloutTrace(
        action=action,
        reward=by_slot(lambda trajectory: trajectory.reward),
        influence=team_influence(run, learners, trajectories),
        info=replay_info(env, key, action, agent_mask),
        message=by_slot(lambda trajectory: trajectory.messages.message) if has_messages else None,
    )


def replay_info(
    env: Env, key: PRNGKey, action: Int[Array, "T E A"], agent_mask: Bool[Array, "E A"]
) -> dict[str, Float[Array, "T E A"]]:
    """The task's metrics in each step of a rollout: the same worlds, with the actions taken in them."""
    params = env.default_params()
    reset_key, _ = jax.random.split(key)  # as `rollout` does
    state, _ = jax.vmap(env.reset, (0, None, 0))(jax.random.split(reset_key, len(agent_mask)), params, agent_mask)

    def step(state, action):
        state, timestep = jax.vmap(env.step, (0, 0, None))(state, action, params)
        return state, timestep.info

    return jax.lax.scan(step, state, action)[1]
