import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.learning import actor_critic, ppo
from rookery.learning.actor_critic import LearnerState, ScheduledHparams
from rookery.learning.auxiliary import NextFramePrediction
from rookery.learning.extra_losses import loss_denominators
from rookery.learning.ppo import PPO
from rookery.types import Sequences, Trajectory
from tests.learning.worlds import TABLE

KEY = jax.random.PRNGKey(0)
HPARAMS = ScheduledHparams(jnp.float32(0.01), jnp.float32(0.0), jnp.float32(1.0))
T, E = 10, 3


def numbered(steps=T, episodes=E, seed=0, **changes) -> Trajectory:
    """Every observation is a number of its own, t * E + e; the rest is random."""
    rng = np.random.default_rng(seed)
    number = np.arange((steps + 1) * episodes).reshape(steps + 1, episodes, 1)
    fields = {
        "observation": jnp.asarray(number),
        "action": jnp.asarray(rng.integers(0, 3, (steps, episodes))),
        "reward": jnp.asarray(rng.standard_normal((steps, episodes)), jnp.float32),
        "log_prob": jnp.full((steps, episodes), -np.log(3), jnp.float32),
        "is_first": jnp.zeros((steps + 1, episodes), bool).at[0].set(True),
        "terminated": jnp.zeros((steps, episodes), bool),
        "loss_mask": jnp.ones((steps, episodes), bool),
    }
    return Trajectory(**{**fields, **changes})


def table(numbers=(T + 1) * E, seed=None):
    """Parameters of TABLE: uniform logits and values 0, or random ones."""
    if seed is None:
        params = {"logits": jnp.zeros((numbers, 3)), "value": jnp.zeros(numbers)}
    else:
        a, b = jax.random.split(jax.random.PRNGKey(seed))
        params = {"logits": jax.random.normal(a, (numbers, 3)), "value": jax.random.normal(b, (numbers,))}
    return {"policy": params, "auxiliary": {}}


def learner_of(config, params):
    return LearnerState(params, config.optimizer().init(params))


WHOLE = PPO(  # every minibatch is the whole batch, so that order plays no part
    sequence_length=4,
    num_minibatches=4,
    minibatch_size=3 * E,
    recompute_every=2,
    target_kl=None,
    rollback_kl=None,
    gamma=0.9,
)


@functools.cache
def updater(config, policy=TABLE):
    """The compiled update."""
    return jax.jit(
        lambda learner, trajectory, hparams, key: ppo.ppo_update(config, policy, learner, trajectory, hparams, key)
    )


def whole_loss(config, policy, params, batch, hparams):
    """The loss of a minibatch that is not cut into parts, and its parts."""
    denominators = loss_denominators(config.auxiliary, config.intrinsic, batch)
    return actor_critic.actor_critic_loss(config, policy, params, batch, hparams, denominators, KEY)


# Configuration.


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sequence_length": 0}, "sequence_length=0 must be at least 1"),
        ({"num_minibatches": 0, "recompute_every": None}, "num_minibatches=0 must be at least 1"),
        ({"minibatch_size": 0}, "minibatch_size=0 must be at least 1"),
        ({"recompute_every": 0}, "recompute_every=0 must lie in [1, num_minibatches=20]"),
        ({"recompute_every": 21}, "recompute_every=21 must lie in"),
        ({"recompute_every": 3}, "recompute_every=3 must divide num_minibatches=20"),
        ({"gamma": 0.0}, "gamma=0.0 must lie in (0, 1]"),
        ({"gae_lambda": 1.1}, "gae_lambda=1.1 must lie in [0, 1]"),
        ({"clip_eps": -0.1}, "clip_eps=-0.1 must be at least 0"),
        ({"target_kl": -1.0}, "target_kl=-1.0 must be above 0"),
        ({"target_kl": 0.0}, "target_kl=0.0 must be above 0"),
        ({"rollback_kl": 0.0}, "rollback_kl=0.0 must be above 0"),
        ({"adam_eps": 0.0}, "adam_eps=0.0 must be above 0"),
        ({"max_grad_norm": -1.0}, "max_grad_norm=-1.0 must be at least 0"),
        ({"advantage": "td"}, "advantage='td' is not known; allowed: 'gae', 'reference_code'"),
        ({"auxiliary": (NextFramePrediction(), NextFramePrediction(weight=1.0))}, "must differ from each other"),
    ],
)
def test_a_configuration_out_of_range_is_refused(change, message):
    with pytest.raises(ConfigError) as caught:
        PPO(**change)
    assert message in str(caught.value)


