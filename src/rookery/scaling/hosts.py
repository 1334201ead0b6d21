"""Several processes, on one machine or many, that train one run.

Each process trains a part of the replicas with a program of its own. Process 0 starts or restores all of them,
collects metrics and states, and writes the run's folder, which no other process needs to see. A replica's numbers do
not depend on which others train next to it (docs/scaling.md), so the run is that of one process.

The processes meet at the address of process 0 and keep a connection to it. JAX's own service for this
(`jax.distributed`) is not used: no program computes on several hosts at once, and the service ends a process with
SIGABRT and a stack trace whenever another one is lost, late or there twice, where a sentence and an exit code are due.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import ipaddress
import os
import socket
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from rookery.errors import ConfigError, IncompatibleError, LostProcessError, NotFoundError, RookeryError, typed_text
from rookery.scaling.launch import Launch
from rookery.scaling.links import HEARTBEAT_TIMEOUT, Link, Message
from rookery.scaling.ray_worker import check_versions, own_versions
from rookery.training.devices import expected_cpu_devices, expected_threads, without_own_flags
from rookery.training.process_group import ProcessGroup
from rookery.types import PyTree

JOIN_TIMEOUT = 300.0
"""Seconds in which all processes of a run must have started."""
MAX_THREADS = 256
"""The most threads that each process starts because of the devices of the others."""
_HELLO_TIMEOUT = 10.0
_RETRY_SECONDS = 0.3
_LOSS_SECONDS = 1.0
"""In which the end of a process is noticed that was killed and started again before all had come."""
_LAST_LOSS_SECONDS = 0.05
"""In which the end of a process is noticed that was killed just before the last one came."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proposal:
    """What a process brings to a run."""

    command: str
    """'train' or 'resume'."""
    config: dict[str, Any] | None
    """Of the run, as JSON; None: process 0 knows it."""
    num_replicas: int | None = None
    """Of the run; None: process 0 knows it."""
    cores: int | None = None
    num_threads: int | None = None
    """Process 0 of a run that continues: over how many threads its sums were split."""


class LinkedGroup(ProcessGroup):
    """Processes with a connection to process 0, which has one to each of the others.

    Args:
      links: process 0: to processes 1 to N - 1, in order; else one, to process 0.
    """

    def __init__(self, launch: Launch, links: list[Link], config: dict[str, Any], num_threads: int) -> None:
        self.process_id: int = launch.process_id
        self.num_processes: int = launch.num_processes
        self.config = config
        """The run's, as JSON."""
        self.num_threads = num_threads
        """Over how many threads all processes split a sum on the CPU."""
        self.stop_requested: bool = False
        self._links = links
        self._parts: list[range] = []
        self._facts: list[dict[str, Any]] = []

    def assign(self, num_replicas: int, num_devices: int, facts: dict[str, Any]) -> range:
        own = {"devices": num_devices, "facts": facts}
        if self.process_id:
            self._links[0].send(Message(own))
            part = self._links[0].receive().values["part"]
            return range(part[0], part[1])
        answers = [own, *(link.receive().values for link in self._links)]
        for number, answer in enumerate(answers):
            _check_facts(f"process {number}", answer["facts"], facts)
        self._facts = [answer["facts"] for answer in answers]
        self._parts = divide_replicas(num_replicas, [answer["devices"] for answer in answers])
        for link, part in zip(self._links, self._parts[1:], strict=True):
            link.send(Message({"part": [part.start, part.stop]}))
        return self._parts[0]

    def scatter(self, num_updates: int, state: PyTree) -> tuple[int, PyTree]:
        import jax

        leaves, structure = jax.tree.flatten(state)
        if self.process_id:
            message = self._links[0].receive()
            self._run_begins()
            return message.values["num_updates"], jax.tree.unflatten(structure, message.arrays)
        self._run_begins()
        arrays = [np.asarray(leaf) for leaf in leaves]
        for link, part in zip(self._links, self._parts[1:], strict=True):
            link.send(Message({"num_updates": num_updates}, [array[part.start : part.stop] for array in arrays]))
        own = self._parts[0]
        return num_updates, jax.tree.unflatten(structure, [array[own.start : own.stop] for array in arrays])

    def gather(self, tree: PyTree, stop: bool = False) -> PyTree:
        import jax

        leaves, structure = jax.tree.flatten(tree)
        if self.process_id:
            self._links[0].send(Message({"stop": stop}, [np.asarray(leaf) for leaf in leaves]))
            return tree
        messages = [link.receive() for link in self._links]
        self.stop_requested |= any(message.values["stop"] for message in messages)
        pieces = zip(leaves, *(message.arrays for message in messages), strict=True)
        joined_tree = jax.tree.unflatten(structure, [np.concatenate(arrays) for arrays in pieces])
        return _in_order_of(tree, joined_tree)

    def decide(self, decision: bool) -> bool:
        if self.process_id:
            return bool(self._links[0].receive().values["decision"])
        for link in self._links:
            link.send(Message({"decision": decision}))
        return decision

    def machines(self, replicas: tuple[Any, ...], machine: dict[str, Any]) -> list[dict[str, Any]]:
        return [
            {"replicas": [list(replicas[number]) for number in part], **facts["machine"]}
            for part, facts in zip(self._parts, self._facts, strict=True)
        ]

    def _run_begins(self) -> None:
        """From here on there is a folder, with which a run that loses a process continues."""
        for link in self._links:
            link.run_began = True

    def fail(self, reason: str) -> None:
        """Tell the others that this process ends, and why."""
        for link in self._links:
            link.fail(reason)

    def close(self) -> None:
        for link in self._links:
            link.close()


