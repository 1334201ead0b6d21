"""`rookery zoo`: the agents that come with the package."""

from __future__ import annotations

import json

from rookery.agents import zoo
from rookery.errors import ConfigError


def run_zoo(action: str, name: str | None) -> int:
    if action == "show":
        if name is None:
            raise ConfigError(f"name the agent to show: {', '.join(zoo.entry_names())}")
        print(json.dumps(zoo.entry_card(name), indent=2))
        return 0
    chosen = zoo.entry_names() if name is None else [zoo.entry_path(name).stem]
    for entry in chosen:
        if action == "verify":
            agent = zoo.load_trained_agent(entry)  # raises what is wrong
            print(f"{entry}: sound, sha256 {agent.card['sha256'][:16]}…")
        else:
            card = zoo.entry_card(entry)
            earned = card.get("returns", {})
            print(f"{entry:28} return {earned.get('mean', float('nan')):6.2f}  {card.get('title', '')}")
    return 0
