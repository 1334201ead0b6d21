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
from rookery.nn.cells import reset_state
from rookery.nn.modules import apply_module, init_module
from rookery.plugins import NETWORKS, unhashable_field
from rookery.storage.serialization import from_dict, to_dict
from rookery.testing.conformance import (
    ConformanceError,
    failures_named,
    require,
    require_close,
    require_equal_trees,
    require_instance,
    require_same_when_compiled_again,
)
from rookery.types import PyTree

SHAPES = ((7, 7, 8), (21, 21, 3), (15, 15, 3), (5,))
"""Observation shapes to try if none is given; the first that the network takes."""

STEPS, AGENTS = 4, 3
"""Of the sequences that are tried."""

_ONE = slice(1, 2)
"""The agent whose numbers must be the same without the others."""

_ALONE = "the numbers of one agent must not depend on the others of the batch"


def check_network(network: Network, observation_shape: tuple[int, ...] | None = None, num_actions: int = 3) -> None:
    """Check a network against the contract of `rookery.interfaces.Network`. Takes seconds.

    Args:
      observation_shape: of one observation; None: the first of some common shapes that the network takes.
    Raises: ConformanceError, which names the method and what is wrong.
    """
    name = type(network).__name__
    with failures_named(network):
        _check_configuration(network, name)
        shape = observation_shape or _accepted_shape(network, name)
        communication = CommunicationConfig(influencers=(1,))
        policy = RecurrentPolicy(network, shape, num_actions, communication=communication, num_agents=2)
        try:
            _check_policy_of(network, policy, name)
        except ConfigError as error:  # the policy refuses what the network's methods return
            raise ConformanceError(str(error)) from error


def _check_policy_of(network: Network, policy: RecurrentPolicy, name: str) -> None:
    shape, num_actions = policy.observation_shape, policy.num_actions
    params = _random_params(policy, name)
    random = np.random.default_rng(0)
    observation = random.integers(0, 256, (STEPS, AGENTS, *shape)).astype(np.uint8)
    comms_obs = random.integers(0, 2, (STEPS, AGENTS, policy.comms_obs_size)).astype(np.uint8)
    pairs = _Pairs()

    @jax.jit
    def compute(params, observation, comms_obs):
        features = _check_encoder(pairs, policy, params["encoder"], observation[0], name)
        hidden = _check_cell(pairs, policy, params["memory"], features)
        _check_heads(pairs, network, params["heads"], hidden, num_actions, name)
        _check_decoder(pairs, network, hidden, shape, num_actions, name)
        acted, grads = _check_policy(pairs, policy, params, observation, comms_obs, name)
        return pairs.arrays, acted, grads

    arrays, acted, grads = jax.device_get(compute(params, observation, comms_obs))
    pairs.compare(arrays)
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        valid = bool(np.isfinite(leaf).all()) and bool(leaf.any())
        require(valid, name, f"the gradient of parameter {jax.tree_util.keystr(path)} is zero or not finite")
    _check_saved(policy, params, observation, comms_obs, acted, name)


class _Pairs:
    """Pairs of arrays that must be equal, collected while one compiled function is traced, compared after it ran."""

    def __init__(self) -> None:
        self.labels: list[tuple[str, str]] = []
        self.arrays: list[tuple[Any, Any]] = []

    def add(self, first: PyTree, second: PyTree, method: str, message: str) -> None:
        """Two PyTrees of arrays that must agree."""
        leaves = jax.tree.leaves(first), jax.tree.leaves(second)
        require([x.shape for x in leaves[0]] == [x.shape for x in leaves[1]], method, f"{message} (shapes differ)")
        for pair in zip(*leaves, strict=True):
            self.labels.append((method, message))
            self.arrays.append(pair)

    def compare(self, arrays: list[tuple[np.ndarray, np.ndarray]]) -> None:
        for (method, message), (first, second) in zip(self.labels, arrays, strict=True):
            require_close(first, second, method, message)


