import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.learning.advantage import fill_absent_values, gae, n_step_returns, reference_code_gae

NEVER = jnp.zeros(2, bool)


def f32(*numbers):
    return jnp.array(numbers, jnp.float32)


def flags(*numbers):
    return jnp.array(numbers, bool)


def test_gae_by_hand():
    # delta1 = .9*1 - .5 = .4; delta0 = 1 + .9*.5 - .5 = .95; adv0 = .95 + .45*.4
    advantage = gae(f32(1, 0), f32(0.5, 0.5), f32(0.5, 1), NEVER, NEVER, gamma=0.9, gae_lambda=0.5)
    np.testing.assert_allclose(advantage, [1.13, 0.4], rtol=1e-6)


def test_the_time_limit_bootstraps_and_death_does_not():
    arguments = f32(1, 0), f32(0.5, 0.5), f32(0.5, 1)
    limit = gae(*arguments, NEVER, flags(0, 1), gamma=0.9, gae_lambda=0.5)
    np.testing.assert_allclose(limit, [1.13, 0.4], rtol=1e-6)
    # delta1 = -.5; adv0 = .95 - .45*.5
    death = gae(*arguments, flags(0, 1), flags(0, 1), gamma=0.9, gae_lambda=0.5)
    np.testing.assert_allclose(death, [0.725, -0.5], rtol=1e-6)


def test_nothing_flows_back_over_an_episode_end():
    arguments = f32(1, 0), f32(0.5, 0.5), f32(0.5, 1)
    cut = gae(*arguments, NEVER, flags(1, 0), gamma=0.9, gae_lambda=0.5)
    np.testing.assert_allclose(cut, [0.95, 0.4], rtol=1e-6)


def test_the_reference_code_variant_by_hand():
    # delta1 = 0 + .9*(1 - .5) = .45; delta0 = 1 + .9*(.5 - .5) = 1; adv0 = 1 + .45*.45.
    # Return: 0 + .9*1 at the limit; 1 + .9*.9.
    advantage, target = reference_code_gae(
        f32(1, 0), f32(0.5, 0.5), f32(0.5, 1), NEVER, flags(0, 1), gamma=0.9, gae_lambda=0.5
    )
    np.testing.assert_allclose(advantage, [1.2025, 0.45], rtol=1e-6)
    np.testing.assert_allclose(target, [1.81, 0.9], rtol=1e-6)
    advantage, target = reference_code_gae(
        f32(1, 0), f32(0.5, 0.5), f32(0.5, 1), flags(0, 1), flags(0, 1), gamma=0.9, gae_lambda=0.5
    )
    np.testing.assert_allclose(advantage, [1 - 0.45 * 0.45, -0.45], rtol=1e-6)
    np.testing.assert_allclose(target, [1, 0], rtol=1e-6)


def slow(reward, value, next_value, terminated, done, discount, decay, reference_code):
    """Sums written out: from each step to the end of its episode."""
    length = len(reward)
    advantage, target = np.zeros(length), np.zeros(length)
    for t in range(length):
        weight, power = 1.0, 1.0
        for k in range(t, length):
            after = 0.0 if terminated[k] else float(next_value[k])
            error = reward[k] + discount * after - (discount if reference_code else 1) * value[k]
            advantage[t] += weight * error
            target[t] += power * reward[k]
            weight, power = weight * discount * decay, power * discount
            if done[k]:
                target[t] += power * after
                break
    return advantage, target if reference_code else advantage + value


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("reference_code", [False, True])
def test_equals_the_slow_sums(reference_code, jit):
    rng = np.random.default_rng(0)
    reward, value, next_value = rng.standard_normal((3, 30)).astype(np.float32)
    terminated = rng.random(30) < 0.1
    done = terminated | (rng.random(30) < 0.1)
    done[-1] = True
    function = reference_code_gae if reference_code else gae
    fast = (jax.jit if jit else lambda f: f)(lambda *a: function(*a, gamma=0.9, gae_lambda=0.8))
    arguments = [jnp.asarray(x) for x in (reward, value, next_value, terminated, done)]
    outputs = fast(*arguments)
    advantage, target = slow(reward, value, next_value, terminated, done, 0.9, 0.8, reference_code)
    np.testing.assert_allclose(outputs[0] if reference_code else outputs, advantage, atol=1e-5)
    if reference_code:
        np.testing.assert_allclose(outputs[1], target, atol=1e-5)


def test_lengths_must_agree():
    with pytest.raises((ValueError, TypeError)):  # where shapes are checked, theirs is the first to tell
        gae(f32(1, 0), f32(1, 0), f32(1), NEVER, NEVER, gamma=0.9, gae_lambda=0.9)


# n-step returns.


