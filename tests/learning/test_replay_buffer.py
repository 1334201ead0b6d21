import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.learning import replay_buffer
from rookery.nn.cells import LSTMState
from rookery.types import Trajectory

KEY = jax.random.PRNGKey(0)
T, C, K, M = 6, 5, 2, 3


def blank():
    return replay_buffer.init(C, T, K, jnp.zeros((2, 4), jnp.uint8), LSTMState(jnp.zeros(M), jnp.zeros(M)))


def batch(*numbers):
    """Episodes that hold their own number everywhere."""
    number = jnp.array(numbers)

    def full(steps, dtype, *rest):
        return jnp.broadcast_to(number.reshape(1, -1, *(1 for _ in rest)), (steps, len(numbers), *rest)).astype(dtype)

    trajectory = Trajectory(
        observation=full(T + 1, jnp.uint8, 2, 4),
        action=full(T, jnp.int32),
        reward=full(T, jnp.float32),
        log_prob=full(T, jnp.float32),
        is_first=full(T + 1, bool),
        terminated=full(T, bool),
        loss_mask=full(T, bool),
    )
    return trajectory, LSTMState(full(K, jnp.float32, M), -full(K, jnp.float32, M)), full(K, jnp.float32)


def test_the_newest_take_the_places_of_the_oldest():
    held = blank()
    assert int(replay_buffer.size(held)) == 0
    for numbers, inside, count in (
        ((1, 2, 3), [1, 2, 3, 0, 0], 3),
        ((4, 5, 6), [6, 2, 3, 4, 5], 5),
        ((7, 8), [6, 7, 8, 4, 5], 5),
        ((9, 10, 11), [11, 7, 8, 9, 10], 5),
    ):
        held = replay_buffer.add(held, *batch(*numbers))
        assert held.action[0].tolist() == inside
        assert int(replay_buffer.size(held)) == count
        for leaf in (held.observation[..., 0, 1], held.action, held.reward, held.priority):
            np.testing.assert_array_equal(leaf, np.tile(inside, (len(leaf), 1)))
        np.testing.assert_array_equal(held.carry.hidden[:, :, 0], np.tile(inside, (K, 1)))
        np.testing.assert_array_equal(held.carry.cell, -held.carry.hidden)


def test_a_memory_keeps_its_shapes_types_and_count_for_ever():
    start = blank()
    add = jax.jit(replay_buffer.add)
    held = start
    for number in range(1, 30):
        held = add(held, *batch(number, number + 1, number + 2))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), held) == jax.tree.map(lambda x: (x.shape, x.dtype), start)
    assert held.num_added < 2 * C + 3
    assert held.num_added % C == 29 * 3 % C


def test_chances_by_hand():
    """Priorities 4, 0, 1, 9 to the power 1/2: 2, 0, 1, 3 of 6."""
    chance = replay_buffer.probabilities(jnp.array([4.0, 0.0, 1.0, 9.0]), 0.5)
    np.testing.assert_allclose(chance, [2 / 6, 0, 1 / 6, 3 / 6], rtol=1e-6)
    # Exponent 0 draws evenly, but only what can be learned from.
    np.testing.assert_allclose(replay_buffer.probabilities(jnp.array([4.0, 0.0, 1.0]), 0.0), [0.5, 0, 0.5])
    np.testing.assert_array_equal(replay_buffer.probabilities(jnp.zeros(3), 0.9), [0, 0, 0])


def test_small_fractions_count():
    """Priorities are numbers, not whole numbers."""
    chance = replay_buffer.probabilities(jnp.array([0.25, 0.5, 0.25]), 1.0)
    sampled = replay_buffer.sample(chance, KEY, 400)
    np.testing.assert_array_equal(np.bincount(sampled, minlength=3), [100, 200, 100])


