"""A policy with memory: encoder, LSTM and heads; acts step by step or unrolls whole trajectories."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.agents.networks import LSTM, Memory, Network, run
from rookery.types import Key, PyTree


@dataclasses.dataclass(frozen=True)
class RecurrentPolicy:
    """Pure functions of one agent's parameters, for B (or N) agents with those same parameters."""

    network: Network
    observation_shape: tuple[int, ...]
    actions: int

    privileged = False

    def __post_init__(self):
        self.network.check(self.observation_shape)

    @property
    def _lstm(self) -> LSTM:
        return LSTM(self.network.memory_size)

    @property
    def cache_batch(self) -> int | None:
        """Observations to read at once where caches matter, None elsewhere."""
        return self.network.cache_batch if jax.default_backend() == "cpu" else None

    def init(self, key: Key) -> PyTree:
        """Parameters drawn afresh: {'encoder', 'memory', 'heads'}."""
        encoder_key, memory_key, heads_key = jax.random.split(key, 3)
        blank = jnp.zeros((1, *self.observation_shape), jnp.uint8)
        encoder = self.network.encoder().init(encoder_key, blank)["params"]
        features = run(self.network.encoder(), encoder, blank)
        start = self.initial_carry(1)
        memory = self._lstm.init(memory_key, start, features[None], jnp.ones((1, 1), bool))["params"]
        heads = self.network.heads(self.actions).init(heads_key, start.hidden)["params"]
        return {"encoder": encoder, "memory": memory, "heads": heads}

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
    ) -> tuple[Float[Array, "T N A"], Float[Array, "T N"], Float[Array, "T N M"], Memory]:
        """Read T observations of N agents. Returns logits, values, memory outputs, and the memory before each
        observation (f32[T, N, M] each)."""
        steps, agents = observation.shape[:2]

        def encode(seen):
            return run(self.network.encoder(), params["encoder"], seen)

        if self.cache_batch and steps * agents > 2 * self.cache_batch:
            features = jax.lax.map(encode, observation)  # a step's observations at a time
        else:
            features = encode(observation.reshape(steps * agents, *self.observation_shape))
            features = features.reshape(steps, agents, -1)
        _, hidden, before = run(self._lstm, params["memory"], carry, features, is_first)
        logits, value = run(self.network.heads(self.actions), params["heads"], hidden)
        return logits, value, hidden, before

    def act(
        self,
        params: PyTree,
        carry: Memory,
        seen: UInt8[Array, "B ..."],
        is_first: Bool[Array, "B"],
        key: Key,
    ) -> tuple[Int[Array, "B"], Memory, dict[str, jax.Array]]:
        """Sample one action each."""
        features = run(self.network.encoder(), params["encoder"], seen)
        after, hidden, _ = run(self._lstm, params["memory"], carry, features[None], is_first[None])
        logits, value = run(self.network.heads(self.actions), params["heads"], hidden[0])
        action = jax.random.categorical(key, logits)
        log_prob = jnp.take_along_axis(jax.nn.log_softmax(logits), action[:, None], -1)[:, 0]
        return action, after, {"log_prob": log_prob, "value": value}


def count_parameters(params: PyTree) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(params))
