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
from rookery.runs.evaluation import evaluation_key
from rookery.runs.influence import influence
from rookery.runs.program import Program
from rookery.runs.trainer import load_state
from rookery.studies.session import Session
from rookery.studies.teams import LearnedTeam
from rookery.types import Env, Key, PyTree

DOMAIN = 40_000
"""Of the keys of these episodes: others than those the returns are measured on."""


class Trace(NamedTuple):
    """Episodes of one team."""

    action: Int[Array, "T E A"]
    reward: Float[Array, "T E A"]  # what the world pays
    influence: Float[Array, "T E A A"]  # of the first agent on the second in each step, nats
    events: dict[str, Float[Array, "T E A"]]  # what the task counts
    message: Int[Array, "T E A"] | None = None


def traces(session: Session, agents: LearnedTeam, episodes: int) -> Iterator[tuple[int, Trace]]:
    """Each seed with what its team does, numpy; the same worlds for a seed in every arm."""
    program, state = load_state(session.folder(agents.training))
    play = jax.jit(lambda learners, key: trace(program, learners, key, episodes))
    for seed in session.own_seeds:
        member = program.config.members.index((agents.arm, seed))
        learners = jax.tree.map(lambda x, m=member: jnp.asarray(x[m]), state.learners)
        yield seed, jax.device_get(play(learners, evaluation_key(seed, DOMAIN)))


def trace(program: Program, learners: dict[str, PyTree], key: Key, episodes: int) -> Trace:
    """Play one member's team. All its slots must learn. `learners`: as in a run's state, without the members' axis."""
    env, team = program.env, program.team
    params, present = program.params(learners, program.frozen), jnp.ones((episodes, env.agents), bool)
    played, _ = rollout(env, team, params, env.default_params(), key, present)
    place = {slot: (group.name, i) for group in team.learning for i, slot in enumerate(group.slots)}

    def everyone(pick):
        return jnp.stack([pick(played[name])[i] for name, i in (place[slot] for slot in range(env.agents))], -1)

    action = everyone(lambda own: own.action)
    speaks = all(own.speech is not None for own in played.values())
    return Trace(
        action=action,
        reward=everyone(lambda own: own.reward),
        influence=influence(program, learners, played),
        events=events(env, key, action, present),
        message=everyone(lambda own: own.speech.message) if speaks else None,
    )


def events(
    env: Env, key: Key, action: Int[Array, "T E A"], present: Bool[Array, "E A"]
) -> dict[str, Float[Array, "T E A"]]:
    """What the task counted in each step of a rollout: the same worlds, with the actions taken in it."""
    params = env.default_params()
    reset_key, _ = jax.random.split(key)  # as `rollout` does
    state, _ = jax.vmap(env.reset, (0, None, 0))(jax.random.split(reset_key, len(present)), params, present)

    def step(state, action):
        state, told = jax.vmap(env.step, (0, 0, None))(state, action, params)
        return state, told.events

    return jax.lax.scan(step, state, action)[1]