def test_two_steps_by_hand():
    """Discount 0.5. From the first: 1 + .5*2 + .25*30; from the last but one only one step can be seen ahead."""
    reward, value = jnp.array([1.0, 2.0, 3.0, 0.0]), jnp.array([10.0, 20.0, 30.0, 40.0])
    never = jnp.zeros(4, bool)
    two = n_step_returns(reward, value, never, never, gamma=0.5, n=2)
    np.testing.assert_allclose(two, [1 + 1 + 7.5, 2 + 1.5 + 10, 3 + 20, 40])
    one = n_step_returns(reward, value, never, never, gamma=0.5, n=1)
    np.testing.assert_allclose(one, [1 + 10, 2 + 15, 3 + 20, 40])


def test_nothing_follows_death_and_the_value_stands_for_what_is_not_known():
    """Terminated at 1: no value beyond it. Closed at 3: its own value stands in, and steps before it stop there."""
    reward = jnp.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    value = jnp.array([10.0, 20.0, 30.0, 40.0, 50.0, 60.0])
    terminated = jnp.zeros(6, bool).at[1].set(True)
    closed = jnp.zeros(6, bool).at[3].set(True)
    targets = n_step_returns(reward, value, terminated, closed, gamma=0.5, n=3)
    np.testing.assert_allclose(targets, [1 + 1, 2, 4 + 20, 40, 16 + 30, 60])


def test_as_many_steps_as_there_are_is_the_whole_discounted_return():
    rng = np.random.default_rng(0)
    reward, value = rng.standard_normal(9), rng.standard_normal(9)
    never = jnp.zeros(9, bool)
    targets = n_step_returns(
        jnp.asarray(reward, jnp.float32), jnp.asarray(value, jnp.float32), never, never, gamma=0.9, n=20
    )
    total, expected = value[-1], [value[-1]]
    for r in reward[-2::-1]:
        total = r + 0.9 * total
        expected.append(total)
    np.testing.assert_allclose(targets, expected[::-1], rtol=1e-5)


# Agents that leave and return.

AWAY = flags(1, 0, 0, 1, 1)  # five observations, of which an agent misses two
UNTRAINED = 1000.0


def fill(value, terminated=flags(0, 0, 0, 0, 0), boundary=flags(0, 0, 0, 0, 0), there=AWAY, discount=0.5):  # noqa: B008
    return fill_absent_values(value, terminated, boundary, there, discount=discount)


def test_what_an_absent_agent_observes_has_the_discounted_value_of_its_return():
    value = f32(3, UNTRAINED, -UNTRAINED, 8, 5)
    np.testing.assert_array_equal(fill(value), [3, 2, 4, 8, 5])
    np.testing.assert_array_equal(fill(value, discount=1.0), [3, 8, 8, 8, 5])
    # The episode terminates while it is away: nothing follows.
    np.testing.assert_array_equal(fill(value, terminated=flags(0, 0, 1, 0, 0)), [3, 0, 0, 8, 5])
    # It does not return before the time limit: the last value it had.
    never_back = flags(1, 1, 0, 0, 0)
    np.testing.assert_array_equal(fill(f32(3, 6, 9, 9, 9), there=never_back), [3, 6, 1.5, 3, 6])
    np.testing.assert_array_equal(
        fill(f32(3, 6, 9, 9, 9), boundary=flags(0, 0, 1, 0, 0), there=never_back)[:3], [3, 6, 6]
    )


def test_steps_that_an_agent_misses_add_nothing_to_its_advantages():
    """Two are missed. Of the first: 1 + .5·2 - 3 = -1; of the last: 4 + .5·5 - 8 = -1.5, traced with (.5·.8)^3."""
    reward, value = f32(1, 0, 0, 4), fill(f32(3, UNTRAINED, -UNTRAINED, 8, 5))
    done = flags(0, 0, 0, 1)
    advantage = gae(reward, value[:-1], value[1:], flags(0, 0, 0, 0), done, gamma=0.5, gae_lambda=0.8)
    np.testing.assert_allclose(advantage[jnp.array([0, 3])], [-1 - 1.5 * 0.4**3, -1.5], rtol=1e-6)
    # In the reference code's variant the one-step error is r + .5·(V' - V): 1 + .5·(8 - 3) and 4 + .5·(5 - 8).
    value = fill(f32(3, UNTRAINED, -UNTRAINED, 8, 5), discount=1.0)
    advantage, target = reference_code_gae(
        reward, value[:-1], value[1:], flags(0, 0, 0, 0), done, gamma=0.5, gae_lambda=0.8
    )
    np.testing.assert_allclose(advantage[jnp.array([0, 3])], [3.5 + 2.5 * 0.4**3, 2.5], rtol=1e-6)
    np.testing.assert_allclose(target[jnp.array([0, 3])], [1 + 0.5**3 * 4 + 0.5**4 * 5, 4 + 0.5 * 5], rtol=1e-6)


def test_values_of_an_agent_that_stays_are_the_same_bit_for_bit():
    value = jnp.asarray(np.random.default_rng(0).standard_normal(5), jnp.float32)
    terminated = flags(0, 1, 0, 0, 0)
    np.testing.assert_array_equal(fill(value, terminated, there=jnp.ones(5, bool), discount=0.993), value)
