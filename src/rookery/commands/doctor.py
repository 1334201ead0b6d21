"""`rookery doctor`: what this installation is, and what it lacks."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import sys

from rookery.agents import zoo
from rookery.errors import RookeryError
from rookery.training.devices import machine_info

REQUIRED_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "safetensors", "numpy", "scipy", "tyro", "rich",
        "tensorboardX", "matplotlib", "imageio", "pillow")  # fmt: skip
OPTIONAL_PACKAGES = {
    "tensorboard": "to look at a run's curves: pip install 'rookery[track]'",
    "imageio_ffmpeg": "to write MP4 films: pip install 'rookery[video]'",
}


def run_doctor() -> int:
    """Returns 0 if all that is needed is there and works, else 1."""
    import jax
    import jax.numpy as jnp

    for name, value in machine_info().items():
        print(f"{name:18} {value}")
    print(f"{'executable':18} {sys.executable}")
    print(f"{'devices':18} {', '.join(str(device) for device in jax.devices())}")
    sound = True
    for name in REQUIRED_PACKAGES:
        try:
            print(f"{name:18} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            sound = False
            print(f"{name:18} missing: pip install {name}")
    for name, use in OPTIONAL_PACKAGES.items():
        print(f"{name:18} {'present' if importlib.util.find_spec(name) else 'absent; ' + use}")
    free = shutil.disk_usage(".").free / 2**30
    print(f"{'disk here':18} {free:.1f} GiB free{'; a run needs about 0.1' if free < 1 else ''}")
    product = float(jax.jit(lambda x: (x @ x).sum())(jnp.ones((64, 64))))
    print(f"{'compiles and runs':18} {'yes' if product == 64**3 else 'no: wrong result'}")
    for entry in zoo.entry_names():
        try:
            zoo.load_trained_agent(entry)
        except RookeryError as error:
            sound = False
            print(f"{'zoo':18} {error}")
    print(f"{'zoo':18} {len(zoo.entry_names())} agents")
    return 0 if sound and product == 64**3 else 1
