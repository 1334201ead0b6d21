"""`rookery zoo`: the trained agents that come with the package."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from rookery.commands.options import optional
from rookery.errors import ConfigError


@dataclasses.dataclass
class ZooCommand:
    """The trained agents that come with the package: list them, show a card, or verify the files."""

    action: Annotated[
        Positional[Literal["list", "show", "verify"]],
        arg(
            help="list: one line per agent, with its return and that of the task's scripted expert alone. show: the "
            "whole card. verify: load the weights and compare their digest.",
        ),
    ] = "list"
    name: Annotated[Positional[str | None], optional("NAME", "every agent")] = None
    """Name of the agent."""

    def __call__(self) -> int:
        return run_zoo(self.action, self.name)


def run_zoo(action: str, name: str | None) -> int:
    """List, show or verify. Raises NotFoundError for an unknown agent, CorruptFileError for a damaged one."""
    from rookery.agents import zoo

    if action == "show":
        if name is None:
            raise ConfigError(f"name the agent to show: {', '.join(zoo.entry_names())}")
        print(json.dumps(zoo.entry_card(name), indent=2, ensure_ascii=False))
        return 0
    names = zoo.entry_names() if name is None else [zoo.entry_path(name).stem]
    for entry in names:
        if action == "verify":
            agent = zoo.load_trained_agent(entry)  # raises an error that says what is wrong
            print(f"{entry}: valid, sha256 {agent.card['sha256'][:16]}…")
        else:
            card = zoo.entry_card(entry)
            mean, scripted = (card.get(key, {}).get("mean", math.nan) for key in ("returns", "scripted"))
            print(f"{entry:28} return {mean:6.2f} (scripted {scripted:6.2f})  {card.get('title', '')}")
    return 0
