"""The base class of everything that can be added: network, auxiliary loss, intrinsic reward, learner, task.

A new one is a frozen dataclass derived from one of these, with a field `kind: Literal["..."] = "..."`, registered in
`rookery.plugins` (or by an entry point of the group named there). Every method has a default that does nothing, unless
it says "required". `rookery.testing` has a conformance check for each.

Letters in shapes: A agents or actions, E episodes, T steps of an episode, N sequences or agents of a batch, L steps of
a sequence, F features, M memory outputs, H×W cells.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.errors import ConfigError
from rookery.limits import NumericFields
from rookery.nn.cells import LSTM, CellState, RecurrentCell
from rookery.nn.modules import DecoderActivation, DenseDecoder, apply_module
from rookery.types import Env, PRNGKey, PyTree, Sequences, Trajectory

if TYPE_CHECKING:
    from rookery.agents.communication import CommunicationConfig
    from rookery.agents.recurrent import RecurrentPolicy
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


class Network(NumericFields):
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
        """The cell, its `features` being `hidden_size`. Default: an LSTM with two bias vectors.

        Its state is a NamedTuple of arrays f32[N, ...] with a field `hidden`, f32[N, M].
        """
        return LSTM(self.hidden_size)

    def heads(self, num_actions: int) -> nn.Module:
        """Required. A module from cell outputs f32[..., M] to (logits f32[..., A], values f32[...]).

        A policy that sends messages gets a second one of these, with one logit per message.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method heads(num_actions)")

    def decoder(
        self, observation_shape: tuple[int, ...], num_actions: int, activation: DecoderActivation = "tanh"
    ) -> nn.Module:
        """A module that predicts an observation, for auxiliary losses.

        From cell outputs f32[N, M] and one-hot actions f32[N, A] to observations f32[N, *observation_shape], scaled to
        [0, 1]. Default: two dense layers.

        Args:
          activation: of the dense hidden layer. Its outputs, sown as `nn.modules.DECODER_UNITS`, are what the health of
            the loss counts dead units of; a decoder that does not sow them is not checked for any.
        """
        return DenseDecoder(observation_shape=observation_shape, decoder_size=self.hidden_size, activation=activation)

    def shared_features(self, encoder_params: PyTree, observation: UInt8[Array, "N ..."]) -> Float[Array, "N D"]:
        """The part of the encoder that a model of other agents shares with the policy. Default: the whole encoder."""
        return apply_module(self.encoder(), encoder_params, observation)

    def features_from_shared(self, encoder_params: PyTree, shared_features: Float[Array, "N D"]) -> Float[Array, "N F"]:
        """The encoder's features from `shared_features`. Default: they are the same."""
        return shared_features

    def numpy_forward(self) -> NumpyForward | None:
        """The same functions in numpy. Default: None, and `rookery.load` runs the JAX functions on the CPU."""
        return None


# ------------------------------------------------------------------------------------------------------ LossInputs


class LossInputs(NamedTuple):
    """What auxiliary losses and losses of intrinsic rewards are computed from: a minibatch and the policy.

    It may be a part of the minibatch, with whole sequences, unless one of them has `splits_minibatch = False`.
    """

    policy: RecurrentPolicy
    policy_params: PyTree  # gradients flow into them
    batch: Sequences
    hidden: Float[Array, "L N M"]  # outputs of the recurrent cell, after it has read the observation of the step
    key: PRNGKey  # for this loss and this minibatch alone

    @property
    def features(self) -> Float[Array, "L N F"]:
        """The encoder's features of the observation of each step."""
        return self.encode(self.batch.observation[:-1])

    @property
    def next_features(self) -> Float[Array, "L N F"]:
        """The encoder's features of the observation after each step."""
        return self.encode(self.batch.observation[1:])

    def encode(self, observation: UInt8[Array, "T N ..."]) -> Float[Array, "T N F"]:
        """The encoder's features of any observations of this shape."""
        return self.policy.inputs(self.policy_params, observation)