def test_advantages_of_one_step_are_allowed():
    assert PPO(gae_lambda=0.0).gae_lambda == 0


def test_the_defaults_are_the_papers():
    config = PPO()
    assert (config.sequence_length, config.num_minibatches, config.minibatch_size, config.recompute_every) == (
        16,
        20,
        512,
        2,
    )
    assert (config.gamma, config.gae_lambda, config.clip_eps, config.vf_coef) == (0.993, 0.97, 0.2, 0.1)
    assert (config.target_kl, config.rollback_kl) == (0.01, 0.03)
    assert NextFramePrediction().weight == 3


# Cutting a batch into sequences.


def test_sequences_are_contiguous_and_the_tail_is_masked():
    trajectory = numbered()
    params = table(seed=1)
    fresh = actor_critic.recompute(WHOLE, TABLE, params, trajectory)
    chosen = jnp.arange(3 * E)  # three chunks of 4 steps, 10 steps in all
    cut = actor_critic.take_sequences(WHOLE, trajectory, fresh, chosen)
    for n in range(3 * E):
        chunk, episode = divmod(n, E)
        steps = [t for t in range(4 * chunk, 4 * chunk + 4) if t < T]
        real = len(steps)
        assert cut.loss_mask[:, n].tolist() == [True] * real + [False] * (4 - real)
        expected = [t * E + episode for t in [*steps, steps[-1] + 1]]  # and the observation after the last
        assert cut.observation[: real + 1, n, 0].tolist() == expected
        assert cut.is_first[: real + 1, n].tolist() == [t == 0 for t in [*steps, steps[-1] + 1]]
        for field in ("action", "log_prob"):
            np.testing.assert_array_equal(getattr(cut, field)[:real, n], getattr(trajectory, field)[steps, episode])
        for field in ("advantage", "target"):
            np.testing.assert_array_equal(getattr(cut, field)[:real, n], getattr(fresh, field)[steps, episode])
        # The memory is that before the sequence's first observation.
        assert (cut.carry.hidden[n] == steps[0] * E + episode).all()
        assert (cut.carry.cell[n] == -(steps[0] * E + episode)).all()


def test_steps_that_do_not_count_are_not_counted_when_cut():
    mask = jnp.ones((T, E), bool).at[:6, 1].set(False)
    trajectory = numbered(loss_mask=mask)
    fresh = actor_critic.recompute(WHOLE, TABLE, table(), trajectory)
    cut = actor_critic.take_sequences(WHOLE, trajectory, fresh, jnp.array([1, E + 1, 2]))
    assert cut.loss_mask.T.tolist() == [[False] * 4, [False, False, True, True], [True] * 4]


@pytest.mark.parametrize(
    ("minibatches", "sequences", "fraction"),
    [(1, 3 * E, 1.0), (3, E, 1.0), (1, 4, 4 / 9), (2, 2, 4 / 9), (4, 2, 8 / 9)],
)
def test_a_pass_takes_each_sequence_once(minibatches, sequences, fraction):
    """What was learned from moved in the table: whole sequences, and as many different ones as were drawn."""
    config = dataclasses.replace(WHOLE, num_minibatches=minibatches, minibatch_size=sequences, recompute_every=None)
    trajectory = numbered(steps=12)
    before = table(13 * E)
    after, _ = updater(config)(learner_of(config, before), trajectory, HPARAMS, KEY)
    moved = np.asarray(after.params["policy"]["logits"] != 0).any(-1)[: 12 * E].reshape(3, 4, E)
    assert (moved.all(1) == moved.any(1)).all()
    assert moved.mean() == pytest.approx(fraction)


# Refreshing memories, values and advantages.


def slow_advantage(config, reward, value, terminated):
    out, following = np.zeros_like(reward), 0.0
    for t in reversed(range(len(reward))):
        going = 1.0 - terminated[t]
        error = reward[t] + config.gamma * value[t + 1] * going - value[t]
        out[t] = following = error + config.gamma * config.gae_lambda * going * following
    return out


