"""A policy with memory: encoder, LSTM and heads; acts step by step or unrolls whole trajectories."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.agents.communication import CommunicationConfig
from rookery.agents.networks import LSTM, LSTMState, NetworkConfig, apply_module, counterfactual_outputs
from rookery.types import PRNGKey, PyTree


@dataclasses.dataclass(frozen=True)
class RecurrentPolicy:
    """Pure functions of one agent's parameters, for B (or N) agents with those same parameters."""

    network: NetworkConfig
    observation_shape: tuple[int, ...]
    num_actions: int
    epsilon: float | None = None
    """None: actions are drawn with the probabilities that the logits say. A number: the action with the largest logit
    is taken, but in this share of steps one at random; so play agents whose logits are action values."""
    communication: CommunicationConfig | None = None  # None: nothing beside its view
    num_agents: int = 1  # in its world, itself included; of those who hear, or have a model of others

    privileged = False

    def __post_init__(self):
        self.network.validate(self.observation_shape)

    @property
    def _lstm(self) -> LSTM:
        return LSTM(self.network.hidden_size, self.network.num_lstm_biases)

    @property
    def comms_obs_size(self) -> int:
        """Numbers told each step beside the view: H in the shapes below."""
        return self.communication.size(self.num_agents, self.num_actions) if self.communication else 0

    @property
    def vocab_size(self) -> int:
        """How many different messages it has; 0: it does not speak."""
        return self.communication.vocab_size if self.communication else 0

    @property
    def cpu_chunk_size(self) -> int | None:
        """Observations to read at once where caches matter, None elsewhere."""
        return self.network.cpu_chunk_size if jax.default_backend() == "cpu" else None

    def init(self, key: PRNGKey) -> PyTree:
        """Parameters drawn afresh: {'encoder', 'memory', 'heads'}, and 'speech' where it speaks."""
        encoder_key, memory_key, heads_key = jax.random.split(key, 3)
        blank = jnp.zeros((1, *self.observation_shape), jnp.uint8)
        encoder = self.network.encoder().init(encoder_key, blank)["params"]
        features = apply_module(self.network.encoder(), encoder, blank)
        features = jnp.concatenate([features, jnp.zeros((1, self.comms_obs_size))], -1)
        start = self.initial_carry(1)
        memory = self._lstm.init(memory_key, start, features[None], jnp.ones((1, 1), bool))["params"]
        heads = self.network.heads(self.num_actions).init(heads_key, start.hidden)["params"]
        params = {"encoder": encoder, "memory": memory, "heads": heads}
        if self.vocab_size:
            speech_key = jax.random.fold_in(heads_key, 1)
            params["speech"] = self.network.heads(self.vocab_size).init(speech_key, start.hidden)["params"]
        return params

    def initial_carry(self, batch: int) -> LSTMState:
        """A blank memory. Two arrays, not one twice: a program may not be given one buffer to reuse twice."""
        size = (batch, self.network.hidden_size)
        return LSTMState(jnp.zeros(size), jnp.zeros(size))

    def unroll(
        self,
        params: PyTree,
        carry: LSTMState,
        observation: UInt8[Array, "T N ..."],
        is_first: Bool[Array, "T N"],
        comms_obs: Array | None = None,
    ) -> tuple[Float[Array, "T N A"], Float[Array, "T N"], Float[Array, "T N M"], LSTMState]:
        """Read T observations of N agents, and what they were told (u8[T, N, H]) where they hear. Returns logits,
        values, memory outputs, and the memory before each observation (f32[T, N, M] each)."""
        steps, agents = observation.shape[:2]
        if self._use_cpu_chunks(steps * agents):
            return jax.lax.scan(self._unroll_step(params), carry, (observation, is_first, comms_obs))[1]
        inputs = self.inputs(params, observation, comms_obs)
        _, hidden, before = apply_module(self._lstm, params["memory"], carry, inputs, is_first)
        logits, value = apply_module(self.network.heads(self.num_actions), params["heads"], hidden)
        return logits, value, hidden, before

    def _unroll_step(self, params: PyTree) -> Callable:
        """One step of `unroll` with all its layers: what goes from one to the next stays in the caches."""

        def step(memory, now):
            seen, first, told = now
            before = jax.tree.map(lambda x: x * ~first[:, None], memory)
            logits, value, after = self.forward(params, memory, seen, first, told)
            return after, (logits, value, after.hidden, before)

        return step

    def _use_cpu_chunks(self, num_observations: int) -> bool:
        return bool(self.cpu_chunk_size) and num_observations > 2 * self.cpu_chunk_size

    def inputs(
        self, params: PyTree, observation: UInt8[Array, "T N ..."], comms_obs: Array | None = None
    ) -> Float[Array, "T N F"]:
        """What goes into the memory: the encoder's features, then what was told."""
        steps, agents = observation.shape[:2]

        def encode(seen):
            return apply_module(self.network.encoder(), params["encoder"], seen)

        if self._use_cpu_chunks(steps * agents):
            features = jax.lax.map(encode, observation)  # a step's observations at a time
        else:
            features = encode(observation.reshape(steps * agents, *self.observation_shape))
            features = features.reshape(steps, agents, -1)
        return features if comms_obs is None else jnp.concatenate([features, comms_obs], -1)

    def counterfactual_logits(
        self, params: PyTree, pre_step_state: LSTMState, inputs: Float[Array, "N F"], comms_offset: int, num_values: int
    ) -> Float[Array, "K N A"]:
        """Logits had one one-hot part of what was told been each of K values: counterfactuals.

        Args:
          before: the memory before the step. inputs: what went into it, as `inputs` gives it.
          at: where in what was told that part begins (`Hears.leader_at`, `Hears.message_at`). kinds: K.
        """
        start = inputs.shape[-1] - self.comms_obs_size + comms_offset
        heads = self.network.heads(self.num_actions)
        return counterfactual_outputs(
            params["memory"],
            pre_step_state,
            inputs,
            start,
            num_values,
            lambda hidden: apply_module(heads, params["heads"], hidden)[0],
        )

    def message_logits_and_value(
        self, params: PyTree, hidden: Float[Array, "... M"]
    ) -> tuple[Float[Array, "... V"], Float[Array, "..."]]:
        """Logits over messages, and the value of what messages earn."""
        return apply_module(self.network.heads(self.vocab_size), params["speech"], hidden)

    def act(
        self,
        params: PyTree,
        carry: LSTMState,
        obs: UInt8[Array, "B ..."],
        is_first: Bool[Array, "B"],
        key: PRNGKey,
        comms_obs: Array | None = None,
    ) -> tuple[Int[Array, "B"], LSTMState, dict[str, jax.Array]]:
        """Choose one action each, and a message where they speak."""
        logits, value, after = self.forward(params, carry, obs, is_first, comms_obs)
        if self.epsilon is not None:
            action, log_prob = epsilon_greedy(logits, self.epsilon, key)
        else:
            action = jax.random.categorical(key, logits)
            log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], -1)[:, 0]
        extras = {"log_prob": log_prob, "value": value, "logits": logits}
        if self.vocab_size:
            says, _ = self.message_logits_and_value(params, after.hidden)
            message = jax.random.categorical(jax.random.fold_in(key, 1), says)
            extras |= {"message": message, "message_logits": says}
        return action, after, extras

    def forward(
        self,
        params: PyTree,
        carry: LSTMState,
        obs: UInt8[Array, "B ..."],
        is_first: Bool[Array, "B"],
        comms_obs: Array | None = None,
    ) -> tuple[Float[Array, "B A"], Float[Array, "B"], LSTMState]:
        """Read one observation each, and what was told (u8[B, H]). Returns logits, values and the memory after."""
        features = apply_module(self.network.encoder(), params["encoder"], obs)
        if comms_obs is not None:
            features = jnp.concatenate([features, comms_obs], -1)
        after, hidden, _ = apply_module(self._lstm, params["memory"], carry, features[None], is_first[None])
        logits, value = apply_module(self.network.heads(self.num_actions), params["heads"], hidden[0])
        return logits, value, after


