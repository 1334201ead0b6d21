"""Formulas of the scorecard, by hand: what they read for agents whose score is known."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rookery.scorecard.card import read_scorecard
from rookery.scorecard.condition_episodes import first_step, interval_of_means, last_step, ratio, repeats
from rookery.scorecard.protocol import ScoreWorld
from rookery.scorecard.social_v1 import CONDITIONS, PROBES, PROTOCOLS, SOCIAL_V1, cultural_transmission
from rookery.scorecard.table import definitions_markdown
from rookery.tasks.goal_cycle import GoalCycle

DIGESTS = {
    "social-v1": "88616038acf3acef004b621e44274c7d6a797e977e13ee7b0745cb66c8f56391",
    "social-v1-small": "1f02d027877c8b66134495baa780e20466aa8b577dfbd930354d8a10a100ad6f",
}
"""A protocol never changes: if this test fails, give the new one another name."""


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_never_changes(name):
    assert PROTOCOLS[name].digest == DIGESTS[name]


def test_a_changed_default_of_a_task_is_another_protocol():
    """Though no setting of the protocol differs from the defaults any more than before."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Paid(GoalCycle):
        goal_reward: float = 2.0

    assert digest_with_task(GoalCycle()) == digest_with_task(GoalCycle())
    assert digest_with_task(Paid()) != digest_with_task(GoalCycle())


def digest_with_task(task):
    return dataclasses.replace(SOCIAL_V1, worlds=(ScoreWorld(name="one", task=task),)).digest


def test_definitions_versions_and_headline_are_part_of_a_protocol():
    waiting = PROBES["waiting"]
    probes = [
        dataclasses.replace(waiting, version=waiting.version + 1),
        dataclasses.replace(waiting, numbers={**waiting.numbers, "first goal after the experts'": "the negative"}),
    ]
    protocols = [dataclasses.replace(SOCIAL_V1, probes={**PROBES, "waiting": probe}) for probe in probes]
    protocols.append(dataclasses.replace(SOCIAL_V1, headline=("social gain", "social gain")))
    assert len({SOCIAL_V1.digest, *(protocol.digest for protocol in protocols)}) == 4
    other_words = dataclasses.replace(waiting, question="Does it wait?")
    assert dataclasses.replace(SOCIAL_V1, probes={**PROBES, "waiting": other_words}).digest == SOCIAL_V1.digest


@pytest.mark.parametrize("name", PROTOCOLS)
def test_committed_cards_are_of_the_protocol_as_it_is(name):
    cards = sorted((Path(__file__).parents[2] / "results" / "scorecards" / name).glob("*.json"))
    assert len(cards) >= 4
    for card in cards:
        assert read_scorecard(card)["protocol"] == name


@pytest.mark.parametrize(
    ("full", "half", "solo", "experts", "expected"),
    [
        (3, 3, 3, 12, 0),  # independent
        (12, 6, 0, 12, 0.75),  # follows perfectly and forgets at once
        (12, 12, 0, 12, 1),  # follows perfectly and remembers
        (12, 6, 12, 12, -0.25),  # the experts confuse it once they are gone
        (8, 5, 2, 10, 0.45),  # ½·6/10 + ½·3/10
    ],
)
def test_cultural_transmission_of_known_agents(full, half, solo, experts, expected):
    assert cultural_transmission(full, half, solo, experts) == pytest.approx(expected)


@pytest.mark.parametrize("experts", [0.0, -2.5])
def test_it_is_undefined_where_experts_earn_nothing(experts):
    assert np.isnan(cultural_transmission(1.0, 1.0, 0.0, experts))
    ones = np.ones(4)
    assert np.isnan(interval_of_means(cultural_transmission, ones, ones, 0 * ones, experts * ones).value)


def test_an_interval_is_the_same_every_time_and_narrows_with_episodes():
    values = np.arange(16.0)
    one, again = (interval_of_means(lambda a: a, values) for _ in range(2))
    assert one == again
    assert one.value == 7.5
    assert one.low < 7.5 < one.high
    many = interval_of_means(lambda a: a, np.tile(values, 16))
    assert many.high - many.low < 0.4 * (one.high - one.low)


def test_conditions_are_resampled_together():
    """The difference of equal episodes is certain, however much they vary."""
    values = np.array([0.0, 50.0, -20.0, 7.0])
    assert interval_of_means(lambda a, b: a - b, values + 2, values) == pytest.approx((2, 2, 2))


def test_no_bounds_where_a_resample_is_undefined():
    value, low, high = interval_of_means(ratio, np.array([1.0, 0.0]), np.array([1.0, 0.0]))
    assert value == 1
    assert np.isnan([low, high]).all()


def test_steps_count_from_one():
    happens = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 1]], bool)
    assert first_step(happens).tolist() == [2, 5, 3]
    assert last_step(happens).tolist() == [4, 0, 4]


def test_repetitions():
    """The partner enters 2 at step 1, and 0 at step 4."""
    partner = np.array([-1, 2, -1, -1, 0, -1, -1])
    by_hand = {
        (0, 2): False,  # before the partner
        (1, 2): False,  # at the same time
        (2, 2): True,
        (3, 2): True,  # two steps later
        (4, 2): False,  # three steps later
        (3, 1): False,  # another goal
        (5, 2): False,  # the partner has entered another one since
        (5, 0): True,
    }
    for (step, goal), expected in by_hand.items():
        entry = np.full(7, -1)
        entry[step] = goal
        assert repeats(entry[:, None], partner[:, None], 2)[:, 0].any() == expected, (step, goal)


def test_every_world_and_color_that_a_condition_names_is_there():
    worlds = {world.name for world in SOCIAL_V1.worlds}
    played = []
    for condition in CONDITIONS:
        assert condition.world in worlds
        if condition.colors != "true":  # made from the true colors of the same partners, played before
            assert any(
                other.colors == "true" and other.partners == condition.partners for other in CONDITIONS[: len(played)]
            )
        played.append(condition.name)
    assert len(set(played)) == len(played)
    assert SOCIAL_V1.headline[1] in PROBES[SOCIAL_V1.headline[0]].numbers


def test_the_page_defines_every_number():
    page = Path(__file__).parents[2] / "docs" / "scorecard.md"
    assert definitions_markdown(SOCIAL_V1) in page.read_text(encoding="utf-8")