def test_advantages_and_targets_by_a_slow_loop_and_normalized_over_what_counts():
    rng = np.random.default_rng(1)
    mask = rng.random((T, E)) < 0.7
    terminated = np.zeros((T, E), bool)
    terminated[6, 2] = True
    mask[7:, 2] = False
    trajectory = numbered(loss_mask=jnp.asarray(mask), terminated=jnp.asarray(terminated))
    params = table(seed=2)
    fresh = actor_critic.recompute(WHOLE, TABLE, params, trajectory)
    value = np.asarray(params["policy"]["value"]).reshape(T + 1, E)
    raw = np.stack(
        [slow_advantage(WHOLE, np.asarray(trajectory.reward)[:, e], value[:, e], terminated[:, e]) for e in range(E)],
        1,
    )
    np.testing.assert_allclose(fresh.target, raw + value[:-1], atol=1e-5)
    kept = raw[mask]
    np.testing.assert_allclose(fresh.advantage, (raw - kept.mean()) / kept.std(), atol=1e-4)
    assert np.asarray(fresh.advantage)[mask].mean() == pytest.approx(0, abs=1e-5)
    assert np.asarray(fresh.advantage)[mask].std() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("advantage", ["gae", "reference_code"])
def test_what_an_absent_agent_observes_is_not_learned_from(advantage):
    """Steps 3 to 5 and the final observation are missed: their values, which no loss trains, play no part."""
    config = dataclasses.replace(WHOLE, advantage=advantage)
    away = jnp.zeros((T + 1, E), bool).at[3:6, 0].set(True).at[T, 1].set(True)
    trajectory = numbered(loss_mask=~away[:-1], agent_mask=~away)
    params = table(seed=2)
    number = jnp.flatnonzero(away.reshape(-1))
    other = {"policy": {**params["policy"], "value": params["policy"]["value"].at[number].add(1e3)}, "auxiliary": {}}
    results = [actor_critic.recompute(config, TABLE, p, trajectory) for p in (params, other)]
    for name in ("advantage", "target"):
        one, two = (np.asarray(getattr(result, name))[~away[:-1]] for result in results)
        np.testing.assert_array_equal(one, two)
    # Where nobody is away it is as if nobody could be.
    stays = trajectory.replace(agent_mask=jnp.ones((T + 1, E), bool))
    never = trajectory.replace(agent_mask=None)
    chex.assert_trees_all_equal(*(actor_critic.recompute(config, TABLE, params, x) for x in (stays, never)))


def test_equal_advantages_normalize_to_zero():
    trajectory = numbered(reward=jnp.zeros((T, E)))
    fresh = actor_critic.recompute(WHOLE, TABLE, table(), trajectory)
    assert not fresh.advantage.any()
    nobody = trajectory.replace(loss_mask=jnp.zeros((T, E), bool), reward=jnp.ones((T, E)))
    assert np.isfinite(actor_critic.recompute(WHOLE, TABLE, table(), nobody).advantage).all()


@pytest.mark.parametrize("advantage", ["gae", "reference_code"])
def test_a_world_that_pays_one_for_ever_is_worth_one_over_one_minus_discount(advantage):
    """Episodes cut off by a time limit: targets fed back as values settle at 10 for a discount of 0.9."""
    config = dataclasses.replace(WHOLE, advantage=advantage)
    endless = numbered(reward=jnp.ones((T, E)))
    dying = endless.replace(terminated=endless.terminated.at[-1].set(True))

    @jax.jit
    def settle(trajectory):
        def again(_, value):
            params = {"policy": {"logits": jnp.zeros(((T + 1) * E, 3)), "value": value.reshape(-1)}}
            target = actor_critic.recompute(config, TABLE, params, trajectory).target
            return jnp.concatenate([target, target[-1:]])  # the final observation is like any other

        return jax.lax.fori_loop(0, 300, again, jnp.zeros((T + 1, E)))

    np.testing.assert_allclose(settle(endless), 10.0, rtol=1e-4)
    left = np.arange(T, 0, -1)
    np.testing.assert_allclose(settle(dying)[:-1], np.tile((1 - 0.9**left) / 0.1, (E, 1)).T, rtol=1e-4)


LSTM = RecurrentPolicy(MLPNetwork(encoder_size=8, hidden_size=8, head_size=8), (3,), 3)


def pictures(episodes=8, steps=16, seed=3) -> Trajectory:
    rng = np.random.default_rng(seed)
    observation = rng.integers(0, 256, (steps + 1, episodes, 3)).astype(np.uint8)
    return numbered(steps, episodes, seed, observation=jnp.asarray(observation))


