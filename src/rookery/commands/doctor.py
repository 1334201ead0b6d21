"""`rookery doctor`: what this installation has, and what it lacks."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys

from rookery.commands.options import Json
from rookery.commands.output import print_json
from rookery.environment import VARIABLES
from rookery.errors import ConfigError, RookeryError
from rookery.optional_packages import install_extra, pip_install

OPTIONAL_PACKAGES = {
    "tensorboard": ("to look at a run's curves", "track"),
    "wandb": ("to track runs with `--track wandb`", "track"),
    "mlflow": ("to track runs with `--track mlflow`", "track"),
    "pyarrow": ("to export metrics as Parquet", "track"),
    "imageio_ffmpeg": ("to write MP4 videos", "video"),
    "ray": ("to divide studies over a cluster with `--ray`", "ray"),
    "optuna": ("to search hyperparameters with `rookery sweep`", "sweep"),
    "stable_baselines3": ("to train its algorithms on these environments", "sb3"),
}


@dataclasses.dataclass
class DoctorCommand:
    """Show versions and devices, and check that everything needed is installed and works."""

    json: Json = False

    def __call__(self) -> int:
        return run_doctor(self.json)


def required_packages() -> list[str]:
    """Names of the packages that this one depends on, from its own metadata, without extras."""
    import importlib.metadata
    import re

    lines = importlib.metadata.requires("rookery") or []
    names = (re.match(r"[\w.-]+", line) for line in lines if "extra ==" not in line)
    return ["jaxlib", *(name.group() for name in names if name)]


def _describe_launch() -> str:
    """What SLURM or Open MPI says of the process that trains here."""
    from rookery.scaling.launch import find_launch

    try:
        launch = find_launch(None, None, None, os.environ)
    except ConfigError as error:
        return str(error)
    return "a run trains in this one alone" if launch is None else launch.description


def run_doctor(as_json: bool = False) -> int:
    """Returns 0 if everything needed is installed and works, else 1."""
    import importlib.metadata
    import importlib.util

    import jax

    from rookery.agents import zoo
    from rookery.backend import jax_devices
    from rookery.training.devices import machine_info

    findings: dict[str, list[str]] = {}

    def tell(name: str, finding: object) -> None:
        findings.setdefault(name, []).append(str(finding))
        if not as_json:
            print(f"{name:18} {finding}")

    tell("executable", sys.executable)
    complete = True
    try:
        devices = jax_devices()
    except RookeryError as error:
        complete, devices = False, []
        tell("devices", f"none: {error}")
    else:
        tell("devices", ", ".join(map(str, devices)))
        for name, value in machine_info().items():
            tell(name, value)
    tell("processes", _describe_launch())
    for name in required_packages():
        if name in findings:  # the version of JAX stands with the devices
            continue
        try:
            tell(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            complete = False
            tell(name, f"missing: {pip_install(name)}")
    for name, (use, extra) in OPTIONAL_PACKAGES.items():
        tell(name, "installed" if importlib.util.find_spec(name) else f"not installed; {use}: {install_extra(extra)}")
    free = shutil.disk_usage(".").free / 2**30
    tell("disk here", f"{free:.1f} GiB free{'; a run needs about 0.1 GiB' if free < 1 else ''}")
    if devices:
        product = float(jax.jit(lambda x: (x @ x).sum())(jax.numpy.ones((64, 64))))
        complete = complete and product == 64**3
        tell("compiles and runs", "yes" if product == 64**3 else "no: wrong result")
    for entry in zoo.entry_names() if devices else ():
        try:
            zoo.load_trained_agent(entry)
        except RookeryError as error:
            complete = False
            tell("zoo", error)
    tell("zoo", f"{len(zoo.entry_names())} agents")
    for name, variable in VARIABLES.items():
        tell(
            "environment",
            f"{name}={os.environ[name]}" if name in os.environ else f"{name} not set ({variable.default})",
        )
    if as_json:
        print_json({"complete": complete, **{name: "; ".join(texts) for name, texts in findings.items() if name}})
    return 0 if complete else 1