def _check_configuration(network: Network, name: str) -> None:
    """It is a frozen dataclass that JSON can hold, and registered."""
    require_instance(network, Network)
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
    unhashable = unhashable_field(network)
    require(unhashable is None, f"{name}.{unhashable}", "has no hash; use a tuple, of pairs instead of a dictionary")
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
    """Parameters as the network initializes them, plus noise, so that no bias is zero. Numpy."""
    key, same = jax.random.PRNGKey(0), "two calls of init with one key must agree"
    lowered = (jax.jit(lambda key: policy.init(key)).lower(key), jax.jit(lambda key: policy.init(key)).lower(key))
    init = lowered[0].compile()
    params = jax.device_get(init(key))
    require_equal_trees(params, init(key), name, same)
    require_same_when_compiled_again(lowered, (key,), params, name, same)
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        where = f"{name}, parameter {jax.tree_util.keystr(path)}"
        require(leaf.dtype == np.float32, where, f"is {leaf.dtype}; all parameters must be float32")
    random = np.random.default_rng(1)
    return jax.tree.map(lambda x: (x + 0.1 * random.standard_normal(x.shape)).astype(np.float32), params)


def _check_encoder(
    pairs: _Pairs, policy: RecurrentPolicy, params: PyTree, observation: jax.Array, name: str
) -> jax.Array:
    method, network = f"{name}.encoder", policy.network
    features = apply_module(network.encoder(), params, observation)
    single = apply_module(network.encoder(), params, observation[_ONE])
    pairs.add(features[_ONE], single, method, "features of one observation must not depend on the others")
    shared = policy.shared_features(params, observation)
    composed = network.features_from_shared(params, shared)
    pairs.add(composed, features, f"{name}.features_from_shared", "must turn shared_features into the features")
    return features


def _check_cell(pairs: _Pairs, policy: RecurrentPolicy, params: PyTree, features: jax.Array) -> jax.Array:
    """The cell on a sequence of T steps of N agents. Returns its outputs [T, N, M]."""
    cell, size, count = policy.cell, policy.network.hidden_size, len(features)
    method, never = type(cell).__name__, jnp.zeros((1, count), bool)
    inputs = jax.random.normal(jax.random.PRNGKey(2), (STEPS, count, features.shape[-1] + policy.comms_obs_size))
    is_first = jnp.zeros((STEPS, count), bool).at[0, 0].set(True).at[STEPS - 1, 1].set(True)
    blank = policy.initial_carry(count)
    for leaf in jax.tree.leaves(blank):
        pairs.add(leaf, jnp.zeros_like(leaf), f"{method}.initial_state", "must be all zeros")
    start = jax.tree.map(lambda x: x + 0.3, blank)
    last, outputs, pre_step = apply_module(cell, params, start, inputs, is_first)
    method = f"{method}.__call__"
    _require_array(outputs, (STEPS, count, size), method, "outputs")
    single = apply_module(cell, params, _one_agent(start), inputs[:, _ONE], is_first[:, _ONE])[1]
    pairs.add(outputs[:, _ONE], single, method, _ALONE)
    state = start
    for t in range(STEPS):
        expected = reset_state(state, is_first[t])
        pairs.add(
            jax.tree.map(lambda x, t=t: x[t], pre_step),
            expected,
            method,
            "must return the states before each step, after the reset",
        )
        state, output, _ = apply_module(cell, params, expected, inputs[t : t + 1], never)
        pairs.add(output[0], outputs[t], method, "steps one by one must equal the whole sequence")
        pairs.add(state.hidden, outputs[t], method, "the output must be the state's `hidden`")
    pairs.add(state, last, method, "must return the state after the last step")
    begin, num_values = 1, min(3, inputs.shape[-1] - 1)
    method = f"{type(cell).__name__}.counterfactual_outputs"
    results = cell.counterfactual_outputs(params, start, inputs[0], begin, num_values, lambda hidden: 2 * hidden)
    for value in range(num_values):
        changed = inputs[:1].at[..., begin : begin + num_values].set(jax.nn.one_hot(value, num_values))
        _, plain, _ = apply_module(cell, params, start, changed, never)
        pairs.add(results[value], 2 * plain[0], method, "must equal steps with each value in turn")
    return outputs