class HealthInputs(NamedTuple):
    """What the health of a loss or reward is measured on: E held-out episodes of T steps, which nothing learns from."""

    policy: RecurrentPolicy
    policy_params: PyTree
    trajectory: Trajectory
    hidden: Float[Array, "T E M"]  # outputs of the recurrent cell, after it has read the observation of the step
    agent_scores: Callable[[Float[Array, "N ..."]], Float[Array, "N C"] | None] | None = None
    """Which parts of observations, scaled to [0, 1], show other agents: `Env.agent_scores` of the agent's slot."""


# --------------------------------------------------------------------------------------------------- AuxiliaryLoss


@dataclasses.dataclass(frozen=True, kw_only=True)
class AuxiliaryLoss(NumericFields):
    """A loss that a learner adds to its own, for what it teaches the policy's encoder and recurrent cell.

    A new one is a frozen dataclass with `kind` and, where it has any, further settings. Only `loss` is required.
    Register it in `rookery.plugins.AUXILIARY_LOSSES`, and check it with `rookery.testing.check_auxiliary_loss`.

    The learner adds `weight` times the mean of `loss` over the steps of `loss_mask`, times its scheduled
    hyperparameter `aux_loss_scale`, and writes the mean as the metric `aux_loss/KIND`.
    """

    kind: str
    """Name in configurations and metrics: `kind: Literal["mine"] = "mine"`."""
    weight: float = 1.0
    """Factor on the loss, at least 0."""

    required_info: ClassVar[tuple[str, ...]] = ()
    """Information about other agents that a rollout records for it, names of `OTHERS_INFO`, as `inputs.batch.others`.
    Targets alone: the policy never observes them. R2D2 takes no loss that requests any."""
    trains_encoder: ClassVar[bool] = True
    """Gradients reach the policy's encoder. False, for one that only measures, such as a probe: it trains its own
    parameters alone."""
    splits_minibatch: ClassVar[bool] = True
    """The number of a step depends on its own sequence alone, so that a minibatch may be read in parts, which is faster
    where the parts fit the caches of a CPU. False, for one that compares sequences, such as a contrastive loss: `loss`
    and `loss_mask` get the whole minibatch at once."""

    def __post_init__(self) -> None:
        if self.weight < 0:
            raise ConfigError(f"auxiliary loss {self.kind!r}: weight={self.weight} must be at least 0")

    def validate(self, policy: RecurrentPolicy) -> None:
        """Raises ConfigError if it does not fit what the policy observes. Default: it fits any."""

    def init(self, key: PRNGKey, policy: RecurrentPolicy) -> PyTree:
        """Initial parameters of the loss's own, such as a decoder's; the learner trains them. Default: none."""
        return {}

    def loss_mask(self, batch: Sequences) -> Bool[Array, "..."]:
        """What the loss is averaged over. Default: the steps that count, bool[L, N]."""
        return batch.loss_mask

    def loss(self, params: PyTree, inputs: LossInputs) -> Float[Array, "..."]:
        """Required. One number for every entry of `loss_mask`; the learner masks them and takes the mean.

        Args:
          params: as from `init`.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method loss(params, inputs)")

    def metrics(self, params: PyTree, inputs: LossInputs) -> dict[str, Float[Array, ""]]:
        """Further numbers to write, as the metrics `KIND/NAME`, averaged over minibatches. Default: none.

        Each is a mean over `loss_mask`: a minibatch that is read in parts adds them up by each part's fraction of it.
        """
        return {}

    def health(self, params: PyTree, inputs: HealthInputs) -> dict[str, Float[Array, ""]]:
        """Whether it is learned: numbers on held-out episodes, measured at every checkpoint. Default: none.

        They are written as the metrics `health/KIND/NAME` of the evaluation. `error`, `error_constant` and `error_copy`
        are the errors of the prediction and of two trivial ones, docs/auxiliary-losses.md: a run warns if the first is
        not the smallest.
        """
        return {}


# ------------------------------------------------------------------------------------------------- IntrinsicReward


@dataclasses.dataclass(frozen=True, kw_only=True)
class IntrinsicReward(NumericFields):
    """A reward that an agent gives itself in addition to the environment's.

    A new one is a frozen dataclass with `kind` and, where it has any, further settings. Only `reward` is required.
    Register it in `rookery.plugins.INTRINSIC_REWARDS`, and check it with `rookery.testing.check_intrinsic_reward`.

    In every update a learner first calls `update_state`, then `reward`, whose result is masked, multiplied by the
    weight and the learner's scheduled hyperparameter `intrinsic_scale`, and added to the environment's reward, without
    gradient. If there is a `loss`, it is then minimized together with the learner's own.

    `params` is a dictionary of all parameters of the learner: 'policy', 'auxiliary' (by kind) and 'intrinsic' (by
    kind). What `init` returned, as trained since, is `self.own_params(params)`.
    """

    kind: str
    """Name in configurations and metrics: `kind: Literal["mine"] = "mine"`."""
    weight: float = 1.0
    """Factor on the reward, at least 0."""
    warmup_steps: float = 0.0
    """The weight rises linearly from 0 over this many environment steps of a run. Jaques et al. 2019: curriculum."""

    required_info: ClassVar[tuple[str, ...]] = ()
    """Information about other agents that a rollout records for it, names of `REQUESTABLE_INFO`; no other is given."""
    measures_influence: ClassVar[bool] = False
    """It is an influence on other agents: the fraction of steps with a reward above its mean is then a metric."""
    pays_messages: ClassVar[bool] = False
    """It is the reward of the agent's messages instead of its actions. Messages get `extrinsic_coef` times the
    environment's reward, too."""
    supports_leaving: ClassVar[bool] = True
    """As `Learner.supports_leaving`."""
    loss_name: ClassVar[str] = "intrinsic_loss"
    """The mean of `loss` is written as the metric `LOSS_NAME/KIND`."""
    splits_minibatch: ClassVar[bool] = True
    """As `AuxiliaryLoss.splits_minibatch`, of `loss` and `loss_mask`."""

    # The following become settings where a class declares them as fields.
    loss_weight: ClassVar[float] = 1.0
    """Factor on `loss`, or, if it pays messages, on the loss of the message policy."""
    extrinsic_coef: ClassVar[float] = 1.0
    """If it pays messages: how much they get of the environment's reward."""
    ent_coef: ClassVar[float] = 0.0
    """If it pays messages: weight of the message policy's entropy bonus, per nat."""

    def __post_init__(self) -> None:
        if self.weight < 0 or self.warmup_steps < 0:
            raise ConfigError(
                f"{self.kind}: weight={self.weight} and warmup_steps={self.warmup_steps} must be at least 0"
            )

    def weight_at(self, timesteps: float | Float[Array, ""]) -> Float[Array, ""]:
        """The weight after this many environment steps of a run."""
        if not self.warmup_steps:
            return jnp.float32(self.weight)
        return self.weight * jnp.minimum(timesteps / self.warmup_steps, 1.0)

    def validate(self, policy: RecurrentPolicy) -> None:
        """Raises ConfigError if it does not fit the policy or its number of agents. Default: it fits any."""

    def init(self, key: PRNGKey, policy: RecurrentPolicy) -> PyTree:
        """Initial parameters of its own, trained by `loss`. Default: none."""
        return {}

    def own_params(self, params: PyTree) -> PyTree:
        """Its own part of the learner's parameters: what `init` returned, as trained since."""
        return params["intrinsic"][self.kind]

    def init_state(self, policy: RecurrentPolicy) -> PyTree:
        """What it keeps from update to update without training it, such as counts; arrays. Default: nothing."""
        return ()

    def update_state(self, state: PyTree, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory) -> PyTree:
        """The state after the episodes of an update, with the same structure, shapes and types. Default: unchanged."""
        return state

    def reward(
        self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory, state: PyTree
    ) -> Float[Array, "T E"]:
        """Required, unless `influence` is defined. The reward of every step, without the weight.

        Args:
          trajectory: E whole episodes of T steps; `trajectory.others` has what `required_info` names.
          state: after `update_state` with these same episodes.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method reward(params, policy, trajectory, state)")

    def influence(
        self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory
    ) -> Float[Array, "T E N"] | None:
        """The influence on each of the N other agents, in nats: the reward is then its sum, and `reward` is not called.

        The others are in the order of the slots after the agent's own, then those before it. Default: None.
        """
        return None

    def pre_step_state(self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory) -> PyTree:
        """If `loss` runs a recurrent network of its own: its state before every step, arrays [T, E, ...].

        Default: None. The state before a sequence's first step is passed to `loss` as `carry`.
        """
        return None

    def loss_mask(self, batch: Sequences) -> Bool[Array, "..."] | None:
        """What the loss is averaged over: bool[L, N], or with further axes. Default: None, there is no loss."""
        return None

    def loss(self, params: PyTree, inputs: LossInputs, carry: PyTree) -> Float[Array, "..."]:
        """One number for every entry of `loss_mask`; the learner masks them and takes the mean.

        Required where `loss_mask` is not None. It is multiplied by `loss_weight` and the learner's `aux_loss_scale`.

        Args:
          carry: arrays [N, ...] from `pre_step_state`, or None.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method loss(params, inputs, carry)")

    def health(self, params: PyTree, inputs: HealthInputs) -> dict[str, Float[Array, ""]]:
        """Whether its own model is learned, as `AuxiliaryLoss.health`. Default: no numbers.

        Args:
          params: all of the learner's.
        """
        return {}


