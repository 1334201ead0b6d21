"""A replay buffer of whole episodes, from which sequences are sampled by priority.

Episodes are stored in a ring: new ones replace the oldest. Each is cut into K chunks of steps to learn from; a chunk is
sampled with probability priority^exponent, normalized over all chunks. The buffer is a PyTree of arrays of fixed size:
it is part of the learner's state, saved with it, and restored to the same numbers.

Source: Schaul et al. 2016, arXiv:1511.05952; Kapturowski et al. 2019 (R2D2), section 2.3.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.types import PRNGKey, PyTree, Trajectory

MIN_PRIORITY = 1e-6
"""Added to the priority of every chunk that has steps to learn from."""


class ReplayBuffer(NamedTuple):
    """C episodes of T steps, K chunks each. Time is the leading axis, as in a trajectory."""

    observation: UInt8[Array, "T+1 C ..."]
    action: Int[Array, "T C"]
    reward: Float[Array, "T C"]
    is_first: Bool[Array, "T+1 C"]
    terminated: Bool[Array, "T C"]
    loss_mask: Bool[Array, "T C"]
    carry: PyTree  # recurrent state before each chunk's first observation, when it was played, f32[K, C, ...]
    priority: Float[Array, "K C"]  # 0 where there is nothing to learn from: never sampled
    num_added: Int[Array, ""]  # episodes added so far, kept below 2 C; the next one is stored at num_added % C


def init(capacity: int, steps: int, num_chunks: int, observation: jax.Array, carry: PyTree) -> ReplayBuffer:
    """An empty buffer.

    Args:
      observation, carry: of one step and one episode, [...] and [M]; only their shapes and types are used.
    """
    return ReplayBuffer(
        observation=jnp.zeros((steps + 1, capacity, *observation.shape), observation.dtype),
        action=jnp.zeros((steps, capacity), jnp.int32),
        reward=jnp.zeros((steps, capacity)),
        is_first=jnp.zeros((steps + 1, capacity), bool),
        terminated=jnp.zeros((steps, capacity), bool),
        loss_mask=jnp.zeros((steps, capacity), bool),
        carry=jax.tree.map(lambda x: jnp.zeros((num_chunks, capacity, *x.shape), x.dtype), carry),
        priority=jnp.zeros((num_chunks, capacity)),
        num_added=jnp.int32(0),
    )


def add(replay: ReplayBuffer, trajectory: Trajectory, carry: PyTree, priority: Float[Array, "K E"]) -> ReplayBuffer:
    """Store E <= C episodes in place of the oldest."""
    capacity, episodes = replay.action.shape[1], trajectory.action.shape[1]
    index = (replay.num_added + jnp.arange(episodes)) % capacity

    def put(old, new):
        return old.at[:, index].set(new.astype(old.dtype))

    return ReplayBuffer(
        observation=put(replay.observation, trajectory.observation),
        action=put(replay.action, trajectory.action),
        reward=put(replay.reward, trajectory.reward),
        is_first=put(replay.is_first, trajectory.is_first),
        terminated=put(replay.terminated, trajectory.terminated),
        loss_mask=put(replay.loss_mask, trajectory.loss_mask),
        carry=jax.tree.map(put, replay.carry, carry),
        priority=put(replay.priority, priority),
        # Kept below twice the capacity, so that the count never overflows.
        num_added=jnp.where(replay.num_added >= capacity, replay.num_added % capacity + capacity, replay.num_added)
        + episodes,
    )


def size(replay: ReplayBuffer) -> Int[Array, ""]:
    """How many episodes the buffer holds."""
    return jnp.minimum(replay.num_added, replay.action.shape[1])


def probabilities(priority: Float[Array, "N"], exponent: float) -> Float[Array, "N"]:
    """The probability of each chunk: its priority^exponent over the sum; all 0 if no priority is above 0."""
    weight = jnp.where(priority > 0, priority, 0.0) ** exponent * (priority > 0)
    return weight / jnp.maximum(weight.sum(), jnp.finfo(jnp.float32).tiny)


def sample(probability: Float[Array, "N"], key: PRNGKey, count: int) -> Int[Array, "B"]:
    """Sample indices with these probabilities, with replacement, one from each of `count` strata of equal probability.

    The expected number of samples of an index is count × its probability; strata only reduce the variance. An index
    with probability 0 is never sampled, unless all have probability 0.
    """
    cumulative = jnp.cumsum(probability)
    total = cumulative[-1]
    point = (jnp.arange(count) + jax.random.uniform(key, (count,))) / count * total
    # Rounding may bring a point up to the total, beyond the last index.
    point = jnp.minimum(point, jnp.nextafter(total, jnp.float32(0)))
    return jnp.minimum(jnp.searchsorted(cumulative, point, side="right"), len(probability) - 1)


def importance_weights(
    probability: Float[Array, "B"], num_available: Int[Array, ""], exponent: float | Float[Array, ""]
) -> Float[Array, "B"]:
    """Weights of sampled chunks: (1 / (N × probability))^exponent, divided by the largest of them.

    Args:
      probability: of the sampled chunks. num_available: N, how many chunks can be sampled at all.
      exponent: 0 to 1; at 1 the weighted mean is that of uniform sampling.
    """
    weight = (1 / jnp.maximum(num_available * probability, jnp.finfo(jnp.float32).tiny)) ** exponent
    weight = jnp.where(probability > 0, weight, 0.0)
    return weight / jnp.maximum(weight.max(), jnp.finfo(jnp.float32).tiny)


def mixed_priority(error: Float[Array, "L N"], loss_mask: Bool[Array, "L N"], eta: float) -> Float[Array, "N"]:
    """eta × the largest absolute error of a sequence + (1 - eta) × its mean, over the steps that count.

    Slightly above 0 if a step counts, so that every sequence can be sampled again; 0 if none does.
    Source: Kapturowski et al. 2019, section 2.3 (eta = 0.9).
    """
    abs_error = jnp.abs(error) * loss_mask
    count = loss_mask.sum(0)
    mean = abs_error.sum(0) / jnp.maximum(count, 1)
    return jnp.where(count > 0, eta * abs_error.max(0) + (1 - eta) * mean + MIN_PRIORITY, 0.0)


def set_priorities(
    replay: ReplayBuffer, chunk: Int[Array, "N"], episode: Int[Array, "N"], priority: Float[Array, "N"]
) -> ReplayBuffer:
    """Set the priorities of chunks; for one that was sampled twice, the larger one."""
    cleared = replay.priority.at[chunk, episode].set(0.0)
    return replay._replace(priority=cleared.at[chunk, episode].max(priority))
