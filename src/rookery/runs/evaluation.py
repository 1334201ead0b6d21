"""Play frozen agents on episodes no training ever saw: beside their team, and alone.

*Social gain* is the return beside the others minus the return alone, same agent, same worlds. A high return is
not yet social learning: an agent may have learned to explore for itself. The gain tells.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.team import Team
from rookery.errors import ConfigError
from rookery.learning.rollout import Tally, rollout
from rookery.runs.program import EVALUATION, Program, summarise
from rookery.types import Env, PyTree

BATCH = 250
"""Episodes played side by side in `evaluate_team`; more only cost memory."""


def evaluation_key(seed: int, domain: int = 0) -> jax.Array:
    """Key of evaluation episodes: of another domain than any training key, whatever the seeds."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.PRNGKey(seed), EVALUATION), domain)


class Evaluator:
    """Evaluates every member of a run at once, compiled once.

    Social: the whole team. Solo: one learning agent with nobody else, for each of them in turn.
    """

    def __init__(self, program: Program, episodes: int, devices: list | None = None):
        env = program.env
        slots = program.team.learning_slots
        self.slots = slots

        def play(learners, key, frozen):
            params = env.default_params()  # the task as configured: schedules are for training

            def under(present):
                mask = jnp.broadcast_to(present, (episodes, env.agents))
                return summarise(program.play_member(learners, params, frozen, key, mask))

            social = under(jnp.ones(env.agents, bool))
            if env.agents == 1:
                return social, social
            alone = [under(jnp.arange(env.agents) == slot) for slot in slots]
            solo = {
                name: jnp.stack([told[name][slot] for told, slot in zip(alone, slots, strict=True)])
                for name in social
            }
            return social, solo

        self._play = jax.jit(program.over_members(play, devices, arguments=2))
        self._members = program.config.members

    def __call__(self, learners: PyTree, seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
        """Returns 'social' and 'solo' (each name -> f32[M, L], L learning agents) and 'gain' {'return': f32[M, L]}."""
        keys = jnp.stack([evaluation_key(seed + number) for _, number in self._members])
        social, solo = jax.device_get(self._play(learners, keys))
        slots = list(self.slots)
        social = {name: value[:, slots] for name, value in social.items()}
        if next(iter(solo.values())).shape != next(iter(social.values())).shape:
            solo = {name: value[:, slots] for name, value in solo.items()}
        return {"social": social, "solo": solo, "gain": {"return": social["return"] - solo["return"]}}


def evaluate_team(
    env: Env,
    team: Team,
    params: dict[str, PyTree],
    episodes: int = 1000,
    seed: int = 0,
    present: np.ndarray | None = None,
) -> Tally:
    """Play a team without learning. Returns the tally of all episodes, numpy.

    Args:
      params: by group; none may learn.
      present: bool[A], who takes part; default all.
    Raises: ConfigError for fewer than one episode.
    """
    if episodes < 1:
        raise ConfigError(f"episodes={episodes} must be at least 1")
    team = Team(tuple(dataclasses.replace(group, learner=None) for group in team.groups))
    team.check(env)
    who = jnp.ones(env.agents, bool) if present is None else jnp.asarray(present)
    batch = min(BATCH, episodes)
    mask = jnp.broadcast_to(who, (batch, env.agents))
    play = jax.jit(lambda params, key: rollout(env, team, params, env.default_params(), key, mask)[1])
    parts = [
        jax.device_get(play(params, evaluation_key(seed, 1 + number))) for number in range(-(-episodes // batch))
    ]
    joined: Any = jax.tree.map(lambda *leaves: np.concatenate(leaves)[:episodes], *parts)
    return joined
