"""A trained agent in plain numpy: acts in any loop, one observation or a batch at a time.

    agent = rookery.load("goal-cycle-demo-expert")
    state = agent.initial_state()
    while playing:
        action, state = agent.act(observation, state)

It computes the same numbers as the JAX policy up to rounding (tested to 1e-5). Nothing is kept outside `state`. A
network without a numpy form runs its JAX functions on the CPU instead.
"""

from __future__ import annotations

import dataclasses
import functools
import numbers
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rookery.agents import zoo
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.weights import Agent
from rookery.backend import cpu_devices
from rookery.errors import ConfigError, IncompatibleError, error_text, explain_failure
from rookery.interfaces import NumpyForward
from rookery.limits import MAX_INTEGER, shortened
from rookery.nn.cells import CellState, over_axes_of
from rookery.types import PyTree


class ActorState(NamedTuple):
    """An agent's memory, and its position in its stream of random numbers."""

    memory: CellState  # of the recurrent cell; arrays lead with the batch
    seed: int
    step: int  # actions sampled so far

    @property
    def batch_size(self) -> int:
        return len(self.memory.hidden)


class NumpyActor:
    """One agent's parameters, and the functions that act with them.

    `card` says what the agent observes, how it was trained and what it earned. Observations are
    u8[*observation_shape], or u8[B, *observation_shape] for a batch of B. An agent that observes other agents' actions
    takes them as `comms_obs`, `comms_obs_size` numbers per step in the order of `CommunicationConfig.encode`. A model
    of other agents that it learned with is not needed to act, and not part of it.

    Raises: IncompatibleError for an agent that sends messages.
    """

    def __init__(self, agent: Agent) -> None:
        policy = agent.policy
        if policy.vocab_size:
            raise IncompatibleError(
                f"this agent sends one of {policy.vocab_size} messages per step and observes those of all "
                "others, which a loop around one agent cannot carry; replay its whole team with 'rookery replay RUN'"
            )
        self.card: dict[str, Any] = agent.card
        self.comms_obs_size: int = policy.comms_obs_size
        self.observation_shape: tuple[int, ...] = policy.observation_shape
        self.num_actions: int = policy.num_actions
        self._agent = agent
        self._policy = policy
        self._params = agent.params
        forward = policy.network.numpy_forward()
        self._forward = _jax_step(policy) if forward is None else _numpy_step(forward)

    def __reduce__(self) -> tuple[Any, ...]:
        # Functions made for these parameters cannot be pickled; another process makes its own.
        return NumpyActor, (self._agent,)

    def __repr__(self) -> str:
        task = self.card.get("task", {}).get("kind", "unknown")
        shape = "×".join(map(str, self.observation_shape))
        return f"<agent of task {task!r}: observes u8[{shape}], chooses one of {self.num_actions} actions>"

    def initial_state(self, batch_size: int | None = None, seed: int = 0) -> ActorState:
        """A blank memory for one agent, or for a batch; `seed` decides which actions it will sample.

        Raises: ConfigError for a batch size outside [1, 2^31), a seed outside [0, 2^63), or one that is not a whole
          number; OutOfMemoryError for a batch that does not fit into memory.
        """
        for name, value in (("batch_size", batch_size or 1), ("seed", seed)):
            if not isinstance(value, numbers.Integral) or isinstance(value, bool):
                raise ConfigError(f"{name}={value!r} must be a whole number")
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"batch_size={batch_size} must be at least 1")
        if batch_size is not None and batch_size > MAX_INTEGER:
            raise ConfigError(f"batch_size={batch_size} must be at most {MAX_INTEGER:,}")
        if not 0 <= seed < 2**63:
            raise ConfigError(f"seed={seed} must lie in [0, 2^63)")
        try:
            memory = self._policy.initial_carry(batch_size or 1)
            return ActorState(_map_state(lambda x: np.array(x, np.float32), memory), seed, 0)
        except (MemoryError, RuntimeError) as error:  # JAX's own error is a RuntimeError
            if (explained := explain_failure(error)) is None:
                raise
            raise explained from error

    def act(
        self,
        observation: np.ndarray,
        state: ActorState | None = None,
        *,
        is_first: bool | np.ndarray = False,
        greedy: bool = False,
        comms_obs: np.ndarray | None = None,
    ) -> tuple[Any, ActorState]:
        """Choose an action.

        Args:
          observation: u8[*observation_shape] or u8[B, *observation_shape].
          state: returned by the last call; None: a blank one.
          is_first: bool, or bool[B]: the observation opens an episode, so the memory is reset first.
          greedy: take the action with the largest logit. Otherwise the agent samples from its logits or, if these are
            action values, takes the largest except for a small fraction of random actions.
          comms_obs: [(B,) comms_obs_size], the communication observation; None: zeros, as before the first step.
        Returns: the action (int, or i64[B] for a batch) and the next state.
        Raises: IncompatibleError for an observation that is not whole numbers from 0 to 255, for an observation or
          communication observation of another shape, for a state or `is_first` of another batch size, or for what is
          not a state of this agent.
        """
        logits, _, after = self.forward(observation, state, is_first=is_first, comms_obs=comms_obs)
        rows = np.atleast_2d(logits)
        if greedy:
            action = rows.argmax(-1)
        else:
            # Counter-based: the sample depends on seed and step alone, so equal states act alike.
            random = np.random.Generator(np.random.Philox(key=after.seed, counter=[0, 0, 0, after.step]))
            epsilon = self._policy.epsilon
            if epsilon is None:
                action = (rows + random.gumbel(size=rows.shape)).argmax(-1)  # Gumbel-max trick
            else:
                random_action = random.integers(0, self.num_actions, len(rows))
                action = np.where(random.random(len(rows)) < epsilon, random_action, rows.argmax(-1))
        after = after._replace(step=after.step + 1)
        return (int(action[0]) if logits.ndim == 1 else action), after

    def forward(
        self,
        observation: np.ndarray,
        state: ActorState | None = None,
        *,
        is_first: bool | np.ndarray = False,
        comms_obs: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, ActorState]:
        """Logits f32[(B,) num_actions], value f32[(B,)], and the next state; arguments as for `act`."""
        obs = _as_pixels(_as_array("observation", observation))
        single = obs.shape == self.observation_shape
        if single:
            obs = obs[None]
        if obs.shape[1:] != self.observation_shape or not len(obs):
            raise IncompatibleError(
                f"the agent takes observations of shape {self.observation_shape}, with or without one leading axis, "
                f"not {np.shape(observation)}"
            )
        state = self.initial_state(len(obs)) if state is None else state
        if not isinstance(state, ActorState):
            raise IncompatibleError(
                f"state={shortened(state)} is not a state; give what `initial_state` or the last call returned, or None"
            )
        if state.batch_size != len(obs):
            raise IncompatibleError(
                f"the state is for a batch of {state.batch_size}, the observation for a batch of {len(obs)}; make a "
                f"state with initial_state({len(obs)})"
            )
        self._check_memory(state.memory, len(obs))
        first = _as_array("is_first", is_first, bool)
        if first.shape not in ((), (1,), (len(obs),)):
            raise IncompatibleError(
                f"is_first has the shape {first.shape}; give one boolean, or one for each of the {len(obs)} "
                "observations"
            )
        first = np.broadcast_to(first, len(obs))
        comms = self._comms_features(comms_obs, len(obs), single)
        logits, value, memory = self._forward(self._params, state.memory, obs, first, comms)
        after = state._replace(memory=memory)
        return (logits[0], value[0], after) if single else (logits, value, after)

    @functools.cached_property
    def _memory_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the arrays of this agent's memory, without the batch."""
        import jax

        blank = jax.eval_shape(lambda: self._policy.initial_carry(1))
        return [leaf.shape[1:] for leaf in jax.tree.leaves(blank)]

    def _check_memory(self, memory: CellState, batch_size: int) -> None:
        """Raises IncompatibleError for the memory of an agent with another recurrent cell."""
        import jax

        expected = [(batch_size, *shape) for shape in self._memory_shapes]
        found = [np.shape(leaf) for leaf in jax.tree.leaves(memory)]
        if found != expected:
            raise IncompatibleError(
                f"the state is of another agent: its memory has the shapes {found}, that of this agent {expected}; "
                "give the state that initial_state, or the last call of this agent, returned"
            )

    def _comms_features(self, comms_obs: np.ndarray | None, batch_size: int, single: bool) -> np.ndarray:
        """The communication observation, checked: f32[B, comms_obs_size]."""
        expected = (self.comms_obs_size,) if single else (batch_size, self.comms_obs_size)
        if comms_obs is None:
            return np.zeros((batch_size, self.comms_obs_size), np.float32)
        features = _as_array("comms_obs", comms_obs, np.float32)
        if features.shape != expected:
            raise IncompatibleError(f"comms_obs has shape {features.shape}, this agent takes {expected}")
        return features.reshape(batch_size, self.comms_obs_size)


