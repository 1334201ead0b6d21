"""Teams under evaluation: their measures by hand, and the runs of the influence studies."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.networks import MLPNetwork
from rookery.learning.a2c import A2C
from rookery.learning.intrinsic import MOAInfluence
from rookery.learning.rollout import EpisodeStats
from rookery.studies.jaques2019.boxtrapped import (
    STEPS_AFTER,
    STEPS_BEFORE,
    _influence_around_opening,
    _is_influence_felt,
)
from rookery.studies.jaques2019.communication_metrics import communication_measures
from rookery.studies.judging import judge_claims
from rookery.studies.measures import team_measures
from rookery.studies.results import Results
from rookery.studies.rollout_traces import RolloutTrace, rollout_trace
from rookery.studies.study import FAILS, UNDECIDED
from rookery.studies.study_list import STUDIES, load_study
from rookery.tasks.matrix_games import MatrixGame
from rookery.training.build import build
from rookery.training.config import GroupConfig, RecurrentPolicyConfig, RunConfig
from rookery.training.evaluation import evaluation_key

INFLUENCE_STUDIES = [name for name in STUDIES if name.startswith("jaques2019/")]


def test_a_team_is_measured_by_hand():
    none = np.zeros((2, 2))
    row = team_measures(
        EpisodeStats(
            episode_return=np.array([[1.0, 3.0], [0.0, 0.0]]),
            task_metrics={
                "apples": np.array([[1.0, 3.0], [0, 0]]),
                "apple_steps": np.array([[4.0, 6.0], [0, 0]]),
                "times_zapped": np.array([[0.0, 5.0], [0, 0]]),
            },
            longest_streak=none, steps_to_first_reward=none, agent_mask=none == 0,
        ),
        num_steps=10,
    )  # fmt: skip
    assert row["collective_reward"]["mean"] == 2
    assert row["equality"]["mean"] == (0.75 + 1) / 2
    assert row["sustainability"]["mean"] == (4 + 2) / 2  # undefined in the second episode, in which no agent eats
    assert row["peace"]["mean"] == 2 - 0.25
    assert row["returns"] == {"agent_0": 0.5, "agent_1": 1.5}
    assert row["metrics"] == {"apples": 2.0, "times_zapped": 2.5}


def test_influence_around_the_opening_by_hand():
    influence = np.array([[0.0, 1.0, 9.0], [3.0, 0.0, 9.0], [0.0, 2.0, 9.0]])
    opened = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]], bool)
    measures = _influence_around_opening(influence, opened)
    assert measures["opening_step"] == 1.5
    assert measures["opening_has_max_influence"] == 0.5
    assert measures["opening_minus_other_steps"] == (3 - 0 + 1 - 1) / 2
    around = dict(zip(range(-STEPS_BEFORE, STEPS_AFTER + 1), measures["influence_around_opening"], strict=True))
    assert (around[-2], around[-1], around[0], around[1], around[2], around[3]) == (None, 0, 2, 0, 2, None)
    assert _influence_around_opening(influence, opened & False)["opening_step"] is None


@pytest.mark.parametrize(
    ("surplus", "logged", "alive"),
    [
        ([0.2, 0.1, 0.3, 0.2, 0.1], None, True),
        ([None] * 5, None, None),  # nothing shows that the reward was there
        ([None] * 5, [[0.0, 0.002]] * 5, True),
        ([None] * 5, [[0.0, 0.0]] * 5, False),
        ([0.2, None, None, None, None], None, True),
        ([0.2, -0.1], None, False),
        ([-0.1, None, None, None, None], [[0.001]] * 5, True),
    ],
)
def test_seeds_that_never_open_the_box_do_not_withhold_its_claims(surplus, logged, alive):
    data = {"extra_measurements": {"opening_minus_other_steps": surplus}, "curves": {}}
    if logged is not None:
        data["curves"] = {"influence": {"learning": {"intrinsic_reward/influence-centralized": logged}}}
    assert _is_influence_felt(Results(data)).alive is alive


def test_a_box_that_no_seed_opens_does_not_hold():
    """Total failure, with an influence reward that was paid, is a verdict."""
    data = {
        "budget": "desk", "definition": 1,
        "rows": [{"condition": name, "eval_condition": "Box Trapped", "seed": seed, "metrics": {"opened": 0.0}}
                 for name in ("influence", "no influence") for seed in range(5)],
        "extra_measurements": dict.fromkeys(
            ("opening_minus_other_steps", "opening_has_max_influence"), [None] * 5),
        "curves": {"influence": {"learning": {"intrinsic_reward/influence-centralized": [[0.001]] * 5}}},
    }  # fmt: skip
    judged = judge_claims(load_study("jaques2019/boxtrapped"), data)
    assert [claim["verdict"] for claim in judged[:2]] == [UNDECIDED, FAILS]


def test_the_table_of_a_perfect_speaker():
    """Agent 0 sends its action as a message, and agent 1 takes that action one step later."""
    action = np.random.default_rng(0).integers(0, 2, (200, 3))
    later = np.concatenate([np.zeros((1, 3), int), action[:-1]])
    influence = np.zeros((200, 3, 2, 2))
    influence[:10, :, 0, 1] = 1
    measures = communication_measures(
        RolloutTrace(
            action=np.stack([action, later], -1), message=np.stack([action, later], -1),
            reward=np.zeros((200, 3, 2)), influence=influence, info={},
        ),
        vocab_size=2, num_actions=2,
    )  # fmt: skip
    assert measures["speaker consistency"] == pytest.approx(1)
    assert measures["speaker consistency, by chance"] < 0.05
    assert measures["context independence"] == pytest.approx(1)
    assert measures["coordination by messages"] == pytest.approx(np.log(2), abs=0.02)
    assert measures["fraction of steps above the mean"] == pytest.approx(30 / 1200)


def test_a_trace_is_what_was_played():
    """In a matrix game the rewards follow from the actions, and so do its metrics."""
    group = GroupConfig(
        name="pair", slots=(0, 1),
        policy=RecurrentPolicyConfig(network=MLPNetwork(encoder_size=4, hidden_size=4, head_size=4)),
        learner=A2C(sequence_length=4, intrinsic=(MOAInfluence(dense_size=4),)),
    )  # fmt: skip
    run = build(RunConfig(task=MatrixGame(max_steps=5), team=(group,), total_timesteps=20, num_envs=4))
    learners = jax.tree.map(lambda x: 20 * x[0], run.init().learners)  # a new model is almost uniform
    trace = jax.device_get(jax.jit(lambda l, k: rollout_trace(run, l, k, 3))(learners, evaluation_key(0)))
    assert trace.action.shape == trace.reward.shape == (5, 3, 2)
    payoffs = np.array([[3.0, 0.0], [5.0, 1.0]])
    np.testing.assert_array_equal(trace.reward[..., 0], payoffs[trace.action[..., 0], trace.action[..., 1]])
    np.testing.assert_array_equal(trace.info["cooperations"], trace.action == 0)
    assert trace.message is None
    assert trace.influence.shape == (5, 3, 2, 2)
    assert not trace.influence[:, :, [0, 1], [0, 1]].any()
    assert not trace.influence[-1].any()  # nothing follows the last step
    assert (trace.influence[:-1, :, [0, 1], [1, 0]].mean((0, 1)) > 1e-5).all()  # rounding is of 1e-7


@pytest.mark.parametrize("name", INFLUENCE_STUDIES)
def test_runs_of_influence_studies_are_valid(name):
    for run in load_study(name).runs:
        for budget in ("desk", "paper"):
            config = run.configure(budget)
            build(config)
            assert sorted(slot for group in config.team for slot in group.slots) == list(range(config.task.num_agents))
            assert all(group.learner is not None for group in config.team)
        assert dataclasses.replace(run.published_config(), name=config.name) == config
        state = jax.eval_shape(build(run.configure("smoke")).init)
        assert state.num_updates.shape == (len(run.configure("smoke").replicas),)
        assert state.num_updates.dtype == jnp.int32
