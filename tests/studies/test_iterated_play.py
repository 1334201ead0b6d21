"""How agents answer each other in an iterated matrix game, by hand."""

import numpy as np
import pytest

from rookery.studies.duque2025.iterated_play import (
    AFTER,
    COOPERATION,
    EXTRA,
    RESPONSE,
    play_greater,
    play_mean,
    play_values,
    response_measures,
)
from rookery.studies.results import Results
from rookery.studies.study import HOLDS, UNDECIDED

# Two games of four steps; 0 cooperates. In the first, slot 0 answers D C C with D C C, in the second C C D with C C C.
SLOT_0 = np.array([[1, 1, 0, 0], [0, 0, 0, 0]])
SLOT_1 = np.array([[1, 0, 0, 1], [0, 0, 1, 0]])
ACTION = np.stack([SLOT_0, SLOT_1], -1).swapaxes(0, 1)  # [T, E, A]


def test_responses_by_hand():
    measured = response_measures(ACTION, 0)
    # After cooperation C C and C C; after defection D and C.
    assert measured == {COOPERATION: 6 / 8, AFTER[True]: 1.0, AFTER[False]: 0.5, RESPONSE: 0.5}
    # The other one answers D D C with C C D, and C C C with C D C.
    other = response_measures(ACTION, 1)
    assert other == pytest.approx({COOPERATION: 5 / 8, AFTER[True]: 2 / 4, AFTER[False]: 1.0, RESPONSE: -0.5})
    never = response_measures(np.zeros((3, 1, 2), int), 0)
    assert never == {COOPERATION: 1.0, AFTER[True]: 1.0, AFTER[False]: None, RESPONSE: None}


def test_seeds_without_a_response_are_left_out():
    rows = [[0.5, 0.7], [None, 0.8], [None, None], [0.6, 0.6], [0.7, 0.6], [0.6, 0.7]]
    results = Results({"extra_measurements": {EXTRA: {"team": {RESPONSE: rows}}}})
    np.testing.assert_allclose(play_values(results, "team", RESPONSE), [0.6, 0.8, np.nan, 0.6, 0.65, 0.65])
    verdict = play_mean("They answer.", "team", RESPONSE, above=0.1).judge(results)
    assert verdict.outcome == HOLDS
    assert "defined in 5 of 6 seeds" in verdict.detail
    nothing = Results({"extra_measurements": {EXTRA: {"team": {RESPONSE: [[None, None]]}}}})
    assert play_mean("They answer.", "team", RESPONSE, above=0.1).judge(nothing).outcome == UNDECIDED


def test_an_agent_of_one_team_is_compared_with_another_team():
    """Agent 1 of the first team does more than the mean of the second, agent 0 less."""
    first = [[0.1 * seed, 0.8 + 0.01 * seed] for seed in range(6)] + [[0.0, None]]
    second = [[0.5, 0.55 + 0.01 * seed] for seed in range(6)]
    results = Results({"extra_measurements": {EXTRA: {"first": {RESPONSE: first}, "second": {RESPONSE: second}}}})
    np.testing.assert_allclose(play_values(results, "first", RESPONSE, 1), [*(0.8 + 0.01 * np.arange(6)), np.nan])
    verdict = play_greater("More.", "first", "second", RESPONSE, slot=1).judge(results)
    assert verdict.outcome == HOLDS
    assert "agent 1 of 'first'" in verdict.quantity
    assert verdict.detail == "defined in 6 of 7 seeds"
    assert verdict.interval.value == pytest.approx(0.825 - 0.5375)
    assert play_greater("More.", "first", "second", RESPONSE, slot=0).judge(results).outcome != HOLDS
    empty = Results({"extra_measurements": {EXTRA: {"first": {RESPONSE: [[None]]}, "second": {RESPONSE: second}}}})
    assert play_greater("More.", "first", "second", RESPONSE).judge(empty).outcome == UNDECIDED
