"""What the adapters share."""

import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import pytest

import rookery
from rookery.errors import ConfigError, InvalidActionError, NotFoundError
from rookery.gridworld.spec import ViewConfig
from rookery.interop.common import check_actions, check_render_mode, episode_key, render_rgb, resolve_task
from rookery.interop.gymnasium import SingleAgentEnv, SingleAgentVectorEnv
from rookery.interop.pettingzoo import parallel_env
from rookery.limits import check_key_seed
from rookery.storage.serialization import apply_overrides
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.grid_env import GridEnv
from rookery.tasks.registry import get_task, make_env
from tests.interop.counting import Counting
from tests.worlds import start, task_on


def test_a_task_is_found_by_its_id_and_changed():
    assert resolve_task("goal-cycle-v0", {"num_goals": 4}) == GoalCycle(num_goals=4)
    assert resolve_task(Counting(), {}) == Counting()
    with pytest.raises(NotFoundError, match="did you mean 'goal-cycle-v0'"):
        resolve_task("goal-cycle-v9", {})
    with pytest.raises(ConfigError, match="unexpected keyword argument 'goal'; did you mean 'num_goals'"):
        resolve_task("goal-cycle-v0", {"goal": 4})
    with pytest.raises(ConfigError, match="num_goals=0 must be at least 1"):
        resolve_task("goal-cycle-v0", {"num_goals": 0})
    assert get_task("goal-cycle-v0") == GoalCycle()


@pytest.mark.parametrize(
    "changes",
    [
        {"collide": "no"}, {"num_goals": True}, {"max_steps": 10.0}, {"penalty": float("nan")}, {"num_goals": "4"},
        {"goal_reward": float("inf")}, {"num_goals": 4.0}, {"map": ["#####", 1]},
    ],
)  # fmt: skip
def test_values_of_settings_are_checked(changes):
    with pytest.raises(ConfigError, match=f"goal-cycle.{next(iter(changes))}"):
        resolve_task("goal-cycle-v0", changes)


def test_a_map_may_be_a_list_of_lines():
    lines = ["#######", "#w  Ao#", "#w  oA#", "#######"]
    made = parallel_env("cleanup-small-v0", map=lines, num_agents=2)
    assert len(made.possible_agents) == 2
    cleanup = resolve_task("cleanup-small-v0", {"map": tuple(lines), "num_agents": 2})
    assert cleanup == dataclasses.replace(get_task("cleanup-small-v0"), map="\n".join(lines), num_agents=2)
    assert cleanup == apply_overrides(get_task("cleanup-small-v0"), [f"map={json.dumps(lines)}", "num_agents=2"])
    rooms = ["#########", "#AAA#123#", "#.......#", "#########"]
    assert rookery.make("goal-cycle-symbolic-v0", map=rooms).task.map == "\n".join(rooms)


@pytest.mark.parametrize("settings", [{"collide": "no"}, {"num_goals": 4.0}, {"max_steps": 10.0}, {"num_goals": True}])
def test_settings_given_to_the_task_itself_are_checked_too(settings):
    name = next(iter(settings))
    with pytest.raises(ConfigError, match=f"goal-cycle.{name} is .*; it must be"):
        rookery.make("goal-cycle-v0", **settings)
    for make in (make_env, SingleAgentEnv, parallel_env):
        with pytest.raises(ConfigError, match=f"{name}.* must be"):  # some by the task itself
            make(GoalCycle(**settings))


def test_a_text_where_a_number_belongs():
    with pytest.raises(ConfigError, match=r'goal-cycle.num_goals is "4"; it must be a whole number'):
        rookery.make("goal-cycle-v0", num_goals="4")


def test_a_boolean_is_no_number():
    for make in (
        lambda: SingleAgentEnv(Counting(), agent=True),
        lambda: SingleAgentVectorEnv(Counting(), num_envs=True),
        lambda: check_key_seed(True),
    ):
        with pytest.raises(ConfigError, match="=True must be a whole number"):
            make()


def test_lists_and_numpy_numbers_are_fine():
    changes = {"views": [ViewConfig(size=5)] * 3, "spawn_delay": [0, 1, 2], "num_goals": np.int64(4)}
    assert resolve_task("goal-cycle-v0", changes) == GoalCycle(
        views=(ViewConfig(size=5),) * 3, spawn_delay=(0, 1, 2), num_goals=4
    )


def test_an_unknown_setting_is_a_type_error_too():
    with pytest.raises(TypeError, match="unexpected keyword argument 'frameskip'"):
        resolve_task("goal-cycle-v0", {"frameskip": 1})


