"""The base class of everything that can be added: network, auxiliary loss, intrinsic reward, learner, task.

A new one is a frozen dataclass derived from one of these, with a field `kind: Literal["..."] = "..."`, registered in
`rookery.plugins` (or by an entry point of the group named there). Every method has a default that does nothing, unless
it says "required". `rookery.testing` has a conformance check for each.

Letters in shapes: A agents or actions, E episodes, T steps of an episode, N sequences or agents of a batch, L steps of
a sequence, F features, M memory outputs, H×W cells.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.nn.cells import LSTM, CellState, RecurrentCell
from rookery.nn.modules import DenseDecoder, apply_module
from rookery.types import Env, PRNGKey, PyTree

if TYPE_CHECKING:
    from rookery.agents.communication import CommunicationConfig
    from rookery.gridworld.spec import GridSpec, ViewConfig
    from rookery.gridworld.state import GridState, MoveResult

# ---------------------------------------------------------------------------------------------------------- Policy

PolicyRole: TypeAlias = Literal["frozen", "scripted", "random"]
"""How a policy came to act as it does; "frozen": it was trained, and no longer changes."""


class Policy:
    """What chooses actions: pure functions for B agents at once, which keep nothing outside `carry`.

    `act` is required; everything else has a default, that of a policy without parameters and without memory. Policies
    are hashable, so that they can be static arguments of compiled functions: frozen dataclasses.
    """

    observation_shape: tuple[int, ...] | None = None
    """Shape of one observation; None: any."""
    privileged: bool = False
    """`act` gets the states of the environments instead of observations: `obs` is (states, slots i32[B])."""
    role: PolicyRole = "frozen"
    communication: CommunicationConfig | None = None
    """What the agent observes besides its view: other agents' actions and messages; None: nothing."""
    comms_obs_size: int = 0
    """Size H of that part of the observation."""
    vocab_size: int = 0
    """How many different messages the agent can send; 0: it sends none."""

    def init(self, key: PRNGKey) -> PyTree:
        """Fresh parameters."""
        return ()

    def initial_carry(self, batch: int) -> PyTree:
        """The memory of B agents before an episode; every array leads with B."""
        return ()

    def act(
        self, params: PyTree, carry: PyTree, obs: PyTree, is_first: Bool[Array, "B"], key: PRNGKey
    ) -> tuple[Int[Array, "B"], PyTree, dict[str, jax.Array]]:
        """Required. Choose one action per agent.

        Args:
          obs: u8[B, *observation_shape], or, if `privileged`, (states, slots i32[B]).
          is_first: the observation opens an episode: forget everything before it.
        Where `comms_obs_size` is above 0, a last argument `comms_obs`, u8[B, H], is passed as well.
        Returns: the actions, the next carry, and extras. A policy that learns gives `log_prob` and `value`, f32[B].
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method act(params, carry, obs, is_first, key)")

    def set_executed_action(self, carry: PyTree, obs: PyTree, action: Int[Array, "B"]) -> PyTree:
        """The carry after the environments executed `action` instead of the action this policy chose for `obs`.

        A teacher is asked at every step, but its student acts. Only a policy that remembers its own actions needs this.
        """
        return carry


# --------------------------------------------------------------------------------------------------------- Network


class NumpyForward(NamedTuple):
    """A network's forward functions in numpy, for agents that act without JAX.

    The parameters are those of `Network.encoder`, `recurrent_cell` and `heads`, as numpy arrays.
    """

    encode: Callable[[PyTree, np.ndarray], np.ndarray]
    """(params, observations u8[N, ...]) to features f32[N, F]"""
    step: Callable[[PyTree, CellState, np.ndarray], CellState]
    """(params, state, features f32[N, F]) to the next state"""
    heads: Callable[[PyTree, np.ndarray], tuple[np.ndarray, np.ndarray]]
    """(params, state.hidden f32[N, M]) to (logits f32[N, A], values f32[N])"""


class Network:
    """The network of a recurrent policy: encoder, recurrent cell, heads, and a decoder for auxiliary losses.

    A new one is a frozen dataclass with `kind` and whatever sizes it needs, all with defaults; every field is saved
    with the agents it trains. `hidden_size`, `encoder` and `heads` are required. Modules are Flax modules; what a
    method returns may depend on the fields and arguments only. Register it in `rookery.plugins.NETWORKS`, and check it
    with `rookery.testing.check_network`.
    """

    kind: str
    """Name in configurations and on the cards of agents: `kind: Literal["mine"] = "mine"`."""
    hidden_size: int
    """Size M of the recurrent cell's output: a field, or a constant of the class."""
    cpu_chunk_size: int | None = None
    """How many observations to process at once on a CPU, so that they stay in its caches; None: all at once."""

    def validate(self, observation_shape: tuple[int, ...]) -> None:
        """Raises ConfigError where this network cannot take observations of this shape. Default: takes any."""

    def encoder(self) -> nn.Module:
        """Required. A module from observations u8[N, *observation_shape] to features f32[N, F]."""
        raise NotImplementedError(f"{type(self).__name__} needs a method encoder()")

    def recurrent_cell(self) -> RecurrentCell:
        """The cell, its `features` being `hidden_size`. Default: an LSTM with two bias vectors."""
        return LSTM(self.hidden_size)

    def heads(self, num_actions: int) -> nn.Module:
        """Required. A module from cell outputs f32[..., M] to (logits f32[..., A], values f32[...]).

        A policy that sends messages gets a second one of these, with one logit per message.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method heads(num_actions)")

    def decoder(self, observation_shape: tuple[int, ...], num_actions: int) -> nn.Module:
        """A module that predicts an observation, for auxiliary losses.

        From cell outputs f32[N, M] and one-hot actions f32[N, A] to observations f32[N, *observation_shape], scaled to
        [0, 1]. Default: two dense layers.
        """
        return DenseDecoder(observation_shape=observation_shape, decoder_size=self.hidden_size)

    def shared_features(self, encoder_params: PyTree, observation: UInt8[Array, "N ..."]) -> Float[Array, "N D"]:
        """The part of the encoder that a model of other agents shares with the policy. Default: the whole encoder."""
        return apply_module(self.encoder(), encoder_params, observation)

    def features_from_shared(self, encoder_params: PyTree, shared_features: Float[Array, "N D"]) -> Float[Array, "N F"]:
        """The encoder's features from `shared_features`. Default: they are the same."""
        return shared_features

    def numpy_forward(self) -> NumpyForward | None:
        """The same functions in numpy. Default: None, and `rookery.load` runs the JAX functions on the CPU."""
        return None


