"""Measures of a group of agents, by hand."""

import numpy as np
import pytest

from rookery.errors import ConfigError
from rookery.studies import social_metrics


def test_collective_reward_and_equality():
    assert social_metrics.collective_reward(np.array([1.0, 2.0, -1.0])) == 2
    # Equal returns; one of five agents has it all: G = 8/(2·5) = .8; 1 and 3: G = 4/(2·2·4) = .25.
    np.testing.assert_allclose(social_metrics.equality(np.array([[2.0] * 5, [0, 0, 0, 0, 3.0]])), [1, 0.2])
    np.testing.assert_allclose(social_metrics.equality(np.array([1.0, 3.0])), 0.75)
    assert social_metrics.equality(np.zeros(3)) == 1
    for negative in ([1.0, -2.0], [51.0, -50.0], [8.0, 8.0, 8.5, -24.0]):  # near a sum of 0 there is no bound
        assert np.isnan(social_metrics.equality(np.array(negative)))


def test_sustainability_and_peace():
    reward = np.array([[1, 0], [0, 0], [1, -1], [0, 1]])
    assert social_metrics.sustainability(reward) == (2 + 4) / 2  # steps 1 and 3; step 4
    assert np.isnan(social_metrics.sustainability(np.zeros((3, 2))))
    assert social_metrics.peace(np.array([[0, 1], [1, 1], [0, 0], [0, 0]])) == 2 - 3 / 4


def test_mutual_information():
    assert social_metrics.mutual_information(np.array([0, 1, 0, 1]), np.array([0, 1, 0, 1])) == pytest.approx(np.log(2))
    assert social_metrics.mutual_information(np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])) == pytest.approx(0)


def test_coordination_is_of_the_next_step_and_the_best_pair():
    random = np.random.default_rng(0)
    signal, action, own_signal = (random.integers(0, 4, (20, 200, agents)) for agents in (3, 3, 2))
    action[:, 1:, 2] = signal[:, :-1, 0]
    assert social_metrics.instantaneous_coordination(signal, action) == pytest.approx(np.log(4), abs=0.01)
    same_step = np.roll(action, -1, 1)
    assert abs(social_metrics.instantaneous_coordination(signal, same_step)) < 0.01
    follows_itself = np.roll(own_signal, 1, 1)
    assert abs(social_metrics.instantaneous_coordination(own_signal, follows_itself)) < 0.01
    step_mask = np.zeros((20, 200, 3), bool)
    step_mask[:10, :, 0] = True
    action[10:, :, 2] = random.integers(0, 4, (10, 200))  # from here on only in the first half
    assert social_metrics.instantaneous_coordination(signal, action, step_mask) > np.log(4) / 2
    assert social_metrics.instantaneous_coordination(signal, action) < 1.0
    with pytest.raises(ConfigError, match="at least 2 agents"):
        social_metrics.instantaneous_coordination(signal[:, :, :1], action[:, :, :1])
    with pytest.raises(ConfigError, match="not 3 agents in 1 episodes"):
        social_metrics.instantaneous_coordination(signal[:1], action[:1])


def test_chance_alone_gives_no_coordination():
    """Mutual information of few independent samples is above 0, the more so the fewer samples: this is subtracted."""
    random = np.random.default_rng(1)
    coordination = []
    for _ in range(8):
        signal, action = random.integers(0, 9, (2, 20, 50, 3))
        step_mask = random.random((20, 50, 3)) < 0.15
        coordination.append(
            [
                social_metrics.instantaneous_coordination(signal, action),
                social_metrics.instantaneous_coordination(signal, action, step_mask),
            ]
        )
    all_steps, few_steps = np.array(coordination).T
    assert abs(all_steps.mean()) < 4 * all_steps.std() / np.sqrt(8) + 1e-3
    assert abs(few_steps.mean()) < 4 * few_steps.std() / np.sqrt(8) + 1e-3
    # Without the subtraction, the same few steps give more than is measured in trained teams.
    assert social_metrics.mutual_information(signal[step_mask], action[step_mask]) > 0.03


def test_speaker_consistency():
    symbols = np.tile(np.arange(4), 50)
    assert social_metrics.speaker_consistency(symbols, (symbols + 1) % 4, 4, 4) == pytest.approx(1)
    independent = np.repeat(np.arange(4), 50), np.tile(np.arange(5), 40)
    assert social_metrics.speaker_consistency(*independent, 4, 5) == pytest.approx(0, abs=1e-9)
    # Symbol 0 with actions 0 and 1 equally often, symbol 1 with action 2: H(a|0) = ln 2 of ln 3, the rest is certain.
    half = 0.5 * ((1 - np.log(2) / np.log(3)) + 1) / 2 + 0.5
    assert social_metrics.speaker_consistency(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2]), 2, 3) == pytest.approx(
        half
    )


def test_context_independence():
    assert social_metrics.context_independence(np.array([2, 0, 1]), np.array([0, 1, 2])) == pytest.approx(1)
    # One symbol for two concepts: p(m|c) = 1, p(c|m) = 1/2.
    assert social_metrics.context_independence(np.zeros(4, int), np.array([0, 1, 0, 1])) == pytest.approx(0.5)


def test_rare_influence():
    assert social_metrics.fraction_above_mean(np.array([0, 0, 0, 4.0])) == 0.25
