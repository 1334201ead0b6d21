"""Conformance check for networks of recurrent policies."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rookery.agents.communication import CommunicationConfig
from rookery.agents.numpy_actor import NumpyActor
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.weights import load_agent, save_agent
from rookery.errors import ConfigError, NotFoundError, RookeryError
from rookery.interfaces import Network
from rookery.nn.cells import RecurrentCell
from rookery.nn.modules import apply_module
from rookery.plugins import NETWORKS
from rookery.storage.serialization import from_dict, to_dict
from rookery.testing.conformance import require, require_equal_trees
from rookery.types import PyTree

SHAPES = ((7, 7, 8), (21, 21, 3), (15, 15, 3), (5,))
"""Observation shapes to try if none is given; the first that the network takes."""

TOLERANCE = 1e-4
"""Allowed difference of two ways to compute the same numbers, relative to the largest of them."""


def check_network(network: Network, observation_shape: tuple[int, ...] | None = None, num_actions: int = 3) -> None:
    """Check a network against the contract of `rookery.interfaces.Network`. Takes seconds.

    Args:
      observation_shape: of one observation; None: the first of some common shapes that the network takes.
    Raises: ConformanceError, which names the method and what is wrong.
    """
    name = type(network).__name__
    _check_configuration(network, name)
    shape = observation_shape or _accepted_shape(network, name)
    communication = CommunicationConfig(influencers=(1,))
    policy = RecurrentPolicy(network, shape, num_actions, communication=communication, num_agents=2)
    params = _random_params(policy, name)
    observation = jnp.asarray(np.random.default_rng(0).integers(0, 256, (4, 3, *shape)), jnp.uint8)  # [T, N, ...]
    features = _check_encoder(network, params["encoder"], observation[0], name)
    hidden = _check_cell(network, params["memory"], features, policy.comms_obs_size, name)
    _check_heads(network, params["heads"], hidden, num_actions, name)
    _check_decoder(network, hidden, shape, num_actions, name)
    _check_policy(policy, params, observation, name)
    _check_saved(policy, params, observation, name)


def _check_configuration(network: Network, name: str) -> None:
    """It is a frozen dataclass that JSON can hold, and registered."""
    require(isinstance(network, Network), name, "must derive from rookery.interfaces.Network")
    is_frozen = dataclasses.is_dataclass(network) and type(network).__dataclass_params__.frozen  # type: ignore[attr-defined]
    require(is_frozen, name, "must be a dataclass with frozen=True")
    require(isinstance(getattr(network, "kind", None), str), f"{name}.kind", 'must be a field `kind: Literal["..."]`')
    try:
        registered: Any = NETWORKS.get(network.kind)
    except NotFoundError:
        registered = None
    require(
        registered is type(network),
        f"{name}.kind",
        f"{network.kind!r} must be registered, with rookery.plugins.NETWORKS.register or an entry point of the group "
        "rookery.networks; agents could not be loaded otherwise",
    )
    size, chunk = getattr(network, "hidden_size", None), network.cpu_chunk_size
    require(type(size) is int and size > 0, f"{name}.hidden_size", f"is {size}, must be a whole number above 0")
    valid_chunk = chunk is None or (type(chunk) is int and chunk > 0)
    require(valid_chunk, f"{name}.cpu_chunk_size", f"is {chunk}, must be None or a whole number above 0")
    try:
        restored = from_dict(type(network), to_dict(network, "network"), "network")
    except (RookeryError, TypeError) as error:
        require(False, name, f"cannot be saved as JSON and restored: {error}")
        raise
    require(restored == network, name, "restored from JSON, is not equal to itself")


def _accepted_shape(network: Network, name: str) -> tuple[int, ...]:
    refusals = []
    for shape in SHAPES:
        try:
            network.validate(shape)
            return shape
        except ConfigError as error:
            refusals.append(str(error))
    require(False, f"{name}.validate", f"refuses all of {SHAPES}; pass observation_shape. {refusals[0]}")
    raise AssertionError


def _random_params(policy: RecurrentPolicy, name: str) -> PyTree:
    """Parameters as the network initializes them, but with every zero (a bias, say) made random."""
    params = policy.init(jax.random.PRNGKey(0))
    require_equal_trees(params, policy.init(jax.random.PRNGKey(0)), name, "two calls of init with one key must agree")
    leaves, structure = jax.tree.flatten(params)
    for leaf in leaves:
        require(leaf.dtype == jnp.float32, name, f"has a parameter of type {leaf.dtype}; all must be float32")
    keys = jax.random.split(jax.random.PRNGKey(1), len(leaves))
    noisy = [x + 0.1 * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(structure, noisy)


def _check_encoder(network: Network, params: PyTree, observation: jax.Array, name: str) -> jax.Array:
    method, count = f"{name}.encoder", len(observation)
    features = apply_module(network.encoder(), params, observation)
    _require_array(features, (count, None), method, "features")
    single = apply_module(network.encoder(), params, observation[1:2])
    _require_close(features[1:2], single, method, "features of one observation must not depend on the others")
    shared = network.shared_features(params, observation)
    require(len(shared) == count, f"{name}.shared_features", f"must lead with {count}, has shape {shared.shape}")
    composed = network.features_from_shared(params, shared)
    _require_close(composed, features, f"{name}.features_from_shared", "must turn shared_features into the features")
    return features


def _check_cell(network: Network, params: PyTree, features: jax.Array, comms_obs_size: int, name: str) -> jax.Array:
    """The cell on a sequence of T steps, N agents. Returns its outputs [T, N, M]."""
    cell, size = network.recurrent_cell(), network.hidden_size
    method = f"{name}.recurrent_cell"
    require(isinstance(cell, RecurrentCell), method, "must return a rookery.nn.cells.RecurrentCell")
    require(cell.features == size, method, f"its features={cell.features} must be hidden_size={size}")
    steps, count, method = 5, len(features), type(cell).__name__
    inputs = jax.random.normal(jax.random.PRNGKey(2), (steps, count, features.shape[-1] + comms_obs_size))
    is_first = jnp.zeros((steps, count), bool).at[0, 0].set(True).at[3, 1].set(True)
    blank = cell.initial_state(count)
    for leaf in jax.tree.leaves(blank):
        require(leaf.ndim == 2 and len(leaf) == count, f"{method}.initial_state", "arrays must be [N, any size]")
        require(not leaf.any(), f"{method}.initial_state", "must be all zeros")
    require(
        hasattr(blank, "_fields") and hasattr(blank, "hidden"), method, "its state must be a NamedTuple with `hidden`"
    )
    start = jax.tree.map(lambda x: x + 0.3, blank)
    last, outputs, pre_step = apply_module(cell, params, start, inputs, is_first)
    _require_array(outputs, (steps, count, size), f"{method}.__call__", "outputs")
    state = start
    for t in range(steps):
        expected = jax.tree.map(lambda x, t=t: x * ~is_first[t][:, None], state)
        _require_close(jax.tree.map(lambda x, t=t: x[t], pre_step), expected, f"{method}.__call__", "pre-step states")
        state, output, _ = apply_module(cell, params, expected, inputs[t : t + 1], jnp.zeros((1, count), bool))
        _require_close(output[0], outputs[t], f"{method}.__call__", "steps one by one must equal the whole sequence")
        _require_close(state.hidden, outputs[t], f"{method}.__call__", "the output must be the state's `hidden`")
    _require_close(state, last, f"{method}.__call__", "the last state must be that after the last step")
    _check_counterfactuals(cell, params, start, inputs[0], method)
    after = cell.numpy_step(*jax.device_get((params, start, inputs[1])))
    never = jnp.zeros((1, count), bool)
    expected = apply_module(cell, params, start, inputs[1:2], never)[0]
    _require_close(after, expected, f"{method}.numpy_step", "must equal a step of __call__")
    return outputs


def _check_counterfactuals(cell: RecurrentCell, params: PyTree, state: Any, inputs: jax.Array, method: str) -> None:
    """Outputs for each value of a one-hot part equal steps with that value."""
    begin, num_values = 1, min(3, inputs.shape[-1] - 1)
    outputs = cell.counterfactual_outputs(params, state, inputs, begin, num_values, lambda hidden: 2 * hidden)
    for value in range(num_values):
        changed = inputs.at[:, begin : begin + num_values].set(jax.nn.one_hot(value, num_values))
        _, plain, _ = apply_module(cell, params, state, changed[None], jnp.zeros((1, len(inputs)), bool))
        _require_close(
            outputs[value], 2 * plain[0], f"{method}.counterfactual_outputs", "must equal steps that are run"
        )


def _check_heads(network: Network, params: PyTree, hidden: jax.Array, num_actions: int, name: str) -> None:
    heads, method = network.heads(num_actions), f"{name}.heads"
    logits, value = apply_module(heads, params, hidden)
    _require_array(logits, (*hidden.shape[:-1], num_actions), method, "logits")
    _require_array(value, hidden.shape[:-1], method, "values")
    _require_close(
        (logits[0], value[0]), apply_module(heads, params, hidden[0]), method, "must not depend on the leading axes"
    )


def _check_decoder(network: Network, hidden: jax.Array, shape: tuple[int, ...], num_actions: int, name: str) -> None:
    decoder, action = network.decoder(shape, num_actions), jax.nn.one_hot(jnp.zeros(hidden.shape[1], int), num_actions)
    decoded, _ = decoder.init_with_output(jax.random.PRNGKey(3), hidden[0], action)
    _require_array(decoded, (hidden.shape[1], *shape), f"{name}.decoder", "predicted observations")


def _check_policy(policy: RecurrentPolicy, params: PyTree, observation: jax.Array, name: str) -> None:
    """It has gradients, and reads sequences as it acts."""
    steps, count = observation.shape[:2]
    is_first, carry = jnp.zeros((steps, count), bool).at[0].set(True), policy.initial_carry(count)
    comms_obs = jnp.zeros((steps, count, policy.comms_obs_size), jnp.uint8)
    logits, value, _, _ = policy.unroll(params, carry, observation, is_first, comms_obs)
    for t in range(steps):
        acted = policy.forward(params, carry, observation[t], is_first[t], comms_obs[t])
        _require_close(acted[:2], (logits[t], value[t]), name, "acting step by step must equal reading a sequence")
        carry = acted[2]

    def loss(params):
        logits, value, _, _ = policy.unroll(params, policy.initial_carry(count), observation, is_first, comms_obs)
        return jnp.square(logits).sum() + jnp.square(value).sum()

    grads = jax.grad(loss)(params)
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        valid = bool(jnp.isfinite(leaf).all()) and bool(leaf.any())
        require(valid, name, f"the gradient of parameter {jax.tree_util.keystr(path)} is zero or not finite")


def _check_saved(policy: RecurrentPolicy, params: PyTree, observation: jax.Array, name: str) -> None:
    """An agent is saved, loaded, and acts in numpy as its policy does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent.safetensors"
        save_agent(path, policy, jax.device_get(params), {})
        agent = load_agent(path)
    require(agent.policy == policy, name, "an agent that was saved and loaded has another policy")
    require_equal_trees(agent.params, params, name, "an agent that was saved and loaded has other parameters")
    actor, count = NumpyActor(agent), observation.shape[1]
    state, carry = actor.initial_state(count), policy.initial_carry(count)
    comms_obs = np.eye(policy.comms_obs_size, dtype=np.uint8)[np.arange(count) % policy.comms_obs_size]
    for t in range(len(observation)):
        is_first = np.arange(count) == t
        logits, value, state = actor.forward(np.asarray(observation[t]), state, is_first=is_first, comms_obs=comms_obs)
        expected = policy.forward(params, carry, observation[t], jnp.asarray(is_first), jnp.asarray(comms_obs))
        _require_close((logits, value), expected[:2], f"{name}.numpy_forward", "must equal the JAX functions")
        carry = expected[2]


def _require_array(array: Any, shape: tuple[int | None, ...], method: str, what: str) -> None:
    """It is f32 of this shape, None being any size, and finite."""
    fits = array.ndim == len(shape) and all(b in (None, a) for a, b in zip(array.shape, shape, strict=True))
    wanted = ", ".join("any size" if size is None else str(size) for size in shape)
    require(fits, method, f"{what} have shape {array.shape}, must be ({wanted})")
    require(array.dtype == jnp.float32, method, f"{what} are {array.dtype}, must be float32")
    require(bool(jnp.isfinite(array).all()), method, f"{what} are not finite")


def _require_close(first: PyTree, second: PyTree, method: str, message: str) -> None:
    first, second = jax.device_get((tuple(jax.tree.leaves(first)), tuple(jax.tree.leaves(second))))
    require(len(first) == len(second), method, message)
    for a, b in zip(first, second, strict=True):
        require(np.shape(a) == np.shape(b), method, f"{message} (shapes {np.shape(a)} and {np.shape(b)})")
        difference, scale = np.abs(a - b).max(initial=0.0), max(1.0, float(np.abs(b).max(initial=0.0)))
        require(difference <= TOLERANCE * scale, method, f"{message} (they differ by {difference:.2g})")