def _check_heads(
    pairs: _Pairs, network: Network, params: PyTree, hidden: jax.Array, num_actions: int, name: str
) -> None:
    heads, method = network.heads(num_actions), f"{name}.heads"
    logits, value = apply_module(heads, params, hidden)
    _require_array(logits, (*hidden.shape[:-1], num_actions), method, "logits")
    _require_array(value, hidden.shape[:-1], method, "values")
    step = apply_module(heads, params, hidden[0])
    pairs.add((logits[0], value[0]), step, method, "must take any number of leading axes")
    single = apply_module(heads, params, hidden[:, _ONE])
    pairs.add((logits[:, _ONE], value[:, _ONE]), single, method, _ALONE)


def _check_decoder(
    pairs: _Pairs, network: Network, hidden: jax.Array, shape: tuple[int, ...], num_actions: int, name: str
) -> None:
    decoder, count = network.decoder(shape, num_actions), hidden.shape[1]
    arguments, method = (hidden[0], jnp.zeros((count, num_actions))), f"{name}.decoder"
    # Any parameters will do; those of `init` would take long to compile.
    shapes = jax.eval_shape(lambda: init_module(decoder, jax.random.PRNGKey(3), *arguments))
    params = jax.tree.map(lambda x: jnp.cos(jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape) / 4, shapes)
    decoded = apply_module(decoder, params, *arguments)
    _require_array(decoded, (count, *shape), method, "predicted observations")
    single = apply_module(decoder, params, *(x[_ONE] for x in arguments))
    pairs.add(decoded[_ONE], single, method, _ALONE)


def _one_agent(state: PyTree) -> PyTree:
    """The recurrent state of one agent of a batch."""
    return jax.tree.map(lambda x: x[_ONE], state)


def _check_policy(
    pairs: _Pairs, policy: RecurrentPolicy, params: PyTree, observation: jax.Array, comms_obs: jax.Array, name: str
) -> tuple[Any, PyTree]:
    """Reading a sequence equals acting step by step. Returns logits and values [T, N], and gradients."""
    blank = policy.initial_carry(AGENTS)
    is_first = jnp.zeros((STEPS, AGENTS), bool).at[0].set(True).at[STEPS - 1, 1].set(True)

    def step(carry, scanned):
        logits, value, after = policy.forward(params, carry, *scanned)
        return after, (logits, value)

    _, acted = jax.lax.scan(step, blank, (observation, is_first, comms_obs))

    def loss(params):
        logits, value, _, _ = policy.unroll(params, blank, observation, is_first, comms_obs)
        return jnp.square(logits).sum() + jnp.square(value).sum(), (logits, value)

    grads, unrolled = jax.grad(loss, has_aux=True)(params)
    pairs.add(acted, unrolled, name, "acting step by step must equal reading a sequence")
    of_one = (_one_agent(blank), *(x[:, _ONE] for x in (observation, is_first, comms_obs)))
    single = policy.unroll(params, *of_one)[:2]
    pairs.add(tuple(x[:, _ONE] for x in unrolled), single, name, _ALONE)
    return acted, grads


def _check_saved(
    policy: RecurrentPolicy, params: PyTree, observation: np.ndarray, comms_obs: np.ndarray, acted: Any, name: str
) -> None:
    """An agent is saved, loaded, and acts in numpy as its policy does."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent.safetensors"
        save_agent(path, policy, params, {})
        agent = load_agent(path)
    require(agent.policy == policy, name, "an agent that was saved and loaded has another policy")
    require_equal_trees(agent.params, params, name, "an agent that was saved and loaded has other parameters")
    actor, state = NumpyActor(agent), None
    for t in range(STEPS):
        is_first = np.array([t == 0 or (t, agent) == (STEPS - 1, 1) for agent in range(AGENTS)])
        logits, value, state = actor.forward(observation[t], state, is_first=is_first, comms_obs=comms_obs[t])
        for ours, expected in ((logits, acted[0][t]), (value, acted[1][t])):
            require_close(ours, expected, f"{name}.numpy_forward", "must equal the JAX functions")


def _require_array(array: Any, shape: tuple[int | None, ...], method: str, what: str) -> None:
    """It is f32 of this shape, None being any size."""
    fits = array.ndim == len(shape) and all(b in (None, a) for a, b in zip(array.shape, shape, strict=True))
    wanted = ", ".join("any size" if size is None else str(size) for size in shape)
    require(fits, method, f"{what} have shape {array.shape}, must be ({wanted})")
    require(array.dtype == jnp.float32, method, f"{what} are {array.dtype}, must be float32")
