"""`rookery score`: the social-learning scorecard of any agent."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from rookery.commands.options import Json, optional
from rookery.commands.output import print_json
from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, NotFoundError, printable
from rookery.storage.atomic import check_recordable, check_writable, make_folder
from rookery.training.stop_signal import StopSignal

if TYPE_CHECKING:
    from rookery.scorecard.agents import ScoredAgent
    from rookery.scorecard.card import ScoreCard


@dataclasses.dataclass
class ScoreCommand:
    """Score how far an agent learns from others, by a fixed protocol: numbers as JSON, and a page with pictures."""

    agents: Annotated[
        Positional[tuple[str, ...]],
        arg(
            metavar="AGENT...",
            help="A zoo agent, a .safetensors file, 'scripted', 'scripted-partial', 'random', a function as "
            "module:function (observation, state, is_first) -> (action, state), or an .onnx or TorchScript .pt file. "
            "Several need --group.",
        ),
    ]
    protocol: str = "social-v1"
    """Worlds, partners, episodes and formulas: social-v1 (13×13 cells) or social-v1-small (9×9)."""
    out: Path = Path("scorecards")
    """Folder for NAME.json and NAME.html; every protocol has its own folder in it."""
    observation: Annotated[str | None, optional("TYPE", "as the agent says, else pixels")] = None
    """What a function or model observes: pixels (21×21×3) or symbolic (7×7×8); a trained agent knows."""
    name: Annotated[str | None, optional("TEXT", "as the agent is named to be loaded")] = None
    """What the card and the table call the agent, such as "solo, 9×9"; its files are named after it."""
    group: Annotated[str | None, optional("TEXT", "a row of its own")] = None
    """Agents of one kind, such as the seeds of one condition: they are one row of the table, with means over agents."""
    table: Annotated[Path | None, optional("FILE", "no table")] = None
    """A Markdown page whose table is written again from all cards in the folder."""
    json: Json = False

    def __call__(self) -> int:
        return run_score(self)


def run_score(options: ScoreCommand) -> int:
    """Write the card of each agent, and print its numbers and the paths."""
    from rookery.scorecard.agents import load_scored_agent
    from rookery.scorecard.card import find_protocol

    protocol = find_protocol(options.protocol)
    labels = _labels(options)
    observation_type: str | None = options.observation
    folder = options.out / protocol.name
    if options.table is not None:
        from rookery.scorecard.table import check_scorecard_table

        check_scorecard_table(options.table, folder, protocol.name, [f"{name}.json" for name in labels])
    agents = [load_scored_agent(agent, observation_type) for agent in options.agents]  # type: ignore[arg-type]
    # What cannot be written is found out now, not after minutes.
    for agent, (file_name, label) in zip(agents, labels.items(), strict=True):
        check_recordable(label or agent.name)
        for path in _card_files(folder, file_name):
            check_writable(path)
        _check_own_card(folder / f"{file_name}.json", agent, label)
    if options.table is not None:
        check_writable(options.table, follow_link=True)
    make_folder(folder)
    for agent, (file_name, label) in zip(agents, labels.items(), strict=True):
        card, paths = _score_one(options, agent, file_name, label, folder, is_last=file_name == [*labels][-1])
        if options.json:
            print_json(card.to_dict() | {"files": list(map(str, paths))})
        else:
            _print_card(card, label, paths)
    return 0


def _labels(options: ScoreCommand) -> dict[str, str]:
    """The name of each agent's files, and what the card calls it; empty: as it was named to be loaded.

    Raises: ConfigError for no agent, several without a group or with one name, and for two of one name.
    """
    if not options.agents:
        raise ConfigError(
            "name an agent: a zoo agent, a .safetensors file, 'scripted', 'scripted-partial', 'random' or "
            "module:function"
        )
    if len(options.agents) > 1 and (options.group is None or options.name is not None):
        raise ConfigError("several agents are scored as one group: give --group and no --name, or score one at a time")
    labels = {}
    for agent in options.agents:
        own = Path(agent).name.removesuffix(".safetensors")
        label = options.name or (f"{options.group}, {own}" if options.group else "")
        file_name = re.sub(r"[^A-Za-z0-9_.-]+", "-", label or own).strip("-.")
        if not file_name:
            raise ConfigError(f"name={label!r} has no letter or digit of a file's name; add one")
        labels[file_name] = label
    if len(labels) < len(options.agents):
        raise ConfigError("two of these agents would have the same card; score those with equal file names by --name")
    return labels


def _card_files(folder: Path, file_name: str) -> tuple[Path, Path]:
    """Where an agent's card and its page are written."""
    return folder / f"{file_name}.json", folder / f"{file_name}.html"


def _check_own_card(path: Path, agent: ScoredAgent, label: str) -> None:
    """Raises ConfigError if an agent's card would replace that of another one.

    The same agent is one with the same files; of a function or a zoo entry, which may have changed since, with the same
    name. A card that cannot be read, or of another version, may be replaced: the table asks for that.
    """
    from rookery.agents.zoo import is_agent_path
    from rookery.scorecard.card import read_scorecard

    try:
        there = read_scorecard(path)["agent"]
        name, digest = there["name"], there["sha256"]
    except (NotFoundError, CorruptFileError, IncompatibleError, KeyError, TypeError):
        return
    has_name = agent.kind == "function" or (agent.kind == "rookery" and not is_agent_path(agent.name))
    own_name = label or agent.name
    if (digest is not None and digest == agent.sha256) or (has_name and name == own_name):
        return
    raise ConfigError(
        f"{path} is the card of another agent, {printable(name)!r}, and would be replaced by that of {own_name!r}; "
        "give this one another --name (several: another --group), or remove the card"
    )


def _score_one(
    options: ScoreCommand, agent: ScoredAgent, file_name: str, label: str, folder: Path, is_last: bool
) -> tuple[ScoreCard, list[Path]]:
    """Score one agent, and write its card, its page and the table. Returns the card and what was written.

    Raises: KeyboardInterrupt if a signal comes while they are written, and other agents would follow.
    """
    from rookery.scorecard.card import score
    from rookery.scorecard.card_page import write_scorecard_page
    from rookery.scorecard.table import write_scorecard_table

    def progress(condition: str) -> None:
        if sys.stderr.isatty() and not options.json:
            print(f"\r\033[K{condition} …", end="", file=sys.stderr, flush=True)

    card = score(agent, options.protocol, progress=progress, label=label, group=options.group or "")
    if sys.stderr.isatty() and not options.json:
        print("\r\033[K", end="", file=sys.stderr)
    # A signal now comes too late to keep nothing: card, page and table are written together.
    with StopSignal() as stop_signal:
        json_file, page = _card_files(folder, file_name)
        paths = [card.write_json(json_file), write_scorecard_page(card, page)]
        if options.table is not None:
            paths.append(write_scorecard_table(options.table, folder, options.protocol))
    if stop_signal.requested and not is_last:
        raise KeyboardInterrupt
    return card, paths


def _print_card(card: ScoreCard, label: str, paths: list[Path]) -> None:
    """The numbers of a card, under its label if it has one, and where they are."""
    if label:
        print(label)
    width = max((len(number) for numbers in card.numbers.values() for number in numbers), default=0)
    for probe, numbers in card.numbers.items():
        print(probe)
        for number, interval in numbers.items():
            print(f"  {number:{width}} {format_score(interval)}")
    print(*paths, sep="\n")


def format_score(interval: tuple[float, float, float]) -> str:
    """A value with its interval, in columns."""
    from rookery.intervals import format_interval

    return "undefined" if interval[0] != interval[0] else format_interval(interval, "8.3f", "  ")
