"""The page of a card: every probe with its picture, its numbers and what they mean; and a film."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from rookery.intervals import Interval, format_interval
from rookery.scorecard.card import ScoreCard
from rookery.scorecard.condition_episodes import ConditionEpisodes, first_step
from rookery.viz.bars import interval_bars, step_lines
from rookery.viz.report_page import Report

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_scorecard_page(card: ScoreCard, path: Path) -> Path:
    """Write the card as one HTML file that needs no other. Returns the path. Raises: StorageError."""
    return make_scorecard_page(card).write(path)


def make_scorecard_page(card: ScoreCard) -> Report:
    """The page of a card."""
    protocol, (_, headline) = card.protocol, card.protocol.headline
    report = Report(f"Scorecard of {card.name}", f"{protocol.name}: {protocol.description}")
    report.key_values(
        {
            headline: _headline_text(card.headline),
            "agent": card.name,
            **({"one of": card.group} if card.group else {}),
            "observes": card.agent.observation_type,
            "episodes in each condition": protocol.num_episodes,
            "SHA-256": card.agent.sha256,
        }
    )
    report.paragraph(
        "Numbers are means over episodes with their 95 % interval (bootstrap over episodes). All conditions play the "
        "same worlds. docs/scorecard.md defines the protocol."
    )
    for name, probe in protocol.probes.items():
        numbers = card.numbers[name]
        report.heading(name.capitalize()).paragraph(probe.question)
        figure, caption = PICTURES[name](card)
        report.figure(figure, caption)
        report.table(
            ["number", "value", "low", "high", "definition"],
            [
                [label, *(None if np.isnan(x) else x for x in numbers[label]), definition]
                for label, definition in probe.numbers.items()
            ],
        )
    film = card.episodes[protocol.film_condition].film
    if film is not None:
        report.heading("Film").replay(film, f"The first episode of the condition '{protocol.film_condition}'.")
    return report


def _headline_text(number: Interval) -> str:
    if np.isnan(number.value):
        return "undefined: the experts' mean return is not above 0"
    return format_interval(number)


def _running_return(played: ConditionEpisodes, agents: slice = slice(0, 1)) -> Float[np.ndarray, "T"]:
    """Mean return up to each step."""
    return played.reward[:, :, agents].astype(np.float64).mean((1, 2)).cumsum()


def _gain_picture(card: ScoreCard) -> tuple[Figure, str]:
    names = ("return alone", "return with experts", "return of the experts", "social gain")
    rows = {name: card.numbers["social gain"][name] for name in names}
    return interval_bars(rows, xlabel="return per episode"), "Returns of the agent and of the experts."


def _transmission_picture(card: ScoreCard) -> tuple[Figure, str]:
    episodes = card.episodes
    social, num_steps = episodes["with experts"], episodes["alone"].num_steps
    lines = {
        "experts": _running_return(social, slice(1, None)),
        "agent with experts": _running_return(social),
        "agent, experts leave": _running_return(episodes["experts leave"]),
        "agent alone": _running_return(episodes["alone"]),
    }
    shaded = (num_steps / 2, float(num_steps), "experts gone, for the third line")
    caption = "Return up to each step. A follower rises with the experts; one that remembers keeps rising without them."
    return step_lines(lines, ylabel="mean return up to the step", shaded=shaded), caption


def _trust_picture(card: ScoreCard) -> tuple[Figure, str]:
    episodes = card.episodes
    lines = {
        "agent alone": _running_return(episodes["alone"]),
        "agent with the anti-expert": _running_return(episodes["anti-expert"]),
        "agent with experts": _running_return(episodes["with experts"]),
    }
    caption = "Return up to each step. The anti-expert knows the order; its first entry pays, all others are wrong."
    return step_lines(lines, ylabel="mean return up to the step"), caption


def _preference_picture(card: ScoreCard) -> tuple[Figure, str]:
    numbers = card.numbers["whom it follows"]
    caption = (
        "What it follows, next to what the agent alone reads by chance, and what changes when the partners' prestige "
        "colors are swapped, frozen or shuffled."
    )
    return interval_bars(numbers, xlabel="fraction"), caption


def _waiting_picture(card: ScoreCard) -> tuple[Figure, str]:
    social = card.episodes["with experts"]
    steps = np.arange(1, social.num_steps + 1)

    def reached(agents: range, sign: int) -> Float[np.ndarray, "T"]:
        firsts = np.concatenate([first_step(sign * social.reward[:, :, agent] > 0) for agent in agents])
        return (firsts[:, None] <= steps).mean(0)

    lines = {
        "experts: first goal": reached(range(1, 3), 1),
        "agent: first goal": reached(range(1), 1),
        "experts: first mistake": reached(range(1, 3), -1),
        "agent: first mistake": reached(range(1), -1),
    }
    caption = (
        "When the first goal and the first mistake happen; a line stays below 1 by the episodes without one. An agent "
        "that waits comes after the experts."
    )
    return step_lines(lines, ylabel="fraction of episodes"), caption


def _transfer_picture(card: ScoreCard) -> tuple[Figure, str]:
    caption = "Next to each world's experts, as a fraction of their return."
    return interval_bars(card.numbers["transfer"], xlabel="fraction of the experts' return"), caption


def _robustness_picture(card: ScoreCard) -> tuple[Figure, str]:
    rows = {"two experts": card.numbers["social gain"]["social gain"], **card.numbers["robustness"]}
    return interval_bars(rows, xlabel="return minus return alone"), "Social gain with other partners."


PICTURES: dict[str, Callable[[ScoreCard], tuple[Figure, str]]] = {
    "social gain": _gain_picture,
    "cultural transmission": _transmission_picture,
    "misplaced trust": _trust_picture,
    "whom it follows": _preference_picture,
    "waiting": _waiting_picture,
    "transfer": _transfer_picture,
    "robustness": _robustness_picture,
}
"""The picture of each probe and its caption."""
