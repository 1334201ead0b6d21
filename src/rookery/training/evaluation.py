"""Play frozen agents on episodes no training ever saw: beside their team, and alone.

*Social gain* is the return beside the others minus the return alone, same agent, same worlds. A high return is
not yet social learning: an agent may have learned to explore for itself. The gain tells.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.team import Team
from rookery.errors import ConfigError
from rookery.learning.rollout import EpisodeStats, rollout
from rookery.training.train_step import EVALUATION_STREAM, Run, summarize
from rookery.types import Env, PyTree

EVAL_BATCH_SIZE = 250
"""Episodes played side by side in a `Match`; more only cost memory."""


def evaluation_key(seed: int, stream: int = 0) -> jax.Array:
    """Key of evaluation episodes: of another domain than any training key, whatever the seeds.

    Raises: ConfigError for a seed outside [0, 2^32).
    """
    if not 0 <= seed < 2**32:
        raise ConfigError(f"seed={seed} must lie in [0, 2^32)")
    return jax.random.fold_in(jax.random.fold_in(jax.random.PRNGKey(seed), EVALUATION_STREAM), stream)


class RunEvaluator:
    """Evaluates every member of a run at once, compiled once.

    Social: the whole team. Solo: one learning agent with nobody else, for each of them in turn.
    """

    def __init__(self, run: Run, episodes: int, devices: list | None = None):
        env = run.env
        slots = run.team.learning_slots
        self.slots = slots

        def play(learners, key, frozen) -> Any:
            params = env.default_params()  # the task as configured: schedules are for training

            def under(present):
                mask = jnp.broadcast_to(present, (episodes, env.num_agents))
                return summarize(run.evaluate_replica(learners, params, frozen, key, mask))

            everyone = jnp.ones(env.num_agents, bool)
            if env.num_agents == 1:
                return (social := under(everyone)), social
            # In turn, so that a whole episode is compiled once and not once for each presence.
            who = jnp.stack([everyone, *(jnp.arange(env.num_agents) == slot for slot in slots)])
            told = jax.lax.map(under, who)
            social = {name: value[0] for name, value in told.items()}
            solo = {
                name: jnp.stack([value[1 + i, slot] for i, slot in enumerate(slots)]) for name, value in told.items()
            }
            return social, solo

        self._play = jax.jit(run.map_replicas(play, devices, num_args=2))
        self._members = run.config.replicas

    def __call__(self, learners: PyTree, seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
        """Returns 'social' and 'solo' (each name -> f32[M, L], L learning agents) and 'gain' {'return': f32[M, L]}."""
        keys = jnp.stack([evaluation_key(seed + number) for _, number in self._members])
        social, solo = jax.device_get(self._play(learners, keys))
        social = {name: value[:, list(self.slots)] for name, value in social.items()}
        return {"social": social, "solo": solo, "social_gain": {"return": social["return"] - solo["return"]}}


class TeamEvaluator:
    """A team at play without learning, compiled once for any parameters and any presence."""

    def __init__(self, env: Env, team: Team, batch_size: int = EVAL_BATCH_SIZE):
        team = Team(tuple(dataclasses.replace(group, learner=None) for group in team.groups))
        team.validate(env)
        self.env, self.team, self.batch = env, team, batch_size

        def play(params, key, present):
            mask = jnp.broadcast_to(present, (batch_size, env.num_agents))
            return rollout(env, team, params, env.default_params(), key, mask)[1]

        self._play = jax.jit(play)

    def evaluate(
        self, params: dict[str, PyTree], episodes: int = 1000, seed: int = 0, agent_mask: np.ndarray | None = None
    ) -> EpisodeStats:
        """Play episodes of evaluation. Returns the tally of all, numpy; the same worlds for the same seed.

        Args:
          params: policy parameters by group.
          present: bool[A], who takes part; default all.
        Raises: ConfigError for fewer than one episode.
        """
        if episodes < 1:
            raise ConfigError(f"episodes={episodes} must be at least 1")
        who = jnp.ones(self.env.num_agents, bool) if agent_mask is None else jnp.asarray(agent_mask)
        parts = [
            jax.device_get(self._play(params, evaluation_key(seed, 1 + number), who))
            for number in range(-(-episodes // self.batch))
        ]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:episodes], *parts)


def two_level_interval(
    values: np.ndarray, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0, over_seeds: bool = True
) -> tuple[float, float, float]:
    """Mean of f32[S, E] (S seeds, E episodes each) and a percentile interval: (mean, low, high).

    Seeds are drawn anew first, then each one's mean within its own error, so that few seeds give a wide
    interval however many episodes each played. Not `over_seeds`: the interval of the mean of just these seeds.
    """
    values = np.asarray(values, np.float64)
    seeds, episodes = values.shape
    means = values.mean(1)
    error = values.std(1, ddof=1) / np.sqrt(episodes) if episodes > 1 else np.zeros(seeds)
    random = np.random.default_rng(seed)
    drawn = random.integers(0, seeds, (resamples, seeds)) if over_seeds else np.tile(np.arange(seeds), (resamples, 1))
    again = means[drawn] + error[drawn] * random.standard_normal(drawn.shape)
    low, high = np.quantile(again.mean(1), [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(means.mean()), float(low), float(high)
