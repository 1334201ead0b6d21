"""One learner's batch in lanes, which cores of a CPU share.

How many lanes there are depends on the batch alone, and what they come to is added up in their order: numbers are the
same for any number of cores. A core works on its lanes in turn; where a program is not spread over cores
(`runs.program`), one device works on all.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable

import jax
import jax.numpy as jnp

from rookery.types import PyTree

SHARD_AXIS = "lane"
"""The axis of a mesh along which cores share one learner's batch."""

MAX_SHARDS = 8
"""Lanes, and so cores for one learner, at most."""


def num_shards(num_items: int, min_per_shard: int = 1) -> int:
    """Into how many lanes so many things go, at least `fewest` in each: a power of two."""
    number = math.gcd(MAX_SHARDS, num_items)
    while number > 1 and num_items // number < min_per_shard:
        number //= 2
    return number


def usable_devices(num_devices: int) -> int:
    """How many of so many devices can share a learner's lanes evenly."""
    return max(n for n in range(1, MAX_SHARDS + 1) if n <= num_devices and MAX_SHARDS % n == 0)


def num_sharing_devices() -> int:
    """How many devices share a learner's lanes in the program that is being traced."""
    try:
        return jax.lax.psum(1, SHARD_AXIS)  # a plain number: the axis' size
    except NameError:
        return 1


def map_shards(function: Callable[[PyTree], PyTree], inputs: PyTree) -> PyTree:
    """A function of each lane. Leaves of inputs and outputs lead with the lanes; every core gets all outputs."""
    number, shared = len(jax.tree.leaves(inputs)[0]), num_sharing_devices()
    if shared == 1 or number % shared:
        return jax.lax.map(function, inputs)
    size = number // shared
    first = jax.lax.axis_index(SHARD_AXIS) * size
    own = jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, first, size), inputs)
    return jax.lax.all_gather(jax.lax.map(function, own), SHARD_AXIS, tiled=True)


def ordered_sum(outputs: PyTree) -> PyTree:
    """The sum over lanes, in their order."""
    return jax.tree.map(lambda x: functools.reduce(operator.add, list(x)), outputs)


def split_shards(tree: PyTree, count: int, axis: int) -> PyTree:
    """[..., N, ...] to [number, ..., N / number, ...]: consecutive things share a lane."""

    def cut(x):
        x = x.reshape(*x.shape[:axis], count, x.shape[axis] // count, *x.shape[axis + 1 :])
        return jnp.moveaxis(x, axis, 0)

    return jax.tree.map(cut, tree)


def join_shards(tree: PyTree, axis: int) -> PyTree:
    """The reverse of `split`."""

    def whole(x):
        x = jnp.moveaxis(x, 0, axis)
        return x.reshape(*x.shape[:axis], -1, *x.shape[axis + 2 :])

    return jax.tree.map(whole, tree)