# Adam's epsilon is large here, or it would blow up the rounding of gradients that are nearly zero.
WHOLE_PICTURES = dataclasses.replace(WHOLE, minibatch_size=32, vf_coef=0.5, adam_eps=1e-3)


def test_after_a_refresh_memories_are_those_of_a_fresh_unroll_and_without_one_they_go_stale():
    config = WHOLE_PICTURES
    trajectory = pictures()
    learner = config.init(LSTM, KEY, steps=0)
    refresh = jax.jit(lambda params: actor_critic.recompute(config, LSTM, params, trajectory))
    act = jax.jit(LSTM.act)
    stale = refresh(learner.params)
    update, errors = updater(dataclasses.replace(config, recompute_every=None), LSTM), []
    for i in range(3):
        learner, _ = update(learner, trajectory, HPARAMS, jax.random.PRNGKey(i))
        carry, before = LSTM.initial_carry(8), []
        for t in range(16):
            before.append(carry)
            _, carry, _ = act(learner.params["policy"], carry, trajectory.observation[t], trajectory.is_first[t], KEY)
        unrolled = jax.tree.map(lambda *x: jnp.stack(x[::4]), *before)
        chex.assert_trees_all_close(refresh(learner.params).carry, unrolled, atol=1e-5)
        errors.append(float(jnp.abs(stale.carry.hidden - unrolled.hidden).max()))
    assert 1e-4 < errors[0] < errors[1] < errors[2]


@functools.cache
def written_out(config, policy):
    """What a step of the reference needs, compiled: refresh, and the gradient over the whole batch."""

    def gradient(params, trajectory, fresh, hparams):
        everything = jnp.arange(-(-len(trajectory.action) // config.sequence_length) * trajectory.action.shape[1])
        batch = actor_critic.take_sequences(config, trajectory, fresh, everything)
        return jax.grad(lambda p: whole_loss(config, policy, p, batch, hparams)[0])(params)

    return jax.jit(lambda params, trajectory: actor_critic.recompute(config, policy, params, trajectory)), jax.jit(
        gradient
    )


def reference_update(config, policy, learner, trajectory, hparams, every):
    """Step by step in Python; each minibatch is the whole batch, and `every` steps all is refreshed."""
    refresh, gradient = written_out(config, policy)
    optimizer = optax.adam(float(hparams.learning_rate), eps=config.adam_eps)
    params, state = learner.params, optimizer.init(learner.params)
    for i in range(config.num_minibatches):
        if i % every == 0:
            fresh = refresh(params, trajectory)
        change, state = optimizer.update(gradient(params, trajectory, fresh, hparams), state)
        params = optax.apply_updates(params, change)
    return params


@pytest.mark.parametrize("every", [2, None])
def test_an_update_equals_its_steps_written_out(every):
    config = WHOLE_PICTURES
    trajectory, learner = pictures(), config.init(LSTM, KEY, steps=0)
    hparams = ScheduledHparams(jnp.float32(1e-2), jnp.float32(0.01), jnp.float32(1))
    update = updater(dataclasses.replace(config, recompute_every=every), LSTM)
    after, metrics = update(learner, trajectory, hparams, KEY)
    expected = reference_update(config, LSTM, learner, trajectory, hparams, every or 4)
    chex.assert_trees_all_close(after.params, expected, atol=2e-5)
    assert metrics["gradient_steps"] == 4
    other = reference_update(config, LSTM, learner, trajectory, hparams, 4 if every == 2 else 2)
    apart = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), after.params, other)
    assert max(jax.tree.leaves(apart)) > 2e-4  # refreshing does make a difference here


# The loss.


def fixed_batch(seed=4, steps=4, count=5) -> tuple[dict, Sequences]:
    rng = np.random.default_rng(seed)
    number = np.arange((steps + 1) * count).reshape(steps + 1, count, 1)
    params = table((steps + 1) * count, seed=5)
    batch = Sequences(
        observation=jnp.asarray(number),
        is_first=jnp.zeros((steps + 1, count), bool),
        action=jnp.asarray(rng.integers(0, 3, (steps, count))),
        reward=jnp.zeros((steps, count)),
        terminated=jnp.zeros((steps, count), bool),
        next_in_episode=jnp.ones((steps, count), bool),
        log_prob=jnp.asarray(rng.uniform(-2, -0.5, (steps, count)), jnp.float32),
        loss_mask=jnp.asarray(rng.random((steps, count)) < 0.7),
        advantage=jnp.asarray(rng.standard_normal((steps, count)), jnp.float32),
        target=jnp.asarray(rng.standard_normal((steps, count)), jnp.float32),
        carry=TABLE.initial_carry(count),
    )
    return params, batch


