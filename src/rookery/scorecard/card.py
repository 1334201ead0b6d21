"""The result of scoring one agent: its numbers, as JSON that is the same every time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, NotFoundError, suggest
from rookery.intervals import Interval
from rookery.limits import check_type
from rookery.scorecard.agents import FunctionAgent, ScoredAgent, load_scored_agent
from rookery.scorecard.condition_episodes import ConditionEpisodes
from rookery.scorecard.episodes import play_condition
from rookery.scorecard.protocol import NumbersByProbe, ObservationType, Protocol
from rookery.scorecard.social_v1 import PROTOCOLS, SOCIAL_V1
from rookery.storage.atomic import write_json
from rookery.storage.serialization import check_json, load_json

SCORECARD_FORMAT = 1
"""Format of the JSON file."""


@dataclasses.dataclass(frozen=True)
class ScoreCard:
    """The numbers of one agent, and the episodes that they come from."""

    agent: ScoredAgent
    protocol: Protocol
    numbers: NumbersByProbe
    episodes: dict[str, ConditionEpisodes]
    label: str = ""
    """What people call the agent; empty: as it was named to be loaded."""
    group: str = ""
    """Agents of one kind, such as the seeds of one condition, which are one row of the table; empty: a row of its
    own."""

    @property
    def name(self) -> str:
        """The agent's name in the card, on its page and in the table."""
        return self.label or self.agent.name

    @property
    def headline(self) -> Interval:
        """The number that stands for the card: cultural transmission."""
        probe, number = self.protocol.headline
        return self.numbers[probe][number]

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON. It holds no time and no machine: the same agent gives the same file."""
        from rookery import __version__

        return {
            "format": SCORECARD_FORMAT,
            "protocol": self.protocol.name,
            "protocol_sha256": self.protocol.digest,
            "rookery": __version__,
            "agent": {
                "name": self.name,
                **({"group": self.group} if self.group else {}),
                "kind": self.agent.kind,
                "sha256": self.agent.sha256,
                "observation_type": self.agent.observation_type,
            },
            "episodes": self.protocol.num_episodes,
            "headline": {"name": self.protocol.headline[1], **self.headline.to_dict()},
            "probes": {
                probe: {name: interval.to_dict() for name, interval in numbers.items()}
                for probe, numbers in self.numbers.items()
            },
            "returns": {
                name: [float(played.returns(slot).mean()) for slot in range(played.reward.shape[2])]
                for name, played in self.episodes.items()
            },
        }

    def write_json(self, path: Path) -> Path:
        """Write the card. Returns the path. Raises: StorageError."""
        write_json(path, self.to_dict())
        return path


def score(
    agent: str | Path | ScoredAgent,
    protocol: str | Protocol = SOCIAL_V1,
    observation_type: ObservationType | None = None,
    progress: Callable[[str], None] = lambda condition: None,
    *,
    label: str = "",
    group: str = "",
) -> ScoreCard:
    """Score an agent: play all conditions of a protocol, and compute its numbers.

    A function plays the first condition again at the end: what it keeps outside its state would carry over from one
    condition to the next, which plays the same worlds.

    Args:
      agent: as on the command line, see `load_scored_agent`, or an adapter of your own.
      protocol: its name, or a protocol.
      observation_type: what the agent observes, where neither a card nor its function says it.
      progress: called with the name of each condition before it is played.
      label, group: as of `ScoreCard`.
    Raises: NotFoundError for an unknown agent or protocol; IncompatibleError for an agent that does not fit, or a
      function that plays the same condition in another way the second time; and as `load_scored_agent`.
    """
    check_type("agent", agent, (str, Path, ScoredAgent), "the name of an agent, the path of one or a ScoredAgent")
    check_type("protocol", protocol, (str, Protocol), "the name of a protocol or a Protocol")
    chosen = find_protocol(protocol) if isinstance(protocol, str) else protocol
    scored = agent if isinstance(agent, ScoredAgent) else load_scored_agent(agent, observation_type)
    episodes: dict[str, ConditionEpisodes] = {}
    for condition in chosen.conditions:
        progress(condition.name)
        episodes[condition.name] = play_condition(chosen, condition, scored, episodes)
    if isinstance(scored, FunctionAgent):
        first = chosen.conditions[0]
        progress(f"{first.name}, again")
        again = play_condition(chosen, first, scored, episodes)
        _check_repetition(scored.name, first.name, episodes[first.name], again)
    return ScoreCard(scored, chosen, chosen.numbers(episodes, chosen.follow_steps), episodes, label, group)


def _check_repetition(name: str, condition: str, first: ConditionEpisodes, again: ConditionEpisodes) -> None:
    """Raises IncompatibleError unless an agent did the same in both."""
    if not np.array_equal(first.position, again.position) or not np.array_equal(first.reward, again.reward):
        raise IncompatibleError(
            f"{name} played {condition!r} in another way at the end than at the start, in the same worlds: it "
            "remembers or samples by something outside its state (a global variable, an attribute, a file); only the "
            "state that it returns may carry over, from step to step of an episode; keep memory and random seeds "
            "there, and score it again"
        )


def find_protocol(name: str) -> Protocol:
    """A protocol by name. Raises NotFoundError with the nearest names."""
    if name not in PROTOCOLS:
        raise NotFoundError(f"no protocol {name!r}; {suggest(name, PROTOCOLS)}")
    return PROTOCOLS[name]


def read_scorecard(path: Path) -> dict[str, Any]:
    """A card from its JSON file.

    Raises: NotFoundError; StorageError if it cannot be read; CorruptFileError if it is not one; IncompatibleError for
      another format, or a protocol that this version defines otherwise.
    """
    try:
        card = load_json(path, CorruptFileError)
        check_json(_VersionedCard, card, "card")
    except (CorruptFileError, ConfigError) as error:
        raise CorruptFileError(
            f"{path} is not a scorecard ({error}); score the agent again, or remove the file"
        ) from None
    protocol = find_protocol(card["protocol"])
    if card["format"] != SCORECARD_FORMAT or protocol.digest != card["protocol_sha256"]:
        raise IncompatibleError(f"{path} is of another version of {protocol.name}; score the agent again")
    try:
        check_json(_Card, card, "card")
        for probe in protocol.probes:
            names = card["probes"].get(probe, {})
            if missing := [name for name in protocol.probes[probe].numbers if name not in names]:
                raise ConfigError(f"card.probes.{probe} lacks {', '.join(map(repr, missing))}")
    except ConfigError as error:
        raise CorruptFileError(f"{path} is damaged: {error}; score the agent again, or remove the file") from None
    return card


class _VersionedCard(TypedDict):
    """What says whether this version can read the rest."""

    format: int
    protocol: str
    protocol_sha256: str


class _Number(TypedDict):
    value: float | None
    low: float | None
    high: float | None


class _Headline(TypedDict):
    value: float | None


class _Name(TypedDict):
    name: str


class _Agent(_Name, total=False):
    group: str


class _Card(_VersionedCard):
    agent: _Agent
    headline: _Headline
    probes: dict[str, dict[str, _Number]]
