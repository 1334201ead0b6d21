"""Settings of JAX under which a seed would mean another episode are refused by name, by every kind of task alike."""

import contextlib

import jax
import pytest

from rookery.agents.weights import load_agent
from rookery.agents.zoo import entry_path
from rookery.errors import ConfigError
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
