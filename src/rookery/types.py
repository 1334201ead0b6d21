"""Words shared by every layer: time steps, environments and the data that learners and intrinsic rewards get.

Letters in shapes: A agents, B environments side by side, T steps of an episode, E episodes, H×W cells, K actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeAlias

import jax
from flax import struct
from jaxtyping import Array, Bool, Float, Int, UInt8, UInt32

from rookery.errors import ConfigError

if TYPE_CHECKING:
    from rookery.interfaces import Task

PyTree: TypeAlias = Any
PRNGKey: TypeAlias = UInt32[Array, "2"]
Observation: TypeAlias = jax.Array | tuple[jax.Array, ...]
"""Observations of all agents: u8[A, ...] where all have one shape, else a tuple with one array per agent."""


class TimeStep(struct.PyTreeNode):
    """Data returned by one environment step. One environment; callers vmap.

    `terminated`: the episode is over and nothing follows, so returns are not bootstrapped. `truncated`: the time limit,
    so they are. `is_first`: the observation is the first of its episode; recurrent state is reset before it is read.
    The observation is always the true successor: environments never reset on their own.
    """

    observation: Observation
    reward: Float[Array, "A"]  # extrinsic reward for the action that led to this observation
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]
    is_first: Bool[Array, ""]
    agent_mask: Bool[Array, "A"]  # the agent is in the environment: its step counts
    info: dict[str, Float[Array, "A"]]  # the task's metrics, by name; agents never observe them


class Env:
    """Base class of environments: a task as pure functions on arrays. Every method handles one environment.

    An environment is hashable, so that it can be a static argument of compiled functions: a frozen dataclass with the
    field `task`. `num_agents`, `num_actions`, `max_steps`, `observation_shape`, `default_params`, `reset` and `step`
    are required; the others have defaults.
    """

    task: Task
    num_agents: int
    num_actions: int
    """All agents have the same actions, 0 to `num_actions` - 1."""
    max_steps: int
    """The step at which an episode is truncated."""
    can_render: ClassVar[bool] = False
    """Whether `rookery.viz` can draw the states of this environment."""

    @property
    def action_names(self) -> tuple[str, ...]:
        """The actions by name, for people. By default their numbers."""
        return tuple(str(action) for action in range(self.num_actions))

    def observation_shape(self, slot: int) -> tuple[int, ...]:
        """Shape of the observation of the agent in this slot."""
        raise NotImplementedError

    def default_params(self) -> PyTree:
        """The numbers that a schedule may change without recompiling; passed to `reset` and `step`."""
        raise NotImplementedError

    def reset(
        self, key: PRNGKey, params: PyTree, agent_mask: Bool[Array, "A"] | None = None
    ) -> tuple[PyTree, TimeStep]:
        """Start an episode. `agent_mask`: the agents that take part in it; None: all."""
        raise NotImplementedError

    def step(self, state: PyTree, action: Int[Array, "A"], params: PyTree) -> tuple[PyTree, TimeStep]:
        """All agents act once. Randomness comes from the state, so the same state and action give the same step."""
        raise NotImplementedError

    def in_view(self, state: PyTree) -> Bool[Array, "A A"]:
        """Which agents (columns) each agent (row) sees now, itself never. Needed by some intrinsic rewards only.

        Raises: ConfigError if the environment does not know.
        """
        raise ConfigError(
            f"{type(self).__name__} cannot tell which agents an agent sees; override its method in_view(state), or use "
            "a method that does not request 'in_view'"
        )


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
    """Messages sent by one agent in E episodes of T steps; V messages to choose from."""

    message: Int[Array, "T E"]
    log_prob: Float[Array, "T E"]
    logits: Float[Array, "T E V"]  # over all its messages
    reward: Float[Array, "T E"] | None = None  # intrinsic reward of the messages; None until it is computed


class OthersInfo(struct.PyTreeNode):
    """Information about the other agents that a method requested; fields that were not requested are None.

    Along an axis of A agents the agent itself is first, then the slots after its own, then those before it. An axis
    of N = A - 1 agents leaves out the agent itself.
    """

    action: Int[Array, "T E A"] | None = None  # what every agent did; -1 for absent ones
    reward: Float[Array, "T E A"] | None = None  # extrinsic
    in_view: Bool[Array, "T E N"] | None = None  # the agent sees the other one before the step
    agent_mask: Bool[Array, "T E A"] | None = None  # in the environment, and the episode is not over
    influence: dict[str, Float[Array, "T E"]] | None = None
    """Influence computed from the true policies of other agents, by the `kind` of the method that requested it."""


class Trajectory(struct.PyTreeNode):
    """E whole episodes of T steps of one agent: what its learner gets. Time is the leading axis.

    It holds nothing of the other agents but what a method requested (`others`).
    """

    observation: jax.Array  # u8[T+1, E, ...], the final one included
    action: Int[Array, "T E"]
    reward: Float[Array, "T E"]  # extrinsic plus any intrinsic
    log_prob: Float[Array, "T E"]  # of the action, under the policy that chose it
    is_first: Bool[Array, "T+1 E"]
    terminated: Bool[Array, "T E"]  # nothing follows this step
    loss_mask: Bool[Array, "T E"]  # the agent was in the environment and the episode not over: the step counts
    comms_obs: UInt8[Array, "T+1 E H"] | None = None  # other agents' actions and messages, as the policy gets them
    logits: Float[Array, "T E K"] | None = None  # over all its actions, if a method requested them
    messages: MessageTrajectory | None = None
    others: OthersInfo | None = None
    teacher_action: Int[Array, "T E"] | None = None  # what its teacher would have done in the same state


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
