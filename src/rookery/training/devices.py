"""The devices that a run uses."""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rookery.backend import cpu_devices, jax_devices
from rookery.errors import printable
from rookery.storage.strict_json import is_whole_number_text

DEVICE_COUNT_FLAG = "--xla_force_host_platform_device_count"
THREADS_VARIABLE = "NPROC"
"""Environment variable that XLA's CPU backend reads instead of counting the cores that the process may use."""
DETERMINISTIC_FLAG = "--xla_gpu_deterministic_ops"
COLLECTIVE_TIMEOUT_FLAG = "--xla_cpu_collective_call_terminate_timeout_seconds"


def use_all_cores(num_cores: int | None = None, num_threads: int | None = None) -> int:
    """Make each CPU core a JAX device, so that seeds run side by side on them.

    Small matrix products do not keep several cores busy; whole seeds do. The devices are also allowed to wait for each
    other (`collective_timeout_flags`). Must be called before JAX starts its backend; does nothing if XLA_FLAGS already
    sets the number of devices, or is the name of a file of flags. Other backends than the CPU ignore it.

    Args:
      num_cores: None: all that the process may use.
      num_threads: what `thread_count` was when a run was started. There will be as many again, and no more devices than
        that, so that the numbers are the same on any number of cores.
    Returns: the number of CPU devices requested; 1 if XLA_FLAGS leaves that open.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if num_threads is not None and num_threads != _default_threads():
        os.environ[THREADS_VARIABLE] = str(num_threads)
    if (count := _requested_devices(flags)) is not None:
        return count
    count = min(num_cores or available_cores(), num_threads or sys.maxsize)
    os.environ["XLA_FLAGS"] = f"{flags} {DEVICE_COUNT_FLAG}={count} {collective_timeout_flags()}".strip()
    return count


def _requested_devices(flags: str) -> int | None:
    """The devices that XLA_FLAGS asks for; None: it says nothing, so that a flag may be added."""
    if flags.strip() and not flags.lstrip().startswith("-"):
        return 1  # XLA takes it for the name of a file
    try:
        words = shlex.split(flags)  # values may be quoted
    except ValueError:
        return 1
    for word in words:
        name, _, value = word.partition("=")
        if name == DEVICE_COUNT_FLAG:
            return int(value) if is_whole_number_text(value) else 1
    return None


def _default_threads() -> int:
    """Threads that XLA's CPU backend starts with, before it adds more for more devices."""
    number = os.environ.get(THREADS_VARIABLE, "")
    return int(number) if is_whole_number_text(number) and int(number) > 0 else available_cores()


def thread_count() -> int:
    """Threads over which XLA splits a sum on the CPU.

    Sums of floats in another order have other last bits, so a run's numbers depend on it. Starts JAX's backend.
    """
    return max(_default_threads(), len(cpu_devices()))


def expected_cpu_devices(num_cores: int | None = None) -> int:
    """The CPU devices that there will be after `use_all_cores(num_cores)`, without starting JAX's backend."""
    requested = _requested_devices(os.environ.get("XLA_FLAGS", ""))
    return num_cores or available_cores() if requested is None else requested


def expected_threads(num_cores: int | None = None) -> int:
    """What `thread_count` will be after `use_all_cores(num_cores)`, without starting JAX's backend."""
    return max(_default_threads(), expected_cpu_devices(num_cores))


def collective_timeout_flags() -> str:
    """Flags that let a CPU's devices wait for each other for a week, without a warning for ten minutes.

    Without them XLA ends the process when a device has waited for 40 s, and a core that other programs use can be that
    late. XLA also ends a process with a flag it does not know; versions before 0.10 may not know these: '' for them.
    """
    version = importlib.metadata.version("jaxlib").split(".")
    if (int(version[0]), int(version[1])) < (0, 10):
        return ""
    return f"{COLLECTIVE_TIMEOUT_FLAG}=604800 --xla_cpu_collective_call_warn_stuck_timeout_seconds=600"


def on_cpu(devices: Sequence[Any]) -> bool:
    """Whether JAX devices are CPU cores, and not GPUs or other devices with memory of their own."""
    return devices[0].platform == "cpu"


def devices_per_replica(devices: Sequence[Any], num_replicas: int) -> int:
    """How many devices share the batch of each replica: 1 unless there are twice as many as replicas, or more.

    It is a number that divides a batch's shards. A CPU's devices share none unless they are allowed to wait for each
    other (`collective_timeout_flags`).
    """
    from rookery.learning import batch_sharding  # imports JAX, which must read its flags later than `use_all_cores`

    if on_cpu(devices) and COLLECTIVE_TIMEOUT_FLAG not in os.environ.get("XLA_FLAGS", ""):
        return 1
    return batch_sharding.usable_devices(max(1, len(devices) // num_replicas))


def request_deterministic_ops() -> None:
    """Make a GPU add up in a fixed order, so that a run repeats to the bit there. Must be called before JAX starts."""
    flags = os.environ.get("XLA_FLAGS", "")
    if DETERMINISTIC_FLAG not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {DETERMINISTIC_FLAG}=true".strip()


def describe_devices(num_replicas: int, divisible: bool = True) -> str:
    """This process's devices, and how the replicas of a run would lie on them. Starts JAX's backend.

    divisible: whether devices can share one replica: all its learners support it.
    """
    devices = jax_devices()
    kind = "CPU device" if on_cpu(devices) else f"{devices[0].device_kind} device"
    sharing = devices_per_replica(devices, num_replicas) if divisible else 1
    if num_replicas >= len(devices):
        layout = f"at most {-(-num_replicas // len(devices))} on each"
    elif sharing > 1:
        layout = f"up to {sharing} share the batch of one"
    else:
        layout = f"{len(devices) - num_replicas} without work"
        layout += "" if divisible else ", because a learner's updates cannot be divided among devices"
    return f"{_count(len(devices), kind)} for {_count(num_replicas, 'replica')}: {layout}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def available_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_info(devices: Sequence[Any] | None = None) -> dict[str, str | int]:
    """The machine and versions that a result was measured with. devices: JAX's that computed it; None: all."""
    import platform

    import jax

    from rookery import __version__

    device = (devices or jax_devices())[0]
    return {
        "processor": printable(_processor()),
        "cores": available_cores(),
        "threads": thread_count(),
        "device": device.device_kind if device.platform != "cpu" else "cpu",
        "system": platform.system(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": importlib.metadata.version("jaxlib"),
        "xla_flags": printable(without_own_flags()) or "none",
        "matmul_precision": jax.config.jax_default_matmul_precision or "default",  # type: ignore[attr-defined]
        "rookery": __version__,
        "rookery_source": source_digest(),
    }


@functools.cache
def source_digest() -> str:
    """Of this package's source: a source that was edited has the version that it had before."""
    root = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def without_own_flags() -> str:
    """XLA_FLAGS but for those that `use_all_cores` sets, on which no number depends."""
    own = (DEVICE_COUNT_FLAG, *(flag.partition("=")[0] for flag in collective_timeout_flags().split()))
    words = os.environ.get("XLA_FLAGS", "").split()
    return " ".join(word for word in words if word.partition("=")[0] not in own)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as text:
            for line in text:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    import platform

    return platform.processor() or platform.machine()
