"""A run as pure functions: `train_step(state) -> state, metrics`, for all variants and seeds at once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from rookery import keys
from rookery.agents.team import AgentGroup, Team
from rookery.agents.team_setup import TeamSetup
from rookery.backend import jax_devices
from rookery.errors import ConfigError
from rookery.interfaces import RESERVED_METRIC_NAMES, EpisodeRange, check_metric_names
from rookery.learning import batch_sharding
from rookery.learning.intrinsic import combine, counterfactual
from rookery.learning.rollout import EpisodeStats, rollout, sample_agent_mask
from rookery.training.config import RunConfig, Variant
from rookery.training.devices import devices_per_replica, on_cpu
from rookery.training.extension_checks import check_update
from rookery.training.schedules import Schedule, is_schedule, padded_points, schedule_points, value_at
from rookery.training.widening import WideningState, border_params, initial_widening
from rookery.types import Env, PRNGKey, PyTree

NO_VALUE = np.float32(-3e38)
"""Stands for NaN in what compiled programs return; no metric has this value."""


class TrainState(struct.PyTreeNode):
    """All of a run's changing state; every leaf leads with the M replicas (variant, seed)."""

    learners: dict[str, PyTree]  # by group; leaves [M, S, ...], S slots
    num_updates: Int[Array, "M"]  # updates done
    key: PRNGKey  # [M, 2]; never changes: each update folds in its number
    widening: WideningState | None = None  # None: the run widens nothing


def wrong_update(update: int, state: TrainState) -> str | None:
    """Why a state cannot be that of an update, in words; None: it can."""
    done = sorted(set(np.asarray(state.num_updates).tolist()))
    return None if done == [update] else f"its state has done {' or '.join(map(str, done))} updates"


class ReplicaSchedules(NamedTuple):
    """What differs between replicas and changes during a run: points of schedules, leaves [M, P, 2]."""

    hparams: dict[str, dict[str, Float[Array, "M P 2"]]]  # by group, then by name
    social_episode_prob: Float[Array, "M P 2"]
    env_params: dict[str, Float[Array, "M P 2"]]  # by name of the task parameter
    replica_params: dict[str, PyTree]  # `Run.replica_params`, which do not change; leaves [M, ...]


def replica_schedules(config: RunConfig) -> ReplicaSchedules:
    """Stack the schedules of all replicas, variant by variant, each for all its seeds.

    Raises: ConfigError for a schedule of a parameter that the task does not have, or of a value that it refuses.
    """
    constants = default_env_values(config)
    for schedules in (config.env_schedules, *(variant.env_schedules or {} for variant in config.variants)):
        _check_schedule_values(config.task, schedules)
    variants = [_variant_schedules(config, variant, constants) for variant in config.variants]
    for variant in variants:
        _check_borders(config.task.episode_ranges, variant.env_params)
    longest = max(len(schedule_points(s)) for v in variants for s in jax.tree.leaves(v, is_leaf=is_schedule))
    padded = [jax.tree.map(lambda s: padded_points(s, longest), v, is_leaf=is_schedule) for v in variants]
    replicas = [variant for variant in padded for _ in range(config.num_seeds)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *replicas)


def default_env_values(config: RunConfig) -> dict[str, float]:
    """The task's own value of every parameter that the run or one of its variants schedules.

    Raises: ConfigError for a parameter that the task does not have.
    """
    scheduled = {*config.env_schedules, *(name for variant in config.variants for name in variant.env_schedules or ())}
    defaults = _scalar_params(config.task.default_params())
    for name in sorted(scheduled):
        if name not in defaults:
            raise ConfigError(
                f"env_schedules.{name} is not a number of this task; allowed: {', '.join(sorted(defaults))}"
            )
    return {name: float(defaults[name]) for name in sorted(scheduled)}


