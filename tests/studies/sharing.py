"""Runs of many studies at `smoke` share compiled programs: compiling is nearly all that they cost.

A run's update and its evaluation are compiled for two replicas, and called for two after two: runs that differ only in
their variants, schedules and seeds then have the same program. Replicas do not depend on each other.
"""

import dataclasses
import json

import jax
import numpy as np

from rookery.storage.serialization import to_dict
from rookery.training.evaluation import RunEvaluator
from rookery.training.train_step import Run

NUM_POINTS = 8
"""Every schedule is padded to so many points."""
_NOT_COMPILED = (
    "name", "seed", "num_seeds", "variants", "env_schedules", "social_episode_prob", "checkpoint_interval",
    "max_checkpoints", "eval_episodes",
)  # fmt: skip
"""Settings of a run that reach the compiled update as an argument, or not at all."""
_NOT_COMPILED_OF_GROUPS = ("learning_rate", "ent_coef", "aux_loss_scale")


def _program(run: Run, *more) -> str:
    """Equal for runs with the same update."""
    data = {key: value for key, value in to_dict(run.config).items() if key not in _NOT_COMPILED}
    for group in data["team"]:
        for name in _NOT_COMPILED_OF_GROUPS:
            group.pop(name, None)
        group["policy"] = {**group["policy"], "init_from": None}  # where weights come from compiles to nothing
    return json.dumps([data, *more], sort_keys=True)


def _with_two_replicas(run: Run) -> Run:
    config = dataclasses.replace(run.config, variants=run.config.variants[:1], num_seeds=2)
    return dataclasses.replace(run, config=config)


def _pairs(tree, num_replicas: int) -> list:
    assert num_replicas % 2 == 0, "two seeds of every variant"
    host = jax.device_get(tree)
    return [jax.tree.map(lambda x, i=i: x[i : i + 2], host) for i in range(0, num_replicas, 2)]


def _joined(results: list):
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *jax.device_get(results))


def _padded(points):
    """Schedules of [M, P, 2] with `NUM_POINTS` points, as `rookery.training.schedules.padded_points`."""
    assert points.shape[1] <= NUM_POINTS
    last = np.asarray(points)[:, -1:]
    last = np.stack([np.full_like(last[..., 0], 2.0), last[..., 1]], -1)
    return np.concatenate([points, *[last] * (NUM_POINTS - points.shape[1])], 1)


class _PairedUpdate:
    """In place of a jitted update of all replicas."""

    def __init__(self, run: Run, compile_train_step, programs: dict):
        self._run, self._compile_train_step, self._programs = run, compile_train_step, programs

    def lower(self, state, schedules):
        return self

    def compile(self):
        return self._update

    def _update(self, state, schedules):
        num_replicas = len(self._run.config.replicas)
        padded = schedules._replace(
            hparams=jax.tree.map(_padded, schedules.hparams),
            social_episode_prob=_padded(schedules.social_episode_prob),
            env_params=jax.tree.map(_padded, schedules.env_params),
        )
        pairs = zip(_pairs(state, num_replicas), _pairs(padded, num_replicas), strict=True)
        return _joined([self._of_pair(*pair) for pair in pairs])

    def _of_pair(self, state, schedules):
        two = _with_two_replicas(self._run)
        arguments = two.place_on_devices((state, schedules))
        key = _program(self._run, sorted(schedules.env_params))
        if key not in self._programs:
            self._programs[key] = self._compile_train_step(two).lower(*arguments).compile()
        return self._programs[key](*arguments)


def share_programs(monkeypatch) -> None:
    """From here on, runs whose program this process has compiled start at once."""
    updates, evaluators, states = {}, {}, {}
    compile_train_step, init = Run.compile_train_step, Run.init
    make_evaluator, evaluate = RunEvaluator.__init__, RunEvaluator.__call__

    def paired_update(self, devices=None):
        return _PairedUpdate(self, compile_train_step, updates)

    def init_once(self):
        config = self.config
        key = _program(self, config.seed, config.num_seeds)
        if key not in states:
            one_variant = dataclasses.replace(self, config=dataclasses.replace(config, variants=config.variants[:1]))
            states[key] = jax.device_get(init(one_variant))
        # Replicas of one seed start alike in every variant.
        return _joined([states[key]] * len(config.variants))

    def shared_evaluator(self, run, episodes, devices=None):
        self.shared_run, key = run, _program(run, episodes)
        if key not in evaluators:
            evaluators[key] = object.__new__(RunEvaluator)
            make_evaluator(evaluators[key], _with_two_replicas(run), episodes, devices)
        self.shared_evaluator = evaluators[key]

    def evaluate_in_pairs(self, learners, seed=0):
        replicas, shared = self.shared_run.config.replicas, self.shared_evaluator
        results = []
        for number, pair in enumerate(_pairs(learners, len(replicas))):
            shared._replicas = replicas[2 * number : 2 * number + 2]
            results.append(evaluate(shared, pair, seed))
        return _joined(results)

    monkeypatch.setattr(Run, "compile_train_step", paired_update)
    monkeypatch.setattr(Run, "init", init_once)
    monkeypatch.setattr(RunEvaluator, "__init__", shared_evaluator)
    monkeypatch.setattr(RunEvaluator, "__call__", evaluate_in_pairs)