def load_actor(checkpoint: str | Path) -> NumpyActor:
    """An agent by zoo name, or by the path of its .safetensors file.

    Raises: NotFoundError, CorruptFileError, IncompatibleError or ConfigError.
    """
    agent = zoo.load_trained_agent(checkpoint)
    return NumpyActor(dataclasses.replace(agent, params=_as_float32(agent.params)))


def _as_array(name: str, value: Any, dtype: Any = None) -> np.ndarray:
    """An argument as an array. Raises: IncompatibleError for what is not one, such as rows of several lengths."""
    try:
        return np.asarray(value, dtype)
    except (TypeError, ValueError, OverflowError) as error:
        raise IncompatibleError(f"{name}={shortened(value)} is not an array of numbers: {error_text(error)}") from None


def _as_pixels(obs: np.ndarray) -> np.ndarray:
    """An observation as u8.

    Raises: IncompatibleError for one in another form, such as divided by 255: the agent would act all the same, blind.
    """
    if obs.dtype == np.uint8:
        return obs
    if obs.dtype.kind in "iuf" and obs.size:
        whole = np.isfinite(obs).all() and not (obs % 1).any() and obs.min() >= 0 and obs.max() <= 255
        if whole and (obs.dtype.kind != "f" or obs.max() != 1):
            return obs.astype(np.uint8)
    raise IncompatibleError(
        f"the agent takes observations of whole numbers from 0 to 255 (uint8), as the tasks give them, not {obs.dtype} "
        "with other values, such as divided by 255; undo the wrapper that changes them"
    )