def test_the_loss_equals_a_reference_written_with_numpy():
    params, batch = fixed_batch()
    hparams = ScheduledHparams(jnp.float32(0), jnp.float32(0.03), jnp.float32(1))
    config = PPO(clip_eps=0.2, vf_coef=0.1)
    total, parts = jax.jit(lambda p, b: whole_loss(config, TABLE, p, b, hparams))(params, batch)

    sums = dict.fromkeys(("policy", "value", "entropy", "kl", "clipped"), 0.0)
    logits, value = (np.asarray(params["policy"][k], np.float64) for k in ("logits", "value"))
    steps = [(t, n) for t in range(4) for n in range(5) if batch.loss_mask[t, n]]
    for t, n in steps:
        row = logits[t * 5 + n]
        p = np.exp(row - row.max())
        p /= p.sum()
        ratio = p[batch.action[t, n]] / np.exp(np.float64(batch.log_prob[t, n]))
        advantage = np.float64(batch.advantage[t, n])
        sums["policy"] += min(ratio * advantage, np.clip(ratio, 0.8, 1.2) * advantage)
        sums["value"] += (value[t * 5 + n] - np.float64(batch.target[t, n])) ** 2
        sums["entropy"] += -(p * np.log(p)).sum()
        sums["kl"] += ratio - 1 - np.log(ratio)
        sums["clipped"] += abs(ratio - 1) > 0.2
    mean = {name: x / len(steps) for name, x in sums.items()}
    assert 0 < mean["clipped"] < 1
    np.testing.assert_allclose(total, -mean["policy"] + 0.1 * mean["value"] - 0.03 * mean["entropy"], atol=1e-5)
    result = ("policy_loss", "value_loss", "entropy", "approx_kl", "clip_fraction")
    expected = (-mean["policy"], mean["value"], mean["entropy"], mean["kl"], mean["clipped"])
    np.testing.assert_allclose([float(parts[name]) for name in result], expected, atol=1e-5)


def test_steps_that_do_not_count_change_nothing():
    params, batch = fixed_batch()
    hparams = ScheduledHparams(jnp.float32(0), jnp.float32(0.03), jnp.float32(1))
    value_and_grad = jax.jit(jax.value_and_grad(lambda p, b: whole_loss(PPO(), TABLE, p, b, hparams)[0]))
    garbage = batch._replace(
        action=jnp.where(batch.loss_mask, batch.action, 2 - batch.action),
        log_prob=jnp.where(batch.loss_mask, batch.log_prob, -3.0),
        advantage=jnp.where(batch.loss_mask, batch.advantage, 1e4),
        target=jnp.where(batch.loss_mask, batch.target, -1e4),
    )
    chex.assert_trees_all_equal(value_and_grad(params, batch), value_and_grad(params, garbage))