def _in_order_of(tree: PyTree, sorted_tree: PyTree) -> PyTree:
    """Dictionaries in the order that they have in `tree`, in which metrics are written; JAX sorts them."""
    if not isinstance(tree, dict):
        return sorted_tree
    return {name: _in_order_of(value, sorted_tree[name]) for name, value in tree.items()}


def divide_replicas(num_replicas: int, num_devices: list[int]) -> list[range]:
    """Consecutive replicas for every process, at least one, so that the busiest device has as few as possible.

    Raises: ConfigError for more processes than replicas.
    """
    if num_replicas < len(num_devices):
        raise _too_many(len(num_devices), num_replicas)
    counts = [1] * len(num_devices)
    for _ in range(num_replicas - len(counts)):
        least = min(range(len(counts)), key=lambda i: ((counts[i] + 1) / num_devices[i], i))
        counts[least] += 1
    ends = np.cumsum(counts).tolist()
    return [range(end - count, end) for end, count in zip(ends, counts, strict=True)]


@contextlib.contextmanager
def joined(
    launch: Launch,
    proposal: Proposal,
    *,
    join_timeout: float = JOIN_TIMEOUT,
    heartbeat_timeout: float = HEARTBEAT_TIMEOUT,
) -> Iterator[LinkedGroup]:
    """Meet the other processes of a run. When this process fails, the others learn why. Call it before JAX starts.

    Raises: NotFoundError if they do not meet within `join_timeout` seconds; ConfigError for more processes than
      replicas; ConfigError or IncompatibleError in process 0 if they do not fit together; LostProcessError, with that
      reason, in the others.
    """
    # Every process that knows it says so: process 0 does not begin to listen, and the others would wait for it.
    if proposal.num_replicas is not None and proposal.num_replicas < launch.num_processes:
        raise _too_many(launch.num_processes, proposal.num_replicas)
    meet = _follow if launch.process_id else _lead
    group = meet(launch, proposal, time.monotonic() + join_timeout, join_timeout, heartbeat_timeout)
    try:
        yield group
    except BaseException as error:
        text = f"{error}" if isinstance(error, RookeryError) else typed_text(error)
        group.fail(" ".join(text.split()) or type(error).__name__)
        group.close()
        raise
    group.close()


