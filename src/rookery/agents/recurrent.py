"""A policy with memory: encoder, recurrent cell and heads; acts step by step or reads whole trajectories.

Letters in shapes: T steps, N or B agents, H entries of the communication observation, F features, M outputs of the
recurrent cell, A actions, K values of a one-hot part of the input, V messages.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery import keys
from rookery.agents.communication import CommunicationConfig
from rookery.errors import ConfigError
from rookery.extension_errors import (
    EXTENSION_REMEDY,
    check_result_shape,
    check_same_types,
    check_trainable,
    checked_instance,
    method_name,
)
from rookery.gridworld.shown_agents import ChannelLayout, channel_layout
from rookery.interfaces import Network, Policy
from rookery.nn.cells import CellState, RecurrentCell, reset_state
from rookery.nn.modules import DecoderActivation, apply_module, init_module
from rookery.types import PRNGKey, PyTree


@dataclasses.dataclass(frozen=True)
class RecurrentPolicy(Policy):
    """Pure functions of one agent's parameters, for N agents with those same parameters.

    Where a method of the network returns anything but what its base class says, they raise a ConfigError that names it.
    """

    network: Network
    observation_shape: tuple[int, ...] = dataclasses.field()  # required: the base class's None is not its default
    num_actions: int
    epsilon: float | None = None
    """None: actions are sampled with the probabilities of the logits. A number: the action with the largest logit is
    taken, but with probability `epsilon` a random one, for agents whose logits are action values."""
    communication: CommunicationConfig | None = None
    num_agents: int = 1
    """Agents in the environment, this one included; needed for communication and models of other agents."""
    observation_type: Literal["pixels", "symbolic", "objects"] | None = None
    """What the numbers of an observation mean, as the environment says (`Env.observation_type`); None: not known."""

    def __post_init__(self) -> None:
        self.network.validate(self.observation_shape)

    @property
    def cell(self) -> RecurrentCell:
        """The recurrent cell."""
        cell = checked_instance(self.network, "recurrent_cell", self.network.recurrent_cell(), RecurrentCell)
        if cell.features != self.network.hidden_size:
            raise ConfigError(
                f"{method_name(self.network, 'recurrent_cell')}: features={cell.features} must be "
                f"hidden_size={self.network.hidden_size}; {EXTENSION_REMEDY}"
            )
        return cell

    @property
    def encoder(self) -> nn.Module:
        """The module that makes features of observations."""
        return checked_instance(self.network, "encoder", self.network.encoder(), nn.Module)

    def _heads(self, num_outputs: int) -> nn.Module:
        """The module that makes logits and values of the cell's outputs."""
        return checked_instance(self.network, "heads", self.network.heads(num_outputs), nn.Module)

    def decoder(self, activation: DecoderActivation) -> nn.Module:
        """The module that predicts observations, for auxiliary losses."""
        decoder = self.network.decoder(self.observation_shape, self.num_actions, activation)
        return checked_instance(self.network, "decoder", decoder, nn.Module)

    @property
    def channel_layout(self) -> ChannelLayout | None:
        """What the channels of the gridworld's symbolic observations mean; None for all other observations."""
        return channel_layout(self.observation_type)

    @property
    def comms_obs_size(self) -> int:
        """Size H of the communication observation."""
        return self.communication.size(self.num_agents, self.num_actions) if self.communication else 0

    @property
    def vocab_size(self) -> int:
        """How many different messages the agent can send; 0: it sends none."""
        return self.communication.vocab_size if self.communication else 0

    @property
    def cpu_chunk_size(self) -> int | None:
        """Observations to read at once where a CPU's caches matter; None elsewhere."""
        return self.network.cpu_chunk_size if jax.default_backend() == "cpu" else None

    def init(self, key: PRNGKey) -> PyTree:
        """Fresh parameters: {'encoder', 'memory', 'heads'}, and 'message_head' if the agent sends messages."""
        encoder_key, memory_key, heads_key = jax.random.split(key, 3)
        blank = jnp.zeros((1, *self.observation_shape), jnp.uint8)
        encoder = init_module(self.encoder, encoder_key, blank)
        features = self._encode(encoder, blank)
        features = jnp.concatenate([features, jnp.zeros((1, self.comms_obs_size))], -1)
        state = self.initial_carry(1)
        memory = init_module(self.cell, memory_key, state, features[None], jnp.ones((1, 1), bool))
        heads = init_module(self._heads(self.num_actions), heads_key, state.hidden)
        params = {"encoder": encoder, "memory": memory, "heads": heads}
        if self.vocab_size:
            message_key = jax.random.fold_in(heads_key, keys.MESSAGE_HEAD_PARAMS)
            params["message_head"] = init_module(self._heads(self.vocab_size), message_key, state.hidden)
        check_trainable(f"network {self.network.kind!r}", params)
        return params

    def initial_carry(self, batch: int) -> CellState:
        """The cell's state before an episode."""
        cell = self.cell
        state, what = cell.initial_state(batch), method_name(cell, "initial_state")
        if not (isinstance(state, tuple) and "hidden" in dir(state)):
            raise ConfigError(f"{what}: must return a NamedTuple with a field `hidden`; {EXTENSION_REMEDY}")
        wanted = jax.tree.map(lambda x: _floats(batch, *np.shape(x)[1:]), state)
        check_same_types(what, state, wanted._replace(hidden=_floats(batch, cell.features)))
        return state

    def unroll(
        self,
        params: PyTree,
        carry: CellState,
        observation: UInt8[Array, "T N ..."],
        is_first: Bool[Array, "T N"],
        comms_obs: Array | None = None,
    ) -> tuple[Float[Array, "T N A"], Float[Array, "T N"], Float[Array, "T N M"], CellState]:
        """Read T observations of N agents, and their communication observations u8[T, N, H] if they have any.

        Returns: logits, values, the cell's outputs, and its state before each observation (arrays lead with T, N).
        """
        steps, agents = observation.shape[:2]
        if self._use_cpu_chunks(steps * agents):
            return jax.lax.scan(self._unroll_step(params), carry, (observation, is_first, comms_obs))[1]
        inputs = self.inputs(params, observation, comms_obs)
        _, hidden, pre_step_states = self._run_cell(params["memory"], carry, inputs, is_first)
        logits, value = self._apply_heads(params["heads"], hidden, self.num_actions)
        return logits, value, hidden, pre_step_states

    def _encode(self, params: PyTree, observation: UInt8[Array, "N ..."]) -> Float[Array, "N F"]:
        """The encoder's features. `params`: the encoder's."""
        return self._checked_rows("encoder", apply_module(self.encoder, params, observation), len(observation))

    def shared_features(self, params: PyTree, observation: UInt8[Array, "N ..."]) -> Float[Array, "N D"]:
        """The part of the features that a model of other agents shares. `params`: the encoder's."""
        features = self.network.shared_features(params, observation)
        return self._checked_rows("shared_features", features, len(observation))

    def _checked_rows(self, method: str, features: Any, count: int) -> Float[Array, "N F"]:
        """What a method of the network returned, if it is one row of numbers per observation."""
        size = features.shape[-1:] if isinstance(features, jax.Array | np.ndarray) else ()
        what = f"{method_name(self.network, method)}: the features, one row per observation"
        check_same_types(what, features, _floats(count, *(size or (1,))))
        return features  # type: ignore[return-value] (numpy's, too, where nothing is traced)

    def _run_cell(
        self, params: PyTree, carry: CellState, inputs: Float[Array, "T N F"], is_first: Bool[Array, "T N"]
    ) -> tuple[CellState, Float[Array, "T N M"], CellState]:
        """What the cell returns: the last state, the outputs, and the states before each step."""
        cell, what = self.cell, method_name(self.cell, "__call__")
        result = apply_module(cell, params, carry, inputs, is_first)
        if not isinstance(result, tuple | list) or len(result) != 3:
            raise ConfigError(
                f"{what}: must return the last state, the outputs, and the states before each step; {EXTENSION_REMEDY}"
            )
        last, hidden, pre_step_states = result
        check_same_types(f"{what}: the next state", last, carry)
        check_same_types(f"{what}: the output", hidden, _floats(*is_first.shape, cell.features))
        steps = jax.tree.map(lambda x: jax.ShapeDtypeStruct((len(is_first), *x.shape), x.dtype), carry)
        check_same_types(f"{what}: the states before each step", pre_step_states, steps)
        return last, hidden, pre_step_states

    def _apply_heads(
        self, params: PyTree, hidden: Float[Array, "... M"], num_outputs: int
    ) -> tuple[Float[Array, "... A"], Float[Array, "..."]]:
        """Logits and values.

        Raises: ConfigError for shapes that would be broadcast, or add actions without effect, and for other types than
          float32, in which losses would be computed.
        """
        what = f"the heads of network {self.network.kind!r}"
        result = apply_module(self._heads(num_outputs), params, hidden)
        if not isinstance(result, tuple | list) or len(result) != 2:
            raise ConfigError(f"{what} must return a pair, logits and values; {EXTENSION_REMEDY}")
        logits, value = result
        rows = hidden.shape[:-1]
        for noun, x, shape in (("logits", logits, (*rows, num_outputs)), ("values", value, rows)):
            check_result_shape(f"the array of {noun} from {what}", x, shape)
            check_same_types(f"the {noun} from {what}", x, _floats(*shape))
        return logits, value

    def _unroll_step(self, params: PyTree) -> Callable:
        """One step of `unroll` with all its layers, so that what one passes to the next stays in the caches."""

        def step(state, scanned):
            obs, is_first, comms_obs = scanned
            pre_step_state = reset_state(state, is_first)
            logits, value, after = self.forward(params, state, obs, is_first, comms_obs)
            return after, (logits, value, after.hidden, pre_step_state)

        return step

    def _use_cpu_chunks(self, num_observations: int) -> bool:
        return bool(self.cpu_chunk_size) and num_observations > 2 * self.cpu_chunk_size

    def inputs(
        self, params: PyTree, observation: UInt8[Array, "T N ..."], comms_obs: Array | None = None
    ) -> Float[Array, "T N F"]:
        """The inputs of the recurrent cell: the encoder's features, then the communication observation."""
        steps, agents = observation.shape[:2]

        def encode(observation):
            return self._encode(params["encoder"], observation)

        if self._use_cpu_chunks(steps * agents):
            features = jax.lax.map(encode, observation)  # the observations of one step at a time
        else:
            features = encode(observation.reshape(steps * agents, *self.observation_shape))
            features = features.reshape(steps, agents, -1)
        return features if comms_obs is None else jnp.concatenate([features, comms_obs], -1)

    def counterfactual_logits(
        self, params: PyTree, pre_step_state: CellState, inputs: Float[Array, "N F"], comms_offset: int, num_values: int
    ) -> Float[Array, "K N A"]:
        """Counterfactual logits: the policy's output for each of K values of one one-hot input.

        Args:
          pre_step_state: the cell's state before the step, already reset where an episode begins.
          inputs: the cell's inputs, from `inputs`.
          comms_offset: where in the communication observation the one-hot part begins
            (`CommunicationConfig.influencer_offset`, `CommunicationConfig.message_offset`).
          num_values: K, the length of the one-hot part.
        """
        start = inputs.shape[-1] - self.comms_obs_size + comms_offset
        logits = self.cell.counterfactual_outputs(
            params["memory"],
            pre_step_state,
            inputs,
            start,
            num_values,
            lambda hidden: self._apply_heads(params["heads"], hidden, self.num_actions)[0],
        )
        what = f"{method_name(self.cell, 'counterfactual_outputs')}: the result, with a leading axis of the values,"
        shape = (num_values, len(inputs), self.num_actions)
        check_result_shape(what, logits, shape)
        check_same_types(what.removesuffix(","), logits, _floats(*shape))
        return logits

    def message_logits_and_value(
        self, params: PyTree, hidden: Float[Array, "... M"]
    ) -> tuple[Float[Array, "... V"], Float[Array, "..."]]:
        """Logits over the messages, and the predicted return of the message policy."""
        return self._apply_heads(params["message_head"], hidden, self.vocab_size)

    def act(
        self,
        params: PyTree,
        carry: CellState,
        obs: UInt8[Array, "B ..."],
        is_first: Bool[Array, "B"],
        key: PRNGKey,
        comms_obs: Array | None = None,
    ) -> tuple[Int[Array, "B"], CellState, dict[str, jax.Array]]:
        """Choose one action each, and a message if the agents send any."""
        logits, value, after = self.forward(params, carry, obs, is_first, comms_obs)
        if self.epsilon is not None:
            action, log_prob = epsilon_greedy(logits, self.epsilon, key)
        else:
            action = jax.random.categorical(key, logits)
            log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], -1)[:, 0]
        extras = {"log_prob": log_prob, "value": value, "logits": logits}
        if self.vocab_size:
            message_logits, _ = self.message_logits_and_value(params, after.hidden)
            message = jax.random.categorical(jax.random.fold_in(key, keys.MESSAGE_SAMPLING), message_logits)
            extras |= {"message": message, "message_logits": message_logits}
        return action, after, extras

    def forward(
        self,
        params: PyTree,
        carry: CellState,
        obs: UInt8[Array, "B ..."],
        is_first: Bool[Array, "B"],
        comms_obs: Array | None = None,
    ) -> tuple[Float[Array, "B A"], Float[Array, "B"], CellState]:
        """Read one observation each, and a communication observation u8[B, H] if they have any.

        Returns: logits, values and the cell's next state.
        """
        features = self._encode(params["encoder"], obs)
        if comms_obs is not None:
            features = jnp.concatenate([features, comms_obs], -1)
        after, hidden, _ = self._run_cell(params["memory"], carry, features[None], is_first[None])
        logits, value = self._apply_heads(params["heads"], hidden[0], self.num_actions)
        return logits, value, after