def _variant_schedules(config: RunConfig, variant: Variant, constants: dict[str, float]) -> Any:
    """`ReplicaSchedules` of one variant whose leaves are still schedules. `constants`: the task's own parameters."""
    hparams = {}
    for group in config.team:
        if group.learner is not None:
            hparams[group.name] = {name: group.hparam_schedule(name) for name in group.learner.hparams}
            for name in group.learner.hparams:
                if (schedule := variant.hparam_schedule(name)) is not None:
                    hparams[group.name][name] = schedule
    prob = config.social_episode_prob if variant.social_episode_prob is None else variant.social_episode_prob
    env_params: Any = {**constants, **config.env_schedules, **(variant.env_schedules or {})}
    return ReplicaSchedules(hparams, prob, env_params, {})  # type: ignore[arg-type] (not arrays yet)


def _scalar_params(params: PyTree) -> dict[str, Array]:
    """Task parameters that a schedule may set: the scalars of the task and of its world, by name."""
    fields = _fields(params)
    scalars = _scalar_params(fields["world"]) if "world" in fields else {}
    return scalars | {k: v for k, v in fields.items() if isinstance(v, jax.Array) and v.ndim == 0}


def _fields(params: PyTree) -> dict[str, Any]:
    return {field.name: getattr(params, field.name) for field in dataclasses.fields(params)}


def _check_schedule_values(task: Any, schedules: dict[str, Schedule]) -> None:
    """Raises ConfigError for a scheduled value that the task itself would refuse."""
    fields = {field.name for field in dataclasses.fields(task)}
    for name, schedule in schedules.items():
        for _, value in schedule_points(schedule) if name in fields else ():
            try:
                _check_field(task, name, value)
            except ConfigError as error:
                raise ConfigError(f"env_schedules.{name}: {error}") from None


def _check_borders(ranges: dict[str, EpisodeRange], schedules: dict[str, Schedule]) -> None:
    """Raises ConfigError for scheduled borders of a range that the task does not sample, or that cross: they would be
    moved to where they can be."""
    for least, most, *names in ranges.values():
        borders = [np.array(schedule_points(schedules.get(name, default))).T
                   for name, default in zip(names, (least, most), strict=True)]  # fmt: skip
        for name, (_, values) in zip(names, borders, strict=True):
            if (values < least).any() or (values > most).any():
                raise ConfigError(
                    f"env_schedules.{name}: its values must lie in [{least}, {most}], the task's own range"
                )
        fractions = np.concatenate([fraction for fraction, _ in borders])
        low, high = (np.interp(fractions, *border) for border in borders)
        if (low > high).any():
            raise ConfigError(f"env_schedules: {names[0]} is above {names[1]} in a part of the run; change one of them")


def _check_field(task: Any, name: str, value: float) -> None:
    """Raises ConfigError for a value that the task refuses. Saved schedules have floats, also for whole numbers."""
    is_whole = not isinstance(getattr(task, name), float) and float(value).is_integer()
    dataclasses.replace(task, **{name: int(value) if is_whole else value})


def with_scalar_params(params: PyTree, values: dict[str, Array]) -> PyTree:
    """The parameters with some of `_scalar_params` set to other values, in the types that the task gave them.

    Schedules have floats, also for whole numbers: these are rounded.
    """
    fields = _fields(params)
    of_task = {name: _as_type_of(fields[name], value) for name, value in values.items() if name in fields}
    of_world = {name: value for name, value in values.items() if name not in fields}
    return params.replace(**of_task, **({"world": with_scalar_params(params.world, of_world)} if of_world else {}))


def _as_type_of(parameter: Array, value: Array) -> Array:
    """A scheduled value in the type of the parameter that it replaces."""
    dtype = jnp.asarray(parameter).dtype
    if value.dtype == dtype:
        return value
    return (value if jnp.issubdtype(dtype, jnp.floating) else jnp.round(value)).astype(dtype)