def _lead(launch: Launch, proposal: Proposal, give_up: float, seconds: float, heartbeat: float) -> LinkedGroup:
    """Process 0: wait for the others."""
    own = _hello(launch, proposal)
    hellos: dict[int, dict[str, Any]] = {0: own}
    links: list[Link] = []
    by_id: dict[int, Link] = {}
    with _listen(launch) as server:
        try:
            while not _all_live(launch, hellos, links, by_id):
                server.settimeout(max(give_up - time.monotonic(), 0.001))
                try:
                    connection = server.accept()[0]
                except TimeoutError:
                    missing = [str(i) for i in range(launch.num_processes) if i not in hellos]
                    raise NotFoundError(
                        f"{'processes' if len(missing) > 1 else 'process'} {', '.join(missing)} of "
                        f"{launch.num_processes} did not come to {launch.coordinator} within {seconds:g} s; start "
                        "every process with the same --coordinator and --num-processes"
                    ) from None
                link = Link(connection, "a process that came", heartbeat)
                hello = _receive_hello(link)
                if hello is None:
                    link.close()
                    continue
                links.append(link)
                link.peer = _name(hello)
                if (earlier := by_id.get(hello["process_id"])) and earlier.is_lost(_LOSS_SECONDS):
                    _forget(hello["process_id"], hellos, links, by_id)
                _check_hello(hello, own, hellos)
                by_id[hello["process_id"]], hellos[hello["process_id"]] = link, hello
            # As one process with all these devices would have, but for clusters so large that threads only cost.
            num_devices = min(sum(hello["cpu_devices"] for hello in hellos.values()), MAX_THREADS)
            num_threads = proposal.num_threads or max(expected_threads(proposal.cores), num_devices)
            ordered = [by_id[number] for number in range(1, launch.num_processes)]
            for link in ordered:
                link.send(Message({"config": proposal.config, "num_threads": num_threads}))
        except BaseException as error:
            for link in links:
                link.fail(f"{error}")
                link.close()
            raise
    assert proposal.config is not None, "process 0 knows it"
    return LinkedGroup(launch, ordered, proposal.config, num_threads)


def _all_live(launch: Launch, hellos: dict[int, dict[str, Any]], links: list[Link], by_id: dict[int, Link]) -> bool:
    """Whether all processes have come and none has ended since: one that was killed may be started again."""
    if len(hellos) < launch.num_processes:
        return False
    time.sleep(_LAST_LOSS_SECONDS)
    for process_id in [number for number, link in by_id.items() if link.is_lost()]:
        _forget(process_id, hellos, links, by_id)
    return len(hellos) == launch.num_processes


def _forget(process_id: int, hellos: dict[int, dict[str, Any]], links: list[Link], by_id: dict[int, Link]) -> None:
    link = by_id.pop(process_id)
    links.remove(link)
    link.close()
    del hellos[process_id]


def _follow(launch: Launch, proposal: Proposal, give_up: float, seconds: float, heartbeat: float) -> LinkedGroup:
    """Every other process: find process 0."""
    while True:
        try:
            connection = socket.create_connection(launch.address, timeout=max(give_up - time.monotonic(), 0.1))
            if connection.getsockname() != connection.getpeername():
                break
            # Where nothing listens, Linux may give this end the same port, and connects it to itself.
            connection.close()
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        except OSError as error:
            if time.monotonic() + _RETRY_SECONDS > give_up:
                reason = error.strerror or str(error)
                raise NotFoundError(
                    f"process 0 does not answer at {launch.coordinator} within {seconds:g} s ({reason}); start it, "
                    "or see why it ended, or correct --coordinator, or let the firewall pass its port"
                ) from None
            time.sleep(_RETRY_SECONDS)
    link = Link(connection, f"process 0 of {launch.num_processes} (at {launch.coordinator})", heartbeat)
    try:
        link.send(Message({"hello": _hello(launch, proposal)}))
        # Process 0 gives up, at the latest, as long after its own start.
        answer = link.receive(timeout=2 * seconds + heartbeat).values
        return LinkedGroup(launch, [link], answer["config"], answer["num_threads"])
    except (TimeoutError, KeyError):
        link.close()
        raise NotFoundError(f"what answers at {launch.coordinator} is not process 0 of a run") from None
    except BaseException:
        link.close()
        raise


def _listen(launch: Launch) -> socket.socket:
    """Raises ConfigError if the port is taken."""
    host, port = launch.address
    error: OSError | None = None
    # The host's own address first; behind a name that leads elsewhere, such as a service's, all addresses.
    for address in ("",) if _hides_its_address(host) else (host, ""):
        try:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            return socket.create_server((address, port), family=family, backlog=launch.num_processes)
        except OSError as failure:
            error = error or failure
    reason = error.strerror if error else ""
    raise ConfigError(
        f"process 0 cannot listen at {launch.coordinator} ({reason}): another program or another process 0 uses the "
        "port; choose another, or give each process an id of its own"
    )


