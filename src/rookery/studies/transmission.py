"""Cultural transmission of a study's agents: the scorecard's formula, measured in the study's own world."""

from __future__ import annotations

import dataclasses
from typing import Any, TypedDict

import numpy as np

from rookery.intervals import Interval
from rookery.scorecard.agents import load_scored_agent
from rookery.scorecard.episodes import play_condition
from rookery.scorecard.protocol import NUM_ACTIONS, Protocol, ScoreWorld
from rookery.scorecard.social_v1 import SOCIAL_V1, transmission_numbers
from rookery.storage.atomic import write_json
from rookery.studies.claims import judge_difference, judge_mean
from rookery.studies.frozen_evaluation import read_measurement
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import UNDECIDED, Claim, Condition, Verdict

TRANSMISSION_MEASURES = ("cultural transmission", "following", "recall", "recall beyond alone")
"""Numbers of the scorecard's probe of that name."""
_STORED_TYPES = dict.fromkeys(TRANSMISSION_MEASURES, float | None)
_STORED: Any = TypedDict("_STORED", _STORED_TYPES)  # pyright: ignore (of names known at run time)
TRANSMISSION_CONDITIONS = ("alone", "with experts", "experts leave")


def transmission_protocol(session: Session, task: Any) -> Protocol:
    """`social-v1` with a study's task as its world of three goals; few episodes at `smoke`."""
    changes: Any = {"num_actions": NUM_ACTIONS, "dropout_slots": (1, 2), "leave_prob": 0.0, "return_prob": 0.0}
    world = ScoreWorld(name="three goals", task=dataclasses.replace(task, **changes))
    num_episodes = min(SOCIAL_V1.num_episodes, session.eval_episodes)
    return dataclasses.replace(SOCIAL_V1, worlds=(world,), num_episodes=num_episodes)


def transmission_of(session: Session, task: Any, conditions: tuple[Condition, ...]) -> dict[str, Any]:
    """{'transmission': {condition: {measure: one number per seed}}}; None where it is undefined."""
    protocol = transmission_protocol(session, task)
    measured: dict[str, dict[str, list[float | None]]] = {}
    for condition in conditions:
        rows = measured.setdefault(condition.label, {name: [] for name in TRANSMISSION_MEASURES})
        for agent in condition.agents.evaluated_agents(session):
            path = session.measurements_dir / f"{agent.fingerprint[:24]}-{protocol.digest[:16]}-transmission.json"
            if not path.exists():
                scored = load_scored_agent(agent.policies[0].checkpoint)
                played = {
                    played_condition.name: play_condition(protocol, played_condition, scored, {})
                    for played_condition in protocol.conditions
                    if played_condition.name in TRANSMISSION_CONDITIONS
                }
                numbers = transmission_numbers(*(played[name] for name in TRANSMISSION_CONDITIONS))
                write_json(path, {name: numbers[name].to_dict()["value"] for name in TRANSMISSION_MEASURES})
            stored = read_measurement(path, _STORED)
            for name in TRANSMISSION_MEASURES:
                rows[name].append(stored[name])
    return {"transmission": measured}


def transmission_values(results: Results, condition: str, measure: str) -> np.ndarray:
    """One number per seed, f[seeds], without the seeds for which it is undefined; empty if older results lack it."""
    values = results.extra["transmission"][condition].get(measure, [])
    return np.array([value for value in values if value is not None], float)


def transmission_differs(text: str, condition: str, other: str, measure: str) -> Claim:
    """A condition's mean over seeds exceeds another's."""

    def judge(results: Results) -> Verdict:
        first, second = (transmission_values(results, name, measure) for name in (condition, other))
        quantity = f"{measure}: '{condition}' minus '{other}'; claimed > 0"
        if not len(first) or not len(second):
            return _undefined(quantity)
        return judge_difference(first, second, quantity, above=0.0)

    return Claim(text=text, judge=judge)


def _undefined(quantity: str) -> Verdict:
    """Of a claim whose measure no seed has."""
    reason = "undefined in every seed: the experts' own return is not above 0"
    return Verdict(UNDECIDED, quantity, Interval.unknown(), reason)


def remembers(text: str, condition: str) -> Claim:
    """After its experts left, a condition earns more than alone in the same half of an episode, mean over seeds.

    Cultural transmission above ¾ of following would not show it: an agent that forgets at once has it, too, if it gains
    more in the first half of an episode with experts than in the second one.
    """

    def judge(results: Results) -> Verdict:
        values = transmission_values(results, condition, "recall beyond alone")
        quantity = f"recall beyond alone of '{condition}'; claimed > 0"
        return judge_mean(values, quantity, above=0.0) if len(values) else _undefined(quantity)

    return Claim(text=text, judge=judge)