@dataclasses.dataclass(frozen=True)
class Run:
    """The pure functions of a run."""

    config: RunConfig
    env: Env
    team: Team
    frozen_params: dict[str, PyTree] = dataclasses.field(hash=False, compare=False)
    """Parameters of the groups that do not learn, by name."""
    own: range | None = None
    """Numbers of the replicas that this process trains, if others train the rest; None: all."""
    replica_params: dict[str, PyTree] = dataclasses.field(default_factory=dict, hash=False, compare=False)
    """Parameters of the groups that do not learn and have another agent in each replica; leaves [M, ...]."""

    def __post_init__(self) -> None:
        self.team.validate(self.env)
        counterfactual.check_influence_setup(self.team)

    @property
    def replicas(self) -> tuple[tuple[str, int], ...]:
        """(variant name, seed) of the replicas that this process trains."""
        return self.config.replicas if self.own is None else self.config.replicas[self.own.start : self.own.stop]

    @property
    def schedules(self) -> ReplicaSchedules:
        """`replica_schedules` of the replicas that this process trains."""
        schedules = replica_schedules(self.config)._replace(replica_params=self.replica_params)
        own = self.own
        return schedules if own is None else jax.tree.map(lambda x: x[own.start : own.stop], schedules)

    def init(self) -> TrainState:
        """Untrained learners for every replica. Replicas of one seed start alike in every variant."""

        def init_replica(seed):
            key = jax.random.fold_in(jax.random.PRNGKey(seed), keys.TRAINING)
            learners = {}
            for number, group in enumerate(self.team.learning_groups):
                slot_keys = jax.random.split(
                    jax.random.fold_in(key, keys.FIRST_GROUP_PARAMS + number), len(group.slots)
                )
                init = functools.partial(group.learner.init, group.policy, steps=self.env.max_steps)
                # Not vmap: orthogonal initializations of several slots at once can deadlock on few cores.
                learners[group.name] = jax.lax.map(init, slot_keys)
            widening = initial_widening(self.config.widening, self.config.task.episode_ranges)
            return TrainState(learners=learners, num_updates=jnp.int32(0), key=key, widening=widening)

        seeds = jnp.array([seed for _, seed in self.replicas], jnp.int32)
        return jax.jit(lambda seeds: jax.lax.map(init_replica, seeds))(seeds)

    @property
    def behavior_team(self) -> Team:
        """The team with the policies that act during training."""
        return Team(
            tuple(
                dataclasses.replace(group, policy=group.learner.behavior_policy(group.policy))
                if group.learns
                else group
                for group in self.team.groups
            )
        )

    def team_setup(self, learners: dict[str, PyTree], frozen_params: dict[str, PyTree] | None = None) -> TeamSetup:
        """The team of one replica as it is evaluated.

        Args:
          learners: of one replica, by group, leaves [S, ...].
          frozen_params: None: the run's own.
        """
        trained = {name: learner.params["policy"] for name, learner in learners.items()}
        frozen_params = self.frozen_params if frozen_params is None else frozen_params
        return TeamSetup(self.env, self.team, {**frozen_params, **trained})

    def train_step(
        self, state: TrainState, schedules: ReplicaSchedules, frozen_params: dict[str, PyTree]
    ) -> tuple[TrainState, dict[str, Any]]:
        """One update of one replica (no leading axis): play a batch of episodes, then update each learner."""
        config, groups = self.config, self.team.learning_groups
        fraction = _fraction_done(state.num_updates, config)
        mask_key, rollout_key, learn_key = jax.random.split(jax.random.fold_in(state.key, state.num_updates), 3)
        scheduled = {name: value_at(points, fraction) for name, points in schedules.env_params.items()}
        scheduled |= border_params(config.widening, config.task.episode_ranges, state.widening)
        env_params = with_scalar_params(self.env.default_params(), scheduled)
        social_episode_prob = value_at(schedules.social_episode_prob, fraction)
        agent_mask = sample_agent_mask(
            self.env, self.team, mask_key, config.num_envs, social_episode_prob, state.num_updates
        )
        hparams = {
            group: {name: value_at(points, fraction) for name, points in by_name.items()}
            for group, by_name in schedules.hparams.items()
        }
        params = {**frozen_params, **schedules.replica_params}
        for group in groups:
            behavior_params = functools.partial(group.learner.behavior_params, hparams=hparams[group.name])
            params[group.name] = jax.vmap(behavior_params)(state.learners[group.name])
        teacher_action_prob = {
            group.name: hparams[group.name]["teacher_action_prob"] for group in groups if group.teacher is not None
        }
        trajectories, stats = rollout(
            self.env, self.behavior_team, params, env_params, rollout_key, agent_mask, teacher_action_prob
        )
        summary = hide_missing(summarize(stats))
        metrics = {"social_episode_prob": social_episode_prob, "env_params": scheduled, "agents": summary}
        trajectories, influence_received = counterfactual.add_influence(self.team, params, trajectories)
        if any(group.learner.intrinsic for group in groups):
            timesteps = jnp.float32(state.num_updates) * config.steps_per_update
            hparams = {group: {**by_name, "timesteps": timesteps} for group, by_name in hparams.items()}
        learners = {}
        for number, group in enumerate(groups):
            slot_keys = jax.random.split(jax.random.fold_in(learn_key, number), len(group.slots))

            def update(inputs, g=group):
                learner, trajectory, key = inputs
                result = g.learner.update(g.policy, learner, trajectory, hparams[g.name], key)
                check_update(g, learner, result)
                return result

            # One slot after another: under vmap, what a learner skips would be computed all the same.
            inputs = (state.learners[group.name], trajectories[group.name], slot_keys)
            learners[group.name], metrics[group.name] = jax.lax.map(update, inputs)
            modeled = metrics[group.name].pop(combine.INFLUENCE_ON, None)
            influence_received = self._add_modeled_influence(influence_received, group, modeled)
            taken = {*RESERVED_METRIC_NAMES, *metrics["agents"]}
            check_metric_names(f"group {group.name!r}: the learner {group.learner.kind!r}", metrics[group.name], taken)
        if influence_received is not None:
            metrics["agents"]["influence_received"] = influence_received
        return state.replace(learners=learners, num_updates=state.num_updates + 1), metrics

    def _add_modeled_influence(
        self, received: Float[Array, "A"] | None, group: AgentGroup, influence_on: Float[Array, "S N"] | None
    ) -> Float[Array, "A"] | None:
        """Influence received by each agent per step, plus what a group's models of the others estimate."""
        if influence_on is None:
            return received
        num_agents = self.env.num_agents
        received = jnp.zeros(num_agents) if received is None else received
        others = (jnp.array(group.slots)[:, None] + 1 + jnp.arange(num_agents - 1)) % num_agents
        return received.at[others].add(influence_on)

    def compile_train_step(
        self, devices: list[Any] | None = None
    ) -> Callable[[TrainState, ReplicaSchedules], tuple[TrainState, dict[str, Any]]]:
        """`train_step` of all replicas, split over the devices; jitted. The state passed in is donated."""
        update = self.map_replicas(self.train_step, devices, num_args=2)
        return jax.jit(update, donate_argnums=0, out_shardings=self._sharding(devices))

    def map_replicas(
        self, function: Callable[..., Any], devices: list[Any] | None = None, num_args: int = 1
    ) -> Callable[..., Any]:
        """Lift a function of one replica (and of the frozen parameters, passed last) to all replicas.

        Devices that share a replica (`_mesh`) each do all of its work, except what `learning.batch_sharding` splits.

        On a CPU the replicas of a device run one after another: a batched matrix product with a separate small matrix
        for each seed is much slower there than the same products in turn. Elsewhere they run under vmap.
        If the number of devices does not divide the number of replicas, some replicas run twice and count once, so
        that no device waits for another that does all the remaining work.
        """
        mesh, num_replicas = self._mesh(devices), len(self.replicas)
        in_turn = on_cpu(list(mesh.devices.flat))
        padding = -num_replicas % mesh.shape["replica"]

        def on_device(*args):
            *inputs, frozen_params = args
            if in_turn:
                return jax.lax.map(lambda a: function(*a, frozen_params), tuple(inputs))
            return jax.vmap(lambda *a: function(*a, frozen_params))(*inputs)

        split, replicated = PartitionSpec("replica"), PartitionSpec()
        on_device = jax.shard_map(
            on_device, mesh=mesh, in_specs=(split,) * num_args + (replicated,), out_specs=split, check_vma=False
        )
        frozen_params = self.frozen_params
        if not padding:
            return lambda *inputs: on_device(*inputs, frozen_params)

        def padded(*inputs):
            inputs = jax.tree.map(lambda x: jnp.concatenate([x, x[:padding]]), inputs)
            return jax.tree.map(lambda x: x[:num_replicas], on_device(*inputs, frozen_params))

        return padded

    def place_on_devices(self, tree: PyTree, devices: list[Any] | None = None) -> PyTree:
        """Put leaves that lead with the replicas where the update leaves them, so that it compiles only once."""
        return jax.device_put(tree, self._sharding(devices))

    def _sharding(self, devices: list[Any] | None) -> NamedSharding:
        """Placement between updates of what leads with the replicas: split, or replicated if it does not divide."""
        mesh = self._mesh(devices)
        divides = len(self.replicas) % mesh.shape["replica"] == 0
        return NamedSharding(mesh, PartitionSpec("replica") if divides else PartitionSpec())

    def _mesh(self, devices: list[Any] | None) -> Mesh:
        """Devices by replica. If there are more devices than replicas, several share a replica's batch, provided that
        all learners support it; the others have no work."""
        devices = devices or jax_devices()
        num_replicas = min(len(devices), len(self.replicas))
        sharing = devices_per_replica(devices, num_replicas) if self.config.supports_sharding else 1
        grid = np.array(devices[: num_replicas * sharing]).reshape(num_replicas, sharing)
        return Mesh(grid, ("replica", batch_sharding.SHARD_AXIS))


