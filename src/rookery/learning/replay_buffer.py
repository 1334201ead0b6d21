"""A memory of whole episodes, and sequences drawn from it by how much there is to learn from them.

Episodes stand in a ring: the newest take the places of the oldest. Each is cut into K chunks of steps to learn from;
a chunk is drawn with probability priority^exponent, over the sum of all. The memory is a pytree of arrays of fixed
size: it lives in the learner's state, is saved with it, and comes back to the same numbers.

Source: Schaul et al. 2016, arXiv:1511.05952; Kapturowski et al. 2019 (R2D2), section 2.3.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.types import PRNGKey, PyTree, Trajectory


class ReplayBuffer(NamedTuple):
    """C episodes of T steps, K chunks each. Time leads, as in a trajectory."""

    observation: UInt8[Array, "T+1 C ..."]
    action: Int[Array, "T C"]
    reward: Float[Array, "T C"]
    is_first: Bool[Array, "T+1 C"]
    terminated: Bool[Array, "T C"]
    loss_mask: Bool[Array, "T C"]
    carry: PyTree  # memory before each chunk's first observation when it was played, f32[K, C, M]
    priority: Float[Array, "K C"]  # 0 where there is nothing to learn from: never drawn
    num_added: Int[Array, ""]  # episodes ever added; the next one takes place added % C


def init(capacity: int, steps: int, num_chunks: int, observation: jax.Array, carry: PyTree) -> ReplayBuffer:
    """A blank memory.

    Args:
      observation, carry: of one step and one episode, [...] and [M]; only shapes and types are used.
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
    """Put E <= C episodes in the places of the oldest."""
    capacity, episodes = replay.action.shape[1], trajectory.action.shape[1]
    place = (replay.num_added + jnp.arange(episodes)) % capacity

    def put(old, new):
        return old.at[:, place].set(new.astype(old.dtype))

    return ReplayBuffer(
        observation=put(replay.observation, trajectory.observation),
        action=put(replay.action, trajectory.action),
        reward=put(replay.reward, trajectory.reward),
        is_first=put(replay.is_first, trajectory.is_first),
        terminated=put(replay.terminated, trajectory.terminated),
        loss_mask=put(replay.loss_mask, trajectory.loss_mask),
        carry=jax.tree.map(put, replay.carry, carry),
        priority=put(replay.priority, priority),
        # Kept below twice the capacity, so that no number of episodes is too many to count.
        num_added=jnp.where(replay.num_added >= capacity, replay.num_added % capacity + capacity, replay.num_added)
        + episodes,
    )


def size(replay: ReplayBuffer) -> Int[Array, ""]:
    """How many episodes there are."""
    return jnp.minimum(replay.num_added, replay.action.shape[1])


def probabilities(priority: Float[Array, "N"], exponent: float) -> Float[Array, "N"]:
    """The probability of each chunk: its priority^exponent over the sum; all 0 where no priority is above 0."""
    weight = jnp.where(priority > 0, priority, 0.0) ** exponent * (priority > 0)
    return weight / jnp.maximum(weight.sum(), jnp.finfo(jnp.float32).tiny)


def sample(probability: Float[Array, "N"], key: PRNGKey, count: int) -> Int[Array, "count"]:
    """Draw by these probabilities, with replacement, one from each of `count` equal strata of the whole.

    A chunk's expected number of draws is count × its probability; strata only make the number vary less. What has
    probability 0 is never drawn, unless all have.
    """
    reached = jnp.cumsum(probability)
    whole = reached[-1]
    point = (jnp.arange(count) + jax.random.uniform(key, (count,))) / count * whole
    # Rounding may bring a point up to the whole, beyond which there is nothing.
    point = jnp.minimum(point, jnp.nextafter(whole, jnp.float32(0)))
    return jnp.minimum(jnp.searchsorted(reached, point, side="right"), len(probability) - 1)


def importance_weights(
    probability: Float[Array, "count"], num_available: Int[Array, ""], exponent
) -> Float[Array, "count"]:
    """How much each drawn chunk counts: (1 / (N × probability))^exponent, over the largest of them.

    Args:
      chance: of those drawn. available: N, how many can be drawn at all.
      exponent: 0 to 1; 1 undoes all that drawing by priority does to the mean.
    """
    weight = (1 / jnp.maximum(num_available * probability, jnp.finfo(jnp.float32).tiny)) ** exponent
    weight = jnp.where(probability > 0, weight, 0.0)
    return weight / jnp.maximum(weight.max(), jnp.finfo(jnp.float32).tiny)


def mixed_priority(error: Float[Array, "L N"], loss_mask: Bool[Array, "L N"], eta: float) -> Float[Array, "N"]:
    """mix × the largest error of a sequence + (1 - mix) × its mean error, over the steps that count.

    A little above 0 wherever a step counts, so that nothing is out of reach for ever; 0 where none does.
    Source: Kapturowski et al. 2019, section 2.3 (eta = 0.9).
    """
    size = jnp.abs(error) * loss_mask
    count = loss_mask.sum(0)
    mean = size.sum(0) / jnp.maximum(count, 1)
    return jnp.where(count > 0, eta * size.max(0) + (1 - eta) * mean + MIN_PRIORITY, 0.0)


MIN_PRIORITY = 1e-6
"""Added to the priority of whatever can be learned from."""


def set_priorities(
    replay: ReplayBuffer, chunk: Int[Array, "N"], episode: Int[Array, "N"], priority: Float[Array, "N"]
) -> ReplayBuffer:
    """Set the priorities of chunks; of one drawn twice, the larger stands."""
    cleared = replay.priority.at[chunk, episode].set(0.0)
    return replay._replace(priority=cleared.at[chunk, episode].max(priority))
