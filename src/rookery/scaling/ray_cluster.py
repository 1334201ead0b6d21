"""A Ray cluster to work on: one that runs already, or one that is started here; checked before it is used."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rookery.errors import ConfigError, IncompatibleError, LostProcessError, NotFoundError
from rookery.optional_packages import import_optional, install_extra
from rookery.scaling.launch import parse_address
from rookery.scaling.ray_worker import check_versions, own_versions, probe
from rookery.storage.atomic import is_stale, write_text
from rookery.training.devices import available_cores

_RAY_WORDS = ("auto", "local")
"""Addresses that Ray resolves itself: the cluster on this machine, and one that it starts."""
_ADDRESS_VARIABLE = "RAY_ADDRESS"
"""Environment variable in which Ray finds the address of the cluster on this machine."""
_ANSWER_SECONDS = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class RayOptions:
    """How tasks run on a cluster."""

    address: str | None = None
    """Of a running cluster, such as 10.0.0.1:6379; 'auto': the one on this machine; None: start one here."""
    num_cpus: int = 1
    """CPU cores of a task."""
    num_gpus: float = 0.0
    """GPUs of a task."""
    replicas_per_task: int = 1
    local_cpus: int | None = None
    """CPU cores of a cluster that is started here; None: all."""

    def __post_init__(self) -> None:
        if self.address and self.address not in _RAY_WORDS:
            _parse_ray_address("address", self.address)
        if self.num_cpus < 1:
            raise ConfigError(f"num_cpus={self.num_cpus} must be at least 1")
        if not self.num_gpus >= 0:
            raise ConfigError(f"num_gpus={self.num_gpus} must be at least 0")
        if self.num_gpus > 1 and not float(self.num_gpus).is_integer():
            raise ConfigError(
                f"num_gpus={self.num_gpus} must be a whole number, or less than 1 for tasks that have one GPU together"
            )
        if self.replicas_per_task < 1:
            raise ConfigError(f"replicas_per_task={self.replicas_per_task} must be at least 1")

    @property
    def local_cores(self) -> int:
        """CPU cores of a cluster that is started here."""
        return self.local_cpus or available_cores()


def import_ray() -> Any:
    """The module `ray`. Raises MissingPackageError if it is not installed."""
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a task without GPUs finds no GPU
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    return import_optional(
        "ray", f"Ray is not installed: {install_extra('ray')}, or use --shard, which does not need it"
    )


def check_cluster(options: RayOptions) -> None:
    """Check, before anything is written, what is known without a cluster. Ray itself tries a dead address for minutes.

    Raises: MissingPackageError without Ray; NotFoundError if nothing answers at the address; ConfigError for one that
      is not an address, or if a cluster that would be started here is too small for a task.
    """
    import_ray()
    if not options.address and options.num_cpus > options.local_cores:
        raise _too_small("CPU", options.num_cpus, options.local_cores)
    name, address = "address", options.address
    if address == "auto":
        name, address = _ADDRESS_VARIABLE, os.environ.get(_ADDRESS_VARIABLE) or address
    if address and address not in _RAY_WORDS:
        try:
            socket.create_connection(_parse_ray_address(name, address), _ANSWER_SECONDS).close()
        except OSError as error:
            raise _no_cluster(address, error) from None


def _parse_ray_address(name: str, address: str) -> tuple[str, int]:
    """Host and port of a cluster. `name`: of the setting. Raises ConfigError."""
    if "://" in address:
        raise ConfigError(
            f"{name} {address!r} is Ray Client's or Ray Jobs', where the driver's disk is not the cluster's; "
            "run this command on a machine of the cluster, with --ray auto or --ray HOST:PORT"
        )
    return parse_address(name, address)


def _no_cluster(address: str | None, error: Exception) -> NotFoundError:
    return NotFoundError(
        f"no Ray cluster answers at {address or 'this machine'} ({_first_line(error)}); start one with "
        "`ray start --head`, or leave the address out to start one here"
    )


def _too_small(resource: str, wanted: float, most: float) -> ConfigError:
    return ConfigError(
        f"--num-{resource.lower()}s {wanted:g}: no node of the cluster has so many; the largest has {most:g}"
    )


@contextlib.contextmanager
def connected(options: RayOptions) -> Iterator[Any]:
    """Connect to the cluster; on exit, disconnect, and end a cluster that was started here. Yields the module `ray`.

    `check_cluster` comes first.

    Raises: NotFoundError without Ray, or if no cluster answers; ConfigError if no node is large enough for a task;
      LostProcessError if the cluster is lost meanwhile.
    """
    ray = import_ray()
    # Without an address Ray would take that of RAY_ADDRESS, or of the cluster that was started last.
    local: dict[str, Any] = {
        "address": "local", "num_cpus": options.local_cores, "include_dashboard": False
    }  # fmt: skip
    try:
        with _kept_sigterm():
            ray.init(
                **({"address": options.address} if options.address else local),
                log_to_driver=False,
                logging_level="ERROR",
            )
    except (ConnectionError, ValueError, RuntimeError, TimeoutError) as error:
        raise _no_cluster(options.address, error) from None
    try:
        _check_size(ray, options)
        yield ray
    except ray.exceptions.RayError as error:
        raise LostProcessError(
            f"the Ray cluster no longer does what it is asked ({_first_line(error)}); what was saved is kept: run the "
            "same command to continue"
        ) from None
    finally:
        ray.shutdown()


@contextlib.contextmanager
def _kept_sigterm() -> Iterator[None]:
    """SIGTERM does afterwards what it did before: Ray makes it end the process without a word."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if handler is not None:  # None: it was not set from Python
            with contextlib.suppress(ValueError):  # not in the main thread, where Ray does not set it either
                signal.signal(signal.SIGTERM, handler)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _check_size(ray: Any, options: RayOptions) -> None:
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for name, wanted in (("CPU", options.num_cpus), ("GPU", options.num_gpus)):
        most = max((node.get(name, 0) for node in nodes), default=0)
        if wanted > most:
            raise _too_small(name, wanted, most)


