"""A run as one pytree and one pure function: `update(state) -> state, metrics`, for all arms and seeds at once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from rookery.agents.team import Team
from rookery.errors import ConfigError
from rookery.learning import batch_sharding
from rookery.learning.intrinsic import combine, counterfactual
from rookery.learning.rollout import EpisodeStats, rollout, sample_agent_mask
from rookery.training.config import RunConfig
from rookery.training.devices import max_sharing_devices
from rookery.training.schedules import Schedule, num_points, padded_points, value_at
from rookery.types import Env, PRNGKey, PyTree

TRAINING_STREAM, EVALUATION_STREAM, DEMONSTRATION_STREAM = 0, 1, 2
"""Domains of random keys: no episode of evaluation is ever one of training, nor one that was recorded to learn from."""


class TrainState(struct.PyTreeNode):
    """All of a run's changing state; every leaf leads with the M members (arm, seed)."""

    learners: dict[str, PyTree]  # by group; leaves [M, S, ...], S slots
    num_updates: Int[Array, "M"]  # updates done
    key: PRNGKey  # [M, 2]; never changes, updates fold in their number


class ReplicaSchedules(NamedTuple):
    """What differs between arms and changes during a run: schedules' points, leaves [M, P, 2]."""

    hparams: dict[str, dict[str, Float[Array, "M P 2"]]]  # by group, then by name of the rate
    social_episode_prob: Float[Array, "M P 2"]
    env_params: dict[str, Float[Array, "M P 2"]]  # by name of the task parameter


def _stack(trees: list) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def replica_schedules(config: RunConfig) -> ReplicaSchedules:
    """Stack the arms' schedules, arm by arm, each for all its seeds."""

    names = sorted({*config.env_schedules, *(n for arm in config.variants for n in arm.env_schedules or {})})
    params = config.task.default_params()
    for name in names:
        if name not in _scalar_params(params):
            raise ConfigError(
                f"env_schedules.{name} is not a number of this task; allowed: {', '.join(sorted(_scalar_params(params)))}"
            )
    for schedules in (config.env_schedules, *(arm.env_schedules or {} for arm in config.variants)):
        _check_schedule_values(config.task, schedules)
    listed: list[Any] = []  # Tunables whose leaves are still schedules
    for arm in config.variants:
        rates: Any = {
            group.name: {
                name: group.hparam_schedule(name) if (own := arm.hparam_schedule(name)) is None else own
                for name in group.learner.hparams
            }
            for group in config.team
            if group.learner
        }
        given = {**config.env_schedules, **(arm.env_schedules or {})}
        task: Any = {name: given.get(name, float(_scalar_params(params)[name])) for name in names}
        share: Any = config.social_episode_prob if arm.social_episode_prob is None else arm.social_episode_prob
        listed.append(ReplicaSchedules(rates, share, task))
    is_schedule = lambda x: isinstance(x, float | int) or type(x) is tuple  # noqa: E731 (not a Tunables)
    longest = max(num_points(s) for arm in listed for s in jax.tree.leaves(arm, is_leaf=is_schedule))
    per_arm = [jax.tree.map(lambda s: padded_points(s, longest), arm, is_leaf=is_schedule) for arm in listed]
    return _stack([arm for arm in per_arm for _ in range(config.num_seeds)])


def _scalar_params(params) -> dict[str, Array]:
    """Task parameters a schedule may set: the single numbers of the task, and of its world."""
    found = {}
    for part in (params.world, params):
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if isinstance(value, jax.Array) and value.ndim == 0:
                found[field.name] = value
    return found


def _check_schedule_values(task, schedules: dict[str, Schedule]) -> None:
    """Raises ConfigError for a value on the way that the task itself would refuse."""
    for name, schedule in schedules.items():
        if name in {field.name for field in dataclasses.fields(task)}:
            for value in [schedule] if isinstance(schedule, int | float) else [v for _, v in schedule]:
                try:
                    dataclasses.replace(task, **{name: value})
                except ConfigError as error:
                    raise ConfigError(f"env_schedules.{name}: {error}") from None


def _with_scalar_params(params: PyTree, values: dict[str, Array]) -> PyTree:
    """The parameters with some of `_scalars` set to other values."""
    own = {field.name for field in dataclasses.fields(params)}
    world = params.world.replace(**{name: value for name, value in values.items() if name not in own})
    return params.replace(world=world, **{name: value for name, value in values.items() if name in own})


