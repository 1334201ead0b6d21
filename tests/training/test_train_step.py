import dataclasses
import json
import os
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from jax.sharding import PartitionSpec

from rookery import keys
from rookery.agents.networks import MLPNetwork
from rookery.errors import ConfigError
from rookery.interfaces import Learner
from rookery.learning import batch_sharding
from rookery.learning.rollout import EpisodeStats
from rookery.storage.serialization import from_dict, to_dict
from rookery.training.build import build
from rookery.training.config import RunConfig, Variant
from rookery.training.devices import COLLECTIVE_TIMEOUT_FLAG
from rookery.training.train_step import replica_schedules, summarize, with_scalar_params
from tests.tiny import CONFIG, NOVICE, OTHER, TASK, assert_same, tiny


@pytest.fixture(scope="module")
def started():
    """Two seeds of two variants, each with two independent learners."""
    pair = dataclasses.replace(NOVICE, name="pair", slots=(0, 1))
    run = build(tiny(team=(pair,), num_seeds=2))
    return run, jax.device_get(run.init())


def weights(state, replica, slot):
    return jax.tree.map(lambda x: x[replica, slot], state.learners["pair"].params)


def test_replicas_lead_and_start_by_their_seed(started):
    run, state = started
    assert run.config.replicas == (("social", 3), ("social", 4), ("solo", 3), ("solo", 4))
    assert {leaf.shape[0] for leaf in jax.tree.leaves(state)} == {4}
    assert {leaf.shape[1] for leaf in jax.tree.leaves(state.learners)} == {2}
    np.testing.assert_array_equal(state.num_updates, [0, 0, 0, 0])
    for slot in range(2):
        assert_same(weights(state, 0, slot), weights(state, 2, slot))  # the same seed in both variants
        assert_same(weights(state, 1, slot), weights(state, 3, slot))
    kernels = [
        weights(state, replica, slot)["policy"]["encoder"]["dense1"]["kernel"] for replica in (0, 1) for slot in (0, 1)
    ]
    for i in range(4):
        for j in range(i):
            assert not np.array_equal(kernels[i], kernels[j])
    assert len({bytes(np.asarray(key)) for key in state.key}) == 2
    key = jax.random.fold_in(jax.random.PRNGKey(4), keys.TRAINING)
    np.testing.assert_array_equal(state.key[1], key)


def test_schedules_of_every_variant_stack():
    variants = (
        Variant(name="a"),
        Variant(
            name="b",
            social_episode_prob=0.25,
            ent_coef=((0.0, 1.0), (0.2, 2.0), (1.0, 3.0)),
            env_schedules={"penalty": 0.5},
        ),
    )
    schedules = replica_schedules(tiny(variants=variants, num_seeds=2))
    assert {leaf.shape for leaf in jax.tree.leaves(schedules)} == {(4, 3, 2)}
    assert set(schedules.env_params) == {"penalty"}
    for replica, prob in ((0, 1.0), (1, 1.0), (2, 0.25), (3, 0.25)):
        assert schedules.social_episode_prob[replica, 0, 1] == prob
    np.testing.assert_allclose(schedules.env_params["penalty"][0, :2], [[0, 0], [1, 1.5]])
    np.testing.assert_allclose(schedules.env_params["penalty"][2, 0], [0, 0.5])
    np.testing.assert_allclose(schedules.hparams["novice"]["ent_coef"][3], [[0, 1], [0.2, 2], [1, 3]], rtol=1e-6)


def test_what_one_variant_schedules_is_the_tasks_own_value_in_the_others():
    variants = (Variant(name="a"), Variant(name="b", env_schedules={"prestige_decay": 0.5}))
    schedules = replica_schedules(tiny(variants=variants, env_schedules={}))
    assert [float(x) for x in schedules.env_params["prestige_decay"][:, 0, 1]] == pytest.approx([0.99, 0.5])


@pytest.mark.parametrize(
    ("schedules", "said"),
    [
        ({"goal_hiding_prob": 2.0}, "env_schedules.goal_hiding_prob: goal_hiding_prob=2.0 must lie in"),
        ({"penalty": ((0.0, -1.0), (1.0, 1.0))}, "env_schedules.penalty: penalty=-1.0 must be non-negative"),
        ({"return_prob": 0.5}, "env_schedules.return_prob: return_prob is for agents in dropout_slots, which is empty"),
        ({"return_step": 5.0}, "env_schedules.return_step: return_step is for agents in dropout_slots, which is empty"),
        ({"spawn_delay": 3.0}, "env_schedules.spawn_delay is not a number of this task"),
    ],
)
def test_schedules_the_task_would_refuse(schedules, said):
    with pytest.raises(ConfigError, match=said):
        replica_schedules(tiny(env_schedules=schedules))
    with pytest.raises(ConfigError, match=said):
        replica_schedules(tiny(variants=(Variant(env_schedules=schedules),)))


