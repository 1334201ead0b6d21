"""Automatic widening: how borders move, which runs are refused, and a run that stops and resumes between two moves."""

import dataclasses
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.interfaces import EpisodeRange
from rookery.scorecard.social_v1 import cultural_transmission
from rookery.storage.serialization import apply_overrides
from rookery.tasks.memory_sequence import MemorySequence
from rookery.training import border_evaluation, replica_updates
from rookery.training.border_evaluation import BorderEvaluator
from rookery.training.config import GroupConfig, ScriptedPolicyConfig, Variant
from rookery.training.train_step import TrainState
from rookery.training.trainer import resume, train
from rookery.training.widening import (
    Widening,
    WideningState,
    border_params,
    cultural_transmission_of,
    initial_widening,
    move_border,
    turns,
)
from tests.tiny import NOVICE, OTHER, TASK, assert_same_run, rows, tiny

pytestmark = pytest.mark.usefixtures("quick")

KEY = jax.random.PRNGKey(0)
RANGES = {
    "goals": EpisodeRange(2, 5, "min_goals", "max_goals"),
    "obstacles": EpisodeRange(0, 10, "min_obstacles", "max_obstacles"),
}
WIDENING = Widening(steps={"goals": 1, "obstacles": 4})
WORLD = dataclasses.replace(TASK, num_goals=3, min_goals=1, num_obstacles=3, min_obstacles=0, penalty=0.0)
EXPERT = GroupConfig(name="expert", slots=(1,), policy=ScriptedPolicyConfig())
PLAIN = dataclasses.replace(NOVICE.learner, auxiliary=())
CONFIG = tiny(
    task=WORLD,
    team=(dataclasses.replace(NOVICE, learner=PLAIN), EXPERT),
    variants=(Variant(name="social"),),
    total_timesteps=5 * 4 * WORLD.max_steps,
    checkpoint_interval=2,
    env_schedules={},
    # Whatever is measured widens, unless it is undefined: the experts earn something, for nothing costs anything.
    widening=Widening(steps={"goals": 1, "obstacles": 2}, widen_above=-1e6, narrow_below=-2e6, episodes=8),
)


def after(transmissions, widening=WIDENING):
    """The borders of goals and obstacles after each of these measurements."""
    state = initial_widening(widening, RANGES)
    borders = []
    for transmission in transmissions:
        state = move_border(widening, RANGES, state, jnp.float32(transmission))
        borders.append((int(state.most["goals"]), int(state.most["obstacles"])))
    return borders


def test_borders_move_by_hand():
    assert after([0.9, 0.9]) == [(3, 0), (3, 4)], "they take turns, each by its step"
    assert after([0.85, 0.75, 0.8]) == [(2, 0)] * 3, "at the bounds and between them nothing moves"
    assert after([0.9, 0.9, 0.7, 0.7]) == [(3, 0), (3, 4), (2, 4), (2, 0)], "below the lower bound they move back"
    assert after([0.1, -3.0]) == [(2, 0)] * 2, "never below the lower border"
    assert after([1.0] * 8)[-1] == (5, 10), "nor beyond what the task can hold"
    assert after([np.nan, np.nan, 0.9]) == [(2, 0), (2, 0), (3, 0)], "undefined: no move, and the turn passes on"


def test_ranges_take_turns_in_the_order_of_the_steps_which_jax_sorts():
    widening = Widening(steps={"obstacles": 4, "goals": 1})
    state = jax.tree.map(jnp.asarray, initial_widening(widening, RANGES))
    assert [*state.most] == ["goals", "obstacles"], "as a compiled program returns it"
    for at_turn, borders in (("obstacles", (2, 4)), ("goals", (3, 4))):
        assert [name for name, is_turn in turns(widening, state).items() if is_turn] == [at_turn]
        at_border = border_params(widening, RANGES, state, at_border=True)
        narrow = [name for name in RANGES if at_border[f"min_{name}"] == at_border[f"max_{name}"] == state.most[name]]
        assert at_turn in narrow
        state = jax.tree.map(jnp.asarray, move_border(widening, RANGES, state, jnp.float32(0.9)))
        assert (state.most["goals"], state.most["obstacles"]) == borders


def test_parameters_are_those_of_the_borders():
    state = WideningState({"goals": jnp.int32(4), "obstacles": jnp.int32(8)}, jnp.int32(1))
    assert border_params(None, RANGES, None) == {}
    assert border_params(WIDENING, RANGES, state) == {"max_goals": 4, "max_obstacles": 8}
    at_border = border_params(WIDENING, RANGES, state, at_border=True)
    assert at_border == {"min_goals": 2, "max_goals": 4, "min_obstacles": 8, "max_obstacles": 8}


@pytest.mark.parametrize(
    ("full", "half", "solo", "experts"), [(5, 5, 5, 10), (10, 5, 0, 10), (10, 10, 0, 10), (3, 2, -1, 7)]
)
def test_transmission_is_the_scorecards(full, half, solo, experts):
    expected = cultural_transmission(*(np.float32(x) for x in (full, half, solo, experts)))
    np.testing.assert_allclose(cultural_transmission_of(*map(jnp.float32, (full, half, solo, experts))), expected)


