"""Trained agents on disk: safetensors next to a JSON card. Never pickle.

`NAME.safetensors` holds the policy's parameters (and no optimizer), `NAME.json` the card: what the agent observes, its
network, how it was trained, its returns, and the SHA-256 of the weights. The network may be any that is registered in
`rookery.plugins.NETWORKS`, also one of another package.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from rookery.agents.cards import CARD_FORMAT, read_card, seal_card
from rookery.agents.communication import CommunicationConfig
from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import CorruptFileError, IncompatibleError, NotFoundError
from rookery.interfaces import Network
from rookery.limits import MAX_INTEGER, MAX_LAYER_SIZE, MAX_WORLD_AGENTS, check_32_bits
from rookery.plugins import NETWORKS
from rookery.storage.atomic import check_path, read_file, storage_error, write_files
from rookery.storage.serialization import from_dict, to_dict
from rookery.types import PRNG_IMPL, PyTree

MAX_NAME_PARTS = 32
"""Of a weight's name: networks are nested less deeply."""


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
    """The inverse of `flatten_params`.

    Raises: ValueError for names that are not a tree: both a and a/b, or more than MAX_NAME_PARTS parts.
    """
    nested: dict[str, Any] = {}
    for name, value in flat.items():
        *path, last = name.split("/")
        if len(path) >= MAX_NAME_PARTS:
            raise ValueError(f"the name of weight {name[:40]}… has {len(path) + 1} parts")
        branch = nested
        for part in path:
            branch = branch.setdefault(part, {})
            if not isinstance(branch, dict):
                raise ValueError(f"weight {name[:200]} is inside another weight")
        if last in branch:
            raise ValueError(f"weight {name[:200]} has other weights inside")
        branch[last] = value
    return nested