def test_draws_are_stratified_and_in_proportion():
    chance = jnp.array([0.1, 0.0, 0.6, 0.3, 0.0])
    sampled = jax.vmap(lambda k: replay_buffer.sample(chance, k, 7))(jax.random.split(KEY, 4000))
    share = np.bincount(np.asarray(sampled).reshape(-1), minlength=5) / sampled.size
    np.testing.assert_allclose(share, chance, atol=0.01)
    counts = np.stack([(np.asarray(sampled) == i).sum(1) for i in range(5)], 1)
    # One from each seventh: never further than one draw or so from 7 × the probability.
    assert (np.abs(counts - 7 * np.asarray(chance)) < 2).all()


@given(st.lists(st.sampled_from([0.0, 1e-6, 0.3, 1.0, 50.0]), min_size=1, max_size=30), st.integers(0, 100))
def test_nothing_without_priority_is_drawn(priorities, seed):
    priority = jnp.array(priorities, jnp.float32)
    chance = replay_buffer.probabilities(priority, 0.9)
    sampled = np.asarray(replay_buffer.sample(chance, jax.random.PRNGKey(seed), 16))
    assert ((sampled >= 0) & (sampled < len(priorities))).all()
    if any(priorities):
        assert (np.asarray(priorities)[sampled] > 0).all()


def test_importance_by_hand():
    """Four chunks, drawn with chances 1/2, 1/8 and 1/8: 1 / (4 P) is 1/2, 2, 2; over the largest 1/4, 1, 1."""
    chance = jnp.array([0.5, 0.125, 0.125])
    np.testing.assert_allclose(replay_buffer.importance_weights(chance, jnp.int32(4), 1.0), [0.25, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(replay_buffer.importance_weights(chance, jnp.int32(4), 0.5), [0.5, 1, 1], rtol=1e-6)
    np.testing.assert_array_equal(replay_buffer.importance_weights(chance, jnp.int32(4), 0.0), [1, 1, 1])
    np.testing.assert_array_equal(replay_buffer.importance_weights(jnp.zeros(2), jnp.int32(0), 0.6), [0, 0])


def test_full_importance_undoes_the_drawing():
    """The weighted mean over draws is the plain mean, up to the common factor."""
    priority, value = jnp.array([1.0, 2.0, 5.0, 8.0]), jnp.array([3.0, -1.0, 4.0, 10.0])
    chance = replay_buffer.probabilities(priority, 1.0)
    sampled = replay_buffer.sample(chance, KEY, 1600)
    weight = replay_buffer.importance_weights(chance[sampled], jnp.int32(4), 1.0)
    np.testing.assert_allclose(jnp.sum(weight * value[sampled]) / weight.sum(), value.mean(), rtol=0.01)


def test_priorities_by_hand():
    """0.9 × the largest + 0.1 × the mean of |1|, |-3| (2 and 4 do not count); nothing counts in the second."""
    error = jnp.array([[1.0, 1.0], [-3.0, 1.0], [2.0, 1.0], [4.0, 1.0]])
    mask = jnp.array([[1, 0], [1, 0], [0, 0], [0, 0]], bool)
    actual_priority = replay_buffer.mixed_priority(error, mask, 0.9)
    np.testing.assert_allclose(actual_priority, [0.9 * 3 + 0.1 * 2 + replay_buffer.MIN_PRIORITY, 0], rtol=1e-6)
    # What is learned perfectly stays in reach.
    assert replay_buffer.mixed_priority(jnp.zeros((4, 1)), jnp.ones((4, 1), bool), 0.9)[0] == pytest.approx(
        replay_buffer.MIN_PRIORITY
    )


def test_of_a_chunk_drawn_twice_the_larger_priority_stands():
    held = blank()._replace(priority=jnp.full((K, C), 7.0))
    chunk, episode = jnp.array([1, 0, 1]), jnp.array([2, 4, 2])
    for values in ([1.0, 5.0, 3.0], [3.0, 5.0, 1.0]):
        after = replay_buffer.set_priorities(held, chunk, episode, jnp.array(values)).priority
        assert (float(after[1, 2]), float(after[0, 4])) == (3.0, 5.0)
        assert (after == 7).sum() == K * C - 2
