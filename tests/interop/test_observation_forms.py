"""The option `observation`, one by one and in every adapter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.interop.gymnasium import SingleAgentEnv, SingleAgentVectorEnv
from rookery.interop.jaxmarl import DictEnv
from rookery.interop.observation_forms import OBSERVATION_FORMS, observation_form
from rookery.interop.pettingzoo import parallel_env
from tests.interop.counting import Counting, random_value

IMAGE = np.random.default_rng(0).integers(0, 256, (2, 21, 28, 3)).astype(np.uint8)


def test_a_flat_observation_is_scaled_the_same_in_numpy_and_jax():
    form = observation_form("flat", (16, 16))
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    flat = form(every)
    assert (form.shape, flat.shape, flat.dtype) == ((256,), (1, 256), np.float32)
    assert flat[0].tolist() == [np.float32(i) * np.float32(1 / 255) for i in range(256)]
    assert (flat.min(), flat.max()) == (0, 1)
    np.testing.assert_array_equal(jax.jit(form)(jnp.asarray(every)), flat)


def test_an_enlarged_image_repeats_the_nearest_pixels():
    form = observation_form("84x84", (21, 28, 3))
    large = form(IMAGE)
    assert (form.shape, large.shape, large.dtype) == ((84, 84, 3), (2, 84, 84, 3), np.uint8)
    np.testing.assert_array_equal(large, IMAGE.repeat(4, 1).repeat(3, 2))
    np.testing.assert_array_equal(jax.jit(form)(jnp.asarray(IMAGE)), large)


@pytest.mark.parametrize("name", OBSERVATION_FORMS)
def test_a_batch_has_what_a_single_one_has(name):
    form = observation_form(name, (21, 28, 3))
    np.testing.assert_array_equal(form(IMAGE)[1], form(IMAGE[1]))
    assert form(IMAGE[1]).shape == form.shape


def test_names_and_shapes_that_do_not_fit():
    with pytest.raises(ConfigError, match="observation='flatt' is not known; did you mean 'flat'"):
        SingleAgentEnv(Counting(), observation="flatt")
    with pytest.raises(ConfigError, match=r"needs an image \[height, width, channels\], not the shape \(1, 1\)"):
        parallel_env(Counting(), observation="84x84")


def test_every_adapter_returns_flat_observations():
    first = [np.float32(random_value(3)) * np.float32(1 / 255), 0]
    one = SingleAgentEnv(Counting(), agent=1, observation="flat")
    many = SingleAgentVectorEnv(Counting(), 2, agent=1, observation="flat")
    both = parallel_env(Counting(), observation="flat")
    by_name = DictEnv(Counting(), observation="flat")
    assert one.reset(seed=3)[0].tolist() == many.reset(seed=3)[0][0].tolist() == first
    assert both.reset(seed=3)[0]["agent_1"].tolist() == first
    observations, _ = by_name.reset(jax.random.PRNGKey(3))
    assert observations["agent_1"].tolist() == first
    assert one.reset()[0] in one.observation_space
    assert many.reset()[0] in many.observation_space
    assert both.reset()[0]["agent_0"] in both.observation_space("agent_0")
    assert bool(by_name.observation_space("agent_1").contains(observations["agent_1"]))
    assert {space.shape for space in by_name.observation_spaces.values()} == {(1,), (2,)}
