import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.learning import r2d2
from rookery.learning import replay_buffer as memory
from rookery.learning.r2d2 import R2D2
from rookery.types import Trajectory
from tests.learning.worlds import TABLE

KEY = jax.random.PRNGKey(0)
T, E = 10, 3
CONFIG = R2D2(
    capacity=4, sequence_length=4, burn_in=3, n_step=2, gradient_steps=2, minibatch_size=6, target_update_period=3,
    gamma=0.5, value_rescaling=False, adam_eps=1e-8,
)  # fmt: skip
HPARAMS = {
    "learning_rate": jnp.float32(0.01), "aux_loss_scale": jnp.float32(1), "epsilon": jnp.float32(0.1),
    "importance_exponent": jnp.float32(0.6),
}  # fmt: skip


def numbered(seed=0, **changes) -> Trajectory:
    """Every observation is a number of its own, t * E + e; the rest is random."""
    rng = np.random.default_rng(seed)
    fields = {
        "observation": jnp.asarray(np.arange((T + 1) * E).reshape(T + 1, E, 1), jnp.uint8),
        "action": jnp.asarray(rng.integers(0, 3, (T, E)), jnp.int32),
        "reward": jnp.asarray(rng.standard_normal((T, E)), jnp.float32),
        "log_prob": jnp.zeros((T, E)),
        "is_first": jnp.zeros((T + 1, E), bool).at[0].set(True),
        "terminated": jnp.zeros((T, E), bool),
        "loss_mask": jnp.ones((T, E), bool),
    }
    return Trajectory(**{**fields, **changes})


def table(seed):
    a, b = jax.random.split(jax.random.PRNGKey(seed))
    return {"logits": jax.random.normal(a, ((T + 1) * E, 3)), "value": jax.random.normal(b, ((T + 1) * E,))}


def state_of(config, online, target) -> r2d2.R2D2State:
    params = {"policy": online}
    carry = jax.tree.map(lambda x: x[0], TABLE.initial_carry(1))
    blank = memory.init(config.capacity, T, r2d2.num_chunks(config, T), jnp.zeros(1, jnp.uint8), carry)
    return r2d2.R2D2State(params, target, config.optimizer().init(params), blank, jnp.int32(0))


def values(params):
    """The table's action values, number by action: worked out apart from the learner."""
    logits, value = (np.asarray(params[k], np.float64) for k in ("logits", "value"))
    return value[:, None] + logits - logits.mean(1, keepdims=True)


def slow_target(config, online, target, trajectory, t, e):
    """n-step double-Q target of one step, by walking along the episode."""
    total, factor, terminated = 0.0, 1.0, np.asarray(trajectory.terminated)
    for _ in range(config.n_step):
        if t == T or (trajectory.is_first[t + 1, e] and not terminated[t, e]):
            break  # no successor: bootstrap here
        total += factor * float(trajectory.reward[t, e])
        if terminated[t, e]:
            return total
        factor *= config.gamma
        t += 1
    number = t * E + e
    chooser = online if config.double else target
    return total + factor * target[number, chooser[number].argmax()]


# Configuration.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"capacity": 0}, "capacity=0 must be at least 1"),
        ({"sequence_length": 0}, "sequence_length=0 must be at least 1"),
        ({"n_step": 0}, "n_step=0 must be at least 1"),
        ({"burn_in": -1}, "burn_in=-1 must be at least 0"),
        ({"gamma": 1.5}, "gamma=1.5 must lie in (0, 1]"),
        ({"priority_eta": 1.5}, "priority_eta=1.5 must lie in [0, 1]"),
        ({"eval_epsilon": -0.1}, "eval_epsilon=-0.1 must lie in [0, 1]"),
        ({"adam_eps": 0.0}, "adam_eps=0.0 must be above 0"),
    ],
)
def test_a_configuration_out_of_range_is_refused(change, message):
    with pytest.raises(ConfigError) as caught:
        R2D2(**change)
    assert message in str(caught.value)


def test_a_memory_smaller_than_a_batch_is_refused():
    with pytest.raises(ConfigError, match="capacity=4 must be at least the episodes of an update, 5"):
        CONFIG.validate(5, T)
    CONFIG.validate(4, T)


# Pieces.


def test_rescaling_by_hand_and_back():
    """h(3) = sqrt(4) - 1 + 0.003; h(-8) = -(sqrt(9) - 1) - 0.008."""
    np.testing.assert_allclose(r2d2.signed_hyperbolic(jnp.array([3.0, -8.0, 0.0])), [1.003, -2.008, 0], rtol=1e-6)
    x = jnp.array([-300.0, -12.5, -1.0, -1e-3, 0.0, 1e-3, 0.7, 20.0, 250.0])
    np.testing.assert_allclose(r2d2.signed_parabolic(r2d2.signed_hyperbolic(x)), x, rtol=1e-4, atol=1e-6)


