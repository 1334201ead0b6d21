"""What runs in the processes of a Ray cluster: one task at a time, with JAX started for as many cores as it has."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import os
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rookery import __version__
from rookery.errors import IncompatibleError, RookeryError
from rookery.storage.atomic import is_stale, refuse_link, refuse_special_file, write_bytes
from rookery.training.devices import source_digest

FORWARDED_VARIABLES = (
    "XLA_FLAGS", "JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "ROOKERY_TRACK",
)  # fmt: skip
"""Environment variables of the driver that workers have too; numbers depend on the first."""

REPORT_SECONDS = 2.0
"""How often a worker reports its progress: the driver's machine receives those of all workers."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """What every task of a study has in common."""

    num_cpus: int
    num_gpus: float
    num_threads: int
    environment: dict[str, str]
    marker: str
    """A file on the driver's disk; a worker that finds it works in the driver's folders."""
    marker_text: str
    versions: dict[str, str]
    matmul_precision: str | None
    """The driver's setting of JAX, on which numbers depend; other such settings are refused where they are not JAX's
    own (`rookery.tasks.checks`)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOrder:
    """A part of a run to train."""

    label: str
    config: dict[str, Any]
    """Of the whole run, as JSON."""
    variants: tuple[str, ...]
    seed: int
    num_seeds: int
    folder: str
    """The part's, on the driver's disk."""
    start_agents: dict[str, bytes]
    """Files of the agents that it starts from, by name."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureOrder:
    """Frozen agents to measure in one evaluation condition."""

    label: str
    eval_condition: Any  # a TeamEvalCondition
    agents: tuple[tuple[Any, int], ...]  # EvaluatedAgent, seed of the episodes
    budget: str
    eval_episodes: int
    agent_files: dict[str, bytes]
    """Weights and cards by their path on the driver's disk."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TaskReport:
    """How a task ended."""

    finished: bool
    node: str
    seconds: float
    """From the moment that the worker took it."""
    started: float
    """Seconds since the epoch, by the worker's clock."""
    bytes_moved: int = 0
    """Archives that this task received and sent."""
    num_updates: int = 0
    """Of training, that this task did."""
    rows: tuple[Any, ...] = ()
    """Of measurements."""


def own_versions() -> dict[str, str]:
    """Versions on which numbers depend, with a digest of this package's source."""
    return {
        "rookery": f"{__version__} (source {source_digest()})",
        "jax": importlib.metadata.version("jax"),
        **{name: importlib.metadata.version(name) for name in ("jaxlib", "flax", "optax", "numpy")},
    }


def check_versions(where: str, versions: dict[str, str], reference: str, wanted: dict[str, str]) -> None:
    """Raises IncompatibleError if two processes have different versions, naming both."""
    for name, version in wanted.items():
        if versions.get(name) != version:
            raise IncompatibleError(
                f"{where} has {name} {versions.get(name, 'of no version')}, {reference} has {version}; numbers would "
                "differ: install the same version on both"
            )


def probe(marker: str, text: str) -> tuple[dict[str, str], bool]:
    """A node's versions, and whether it sees a file of the driver."""
    return own_versions(), _sees(marker, text)


def _sees(marker: str, text: str) -> bool:
    with contextlib.suppress(OSError):
        return Path(marker).read_text(encoding="utf-8") == text
    return False


def start_jax(setup: WorkerSetup) -> None:
    """Set JAX up for a task, if this process has not started it yet.

    Raises: IncompatibleError if this node has other versions than the driver.
    """
    check_versions(f"node {os.uname().nodename}", own_versions(), "the driver", setup.versions)
    os.environ.update(setup.environment)
    if not setup.num_gpus:
        os.environ["JAX_PLATFORMS"] = "cpu"
    elif setup.num_gpus < 1:
        os.environ["XLA_PYTHON_CLIENT_MEM_FRACTION"] = f"{0.9 * setup.num_gpus:.3f}"
    from rookery.training.devices import use_all_cores

    use_all_cores(setup.num_cpus, setup.num_threads)
    import jax

    # Not by its environment variable: JAX reads that when it is imported, which may have been before.
    jax.config.update("jax_default_matmul_precision", setup.matmul_precision)


class _Reports:
    """Tells the hub how far a task is, and makes this process save and stop when the hub answers that it must."""

    def __init__(self, ray: Any, hub: Any, label: str) -> None:
        self._ray, self._hub, self._label = ray, hub, label
        self._last, self._answer, self._stopping = 0.0, None, False

    def send(self, num_updates: int, at_once: bool) -> None:
        """Called after every update; sends a report every REPORT_SECONDS, or at once."""
        if not at_once and time.monotonic() - self._last < REPORT_SECONDS:
            return
        self._last = time.monotonic()
        if not self._stopping and self._is_asked_to_stop():
            self._stopping = True
            signal.raise_signal(signal.SIGTERM)  # as when its node is taken away
        self._answer = self._hub.report.remote(self._label, num_updates)

    def _is_asked_to_stop(self) -> bool:
        """What the hub answered to the last report; an answer that is not there yet counts next time."""
        with contextlib.suppress(self._ray.exceptions.RayError):
            return (
                self._answer is not None
                and bool(self._ray.wait([self._answer], timeout=0)[0])
                and self._ray.get(self._answer)
            )
        return False


