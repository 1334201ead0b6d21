"""The numbers of each probe, by hand, from episodes that are written down here: two of them, of six steps."""

import numpy as np
import pytest

from rookery.scorecard.condition_episodes import ConditionEpisodes
from rookery.scorecard.social_v1 import CONDITIONS, ROBUSTNESS_CONDITIONS, SOCIAL_V1, TRANSFER_WORLDS, social_numbers

NUM_STEPS, NUM_EPISODES = 6, 2
AGENT, FIRST, SECOND = 0, 1, 2
FOLLOW_STEPS = 2


def record(rewards=(), entries=(), nearer_to_first=0, nearer_to_second=0, column=5) -> ConditionEpisodes:
    """Episodes in which nothing happens but this.

    Args:
      rewards: (episode, step, agent, reward). entries: (step, agent, goal), in both episodes.
      nearer_to_first, nearer_to_second: in how many steps, the first or the last ones, this partner is one column from
        column 5; in the others it is five columns from there, the first partner to its left, the second to its right.
      column: the agent's.
    """
    reward = np.zeros((NUM_STEPS, NUM_EPISODES, 3), np.float32)
    for episode, step, agent, value in rewards:
        reward[step, episode, agent] += value
    entry = np.full((NUM_STEPS, NUM_EPISODES, 3), -1, np.int8)
    for step, agent, goal in entries:
        entry[step, :, agent] = goal
    position = np.zeros((NUM_STEPS, NUM_EPISODES, 3, 2), np.int16)
    position[..., 1] = column, 0, 10
    position[:nearer_to_first, :, FIRST, 1] = 4
    position[NUM_STEPS - nearer_to_second :, :, SECOND, 1] = 6
    return ConditionEpisodes(reward, entry, position, np.zeros_like(reward), np.ones(reward.shape, bool))


def returns(agent: float, first: float = 0.0, second: float = 0.0) -> ConditionEpisodes:
    """Episodes with these returns, in a single reward each, which comes later in the second episode."""
    values = ((AGENT, agent), (FIRST, first), (SECOND, second))
    return record([(episode, 1 + 2 * episode, who, value) for who, value in values for episode in (0, 1)])


def numbers(probe: str, **episodes: ConditionEpisodes) -> dict[str, float]:
    """The values of a probe; '_' in the name of a condition is a space, and what is not given is empty."""
    given = {name.replace("_", " "): played for name, played in episodes.items()}
    return values_of(probe, given)


def values_of(probe: str, given: dict[str, ConditionEpisodes]) -> dict[str, float]:
    everything = {condition.name: record() for condition in CONDITIONS}
    assert given.keys() <= everything.keys()
    return {name: interval.value for name, interval in social_numbers(everything | given, FOLLOW_STEPS)[probe].items()}


def test_misplaced_trust():
    """The anti-expert enters goal 1 in step 0 and goal 2 in step 3. Another partner would give other numbers."""
    partners = ((0, FIRST, 1), (3, FIRST, 2), (3, SECOND, 0))
    misled = record([(0, 2, AGENT, 1.0), (1, 4, AGENT, 3.0)], [*partners, (2, AGENT, 1), (4, AGENT, 1), (5, AGENT, 0)])
    alone = record([(0, 1, AGENT, 4.0), (1, 1, AGENT, 6.0)], [(0, FIRST, 2), (1, AGENT, 1), (2, AGENT, 2)])
    assert numbers("misplaced trust", alone=alone, **{"anti-expert": misled}) == {
        "misplaced trust": 5 - 2,
        "return with the anti-expert": 2,
        "steps until following stops": 3,  # its later entries repeat nothing
        "steps until it stops, by chance": 2,  # alone, next to the anti-expert's entries of the other condition
    }


def test_whom_it_follows():
    """Goals of the better partner: 1; of the worse one: 2."""
    partners = ((0, FIRST, 1), (2, FIRST, 1), (0, SECOND, 2), (3, SECOND, 2))
    goals = {
        "good and bad": (1, 1, 1, 2),  # in steps 1, 2, 4 and 5
        "swapped": (2, 2, 2, 1),
        "frozen": (0, 1, 1, 2),
        "shuffled": (0, 0, 0, 1),
    }
    nearer = {"good and bad": (3, 1), "swapped": (1, 4), "frozen": (2, 2), "shuffled": (3, 2)}
    episodes = {
        name: record(
            entries=[*partners, *((step, AGENT, goal) for step, goal in zip((1, 2, 4, 5), entered, strict=True))],
            nearer_to_first=nearer[name][0],
            nearer_to_second=nearer[name][1],
        )
        for name, entered in goals.items()
    }
    alone = [(step, AGENT, goal) for step, goal in zip((1, 2, 4, 5), (1, 2, 2, 2), strict=True)]
    episodes["alone"] = record(entries=[*alone, (0, FIRST, 2), (3, SECOND, 1)], nearer_to_first=6, column=6)
    assert values_of("whom it follows", episodes) == pytest.approx(
        {
            "entries that repeat the better one": 3 / 4,
            "repeat the better one, by chance": 1 / 4,  # alone, next to the partners of "good and bad"
            "entries that repeat the worse one": 1 / 4,
            "repeat the worse one, by chance": 3 / 4,
            "time nearer to the better one": 3 / 4,
            "nearer to the better one, by chance": 3 / 6,  # 2 against 4 columns; 6 against 4, and 6 against 0
            "effect on entries, colors swapped": 3 / 4 - 0 / 4,  # in step 5 the better one's entry is three steps old
            "effect on time, colors swapped": 3 / 4 - 1 / 5,
            "effect on entries, colors frozen": 3 / 4 - 2 / 4,
            "effect on time, colors frozen": 3 / 4 - 1 / 2,
            "effect on entries, colors shuffled": 3 / 4 - 0 / 4,
            "effect on time, colors shuffled": 3 / 4 - 3 / 5,
        }
    )