def test_the_experts_return_is_not_that_of_agents_that_move_at_random(monkeypatch):
    """No episode is played here: each agent earns 1 while it is there, the expert 10."""
    earned = jnp.array([1.0, 1.0, 10.0])
    stats = lambda *arguments: SimpleNamespace(episode_return=jnp.where(arguments[-1], earned, 0.0))  # noqa: E731
    monkeypatch.setattr(border_evaluation, "rollout", lambda *arguments: (None, stats(*arguments)))
    monkeypatch.setattr(border_evaluation, "cultural_transmission_of", lambda *means: means[-1])
    config = dataclasses.replace(
        CONFIG,
        task=dataclasses.replace(WORLD, views=WORLD.views[:1] * 3),
        team=(CONFIG.team[0], OTHER, dataclasses.replace(EXPERT, slots=(2,))),
    )
    run = SimpleNamespace(
        config=config,
        env=config.task.make_env(),
        team=SimpleNamespace(learning_slots=(0,)),
        team_setup=lambda *_: SimpleNamespace(team=None, params=None),
        map_replicas=lambda function, *_, **__: function,
    )
    widening = initial_widening(config.widening, config.task.episode_ranges)
    state = TrainState(learners={}, num_updates=jnp.int32(0), key=KEY, widening=widening)
    _, measured = BorderEvaluator(run, config.widening)._evaluate(state, KEY, {}, {})
    assert measured["transmission"]["goals"] == 10


@pytest.mark.parametrize("experts", [0, -2])
def test_transmission_from_experts_that_earn_nothing_is_undefined(experts):
    assert np.isnan(cultural_transmission_of(*map(jnp.float32, (1, 1, 0, experts))))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("widening.steps.goal=1", "did you mean 'goals'"),
        ("widening.steps.goals=0", "must be at least 1"),
        ("widening.steps={}", "is empty"),
        ("widening.widen_abov=1", "did you mean 'widen_above'"),
        ("widening.narrow_below=0", "must be at most widen_above"),
        ("widening.episodes=0", "episodes=0 must be at least 1"),
        ("task.min_goals=null", "samples no such number"),
        ("task.min_goals=4", r"min_goals=4 must lie in \[1, 3\]"),
        ("eval_episodes=0", "set it to at least 1"),
        ('env_schedules={"max_goals": 2}', "env_schedules.max_goals is a border that widening moves"),
        ('variants.0.env_schedules={"min_obstacles": 2}', "env_schedules.min_obstacles is a border"),
    ],
)
def test_impossible_combinations_are_refused(change, expected):
    with pytest.raises(ConfigError, match=expected):
        apply_overrides(CONFIG, [change])


def test_teams_without_a_learner_and_experts_are_refused():
    second = dataclasses.replace(NOVICE, name="second", slots=(1,))
    with pytest.raises(ConfigError, match=r"one learner, and slots \[0, 1\] learn"):
        dataclasses.replace(CONFIG, team=(NOVICE, second))
    alone = dataclasses.replace(WORLD, views=WORLD.views[:1])
    with pytest.raises(ConfigError, match="needs experts"):
        dataclasses.replace(CONFIG, task=alone, team=(NOVICE,))
    with pytest.raises(ConfigError, match="neither learns nor moves at random"):
        dataclasses.replace(CONFIG, team=(NOVICE, OTHER))
    with pytest.raises(ConfigError, match="samples no such number; allowed: none"):
        dataclasses.replace(CONFIG, task=MemorySequence(num_trials=1, sequence_length=7))


@pytest.fixture
def traced_once(monkeypatch):
    """All sessions of a run share one evaluator of its borders, as they share its other programs."""
    evaluators = []

    def evaluator(*arguments):
        if not evaluators:
            evaluators.append(BorderEvaluator(*arguments))
        return evaluators[0]

    monkeypatch.setattr(replica_updates, "BorderEvaluator", evaluator)


@pytest.mark.usefixtures("traced_once")
def test_a_run_widens_and_resumes_to_the_same_bytes(tmp_path):
    whole = train(CONFIG, tmp_path / "whole", quiet=True, track=["none"])
    logged = rows(whole.run_dir)
    # Evaluations after 2, 4 and 5 updates; a border counts from the next update on.
    assert [row["social/env_params/max_goals"] for row in logged] == [[1]] * 2 + [[2]] * 3
    assert [row["social/env_params/max_obstacles"] for row in logged] == [[0]] * 4 + [[2]]
    assert logged[-1]["evaluation/social/widening/most/goals"] == [3]
    assert logged[-1]["evaluation/social/widening/transmission/obstacles"] == [None]
    assert np.isfinite(logged[-1]["evaluation/social/widening/transmission/goals"]).all()
    stopped = train(CONFIG, tmp_path / "stopped", quiet=True, track=["none"], stop_after=0)
    while not stopped.finished:
        stopped = resume(stopped.run_dir, quiet=True, stop_after=0)
    assert_same_run(stopped, whole)
