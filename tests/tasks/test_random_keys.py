"""Settings of JAX under which a seed would mean another episode, or nothing works, are refused by every task alike."""

import contextlib

import jax
import numpy as np
import pytest

from rookery.agents.weights import load_agent
from rookery.agents.zoo import entry_path
from rookery.errors import ConfigError
from rookery.interop.pettingzoo import parallel_env
from rookery.tasks.checks import SEED_SETTINGS, STRICT_SETTINGS
from rookery.tasks.registry import get_task, make_env
from rookery.training.build import build
from tests.tiny import CONFIG

TASKS = ("goal-cycle-demo-v0", "cleanup-small-v0", "matrix-prisoners-dilemma-v0")


@contextlib.contextmanager
def setting(name, value):
    before = getattr(jax.config, name)
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


@pytest.mark.parametrize("task", TASKS)
def test_keys_of_another_kind(task):
    env = make_env(get_task(task))
    params = env.default_params()
    with pytest.raises(ConfigError, match=r"a typed one.*jax\.random\.key_data"):
        env.reset(jax.random.key(0), params)
    with pytest.raises(ConfigError, match=r"the key is uint32\[4\]"):
        env.reset(jax.random.key_data(jax.random.key(0, impl="rbg")), params)


@pytest.mark.parametrize(("name", "value"), [("jax_enable_x64", True), ("jax_default_prng_impl", "rbg")])
def test_settings_of_jax(name, value):
    env = make_env(get_task(TASKS[0]))
    params, key = env.default_params(), jax.random.PRNGKey(0)
    with setting(name, value):
        with pytest.raises(ConfigError, match=name.upper() if "x64" in name else "JAX_DEFAULT_PRNG_IMPL"):
            env.reset(key, params)
        with pytest.raises(ConfigError, match="tasks do not support"):
            build(CONFIG)
        load_agent(entry_path("goal-cycle-demo-expert"))  # agents load all the same


CHANGED = {"jax_threefry_partitionable": False, "jax_enable_custom_prng": True, "jax_random_seed_offset": 1}


@pytest.mark.parametrize("name", [*SEED_SETTINGS, *STRICT_SETTINGS])
def test_settings_that_change_or_forbid_what_tasks_compute(name):
    value = CHANGED[name] if name in SEED_SETTINGS else STRICT_SETTINGS[name][0]
    with setting(name, value), pytest.raises(ConfigError, match=f"{name} is .*unset {name.upper()}"):
        parallel_env(TASKS[2]).reset(seed=0)
    with setting(name, value), pytest.raises(ConfigError, match=name):
        build(CONFIG)


@pytest.mark.parametrize("task", TASKS)
def test_settings_that_change_between_reset_and_step(task):
    env = make_env(get_task(task))
    params = env.default_params()
    state, _ = env.reset(jax.random.PRNGKey(0), params)
    action = np.zeros(env.num_agents, np.int32)
    for name, value in (("jax_enable_x64", True), ("jax_numpy_dtype_promotion", "strict")):
        with setting(name, value), pytest.raises(ConfigError, match=name.upper()):
            jax.eval_shape(env.step, state, action, params)


def test_numbers_that_are_no_keys():
    env = make_env(get_task(TASKS[2]))
    for wrong in (7, None, [0, 7]):
        with pytest.raises(ConfigError, match=r"the key is .*; pass jax\.random\.PRNGKey"):
            env.reset(wrong, env.default_params())
