"""How XLA compiles while tests run: in haste, for most of a test's time is compilation."""

import os
import subprocess
import sys

from rookery.training.devices import collective_timeout_flags

# Two devices, to spread runs over.
KEPT = (
    "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0 "
    f"--xla_llvm_disable_expensive_passes=true {collective_timeout_flags()} "
    "--xla_cpu_parallel_codegen_split_count=1"
)
HASTY = "--xla_cpu_use_fusion_emitters=false"
"""Much quicker to compile; but a program's last bits then depend on how many replicas it has."""


def quick_flags() -> str:
    """For XLA_FLAGS. XLA ends a process that names a flag it does not know, so another process tries."""
    tried = f"{KEPT} {HASTY}"
    trial = [sys.executable, "-c", "import jax; jax.devices()"]
    lives = subprocess.run(trial, env={**os.environ, "XLA_FLAGS": tried}, capture_output=True).returncode == 0
    return tried if lives else KEPT


def without_haste(item) -> bool:
    """Run a test marked `exact` in a process without the hasty flag. Returns whether that was needed, and done."""
    if item.get_closest_marker("exact") is None or HASTY not in os.environ.get("XLA_FLAGS", ""):
        return False
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"{item.path}::{item.name}"]
    ended = subprocess.run(command, env={**kept, "XLA_FLAGS": KEPT}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return True
