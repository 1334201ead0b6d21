"""Evaluation of agents that no longer change, on episodes that never occur in training: with their team, and solo.

*Social gain* is the return with the other agents minus the return solo, of the same agent in the same episodes. A high
return alone does not show social learning: an agent may have learned to explore for itself. The social gain tells them
apart.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rookery import keys
from rookery.agents.team import Team, initial_carry
from rookery.agents.team_setup import TeamSetup
from rookery.backend import jax_devices
from rookery.errors import ConfigError, OutOfMemoryError, explain_failure
from rookery.extension_errors import checked_instance
from rookery.learning.rollout import EpisodeStats, rollout
from rookery.limits import MAX_ENVS, MAX_EPISODES, check_count, check_key_seed
from rookery.tasks.checks import start_backend
from rookery.training.extension_checks import check_metrics
from rookery.training.memory import check_fits, environment_bytes, format_bytes, tree_bytes
from rookery.training.train_step import Run, hide_missing, show_missing, summarize
from rookery.types import Env, PyTree, Trajectory

HEALTH_STEPS = 4_000
"""Steps of a run's held-out episodes on which the health of its learners is measured, at most, but for one episode."""

EVAL_BATCH_SIZE = 250
"""Episodes that `evaluate_team` plays side by side by default; more only cost memory."""


def evaluation_key(seed: int, stream: int = 0) -> jax.Array:
    """Random key of evaluation episodes. No seed or stream gives a key of training episodes.

    Raises: ConfigError for a seed outside [0, 2^32), and as `start_backend`.
    """
    start_backend()
    return jax.random.fold_in(jax.random.fold_in(jax.random.PRNGKey(check_key_seed(seed)), keys.EVALUATION), stream)


def play_episodes(setup: TeamSetup, key: jax.Array, agent_mask: jax.Array) -> EpisodeStats:
    """Play one episode for each row of `agent_mask` (bool[E, A], the agents that take part), without learning."""
    return rollout(setup.env, setup.team, setup.params, setup.env.default_params(), key, agent_mask)[1]


def evaluate_team(
    setup: TeamSetup,
    episodes: int = 1000,
    seed: int = 0,
    agent_mask: np.ndarray | None = None,
    batch_size: int = EVAL_BATCH_SIZE,
) -> EpisodeStats:
    """Play evaluation episodes of a team; compiled once for all teams that differ only in their parameters.

    Args:
      setup: its groups' parameters have no axis for slots, whether or not they have learners.
      seed: the same seed gives the same episodes, whatever the agents and the mask.
      agent_mask: bool[A], the agents that take part; None: all.
      batch_size: episodes played side by side; the episodes of a seed depend on it.
    Returns: statistics of every episode, numpy.
    Raises: ConfigError for fewer than one episode, more than have keys of their own, or a team that does not fit the
      environment, or a batch that memory cannot hold; OutOfMemoryError where that shows only while it is played.
    """
    episodes = check_count("episodes", episodes, MAX_EPISODES)
    batch_size = check_count("batch_size", batch_size, MAX_ENVS)
    check_key_seed(seed)
    start_backend()
    if episodes > (most := batch_size * (keys.RECORDED_EPISODES - 1)):  # the batches' streams count up to that number
        raise ConfigError(
            f"episodes={episodes} must be at most {most:,}, in batches of {batch_size}; more are other episodes only "
            "with another seed"
        )
    team = Team(tuple(dataclasses.replace(group, learner=None) for group in setup.team.groups))
    play = _compiled_evaluation(setup.env, team, batch_size)
    with _evaluation_fits(setup.env, team, batch_size):
        mask = jnp.ones(setup.env.num_agents, bool) if agent_mask is None else jnp.asarray(agent_mask)
        batches = [
            jax.device_get(play(setup.params, evaluation_key(seed, 1 + number), mask))
            for number in range(-(-episodes // batch_size))
        ]
        return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:episodes], *batches)


@contextlib.contextmanager
def _evaluation_fits(env: Env, team: Team, batch_size: int) -> Iterator[None]:
    """Around the evaluation of a batch of episodes that are played side by side.

    Raises: ConfigError before anything is compiled if environments and the policies' memories alone need more memory
      than there is; OutOfMemoryError where only what compiled programs need in between is too much.
    """
    spec = env.task.grid_spec
    world = "environments" if spec is None else f"worlds of {spec.height}×{spec.width} cells"
    what = f"{batch_size:,} {world} side by side"
    remedy = "make the world smaller (its height and width, or its map), or its views, or take other partners"
    carries = jax.eval_shape(lambda: [initial_carry(group, batch_size) for group in team.groups])
    needed = batch_size * environment_bytes(env, range(env.num_agents)) + tree_bytes(carries)
    check_fits(what, needed, remedy, jax_devices())
    try:
        yield
    except Exception as error:
        if not isinstance(explain_failure(error), OutOfMemoryError):
            raise
        raise OutOfMemoryError(
            f"{what} need at least {format_bytes(needed)}, and more than there is while they are played: {remedy}"
        ) from error


