"""`rookery score`: the social-learning scorecard of any agent."""

from __future__ import annotations

import dataclasses
import re
import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from rookery.commands.options import Json, optional
from rookery.commands.output import print_json
from rookery.storage.atomic import make_folder


@dataclasses.dataclass
class ScoreCommand:
    """Score how far an agent learns from others, by a fixed protocol: numbers as JSON, and a page with pictures."""

    agent: Annotated[
        Positional[str],
        arg(
            metavar="AGENT",
            help="A zoo agent, a .safetensors file, 'scripted', 'random', a function as module:function (observation, "
            "state, is_first) -> (action, state), or an .onnx or TorchScript .pt file.",
        ),
    ]
    protocol: str = "social-v1"
    """Worlds, partners, episodes and formulas: social-v1 (13×13 cells) or social-v1-small (9×9)."""
    out: Path = Path("scorecards")
    """Folder for NAME.json and NAME.html; every protocol has its own folder in it."""
    observation: Annotated[str | None, optional("TYPE", "as the agent says, else pixels")] = None
    """What a function or model observes: pixels (21×21×3) or symbolic (7×7×8); a trained agent knows."""
    table: Annotated[Path | None, optional("FILE", "no table")] = None
    """A Markdown page whose table is written again from all cards in the folder."""
    json: Json = False

    def __call__(self) -> int:
        return run_score(self)


def run_score(options: ScoreCommand) -> int:
    """Write the card and print its numbers and the paths."""
    from rookery.scorecard.agents import load_scored_agent
    from rookery.scorecard.card import find_protocol, score
    from rookery.scorecard.page import write_scorecard_page
    from rookery.scorecard.table import write_scorecard_table

    protocol = find_protocol(options.protocol)

    def progress(condition: str) -> None:
        if sys.stderr.isatty() and not options.json:
            print(f"\r\033[K{condition} …", end="", file=sys.stderr, flush=True)

    observation_type: str | None = options.observation
    agent = load_scored_agent(options.agent, observation_type)  # type: ignore[arg-type] (checked there)
    folder = options.out / protocol.name
    make_folder(folder)  # what cannot be written is found out now, not after minutes
    card = score(agent, protocol, progress=progress)
    if sys.stderr.isatty() and not options.json:
        print("\r\033[K", end="", file=sys.stderr)
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(options.agent).name.removesuffix(".safetensors")).strip("-.")
    paths = [card.write_json(folder / f"{name}.json"), write_scorecard_page(card, folder / f"{name}.html")]
    if options.table is not None:
        paths.append(write_scorecard_table(options.table, folder, protocol.name))
    if options.json:
        print_json(card.to_dict() | {"files": list(map(str, paths))})
        return 0
    for probe, numbers in card.numbers.items():
        print(probe)
        for number, interval in numbers.items():
            print(f"  {number:34} {format_score(interval)}")
    print(*paths, sep="\n")
    return 0


def format_score(interval: tuple[float, float, float]) -> str:
    """A value with its interval, in columns."""
    from rookery.intervals import format_interval

    return "undefined" if interval[0] != interval[0] else format_interval(interval, "8.3f", "  ")
