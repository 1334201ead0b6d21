"""Which devices a run uses."""

from __future__ import annotations

import importlib.metadata
import os

DEVICE_COUNT_FLAG = "--xla_force_host_platform_device_count"
COLLECTIVE_TIMEOUT_FLAG = "--xla_cpu_collective_call_terminate_timeout_seconds"


def use_all_cores(num_cores: int | None = None) -> int:
    """Present the CPU's cores to JAX as devices of their own, so that seeds run side by side on them.

    Small matrix products do not fill several cores; whole seeds do. Cores are told to wait for each other, too
    (`patience`). Must be called before JAX starts its backend; does nothing if the user set the flag, or
    JAX_PLATFORMS names something else than the CPU.

    Returns: the number of CPU devices asked for.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if DEVICE_COUNT_FLAG in flags:
        return int(flags.split(DEVICE_COUNT_FLAG + "=")[1].split()[0])
    count = num_cores or available_cores()
    os.environ["XLA_FLAGS"] = f"{flags} {DEVICE_COUNT_FLAG}={count} {collective_timeout_flags()}".strip()
    return count


def collective_timeout_flags() -> str:
    """Flags that let a CPU's devices wait for each other for a week, and not speak of it for ten minutes.

    Without, XLA ends the process when one has waited 40 s: a core that others use as well may be so late. XLA also
    ends a process that names a flag it does not know, and versions before 0.10 may not: '' for them.
    """
    version = importlib.metadata.version("jaxlib").split(".")
    if (int(version[0]), int(version[1])) < (0, 10):
        return ""
    return f"{COLLECTIVE_TIMEOUT_FLAG}=604800 --xla_cpu_collective_call_warn_stuck_timeout_seconds=600"


def max_sharing_devices(num_devices: int) -> int:
    """How many of so many devices of a CPU may share one learner's lanes: 1 unless they wait for each other."""
    from rookery.learning import batch_sharding  # and with it JAX, which is to read its flags later

    return (
        batch_sharding.usable_devices(num_devices) if COLLECTIVE_TIMEOUT_FLAG in os.environ.get("XLA_FLAGS", "") else 1
    )


def available_cores() -> int:
    """Cores this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_info() -> dict[str, str | int]:
    """What a result should say of where it was measured."""
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
