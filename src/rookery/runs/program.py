"""A run as one pytree and one pure function: `update(state) -> state, metrics`, for all arms and seeds at once."""

from __future__ import annotations

import dataclasses
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
from rookery.learning import ppo
from rookery.learning.rollout import Tally, draw_presence, rollout
from rookery.runs.config import Arm, RunConfig
from rookery.runs.schedules import Schedule, length, points, value_at
from rookery.types import Env, Key, PyTree

TRAINING, EVALUATION = 0, 1
"""Domains of random keys: no episode of evaluation is ever one of training."""


class TrainState(struct.PyTreeNode):
    """All of a run's changing state; every leaf leads with the M members (arm, seed)."""

    learners: dict[str, PyTree]  # by group; leaves [M, S, ...], S slots
    update: Int[Array, "M"]  # updates done
    key: Key  # [M, 2]; never changes, updates fold in their number


class Tunables(NamedTuple):
    """What differs between arms and changes during a run: schedules' points, leaves [M, P, 2]."""

    rates: dict[str, ppo.Rates]  # by group
    social_share: Float[Array, "M P 2"]
    task: dict[str, Float[Array, "M P 2"]]  # by name of the task parameter


def _stack(trees: list) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def tunables(config: RunConfig) -> Tunables:
    """Stack the arms' schedules, arm by arm, each for all its seeds."""

    def pick(arm: Arm, field: str, default) -> Any:
        chosen = getattr(arm, field)
        return default if chosen is None else chosen

    names = sorted({*config.task_schedules, *(n for arm in config.arms for n in arm.task_schedules or {})})
    params = config.task.default_params()
    for name in names:
        if name not in _scalars(params):
            raise ConfigError(
                f"task_schedules.{name} is not a number of this task; allowed: {', '.join(sorted(_scalars(params)))}"
            )
    for schedules in (config.task_schedules, *(arm.task_schedules or {} for arm in config.arms)):
        _check_values(config.task, schedules)
    listed: list[Any] = []  # Tunables whose leaves are still schedules
    for arm in config.arms:
        rates = {
            group.name: ppo.Rates(
                pick(arm, "learning_rate", group.learning_rate),
                pick(arm, "entropy", group.entropy),
                pick(arm, "auxiliary_scale", group.auxiliary_scale),
            )
            for group in config.team
            if group.learner
        }
        given = {**config.task_schedules, **(arm.task_schedules or {})}
        task: Any = {name: given.get(name, float(_scalars(params)[name])) for name in names}
        listed.append(Tunables(rates, pick(arm, "social_share", config.social_share), task))
    is_schedule = lambda x: isinstance(x, float | int) or (type(x) is tuple)  # noqa: E731 (not a Rates)
    longest = max(length(s) for arm in listed for s in jax.tree.leaves(arm, is_leaf=is_schedule))
    per_arm = [jax.tree.map(lambda s: points(s, longest), arm, is_leaf=is_schedule) for arm in listed]
    return _stack([arm for arm in per_arm for _ in range(config.seeds)])


def _scalars(params) -> dict[str, Array]:
    """Task parameters a schedule may set: the single numbers of the task, and of its world."""
    found = {}
    for part in (params.world, params):
        for field in dataclasses.fields(part):
            value = getattr(part, field.name)
            if isinstance(value, jax.Array) and value.ndim == 0:
                found[field.name] = value
    return found


def _check_values(task, schedules: dict[str, Schedule]) -> None:
    """Raises ConfigError for a value on the way that the task itself would refuse."""
    for name, schedule in schedules.items():
        if name in {field.name for field in dataclasses.fields(task)}:
            for value in [schedule] if isinstance(schedule, int | float) else [v for _, v in schedule]:
                try:
                    dataclasses.replace(task, **{name: value})
                except ConfigError as error:
                    raise ConfigError(f"task_schedules.{name}: {error}") from None


def _with_scalars(params: PyTree, values: dict[str, Array]) -> PyTree:
    """The parameters with some of `_scalars` set to other values."""
    own = {field.name for field in dataclasses.fields(params)}
    world = params.world.replace(**{name: value for name, value in values.items() if name not in own})
    return params.replace(world=world, **{name: value for name, value in values.items() if name in own})