# ------------------------------------------------------------------------------------------------------------ Task


class Task:
    """The rules of an environment: a frozen dataclass of settings, hashable, so that it can be a static argument.

    A task on the shared gridworld derives from `rookery.tasks.base.GridTask`, which has the settings that all of them
    share, and defines `kind`, `metric_names`, `default_params`, `generate` and `reward`. A task with an environment of
    its own derives from `Task` and defines `kind`, `metric_names`, `default_params` and `make_env`; the methods from
    `generate` on are then never called. Either is registered under an id by `rookery.tasks.registry.register`.

    All methods are pure and handle one environment; callers vmap. (row, col) with (0, 0) at the top left; headings 0
    north (row - 1), 1 east (col + 1), 2 south, 3 west.
    """

    kind: Any
    """Required: `kind: Literal["..."] = "..."`, the name of this class of tasks in a configuration."""
    metric_names: ClassVar[tuple[str, ...]] = ()
    """Names of what is counted for each agent: the keys of `TimeStep.info`."""
    views: tuple[ViewConfig, ...] = ()
    """What each agent observes, one per agent, for tasks that observe part of a grid."""
    grid_spec: GridSpec | None = None
    """Size, agents and movement of the shared gridworld; None for a task with an environment of its own."""

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the actions in their order, for people; empty: their numbers."""
        return ()

    def default_params(self) -> PyTree:
        """Required: the numbers that a schedule may change during a run without recompiling.

        A `flax.struct.PyTreeNode` of arrays. Scalars named as a setting of the task can be scheduled under that name.
        On the gridworld it has a field `world: GridParams`.
        """
        raise NotImplementedError

    def make_env(self) -> Env:
        """Required, but GridTask defines it: the environment with these rules."""
        raise NotImplementedError

    def to_text(self, state: PyTree) -> str:
        """A state as text, for people; empty for tasks that cannot be drawn as text. `state`: numpy arrays."""
        return ""

    # What follows is for tasks on the gridworld.

    def generate(self, key: PRNGKey) -> tuple[UInt8[Array, "H W"], Int[Array, "A 2"], Int[Array, "A"], PyTree]:
        """Required on the gridworld: the start of an episode.

        Returns: tiles (kinds of `rookery.gridworld.tiles`), positions (row, col), headings 0 to 3, and the task's own
        state, any PyTree; it becomes `GridState.task`.
        """
        raise NotImplementedError

    def reward(
        self, before: GridState, after: GridState, move_result: MoveResult, params: PyTree
    ) -> tuple[Float[Array, "A"], PyTree, dict[str, Float[Array, "A"]]]:
        """Required on the gridworld: what a step pays.

        Args:
          before: the state before the step. after: the state once agents have moved; its `task` is still the old one.
          move_result: who moved, and the actions. params: as from `default_params`.
        Returns: reward f32[A], 0 for absent agents; the task's next state, with the same structure, shapes and types;
        and the metrics, f32[A] for each of `metric_names`.
        """
        raise NotImplementedError

    def post_step(self, key: PRNGKey, before: GridState, after: GridState, move_result: MoveResult) -> GridState:
        """What the task changes in the world after a step is paid, such as agents placed elsewhere. Default: nothing.

        `after.task` is what `reward` returned. `key` is for this step alone. Obstacles may not change.
        """
        return after

    def is_terminal(self, state: GridState) -> Bool[Array, ""]:
        """Whether the episode is over before its time limit: `TimeStep.terminated`. Default: never."""
        return jnp.bool_(False)

    def invisible_agents(self, state: GridState, params: PyTree) -> Bool[Array, "A A"] | None:
        """Which agents (columns) each agent (row) cannot see although they are there. Default: None, no agent.

        Called at reset and after every step; randomness comes from the state's key and step.
        """
        return None

    def goal_cells(self, task_state: PyTree) -> Int[Array, "K 2"]:
        """Cells (row, col) of the goals in the task's own state, in their order, for drawings. Default: K = 0."""
        return jnp.zeros((0, 2), jnp.int32)
