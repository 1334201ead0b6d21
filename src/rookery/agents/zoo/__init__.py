"""Trained agents that come with the package: weights and cards as files beside this one."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from rookery.agents.weights import Agent, load_agent, read_card
from rookery.errors import MissingError

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Every entry, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def path_of(name: str) -> Path:
    """Raises MissingError, offering the nearest names."""
    if name not in names():
        near = difflib.get_close_matches(name, names(), 3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise MissingError(f"the zoo has no {name!r}; {hint}it has: {', '.join(names()) or 'nothing'}")
    return FOLDER / f"{name}.safetensors"


def load(source: str) -> Agent:
    """An agent by zoo name, or by the path of its .safetensors file."""
    if source.endswith(".safetensors") or "/" in source:
        path = Path(source)
        if path.suffix != ".safetensors":
            raise MissingError(f"{source}: an agent is a .safetensors file or one of: {', '.join(names())}")
        return load_agent(path)
    return load_agent(path_of(source))


def card(name: str) -> dict[str, Any]:
    """An entry's card."""
    return read_card(path_of(name).with_suffix(".json"))