def test_the_dueling_sum_has_the_value_for_its_mean():
    q = r2d2.action_values(jnp.array([[1.0, 2.0, 6.0]]), jnp.array([10.0]))
    np.testing.assert_allclose(q, [[8, 9, 13]])


@pytest.mark.parametrize(("double", "expected"), [(True, 1 + 0.5 * 4), (False, 1 + 0.5 * 9)])
def test_a_double_q_target_by_hand(double, expected):
    """The online network prefers action 1, which the target network holds worth 4; its own best is worth 9."""
    config = dataclasses.replace(CONFIG, n_step=1, double=double)
    online = jnp.array([[[0.0, 0, 0]], [[2.0, 5, 3]]])
    target = jnp.array([[[7.0, 7, 7]], [[9.0, 4, 6]]])
    no = jnp.zeros((2, 1), bool)
    result = r2d2.n_step_targets(config, online, target, jnp.array([[1.0], [100.0]]), no, no)
    assert float(result[0, 0]) == expected


def test_a_rescaled_target_by_hand():
    """Outputs are h(Q): 8 is worth h^-1(h(8)); h(1 + 0.5 × 8) = sqrt(6) - 1 + 0.005."""
    config = dataclasses.replace(CONFIG, n_step=1, value_rescaling=True)
    outputs = jnp.broadcast_to(r2d2.signed_hyperbolic(jnp.array([8.0, 0, -3])), (2, 1, 3))
    no = jnp.zeros((2, 1), bool)
    result = r2d2.n_step_targets(config, outputs, outputs, jnp.ones((2, 1)), no, no)
    assert float(result[0, 0]) == pytest.approx(6**0.5 - 1 + 0.005, rel=1e-5)


def test_a_target_reaches_over_the_steps_that_an_agent_misses():
    """Two steps ahead it is away, and returns a step later, where the best action is worth 8: 1 + .25·(.5·8)."""
    outputs = jnp.array([3.0, 1e3, 1e3, 8, 5])[:, None, None] * jnp.array([1.0, 0, -1])
    no = jnp.zeros((5, 1), bool)
    there = jnp.array([[True], [False], [False], [True], [True]])
    reward = jnp.array([[1.0], [0], [0], [4], [0]])
    result = r2d2.n_step_targets(CONFIG, outputs, outputs, reward, no, no, there)
    np.testing.assert_allclose(result[jnp.array([0, 3]), 0], [1 + 0.25 * 0.5 * 8, 4 + 0.5 * 5])
    # It does not return among these: what it was worth when it was last there.
    result = r2d2.n_step_targets(CONFIG, outputs, outputs, reward, no, no, there.at[3:].set(False))
    np.testing.assert_allclose(result[0, 0], 1 + 0.25 * 0.25 * 3)


# Windows.


def test_windows_reach_back_for_the_burn_in_and_ahead_for_the_targets():
    trajectory = numbered()
    state = state_of(CONFIG, table(1), table(2))
    replay = r2d2.add_episodes(CONFIG, TABLE, state, trajectory)
    chunk, episode = jnp.array([0, 1, 2]), jnp.array([1, 2, 0])
    window = r2d2.gather_sequences(CONFIG, replay, chunk, episode)
    for n in range(3):
        c, e = int(chunk[n]), int(episode[n])
        times = list(range(4 * c - 3, 4 * c + 4 + 2))  # burn-in, four steps, lookahead
        for i, t in enumerate(times):
            assert window.observation[i, n, 0] == min(max(t, 0), T) * E + e
            assert bool(window.is_first[i, n]) == (t <= 0)
            assert bool(window.is_boundary[i, n]) == (t >= T)
            if 0 <= t < T:
                assert window.action[i, n] == trajectory.action[t, e]
                assert window.reward[i, n] == trajectory.reward[t, e]
        assert window.loss_mask[:, n].tolist() == [t < T for t in range(4 * c, 4 * c + 4)]
        # The stored memory is that before the window's first observation within the episode.
        assert (window.carry.hidden[n] == max(4 * c - 3, 0) * E + e).all()


LSTM = RecurrentPolicy(MLPNetwork(encoder_size=8, hidden_size=8, head_size=8), (3,), 3)


def pictures(seed=3, **changes) -> Trajectory:
    observations = np.random.default_rng(seed).integers(0, 256, (T + 1, E, 3)).astype(np.uint8)
    return numbered(seed, observation=jnp.asarray(observations), **changes)