@dataclasses.dataclass(frozen=True)
class Program:
    """The run's pure functions. `frozen` holds the parameters of groups that do not learn, by name."""

    config: RunConfig
    env: Env
    team: Team
    frozen: dict[str, PyTree] = dataclasses.field(hash=False, compare=False)

    def __post_init__(self):
        self.team.check(self.env)

    def init(self) -> TrainState:
        """Fresh learners for every member. The same seed starts alike in every arm."""

        def member(seed):
            key = jax.random.fold_in(jax.random.PRNGKey(seed), TRAINING)
            learners = {}
            for number, group in enumerate(self.team.learning):
                keys = jax.random.split(jax.random.fold_in(key, 1_000_000 + number), len(group.slots))
                learners[group.name] = jax.vmap(lambda k, g=group: ppo.init(g.learner, g.policy, k))(keys)
            return TrainState(learners=learners, update=jnp.int32(0), key=key)

        seeds = jnp.array([seed for _, seed in self.config.members], jnp.int32)
        return jax.jit(lambda seeds: jax.lax.map(member, seeds))(seeds)

    def params(self, learners: dict[str, PyTree], frozen: dict[str, PyTree]) -> dict[str, PyTree]:
        """Every group's policy parameters; a learning group's lead with its slots."""
        return {**frozen, **{name: learner.params["policy"] for name, learner in learners.items()}}

    def update_member(self, state: TrainState, tunables: Tunables, frozen) -> tuple[TrainState, dict]:
        """One update of one member (no leading axis): play a batch of episodes, then let each learner learn."""
        config = self.config
        share = state.update * config.steps_per_update / config.steps
        presence_key, play_key, learn_key = jax.random.split(jax.random.fold_in(state.key, state.update), 3)
        task = {name: value_at(p, share) for name, p in tunables.task.items()}
        env_params = _with_scalars(self.env.default_params(), task)
        social_share = value_at(tunables.social_share, share)
        present = draw_presence(self.env, self.team, presence_key, config.episodes, social_share)
        params = self.params(state.learners, frozen)
        trajectories, tally = rollout(self.env, self.team, params, env_params, play_key, present)
        metrics = {"social_share": social_share, "task": task, "agents": summarise(tally)}
        learners = {}
        for number, group in enumerate(self.team.learning):
            rates = ppo.Rates(*(value_at(p, share) for p in tunables.rates[group.name]))
            keys = jax.random.split(jax.random.fold_in(learn_key, number), len(group.slots))

            def learn(arguments, g=group, r=rates):
                learner, trajectory, key = arguments
                return ppo.update(g.learner, g.policy, learner, trajectory, r, key)

            # One after another: under vmap the KL stop could not skip the work it saves.
            own = (state.learners[group.name], trajectories[group.name], keys)
            learners[group.name], told = jax.lax.map(learn, own)
            metrics[group.name] = {**told, "learning_rate": rates.learning_rate, "entropy_weight": rates.entropy}
        return state.replace(learners=learners, update=state.update + 1), metrics

    def play_member(self, learners, env_params, frozen, key: Key, present: Bool[Array, "E A"]) -> Tally:
        """Play E episodes with one member's agents as they are (no leading axis)."""
        return rollout(self.env, self.team, self.params(learners, frozen), env_params, key, present)[1]

    def compile_update(self, devices: list | None = None) -> Callable[[TrainState, Tunables], tuple[TrainState, dict]]:
        """The update of all members, their axis split over the devices, compiled once. The state is donated."""
        return jax.jit(self.over_members(self.update_member, devices, arguments=2), donate_argnums=0)

    def over_members(self, function, devices: list | None = None, arguments: int = 1):
        """Lift a function of one member (and the frozen parameters, passed last) to all.

        On CPU the members of a device run one after another: a batched matrix product with a small matrix of its
        own for each seed is much slower there than the same products in turn. Elsewhere they run as a vmap.
        """
        mesh = self._mesh(devices)
        in_turn = mesh.devices[0].platform == "cpu"

        def local(*args):
            *own, frozen = args
            if in_turn:
                return jax.lax.map(lambda a: function(*a, frozen), tuple(own))
            return jax.vmap(lambda *a: function(*a, frozen))(*own)

        split, whole = PartitionSpec("member"), PartitionSpec()
        local = jax.shard_map(
            local, mesh=mesh, in_specs=(split,) * arguments + (whole,), out_specs=split, check_vma=False
        )
        frozen = self.frozen
        return lambda *own: local(*own, frozen)

    def place(self, tree: PyTree, devices: list | None = None) -> PyTree:
        """Put leaves that lead with the members where the update leaves them, so that it compiles only once."""
        return jax.device_put(tree, NamedSharding(self._mesh(devices), PartitionSpec("member")))

    def _mesh(self, devices: list | None) -> Mesh:
        """As many of the devices as get the same number of members each."""
        members = len(self.config.members)
        devices = devices or jax.devices()
        count = max(n for n in range(1, min(len(devices), members) + 1) if members % n == 0)
        return Mesh(np.array(devices[:count]), ("member",))


def summarise(tally: Tally) -> dict[str, Float[Array, "A"]]:
    """Means and quantiles over the episodes each agent was present in; NaN where it was in none."""

    def mean(x):
        return jnp.sum(jnp.where(tally.present, x, 0), 0) / tally.present.sum(0)

    returns = jnp.where(tally.present, tally.episode_return, jnp.nan)
    return {
        "return": mean(tally.episode_return),
        "return_q15": jnp.nanquantile(returns, 0.15, axis=0),
        "return_q85": jnp.nanquantile(returns, 0.85, axis=0),
        **{name: mean(value) for name, value in tally.events.items()},
        "streak": mean(tally.streak),
        "first_reward_step": mean(tally.first_reward),
    }
