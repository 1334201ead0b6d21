"""A policy with memory: encoder, LSTM and heads; acts step by step or unrolls whole trajectories."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.agents.hearing import Hears
from rookery.agents.networks import LSTM, Memory, Network, if_told, run
from rookery.types import Key, PyTree


@dataclasses.dataclass(frozen=True)
class RecurrentPolicy:
    """Pure functions of one agent's parameters, for B (or N) agents with those same parameters."""

    network: Network
    observation_shape: tuple[int, ...]
    actions: int
    epsilon: float | None = None
    """None: actions are drawn with the probabilities that the logits say. A number: the action with the largest logit
    is taken, but in this share of steps one at random; so play agents whose logits are action values."""
    hears: Hears | None = None  # None: nothing beside its view
    agents: int = 1  # in its world, itself included; of those who hear, or have a model of others

    privileged = False

    def __post_init__(self):
        self.network.check(self.observation_shape)

    @property
    def _lstm(self) -> LSTM:
        return LSTM(self.network.memory_size, self.network.lstm_biases)

    @property
    def heard_size(self) -> int:
        """Numbers told each step beside the view: H in the shapes below."""
        return self.hears.size(self.agents, self.actions) if self.hears else 0

    @property
    def symbols(self) -> int:
        """How many different messages it has; 0: it does not speak."""
        return self.hears.symbols if self.hears else 0

    @property
    def cache_batch(self) -> int | None:
        """Observations to read at once where caches matter, None elsewhere."""
        return self.network.cache_batch if jax.default_backend() == "cpu" else None

    def init(self, key: Key) -> PyTree:
        """Parameters drawn afresh: {'encoder', 'memory', 'heads'}, and 'speech' where it speaks."""
        encoder_key, memory_key, heads_key = jax.random.split(key, 3)
        blank = jnp.zeros((1, *self.observation_shape), jnp.uint8)
        encoder = self.network.encoder().init(encoder_key, blank)["params"]
        features = run(self.network.encoder(), encoder, blank)
        features = jnp.concatenate([features, jnp.zeros((1, self.heard_size))], -1)
        start = self.initial_carry(1)
        memory = self._lstm.init(memory_key, start, features[None], jnp.ones((1, 1), bool))["params"]
        heads = self.network.heads(self.actions).init(heads_key, start.hidden)["params"]
        params = {"encoder": encoder, "memory": memory, "heads": heads}
        if self.symbols:
            speech_key = jax.random.fold_in(heads_key, 1)
            params["speech"] = self.network.heads(self.symbols).init(speech_key, start.hidden)["params"]
        return params

    def initial_carry(self, batch: int) -> Memory:
        """A blank memory. Two arrays, not one twice: a program may not be given one buffer to reuse twice."""
        size = (batch, self.network.memory_size)
        return Memory(jnp.zeros(size), jnp.zeros(size))

    def unroll(
        self,
        params: PyTree,
        carry: Memory,
        observation: UInt8[Array, "T N ..."],
        is_first: Bool[Array, "T N"],
        heard: Array | None = None,
    ) -> tuple[Float[Array, "T N A"], Float[Array, "T N"], Float[Array, "T N M"], Memory]:
        """Read T observations of N agents, and what they were told (u8[T, N, H]) where they hear. Returns logits,
        values, memory outputs, and the memory before each observation (f32[T, N, M] each)."""
        steps, agents = observation.shape[:2]
        if self._caches_matter(steps * agents):
            return jax.lax.scan(self._unroll_step(params), carry, (observation, is_first, heard))[1]
        inputs = self.inputs(params, observation, heard)
        _, hidden, before = run(self._lstm, params["memory"], carry, inputs, is_first)
        logits, value = run(self.network.heads(self.actions), params["heads"], hidden)
        return logits, value, hidden, before

    def _unroll_step(self, params: PyTree) -> Callable:
        """One step of `unroll` with all its layers: what goes from one to the next stays in the caches."""

        def step(memory, now):
            seen, first, told = now
            before = jax.tree.map(lambda x: x * ~first[:, None], memory)
            logits, value, after = self.read(params, memory, seen, first, told)
            return after, (logits, value, after.hidden, before)

        return step

    def _caches_matter(self, observations: int) -> bool:
        return bool(self.cache_batch) and observations > 2 * self.cache_batch

    def inputs(
        self, params: PyTree, observation: UInt8[Array, "T N ..."], heard: Array | None = None
    ) -> Float[Array, "T N F"]:
        """What goes into the memory: the encoder's features, then what was told."""
        steps, agents = observation.shape[:2]

        def encode(seen):
            return run(self.network.encoder(), params["encoder"], seen)

        if self._caches_matter(steps * agents):
            features = jax.lax.map(encode, observation)  # a step's observations at a time
        else:
            features = encode(observation.reshape(steps * agents, *self.observation_shape))
            features = features.reshape(steps, agents, -1)
        return features if heard is None else jnp.concatenate([features, heard], -1)

    def if_told(
        self, params: PyTree, before: Memory, inputs: Float[Array, "N F"], at: int, kinds: int
    ) -> Float[Array, "K N A"]:
        """Logits had one one-hot part of what was told been each of K values: counterfactuals.

        Args:
          before: the memory before the step. inputs: what went into it, as `inputs` gives it.
          at: where in what was told that part begins (`Hears.leader_at`, `Hears.message_at`). kinds: K.
        """
        start = inputs.shape[-1] - self.heard_size + at
        heads = self.network.heads(self.actions)
        return if_told(
            params["memory"], before, inputs, start, kinds, lambda hidden: run(heads, params["heads"], hidden)[0]
        )

    def speak(self, params: PyTree, hidden: Float[Array, "... M"]) -> tuple[Float[Array, "... V"], Float[Array, "..."]]:
        """Logits over messages, and the value of what messages earn."""
        return run(self.network.heads(self.symbols), params["speech"], hidden)

    def act(
        self,
        params: PyTree,
        carry: Memory,
        seen: UInt8[Array, "B ..."],
        is_first: Bool[Array, "B"],
        key: Key,
        heard: Array | None = None,
    ) -> tuple[Int[Array, "B"], Memory, dict[str, jax.Array]]:
        """Choose one action each, and a message where they speak."""
        logits, value, after = self.read(params, carry, seen, is_first, heard)
        if self.epsilon is not None:
            action, log_prob = epsilon_greedy(logits, self.epsilon, key)
        else:
            action = jax.random.categorical(key, logits)
            log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], -1)[:, 0]
        extras = {"log_prob": log_prob, "value": value, "logits": logits}
        if self.symbols:
            says, _ = self.speak(params, after.hidden)
            message = jax.random.categorical(jax.random.fold_in(key, 1), says)
            extras |= {"message": message, "message_logits": says}
        return action, after, extras

    def read(
        self,
        params: PyTree,
        carry: Memory,
        seen: UInt8[Array, "B ..."],
        is_first: Bool[Array, "B"],
        heard: Array | None = None,
    ) -> tuple[Float[Array, "B A"], Float[Array, "B"], Memory]:
        """Read one observation each, and what was told (u8[B, H]). Returns logits, values and the memory after."""
        features = run(self.network.encoder(), params["encoder"], seen)
        if heard is not None:
            features = jnp.concatenate([features, heard], -1)
        after, hidden, _ = run(self._lstm, params["memory"], carry, features[None], is_first[None])
        logits, value = run(self.network.heads(self.actions), params["heads"], hidden[0])
        return logits, value, after


