import dataclasses
import os
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from rookery.agents.networks import MLPNetwork
from rookery.agents.team import Team
from rookery.errors import ConfigError
from rookery.learning import batch_sharding
from rookery.learning.rollout import EpisodeStats
from rookery.training.build import build
from rookery.training.config import Variant
from rookery.training.devices import COLLECTIVE_TIMEOUT_FLAG
from rookery.training.train_step import TRAINING_STREAM, summarize, replica_schedules
from tests.tiny import CONFIG, NOVICE, OTHER, TASK, assert_same, tiny


@pytest.fixture(scope="module")
def started():
    """Two seeds of two arms, each with two learners of their own."""
    pair = dataclasses.replace(NOVICE, name="pair", slots=(0, 1))
    program = build(tiny(team=(pair,), seeds=2))
    return program, jax.device_get(program.init())


def weights(state, member, slot):
    return jax.tree.map(lambda x: x[member, slot], state.learners["pair"].params)


def test_members_lead_and_start_by_their_seed(started):
    program, state = started
    assert program.config.members == (("social", 3), ("social", 4), ("solo", 3), ("solo", 4))
    assert {leaf.shape[0] for leaf in jax.tree.leaves(state)} == {4}
    assert {leaf.shape[1] for leaf in jax.tree.leaves(state.learners)} == {2}
    np.testing.assert_array_equal(state.update, [0, 0, 0, 0])
    for slot in range(2):
        assert_same(weights(state, 0, slot), weights(state, 2, slot))  # the same seed in either arm
        assert_same(weights(state, 1, slot), weights(state, 3, slot))
    kernels = [
        weights(state, member, slot)["policy"]["encoder"]["dense1"]["kernel"] for member in (0, 1) for slot in (0, 1)
    ]
    for i in range(4):
        for j in range(i):
            assert not np.array_equal(kernels[i], kernels[j])
    assert len({bytes(np.asarray(key)) for key in state.key}) == 2
    own = jax.random.fold_in(jax.random.PRNGKey(4), TRAINING_STREAM)
    np.testing.assert_array_equal(state.key[1], own)


def test_schedules_of_every_arm_stack():
    arms = (
        Variant(name="a"),
        Variant(
            name="b",
            social_episode_prob=0.25,
            ent_coef=((0.0, 1.0), (0.2, 2.0), (1.0, 3.0)),
            env_schedules={"penalty": 0.5},
        ),
    )
    told = replica_schedules(tiny(arms=arms, seeds=2))
    assert {leaf.shape for leaf in jax.tree.leaves(told)} == {(4, 3, 2)}
    assert set(told.env_params) == {"penalty"}
    for member, share in ((0, 1.0), (1, 1.0), (2, 0.25), (3, 0.25)):
        assert told.social_episode_prob[member, 0, 1] == share
    np.testing.assert_allclose(told.env_params["penalty"][0, :2], [[0, 0], [1, 1.5]])
    np.testing.assert_allclose(told.env_params["penalty"][2, 0], [0, 0.5])
    np.testing.assert_allclose(told.hparams["novice"]["entropy"][3], [[0, 1], [0.2, 2], [1, 3]], rtol=1e-6)


def test_what_one_arm_schedules_is_the_tasks_own_in_the_others():
    arms = (Variant(name="a"), Variant(name="b", env_schedules={"prestige_decay": 0.5}))
    told = replica_schedules(tiny(arms=arms, env_schedules={}))
    assert [float(x) for x in told.env_params["prestige_decay"][:, 0, 1]] == pytest.approx([0.99, 0.5])


@pytest.mark.parametrize(
    ("schedules", "said"),
    [
        ({"goal_hiding_prob": 2.0}, "env_schedules.goal_hiding_prob: goal_hiding_prob=2.0 must lie in"),
        ({"penalty": ((0.0, -1.0), (1.0, 1.0))}, "env_schedules.penalty: penalty=-1.0 must be at least 0"),
        ({"spawn_delay": 3.0}, "env_schedules.spawn_delay is not a number of this task"),
    ],
)
def test_schedules_the_task_would_refuse(schedules, said):
    with pytest.raises(ConfigError, match=said):
        replica_schedules(tiny(env_schedules=schedules))
    with pytest.raises(ConfigError, match=said):
        replica_schedules(tiny(arms=(Variant(env_schedules=schedules),)))


@pytest.mark.parametrize(("seeds", "devices", "used"), [(1, 1, 1), (1, 2, 2), (3, 2, 2)])
def test_members_are_spread_evenly(seeds, devices, used):
    program = build(tiny(seeds=seeds))
    placed = program.place_on_devices({"x": jnp.zeros((2 * seeds, 5))}, jax.devices()[:devices])["x"]
    assert len(placed.sharding.device_set) == used
    assert placed.sharding.spec == PartitionSpec("member")


