"""Trained agents on disk: safetensors beside a JSON card. Never pickle.

`NAME.safetensors` holds the policy's parameters (and no optimizer), `NAME.json` the card: what the agent sees,
its network, how it was trained, what it earned, and the sha256 of the weights.
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
from rookery.agents.networks import JaquesNetwork, MLPNetwork, NdousseNetwork, NetworkConfig
from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import CorruptFileError, IncompatibleError, NotFoundError
from rookery.types import PyTree

NETWORK_TYPES = {"ndousse2021": NdousseNetwork, "mlp": MLPNetwork, "jaques2019": JaquesNetwork}


@dataclasses.dataclass(frozen=True)
class Agent:
    """A trained agent: its policy (pure functions), its parameters (numpy), and its card."""

    policy: RecurrentPolicy
    params: PyTree
    card: dict[str, Any]


def flatten_params(params: PyTree, prefix: str = "") -> dict[str, Any]:
    """Nested dictionaries to one, keys joined by '/'."""
    if not isinstance(params, dict):
        return {prefix: params}
    flat = {}
    for name, value in params.items():
        flat |= flatten_params(value, f"{prefix}/{name}" if prefix else name)
    return flat


def unflatten_params(flat: dict[str, np.ndarray]) -> PyTree:
    """The inverse of `flatten`."""
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split("/")
        here = nested
        for part in path:
            here = here.setdefault(part, {})
        here[last] = value
    return nested


def save_agent(path: Path, policy: RecurrentPolicy, params: PyTree, card: dict[str, Any]) -> None:
    """Write weights, then the card that vouches for them; each appears whole or not at all.

    Args:
      path: ends in .safetensors; the card stands beside it with .json.
      card: whatever is worth knowing; network, shapes, sha256 and format are filled in here.
    Raises: StorageError if the disk refuses; ValueError or TypeError for a card that is no JSON, before anything
      is written.
    """
    from safetensors.numpy import save

    from rookery.storage.atomic import write_bytes, write_text

    blob = save({name: np.ascontiguousarray(value) for name, value in flatten_params(params).items()})
    full = {
        "format": CARD_FORMAT,
        **card,
        "network": dataclasses.asdict(policy.network),
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

    Raises: MissingError if a file is not there; CorruptError if card or weights are not what was written;
      MisfitError if the weights are not of the network the card names.
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
        sizes = [*card["observation_shape"], card["num_actions"], *(v for k, v in card["network"].items() if k != "kind")]
        if not all(type(size) is int and size > 0 for size in sizes):
            raise ValueError("sizes must be whole numbers above 0")
        network: NetworkConfig = NETWORK_TYPES[card["network"]["kind"]](**card["network"])
        epsilon = card.get("epsilon")
        if epsilon is not None and not (type(epsilon) in (int, float) and 0 <= epsilon <= 1):
            raise ValueError("epsilon must lie in [0, 1]")
        hears = (
            CommunicationConfig(**{**card["communication"], "influencers": tuple(card["communication"]["influencers"])})
            if "communication" in card
            else None
        )
        agents = card.get("num_agents", 1)
        if type(agents) is not int or agents < 1:
            raise ValueError("num_agents must be a whole number above 0")
        return RecurrentPolicy(network, tuple(card["observation_shape"]), card["num_actions"], epsilon, hears, agents)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CorruptFileError(f"{path}: the card describes no network this version knows ({error})") from None


def _communication_fields(policy: RecurrentPolicy) -> dict[str, Any]:
    """What an agent is told beside its view, where it is told anything."""
    if policy.communication is None or not policy.comms_obs_size:
        return {}
    return {"communication": dataclasses.asdict(policy.communication), "num_agents": policy.num_agents}


def _check_fit(policy: RecurrentPolicy, params: PyTree, path: Path) -> None:
    import jax

    wanted = flatten_params(jax.eval_shape(policy.init, jax.ShapeDtypeStruct((2,), np.uint32)), "")
    found = flatten_params(params)
    for name in sorted(set(wanted) | set(found)):
        need, has = (f"{s[name].dtype}{list(s[name].shape)}" if name in s else "nothing" for s in (wanted, found))
        if need != has:
            raise IncompatibleError(f"{path}: weight {name} is {has}, the card's network needs {need}")
