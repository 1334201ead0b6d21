"""In-context accumulation in Memory Sequence: generations of trained agents, whose weights no longer change.

A generation plays an episode of several trials. It sees what the one before had right in its best trial, less and less
from trial to trial, and hands on its own best trial. The sequence of an episode is the same for all generations: what
they know of it they have from their memory and from what they saw.

Letters in shapes: E episodes, P agents of a population, N = E · P, K trials, L digits, G generations.

Source: Cook et al. 2024, arXiv:2406.00392, evaluation of in-context accumulation. There, the best agent of a generation
acts again, its state reset in each trial, so that it guesses again where it does not know; in the published code, the
actions of the best trial are shown.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from rookery import keys
from rookery.errors import ConfigError
from rookery.interfaces import Policy
from rookery.tasks.memory_sequence import MemorySequence
from rookery.training.evaluation import evaluation_key
from rookery.types import PRNGKey, PyTree

LEARNER, EXAMPLE = 0, 1
"""Slots."""
NO_DIGIT = -1
"""In place of a digit."""


class Lives(NamedTuple):
    """What N agents did in an episode each."""

    actions: Int[Array, "N K L"]  # digits; NO_DIGIT where a trial had ended
    correct: Float[Array, "N K"]  # right digits of each trial
    reward: Float[Array, "N K"]


@functools.partial(jax.jit, static_argnums=(0, 1))
def play_lives(
    task: MemorySequence,
    policy: Policy,
    params: PyTree,
    sequence_keys: PRNGKey,
    key: PRNGKey,
    example: Int[Array, "N L"],
    visibility: Float[Array, ""],
    has_example: Bool[Array, ""],
) -> Lives:
    """Let N agents live an episode each, next to an example that says given digits.

    Args:
      task: with the learner in slot 0 and an example in slot 1, which fades over the trials.
      sequence_keys: u32[N, 2], which say what the sequences are. key: of everything else.
      example: what it says at each place, NO_DIGIT for nothing.
      visibility: of the example in the first trial.
      has_example: whether there is one at all.
    """
    env, num_lives = task.make_env(), example.shape[0]
    params_of_task: Any = task.default_params()
    rules = params_of_task.world.replace(visibility=visibility)
    params_of_task = params_of_task.replace(world=rules)
    mask = jnp.broadcast_to(jnp.array([True, False]) | has_example, (num_lives, 2))
    state, timestep = jax.vmap(env.reset, (0, None, 0))(sequence_keys, params_of_task, mask)
    state_key, act_key = jax.random.split(key)
    state = state.replace(key=jax.random.split(state_key, num_lives))
    lives = Lives(
        actions=jnp.full((num_lives, task.num_trials, task.sequence_length), NO_DIGIT),
        correct=jnp.zeros((num_lives, task.num_trials)),
        reward=jnp.zeros((num_lives, task.num_trials)),
    )

    def step(carry, t):
        state, timestep, memory, lives = carry
        observation, step_key = timestep.observation[:, LEARNER], jax.random.fold_in(act_key, t)
        action, memory, _ = policy.act(params, memory, observation, timestep.is_first, step_key)
        places = jax.vmap(task.asked_places)(state)
        shown = jnp.take_along_axis(example, jnp.maximum(places[:, EXAMPLE : EXAMPLE + 1], 0), 1)[:, 0]
        joint = jnp.stack([action, shown], 1).astype(jnp.int32)
        after, timestep = jax.vmap(env.step, (0, 0, None))(state, joint, params_of_task)
        here = jnp.arange(task.num_trials) == state.trial[:, None]  # N, K; none once the episode is over
        at_place = jnp.arange(task.sequence_length) == places[:, LEARNER, None]
        lives = Lives(
            actions=jnp.where(here[:, :, None] & at_place[:, None], action[:, None, None], lives.actions),
            correct=lives.correct + here * timestep.info["digits"][:, LEARNER, None],
            reward=lives.reward + here * timestep.reward[:, LEARNER, None],
        )
        return (after, timestep, memory, lives), None

    start = (state, timestep, policy.initial_carry(num_lives), lives)
    return jax.lax.scan(step, start, jnp.arange(task.max_steps))[0][3]


def best_trials(lives: Lives, population: int) -> Int[np.ndarray, "E L"]:
    """What was right in the best trial of each population of P agents; the first of equally good ones.

    The mistake that ended it is left out: every follower would repeat it.
    """
    num_trials, length = lives.actions.shape[1:]
    correct = np.asarray(lives.correct).reshape(-1, population * num_trials)
    actions = np.asarray(lives.actions).reshape(-1, population * num_trials, length)
    best = actions[np.arange(len(actions)), correct.argmax(1)]
    return np.where(np.arange(length) < correct.max(1)[:, None], best, NO_DIGIT)


def accumulate(
    task: MemorySequence,
    policy: Policy,
    params: PyTree,
    *,
    num_generations: int,
    population: int,
    episodes: int,
    seed: int = 0,
) -> Float[np.ndarray, "G K"]:
    """Mean return of each trial of each generation. The first generation sees nothing of its example.

    Raises: ConfigError if a mistake does not end a trial: what is right then need not come first, see `best_trials`.
    """
    if not task.mistake_ends_trial:
        raise ConfigError(
            "generations in context need mistake_ends_trial=True: the example of a trial is what was right before its "
            "mistake"
        )
    keys_of_episodes = jax.random.split(evaluation_key(seed, keys.ACCUMULATION_EPISODES), episodes + 1)
    sequence_keys = jnp.repeat(keys_of_episodes[1:], population, axis=0)
    example, returns = np.full((episodes * population, task.sequence_length), NO_DIGIT), []
    for generation in range(num_generations):
        lives = play_lives(
            task, policy, params, sequence_keys, jax.random.fold_in(keys_of_episodes[0], generation),
            jnp.asarray(example, jnp.int32), jnp.float32(generation > 0), jnp.bool_(True),
        )  # fmt: skip
        returns.append(np.asarray(lives.reward).mean(0))
        example = best_trials(lives, population).repeat(population, 0)
    return np.stack(returns)


def live_alone(task: MemorySequence, policy: Policy, params: PyTree, *, episodes: int, seed: int = 0) -> np.ndarray:
    """Mean return of each trial of one life without an example, f[K]; the sequences are those of `accumulate`."""
    keys_of_episodes = jax.random.split(evaluation_key(seed, keys.ACCUMULATION_EPISODES), episodes + 1)
    nothing = jnp.full((episodes, task.sequence_length), NO_DIGIT, jnp.int32)
    lives = play_lives(
        task, policy, params, keys_of_episodes[1:], keys_of_episodes[0], nothing, jnp.float32(0), jnp.bool_(False)
    )
    return np.asarray(lives.reward).mean(0)
