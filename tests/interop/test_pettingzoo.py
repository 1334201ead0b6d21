"""PettingZoo's own suites for every task, a seed test that is one, and what happens by hand."""

import copy
import pickle
import warnings

import jax
import numpy as np
import pytest
from pettingzoo.env_registry.registration import make, spec
from pettingzoo.test import api_test, parallel_api_test

from rookery.errors import ConfigError, InvalidActionError, ResetNeededError
from rookery.interop.pettingzoo import env, parallel_env
from rookery.tasks import registry
from tests.interop.counting import Counting, FixedLength, random_value
from tests.tiny import TASK

BOTH = ("agent_0", "agent_1")


@pytest.fixture(autouse=True)
def strict():
    """Warnings are errors, DeprecationWarning too."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("name", registry.TASKS)
def test_every_task_conforms(name, capsys):
    parallel_api_test(parallel_env(name), num_cycles=40)
    assert "Passed" in capsys.readouterr().out


@pytest.mark.parametrize("name", registry.TASKS)
def test_the_same_seed_gives_the_same_thousand_steps(name):
    one, other, third = (parallel_env(name) for _ in range(3))
    outputs = [one.reset(seed=5), other.reset(seed=5)]
    assert_equal(*outputs)
    elsewhere = third.reset(seed=6)
    differs = not same(outputs[0], elsewhere)
    random = np.random.default_rng(0)
    episodes = 1
    for _ in range(1000):
        if not one.agents:
            assert_equal(one.reset(), other.reset())
            if not differs:
                third.reset()
            episodes += 1
        actions = {a: int(random.integers(one.action_space(a).n)) for a in one.agents}
        outputs = one.step(actions)
        assert_equal(outputs, other.step(actions))
        assert one.agents == other.agents
        if third.agents and not differs:
            differs = not same(outputs, third.step(actions))
    assert episodes > 1 or one._env.max_steps >= 1000
    is_random = registry.get_task(name).kind != "matrix" and name != "memory-sequence-fixed-v0"
    assert differs == is_random, "another seed gives another world wherever worlds are random"


def assert_equal(one, other):
    assert same(one, other)


def same(one, other) -> bool:
    """To the last bit, types included."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return type(one) is type(other) and one == other


def test_the_turn_by_turn_form_conforms(capsys):
    api_test(env(TASK), num_cycles=20)
    assert "Passed" in capsys.readouterr().out


def test_pettingzoos_registry_finds_every_task():
    import rookery.interop

    for name in registry.TASKS:
        assert spec("parallel", f"rookery/{name}").kwargs == {"task": name}
        assert spec("aec", f"rookery/{name}").kwargs == {"task": name}
    made = make("parallel", "rookery/goal-cycle-demo-v0", max_cycles=7)
    assert made.metadata["name"] == "rookery/goal-cycle"
    assert made._env.max_steps == 7
    assert make("aec", "rookery/goal-cycle-demo-v0").possible_agents == made.possible_agents
    rookery.interop.register_envs()  # again: nothing is registered twice, so nothing warns


def test_an_episode_by_hand():
    world = parallel_env(Counting())
    observations, infos = world.reset(seed=3)
    assert observations["agent_0"].tolist() == [[0]]
    assert observations["agent_1"].tolist() == [[random_value(3), 0]]
    assert infos == {
        "agent_0": {"active": True, "half": 0.0, "units": 0.0},
        "agent_1": {"active": False, "half": 0.0, "units": 0.0},
    }
    # Agent 1 is not in the world yet: its action counts for nothing.
    observations, rewards, terminated, truncated, infos = world.step({"agent_1": 2, "agent_0": 1})
    assert observations["agent_0"].tolist() == [[1]]
    assert rewards == {"agent_0": 1.0, "agent_1": 0.0}
    assert terminated == truncated == dict.fromkeys(BOTH, False)
    assert infos["agent_1"]["active"] is True
    _, rewards, terminated, _, infos = world.step({"agent_0": 0, "agent_1": 2})
    assert rewards == {"agent_0": 0.0, "agent_1": 2.0}
    assert infos["agent_1"] == {"active": True, "half": 1.0, "units": 2.0}
    observations, _, terminated, truncated, _ = world.step({"agent_0": 1, "agent_1": 2})
    assert observations["agent_0"].tolist() == [[6]]
    assert terminated == dict.fromkeys(BOTH, True)
    assert truncated == dict.fromkeys(BOTH, False)
    assert world.agents == []
    # The next episode of the same seed has a key of its own; giving the seed again gives the first again.
    assert world.reset()[0]["agent_1"].tolist() == [[random_value(3, 1), 0]]
    assert world.reset()[0]["agent_1"].tolist() == [[random_value(3, 2), 0]]
    assert world.reset(seed=3)[0]["agent_1"].tolist() == [[random_value(3), 0]]