def train_on_worker(order: TrainOrder, setup: WorkerSetup, hub: Any) -> TaskReport:
    """Train a part to its end, from its last checkpoint.

    Where the driver's disk is not seen, the part comes from the hub and goes back to it at every checkpoint. A task
    that starts after the time limit, or when the driver stops, does nothing.
    Raises: as `rookery.training.run_parts.train_part`.
    """
    started, clock = time.time(), time.monotonic()
    import ray  # pyright: ignore[reportMissingImports] (optional)

    if ray.get(hub.seconds_left.remote()) == 0.0 or ray.get(hub.is_stopping.remote()):
        return TaskReport(finished=False, node=ray.util.get_node_ip_address(), seconds=0.0, started=started)
    start_jax(setup)
    from rookery.scaling.archives import pack, unpack
    from rookery.storage.run_files import LOG_FILE, START_AGENTS_DIR
    from rookery.storage.serialization import from_dict
    from rookery.training.config import RunConfig
    from rookery.training.run_parts import RunPart, train_part

    shared, moved, num_updates = _sees(setup.marker, setup.marker_text), 0, 0
    with contextlib.ExitStack() as stack:
        folder = Path(order.folder)
        if not shared:
            folder = stack.enter_context(_scratch_folder()) / folder.name
            if data := ray.get(hub.load.remote(order.label)):
                unpack(data, folder)  # type: ignore[arg-type]
                moved += len(data)
        refuse_link(folder / START_AGENTS_DIR)
        for name, content in order.start_agents.items():
            _write_if_absent(folder / START_AGENTS_DIR / name, content)

        reports = _Reports(ray, hub, order.label)

        def on_update(done: int, saves: bool) -> None:
            nonlocal moved, num_updates
            num_updates += 1
            reports.send(done, at_once=saves)
            if saves and not shared:
                sys.stdout.flush()
                data = pack(folder)
                moved += len(data)
                ray.get(hub.store.remote(order.label, data))

        def send_log(kind: object, error: object, trace: object) -> None:
            if error is not None and not shared:  # with what it printed since its last checkpoint
                ray.get(hub.keep_log.remote(order.label, (folder / LOG_FILE).read_bytes()))

        stack.push(send_log)
        stack.enter_context(_printing_to(folder / LOG_FILE))
        print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} process {os.getpid()} on {os.uname().nodename}", flush=True)
        finished = train_part(
            from_dict(RunConfig, order.config),
            RunPart(order.variants, order.seed, order.num_seeds),
            folder,
            stop_after=ray.get(hub.seconds_left.remote()),
            on_update=on_update,
        )
    node, seconds = ray.util.get_node_ip_address(), time.monotonic() - clock
    return TaskReport(
        finished=finished, node=node, seconds=seconds, started=started, bytes_moved=moved, num_updates=num_updates
    )


def measure_on_worker(order: MeasureOrder, setup: WorkerSetup) -> TaskReport:
    """Measure agents; the rows are in the report."""
    started, clock = time.time(), time.monotonic()
    start_jax(setup)
    import ray  # pyright: ignore[reportMissingImports] (optional)

    with _scratch_folder() as scratch:
        moved_to = {}
        for number, (path, content) in enumerate(order.agent_files.items()):
            stem = Path(path)
            moved_to[path] = str(scratch / f"{number // 2}{stem.suffix}")
            _write_if_absent(Path(moved_to[path]), content)
        evaluator = order.eval_condition.evaluator(order.budget, order.eval_episodes)
        rows = tuple(evaluator.evaluate(_moved(agent, moved_to), seed) for agent, seed in order.agents)
    node = ray.util.get_node_ip_address()
    sent = sum(len(content) for content in order.agent_files.values())
    return TaskReport(
        finished=True, node=node, seconds=time.monotonic() - clock, started=started, bytes_moved=sent, rows=rows
    )


_SCRATCH = re.compile(r"rookery-task-(\d+)-(.*)-[^-]*")  # rookery-task-<process>-<host>-<what>


@contextlib.contextmanager
def _scratch_folder() -> Iterator[Path]:
    """A folder on this machine for the files of a task; those that killed processes left here are removed."""
    host = socket.gethostname()
    for entry in Path(tempfile.gettempdir()).glob("rookery-task-*"):
        match = _SCRATCH.fullmatch(entry.name)
        if match and match[2] == host and is_stale(int(match[1]), True, entry):
            shutil.rmtree(entry, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f"rookery-task-{os.getpid()}-{host}-") as folder:
        yield Path(folder)


def _moved(agent: Any, moved_to: dict[str, str]) -> Any:
    """The agent with its weights at their places here."""
    policies = tuple(
        dataclasses.replace(policy, checkpoint=moved_to[policy.checkpoint]) if policy.checkpoint in moved_to else policy
        for policy in agent.policies
    )
    return dataclasses.replace(agent, policies=policies)


def _write_if_absent(path: Path, content: bytes) -> None:
    if not path.exists():
        write_bytes(path, content)


@contextlib.contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Append what this process prints to a file, on standard error too, and the error that it ends with.

    Raises: StorageError for a symbolic link, or for a pipe, a socket or a device.
    """
    refuse_link(path)
    refuse_special_file(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as file:
        try:
            with contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
                yield
        except RookeryError as error:
            print(f"error: {error}", file=file)
            raise
        except Exception:
            traceback.print_exc(file=file)
            raise