def _hides_its_address(host: str) -> bool:
    """Whether a host's name stands for its loopback, where no other machine can connect, as in Debian's /etc/hosts."""
    if host.partition(".")[0] == "localhost":
        return False
    try:
        return not _is_loopback(host) and _is_loopback(socket.gethostbyname(host))
    except OSError:
        return False


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:  # a name
        return False


def _hello(launch: Launch, proposal: Proposal) -> dict[str, Any]:
    return {
        "process_id": launch.process_id,
        "num_processes": launch.num_processes,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "versions": own_versions(),
        "xla_flags": without_own_flags() or "none",
        "command": proposal.command,
        "config": proposal.config,
        "cpu_devices": expected_cpu_devices(proposal.cores),
    }


def _receive_hello(link: Link) -> dict[str, Any] | None:
    """None from a program that is not a process of a run, such as one that scans ports."""
    try:
        hello = link.receive(timeout=_HELLO_TIMEOUT).values["hello"]
        kinds = {"process_id": int, "num_processes": int, "pid": int, "host": str, "versions": dict, "cpu_devices": int}
        return hello if all(type(hello[key]) is kind for key, kind in kinds.items()) else None
    except (LostProcessError, TimeoutError, KeyError, TypeError):
        return None


def _name(hello: dict[str, Any]) -> str:
    return f"process {hello['process_id']} of {hello['num_processes']} (process {hello['pid']} on {hello['host']})"


def _check_hello(hello: dict[str, Any], own: dict[str, Any], others: dict[int, dict[str, Any]]) -> None:
    """Raises ConfigError or IncompatibleError if a process does not fit."""
    name, number = _name(hello), hello["process_id"]
    check_versions(name, hello["versions"], "process 0", own["versions"])
    if hello["num_processes"] != own["num_processes"]:
        raise ConfigError(
            f"{name} expects {hello['num_processes']} processes, process 0 expects {own['num_processes']}; give all "
            "the same --num-processes"
        )
    if number in others:
        raise ConfigError(
            f"process id {number} is used twice: by {_name(others[number])} and by {name}; give each process an id of "
            f"its own, from 0 to {own['num_processes'] - 1}"
        )
    if hello.get("command") != own["command"]:
        raise ConfigError(
            f"{name} was started with 'rookery {hello.get('command')}', process 0 with 'rookery {own['command']}'; "
            "start all with the same command"
        )
    if hello.get("xla_flags") != own["xla_flags"]:
        raise IncompatibleError(
            f"{name} has XLA_FLAGS {hello.get('xla_flags')}, process 0 has {own['xla_flags']}; numbers would differ: "
            "set the same in both"
        )
    if hello.get("config") is not None:
        changed = list(_differences(hello["config"], own["config"]))
        if changed:
            more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
            there, here = (", ".join(f"{key}={pair[i]}" for key, pair in changed[:3]) for i in (0, 1))
            raise ConfigError(
                f"{name} has another configuration: {there}{more}; process 0 has {here}; start all with the same"
            )


def _differences(left: Any, right: Any, key: str = "") -> Iterator[tuple[str, tuple[Any, Any]]]:
    """The settings that differ: their dotted names, with both values."""
    items = {dict: lambda x: x, list: lambda x: dict(enumerate(x))}
    kind = type(left)
    if kind is type(right) and kind in items and (kind is dict or len(left) == len(right)):
        left, right = items[kind](left), items[kind](right)
        for name in dict.fromkeys((*left, *right)):
            yield from _differences(left.get(name, "absent"), right.get(name, "absent"), f"{key}.{name}".lstrip("."))
    elif left != right:
        yield key, (left, right)


def _check_facts(name: str, facts: dict[str, Any], own: dict[str, Any]) -> None:
    for key, value in own.items():
        if key != "machine" and facts.get(key) != value:
            raise IncompatibleError(
                f"{name} has {key} {facts.get(key)}, process 0 has {value}; numbers would differ: make them the same"
            )


def _too_many(num_processes: int, num_replicas: int) -> ConfigError:
    return ConfigError(
        f"{num_processes} processes for {num_replicas} replicas (variants × seeds): each process trains at least one; "
        f"use --num-processes {num_replicas} or fewer, or more --seeds"
    )