OTHERS_INFO = ("action", "reward", "in_view", "relative_position", "agent_mask")
"""Names allowed in `required_info` of auxiliary losses: fields of `rookery.types.OthersInfo` that a rollout records."""

REQUESTABLE_INFO = (*OTHERS_INFO, "logits", "influence")
"""Names allowed in `required_info` of learners and intrinsic rewards. 'logits' are the agent's own,
`Trajectory.logits`. 'influence', of rewards alone, is computed from the other agents' true policies and recurrent
states; a reward that requests it has a field `divergence`."""


def requestable_info(part: AuxiliaryLoss | IntrinsicReward | Learner) -> tuple[str, ...]:
    """The names of `REQUESTABLE_INFO` that `required_info` of this loss, reward or learner may have."""
    if isinstance(part, AuxiliaryLoss):
        return OTHERS_INFO
    return REQUESTABLE_INFO if isinstance(part, IntrinsicReward) else (*OTHERS_INFO, "logits")


def check_required_info(part: AuxiliaryLoss | IntrinsicReward | Learner) -> None:
    """Raises ConfigError if `required_info` has a name that nothing is recorded under for it."""
    if unknown := sorted(set(part.required_info) - set(requestable_info(part))):
        allowed = ", ".join(map(repr, requestable_info(part)))
        raise ConfigError(f"{type(part).__name__}.required_info has {unknown}; allowed: {allowed}")