@dataclasses.dataclass(frozen=True)
class EpsilonGreedyPolicy(Policy):
    """A recurrent policy whose probability of a random action is a parameter, so that a schedule can change it.

    Parameters: {'policy': those of the recurrent policy, 'epsilon': f32[]}.
    """

    policy: RecurrentPolicy

    @property
    def observation_shape(self) -> tuple[int, ...]:
        return self.policy.observation_shape

    def init(self, key: PRNGKey) -> PyTree:
        return {"policy": self.policy.init(key), "epsilon": jnp.float32(1.0)}

    def initial_carry(self, batch: int) -> CellState:
        return self.policy.initial_carry(batch)

    def act(
        self, params: PyTree, carry: CellState, obs: Any, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], CellState, dict[str, jax.Array]]:
        logits, value, after = self.policy.forward(params["policy"], carry, obs, is_first)
        action, log_prob = epsilon_greedy(logits, params["epsilon"], key)
        return action, after, {"log_prob": log_prob, "value": value}


def epsilon_greedy(
    logits: Float[Array, "B A"], epsilon: float | Float[Array, ""], key: PRNGKey
) -> tuple[Int[Array, "B"], Float[Array, "B"]]:
    """The action with the largest logit, but with probability `epsilon` a uniformly random one.

    Returns: the actions and their log-probabilities.
    """
    explore_key, action_key = jax.random.split(key)
    batch_size, num_actions = logits.shape
    greedy = logits.argmax(-1)
    random = jax.random.randint(action_key, (batch_size,), 0, num_actions)
    action = jnp.where(jax.random.uniform(explore_key, (batch_size,)) < epsilon, random, greedy)
    return action, jnp.log(epsilon / num_actions + (1 - epsilon) * (action == greedy))


def _floats(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def count_parameters(params: PyTree) -> int:
    """How many numbers a parameter tree holds."""
    return sum(leaf.size for leaf in jax.tree.leaves(params))