def _as_float32(params: PyTree) -> PyTree:
    if isinstance(params, dict):
        return {name: _as_float32(value) for name, value in params.items()}
    return np.asarray(params, np.float32)


ForwardStep = Callable[
    [PyTree, CellState, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, CellState]
]
"""(params, memory, observations u8[B, ...], is_first bool[B], comms_obs f32[B, H]) to logits, values, next memory."""


def _numpy_step(forward: NumpyForward) -> ForwardStep:
    """One step of a policy, of a network's numpy functions."""

    def step(params, memory, obs, is_first, comms_obs):
        features = np.concatenate([forward.encode(params["encoder"], obs), comms_obs], -1)
        memory = _map_state(lambda x: x * ~over_axes_of(x, is_first), memory)
        memory = forward.step(params["memory"], memory, features)
        logits, value = forward.heads(params["heads"], memory.hidden)
        return logits, value, memory

    return step


def _jax_step(policy: RecurrentPolicy) -> ForwardStep:
    """One step of a policy, of its JAX functions compiled for the CPU, if JAX may use it."""
    import jax

    compiled, device = jax.jit(policy.forward), next(iter(cpu_devices()), None)

    def step(params, memory, obs, is_first, comms_obs):
        with jax.default_device(device):
            outputs = compiled(params, memory, obs, is_first, comms_obs)
        return jax.tree.map(np.asarray, outputs)

    return step


def _map_state(function: Callable[[Any], Any], state: CellState) -> CellState:
    """A function of every array of a cell's state, parts of which may be NamedTuples themselves."""
    import jax

    return jax.tree.map(function, state)