def check_nodes(ray: Any, marker: Path) -> int:
    """Ask every node for its versions, and whether it sees this machine's files.

    Args:
      marker: a file that is written here and looked for there.
    Returns: how many nodes do not see it; checkpoints travel to and from these.
    Raises: IncompatibleError for a node with other versions, naming both.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # pyright: ignore[reportMissingImports]

    _remove_markers_of_the_dead(marker.parent)
    write_text(marker, marker_text())
    ask = ray.remote(num_cpus=0, max_retries=3)(probe)
    nodes = [node for node in ray.nodes() if node["Alive"]]
    answers = []
    for node in nodes:
        here = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        answers.append(ask.options(scheduling_strategy=here).remote(str(marker), marker_text()))
    blind = 0
    for node, answer in zip(nodes, answers, strict=True):
        name = node["NodeManagerAddress"]
        try:
            versions, sees_files = ray.get(answer)
        except ray.exceptions.RayTaskError as error:
            raise IncompatibleError(
                f"node {name} cannot run rookery ({_first_line(error.cause)}): install "
                f"rookery {own_versions()['rookery']} with the same libraries there"
            ) from None
        except ray.exceptions.RayError:
            continue  # it has left the cluster; should it come back, its workers check their versions themselves
        check_versions(f"node {name}", versions, "this process", own_versions())
        blind += not sees_files
    return blind


def driver_marker(folder: Path) -> Path:
    """The marker of this process in a folder: drivers of several studies that share it have their own."""
    return folder / f".driver-{os.uname().nodename}-{os.getpid()}"


def _remove_markers_of_the_dead(folder: Path) -> None:
    """Remove the markers that killed drivers of this machine left in a folder."""
    pattern = re.compile(re.escape(f".driver-{os.uname().nodename}-") + r"(\d+)")
    for path in folder.glob(".driver-*"):
        if (match := pattern.fullmatch(path.name)) and is_stale(int(match[1]), True, path):
            with contextlib.suppress(OSError):
                path.unlink()


def marker_text() -> str:
    """What the marker of this process says: no other process writes the same."""
    versions = " ".join(f"{name} {version}" for name, version in own_versions().items())
    return f"process {os.getpid()} on {os.uname().nodename} {versions}"
