"""What the adapter for Stable-Baselines3 checks itself, without that library; test_clients.py is with it."""

import importlib
import sys
import types

import pytest

from rookery.errors import ConfigError
from tests.interop.counting import Counting


class VecEnv:
    """Of Stable-Baselines3: how it keeps seeds."""

    def __init__(self, num_envs, observation_space, action_space):
        self.num_envs = num_envs

    def seed(self, seed=None):
        self._seeds = [seed + i for i in range(self.num_envs)]
        return self._seeds


@pytest.fixture
def make(monkeypatch):
    module = types.ModuleType("stable_baselines3.common.vec_env")
    module.VecEnv = VecEnv
    for name in ("stable_baselines3", "stable_baselines3.common", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    name = "rookery.interop.stable_baselines3"
    monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module(name).RookeryVecEnv
    sys.modules.pop(name)


@pytest.mark.parametrize("seed", [-1, 1.5, "3", 2**32, 2**32 + 7, 2**33])
def test_a_seed_no_key_can_be_made_of_is_refused_when_it_is_given(make, seed):
    for give in (lambda: make(Counting(), 2, seed=seed), lambda: make(Counting(), 2).seed(seed)):
        with pytest.raises(ConfigError, match=f"^seed={seed!r} "):
            give()


def test_only_the_number_of_an_environment_passes_the_last_seed(make):
    assert make(Counting(), 2).seed(2**32 - 1) == [2**32 - 1, 0]
