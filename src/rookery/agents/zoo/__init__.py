"""Trained agents that come with the package: weights and cards, files in this folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rookery.agents.cards import read_card
from rookery.errors import NotFoundError, suggest
from rookery.limits import check_type
from rookery.storage.atomic import is_folder
from rookery.storage.run_files import AGENTS_DIR

if TYPE_CHECKING:
    from rookery.agents.weights import Agent

ZOO_DIR = Path(__file__).parent


def entry_names() -> list[str]:
    """The names of all entries, sorted."""
    return sorted(path.stem for path in ZOO_DIR.glob("*.safetensors"))


def entry_path(name: str) -> Path:
    """Path of an entry's weights. Raises NotFoundError with the nearest names."""
    if name not in entry_names():
        raise NotFoundError(f"the zoo has no {name!r}; {suggest(name, entry_names())}")
    return ZOO_DIR / f"{name}.safetensors"


def check_agent_source(name: str, value: object) -> None:
    """Raises ConfigError for a value that is neither text nor a Path, as those that name agents are."""
    check_type(name, value, (str, os.PathLike), "the name of an agent or the path of a .safetensors file")


def is_agent_path(name: str) -> bool:
    """Whether an agent is named by the path of its file, and not by its name in the zoo."""
    return name.endswith(".safetensors") or "/" in name


def load_trained_agent(checkpoint: str | Path) -> Agent:
    """An agent by zoo name, or by the path of its .safetensors file.

    Raises: NotFoundError, CorruptFileError, IncompatibleError, or ConfigError for what is neither.
    """
    from rookery.agents.weights import load_agent  # imports JAX, which listing the zoo does without

    return load_agent(_agent_path(checkpoint))


def agent_digest(checkpoint: str | Path) -> str:
    """The SHA-256 of an agent's card, which has that of its weights: another one means another agent.

    Raises: as `load_trained_agent`; the weights themselves are not read.
    """
    return read_card(_agent_path(checkpoint).with_suffix(".json"))["card_sha256"]


def _agent_path(checkpoint: str | Path) -> Path:
    """Path of an agent's weights, by zoo name or path. Raises NotFoundError or ConfigError for what is neither."""
    check_agent_source("agent", checkpoint)
    path, checkpoint = Path(checkpoint), str(checkpoint)
    if not is_agent_path(checkpoint):
        return entry_path(checkpoint)
    if is_folder(path / AGENTS_DIR):
        agents = sorted(str(agent) for agent in (path / AGENTS_DIR).glob("*.safetensors"))
        raise NotFoundError(
            f"{checkpoint} is the folder of a run; name one of its agents: {', '.join(agents) or 'none yet'}"
        )
    if path.suffix != ".safetensors":
        raise NotFoundError(f"{checkpoint}: an agent is a .safetensors file or one of: {', '.join(entry_names())}")
    return path


def entry_card(name: str) -> dict[str, Any]:
    """The card of an entry: what it observes, how it was trained, its returns."""
    return read_card(entry_path(name).with_suffix(".json"))