@functools.lru_cache(maxsize=64)
def _compiled_evaluation(env: Env, team: Team, batch_size: int):
    team.validate(env)

    def play(params, key, agent_mask):
        mask = jnp.broadcast_to(agent_mask, (batch_size, env.num_agents))
        return play_episodes(TeamSetup(env, team, params), key, mask)

    return jax.jit(play)


class RunEvaluator:
    """Evaluates all replicas of a run at once, on the run's devices; compiled once.

    Social: the whole team. Solo: one learning agent without others, for each learning agent in turn. Health: what the
    learners measure of their losses and rewards on a few of the social episodes (`Learner.health`).
    """

    def __init__(self, run: Run, episodes: int, devices: list[Any] | None = None) -> None:
        env, slots = run.env, run.team.learning_slots
        self.learning_slots = slots
        self._replicas = run.replicas
        health_episodes = min(episodes, max(1, HEALTH_STEPS // env.max_steps))

        def evaluate(learners, key, replica_params, frozen_params) -> Any:
            setup = run.team_setup(learners, {**frozen_params, **replica_params})

            def with_mask(agent_mask):
                mask = jnp.broadcast_to(agent_mask, (episodes, env.num_agents))
                trajectories, stats = rollout(env, setup.team, setup.params, env.default_params(), key, mask)
                return summarize(stats), jax.tree.map(lambda x: x[:, :, :health_episodes], trajectories)

            all_agents = jnp.ones(env.num_agents, bool)
            if env.num_agents == 1:
                social, trajectories = with_mask(all_agents)
                return hide_missing((social, social, measure_health(run, learners, trajectories)))
            # One after another, so that an episode is compiled once and not once for each mask.
            masks = jnp.stack([all_agents, *(jnp.arange(env.num_agents) == slot for slot in slots)])
            metrics, trajectories = jax.lax.map(with_mask, masks)
            social = {name: value[0] for name, value in metrics.items()}
            solo = {
                name: jnp.stack([value[1 + i, slot] for i, slot in enumerate(slots)]) for name, value in metrics.items()
            }
            # Where no learner measures anything, the trajectories have no use, and the compiler drops them.
            health = measure_health(run, learners, jax.tree.map(lambda x: x[0], trajectories))
            return hide_missing((social, solo, health))

        self._replica_params = run.schedules.replica_params
        self._evaluate = jax.jit(run.map_replicas(evaluate, devices, num_args=3))

    def __call__(self, learners: PyTree, seed: int = 0) -> dict[str, dict[str, np.ndarray]]:
        """Metrics of L learning agents of M replicas.

        Args:
          learners: as in `TrainState`. seed: added to each replica's own.
        Returns: 'social' and 'solo', each name -> f32[M, L], and 'social_gain' {'return': f32[M, L]}; 'health', name ->
          f32[M, L], NaN for agents that do not measure it; left out where no agent measures anything.
        """
        measured = self._evaluate(learners, self._replica_keys(seed), self._replica_params)
        social, solo, health = show_missing(jax.device_get(measured))
        social = {name: value[:, list(self.learning_slots)] for name, value in social.items()}
        gain = {"return": social["return"] - solo["return"]}
        return {"social": social, "solo": solo, "social_gain": gain} | ({"health": health} if health else {})

    def trace(self, learners: PyTree) -> None:
        """Trace what `__call__` would compute from learners of these shapes. Raises what their methods raise."""
        jax.eval_shape(self._evaluate, learners, self._replica_keys(0), self._replica_params)

    def _replica_keys(self, seed: int) -> jax.Array:
        return jnp.stack([evaluation_key(seed + number) for _, number in self._replicas])


def measure_health(
    run: Run, learners: dict[str, PyTree], trajectories: dict[str, Trajectory]
) -> dict[str, Float[Array, "L"]]:
    """`Learner.health` of the L learning agents of one replica, in the order of `Team.learning_slots`.

    Args:
      learners, trajectories: by group, leaves [S, ...].
    Returns: name -> f32[L], NaN for agents that do not measure it.
    """
    by_slot: dict[int, dict[str, jax.Array]] = {}
    for group in run.team.learning_groups:
        for i, slot in enumerate(group.slots):
            learner, trajectory = jax.tree.map(lambda x, i=i: x[i], (learners[group.name], trajectories[group.name]))
            agent_scores = functools.partial(run.env.agent_scores, slot)
            health = group.learner.health(group.policy, learner, trajectory, agent_scores)
            by_slot[slot] = checked_instance(group.learner, "health", health, dict)
            check_metrics(f"group {group.name!r}: the health", health)
    names = dict.fromkeys(name for metrics in by_slot.values() for name in metrics)
    not_measured = jnp.asarray(jnp.nan, jnp.float32)
    slots = run.team.learning_slots
    return {name: jnp.stack([by_slot[slot].get(name, not_measured) for slot in slots]) for name in names}
