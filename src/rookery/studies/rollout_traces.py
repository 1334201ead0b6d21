"""What trained teams do step by step, and how far each agent moves each other: played again with who learned.

Letters: T steps, E episodes, A agents. What an agent pays itself for is worked out as in training, from true policies
or from its own model, so that it can be laid beside actions, messages and events.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from rookery.learning.rollout import rollout
from rookery.studies.session import Session
from rookery.studies.trained_teams import TrainedTeam
from rookery.training.evaluation import evaluation_key
from rookery.training.team_influence import team_influence
from rookery.training.train_step import Run
from rookery.training.trainer import load_state
from rookery.types import Env, PRNGKey, PyTree

TRACE_STREAM = 40_000
"""Of the keys of these episodes: others than those the returns are measured on."""


class RolloutTrace(NamedTuple):
    """Episodes of one team."""

    action: Int[Array, "T E A"]
    reward: Float[Array, "T E A"]  # what the world pays
    influence: Float[Array, "T E A A"]  # of the first agent on the second in each step, nats
    info: dict[str, Float[Array, "T E A"]]  # what the task counts
    message: Int[Array, "T E A"] | None = None


def rollout_traces(session: Session, team: TrainedTeam, episodes: int) -> Iterator[tuple[int, RolloutTrace]]:
    """Each seed with what its team does, numpy; the same worlds for a seed in every arm."""
    program, state = load_state(session.run_dir(team.run))
    play = jax.jit(lambda learners, key: rollout_trace(program, learners, key, episodes))
    for seed in session.seed_range:
        member = program.config.replicas.index((team.variant, seed))
        learners = jax.tree.map(lambda x, m=member: jnp.asarray(x[m]), state.learners)
        yield seed, jax.device_get(play(learners, evaluation_key(seed, TRACE_STREAM)))


def rollout_trace(program: Run, learners: dict[str, PyTree], key: PRNGKey, num_episodes: int) -> RolloutTrace:
    """Play one member's team. All its slots must learn. `learners`: as in a run's state, without the members' axis."""
    env, team = program.env, program.team
    params, present = (
        program.policy_params(learners, program.frozen_params),
        jnp.ones((num_episodes, env.num_agents), bool),
    )
    played, _ = rollout(env, team, params, env.default_params(), key, present)
    place = {slot: (group.name, i) for group in team.learning_groups for i, slot in enumerate(group.slots)}

    def everyone(pick):
        return jnp.stack([pick(played[name])[i] for name, i in (place[slot] for slot in range(env.num_agents))], -1)

    action = everyone(lambda own: own.action)
    speaks = all(own.messages is not None for own in played.values())
    return RolloutTrace(
        action=action,
        reward=everyone(lambda own: own.reward),
        influence=team_influence(program, learners, played),
        info=replay_info(env, key, action, present),
        message=everyone(lambda own: own.messages.message) if speaks else None,
    )


def replay_info(
    env: Env, key: PRNGKey, action: Int[Array, "T E A"], agent_mask: Bool[Array, "E A"]
) -> dict[str, Float[Array, "T E A"]]:
    """What the task counted in each step of a rollout: the same worlds, with the actions taken in it."""
    params = env.default_params()
    reset_key, _ = jax.random.split(key)  # as `rollout` does
    state, _ = jax.vmap(env.reset, (0, None, 0))(jax.random.split(reset_key, len(agent_mask)), params, agent_mask)

    def step(state, action):
        state, told = jax.vmap(env.step, (0, 0, None))(state, action, params)
        return state, told.info

    return jax.lax.scan(step, state, action)[1]