class Narrow(MLPNetwork):
    """A network whose batches are read in parts of eight observations."""

    cpu_chunk_size = 8


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="minibatches are cut into parts on CPU only")
def test_a_minibatch_read_in_parts_gives_the_same_loss_and_gradient():
    """Though its parts do not all hold as many steps that count."""
    config = PPO(sequence_length=4, auxiliary=(NextFramePrediction(),))
    hparams = ScheduledHparams(jnp.float32(0), jnp.float32(0.03), jnp.float32(1))
    narrow = RecurrentPolicy(Narrow(encoder_size=8, hidden_size=8, head_size=8), (3,), 3)
    rng = np.random.default_rng(0)
    trajectory = pictures().replace(loss_mask=jnp.asarray(rng.random((16, 8)) < 0.6))
    params = config.init(LSTM, KEY, steps=0).params

    @functools.partial(jax.jit, static_argnums=0)
    def both(policy):
        fresh = actor_critic.recompute(config, policy, params, trajectory)
        batch = actor_critic.take_sequences(config, trajectory, fresh, jnp.arange(2, 32))
        grads, parts = jax.grad(lambda p: whole_loss(config, policy, p, batch, hparams), has_aux=True)(params)
        return (parts, grads), actor_critic.gradient(config, policy, params, batch, hparams, KEY), batch.loss_mask

    whole, parted, mask = both(narrow)
    assert len(set(mask.sum(0).tolist())) > 1
    chex.assert_trees_all_close(whole, parted, atol=1e-6)
    chex.assert_trees_all_close(whole, both(LSTM)[0], atol=1e-6)


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="minibatches are cut into parts on CPU only")
@pytest.mark.parametrize(("splits", "sequences"), [(True, 2), (False, 30)])
def test_a_loss_that_compares_sequences_gets_the_whole_minibatch(splits, sequences):
    read = set()

    class Recorded(NextFramePrediction):
        splits_minibatch = splits

        def loss(self, params, inputs):
            read.add(inputs.batch.action.shape[1])
            return super().loss(params, inputs)

    config = PPO(sequence_length=4, auxiliary=(Recorded(),))
    narrow = RecurrentPolicy(Narrow(encoder_size=8, hidden_size=8, head_size=8), (3,), 3)

    def gradient(trajectory):
        params = config.init(narrow, KEY, steps=0).params
        fresh = actor_critic.recompute(config, narrow, params, trajectory)
        batch = actor_critic.take_sequences(config, trajectory, fresh, jnp.arange(2, 32))
        return actor_critic.gradient(config, narrow, params, batch, HPARAMS, KEY)

    jax.eval_shape(gradient, pictures())
    assert read == {sequences}


def test_an_absent_agents_whole_episode_changes_nothing():
    trajectory = pictures()
    config = PPO(
        sequence_length=4,
        num_minibatches=2,
        minibatch_size=16,
        recompute_every=None,
        auxiliary=(NextFramePrediction(weight=1.0),),
    )
    learner = config.init(LSTM, KEY, steps=0)
    mask = trajectory.loss_mask.at[:, 2].set(False)
    trajectory = trajectory.replace(loss_mask=mask, reward=trajectory.reward * mask)
    garbage = trajectory.replace(
        observation=trajectory.observation.at[:, 2].add(77),
        action=trajectory.action.at[:, 2].set(1),
        reward=trajectory.reward.at[:, 2].set(50.0),
        log_prob=trajectory.log_prob.at[:, 2].set(-4.0),
    )
    update = updater(config, LSTM)
    chex.assert_trees_all_equal(update(learner, trajectory, HPARAMS, KEY), update(learner, garbage, HPARAMS, KEY))


# The KL stop and the KL limit.


def experienced(config):
    """A learner whose optimizer is not blank."""
    params = table()
    push = jax.tree.map(lambda x: 0.1 + 0 * x, params)
    return LearnerState(params, config.optimizer().update(push, config.optimizer().init(params))[1])


def test_the_stop_takes_no_further_step():
    config = dataclasses.replace(WHOLE, num_minibatches=6, target_kl=1e-6)
    learner = experienced(config)
    after, metrics = updater(config)(learner, numbered(), HPARAMS, KEY)
    # The first minibatch sees no divergence and takes its step of about 0.01; the second sees it and stops.
    assert metrics["gradient_steps"] == 1
    assert metrics["rolled_back"] == 0
    assert metrics["approx_kl_max"] > 1e-6
    assert int(after.opt_state[1].count) == 2
    expected, _ = updater(dataclasses.replace(config, num_minibatches=1, recompute_every=None))(
        learner, numbered(), HPARAMS, KEY
    )
    chex.assert_trees_all_close(after, expected, rtol=1e-6)
    _, metrics = updater(WHOLE)(learner, numbered(), HPARAMS, KEY)
    assert metrics["gradient_steps"] == 4


@pytest.mark.parametrize(("minibatches", "stop"), [(1, None), (4, None), (4, 0.01)])
def test_the_limit_undoes_the_whole_update(minibatches, stop):
    """A huge step diverges; with one minibatch only its own last step shows it. A step into NaN is as bad."""
    config = dataclasses.replace(
        WHOLE, num_minibatches=minibatches, recompute_every=None, target_kl=stop, rollback_kl=0.03
    )
    learner = experienced(config)
    for rate in (5.0, float("inf")):
        after, metrics = updater(config)(learner, numbered(), ScheduledHparams(jnp.float32(rate), *HPARAMS[1:]), KEY)
        assert not metrics["approx_kl_max"] <= 0.03
        assert metrics["rolled_back"] == 1
        chex.assert_trees_all_equal(after, learner)