@pytest.mark.parametrize(
    ("schedules", "said"),
    [
        ({"min_goals": 9}, r"min_goals: min_goals=9 must lie in \[1, 2\]"),
        ({"max_goals": -5.0}, r"max_goals: its values must lie in \[1, 2\], the task's own range"),
        ({"max_goals": ((0, 1), (1, 1e30))}, r"max_goals: its values must lie in \[1, 2\]"),
        ({"min_goals": 2, "max_goals": 1}, "min_goals is above max_goals in a part of the run"),
        ({"min_goals": ((0.2, 1), (0.6, 2)), "max_goals": ((0, 1), (1, 2))}, "min_goals is above max_goals"),
    ],
)
def test_borders_that_the_task_would_move_are_refused(schedules, said):
    config = tiny(task=dataclasses.replace(TASK, min_goals=1), env_schedules=schedules)
    with pytest.raises(ConfigError, match=said):
        replica_schedules(config)
    apart = {name: {name: schedule} for name, schedule in schedules.items()}
    if len(apart) > 1:  # each variant is checked with its own alone
        variants = tuple(Variant(name=name, env_schedules=own) for name, own in apart.items())
        replica_schedules(dataclasses.replace(config, env_schedules={}, variants=variants))


def test_a_schedule_of_whole_numbers_is_the_same_after_it_was_saved():
    """JSON has no whole numbers of its own, so a saved schedule is of floats."""
    task = dataclasses.replace(TASK, min_goals=1)
    config = tiny(task=task, env_schedules={"min_goals": ((0, 1), (1, 2))})
    saved = from_dict(RunConfig, json.loads(json.dumps(to_dict(config))))
    np.testing.assert_array_equal(
        replica_schedules(saved).env_params["min_goals"], replica_schedules(config).env_params["min_goals"]
    )
    with pytest.raises(ConfigError, match=r"env_schedules\.min_goals: min_goals=1\.5 must be a whole number"):
        replica_schedules(tiny(task=task, env_schedules={"min_goals": 1.5}))


class InnerParams(struct.PyTreeNode):
    size: jax.Array
    cost: jax.Array


class OuterParams(struct.PyTreeNode):
    """Parameters of a task of another package, some of which are not floats."""

    bonus: jax.Array
    pays: jax.Array
    share: jax.Array
    world: InnerParams


def test_scheduled_values_keep_the_types_that_the_task_gave_them():
    """Or a whole number could no longer be an index. They are rounded; floats are as they were."""
    world = InnerParams(jnp.uint8(3), jnp.float32(0.1))
    params = OuterParams(jnp.int32(1), jnp.bool_(False), jnp.float16(0.5), world)
    numbers = {"bonus": 1.7, "pays": 1.0, "share": 0.25, "size": 4.4, "cost": 0.3}
    changed = with_scalar_params(params, {name: jnp.float32(x) for name, x in numbers.items()})
    world = InnerParams(jnp.uint8(4), jnp.float32(0.3))
    assert_same(changed, OuterParams(jnp.int32(2), jnp.bool_(True), jnp.float16(0.25), world))
    value = jnp.float32(0.7)
    assert with_scalar_params(params, {"cost": value}).world.cost is value


@pytest.mark.parametrize(("seeds", "devices", "used"), [(1, 1, 1), (1, 2, 2), (3, 2, 2)])
def test_replicas_are_spread_evenly(seeds, devices, used):
    run = build(tiny(num_seeds=seeds))
    placed = run.place_on_devices({"x": jnp.zeros((2 * seeds, 5))}, jax.devices()[:devices])["x"]
    assert len(placed.sharding.device_set) == used
    assert placed.sharding.spec == PartitionSpec("replica")


def test_replicas_that_do_not_divide_run_on_all_devices_to_the_same_numbers():
    """Three seeds on two devices: one runs twice and counts once."""
    run = build(tiny(variants=CONFIG.variants[:1], num_seeds=3, eval_episodes=0))
    after, start = [], jax.device_get((run.init(), replica_schedules(run.config)))
    for devices in (jax.devices()[:1], jax.devices()[:2]):
        state, schedules = run.place_on_devices(start, devices)
        assert len(jax.tree.leaves(state)[0].sharding.device_set) == len(devices)
        update = run.compile_train_step(devices).lower(state, schedules).compile()
        for _ in range(2):  # the output is the next input
            donated = state
            state, metrics = update(state, schedules)
            assert all(leaf.is_deleted() for leaf in jax.tree.leaves(donated.learners))
        after.append(jax.device_get((state, metrics)))
    assert {leaf.shape[0] for leaf in jax.tree.leaves(after)} == {3}
    assert_same(*after)