def test_waiting():
    social = record(
        [
            (0, 4, AGENT, 1.0), (0, 5, AGENT, 1.0), (0, 1, AGENT, -1.5),
            (0, 0, FIRST, 1.0), (0, 2, SECOND, 1.0), (0, 3, SECOND, -1.5),
            (1, 3, FIRST, 1.0), (1, 1, FIRST, -1.5), (1, 4, SECOND, -1.5),
        ]
    )  # fmt: skip
    assert numbers("waiting", with_experts=social) == {
        # Steps 5, next to 1 and 3; the agent has none in the other episode.
        "first goal after the experts'": 5 - 2,
        # Step 2, next to 4; the first expert makes none.
        "first mistake after the experts'": 2 - 4,
        "episodes without a goal": 1 / 2,
        "episodes without a mistake": 1 / 2,
        "experts without a goal": 1 / 4,
        "experts without a mistake": 1 / 4,
    }


def test_lucky_experts_do_not_count_as_late():
    """An agent with mistakes at the experts' own steps is not early because some experts make none."""
    lucky = record([(0, 2, AGENT, -1.5), (1, 2, AGENT, -1.5), (0, 2, FIRST, -1.5), (0, 2, SECOND, -1.5)])
    assert numbers("waiting", with_experts=lucky)["first mistake after the experts'"] == 0
    none = numbers("waiting", with_experts=record([(0, 2, AGENT, -1.5)]))
    assert np.isnan(none["first mistake after the experts'"])
    assert (none["episodes without a mistake"], none["experts without a mistake"]) == (1 / 2, 1)


def test_transfer():
    """Each world has returns of its own: alone, with experts, of the experts."""
    worlds = {"four goals": (1, 4, 10), "four rooms": (2, 3, 4), "maze": (6, 5, 8)}
    assert tuple(worlds) == TRANSFER_WORLDS
    episodes, expected = {}, {}
    for world, (solo, full, experts) in worlds.items():
        episodes[f"{world}: alone"] = returns(solo, 50, 50)
        episodes[f"{world}: with experts"] = returns(full, experts - 1, experts + 1)
        expected[f"{world}: return"] = full / experts
        expected[f"{world}: social gain"] = (full - solo) / experts
    assert values_of("transfer", episodes) == pytest.approx(expected)


def test_robustness():
    episodes = {name: returns(10 + number, 50, 50) for number, name in enumerate(ROBUSTNESS_CONDITIONS)}
    expected = {name: 10 + number - 7 for number, name in enumerate(ROBUSTNESS_CONDITIONS)}
    assert values_of("robustness", episodes | {"alone": returns(7)}) == expected


def test_social_gain_and_recall():
    """The experts earn 8 and 12, of it 2 and 4 in the first half of the episode."""
    experts = [(episode, step, who, value) for episode in (0, 1) for step, who, value in (
        (1, FIRST, 2.0), (4, FIRST, 6.0), (1, SECOND, 4.0), (4, SECOND, 8.0))]  # fmt: skip
    social = record([*experts, *((episode, 1, AGENT, 6.0) for episode in (0, 1))])
    leaving = record([(episode, step, AGENT, value) for episode in (0, 1) for step, value in ((2, 3.0), (3, 1.4))])
    alone = record([(episode, step, AGENT, 0.5) for episode in (0, 1) for step in (2, 4)])
    given = {"alone": alone, "with experts": social, "experts leave": leaving}
    assert values_of("social gain", given) == {
        "return alone": 1,
        "return with experts": 6,
        "return of the experts": 10,
        "social gain": 5,
        "fraction of the experts' return": 0.5,
    }
    assert values_of("cultural transmission", given) == pytest.approx(
        {"cultural transmission": (0.5 + 0.34) / 2, "following": 0.5, "recall": 1.4 / 7}
        | {"recall beyond alone": (1.4 - 0.5) / 7}
    )


def test_a_follower_that_earns_in_the_first_half_alone_recalls_nothing():
    """Its cultural transmission exceeds ¾ of following all the same, as most of its gain is in the first half."""
    steps = [(episode, step, who, 1.0) for episode in (0, 1) for step in (1, 4) for who in (FIRST, SECOND)]
    follows = [(episode, 1, AGENT, 1.0) for episode in (0, 1)]
    alone, social = record([(0, 4, AGENT, 0.5)]), record(steps + follows)
    values = numbers("cultural transmission", alone=alone, with_experts=social, experts_leave=social)
    assert values["cultural transmission"] > 0.75 * values["following"]
    assert values["recall beyond alone"] < 0


def test_every_probe_has_its_numbers():
    played = social_numbers({condition.name: record() for condition in CONDITIONS}, FOLLOW_STEPS)
    assert {name: set(values) for name, values in played.items()} == {
        name: set(probe.numbers) for name, probe in SOCIAL_V1.probes.items()
    }