@dataclasses.dataclass(frozen=True)
class EpsilonGreedy:
    """A recurrent policy whose share of random actions is one of its parameters, and so may follow a schedule.

    Parameters: {'policy': the policy's own, 'epsilon': f32[]}.
    """

    policy: RecurrentPolicy

    privileged = False

    @property
    def observation_shape(self) -> tuple[int, ...]:
        return self.policy.observation_shape

    def init(self, key: Key) -> PyTree:
        return {"policy": self.policy.init(key), "epsilon": jnp.float32(1.0)}

    def initial_carry(self, batch: int) -> Memory:
        return self.policy.initial_carry(batch)

    def act(self, params: PyTree, carry: Memory, seen, is_first, key: Key):
        """As `RecurrentPolicy.act`."""
        logits, value, after = self.policy.read(params["policy"], carry, seen, is_first)
        action, log_prob = epsilon_greedy(logits, params["epsilon"], key)
        return action, after, {"log_prob": log_prob, "value": value}


def epsilon_greedy(logits: Float[Array, "B A"], epsilon, key: Key) -> tuple[Int[Array, "B"], Float[Array, "B"]]:
    """The action with the largest logit, but with chance `epsilon` any. Returns actions and their log-probabilities."""
    when_key, which_key = jax.random.split(key)
    batch, actions = logits.shape
    best = logits.argmax(-1)
    other = jax.random.randint(which_key, (batch,), 0, actions)
    action = jnp.where(jax.random.uniform(when_key, (batch,)) < epsilon, other, best)
    return action, jnp.log(epsilon / actions + (1 - epsilon) * (action == best))


def count_parameters(params: PyTree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))
