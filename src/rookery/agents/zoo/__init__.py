"""Trained agents that come with the package: weights and cards as files beside this one."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from rookery.agents.weights import Agent, load_agent, read_card
from rookery.errors import NotFoundError

ZOO_DIR = Path(__file__).parent


def entry_names() -> list[str]:
    """Every entry, sorted."""
    return sorted(path.stem for path in ZOO_DIR.glob("*.safetensors"))


def entry_path(name: str) -> Path:
    """Raises MissingError, offering the nearest names."""
    if name not in entry_names():
        near = difflib.get_close_matches(name, entry_names(), 3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise NotFoundError(f"the zoo has no {name!r}; {hint}it has: {', '.join(entry_names()) or 'nothing'}")
    return ZOO_DIR / f"{name}.safetensors"


def load_trained_agent(checkpoint: str) -> Agent:
    """An agent by zoo name, or by the path of its .safetensors file."""
    if checkpoint.endswith(".safetensors") or "/" in checkpoint:
        path = Path(checkpoint)
        if path.suffix != ".safetensors":
            raise NotFoundError(f"{checkpoint}: an agent is a .safetensors file or one of: {', '.join(entry_names())}")
        return load_agent(path)
    return load_agent(entry_path(checkpoint))


def entry_card(name: str) -> dict[str, Any]:
    """An entry's card."""
    return read_card(entry_path(name).with_suffix(".json"))