def test_the_time_limit_truncates():
    with pytest.raises(ConfigError, match="max_cycles and max_steps are one setting"):
        parallel_env(Counting(), max_cycles=2, max_steps=3)
    world = parallel_env(Counting(), max_cycles=2)
    assert world.metadata["render_fps"] == 10
    world.reset(seed=0)
    still = dict.fromkeys(BOTH, 0)
    assert world.step(still)[3] == dict.fromkeys(BOTH, False)
    _, _, terminated, truncated, _ = world.step(still)
    assert terminated == dict.fromkeys(BOTH, False)
    assert truncated == dict.fromkeys(BOTH, True)


def test_steps_out_of_turn_are_errors_and_the_world_stays_usable():
    world = parallel_env(Counting(limit=2))
    with pytest.raises(ResetNeededError, match="has not begun; call reset"):
        world.step(dict.fromkeys(BOTH, 0))
    world.reset(seed=0)
    world.step(dict.fromkeys(BOTH, 2))
    with pytest.raises(ResetNeededError, match="is over; call reset") as caught:
        world.step(dict.fromkeys(BOTH, 0))
    assert isinstance(caught.value, RuntimeError)
    world.reset()
    world.step(dict.fromkeys(BOTH, 0))
    world.close()
    with pytest.raises(ResetNeededError, match="has not begun"):
        world.step(dict.fromkeys(BOTH, 0))
    world.close()


def test_wrong_actions_are_errors_and_move_nothing():
    world = parallel_env(Counting())
    world.reset(seed=0)
    for wrong, said in (
        ({"agent_0": 0}, "no action for agent_1"),
        ({}, "no action for agent_0, agent_1"),
        ([0, 0], r"actions=\[0, 0\] must be a dictionary; give one for each of: agent_0, agent_1"),
        ({"agent_0": 0, "agent_1": 0, "agent_2": 0}, "there is no agent 'agent_2'"),
        ({"agent_0": 0, "agent_1": 3}, "agent_1: action 3 is out of range; allowed: 0 to 2"),
        ({"agent_0": 0.5, "agent_1": 0}, "agent_0: action 0.5 is not a whole number"),
    ):
        with pytest.raises(InvalidActionError, match=said):
            world.step(wrong)
    assert world.step({"agent_0": 1, "agent_1": 0})[0]["agent_0"].tolist() == [[1]]


@pytest.mark.parametrize("wrong", [3, -1, None, 1.5])
def test_a_wrong_action_is_refused_at_its_own_turn(wrong):
    world = env(Counting(max_steps=2))
    with pytest.raises(AttributeError, match="before reset"):
        _ = world.agent_selection
    world.reset(seed=0)
    for _ in range(2):
        with pytest.raises(InvalidActionError, match=r"^agent_0: action"):
            world.step(wrong)
        assert world.agent_selection == "agent_0"
    world.step(1)
    with pytest.raises(InvalidActionError, match=r"^agent_1: action"):
        world.step(wrong)
    world.step(0)
    assert world.observe("agent_0").tolist() == [[1]]
    world.step(0)
    world.step(0)
    assert world.truncations == dict.fromkeys(BOTH, True)
    with pytest.raises(InvalidActionError, match="agent_0: its episode is over, so its action is None and not 1"):
        world.step(1)
    world.step(None)
    world.step(None)
    assert world.agents == []
    world.reset()
    world.close()
    with pytest.raises(ResetNeededError, match="was closed; call reset"):
        world.step(1)
    assert world.agent_selection == "agent_0"