@dataclasses.dataclass(frozen=True)
class Run:
    """The run's pure functions. `frozen` holds the parameters of groups that do not learn, by name."""

    config: RunConfig
    env: Env
    team: Team
    frozen_params: dict[str, PyTree] = dataclasses.field(hash=False, compare=False)

    def __post_init__(self):
        self.team.validate(self.env)
        counterfactual.check_influence_setup(self.team)

    def init(self) -> TrainState:
        """Fresh learners for every member. The same seed starts alike in every arm."""

        def member(seed):
            key = jax.random.fold_in(jax.random.PRNGKey(seed), TRAINING_STREAM)
            learners = {}
            for number, group in enumerate(self.team.learning_groups):
                keys = jax.random.split(jax.random.fold_in(key, 1_000_000 + number), len(group.slots))
                fresh = functools.partial(group.learner.init, group.policy, steps=self.env.max_steps)
                learners[group.name] = jax.lax.map(fresh, keys)  # not vmap: orthogonal draws at once can hang
            return TrainState(learners=learners, num_updates=jnp.int32(0), key=key)

        seeds = jnp.array([seed for _, seed in self.config.replicas], jnp.int32)
        return jax.jit(lambda seeds: jax.lax.map(member, seeds))(seeds)

    @property
    def behavior_team(self) -> Team:
        """The team as it plays while it learns."""
        return Team(
            tuple(
                dataclasses.replace(group, policy=group.learner.behavior_policy(group.policy))
                if group.learns
                else group
                for group in self.team.groups
            )
        )

    def policy_params(self, learners: dict[str, PyTree], frozen: dict[str, PyTree]) -> dict[str, PyTree]:
        """Every group's policy parameters as it plays without learning; a learning group's lead with its slots."""
        return {**frozen, **{name: learner.params["policy"] for name, learner in learners.items()}}

    def train_step(self, state: TrainState, schedules: ReplicaSchedules, frozen_params) -> tuple[TrainState, dict]:
        """One update of one member (no leading axis): play a batch of episodes, then let each learner learn."""
        config = self.config
        share = _fraction_done(state.num_updates, config)
        presence_key, play_key, learn_key = jax.random.split(jax.random.fold_in(state.key, state.num_updates), 3)
        task = {name: value_at(p, share) for name, p in schedules.env_params.items()}
        env_params = _with_scalar_params(self.env.default_params(), task)
        social_episode_prob = value_at(schedules.social_episode_prob, share)
        present = sample_agent_mask(self.env, self.team, presence_key, config.num_envs, social_episode_prob)
        rates = {name: {rate: value_at(p, share) for rate, p in own.items()} for name, own in schedules.hparams.items()}
        params = dict(frozen_params)
        for group in self.team.learning_groups:
            acting = functools.partial(group.learner.behavior_params, hparams=rates[group.name])
            params[group.name] = jax.vmap(acting)(state.learners[group.name])
        pupils = [group.name for group in self.team.learning_groups if group.teacher is not None]
        heeding = {name: rates[name]["teacher_action_prob"] for name in pupils}
        trajectories, tally = rollout(self.env, self.behavior_team, params, env_params, play_key, present, heeding)
        metrics = {"social_episode_prob": social_episode_prob, "env_params": task, "agents": summarize(tally)}
        trajectories, moved = counterfactual.add_influence(self.team, params, trajectories)
        if any(getattr(group.learner, "intrinsic", ()) for group in self.team.learning_groups):
            steps = jnp.float32(state.num_updates) * config.steps_per_update
            rates = {name: {**own, "timesteps": steps} for name, own in rates.items()}
        learners = {}
        for number, group in enumerate(self.team.learning_groups):
            keys = jax.random.split(jax.random.fold_in(learn_key, number), len(group.slots))

            def learn(arguments, g=group):
                learner, trajectory, key = arguments
                return g.learner.update(g.policy, learner, trajectory, rates[g.name], key)

            # One after another: under vmap what a learner skips would be worked out all the same.
            own = (state.learners[group.name], trajectories[group.name], keys)
            learners[group.name], metrics[group.name] = jax.lax.map(learn, own)
            moved = self._add_modeled_influence(moved, group, metrics[group.name].pop(combine.INFLUENCE_ON, None))
        if moved is not None:
            metrics["agents"]["influence_received"] = moved
        return state.replace(learners=learners, num_updates=state.num_updates + 1), metrics

    def _add_modeled_influence(self, moved, group, on_others) -> Float[Array, "A"] | None:
        """How far each agent was moved in a step, with what a group's models of others say (f32[S, N]) added."""
        if on_others is None:
            return moved
        agents = self.env.num_agents
        moved = jnp.zeros(agents) if moved is None else moved
        others = (jnp.array(group.slots)[:, None] + 1 + jnp.arange(agents - 1)) % agents
        return moved.at[others].add(on_others)

    def evaluate_replica(
        self, learners, env_params, frozen, key: PRNGKey, agent_mask: Bool[Array, "E A"]
    ) -> EpisodeStats:
        """Play E episodes with one member's agents as they are (no leading axis)."""
        return rollout(self.env, self.team, self.policy_params(learners, frozen), env_params, key, agent_mask)[1]

    def compile_train_step(
        self, devices: list | None = None
    ) -> Callable[[TrainState, ReplicaSchedules], tuple[TrainState, dict]]:
        """The update of all members, their axis split over the devices, compiled once. The state is donated."""
        update = self.map_replicas(self.train_step, devices, num_args=2)
        return jax.jit(update, donate_argnums=0, out_shardings=self._sharding(devices))

    def map_replicas(self, function, devices: list | None = None, num_args: int = 1):
        """Lift a function of one member (and the frozen parameters, passed last) to all.

        Devices that share a member (`_mesh`) each do all of it but what `learning.lanes` spreads over them.

        On CPU the members of a device run one after another: a batched matrix product with a small matrix of its
        own for each seed is much slower there than the same products in turn. Elsewhere they run as a vmap.
        Where the devices do not divide the members, some members run twice and count once: no device waits for
        another that has all the rest to do.
        """
        mesh, members = self._mesh(devices), len(self.config.replicas)
        in_turn = mesh.devices.flat[0].platform == "cpu"
        spare = -members % mesh.shape["replica"]

        def local(*args):
            *own, frozen = args
            if in_turn:
                return jax.lax.map(lambda a: function(*a, frozen), tuple(own))
            return jax.vmap(lambda *a: function(*a, frozen))(*own)

        split, whole = PartitionSpec("replica"), PartitionSpec()
        local = jax.shard_map(
            local, mesh=mesh, in_specs=(split,) * num_args + (whole,), out_specs=split, check_vma=False
        )
        frozen = self.frozen_params
        if not spare:
            return lambda *own: local(*own, frozen)

        def padded(*own):
            own = jax.tree.map(lambda x: jnp.concatenate([x, x[:spare]]), own)
            return jax.tree.map(lambda x: x[:members], local(*own, frozen))

        return padded

    def place_on_devices(self, tree: PyTree, devices: list | None = None) -> PyTree:
        """Put leaves that lead with the members where the update leaves them, so that it compiles only once."""
        return jax.device_put(tree, self._sharding(devices))

    def _sharding(self, devices: list | None) -> NamedSharding:
        """Where what leads with the members lives between updates: split, or whole on each where it does not divide."""
        mesh = self._mesh(devices)
        divides = len(self.config.replicas) % mesh.shape["replica"] == 0
        return NamedSharding(mesh, PartitionSpec("replica") if divides else PartitionSpec())

    def _mesh(self, devices: list | None) -> Mesh:
        """As many of the devices as have a member each. If a CPU has more, several share a member's lanes where all
        its learners have any."""
        devices = devices or jax.devices()
        members = min(len(devices), len(self.config.replicas))
        shares = all(getattr(group.learner, "supports_sharding", False) for group in self.team.learning_groups)
        shared = max_sharing_devices(len(devices) // members) if shares and devices[0].platform == "cpu" else 1
        return Mesh(
            np.array(devices[: members * shared]).reshape(members, shared), ("replica", batch_sharding.SHARD_AXIS)
        )


def _fraction_done(update: Int[Array, ""], config: RunConfig) -> Float[Array, ""]:
    """How much of the run is done, by which schedules go."""
    if config.total_timesteps >= 2**31:  # steps do not fit an int32
        return update * (config.steps_per_update / config.total_timesteps)
    return update * config.steps_per_update / config.total_timesteps


def summarize(stats: EpisodeStats) -> dict[str, Float[Array, "A"]]:
    """Means and quantiles over the episodes each agent was present in; NaN where it was in none."""

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
