"""How much memory training, environments and recordings need at least, before anything of that size exists."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax

from rookery.backend import jax_devices
from rookery.errors import ConfigError
from rookery.tasks.checks import check_jax_settings
from rookery.tasks.registry import make_env
from rookery.training.build import with_communication
from rookery.training.config import GroupConfig, RunConfig
from rookery.training.devices import devices_per_replica, on_cpu
from rookery.types import Env, PyTree

STEP_BYTES = 4 + 4 + 4 + 3
"""Of one step of a trajectory besides the observation: action, reward, log-probability and three flags."""
_REMEDY = "lower num_envs, eval_episodes, num_seeds, the size of the network or of the replay buffer"
_CGROUPS, _OWN_CGROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


@dataclasses.dataclass(frozen=True)
class RunMemory:
    """Bytes that training cannot do without. What compiled programs need in between comes on top of it."""

    state: int
    """Learners of all replicas: parameters, optimizers, replay buffers."""
    trajectories: int
    """Of the replicas that play at the same time."""
    environments: int
    """Tiles of all their environments."""
    evaluation: int
    """Environments, and recorded trajectories if there are any, of the evaluation at a checkpoint. Updates and
    evaluations take turns."""

    @property
    def total(self) -> int:
        return self.state + max(self.trajectories + self.environments, self.evaluation)

    def describe(self) -> str:
        """One line for people."""
        evaluation = f"; or {format_bytes(self.evaluation)} in an evaluation" if self.evaluation else ""
        return (
            f"training needs at least {format_bytes(self.total)}: {format_bytes(self.state)} of learners, and "
            f"{format_bytes(self.trajectories)} of trajectories and {format_bytes(self.environments)} of environments "
            f"in an update{evaluation}"
        )


def run_memory(config: RunConfig, devices: Sequence[Any] | None = None, num_replicas: int | None = None) -> RunMemory:
    """What a run needs on devices, all together. Allocates nothing of that size.

    Args:
      devices: JAX devices; None: all, which starts JAX's backend.
      num_replicas: that the devices train; None: all of the run.
    Raises: ConfigError as `rookery.training.build.build`.
    """
    check_jax_settings()
    devices = devices or jax_devices()
    env = make_env(config.task)
    num_replicas = num_replicas or _num_replicas(config)
    # On a CPU the replicas of a device play one after another, elsewhere at once (`Run.map_replicas`).
    playing = min(num_replicas, len(devices)) if on_cpu(devices) else num_replicas
    if config.supports_sharding:
        playing *= devices_per_replica(devices, num_replicas)  # each of them plays all episodes
    state = step_bytes = measured_step_bytes = 0
    for entry in config.team:
        if entry.learner is not None and max(entry.slots) < env.num_agents:  # else the run is refused for that
            state += _learner_bytes(entry, config, env) * len(entry.slots) * num_replicas
            for slot in entry.slots:
                step = math.prod(env.observation_shape(slot)) + STEP_BYTES
                step_bytes += step
                # Losses are measured on the episodes of an evaluation, which are recorded for that.
                measured_step_bytes += step if entry.learner.auxiliary else 0
    steps = (env.max_steps + 1) * playing
    evaluated = environment_bytes(env, range(env.num_agents)) * playing
    borders = config.widening.episodes if config.widening is not None and config.eval_episodes else 0
    return RunMemory(
        state,
        trajectories=step_bytes * config.num_envs * steps,
        environments=_map_bytes(env) * config.num_envs * playing,
        evaluation=max(config.eval_episodes * (evaluated + measured_step_bytes * steps), borders * evaluated),
    )


def check_memory(config: RunConfig, devices: Sequence[Any] | None = None) -> None:
    """Check that a run can fit the devices, before anything is allocated. `devices`: as of `run_memory`.

    Raises: ConfigError if this machine's memory, or that of its GPUs together, is too small.
    """
    devices = devices or jax_devices()
    needed = run_memory(config, devices)
    _check_available(needed.total, needed.describe(), _REMEDY, devices)


def check_process_memory(config: RunConfig, devices: Sequence[Any] | None, num_replicas: int, leads: bool) -> None:
    """`check_memory` of one of several processes of a run.

    Args:
      num_replicas: that the process trains.
      leads: process 0, which holds the states of all replicas besides: on its devices before it sends them, and on its
        machine at checkpoints.
    """
    devices = devices or jax_devices()
    needed = run_memory(config, devices, num_replicas)
    description = f"{num_replicas} of {_num_replicas(config)} replicas in one process: {needed.describe()}"
    remedy = f"start more processes, or {_REMEDY}"
    _check_available(needed.total, description, remedy, devices)
    if leads:
        what, state = f"the states of all {_num_replicas(config)} replicas, in process 0,", run_memory(config).state
        for holders in (devices, ()):
            check_fits(what, state, _REMEDY, holders)


def _num_replicas(config: RunConfig) -> int:
    return len(config.variants) * config.num_seeds


def check_fits(what: str, needed: int, remedy: str, devices: Sequence[Any] = ()) -> None:
    """Raises ConfigError if `what` needs more bytes than there are: "`what` need at least ...: `remedy`".

    Args:
      devices: JAX devices that hold it; none: it must fit this machine's memory, wherever it is made.
    """
    _check_available(needed, f"{what} need at least {format_bytes(needed)}", remedy, devices)


def check_result_fits(what: str, copies: int, remedy: str, function: Any, *arguments: Any) -> None:
    """`check_fits` of so many results of a compiled function, by their shapes alone; it is traced, not compiled."""
    check_fits(what, copies * tree_bytes(function.eval_shape(*arguments)), remedy)


def tree_bytes(tree: PyTree) -> int:
    """Of arrays, or of their shapes alone."""
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def environment_bytes(env: Env, slots: Iterable[int]) -> int:
    """What one environment cannot do without: the tiles of its map, and the observations of these agents."""
    return _map_bytes(env) + sum(math.prod(env.observation_shape(slot)) for slot in slots)


def _map_bytes(env: Env) -> int:
    spec = env.task.grid_spec
    return spec.height * spec.width if spec is not None else 1


def _check_available(needed: int, description: str, remedy: str, devices: Sequence[Any]) -> None:
    """Raises ConfigError if this machine, or the GPUs among the devices, have less than so many bytes."""
    on_host = not devices or on_cpu(devices)
    available = machine_memory() if on_host else device_memory(devices)
    if available is not None and needed > available:
        owner = "this machine has" if on_host else f"the GPUs ({len(devices)}) have"
        raise ConfigError(f"{description}; {owner} {format_bytes(available)}: {remedy}")


def device_memory(devices: Sequence[Any]) -> int | None:
    """Bytes that JAX may use on devices that have memory of their own; None if one does not say."""
    limits = [(device.memory_stats() or {}).get("bytes_limit") for device in devices]
    known = [limit for limit in limits if limit is not None]
    return sum(known) if len(known) == len(limits) else None


def machine_memory() -> int | None:
    """Bytes of memory that this process may use at most; None if that is not known."""
    limits = []
    with contextlib.suppress(AttributeError, OSError, ValueError):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with contextlib.suppress(ImportError):
        import resource  # only Unix has it

        if (address_space := resource.getrlimit(resource.RLIMIT_AS)[0]) != resource.RLIM_INFINITY:
            limits.append(address_space)  # of `ulimit -v`
    for path in _cgroup_limits():
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(path.read_text()))
    return min(limits, default=None)


def _cgroup_limits() -> Iterator[Path]:
    """Files with the limits of this process's control groups, as of a container, a SLURM job or a systemd unit, and of
    those above."""
    groups = {(_CGROUPS, "memory.max"): "/", (_CGROUPS / "memory", "memory.limit_in_bytes"): "/"}
    with contextlib.suppress(OSError, ValueError):
        for line in _OWN_CGROUPS.read_text().splitlines():
            _, controllers, group = line.split(":", 2)  # of version 2 the second is empty
            if not controllers:
                groups[_CGROUPS, "memory.max"] = group
            elif "memory" in controllers.split(","):
                groups[_CGROUPS / "memory", "memory.limit_in_bytes"] = group
    for (root, name), group in groups.items():
        parts = [part for part in group.split("/") if part not in ("", "..")]
        yield from (root.joinpath(*parts[:depth], name) for depth in range(len(parts) + 1))


def format_bytes(size: int) -> str:
    """A size in few characters: 640 B, 1.5 kB, 2.0 GB."""
    number = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:,.1f} TB"


def _learner_bytes(entry: GroupConfig, config: RunConfig, env: Env) -> int:
    """Of the state of one learner."""
    learner: Any = entry.learner
    policy, _ = entry.policy.make_policy(env, entry.slots[0], entry.name)
    policy = learner.eval_policy(with_communication(policy, entry, config, env))
    init = functools.partial(learner.init, policy, steps=env.max_steps)
    return tree_bytes(jax.eval_shape(lambda: init(jax.random.PRNGKey(0))))
