"""The words every layer shares: what a step tells, what an environment, a policy and a plug-in offer.

Letters in shapes: A agents, B worlds side by side, T steps of an episode, H×W cells, K goals.
"""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, TypeAlias

import jax
from flax import struct
from jaxtyping import Array, Bool, Float, Int, UInt8, UInt32

PyTree: TypeAlias = Any
PRNGKey: TypeAlias = UInt32[Array, "2"]
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
    agent_mask: Bool[Array, "A"]  # the agent is in the world: its step counts
    info: dict[str, Float[Array, "A"]]  # what the task counts, by name; never shown to an agent


class Env(Protocol):
    """A task joined to a world. Pure functions on arrays; every method is for one world."""

    @property
    def num_agents(self) -> int: ...
    @property
    def num_actions(self) -> int: ...
    @property
    def max_steps(self) -> int: ...
    def observation_shape(self, slot: int) -> tuple[int, ...]: ...
    def default_params(self) -> PyTree: ...
    def reset(
        self, key: PRNGKey, params: PyTree, agent_mask: Bool[Array, "A"] | None = None
    ) -> tuple[PyTree, TimeStep]: ...
    def step(self, state: PyTree, action: Int[Array, "A"], params: PyTree) -> tuple[PyTree, TimeStep]: ...

    # An environment may also offer `in_view(state) -> bool[A, A]`: whom each agent sees now, itself never. Only
    # methods that ask for it need it.


class Policy(Protocol):
    """Who acts, for B agents at once. `act` sees either its own view or, if `privileged`, the worlds' states.

    A policy keeps nothing outside `carry`. Extras of a learning policy hold `log_prob` and `value`, f32[B].
    """

    privileged: bool

    def init(self, key: PRNGKey) -> PyTree: ...
    def initial_carry(self, batch: int) -> PyTree: ...
    def act(
        self, params: PyTree, carry: PyTree, obs: PyTree, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], PyTree, dict[str, jax.Array]]: ...


class MessageTrajectory(struct.PyTreeNode):
    """What one agent said in E episodes of T steps."""

    message: Int[Array, "T E"]
    log_prob: Float[Array, "T E"]
    logits: Float[Array, "T E V"]  # over all its messages
    reward: Float[Array, "T E"] | None = None  # what messages are paid, once a method has said


class OthersInfo(struct.PyTreeNode):
    """What a method asks to know of the others, and nothing it does not ask: None.

    The agent itself comes first, then those of the slots after its own, round to those before it.
    """

    action: Int[Array, "T E A"] | None = None  # what everybody did; -1 of the absent
    reward: Float[Array, "T E A"] | None = None  # extrinsic
    in_view: Bool[Array, "T E N"] | None = None  # N = A - 1 others: it sees them before the step
    agent_mask: Bool[Array, "T E A"] | None = None  # in the world, and the episode not over
    influence: dict[str, Float[Array, "T E"]] | None = (
        None  # worked out from others' true policies, by the method's kind
    )


class Trajectory(struct.PyTreeNode):
    """What one learner needs of E whole episodes of T steps, and nothing of any other agent's but what a method of
    its own names (`company`). Time leads."""

    observation: jax.Array  # u8[T+1, E, ...], the final one too
    action: Int[Array, "T E"]
    reward: Float[Array, "T E"]  # extrinsic plus any intrinsic
    log_prob: Float[Array, "T E"]  # of the action, under the policy that took it
    is_first: Bool[Array, "T+1 E"]
    terminated: Bool[Array, "T E"]  # nothing follows this step
    loss_mask: Bool[Array, "T E"]  # the agent was in the world and the episode not over: the step counts
    comms_obs: UInt8[Array, "T+1 E H"] | None = None  # what it was told beside its view
    logits: Float[Array, "T E K"] | None = None  # of all its actions, where a method asks
    messages: MessageTrajectory | None = None
    others: OthersInfo | None = None
    teacher_action: Int[Array, "T E"] | None = None  # what its teacher would have done in its place


class Learner(Protocol):
    """How one agent changes: a frozen configuration of pure functions of that agent's own experience.

    A learner's state is one pytree with a field `params`, of which `params["policy"]` is what acts; whatever else
    it remembers (optimizer, replay memory) is in the state too, so that a checkpoint is all of it.
    """

    kind: Any  # a Literal: its name in a configuration
    hparams: ClassVar[dict[str, Any]]
    """The numbers a schedule may change from update to update, by name, with their default schedules."""
    nan_guarded_metrics: ClassVar[tuple[str, ...]]
    """Metrics that must stay finite."""

    def validate(self, episodes: int, steps: int) -> None:
        """Raises ConfigError where it cannot learn from batches of so many episodes of so many steps."""
        ...

    def eval_policy(self, policy: Any) -> Any:
        """The policy as this learner's agents play when they are not learning."""
        ...

    def behavior_policy(self, policy: Any) -> Any:
        """The policy that plays while learning; it takes what `acting` returns for parameters."""
        ...

    def init(self, policy: Any, key: PRNGKey, steps: int) -> PyTree:
        """Fresh state, for episodes of `steps`."""
        ...

    def load_pretrained(self, state: PyTree, params: PyTree) -> PyTree:
        """A fresh state that goes on from a trained agent's parameters."""
        ...

    def behavior_params(self, state: PyTree, hparams: dict[str, Float[Array, ""]]) -> PyTree:
        """Parameters of the explorer."""
        ...

    def update(
        self, policy: Any, state: PyTree, trajectory: Trajectory, hparams: dict[str, Float[Array, ""]], key: PRNGKey
    ) -> tuple[PyTree, dict[str, Float[Array, ""]]]:
        """Learn from one batch. Returns the new state and the metrics by name, one number each."""
        ...
