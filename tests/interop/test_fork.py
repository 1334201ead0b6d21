"""Processes forked after JAX started: an error, and no hang."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rookery.interop import fork
from rookery.interop.gymnasium import SingleAgentEnv, SingleAgentVectorEnv
from rookery.interop.jaxmarl import Box, DictEnv, Discrete
from rookery.interop.pettingzoo import parallel_env
from tests.interop.counting import Counting

FORKED = """
import multiprocessing, warnings
import gymnasium, jax
from gymnasium.vector import AsyncVectorEnv
from rookery.errors import RookeryError
from rookery.interop.gymnasium import SingleAgentEnv
from tests.interop.counting import Counting

def make():
    return SingleAgentEnv(Counting())

def compute(pipe):
    from rookery.interop.fork import _forked_before_import
    pipe.send(_forked_before_import())

if __name__ == "__main__":
    warnings.simplefilter("ignore")  # JAX's own, about forks
    make().reset(seed=0)
    envs = AsyncVectorEnv([make, make], context="fork")
    try:
        envs.reset(seed=0)
    except RookeryError as error:
        print(type(error).__name__, "spawn" in str(error))
    envs.close(terminate=True)
    here, there = multiprocessing.Pipe()
    multiprocessing.get_context("fork").Process(target=compute, args=(there,)).start()
    print(here.recv())
    multiprocessing.get_context("spawn").Process(target=compute, args=(there,)).start()
    print(here.recv())
"""


def test_a_process_forked_too_late_says_so(tmp_path):
    script = tmp_path / "forked.py"
    script.write_text(FORKED)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, str(script)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert result.stdout.split() == ["ForkError", "True", "True", "False"], result.stderr[-2000:]


def test_every_adapter_refuses_in_a_forked_process(monkeypatch):
    one, both, by_name = SingleAgentEnv(Counting()), parallel_env(Counting()), DictEnv(Counting())
    many = SingleAgentVectorEnv(Counting())  # of one environment, which is compiled as a single one is
    for env in (one, both, many):
        env.reset(seed=0)
    # Counting has no pictures; what draws them is not reached.
    one.render_mode = both.render_mode = many.render_mode = "rgb_array"
    monkeypatch.setattr(fork, "_forked", True)
    for call in (
        lambda: one.reset(seed=0),
        lambda: one.step(0),
        lambda: both.reset(seed=0),
        lambda: both.step({"agent_0": 0, "agent_1": 0}),
        lambda: by_name.reset(None),
        lambda: by_name.step(None, None, {"agent_0": 0, "agent_1": 0}),
        one.render,
        both.render,
        many.render,
        lambda: copy.copy(one),
        lambda: copy.copy(both),
        lambda: copy.copy(many),
        lambda: by_name.default_params,
        lambda: by_name.get_obs(None),
        lambda: by_name.get_avail_actions(None),
        lambda: Discrete(3).sample(None),
        lambda: Discrete(3).contains(0),
        lambda: Box(0, 255, (1, 1)).sample(None),
        lambda: Box(0, 255, (1, 1)).contains(0),
    ):
        with pytest.raises(fork.ForkError, match="Start worker processes with 'spawn'"):
            call()
