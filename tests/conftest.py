"""What all tests share: where the reference recordings are, and how random tests are drawn.

The shapes and types written in signatures are checked while tests run, unless ROOKERY_CHECK_TYPES=0.
"""

import os
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # before jax is imported; set it to test on an accelerator

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

if os.environ.get("ROOKERY_CHECK_TYPES", "1") != "0":
    # Modules of functions only: a dataclass of a batch of worlds does not fit the shapes written for one.
    checked = "world.layout agents.networks agents.recurrent learning.advantage learning.auxiliary.frame"
    install_import_hook([f"rookery.{name}" for name in checked.split()], "beartype.beartype")

settings.register_profile("rookery", deadline=None, derandomize=True)
settings.load_profile("rookery")


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of reference recordings: $ROOKERY_GOLDEN, or `shared/golden` beside the checkout."""
    beside = Path(__file__).parents[1].parent / "shared" / "golden"
    folder = Path(os.environ.get("ROOKERY_GOLDEN", beside))
    if not folder.is_dir():
        pytest.skip(f"no reference recordings at {folder}; set ROOKERY_GOLDEN to their folder")
    return folder
