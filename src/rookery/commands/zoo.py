"""`rookery zoo`: the trained agents that come with the package."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from rookery.commands.lists import list_agents, show_card
from rookery.commands.options import Json, optional
from rookery.commands.output import print_json


@dataclasses.dataclass
class ZooCommand:
    """The trained agents that come with the package: list them, show a card, or verify the files."""

    action: Annotated[
        Positional[Literal["list", "show", "verify"]],
        arg(
            help="list: one line per agent, with its return as a fraction of that of its task's scripted expert alone. "
            "show: the whole card. verify: load the weights and compare their digest.",
        ),
    ] = "list"
    name: Annotated[Positional[str | None], optional("NAME", "every agent")] = None
    """Name of the agent."""
    json: Json = False

    def __call__(self) -> int:
        if self.action == "list" and self.name is None:
            return list_agents(self.json)
        return verify_agents(self.name, self.json) if self.action == "verify" else show_card(self.name, self.json)


def verify_agents(name: str | None, as_json: bool = False) -> int:
    """Load one agent or all. Returns 0. Raises NotFoundError or, for a damaged one, CorruptFileError."""
    from rookery.agents import zoo

    for entry in zoo.entry_names() if name is None else [zoo.entry_path(name).stem]:
        agent = zoo.load_trained_agent(entry)  # raises an error that says what is wrong
        if as_json:
            print_json({"agent": entry, "valid": True, "sha256": agent.card["sha256"]})
        else:
            print(f"{entry}: valid, sha256 {agent.card['sha256'][:16]}…")
    return 0