def save_agent(path: Path | str, policy: RecurrentPolicy, params: PyTree, card: dict[str, Any]) -> None:
    """Write the weights and the card that has their SHA-256; each file appears whole or not at all.

    A disk that is full leaves an older agent of this name as it was. Only a process that is killed between the last two
    renames leaves new weights with the older card, which `load_agent` refuses.

    Args:
      path: ends in .safetensors; the card is written next to it with .json.
      card: any further entries; network, shapes, format and both SHA-256 are filled in here.
    Raises: StorageError if the disk refuses; ValueError or TypeError for a card that is not valid JSON, before
      anything is written.
    """
    from safetensors.numpy import save

    # Not `np.ascontiguousarray`, which makes an array of one element of a scalar.
    blob = save({name: np.asarray(value, order="C") for name, value in flatten_params(params).items()})
    full = seal_card({
        "format": CARD_FORMAT,
        **card,
        "network": to_dict(policy.network, "network"),
        "observation_shape": list(policy.observation_shape),
        "num_actions": policy.num_actions,
        **({} if policy.epsilon is None else {"epsilon": policy.epsilon}),
        **_communication_fields(policy),
        "sha256": hashlib.sha256(blob).hexdigest(),
    })  # fmt: skip
    text = json.dumps(full, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
    write_files({path: blob, Path(path).with_suffix(".json"): text.encode()})


def load_agent(path: Path | str) -> Agent:
    """Read and check an agent.

    Raises: NotFoundError if a file is missing; CorruptFileError if card or weights are not what was written, or a
      weight is not finite; IncompatibleError if the card's network is not registered or needs other weights;
      StorageError if a file cannot be read.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    check_path(path)
    path = Path(path)
    card = read_card(path.with_suffix(".json"))
    try:
        blob = read_file(path)
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such agent") from None
    except OSError as error:
        raise storage_error("read", path, error) from error
    if hashlib.sha256(blob).hexdigest() != card["sha256"]:
        raise CorruptFileError(
            f"{path}: the weights are not those of its card (sha256 differs); fetch them again, or, if a run wrote "
            "them, resume it"
        )
    try:
        params = unflatten_params(load(blob))
    except (SafetensorError, ValueError, KeyError, TypeError, OverflowError, AttributeError) as error:
        raise CorruptFileError(f"{path}: damaged: not a readable safetensors file ({str(error)[:300]})") from None
    policy, expected = _policy_from_card(card, path)
    # Weight files have no entry for a part of the network without parameters.
    params = {part: {} for part in expected} | params
    _check_fit(flatten_params(expected), params, path)
    _check_finite(params, path)
    return Agent(policy, params, card)


def _policy_from_card(card: dict[str, Any], path: Path) -> tuple[RecurrentPolicy, dict[str, Any]]:
    """The policy, and the parameters that its network needs, as shapes and types."""
    try:
        network_type = NETWORKS.get(card["network"]["kind"])
    except NotFoundError as error:
        raise IncompatibleError(f"{path}: {error}; install the package that has this agent's network") from None
    except (KeyError, TypeError) as error:
        raise CorruptFileError(f"{path}: damaged: the card describes no network ({error!r})") from None
    try:
        _check_card_sizes(card)
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
        policy = RecurrentPolicy(network, shape, num_actions, epsilon, communication, num_agents)
        return policy, _expected_params(policy)
    except (TypeError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        raise CorruptFileError(f"{path}: damaged: the card describes no valid policy ({error})") from None


def _check_card_sizes(card: dict[str, Any]) -> None:
    """Raises ValueError for sizes that no policy has, before anything of that size is made."""
    sizes = [*card["observation_shape"], card["num_actions"], card.get("num_agents", 1)]
    if not all(type(size) is int and size > 0 for size in sizes):
        raise ValueError("observation_shape, num_actions and num_agents must be whole numbers above 0")
    for name, high in (("num_actions", MAX_LAYER_SIZE), ("num_agents", MAX_WORLD_AGENTS)):
        if card.get(name, 1) > high:
            raise ValueError(f"{name} must be at most {high:,}")
    if len(card["observation_shape"]) > 8 or math.prod(card["observation_shape"]) > MAX_INTEGER:
        raise ValueError("observation_shape is too large")
    check_32_bits(card["network"], "network")


def _communication_fields(policy: RecurrentPolicy) -> dict[str, Any]:
    """The card's entries on communication, for an agent that has any."""
    if policy.communication is None or not policy.comms_obs_size:
        return {}
    return {"communication": to_dict(policy.communication, "communication"), "num_agents": policy.num_agents}


@functools.lru_cache(maxsize=64)  # tracing a network takes a tenth of a second, and teams load the same one many times
def _expected_params(policy: RecurrentPolicy) -> dict[str, Any]:
    """The policy's parameters as shapes and types. Nothing is allocated. The result is shared: it is only read."""
    import jax

    if hasattr(jax, "enable_x64"):
        float32_only = jax.enable_x64(False)
    else:  # before JAX 0.8
        from jax.experimental import disable_x64  # type: ignore[attr-defined]

        float32_only = disable_x64()
    # Agents load in JAX's 64-bit mode and with other generators, too.
    with float32_only, jax.default_prng_impl(PRNG_IMPL), jax.legacy_prng_key("allow"):
        return jax.eval_shape(lambda: policy.init(jax.random.PRNGKey(0)))


def _check_fit(expected: dict[str, Any], params: PyTree, path: Path) -> None:
    """Raises IncompatibleError where names, shapes or types of the weights are not those the network needs."""
    present = flatten_params(params)
    for name in sorted(set(expected) | set(present)):
        needs, has = (f"{s[name].dtype}{list(s[name].shape)}" if name in s else "nothing" for s in (expected, present))
        if needs != has:
            raise IncompatibleError(f"{path}: weight {name[:200]} is {has}, the card's network needs {needs}")


def _check_finite(params: PyTree, path: Path) -> None:
    """Raises CorruptFileError for a weight with NaN or infinity: the agent would act, but not as it was trained."""
    for name, value in flatten_params(params).items():
        if not np.isfinite(value).all():
            raise CorruptFileError(
                f"{path}: weight {name} holds NaN or infinity; take an earlier checkpoint of the run that trained it"
            )
