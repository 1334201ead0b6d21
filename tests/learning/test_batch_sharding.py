import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import Mesh, PartitionSpec

from rookery.learning import batch_sharding

HERE, THERE = PartitionSpec(), PartitionSpec(batch_sharding.SHARD_AXIS)


def shared_by(cores: int, function):
    """The function in a program that so many devices share; every device's result, one after another."""
    mesh = Mesh(np.array(jax.devices()[:cores]), (batch_sharding.SHARD_AXIS,))
    stacked = lambda *a: jax.tree.map(lambda x: x[None], function(*a))  # noqa: E731
    return jax.jit(jax.shard_map(stacked, mesh=mesh, in_specs=HERE, out_specs=THERE, check_vma=False))


@pytest.mark.parametrize(
    ("things", "fewest", "number"),
    [(64, 1, 8), (128, 16, 8), (96, 16, 4), (128, 40, 2), (12, 1, 4), (7, 1, 1), (16, 32, 1), (1, 1, 1)],
)
def test_how_many_lanes(things, fewest, number):
    assert batch_sharding.num_shards(things, fewest) == number


@given(st.integers(1, 5_000), st.integers(1, 64))
def test_lanes_are_even_and_full(things, fewest):
    number = batch_sharding.num_shards(things, fewest)
    assert things % number == 0
    assert number == 1 or things // number >= fewest


@pytest.mark.parametrize(("devices", "cores"), [(1, 1), (2, 2), (3, 2), (4, 4), (7, 4), (8, 8), (100, 8)])
def test_how_many_devices_share(devices, cores):
    assert batch_sharding.usable_devices(devices) == cores


def test_how_many_share_is_known_within():
    assert batch_sharding.num_sharing_devices() == 1
    result = shared_by(2, lambda: jnp.full((), batch_sharding.num_sharing_devices()))()
    assert result.tolist() == [2, 2]


@pytest.mark.parametrize("cores", [1, 2])
@pytest.mark.parametrize("number", [1, 2, 3, 8])
def test_every_core_gets_all_shards_and_the_same(cores, number):
    """A number of shards that the cores do not divide is worked on by all of them."""
    inputs = {"x": jnp.arange(number * 6.0).reshape(number, 6)}

    def function(x):
        return batch_sharding.map_shards(lambda own: {"twice": 2 * own["x"], "sum": own["x"].sum()}, x)

    metrics = shared_by(cores, function)(inputs)
    for core in range(cores):
        np.testing.assert_array_equal(metrics["twice"][core], 2 * inputs["x"])
        np.testing.assert_array_equal(metrics["sum"][core], inputs["x"].sum(1))


def test_cores_take_different_lanes():
    def function(x):
        return batch_sharding.map_shards(lambda own: own + 100 * jax.lax.axis_index(batch_sharding.SHARD_AXIS), x)

    assert shared_by(2, function)(jnp.arange(4))[0].tolist() == [0, 1, 102, 103]


def test_lanes_are_added_in_their_order():
    """(1e8 + 1) - 1e8 is 0 in single precision; in another order it would be 1."""
    assert float(batch_sharding.ordered_sum(jnp.float32([1e8, 1.0, -1e8]))) == 0.0
    assert float(batch_sharding.ordered_sum(jnp.float32([1e8, -1e8, 1.0]))) == 1.0


@given(st.sampled_from([1, 2, 4]), st.integers(1, 3), st.integers(0, 2))
def test_join_reverses_split(number, each, axis):
    shape = [2, 3, 4]
    shape[axis] = number * each
    x = np.arange(np.prod(shape)).reshape(shape)
    cut = batch_sharding.split_shards({"x": x}, number, axis)["x"]
    assert cut.shape[0] == number
    np.testing.assert_array_equal(cut[0], np.take(x, np.arange(each), axis))
    np.testing.assert_array_equal(batch_sharding.join_shards({"x": cut}, axis)["x"], x)
