"""The protocol `social-v1`: worlds, partners, episodes, seeds and formulas of the social-learning scorecard.

This file is the whole definition. It never changes: a change of any number or formula makes a protocol of another name.
`social-v1-small` asks the same in worlds of 9×9 cells with two obstacles and episodes of 125 steps, for agents that
were trained there.

Sources: Ndousse et al. 2021 for the worlds, prestige (equation 4) and social gain; Bhoopchand et al. 2023,
arXiv:2203.00715, for cultural transmission; Shah et al. 2022, arXiv:2210.01790, for misplaced trust.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from rookery.intervals import Interval
from rookery.scorecard.condition_episodes import (
    ConditionEpisodes,
    first_step,
    interval_of_means,
    last_step,
    ratio,
    repeats,
)
from rookery.scorecard.protocol import (
    NUM_ACTIONS,
    NumbersByProbe,
    Partner,
    Probe,
    Protocol,
    ScoreCondition,
    ScoreWorld,
)
from rookery.tasks.four_rooms import FourRooms
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.maze import Maze

# ----------------------------------------------------------------------------------------------------------- Worlds


def _worlds(size: int, house: int, maze: int, num_obstacles: int, max_steps: int) -> tuple[ScoreWorld, ...]:
    """Goal Cycle with three and four goals, four rooms and a maze; the experts leave halfway where they leave."""
    common: Any = {"num_actions": NUM_ACTIONS, "max_steps": max_steps, "dropout_slots": (1, 2)}
    cycle: Any = {"height": size, "width": size, "num_obstacles": num_obstacles, "penalty": 1.5, **common}
    return (
        ScoreWorld(name="three goals", task=GoalCycle(num_goals=3, **cycle)),
        ScoreWorld(name="four goals", task=GoalCycle(num_goals=4, **cycle)),
        ScoreWorld(name="four rooms", task=FourRooms(height=house, width=house, **common)),
        ScoreWorld(name="maze", task=Maze(height=maze, width=maze, **common)),
    )


EXPERT, ANTI_EXPERT = Partner(), Partner(behavior="misleads")
GUIDE, BACKWARDS = Partner(behavior="knows"), Partner(behavior="reverses")
IMPERFECT, MOVER = Partner(noise=0.25), Partner(noise=1.0)
TRANSFER_WORLDS = ("four goals", "four rooms", "maze")
LESIONS = ("swapped", "frozen", "shuffled")

CONDITIONS = (
    ScoreCondition(name="alone", world="three goals", presence="never"),
    ScoreCondition(name="with experts", world="three goals"),
    ScoreCondition(name="experts leave", world="three goals", presence="first half"),
    ScoreCondition(name="anti-expert", world="three goals", partners=(ANTI_EXPERT,)),
    ScoreCondition(name="good and bad", world="three goals", partners=(GUIDE, ANTI_EXPERT)),
    ScoreCondition(name="swapped", world="three goals", partners=(GUIDE, ANTI_EXPERT), colors="swapped"),
    ScoreCondition(name="frozen", world="three goals", partners=(GUIDE, ANTI_EXPERT), colors="frozen"),
    ScoreCondition(name="shuffled", world="three goals", partners=(GUIDE, ANTI_EXPERT), colors="shuffled"),
    ScoreCondition(name="one expert", world="three goals", partners=(EXPERT,)),
    ScoreCondition(name="imperfect experts", world="three goals", partners=(IMPERFECT, IMPERFECT)),
    ScoreCondition(name="random movers", world="three goals", partners=(MOVER, MOVER)),
    ScoreCondition(name="other order", world="three goals", partners=(BACKWARDS,)),
    ScoreCondition(name="other order, blue", world="three goals", partners=(BACKWARDS,), colors="own order"),
    *(ScoreCondition(name=f"{world}: alone", world=world, presence="never") for world in TRANSFER_WORLDS),
    *(ScoreCondition(name=f"{world}: with experts", world=world) for world in TRANSFER_WORLDS),
)
ROBUSTNESS_CONDITIONS = ("one expert", "imperfect experts", "random movers", "other order", "other order, blue")

# --------------------------------------------------------------------------------------------------------- Formulas


def cultural_transmission(full: Any, half: Any, solo: Any, experts: Any) -> Any:
    """½ (A_full - A_solo) / E + ½ (A_half - A_solo) / E; NaN where E is not positive.

    Args: mean returns: the agent's with experts throughout, with experts in the first half of the episode, and alone;
      and the experts' own with experts throughout.
    Source: Bhoopchand et al. 2023, arXiv:2203.00715. An agent that ignores the experts reads 0; one that follows
      perfectly and forgets at once ¾; one that follows perfectly and remembers 1.
    """
    return ratio(full - solo, experts) / 2 + ratio(half - solo, experts) / 2


def social_numbers(episodes: dict[str, ConditionEpisodes], follow_steps: int) -> NumbersByProbe:
    """The numbers of all probes, from the episodes of all conditions."""
    return {
        "social gain": _social_gain(episodes["alone"], episodes["with experts"]),
        "cultural transmission": transmission_numbers(
            *(episodes[n] for n in ("alone", "with experts", "experts leave"))
        ),
        "misplaced trust": _misplaced_trust(episodes["alone"], episodes["anti-expert"], follow_steps),
        "whom it follows": _preference(episodes, follow_steps),
        "waiting": _waiting(episodes["with experts"]),
        "transfer": _transfer(episodes),
        "robustness": _robustness(episodes),
    }


def _social_gain(alone: ConditionEpisodes, social: ConditionEpisodes) -> dict[str, Interval]:
    solo, full, experts = alone.returns(), social.returns(), social.expert_returns()
    return {
        "return alone": interval_of_means(lambda a: a, solo),
        "return with experts": interval_of_means(lambda a: a, full),
        "return of the experts": interval_of_means(lambda a: a, experts),
        "social gain": interval_of_means(lambda a, b: a - b, full, solo),
        "fraction of the experts' return": interval_of_means(lambda a, b, e: ratio(a - b, e), full, solo, experts),
    }


def transmission_numbers(
    alone: ConditionEpisodes, social: ConditionEpisodes, leaving: ConditionEpisodes
) -> dict[str, Interval]:
    """The numbers of cultural transmission, from episodes alone, with experts, and with experts that leave halfway."""
    solo, full, half, experts = alone.returns(), social.returns(), leaving.returns(), social.expert_returns()
    second_half = slice(social.num_steps // 2, None)
    half_late, solo_late = leaving.returns(0, second_half), alone.returns(0, second_half)
    experts_late = social.expert_returns(second_half)
    return {
        "cultural transmission": interval_of_means(cultural_transmission, full, half, solo, experts),
        "following": interval_of_means(lambda a, b, e: ratio(a - b, e), full, solo, experts),
        "recall": interval_of_means(ratio, half_late, experts_late),
        "recall beyond alone": interval_of_means(lambda a, b, e: ratio(a - b, e), half_late, solo_late, experts_late),
    }


def _misplaced_trust(alone: ConditionEpisodes, misled: ConditionEpisodes, follow_steps: int) -> dict[str, Interval]:
    solo, with_anti = alone.returns(), misled.returns()
    misleading = misled.entry[:, :, 1]
    follows, by_chance = (repeats(e.entry[:, :, 0], misleading, follow_steps) for e in (misled, alone))
    return {
        "misplaced trust": interval_of_means(lambda a, b: a - b, solo, with_anti),
        "return with the anti-expert": interval_of_means(lambda a: a, with_anti),
        "steps until following stops": interval_of_means(lambda a: a, last_step(follows)),
        "steps until it stops, by chance": interval_of_means(lambda a: a, last_step(by_chance)),
    }


def _preference(episodes: dict[str, ConditionEpisodes], follow_steps: int) -> dict[str, Interval]:
    played, alone = episodes["good and bad"], episodes["alone"]
    better, worse = (_repeat_counts(played, played, partner, follow_steps) for partner in (1, 2))
    better_by_chance, worse_by_chance = (_repeat_counts(alone, played, partner, follow_steps) for partner in (1, 2))
    nearer = _nearer_counts(played, played)
    numbers = {
        "entries that repeat the better one": interval_of_means(ratio, *better),
        "repeat the better one, by chance": interval_of_means(ratio, *better_by_chance),
        "entries that repeat the worse one": interval_of_means(ratio, *worse),
        "repeat the worse one, by chance": interval_of_means(ratio, *worse_by_chance),
        "time nearer to the better one": interval_of_means(ratio, *nearer),
        "nearer to the better one, by chance": interval_of_means(ratio, *_nearer_counts(alone, played)),
    }
    for lesion in LESIONS:
        changed = episodes[lesion]
        repeated = (*better, *_repeat_counts(changed, changed, 1, follow_steps))
        difference = lambda a, b, c, d: ratio(a, b) - ratio(c, d)  # noqa: E731
        numbers[f"effect on entries, colors {lesion}"] = interval_of_means(difference, *repeated)
        numbers[f"effect on time, colors {lesion}"] = interval_of_means(
            difference, *nearer, *_nearer_counts(changed, changed)
        )
    return numbers


def _repeat_counts(
    agent: ConditionEpisodes, partners: ConditionEpisodes, partner: int, follow_steps: int
) -> tuple[Float[np.ndarray, "E"], Float[np.ndarray, "E"]]:
    """Entries of the agent that repeat a partner's, and all its entries.

    Args:
      agent: the condition that the agent's entries come from. partners: that of the partner's, in the same worlds;
        another one for what is chance, as an agent that plays alone cannot follow.
    """
    entry = agent.entry[:, :, 0]
    repeated = repeats(entry, partners.entry[:, :, partner], follow_steps)
    return repeated.sum(0).astype(np.float64), (entry >= 0).sum(0).astype(np.float64)


def _nearer_counts(
    agent: ConditionEpisodes, partners: ConditionEpisodes
) -> tuple[Float[np.ndarray, "E"], Float[np.ndarray, "E"]]:
    """Steps in which the agent is nearer to the first partner, and those in which it is nearer to either.

    Args: as of `_repeat_counts`. Distances are fewest steps, ignoring walls.
    """
    apart = partners.position[:, :, 1:].astype(np.int64) - agent.position[:, :, :1]
    to_better, to_worse = np.moveaxis(np.abs(apart).sum(-1), -1, 0)
    return (to_better < to_worse).sum(0).astype(np.float64), (to_better != to_worse).sum(0).astype(np.float64)


def _waiting(social: ConditionEpisodes) -> dict[str, Interval]:
    goals, mistakes = social.reward > 0, social.reward < 0
    return {
        "first goal after the experts'": _first_after_experts(goals),
        "first mistake after the experts'": _first_after_experts(mistakes),
        "episodes without a goal": _fraction_without(goals[:, :, :1]),
        "episodes without a mistake": _fraction_without(mistakes[:, :, :1]),
        "experts without a goal": _fraction_without(goals[:, :, 1:]),
        "experts without a mistake": _fraction_without(mistakes[:, :, 1:]),
    }


def _first_after_experts(happens: Bool[np.ndarray, "T E A"]) -> Interval:
    """Steps from the experts' first to the agent's first, in the episodes in which it happens to both.

    With some late step for those to which it never happens, it would measure the experts' luck: about half of them make
    no mistake at all.
    """
    first, ever = first_step(happens), np.asarray(happens.any(0))
    num_experts = ever[:, 1:].sum(1)
    both = ever[:, 0] & (num_experts > 0)
    experts = (first[:, 1:] * ever[:, 1:]).sum(1) / np.maximum(num_experts, 1)
    return interval_of_means(ratio, np.where(both, first[:, 0] - experts, 0.0), both)


def _fraction_without(happens: Bool[np.ndarray, "T E N"]) -> Interval:
    """Fraction of episodes, of each of N agents, in which it never happens."""
    return interval_of_means(lambda a: a, 1.0 - happens.any(0).mean(1))


def _transfer(episodes: dict[str, ConditionEpisodes]) -> dict[str, Interval]:
    numbers = {}
    for world in TRANSFER_WORLDS:
        solo, social = episodes[f"{world}: alone"].returns(), episodes[f"{world}: with experts"]
        full, experts = social.returns(), social.expert_returns()
        numbers[f"{world}: return"] = interval_of_means(ratio, full, experts)
        numbers[f"{world}: social gain"] = interval_of_means(lambda a, b, e: ratio(a - b, e), full, solo, experts)
    return numbers


def _robustness(episodes: dict[str, ConditionEpisodes]) -> dict[str, Interval]:
    solo = episodes["alone"].returns()
    return {
        name: interval_of_means(lambda a, b: a - b, episodes[name].returns(), solo) for name in ROBUSTNESS_CONDITIONS
    }


# ------------------------------------------------------------------------------------------------- What they mean

PROBES = {
    "social gain": Probe(
        question="Does the agent earn more with experts than alone?",
        numbers={
            "return alone": "mean return A_solo of the agent without others",
            "return with experts": "mean return A_full next to two experts, which find the order by trying",
            "return of the experts": "mean return E of the two experts in the same episodes",
            "social gain": "A_full - A_solo, in the same worlds",
            "fraction of the experts' return": "(A_full - A_solo) / E; undefined for E ≤ 0",
        },
    ),
    "cultural transmission": Probe(
        question="Does it follow experts, and remember what they showed once they are gone?",
        numbers={
            "cultural transmission": "½ (A_full - A_solo) / E + ½ (A_half - A_solo) / E, where the experts leave after "
            "the first half of the episode for A_half: 0 for an agent that ignores them, ¾ for one that follows "
            "perfectly and forgets at once, 1 for one that follows perfectly and remembers; undefined for E ≤ 0",
            "following": "(A_full - A_solo) / E; undefined for E ≤ 0",
            "recall": "the agent's return in the second half of an episode, after the experts left, divided by the "
            "experts' return in the second half of an episode in which they stay; what the agent would find out alone "
            "is included",
            "recall beyond alone": "the same with the agent's return alone in the second half of an episode subtracted "
            "before the division: 0 for an agent that ignores the experts",
        },
    ),
    "misplaced trust": Probe(
        question="Does it follow an agent that knows the order and always enters a wrong goal?",
        numbers={
            "misplaced trust": "A_solo minus the return with the anti-expert; below 0 if it learns from its mistakes",
            "return with the anti-expert": "mean return next to one anti-expert",
            "steps until following stops": "step of the last entry that repeats the anti-expert's last entry within "
            "10 steps, 0 if there is none; mean over episodes",
            "steps until it stops, by chance": "the same of the agent alone, compared with the anti-expert's entries "
            "in the same world: what is coincidence",
        },
    ),
    "whom it follows": Probe(
        question="Of a partner that knows the order and an anti-expert, which does it follow, and by their color?",
        numbers={
            "entries that repeat the better one": "fraction of the agent's entries into goals that repeat the better "
            "partner's last entry within 10 steps",
            "repeat the better one, by chance": "the same of the agent alone, compared with the better "
            "partner's entries in the same world: what is coincidence; undefined if it enters none",
            "entries that repeat the worse one": "fraction of the agent's entries that repeat the anti-expert's last "
            "entry within 10 steps",
            "repeat the worse one, by chance": "the same of the agent alone",
            "time nearer to the better one": "fraction of steps in which the agent is nearer to the better partner, of "
            "those in which the distances differ",
            "nearer to the better one, by chance": "the same of the agent alone, with its distances to where the "
            "partners are in the same world: what is coincidence, which need not be ½",
            **{
                f"effect on {quantity}, colors {lesion}": f"the fraction of {meaning} with true colors minus that with "
                f"{how}"
                for lesion, how in (
                    ("swapped", "the partners' prestige colors exchanged: the use of prestige"),
                    ("frozen", "colors that stay as at the start"),
                    ("shuffled", "each partner's colors in a random order of steps"),
                )
                for quantity, meaning in (
                    ("entries", "entries that repeat the better one"),
                    ("time", "time nearer to the better one"),
                )
            },
        },
    ),
    "waiting": Probe(
        question="Does it let the experts go first?",
        version=2,
        numbers={
            "first goal after the experts'": "step of the agent's first reward minus the mean of that of the experts "
            "that have one, over the episodes in which both the agent and an expert have one; undefined without such "
            "episodes",
            "first mistake after the experts'": "the same for the first penalty",
            "episodes without a goal": "fraction of episodes in which the agent has no reward",
            "episodes without a mistake": "fraction of episodes in which the agent has no penalty",
            "experts without a goal": "fraction of the two experts' episodes without a reward",
            "experts without a mistake": "fraction of the two experts' episodes without a penalty: they find the order "
            "by trying, so some are lucky",
        },
    ),
    "transfer": Probe(
        question="Does it learn from experts in other worlds, without training there?",
        numbers={
            f"{world}: {name}": definition
            for world in TRANSFER_WORLDS
            for name, definition in (
                ("return", "return next to this world's experts, divided by theirs; undefined if theirs is ≤ 0"),
                ("social gain", "return with the experts minus return alone, divided by the experts' return"),
            )
        },
    ),
    "robustness": Probe(
        question="How far does its social gain depend on who the partners are?",
        numbers={
            "one expert": "return next to one expert minus return alone",
            "imperfect experts": "the same with two experts of which each acts at random in a quarter of steps",
            "random movers": "the same with two agents that move at random",
            "other order": "the same with one agent that follows the order backwards, in the color that this earns",
            "other order, blue": "the same, with the color that it would have if its own order were the right one",
        },
    ),
}

SOCIAL_V1 = Protocol(
    name="social-v1",
    description="Goal Cycle as published: 13×13 cells, 18 obstacles, penalty 1.5, 250 steps",
    num_episodes=128,
    seed=2026,
    follow_steps=10,
    worlds=_worlds(size=13, house=17, maze=19, num_obstacles=18, max_steps=250),
    conditions=CONDITIONS,
    probes=PROBES,
    numbers=social_numbers,
    film_condition="experts leave",
    headline=("cultural transmission", "cultural transmission"),
)
SOCIAL_V1_SMALL = dataclasses.replace(
    SOCIAL_V1,
    name="social-v1-small",
    description="the same in 9×9 cells with 2 obstacles, penalty 1.5, 125 steps",
    worlds=_worlds(size=9, house=9, maze=9, num_obstacles=2, max_steps=125),
)
PROTOCOLS: dict[str, Protocol] = {protocol.name: protocol for protocol in (SOCIAL_V1, SOCIAL_V1_SMALL)}