@dataclasses.dataclass(frozen=True)
class EpsilonGreedyPolicy:
    """A recurrent policy whose share of random actions is one of its parameters, and so may follow a schedule.

    Parameters: {'policy': the policy's own, 'epsilon': f32[]}.
    """

    policy: RecurrentPolicy

    privileged = False

    @property
    def observation_shape(self) -> tuple[int, ...]:
        return self.policy.observation_shape

    def init(self, key: PRNGKey) -> PyTree:
        return {"policy": self.policy.init(key), "epsilon": jnp.float32(1.0)}

    def initial_carry(self, batch: int) -> LSTMState:
        return self.policy.initial_carry(batch)

    def act(self, params: PyTree, carry: LSTMState, obs, is_first, key: PRNGKey):
        """As `RecurrentPolicy.act`."""
        logits, value, after = self.policy.forward(params["policy"], carry, obs, is_first)
        action, log_prob = epsilon_greedy(logits, params["epsilon"], key)
        return action, after, {"log_prob": log_prob, "value": value}


def epsilon_greedy(logits: Float[Array, "B A"], epsilon, key: PRNGKey) -> tuple[Int[Array, "B"], Float[Array, "B"]]:
    """The action with the largest logit, but with chance `epsilon` any. Returns actions and their log-probabilities."""
    when_key, which_key = jax.random.split(key)
    batch, actions = logits.shape
    best = logits.argmax(-1)
    other = jax.random.randint(which_key, (batch,), 0, actions)
    action = jnp.where(jax.random.uniform(when_key, (batch,)) < epsilon, other, best)
    return action, jnp.log(epsilon / actions + (1 - epsilon) * (action == best))


def count_parameters(params: PyTree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))