@functools.cache
def fresh(config=CONFIG):
    state = config.init(LSTM, KEY, T)
    target = jax.tree.map(lambda x: x + 0.1, state.target_params)  # another network than the online one
    return state._replace(target_params=target)


@pytest.mark.parametrize("burn_in", [0, 3, 7])
def test_with_unchanged_parameters_a_window_says_what_the_whole_episode_said(burn_in):
    """Across the opening, the time limit and, mid-way, another episode's opening: errors from windows with their
    stored memories equal those of reading whole episodes, and so do the priorities."""
    config = dataclasses.replace(CONFIG, burn_in=burn_in, sequence_length=4)
    trajectory = pictures(is_first=jnp.zeros((T + 1, E), bool).at[0].set(True).at[6, 1].set(True))
    trajectory = trajectory.replace(terminated=trajectory.terminated.at[7, 2].set(True))
    state = fresh(config)

    @jax.jit
    def both():
        replay = r2d2.add_episodes(config, LSTM, state, trajectory)
        # The target network's memory is warmed up from the online network's stored state.
        chunk, episode = jnp.divmod(jnp.arange(9), E)
        window = r2d2.gather_sequences(config, replay, chunk, episode)
        error = r2d2.td_errors(config, LSTM, state.params["policy"], state.params["policy"], window).error
        same = r2d2.add_episodes(config, LSTM, state._replace(target_params=state.params["policy"]), trajectory)
        return error, window.loss_mask, same.priority, replay

    error, mask, priority, replay = both()
    result = jax.vmap(lambda e, m: memory.mixed_priority(e[:, None], m[:, None], config.priority_eta)[0], 1)(
        error, mask
    )
    np.testing.assert_allclose(result.reshape(3, E), priority[:, :E], atol=1e-5)
    assert not mask[1, 3 + 1]  # step 5 of episode 1, whose successor was another episode's opening
    assert mask.sum() == T * E - 1
    assert (replay.priority[:, E:] == 0).all()
    # Reading the mark of an opening one step late must not go unnoticed.
    shifted = trajectory.replace(is_first=jnp.roll(trajectory.is_first, 1, 0))
    late = r2d2.add_episodes(config, LSTM, state._replace(target_params=state.params["policy"]), shifted)
    assert not np.allclose(result.reshape(3, E), late.priority[:, :E], atol=1e-3)


def test_the_burn_in_teaches_nothing_but_warms_the_memory_up():
    trajectory = pictures()
    state = fresh()
    replay = r2d2.add_episodes(CONFIG, LSTM, state, trajectory)
    chunk, episode = jnp.array([1, 2]), jnp.array([0, 1])
    window = r2d2.gather_sequences(CONFIG, replay, chunk, episode)

    @jax.jit
    def grads(window):
        weight = jnp.ones(2)
        return jax.value_and_grad(
            lambda p: r2d2.q_loss(CONFIG, LSTM, p, state.target_params, window, weight, jnp.float32(1), KEY)[0]
        )(state.params)  # fmt: skip

    total, gradient = grads(window)
    # Actions, rewards and deaths before the steps learned from play no part...
    garbage = window._replace(
        action=window.action.at[:3].set(2 - window.action[:3]),
        reward=window.reward.at[:3].add(50.0),
        terminated=window.terminated.at[:3].set(True),
    )
    chex.assert_trees_all_equal(grads(garbage), (total, gradient))
    # ... but what was seen does.
    other = window._replace(observation=window.observation.at[:3].add(90))
    assert float(jnp.abs(grads(other)[0] - total)) > 1e-6


# Learning.


@pytest.mark.parametrize("double", [True, False])
def test_priorities_on_arrival_by_a_slow_walk(double):
    config = dataclasses.replace(CONFIG, double=double)
    mask = jnp.ones((T, E), bool).at[:5, 1].set(False)
    trajectory = numbered(loss_mask=mask, terminated=jnp.zeros((T, E), bool).at[6, 2].set(True))
    online, target = table(1), table(2)
    replay = r2d2.add_episodes(config, TABLE, state_of(config, online, target), trajectory)
    for e in range(E):
        for c in range(3):
            steps = [t for t in range(4 * c, min(4 * c + 4, T)) if mask[t, e]]
            errors = [
                abs(slow_target(config, values(online), values(target), trajectory, t, e)
                    - values(online)[t * E + e, trajectory.action[t, e]])
                for t in steps
            ]  # fmt: skip
            expected = 0.9 * max(errors) + 0.1 * np.mean(errors) + memory.MIN_PRIORITY if steps else 0
            assert float(replay.priority[c, e]) == pytest.approx(expected, rel=1e-5, abs=1e-9)


