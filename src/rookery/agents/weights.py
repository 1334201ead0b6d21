"""Trained agents on disk: safetensors next to a JSON card. Never pickle.

`NAME.safetensors` holds the policy's parameters (and no optimizer), `NAME.json` the card: what the agent observes, its
network, how it was trained, its returns, and the SHA-256 of the weights. The network may be any that is registered in
`rookery.plugins.NETWORKS`, also one of another package.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from rookery.agents.cards import CARD_FORMAT, read_card
from rookery.agents.communication import CommunicationConfig
from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import CorruptFileError, IncompatibleError, NotFoundError
from rookery.interfaces import Network
from rookery.plugins import NETWORKS
from rookery.storage.atomic import write_bytes, write_text
from rookery.storage.serialization import from_dict, to_dict
from rookery.types import PyTree


@dataclasses.dataclass(frozen=True)
class Agent:
    """A trained agent: its policy (pure functions), its parameters (numpy), and its card."""

    policy: RecurrentPolicy
    params: PyTree
    card: dict[str, Any]


def flatten_params(params: PyTree, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries as one, keys joined by '/'."""
    if not isinstance(params, dict):
        return {prefix: params}
    flat = {}
    for name, value in params.items():
        flat |= flatten_params(value, f"{prefix}/{name}" if prefix else name)
    return flat


def unflatten_params(flat: dict[str, np.ndarray]) -> PyTree:
    """The inverse of `flatten_params`."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split("/")
        branch = nested
        for part in path:
            branch = branch.setdefault(part, {})
        branch[last] = value
    return nested


def save_agent(path: Path, policy: RecurrentPolicy, params: PyTree, card: dict[str, Any]) -> None:
    """Write the weights, then the card that has their SHA-256; each file appears whole or not at all.

    Args:
      path: ends in .safetensors; the card is written next to it with .json.
      card: any further entries; network, shapes, sha256 and format are filled in here.
    Raises: StorageError if the disk refuses; ValueError or TypeError for a card that is not valid JSON, before
      anything is written.
    """
    from safetensors.numpy import save

    blob = save({name: np.ascontiguousarray(value) for name, value in flatten_params(params).items()})
    full = {
        "format": CARD_FORMAT,
        **card,
        "network": to_dict(policy.network, "network"),
        "observation_shape": list(policy.observation_shape),
        "num_actions": policy.num_actions,
        **({} if policy.epsilon is None else {"epsilon": policy.epsilon}),
        **_communication_fields(policy),
        "sha256": hashlib.sha256(blob).hexdigest(),
    }
    text = json.dumps(full, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_bytes(path, blob)
    write_text(path.with_suffix(".json"), text)


def load_agent(path: Path) -> Agent:
    """Read and check an agent.

    Raises: NotFoundError if a file is missing; CorruptFileError if card or weights are not what was written;
      IncompatibleError if the card's network is not registered or needs other weights.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    card = read_card(path.with_suffix(".json"))
    try:
        blob = path.read_bytes()
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such agent") from None
    if hashlib.sha256(blob).hexdigest() != card["sha256"]:
        raise CorruptFileError(
            f"{path}: the weights are not those of its card (sha256 differs); fetch them again, or, if a run wrote "
            "them, resume it"
        )
    try:
        params = unflatten_params(load(blob))
    except (SafetensorError, ValueError, KeyError) as error:
        raise CorruptFileError(f"{path}: not a readable safetensors file ({error})") from None
    policy = _policy_from_card(card, path)
    _check_fit(policy, params, path)
    return Agent(policy, params, card)


def _policy_from_card(card: dict[str, Any], path: Path) -> RecurrentPolicy:
    try:
        network_type = NETWORKS.get(card["network"]["kind"])
    except NotFoundError as error:
        raise IncompatibleError(f"{path}: {error}; install the package that has this agent's network") from None
    except (KeyError, TypeError) as error:
        raise CorruptFileError(f"{path}: the card describes no network ({error!r})") from None
    try:
        _check_sizes([*card["observation_shape"], card["num_actions"], card.get("num_agents", 1)])
        network: Network = from_dict(network_type, card["network"], "network")
        epsilon = card.get("epsilon")
        if epsilon is not None and not (type(epsilon) in (int, float) and 0 <= epsilon <= 1):
            raise ValueError("epsilon must lie in [0, 1]")
        communication = (
            from_dict(CommunicationConfig, card["communication"], "communication") if "communication" in card else None
        )
        shape, num_actions, num_agents = (
            tuple(card["observation_shape"]),
            card["num_actions"],
            card.get("num_agents", 1),
        )
        return RecurrentPolicy(network, shape, num_actions, epsilon, communication, num_agents)
    except (TypeError, ValueError) as error:
        raise CorruptFileError(f"{path}: the card describes no valid policy ({error})") from None


def _check_sizes(sizes: list[Any]) -> None:
    if not all(type(size) is int and size > 0 for size in sizes):
        raise ValueError("observation_shape, num_actions and num_agents must be whole numbers above 0")


def _communication_fields(policy: RecurrentPolicy) -> dict[str, Any]:
    """The card's entries on communication, for an agent that has any."""
    if policy.communication is None or not policy.comms_obs_size:
        return {}
    return {"communication": to_dict(policy.communication, "communication"), "num_agents": policy.num_agents}


def _check_fit(policy: RecurrentPolicy, params: PyTree, path: Path) -> None:
    """Raises IncompatibleError where names, shapes or types of the weights are not those the network needs."""
    import jax

    expected = flatten_params(jax.eval_shape(policy.init, jax.ShapeDtypeStruct((2,), np.uint32)), "")
    present = flatten_params(params)
    for name in sorted(set(expected) | set(present)):
        needs, has = (f"{s[name].dtype}{list(s[name].shape)}" if name in s else "nothing" for s in (expected, present))
        if needs != has:
            raise IncompatibleError(f"{path}: weight {name} is {has}, the card's network needs {needs}")
