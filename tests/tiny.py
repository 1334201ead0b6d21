"""A run that takes seconds, for tests of training, stopping, resuming and reporting.

All its schedules change in value, its grid is not square, and its first agent learns in both variants.
"""

import dataclasses
import functools
import json
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np

from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.weights import save_agent
from rookery.gridworld.spec import ViewConfig
from rookery.learning.auxiliary import NextFramePrediction
from rookery.learning.ppo import PPO
from rookery.storage.serialization import to_dict
from rookery.tasks.goal_cycle import GoalCycle
from rookery.training.build import build
from rookery.training.config import GroupConfig, RandomPolicyConfig, RecurrentPolicyConfig, RunConfig, Variant

VIEW = ViewConfig(size=3, observation_type="symbolic")
NETWORK = MLPNetwork(encoder_size=4, hidden_size=4, head_size=4)
TASK = GoalCycle(height=5, width=6, num_goals=2, num_obstacles=1, num_actions=3, max_steps=8, views=(VIEW, VIEW))
NOVICE = GroupConfig(
    name="novice",
    slots=(0,),
    policy=RecurrentPolicyConfig(network=NETWORK),
    learner=PPO(
        sequence_length=4, num_minibatches=2, minibatch_size=4, recompute_every=1, target_kl=None, rollback_kl=None,
        auxiliary=(NextFramePrediction(weight=1.0),),
    ),
    learning_rate=((0.0, 1e-2), (1.0, 1e-3)),
    ent_coef=((0.0, 0.1), (0.5, 0.01)),
)  # fmt: skip
OTHER = GroupConfig(name="other", slots=(1,), policy=RandomPolicyConfig())
UPDATES = 8

CONFIG = RunConfig(
    name="tiny",
    task=TASK,
    team=(NOVICE, OTHER),
    variants=(Variant(name="social"), Variant(name="solo", social_episode_prob=0.0, learning_rate=2e-2)),
    seed=3,
    total_timesteps=UPDATES * 4 * TASK.max_steps,
    num_envs=4,
    social_episode_prob=((0.0, 1.0), (1.0, 0.5)),
    env_schedules={"penalty": ((0.0, 0.0), (1.0, 1.5))},
    checkpoint_interval=3,
    max_checkpoints=2,
    eval_episodes=4,
)


def tiny(**changes) -> RunConfig:
    """The configuration with changes. Only changes that reach no array leave the compiled program as it is."""
    return dataclasses.replace(CONFIG, **changes)


def rows(run_dir: Path) -> list[dict]:
    """A run's metrics without those measured by a clock."""
    lines = (run_dir / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if not k.startswith("time/")} for line in lines]


def assert_same(left, right) -> None:
    """Two trees are equal to the last bit."""
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for one, other in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        assert one.tobytes() == other.tobytes()


def on_host(result):
    """A run's result with its state as numpy arrays."""
    return dataclasses.replace(result, state=jax.device_get(result.state))


def assert_same_run(result, other) -> None:
    """Two runs have the same numbers, in their states and on disk."""
    assert (result.num_updates, result.finished) == (other.num_updates, other.finished)
    assert_same(on_host(result).state, on_host(other).state)
    assert rows(result.run_dir) == rows(other.run_dir)
    for path in (other.run_dir / "agents").iterdir():
        assert (result.run_dir / "agents" / path.name).read_bytes() == path.read_bytes(), path.name


def replica_params(result, number: int) -> dict:
    """One replica's parameters by group, as `TeamSetup` takes them for a team that does not learn."""
    learners = result.state.learners.items()
    trained = {name: jax.tree.map(lambda x: np.asarray(x)[number, 0], l.params["policy"]) for name, l in learners}
    return {**result.run.frozen_params, **trained}


@functools.cache
def policy() -> RecurrentPolicy:
    """The novice's."""
    return build(CONFIG).team.groups[0].policy


@functools.cache
def params():
    """Initial parameters of the novice, numpy."""
    return jax.device_get(jax.jit(policy().init)(jax.random.PRNGKey(7)))


def save_novice(path: Path, **card) -> Path:
    """An untrained agent on disk, with a card like a run's."""
    save_agent(path, policy(), params(), {"name": "untrained", "task": to_dict(TASK), "slot": 0, **card})
    return path


def rookery(*arguments, timeout: float = 600, **options) -> subprocess.CompletedProcess:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "rookery.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)


# Tracing a program takes seconds, and every run traces its own: here equal programs are traced once.

_UPDATES, _EVALUATORS, _STATES = {}, {}, {}
_NOT_COMPILED = ("name", "checkpoint_interval", "max_checkpoints", "eval_episodes", "variants", "env_schedules")
"""Settings that reach the compiled update as an argument, or not at all."""


class _Once:
    """Replaces a jitted function: lowered and compiled once for one program and one form of arguments."""

    def __init__(self, function, name):
        self._function, self._name = function, name

    def lower(self, *arguments):
        self._arguments = arguments
        return self

    def compile(self):
        form = jax.tree.map(lambda x: (x.shape, x.dtype, x.sharding), self._arguments)
        key = (self._name, str(form))
        if key not in _UPDATES:
            _UPDATES[key] = self._function.lower(*self._arguments).compile()
        return _UPDATES[key]


def _name(run, *without) -> str:
    data = {key: value for key, value in to_dict(run.config).items() if key not in without}
    for group in data["team"]:
        group["policy"] = {**group["policy"], "init_from": None}  # where weights come from compiles to nothing
    return json.dumps(data, sort_keys=True)


def trace_once(monkeypatch) -> None:
    """Runs whose program was traced before start at once; nothing else changes."""
    from rookery.training import replica_updates
    from rookery.training.evaluation import RunEvaluator
    from rookery.training.train_step import Run

    compile_train_step, init = Run.compile_train_step, Run.init

    def once(self, devices=None):
        return _Once(compile_train_step(self, devices), _name(self, "seed", *_NOT_COMPILED))

    def evaluator(run, episodes, devices=None):
        key = (_name(run), str(devices), run.own)
        if key not in _EVALUATORS:
            _EVALUATORS[key] = RunEvaluator(run, episodes, devices)
        return _EVALUATORS[key]

    def init_once(self):
        key = _name(self, *_NOT_COMPILED) + str(self.config.replicas)
        if key not in _STATES:
            state = init(self)
            if isinstance(state.num_updates, jax.core.Tracer):  # only its shapes are asked for
                return state
            _STATES[key] = jax.device_get(state)
        return jax.tree.map(jax.numpy.asarray, _STATES[key])

    monkeypatch.setattr(Run, "compile_train_step", once)
    monkeypatch.setattr(Run, "init", init_once)
    monkeypatch.setattr(replica_updates, "RunEvaluator", evaluator)