NO_BACKEND = """
import os, gymnasium, jax, rookery.interop
from jax._src import xla_bridge
from rookery.interop.pettingzoo import parallel_env as pz
partners = ("none", "scripted", "random", "goal-cycle-demo-expert")
envs = [gymnasium.make("rookery/goal-cycle-demo-v0", partners=p) for p in partners]
envs += [gymnasium.make_vec("rookery/cleanup-small-v0", num_envs=2), pz("goal-cycle-v0", render_mode="rgb_array")]
assert not xla_bridge.backends_are_initialized()
if os.fork() == 0:
    envs[0].reset(seed=0)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.wait()[1]))
"""


def test_making_environments_starts_no_backend_so_that_a_process_can_fork():
    result = subprocess.run([sys.executable, "-c", NO_BACKEND], capture_output=True, text=True, timeout=300)
    assert result.stdout.strip() == "7", result.stderr[-2000:]


@pytest.mark.parametrize("seed", [0, 7, 2**31, 2**32 - 1])
def test_the_first_episode_of_a_seed_is_that_of_its_key(seed):
    opened = jax.jit(episode_key)(np.uint32(seed), np.uint32(0))
    assert (opened == jax.random.PRNGKey(seed)).all()
    later = jax.jit(episode_key)(np.uint32(seed), np.uint32(2))
    assert (later != opened).any()


def test_later_episodes_share_no_key_with_the_first():
    """`Env.reset` splits the first episode's key, and with JAX's partitionable keys a split is a fold of 0, 1, 2…"""
    key = jax.random.PRNGKey(3)
    parts = {tuple(part.tolist()) for number in (2, 3, 5, 8) for part in jax.random.split(key, number)}
    later = jax.vmap(episode_key, in_axes=(None, 0))(np.uint32(3), np.arange(1, 9, dtype=np.uint32))
    assert parts.isdisjoint(tuple(part.tolist()) for part in later)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "3", None])
def test_seeds_no_key_can_be_made_of_are_refused(seed):
    with pytest.raises(ConfigError, match="seed="):
        check_key_seed(seed)


def test_actions_of_many_kinds_are_taken():
    for given in (
        [1, 2],
        (np.int64(1), np.uint8(2)),
        [np.uint64(1), np.int64(2)],  # which NumPy joins as fractions
        np.array([1, 2]),
        np.array([1, 2], object),
        [np.array(1), np.array([2])],
        iter([1, 2]),
    ):
        taken = check_actions(given, 3, ["a", "b"])
        assert taken.dtype == np.int32
        assert taken.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([0, 3], "b: action 3 is out of range; allowed: 0 to 2"),
        ([-1, 0], "a: action -1 is out of range"),
        ([0, 1.0], "b: action 1.0 is not a whole number"),
        ([0, None], "b: action None is not a whole number"),
        ([True, 0.5], "a: action True is not a whole number"),
        ([0, np.True_], "b: action np.True_ is not a whole number"),
        ([2**63, 1], "a: action 9223372036854775808 is out of range"),
        ([2**70, 1], "a: action 1180591620717411303424 is out of range"),
        (iter([1.0, 2]), "a: action 1.0 is not a whole number"),
        (["up", 0], "a: action 'up' is not a whole number"),
        ([0], "must be 2 whole numbers, one per agent"),
        ([[0, 1], [1, 2]], "must be 2 whole numbers, one per agent"),
        ([[0, 1], 1], "must be 2 whole numbers, one per agent"),
        (5, "must be 2 whole numbers, one per agent"),
    ],
)
def test_actions_that_are_none_are_named(given, said):
    with pytest.raises(InvalidActionError, match=said) as caught:
        check_actions(given, 3, ["a", "b"])
    assert isinstance(caught.value, ValueError)


def test_render_modes():
    assert check_render_mode(None, []) is None
    assert check_render_mode("rgb_array", ["rgb_array"]) == "rgb_array"
    with pytest.raises(ConfigError, match="'human' is not available; allowed for this task: 'rgb_array'"):
        check_render_mode("human", ["rgb_array"])
    with pytest.raises(ConfigError, match="none, because its states cannot be drawn"):
        check_render_mode("rgb_array", [])


def test_a_world_is_painted_as_it_stands():
    task = task_on(
        """
        ######
        #1.A.#
        ######
        """
    )
    picture = render_rgb(GridEnv(task), start(task, position=(1, 3), heading=1))
    assert picture.shape == (3 * 24, 6 * 24, 3)
    cell = lambda row, col: picture[row * 24 + 2 : row * 24 + 23, col * 24 + 2 : col * 24 + 23]  # noqa: E731
    assert (cell(1, 2) == cell(1, 4)).all()  # floor
    for other in (cell(0, 0), cell(1, 1), cell(1, 3)):  # wall, goal, agent
        assert (other != cell(1, 2)).any()
