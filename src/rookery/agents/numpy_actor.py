"""A trained agent in plain numpy: acts in anybody's loop, one observation or a batch at a time.

    agent = rookery.load("goal-cycle-demo-expert")
    state = agent.initial_state()
    while playing:
        action, state = agent.act(observation, state)

The same numbers as the JAX policy's to rounding (tested to 1e-5). Nothing is kept outside `state`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from rookery.agents import zoo
from rookery.agents.networks import NEGATIVE_SLOPE
from rookery.agents.weights import Agent
from rookery.errors import ConfigError, IncompatibleError


class ActorState(NamedTuple):
    """What an agent remembers, and where in its stream of random numbers it is."""

    hidden: np.ndarray  # f32[B, M]
    cell: np.ndarray  # f32[B, M]
    seed: int
    step: int  # actions drawn so far

    @property
    def batch_size(self) -> int:
        return len(self.hidden)


class NumpyActor:
    """One agent's parameters and what to do with them. `card` tells what it sees, how it was trained, what it earned.

    Observations are u8[*observation_shape], or u8[B, *observation_shape] for B worlds side by side. An agent that is
    told what others do is handed that as `heard`, `comms_obs_size` numbers a step in the order of agents/hearing.py.
    A model of others that it learned with is no part of it: it acts without.

    Raises: MisfitError for an agent that speaks, or a network with no numpy form.
    """

    def __init__(self, agent: Agent):
        kind = agent.policy.network.kind
        encoders = {"mlp": _encode_mlp, "ndousse2021": _encode_ndousse, "jaques2019": _encode_jaques}
        if kind not in encoders:
            raise IncompatibleError(f"network {kind!r} has no numpy form; it has: {', '.join(encoders)}")
        if agent.policy.vocab_size:
            raise IncompatibleError(
                f"this agent says one of {agent.policy.vocab_size} symbols a step and hears what all others say, which a "
                "loop of one agent's actions cannot carry; film its whole team with 'rookery replay RUN'"
            )
        self.card: dict[str, Any] = agent.card
        self.comms_obs_size: int = agent.policy.comms_obs_size
        self.observation_shape: tuple[int, ...] = agent.policy.observation_shape
        self.num_actions: int = agent.policy.num_actions
        self._encode = encoders[kind]
        self._apply_head = _linear_head if kind == "jaques2019" else _mlp_head
        self._epsilon = agent.policy.epsilon
        self._hidden_size = agent.policy.network.hidden_size
        self._params = agent.params

    def initial_state(self, batch_size: int | None = None, seed: int = 0) -> ActorState:
        """A blank memory for one agent, or for `batch` of them; `seed` decides the actions it will draw.

        Raises: ConfigError for a batch below 1 or a seed outside [0, 2^63).
        """
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"batch={batch_size} must be at least 1")
        if not 0 <= seed < 2**63:
            raise ConfigError(f"seed={seed} must lie in [0, 2^63)")
        blank = np.zeros((batch_size or 1, self._hidden_size), np.float32)
        return ActorState(blank, blank.copy(), seed, 0)

    def act(
        self,
        observation: np.ndarray,
        state: ActorState | None = None,
        *,
        is_first: bool | np.ndarray = False,
        greedy: bool = False,
        comms_obs: np.ndarray | None = None,
    ) -> tuple[Any, ActorState]:
        """Choose an action, and remember.

        Args:
          observation: u8[*observation_shape] or u8[B, *observation_shape].
          state: what the last call returned; None: a blank one.
          is_first: bool, or bool[B]: the observation opens an episode, so forget the one before.
          greedy: take the likeliest action; else as the agent plays: it draws one, or, if its logits are action
            values, takes the best but for a small share of random ones.
          heard: [(B,) comms_obs_size], what it is told; None: nothing, as before anybody has done anything.
        Returns: the action (int, or i64[B] for a batch) and the next state.
        Raises: MisfitError for an observation, or what is heard, of another shape, or a state of another batch.
        """
        logits, _, after = self.forward(observation, state, is_first=is_first, comms_obs=comms_obs)
        rows = np.atleast_2d(logits)
        if greedy:
            chosen = rows.argmax(-1)
        else:
            # Counter-based: the draw depends on seed and step alone, so equal states act alike. Gumbel's trick.
            random = np.random.Generator(np.random.Philox(key=after.seed, counter=[0, 0, 0, after.step]))
            if self._epsilon is None:
                chosen = (rows + random.gumbel(size=rows.shape)).argmax(-1)
            else:
                any_of_them = random.integers(0, self.num_actions, len(rows))
                chosen = np.where(random.random(len(rows)) < self._epsilon, any_of_them, rows.argmax(-1))
        after = after._replace(step=after.step + 1)
        return (int(chosen[0]) if logits.ndim == 1 else chosen), after

    def forward(
        self,
        observation: np.ndarray,
        state: ActorState | None = None,
        *,
        is_first: bool | np.ndarray = False,
        comms_obs: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, ActorState]:
        """Logits f32[(B,) actions], value f32[(B,)], and the memory afterwards; arguments as `act` takes them."""
        seen = np.asarray(observation)
        single = seen.shape == self.observation_shape
        if single:
            seen = seen[None]
        if seen.shape[1:] != self.observation_shape or not len(seen):
            raise IncompatibleError(
                f"the agent sees {self.observation_shape}, alone or with one leading axis, not {np.shape(observation)}"
            )
        state = self.initial_state(len(seen)) if state is None else state
        if state.batch_size != len(seen):
            raise IncompatibleError(
                f"the state is of {state.batch_size} agents, the observation of {len(seen)}; make one with "
                f"initial_state({len(seen)})"
            )
        first = np.broadcast_to(np.asarray(is_first, bool), len(seen))
        features = self._encode(self._params["encoder"], seen.astype(np.float32) / np.float32(255))
        features = np.concatenate([features, self._comms_features(comms_obs, len(seen), single)], -1)
        hidden, cell = _lstm_step(self._params["memory"], features, state.hidden, state.cell, first)
        logits = self._apply_head(self._params["heads"], "policy", hidden)
        value = self._apply_head(self._params["heads"], "value", hidden)[:, 0]
        after = state._replace(hidden=hidden, cell=cell)
        return (logits[0], value[0], after) if single else (logits, value, after)

    def _comms_features(self, comms_obs: np.ndarray | None, batch_size: int, single: bool) -> np.ndarray:
        """What goes into the memory beside the view. f32[B, comms_obs_size]."""
        wanted = (self.comms_obs_size,) if single else (batch_size, self.comms_obs_size)
        if comms_obs is None:
            return np.zeros((batch_size, self.comms_obs_size), np.float32)
        told = np.asarray(comms_obs, np.float32)
        if told.shape != wanted:
            raise IncompatibleError(f"comms_obs has shape {told.shape}, this agent is told {wanted} beside what it sees")
        return told.reshape(batch_size, self.comms_obs_size)


def load_actor(checkpoint: str) -> NumpyActor:
    """An agent by zoo name, or by the path of its .safetensors file.

    Raises: MissingError, CorruptError or MisfitError.
    """
    return NumpyActor(_as_float32(zoo.load_trained_agent(checkpoint)))


def _as_float32(agent: Agent) -> Agent:
    """With every weight as f32."""

    def convert(tree):
        return {k: convert(v) for k, v in tree.items()} if isinstance(tree, dict) else np.asarray(tree, np.float32)

    return dataclasses.replace(agent, params=convert(agent.params))


def _dense(params, name: str, x: np.ndarray) -> np.ndarray:
    return x @ params[name]["kernel"] + params[name]["bias"]


def _leaky_relu(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, x, np.float32(NEGATIVE_SLOPE) * x)


def _encode_mlp(params, picture: np.ndarray) -> np.ndarray:
    x = picture.reshape(len(picture), -1)
    x = np.maximum(_dense(params, "dense1", x), 0)
    return np.maximum(_dense(params, "dense2", x), 0)


def _encode_ndousse(params, picture: np.ndarray) -> np.ndarray:
    x = _leaky_relu(_dense(params, "conv1", _im2col(picture, 3, stride=3)))
    x = _leaky_relu(_dense(params, "conv2", _im2col(x, 3)))
    x = _leaky_relu(_dense(params, "conv3", _im2col(x, 3)))
    return np.tanh(_dense(params, "dense", x.reshape(len(x), -1)))


def _encode_jaques(params, picture: np.ndarray) -> np.ndarray:
    x = np.maximum(_dense(params, "conv", _im2col(picture, 3)), 0)
    x = np.maximum(_dense(params, "dense1", x.reshape(len(x), -1)), 0)
    return np.maximum(_dense(params, "dense2", x), 0)


def _im2col(picture: np.ndarray, side: int, stride: int = 1) -> np.ndarray:
    """All side×side patches, flattened in (row, col, channel) order. f32[B, h, w, side·side·C]."""
    windows = np.lib.stride_tricks.sliding_window_view(picture, (side, side), axis=(1, 2))[:, ::stride, ::stride]
    count, high, wide = windows.shape[:3]
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(count, high, wide, -1)


def _lstm_step(params, features, hidden, cell, is_first) -> tuple[np.ndarray, np.ndarray]:
    """One step of the LSTM of agents/networks.py."""
    keep = ~is_first[:, None]
    hidden, cell = hidden * keep, cell * keep
    gates = features @ params["input_kernel"] + (params["input_bias"] + params.get("hidden_bias", np.float32(0)))
    enter, forget, write, leave = np.split(gates + hidden @ params["hidden_kernel"], 4, -1)
    cell = _sigmoid(forget) * cell + _sigmoid(enter) * np.tanh(write)
    return _sigmoid(leave) * np.tanh(cell), cell


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + 1)  # never overflows


def _mlp_head(params, name: str, hidden: np.ndarray) -> np.ndarray:
    x = np.tanh(_dense(params, f"{name}1", hidden))
    x = np.tanh(_dense(params, f"{name}2", x))
    return _dense(params, f"{name}3", x)


def _linear_head(params, name: str, hidden: np.ndarray) -> np.ndarray:
    return _dense(params, name, hidden)
