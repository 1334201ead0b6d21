"""What agents do in Coin Game, by hand, and whose reward says that a Reciprocator's mechanism was alive."""

import dataclasses
import types

import numpy as np
import pytest

from rookery.learning.rollout import EpisodeStats
from rookery.studies.duque2025.coin_game_study import COINS_3X3
from rookery.studies.duque2025.coin_play import COINS, OWN_COINS, REWARD, coin_measures, measure_coin_play
from rookery.studies.duque2025.iterated_play import EXTRA, with_scripted
from rookery.studies.frozen_evaluation import EvaluatedAgent
from rookery.studies.study_list import load_study
from rookery.training.config import RandomPolicyConfig


def test_coins_by_hand():
    """Two episodes of five steps; agent 0 takes three coins of its color and one of the other's, agent 1 none."""
    none = np.zeros((2, 2))
    stats = EpisodeStats(
        episode_return=np.array([[2.0, -2.0], [2.0, 0.0]]),
        task_metrics={"own_coins": np.array([[1.0, 0], [2, 0]]), "others_coins": np.array([[1.0, 0], [0, 0]])},
        longest_streak=none, steps_to_first_reward=none, agent_mask=none == 0,
    )  # fmt: skip
    assert coin_measures(stats, 0, 5) == {OWN_COINS: 0.75, COINS: 4 / 10, REWARD: 4 / 10}
    assert coin_measures(stats, 1, 5) == {OWN_COINS: None, COINS: 0.0, REWARD: -2 / 10}


def test_a_team_plays_with_itself_and_with_scripted_agents():
    """What an agent loses are the coins of its color that the other one takes, twice each."""
    session = types.SimpleNamespace(eval_episodes=50, evaluator=lambda condition: condition.evaluator("smoke", 50))
    pair = EvaluatedAgent.of(RandomPolicyConfig(), RandomPolicyConfig(), seed=0)
    team = types.SimpleNamespace(evaluated_agents=lambda _: [pair])
    measured = measure_coin_play(session, COINS_3X3, {"team": team})[EXTRA]["team"]
    ((fraction, other_fraction),), ((coins, other_coins),) = measured[OWN_COINS], measured[COINS]
    assert measured[REWARD][0][0] == pytest.approx(coins - 2 * (1 - other_fraction) * other_coins, abs=1e-6)
    assert 0 < fraction < 1
    with_cooperator, with_defector = (measured[with_scripted(REWARD, role)][0] for role in ("cooperator", "defector"))
    assert min(with_cooperator) > max(with_defector)


def test_only_the_agent_that_reciprocates_for_sure_is_checked(tmp_path, monkeypatch):
    """In the variant with one Reciprocator the other agent's reward has a weight of 0, and says nothing."""
    study = load_study("zhou2024/reciprocators")
    checks = [check for claim in study.claims for check in claim.mechanisms]
    assert {check.mechanism for check in checks} == {"reciprocity"}
    row = {"update": 1, "steps": 8} | {
        f"one/{agent}/{name}": [value, value]
        for agent, values in (("reciprocator", (0.5, 1.0)), ("learner", (0.0, 1.0)))
        for name, value in zip(("intrinsic_abs/reciprocity", "extrinsic_abs"), values, strict=True)
    }
    monkeypatch.setattr("rookery.studies.agent_sources.read_metrics", lambda _: [row])
    team = next(condition.agents for condition in study.conditions if condition.label == checks[1].condition)
    config = dataclasses.replace(team.run.configure("smoke"), num_seeds=2)
    monkeypatch.setattr("rookery.studies.agent_sources.load_config", lambda _: config)
    session = types.SimpleNamespace(seed=0, run_dir=lambda _: tmp_path, seeds_of=lambda _: range(2))
    assert [check["alive"] for check in team.mechanism_checks(session, "reciprocity", 1.0)] == [True, True]
    team_weights = {variant.name: variant.hparams for variant in config.variants}
    assert team_weights == {"both": {"intrinsic_scale": 1.0}, "one": None}
    assert [group.hparams for group in config.team] == [{}, {"intrinsic_scale": 0.0}]