def test_a_length_that_is_no_setting_can_be_cut():
    world = parallel_env(FixedLength(), max_cycles=2)
    for _ in range(2):
        world.reset(seed=0)
        assert [world.step(dict.fromkeys(BOTH, 0))[3]["agent_1"] for _ in range(2)] == [False, True]
        assert world.agents == []
    world = parallel_env(FixedLength(), max_cycles=99)
    world.reset(seed=0)
    assert [world.step(dict.fromkeys(BOTH, 0))[3]["agent_1"] for _ in range(5)] == [False] * 4 + [True]
    for name in ("goal-sequence-v0", "memory-sequence-v0"):
        assert parallel_env(name, max_cycles=10)._max_steps == 10
    for wrong in (0, 1.5):
        with pytest.raises(ConfigError, match=f"max_cycles={wrong} must be"):
            parallel_env(FixedLength(), max_cycles=wrong)


def test_what_is_told_is_the_callers_own():
    world = parallel_env(Counting())
    first = world.reset(seed=0)[0]["agent_0"]
    first[:] = 99
    later = world.step({"agent_0": 1, "agent_1": 0})[0]["agent_0"]
    assert (later.tolist(), first.tolist()) == ([[1]], [[99]])


def test_a_copy_goes_its_own_way_with_the_same_program():
    world = parallel_env(Counting())
    world.reset(seed=0)
    other = copy.deepcopy(world)
    world.step({"agent_0": 1, "agent_1": 0})
    assert other.step({"agent_0": 2, "agent_1": 0})[0]["agent_0"].tolist() == [[2]]
    assert world.step({"agent_0": 2, "agent_1": 0})[0]["agent_0"].tolist() == [[3]]
    assert other._compiled is world._compiled


def test_a_shallow_copy_and_a_pickle_go_their_own_way_too():
    world = parallel_env(Counting())
    world.reset(seed=0)
    for duplicate in (copy.copy, lambda original: pickle.loads(pickle.dumps(original))):
        other = duplicate(world)
        assert world.step({"agent_0": 1, "agent_1": 0})[1]["agent_0"] == 1.0
        assert other.step({"agent_0": 2, "agent_1": 0})[1]["agent_0"] == 2.0
        assert other._compiled is world._compiled


def test_there_is_no_global_state():
    world = parallel_env(Counting())
    world.reset(seed=0)
    assert not hasattr(world, "state_space")
    with pytest.raises(NotImplementedError):
        world.state()


def test_it_is_rendered_where_there_is_a_map():
    world = parallel_env("goal-cycle-demo-v0", render_mode="rgb_array")
    with pytest.raises(ResetNeededError, match="no state to draw yet"):
        world.render()
    world.reset(seed=0)
    before = world.render()
    assert (before.shape, before.dtype) == ((9 * 24, 9 * 24, 3), np.uint8)
    world.step(dict.fromkeys(world.agents, 1))
    assert (world.render() != before).any()  # they have turned
    assert parallel_env("goal-cycle-demo-v0").render() is None
    with pytest.raises(ConfigError, match="its states cannot be drawn"):
        parallel_env(Counting(), render_mode="rgb_array")


@pytest.mark.parametrize("task", ["box-trapped-v0", "matrix-chicken-v0"])
def test_worlds_of_other_kinds_are_rendered_too(task):
    world = parallel_env(task, render_mode="rgb_array")
    world.reset(seed=0)
    picture = world.render()
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    assert picture.shape[0] % 24 == picture.shape[1] % 24 == 0
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 5


def test_the_same_numbers_as_the_functional_environment():
    plain = registry.make_env(TASK)
    params = plain.default_params()
    reset, step = jax.jit(plain.reset), jax.jit(plain.step)
    world = parallel_env(TASK)
    observations, _ = world.reset(seed=11)
    state, timestep = reset(jax.random.PRNGKey(11), params)
    random = np.random.default_rng(1)
    for _ in range(TASK.max_steps):
        for slot, name in enumerate(world.possible_agents):
            np.testing.assert_array_equal(observations[name], timestep.observation[slot])
        action = random.integers(plain.num_actions, size=2)
        observations, rewards, _, truncated, infos = world.step(dict(zip(world.agents, action, strict=True)))
        state, timestep = step(state, action.astype(np.int32), params)
        assert list(rewards.values()) == timestep.reward.tolist()
        assert [info["mistakes"] for info in infos.values()] == timestep.info["mistakes"].tolist()
    assert truncated["agent_0"]
    assert bool(timestep.truncated)