def _fraction_done(update: Int[Array, ""], config: RunConfig) -> Float[Array, ""]:
    """Fraction of the run's environment steps that are done, by which schedules advance."""
    if config.total_timesteps >= 2**31:  # the number of steps does not fit an int32
        return update * (config.steps_per_update / config.total_timesteps)
    return update * config.steps_per_update / config.total_timesteps


def hide_missing(metrics: PyTree) -> PyTree:
    """NaN, for a metric that no episode has, as NO_VALUE: what leaves a compiled program must not be NaN on purpose, or
    JAX_DEBUG_NANS could not be used to find one that is a mistake."""
    return jax.tree.map(lambda x: jnp.where(jnp.isnan(x), NO_VALUE, x), metrics)


def show_missing(metrics: PyTree) -> PyTree:
    """The inverse of `hide_missing`, of numpy arrays."""
    return jax.tree.map(
        lambda x: np.where(x == NO_VALUE, np.float32(np.nan), x) if x.dtype == np.float32 else x, metrics
    )


def summarize(stats: EpisodeStats) -> dict[str, Float[Array, "A"]]:
    """Means and quantiles over the episodes that each agent took part in; NaN if there are none."""

    def mean(x):
        return jnp.sum(jnp.where(stats.agent_mask, x, 0), 0) / stats.agent_mask.sum(0)

    returns = jnp.where(stats.agent_mask, stats.episode_return, jnp.nan)
    return {
        "return": mean(stats.episode_return),
        "return_q15": jnp.nanquantile(returns, 0.15, axis=0),
        "return_q85": jnp.nanquantile(returns, 0.85, axis=0),
        **{name: mean(value) for name, value in stats.task_metrics.items()},
        "longest_streak": mean(stats.longest_streak),
        "steps_to_first_reward": mean(stats.steps_to_first_reward),
    }
