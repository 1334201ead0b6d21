"""`rookery doctor`: what this installation has, and what it lacks."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys

from rookery.errors import printable

OPTIONAL_PACKAGES = {
    "tensorboard": "to look at a run's curves: pip install 'rookery[track]'",
    "imageio_ffmpeg": "to write MP4 videos: pip install 'rookery[video]'",
}


@dataclasses.dataclass
class DoctorCommand:
    """Show versions and devices, and check that everything needed is installed and works."""

    def __call__(self) -> int:
        return run_doctor()


def required_packages() -> list[str]:
    """Names of the packages that this one depends on, from its own metadata, without extras."""
    import importlib.metadata
    import re

    lines = importlib.metadata.requires("rookery") or []
    names = (re.match(r"[\w.-]+", line) for line in lines if "extra ==" not in line)
    return ["jaxlib", *(name.group() for name in names if name)]


def run_doctor() -> int:
    """Returns 0 if everything needed is installed and works, else 1."""
    import importlib.metadata
    import importlib.util

    import jax

    from rookery.agents import zoo
    from rookery.errors import RookeryError
    from rookery.training.devices import machine_info

    print(f"{'executable':18} {sys.executable}")
    complete = True
    try:
        devices = jax.devices()
    except Exception as error:  # whatever JAX and its plug-ins raise for a device that is not there
        complete, devices = False, []
        print(f"{'devices':18} none: {printable(' '.join(str(error).split()))}")
        print(
            f"{'':18} JAX_PLATFORMS is {os.environ.get('JAX_PLATFORMS') or 'not set'}; JAX_PLATFORMS=cpu always works"
        )
    else:
        print(f"{'devices':18} {', '.join(map(str, devices))}")
        for name, value in machine_info().items():
            print(f"{name:18} {value}")
    for name in required_packages():
        try:
            print(f"{name:18} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            complete = False
            print(f"{name:18} missing: pip install {name}")
    for name, use in OPTIONAL_PACKAGES.items():
        print(f"{name:18} {'installed' if importlib.util.find_spec(name) else 'not installed; ' + use}")
    free = shutil.disk_usage(".").free / 2**30
    print(f"{'disk here':18} {free:.1f} GiB free{'; a run needs about 0.1 GiB' if free < 1 else ''}")
    if devices:
        product = float(jax.jit(lambda x: (x @ x).sum())(jax.numpy.ones((64, 64))))
        complete = complete and product == 64**3
        print(f"{'compiles and runs':18} {'yes' if product == 64**3 else 'no: wrong result'}")
    for entry in zoo.entry_names() if devices else ():
        try:
            zoo.load_trained_agent(entry)
        except RookeryError as error:
            complete = False
            print(f"{'zoo':18} {error}")
    print(f"{'zoo':18} {len(zoo.entry_names())} agents")
    return 0 if complete else 1