def test_members_that_do_not_divide_run_on_all_devices_to_the_same_numbers():
    """Three seeds on two devices: one runs twice and counts once."""
    program = build(tiny(arms=CONFIG.variants[:1], seeds=3, eval_episodes=0))
    after = []
    for devices in (jax.devices()[:1], jax.devices()[:2]):
        state, schedules = program.place_on_devices((program.init(), replica_schedules(program.config)), devices)
        assert len(jax.tree.leaves(state)[0].sharding.device_set) == len(devices)
        update = program.compile_train_step(devices).lower(state, schedules).compile()
        for _ in range(2):  # what comes out goes in again
            state, told = update(state, schedules)
        after.append(jax.device_get((state, told)))
    assert {leaf.shape[0] for leaf in jax.tree.leaves(after)} == {3}
    assert_same(*after)


def test_devices_that_share_a_member_come_to_the_same_numbers(patient, monkeypatch):
    """One seed on one device and on two: lanes of episodes and of a minibatch's parts."""
    monkeypatch.setattr(MLPNetwork, "cpu_chunk_size", 4)  # a minibatch of four parts
    program = build(tiny(arms=CONFIG.variants[:1], episodes=32, steps=4 * 32 * CONFIG.task.max_steps, eval_episodes=0))
    after, shared = [], []
    monkeypatch.setattr(
        batch_sharding,
        "map_shards",
        lambda *a, was=batch_sharding.map_shards: shared.append(batch_sharding.num_sharing_devices()) or was(*a),
    )
    for number in (1, 2):
        devices = jax.devices()[:number]
        state, schedules = program.place_on_devices((program.init(), replica_schedules(program.config)), devices)
        assert len(jax.tree.leaves(state)[0].sharding.device_set) == number
        shared.clear()
        update = program.compile_train_step(devices).lower(state, schedules).compile()
        assert len(shared) > 1
        assert set(shared) == {number}
        for _ in range(2):
            state, told = update(state, schedules)
        after.append(jax.device_get((state, told)))
    assert_same(*after)


@pytest.fixture
def patient(monkeypatch):
    """Whatever the version, devices wait for each other."""
    monkeypatch.setenv("XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} {COLLECTIVE_TIMEOUT_FLAG}=604800")


@pytest.mark.parametrize(
    ("devices", "members", "used"), [(2, 1, (1, 2)), (2, 2, (2, 1)), (2, 5, (2, 1)), (16, 5, (5, 2)), (3, 1, (1, 2))]
)
def test_devices_left_over_share_members(patient, devices, members, used):
    cpus = [types.SimpleNamespace(platform="cpu", id=n) for n in range(devices)]
    program = build(tiny(arms=CONFIG.variants[:1], seeds=members))
    assert shape_of_mesh(program, cpus) == used
    without = types.SimpleNamespace(in_lanes=False)
    alone = Team(tuple(dataclasses.replace(g, learner=without if g.learns else None) for g in program.team.groups))
    assert shape_of_mesh(dataclasses.replace(program, team=alone), cpus) == (used[0], 1)
    gpus = [types.SimpleNamespace(platform="gpu", id=n) for n in range(devices)]
    assert shape_of_mesh(program, gpus) == (used[0], 1)


def shape_of_mesh(program, devices):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rookery.training.train_step.Mesh", lambda chosen, names: (chosen.shape, names))
        shape, names = program._mesh(devices)
    assert names == ("member", batch_sharding.SHARD_AXIS)
    return shape


def test_summary_by_hand():
    """Two agents, four episodes; the second is absent from two of them."""
    present = jnp.array([[1, 1], [1, 0], [1, 0], [1, 1]], bool)
    returns = jnp.array([[1.0, 4.0], [2.0, 0.0], [3.0, 0.0], [4.0, 8.0]])
    tally = EpisodeStats(
        episode_return=returns,
        task_metrics={"goals": returns * 2},
        longest_streak=returns,
        steps_to_first_reward=returns,
        agent_mask=present,
    )
    told = summarize(tally)
    np.testing.assert_allclose(told["return"], [2.5, 6.0])
    np.testing.assert_allclose(told["goals"], [5.0, 12.0])
    np.testing.assert_allclose(told["return_q15"], [1.45, 4.6], rtol=1e-6)
    np.testing.assert_allclose(told["return_q85"], [3.55, 7.4], rtol=1e-6)
    nobody = summarize(tally._replace(agent_mask=present & jnp.array([True, False])))
    np.testing.assert_array_equal(np.isnan(nobody["return"]), [False, True])


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
