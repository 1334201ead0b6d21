"""One learner's batch in shards, which several devices share: the cores of a CPU, or GPUs.

On a CPU the number of shards depends on the batch alone, and their results are added up in a fixed order: the numbers
are the same for any number of cores. A core processes its shards one after another; in a program that is not spread
over cores (`training.train_step`), one device processes all of them. A GPU reads a batch at once, so there each device
that shares has one shard.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp

from rookery.types import PyTree

SHARD_AXIS = "shard"
"""The axis of a device mesh along which devices share one learner's batch."""

MAX_SHARDS = 8
"""The most shards, and so the most devices, of one learner."""


def num_shards(num_items: int, min_per_shard: int = 1) -> int:
    """Largest power-of-two shard count, up to MAX_SHARDS, that divides the items and has at least `min_per_shard` each.

    It is 1 if there are too few items.
    """
    number = math.gcd(MAX_SHARDS, num_items)
    while number > 1 and num_items // number < min_per_shard:
        number //= 2
    return number


def usable_devices(num_devices: int) -> int:
    """How many of the devices can share a learner's shards evenly."""
    return max(n for n in range(1, MAX_SHARDS + 1) if n <= num_devices and MAX_SHARDS % n == 0)


def num_sharing_devices() -> int:
    """How many devices share a learner's shards in the program that is being traced."""
    try:
        return jax.lax.psum(1, SHARD_AXIS)  # a Python int: the size of the axis
    except NameError:
        return 1


def shards_of_devices(num_items: int) -> int:
    """Shards of a batch that a device reads at once: one for each device that shares it, if they divide the items.

    1 on a CPU, where the numbers must not depend on the devices.
    """
    sharing = num_sharing_devices()
    return sharing if jax.default_backend() != "cpu" and num_items % sharing == 0 else 1


def map_shards(function: Callable[[PyTree], PyTree], inputs: PyTree) -> PyTree:
    """Apply a function to each shard: leaves of inputs and outputs lead with shards. Every device gets all outputs."""
    number, sharing = len(jax.tree.leaves(inputs)[0]), num_sharing_devices()
    if sharing == 1 or number % sharing:
        return jax.lax.map(function, inputs)
    size = number // sharing
    first = jax.lax.axis_index(SHARD_AXIS) * size
    own = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, first, size), inputs)
    return jax.lax.all_gather(jax.lax.map(function, own), SHARD_AXIS, tiled=True)


def ordered_sum(outputs: PyTree) -> PyTree:
    """The sum over shards, in their order."""
    return jax.tree.map(lambda x: functools.reduce(operator.add, list(x)), outputs)


def split_shards(tree: PyTree, count: int, axis: int) -> PyTree:
    """[..., N, ...] to [count, ..., N / count, ...]: consecutive items are in one shard."""

    def split(x):
        x = x.reshape(*x.shape[:axis], count, x.shape[axis] // count, *x.shape[axis + 1 :])
        return jnp.moveaxis(x, axis, 0)

    return jax.tree.map(split, tree)


def join_shards(tree: PyTree, axis: int) -> PyTree:
    """The inverse of `split_shards`."""

    def join(x):
        x = jnp.moveaxis(x, 0, axis)
        return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])

    return jax.tree.map(join, tree)