# --------------------------------------------------------------------------------------------------------- Learner


class Learner(NumericFields):
    """How one agent learns: a frozen dataclass of settings, with pure functions of that agent's own experience.

    A new one needs `kind`, `hparams`, `init` and `update`. Register it in `rookery.plugins.LEARNERS`, and check it with
    `rookery.testing.check_learner`. One that adds losses or rewards of other classes has fields `auxiliary` and
    `intrinsic`; `rookery.learning.actor_critic.ActorCritic` implements both.

    The state of a learner is a NamedTuple with a field `params`, a dictionary, of which `params["policy"]` are the
    parameters of the policy. All else it keeps (optimizer, replay buffer) is in the state, too: a checkpoint holds it.
    It may hold random keys if they are raw, as of `jax.random.PRNGKey`.
    """

    kind: str
    """Name in configurations: `kind: Literal["mine"] = "mine"`."""
    hparams: ClassVar[dict[str, Any]] = {}
    """Numbers that a schedule may change from update to update, by name, with their default schedules.

    `learning_rate`, `ent_coef` and `aux_loss_scale` are fields of every group of a run, which have defaults of their
    own: for these three, a run never uses what stands here.
    """
    nan_guarded_metrics: ClassVar[tuple[str, ...]] = ()
    """Metrics that must stay finite, each one of `update`: otherwise the run stops."""
    auxiliary: tuple[AuxiliaryLoss, ...] = ()
    intrinsic: tuple[IntrinsicReward, ...] = ()
    teacher: str | None = None
    """Whose actions it imitates; see `PPO.teacher`. None: there is no teacher."""
    required_info: tuple[str, ...] = ()
    """Information about other agents that the learner itself receives, in addition to what its losses and rewards
    request: names of `REQUESTABLE_INFO` except 'influence'."""
    supports_teacher: ClassVar[bool] = False
    """Its update learns from `Trajectory.teacher_action`; `hparams` then has `distill_coef` and `teacher_action_prob`,
    and the behavior policy gives the extra `logits`."""
    supports_communication: ClassVar[bool] = False
    """It can train policies that observe or send messages."""
    supports_leaving: ClassVar[bool] = True
    """It can train agents in `Task.dropout_slots`: what they miss has the value of their return, however late it is."""
    supports_sharding: ClassVar[bool] = False
    """Its updates are split by `learning.batch_sharding`, so that idle CPU cores or GPUs can share one update."""

    def validate(self, episodes: int, steps: int) -> None:
        """Raises ConfigError if it cannot learn from updates of this many episodes of this many steps."""

    def eval_policy(self, policy: RecurrentPolicy) -> RecurrentPolicy:
        """The policy as it acts when it is evaluated and exported. Default: the policy itself."""
        return policy

    def behavior_policy(self, policy: RecurrentPolicy) -> Policy:
        """The policy that acts during training, with the parameters `behavior_params`. Default: the policy itself."""
        return policy

    def init(self, policy: RecurrentPolicy, key: PRNGKey, steps: int) -> Any:
        """Required. The initial state. `steps`: length of an episode."""
        raise NotImplementedError(f"{type(self).__name__} needs a method init(policy, key, steps)")

    def load_pretrained(self, state: Any, params: PyTree) -> Any:
        """An initial state with the policy parameters of a trained agent."""
        return state._replace(params={**state.params, "policy": params})

    def behavior_params(self, state: Any, hparams: dict[str, Float[Array, ""]]) -> PyTree:
        """Parameters of the behavior policy. Default: the policy's."""
        return state.params["policy"]

    def health(
        self,
        policy: RecurrentPolicy,
        state: Any,
        trajectory: Trajectory,
        agent_scores: Callable[[Float[Array, "N ..."]], Float[Array, "N C"] | None],
    ) -> dict[str, Float[Array, ""]]:
        """Whether its mechanisms are alive: numbers on held-out episodes, measured at every checkpoint. Default: none.

        They are written as the metrics `health/NAME` of the evaluation. `agent_scores`: as in `HealthInputs`.
        """
        return {}

    def update(
        self,
        policy: RecurrentPolicy,
        state: Any,
        trajectory: Trajectory,
        hparams: dict[str, Float[Array, ""]],
        key: PRNGKey,
    ) -> tuple[Any, dict[str, Float[Array, ""]]]:
        """Required. Learn from the episodes of one update.

        Args:
          hparams: a number for each of `self.hparams`; and, if there are intrinsic rewards, `timesteps`, the
            environment steps of the run so far.
        Returns: the next state, and metrics by name, none of `RESERVED_METRIC_NAMES` and none of the task's. Names are
          printable text, whose parts are joined by "/".
        """
        raise NotImplementedError(
            f"{type(self).__name__} needs a method update(policy, state, trajectory, hparams, key)"
        )


