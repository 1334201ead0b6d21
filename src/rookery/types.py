"""Data and base classes of every layer: time steps, environments, and the data of learners and intrinsic rewards.

Letters in shapes: A agents, B environments side by side, T steps of an episode, E episodes, H×W cells, K actions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias

import jax
from flax import struct
from jaxtyping import Array, Bool, Float, Int, UInt8, UInt32

from rookery.errors import ConfigError

if TYPE_CHECKING:
    from rookery.interfaces import Task

PyTree: TypeAlias = Any
PRNGKey: TypeAlias = UInt32[Array, "2"]
PRNG_IMPL = "threefry2x32"
"""JAX's default generator of random numbers, whose keys these are."""
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
    agent_mask: Bool[Array, "A"]  # the agent is in the environment: its step counts; it leaves in dropout_slots alone
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
    def dropout_slots(self) -> tuple[int, ...]:
        """Slots of agents that may leave within an episode and return: those that the task names."""
        return self.task.dropout_slots

    @property
    def action_names(self) -> tuple[str, ...]:
        """The actions by name, for people. By default their numbers."""
        return tuple(str(action) for action in range(self.num_actions))

    def observation_shape(self, slot: int) -> tuple[int, ...]:
        """Shape of the observation of the agent in this slot."""
        raise NotImplementedError(f"{type(self).__name__} needs a method observation_shape(slot)")

    def observation_type(self, slot: int) -> Literal["pixels", "symbolic", "objects"] | None:
        """What the numbers of the agent's observation mean: `pixels`, colors in the last axis of three; `symbolic` or
        `objects`, the channels of the gridworld, as in `ViewConfig`. Default: None, it is not known.

        Losses that predict observations choose their error by it.
        """
        return None

    def default_params(self) -> PyTree:
        """The numbers that a schedule may change without recompiling; passed to `reset` and `step`."""
        raise NotImplementedError(f"{type(self).__name__} needs a method default_params()")

    def reset(
        self, key: PRNGKey, params: PyTree, agent_mask: Bool[Array, "A"] | None = None
    ) -> tuple[PyTree, TimeStep]:
        """Start an episode. `agent_mask`: the agents that take part in it; None: all."""
        raise NotImplementedError(f"{type(self).__name__} needs a method reset(key, params, agent_mask=None)")

    def step(self, state: PyTree, action: Int[Array, "A"], params: PyTree) -> tuple[PyTree, TimeStep]:
        """All agents act once. Randomness comes from the state, so the same state and action give the same step."""
        raise NotImplementedError(f"{type(self).__name__} needs a method step(state, action, params)")

    def observe(self, state: PyTree) -> Observation:
        """Observations of all agents in this state, as `step` returns them. Needed by JaxMARL's `get_obs` only.

        Raises: ConfigError if the environment does not say.
        """
        raise ConfigError(f"{type(self).__name__} has no observations of a state; override its method observe(state)")

    def agent_scores(self, slot: int, observation: Float[Array, "N ..."]) -> Float[Array, "N C"] | None:
        """How much each of C parts of the agent's observations looks like one that shows another agent.

        A part shows one if its score is above 0. Observations are scaled to [0, 1] and may be predicted ones, whose
        parts are ranked by their scores. Default: None, it is not known.
        """
        return None

    def in_view(self, state: PyTree) -> Bool[Array, "A A"]:
        """Which agents (columns) each agent (row) sees now, itself never. Needed by some intrinsic rewards only.

        Raises: ConfigError if the environment does not know.
        """
        raise ConfigError(
            f"{type(self).__name__} cannot tell which agents an agent sees; override its method in_view(state), or use "
            "a method that does not request 'in_view'"
        )

    def relative_positions(self, state: PyTree) -> Int[Array, "A A 2"]:
        """Where each agent (columns) is, seen from each agent (rows): cells ahead of it, and to its right.

        Needed by some auxiliary losses only.
        Raises: ConfigError if the environment does not know.
        """
        raise ConfigError(
            f"{type(self).__name__} cannot tell where agents are; override its method relative_positions(state), or "
            "use a method that does not request 'relative_position'"
        )


class MessageTrajectory(struct.PyTreeNode):
    """Messages sent by one agent in E episodes of T steps; V messages to choose from."""

    message: Int[Array, "T E"]
    log_prob: Float[Array, "T E"]
    logits: Float[Array, "T E V"]  # over all its messages
    reward: Float[Array, "T E"] | None = None  # intrinsic reward of the messages; None until it is computed


class OthersInfo(struct.PyTreeNode):
    """Information about the other agents that a method requested; fields that were not requested are None.

    Along an axis of A agents the agent itself is first, then the slots after its own, then those before it. An axis
    of N = A - 1 agents leaves out the agent itself. An absent agent does -1, is paid 0 and is not in view; its relative
    position is arbitrary.
    """

    action: Int[Array, "T E A"] | None = None  # what every agent did; -1 for absent ones
    reward: Float[Array, "T E A"] | None = None  # extrinsic
    in_view: Bool[Array, "T E N"] | None = None  # the agent sees the other one before the step
    relative_position: Int[Array, "T E N 2"] | None = None  # of the other one before the step: ahead, to the right
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
    agent_mask: Bool[Array, "T+1 E"] | None = None
    """Whether the agent is in the environment at each observation, of agents that may leave and return
    (`Env.dropout_slots`). No loss trains the value of an observation that it misses. None: it stays once it is there.
    """
    comms_obs: UInt8[Array, "T+1 E H"] | None = None  # other agents' actions and messages, as the policy gets them
    logits: Float[Array, "T E K"] | None = None  # over all its actions, if a method requested them
    messages: MessageTrajectory | None = None
    others: OthersInfo | None = None
    teacher_action: Int[Array, "T E"] | None = None  # what its teacher would have done in the same state


class Sequences(NamedTuple):
    """A minibatch: N sequences of L steps of one agent, cut from episodes. Time leads.

    Steps that do not count (`loss_mask` False) hold arbitrary numbers. A field that a learner does not use is None.
    """

    observation: jax.Array  # u8[L+1, N, ...], with the observation after the last step
    is_first: Bool[Array, "L+1 N"]  # the observation opens an episode
    action: Int[Array, "L N"]
    reward: Float[Array, "L N"]  # for the action, intrinsic rewards included
    terminated: Bool[Array, "L N"]  # nothing follows the step
    loss_mask: Bool[Array, "L N"]  # the agent was in the environment and the episode was not over
    next_in_episode: Bool[Array, "L N"]  # the step and the step after it count, and both are of one episode
    carry: PyTree  # state of the policy's recurrent cell before the sequence, f32[N, ...]
    log_prob: Float[Array, "L N"] | None = None  # of the action, under the policy that took it
    advantage: Float[Array, "L N"] | None = None
    target: Float[Array, "L N"] | None = None  # of the value
    intrinsic_carry: dict[str, PyTree] = {}  # noqa: RUF012 (never changed): by kind, see `pre_step_state`; f32[N, ...]
    comms_obs: UInt8[Array, "L N H"] | None = None
    others: OthersInfo | None = None  # what intrinsic rewards requested, of L+1 steps; past the end, the last again
    messages: MessageMinibatch | None = None
    teacher_action: Int[Array, "L N"] | None = None  # what the teacher would have done


class MessageMinibatch(NamedTuple):
    """The messages of a minibatch."""

    message: Int[Array, "L N"]
    log_prob: Float[Array, "L N"]  # under the policy that sent it
    advantage: Float[Array, "L N"]
    target: Float[Array, "L N"]  # of the messages' value
