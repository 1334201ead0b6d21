"""The devices that a run uses."""

from __future__ import annotations

import importlib.metadata
import os

DEVICE_COUNT_FLAG = "--xla_force_host_platform_device_count"
COLLECTIVE_TIMEOUT_FLAG = "--xla_cpu_collective_call_terminate_timeout_seconds"


def use_all_cores(num_cores: int | None = None) -> int:
    """Make each CPU core a JAX device, so that seeds run side by side on them.

    Small matrix products do not keep several cores busy; whole seeds do. The devices are also allowed to wait for each
    other (`collective_timeout_flags`). Must be called before JAX starts its backend; does nothing if XLA_FLAGS already
    sets the number of devices. Other backends than the CPU ignore it.

    Returns: the number of CPU devices requested.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if DEVICE_COUNT_FLAG in flags:
        return int(flags.split(DEVICE_COUNT_FLAG + "=")[1].split()[0])
    count = num_cores or available_cores()
    os.environ["XLA_FLAGS"] = f"{flags} {DEVICE_COUNT_FLAG}={count} {collective_timeout_flags()}".strip()
    return count


def collective_timeout_flags() -> str:
    """Flags that let a CPU's devices wait for each other for a week, without a warning for ten minutes.

    Without them XLA ends the process when a device has waited for 40 s, and a core that other programs use can be that
    late. XLA also ends a process with a flag it does not know; versions before 0.10 may not know these: '' for them.
    """
    version = importlib.metadata.version("jaxlib").split(".")
    if (int(version[0]), int(version[1])) < (0, 10):
        return ""
    return f"{COLLECTIVE_TIMEOUT_FLAG}=604800 --xla_cpu_collective_call_warn_stuck_timeout_seconds=600"


def max_sharing_devices(num_devices: int) -> int:
    """How many of a CPU's devices may share one learner's batch: 1 unless they are allowed to wait for each other."""
    from rookery.learning import batch_sharding  # imports JAX, which must read its flags later than `use_all_cores`

    return (
        batch_sharding.usable_devices(num_devices) if COLLECTIVE_TIMEOUT_FLAG in os.environ.get("XLA_FLAGS", "") else 1
    )


def available_cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_info() -> dict[str, str | int]:
    """The machine and versions that a result was measured with."""
    import platform

    import jax

    from rookery import __version__

    device = jax.devices()[0]
    return {
        "processor": _processor(),
        "cores": available_cores(),
        "device": device.device_kind if device.platform != "cpu" else "cpu",
        "system": platform.system(),
        "python": platform.python_version(),
        "jax": jax.__version__,
        "rookery": __version__,
    }


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