def test_without_a_limit_a_huge_step_stays():
    learner = experienced(WHOLE)
    after, metrics = updater(WHOLE)(learner, numbered(), ScheduledHparams(jnp.float32(5.0), *HPARAMS[1:]), KEY)
    assert metrics["approx_kl_max"] > 0.03
    assert metrics["rolled_back"] == 0
    assert (after.params["policy"]["logits"] != 0).any()
    assert int(after.opt_state[1].count) == 5


def test_a_calm_update_stays():
    config = dataclasses.replace(WHOLE, target_kl=0.01, rollback_kl=0.03)
    learner = learner_of(config, table())
    after, metrics = updater(config)(learner, numbered(), ScheduledHparams(jnp.float32(1e-3), *HPARAMS[1:]), KEY)
    assert metrics["rolled_back"] == 0
    assert metrics["gradient_steps"] == 4
    assert 0 <= metrics["approx_kl_max"] < 0.01
    assert (after.params["policy"]["logits"] != 0).any()


def test_the_gradient_is_clipped_by_its_norm_over_all_parameters():
    config = PPO(max_grad_norm=0.5)
    gradient = {"a": jnp.array([3.0, 0.0]), "b": jnp.array([4.0])}
    _, state = config.optimizer().update(gradient, config.optimizer().init(gradient))
    mean = state[1].mu  # a tenth of what reached Adam: the gradient of norm 5, brought to 0.5
    np.testing.assert_allclose(mean["a"], [0.03, 0.0], rtol=1e-5)
    np.testing.assert_allclose(mean["b"], [0.04], rtol=1e-5)


# Why the auxiliary loss is needed.


def test_without_reward_or_value_only_the_auxiliary_loss_teaches():
    trajectory = pictures().replace(reward=jnp.zeros((16, 8)))
    plain = PPO(sequence_length=4, target_kl=None)
    helped = dataclasses.replace(plain, auxiliary=(NextFramePrediction(),))
    learner = helped.init(LSTM, KEY, steps=0)
    heads = learner.params["policy"]["heads"]
    heads["value3"] = jax.tree.map(jnp.zeros_like, heads["value3"])

    def gradient(config):
        fresh = actor_critic.recompute(config, LSTM, learner.params, trajectory)
        batch = actor_critic.take_sequences(config, trajectory, fresh, jnp.arange(32))
        return jax.grad(lambda p: whole_loss(config, LSTM, p, batch, HPARAMS)[0])(learner.params)

    without = jax.jit(lambda: gradient(plain))()
    assert all(not leaf.any() for leaf in jax.tree.leaves(without))
    with_it = jax.jit(lambda: gradient(helped))()["policy"]
    for part in ("encoder", "memory"):
        assert any(leaf.any() for leaf in jax.tree.leaves(with_it[part])), part
    assert all(not leaf.any() for leaf in jax.tree.leaves(with_it["heads"]))


# Learners side by side.


def test_two_slots_of_a_group_train_apart():
    config = dataclasses.replace(WHOLE, minibatch_size=4)

    @jax.jit
    def train(learners, trajectories, keys):
        return jax.lax.map(lambda own: ppo.ppo_update(config, TABLE, own[0], own[1], HPARAMS, own[2])[0], (
            learners, trajectories, keys,
        ))  # fmt: skip

    def pair(*trees):
        return jax.tree.map(lambda *x: jnp.stack(x), *trees)

    first, second = (learner_of(config, table(seed=i)) for i in (1, 2))
    one, two, three = (numbered(seed=i) for i in (1, 2, 3))
    keys = jax.random.split(KEY, 2)
    after = train(pair(first, second), pair(one, two), keys)
    logits = after.params["policy"]["logits"]
    assert (logits[0] != logits[1]).any()
    # Which slot a learner sits in plays no part, nor what the other one lives through or is.
    swapped = train(pair(second, first), pair(two, one), keys[::-1])
    chex.assert_trees_all_equal(swapped, jax.tree.map(lambda x: x[::-1], after))
    other = train(pair(first, first), pair(one, three), keys)
    chex.assert_trees_all_equal(*(jax.tree.map(lambda x: x[0], x) for x in (other, after)))