# ------------------------------------------------------------------------------------------------------------ Task


RESERVED_METRIC_NAMES = (
    "return", "return_q15", "return_q85", "longest_streak", "steps_to_first_reward", "influence_received",
    "condition", "episodes", "low", "high", "return_partners", "active",
)  # fmt: skip
"""What runs, `rookery.evaluate` and the adapters themselves tell of an agent: neither a task's nor a learner's metrics
may have these names."""


def check_metric_names(owner: str, names: Iterable[str], taken: Iterable[str] = RESERVED_METRIC_NAMES) -> None:
    """Raises ConfigError for metrics that would take the place of others. `owner`: whose they are, for the message."""
    if wrong := sorted(set(names).intersection(taken)):
        raise ConfigError(f"{owner}: the metric {wrong[0]!r} would replace another of that name; rename it")


class EpisodeRange(NamedTuple):
    """A whole number that a task samples in each episode, uniformly between two borders, both included."""

    least: int
    """The lower border of the task's settings."""
    most: int
    """The upper one: arrays are as large as it needs."""
    least_param: str
    """Name of the task parameter that holds the lower border; a schedule may change it without recompiling."""
    most_param: str


class Task(NumericFields):
    """The rules of an environment: a frozen dataclass of settings, hashable, so that it can be a static argument.

    A task on the shared gridworld derives from `rookery.tasks.grid_task.GridTask`, which has the settings that all of
    them share, and defines `kind`, `metric_names`, `default_params`, `generate` and `reward`. A task with an
    environment of its own derives from `Task` and defines `kind`, `metric_names`, `default_params` and `make_env`; the
    methods from `generate` on are then never called. Either is registered under an id by
    `rookery.tasks.registry.register`.

    All methods are pure and handle one environment; callers vmap. (row, col) with (0, 0) at the top left; headings 0
    north (row - 1), 1 east (col + 1), 2 south, 3 west.
    """

    kind: Any
    """Required: `kind: Literal["..."] = "..."`, the name of this class of tasks in a configuration."""
    metric_names: ClassVar[tuple[str, ...]] = ()
    """Names of what is counted for each agent: the keys of `TimeStep.info`; none of `RESERVED_METRIC_NAMES`."""
    views: tuple[ViewConfig, ...] = ()
    """What each agent observes, one per agent, for tasks that observe part of a grid."""
    dropout_slots: tuple[int, ...] = ()
    """Slots of agents that leave within an episode and return; on the gridworld, see `rookery.gridworld.presence`.
    What a learner in these slots misses is valued by its estimate when it is back, not by what it observes while it is
    away. Agents that leave for good before the episode is over are not supported: at the time limit one that is away
    has its last value."""
    grid_spec: GridSpec | None = None
    """Size, agents and movement of the shared gridworld; None for a task with an environment of its own."""

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the actions in their order, for people; empty: their numbers."""
        return ()

    @property
    def rules_for_players(self) -> tuple[str, ...]:
        """What earns and what costs how much, with the values of this task, for people who play: about two sentences.

        Default: none.
        """
        return ()

    def default_params(self) -> PyTree:
        """Required: the numbers that a schedule may change during a run without recompiling.

        A `flax.struct.PyTreeNode` of arrays. Scalars named as a setting of the task can be scheduled under that name.
        On the gridworld it has a field `world: GridParams`.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method default_params()")

    def make_env(self) -> Env:
        """Required, but GridTask defines it: the environment with these rules. Its `max_steps` is a run's, too."""
        raise NotImplementedError(f"{type(self).__name__} needs a method make_env()")

    def to_text(self, state: PyTree) -> str:
        """A state as text, for people; empty for tasks that cannot be drawn as text. `state`: numpy arrays."""
        return ""

    @property
    def episode_ranges(self) -> dict[str, EpisodeRange]:
        """What the task samples in each episode between borders, by name, such as "goals". Default: nothing."""
        return {}

    # What follows is for tasks on the gridworld.

    def generate(self, key: PRNGKey) -> tuple[UInt8[Array, "H W"], Int[Array, "A 2"], Int[Array, "A"], PyTree]:
        """Required on the gridworld: the start of an episode.

        Returns: tiles (kinds of `rookery.gridworld.tiles`), positions (row, col), headings 0 to 3, and the task's own
        state, any PyTree; it becomes `GridState.task`.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method generate(key)")

    def generate_within(
        self, key: PRNGKey, params: PyTree
    ) -> tuple[UInt8[Array, "H W"], Int[Array, "A 2"], Int[Array, "A"], PyTree]:
        """The start of an episode where `params` have a say in it. Default: as `generate`, whatever they are."""
        return self.generate(key)

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
        raise NotImplementedError(f"{type(self).__name__} needs a method reward(before, after, move_result, params)")

    def post_step(self, key: PRNGKey, before: GridState, after: GridState, move_result: MoveResult) -> GridState:
        """What the task changes in the world after a step is paid, such as agents placed elsewhere. Default: nothing.

        `after.task` is what `reward` returned. `key` is for this step alone. Obstacles may not change. What it sets as
        `agent_mask`, `prestige`, `step` and `invisible_agents` is undone: the environment computes them afterwards. To
        make an agent of `dropout_slots` leave and return, set `away`, which later steps keep where `leave_prob` and
        `return_prob` are 0.
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
        """Cells (row, col) of the goals in the task's own state, in their order, for drawings. Default: K = 0.

        Drawings number them, unless they are of different tile kinds: those have no order, and stand by their kind.
        Goals that an episode does not have (`episode_ranges`) are on an obstacle.
        """
        return jnp.zeros((0, 2), jnp.int32)
