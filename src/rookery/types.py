"""The words every layer shares: what a step tells, what an environment, a policy and a plug-in offer.

Letters in shapes: A agents, B worlds side by side, T steps of an episode, H×W cells, K goals.
"""

from __future__ import annotations

from typing import Any, Protocol, TypeAlias

import jax
from flax import struct
from jaxtyping import Array, Bool, Float, Int, UInt32

PyTree: TypeAlias = Any
Key: TypeAlias = UInt32[Array, "2"]
Observation: TypeAlias = jax.Array | tuple[jax.Array, ...]
"""What the agents see: u8[A, ...] where all views have one shape, else a tuple with one array an agent."""


class TimeStep(struct.PyTreeNode):
    """What one step of one world tells; callers vmap.

    `terminated`: nothing follows, so no bootstrap. `truncated`: the time limit, so bootstrap.
    `is_first`: the observation opens an episode; memories are reset before it is read.
    The observation is always the true successor: nothing resets behind the caller's back.
    """

    observation: Observation
    reward: Float[Array, "A"]  # extrinsic, paid for the action that led here
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]
    is_first: Bool[Array, ""]
    active: Bool[Array, "A"]  # the agent is in the world: its step counts
    events: dict[str, Float[Array, "A"]]  # what the task counts, by name; never shown to an agent


class Env(Protocol):
    """A task joined to a world. Pure functions on arrays; every method is for one world."""

    @property
    def agents(self) -> int: ...
    @property
    def actions(self) -> int: ...
    @property
    def max_steps(self) -> int: ...
    def observation_shape(self, slot: int) -> tuple[int, ...]: ...
    def default_params(self) -> PyTree: ...
    def reset(self, key: Key, params: PyTree, present: Bool[Array, "A"] | None = None) -> tuple[PyTree, TimeStep]: ...
    def step(self, state: PyTree, action: Int[Array, "A"], params: PyTree) -> tuple[PyTree, TimeStep]: ...


class Policy(Protocol):
    """Who acts, for B agents at once. `act` sees either its own view or, if `privileged`, the worlds' states.

    A policy keeps nothing outside `carry`. Extras of a learning policy hold `log_prob` and `value`, f32[B].
    """

    privileged: bool

    def init(self, key: Key) -> PyTree: ...
    def initial_carry(self, batch: int) -> PyTree: ...
    def act(
        self, params: PyTree, carry: PyTree, seen: PyTree, is_first: Bool[Array, "B"], key: Key
    ) -> tuple[Int[Array, "B"], PyTree, dict[str, jax.Array]]: ...


class Trajectory(struct.PyTreeNode):
    """What one learner needs of E whole episodes of T steps, and nothing of any other agent's. Time leads."""

    observation: jax.Array  # u8[T+1, E, ...], the final one too
    action: Int[Array, "T E"]
    reward: Float[Array, "T E"]  # extrinsic plus any intrinsic
    log_prob: Float[Array, "T E"]  # of the action, under the policy that took it
    is_first: Bool[Array, "T+1 E"]
    terminated: Bool[Array, "T E"]  # nothing follows this step
    mask: Bool[Array, "T E"]  # the agent was in the world and the episode not over: the step counts