def test_devices_that_share_a_replica_reach_the_same_numbers(patient, monkeypatch):
    """One seed on one device and on two: shards of episodes and of a minibatch."""
    monkeypatch.setattr(MLPNetwork, "cpu_chunk_size", 4)  # a minibatch of four parts
    run = build(
        tiny(variants=CONFIG.variants[:1], num_envs=32, total_timesteps=4 * 32 * CONFIG.task.max_steps, eval_episodes=0)
    )
    after, shared = [], []
    monkeypatch.setattr(
        batch_sharding,
        "map_shards",
        lambda *a, was=batch_sharding.map_shards: shared.append(batch_sharding.num_sharing_devices()) or was(*a),
    )
    start = jax.device_get((run.init(), replica_schedules(run.config)))
    for number in (1, 2):
        devices = jax.devices()[:number]
        state, schedules = run.place_on_devices(start, devices)
        assert len(jax.tree.leaves(state)[0].sharding.device_set) == number
        shared.clear()
        update = run.compile_train_step(devices).lower(state, schedules).compile()
        assert len(shared) > 1
        assert set(shared) == {number}
        for _ in range(2):
            state, metrics = update(state, schedules)
        after.append(jax.device_get((state, metrics)))
    assert_same(*after)


def test_gpus_share_a_replica_by_the_same_mechanism(patient, monkeypatch):
    """With what CPUs do otherwise switched off: one seed under vmap, its batch read at once by each device."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr("rookery.training.train_step.on_cpu", lambda devices: False)
    counts = []
    monkeypatch.setattr(
        batch_sharding,
        "map_shards",
        lambda f, inputs, was=batch_sharding.map_shards: (
            counts.append(len(jax.tree.leaves(inputs)[0])) or was(f, inputs)
        ),
    )
    alone = dataclasses.replace(NOVICE, learner=dataclasses.replace(NOVICE.learner, auxiliary=()))
    run = build(tiny(team=(alone, OTHER), variants=CONFIG.variants[:1], eval_episodes=0))
    after, start = [], jax.device_get((run.init(), replica_schedules(run.config)))
    for number in (1, 2):
        state, schedules = run.place_on_devices(start, jax.devices()[:number])
        counts.clear()
        after.append(jax.device_get(run.compile_train_step(jax.devices()[:number])(state, schedules)))
        assert set(counts) == ({1} if number == 1 else {2})
    for one, other in zip(*map(jax.tree.leaves, after), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-5)
    assert not np.array_equal(*(jax.tree.leaves(a[0].learners["novice"].params)[0] for a in (after[0], (start[0],))))


@pytest.fixture
def patient(monkeypatch):
    """With any version, devices wait for each other."""
    monkeypatch.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} {COLLECTIVE_TIMEOUT_FLAG}=604800")


@pytest.mark.parametrize(
    ("devices", "seeds", "used"), [(2, 1, (1, 2)), (2, 2, (2, 1)), (2, 5, (2, 1)), (16, 5, (5, 2)), (3, 1, (1, 2))]
)
def test_extra_devices_share_replicas(patient, devices, seeds, used):
    cpus = [types.SimpleNamespace(platform="cpu", id=n) for n in range(devices)]
    run = build(tiny(variants=CONFIG.variants[:1], num_seeds=seeds))
    assert shape_of_mesh(run, cpus) == used
    without = Learner()  # supports no sharding
    team = tuple(dataclasses.replace(g, learner=without if g.learner else None) for g in run.config.team)
    config = dataclasses.replace(run.config, team=team)
    assert shape_of_mesh(dataclasses.replace(run, config=config), cpus) == (used[0], 1)
    gpus = [types.SimpleNamespace(platform="gpu", id=n) for n in range(devices)]
    assert shape_of_mesh(run, gpus) == used


def shape_of_mesh(run, devices):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rookery.training.train_step.Mesh", lambda chosen, names: (chosen.shape, names))
        shape, names = run._mesh(devices)
    assert names == ("replica", batch_sharding.SHARD_AXIS)
    return shape


def test_summary_by_hand():
    """Two agents, four episodes; the second is absent from two of them."""
    agent_mask = jnp.array([[1, 1], [1, 0], [1, 0], [1, 1]], bool)
    returns = jnp.array([[1.0, 4.0], [2.0, 0.0], [3.0, 0.0], [4.0, 8.0]])
    stats = EpisodeStats(
        episode_return=returns,
        task_metrics={"goals": returns * 2},
        longest_streak=returns,
        steps_to_first_reward=returns,
        agent_mask=agent_mask,
    )
    summary = summarize(stats)
    np.testing.assert_allclose(summary["return"], [2.5, 6.0])
    np.testing.assert_allclose(summary["goals"], [5.0, 12.0])
    np.testing.assert_allclose(summary["return_q15"], [1.45, 4.6], rtol=1e-6)
    np.testing.assert_allclose(summary["return_q85"], [3.55, 7.4], rtol=1e-6)
    without_second = summarize(stats._replace(agent_mask=agent_mask & jnp.array([True, False])))
    np.testing.assert_array_equal(np.isnan(without_second["return"]), [False, True])


def test_the_team_is_checked_before_anything_else():
    with pytest.raises(ConfigError, match="each slot must be filled exactly once"):
        build(tiny(team=(NOVICE,)))
    with pytest.raises(ConfigError, match=r"fills slots \[0, 1, 1\]"):
        build(
            tiny(
                task=dataclasses.replace(TASK, views=TASK.views * 2),
                team=(NOVICE, OTHER, dataclasses.replace(OTHER, name="x")),
            )
        )