def test_the_loss_by_a_slow_walk():
    trajectory, online, target = numbered(), table(1), table(2)
    replay = r2d2.add_episodes(CONFIG, TABLE, state_of(CONFIG, online, target), trajectory)
    chunk, episode, weight = jnp.array([0, 2]), jnp.array([2, 1]), jnp.array([1.0, 0.25])
    window = r2d2.gather_sequences(CONFIG, replay, chunk, episode)
    total, (error, metrics) = r2d2.q_loss(
        CONFIG, TABLE, {"policy": online}, target, window, weight, jnp.float32(1), KEY
    )
    expected, taken, count = 0.0, 0.0, 0
    for n in range(2):
        for i, t in enumerate(range(4 * int(chunk[n]), min(4 * int(chunk[n]) + 4, T))):
            e = int(episode[n])
            q = values(online)[t * E + e, trajectory.action[t, e]]
            delta = slow_target(CONFIG, values(online), values(target), trajectory, t, e) - q
            assert float(error[i, n]) == pytest.approx(delta, rel=1e-4)
            expected, taken, count = expected + 0.5 * float(weight[n]) * delta**2, taken + q, count + 1
    assert count == 6
    assert float(total) == pytest.approx(expected / count, rel=1e-5)
    assert float(metrics["q_value"]) == pytest.approx(taken / count, rel=1e-4)


def test_the_target_network_is_copied_now_and_then_and_only_what_is_drawn_changes_priority():
    trajectory = numbered()
    state = state_of(CONFIG, table(1), table(2))
    old = state.target_params
    update = jax.jit(lambda s, k: CONFIG.update(TABLE, s, trajectory, HPARAMS, k))
    state, metrics = update(state, KEY)
    assert int(state.gradient_steps) == 2
    chex.assert_trees_all_equal(state.target_params, old)
    assert metrics["replay_episodes"] == 3
    assert {"loss", "q_value", "abs_td_error", "learning_rate", "epsilon", "importance_exponent"} <= set(metrics)
    third, _ = jax.jit(lambda s, k: r2d2.gradient_step(CONFIG, TABLE, s, HPARAMS, k))(state, KEY)
    chex.assert_trees_all_equal(third.target_params, third.params["policy"])
    changed = np.asarray(third.replay.priority != state.replay.priority)
    chance = memory.probabilities(state.replay.priority.reshape(-1), CONFIG.priority_exponent)
    sampled = np.zeros(chance.shape, bool)
    sampled[np.asarray(memory.sample(chance, KEY, CONFIG.minibatch_size))] = True
    assert 0 < sampled.sum() < 9
    assert not changed[~sampled.reshape(changed.shape)].any()
    fourth, _ = update(third, KEY)
    chex.assert_trees_all_equal(fourth.target_params, third.target_params)


def test_nothing_is_learned_where_nobody_was_there():
    trajectory = pictures(loss_mask=jnp.zeros((T, E), bool))
    state = fresh()
    after, metrics = jax.jit(lambda: CONFIG.update(LSTM, state, trajectory, HPARAMS, KEY))()
    chex.assert_trees_all_equal(after.params, state.params)
    assert metrics["loss"] == 0
    assert not after.replay.priority.any()


def test_what_an_absent_agent_observes_is_not_learned_from():
    """Steps 3 to 5 and the final observation are missed: their values, which no loss trains, play no part."""
    away = jnp.zeros((T + 1, E), bool).at[3:6, 0].set(True).at[T, 1].set(True)
    trajectory = numbered(loss_mask=~away[:-1], agent_mask=~away)
    number = jnp.flatnonzero(away.reshape(-1))
    chunk, episode = (x.reshape(-1) for x in jnp.indices((3, E)))
    errors = []
    for change in (0.0, 1e3):
        target = table(2)
        target["value"] = target["value"].at[number].add(change)
        state = state_of(CONFIG, table(1), target)
        replay = r2d2.add_episodes(CONFIG, TABLE, state, trajectory)
        window = r2d2.gather_sequences(CONFIG, replay, chunk, episode, may_leave=True)
        error = r2d2.td_errors(CONFIG, TABLE, table(1), target, window).error
        errors.append((replay.priority, jnp.where(window.loss_mask, error, 0)))
    chex.assert_trees_all_equal(*errors)
    assert not replay.loss_mask[T - 1, 1]  # it left in the last step, and the mask of what followed is not kept


def test_a_start_is_both_networks():
    params = jax.tree.map(lambda x: x + 1, fresh().params["policy"])
    state = CONFIG.load_pretrained(fresh(), params)
    chex.assert_trees_all_equal(state.params["policy"], params)
    chex.assert_trees_all_equal(state.target_params, params)
