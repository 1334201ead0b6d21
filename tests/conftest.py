"""What all tests share: where the reference recordings are, and how random tests are drawn.

The shapes and types written in signatures are checked while tests run, unless ROOKERY_CHECK_TYPES=0.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from tests.flags import quick_flags, without_haste

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # before jax is imported; set it to test on an accelerator

if "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = quick_flags()
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    # What one test has compiled the next one, and the processes it starts, need not compile again.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="rookery-tests-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.2"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

if os.environ.get("ROOKERY_CHECK_TYPES", "1") != "0":
    # Modules of functions only: a dataclass of a batch of worlds does not fit the shapes written for one.
    checked = "gridworld.layout nn.cells nn.modules agents.networks agents.recurrent learning.advantage"
    checked += " learning.auxiliary.frame_prediction"
    install_import_hook([f"rookery.{name}" for name in checked.split()], "beartype.beartype")

settings.register_profile("rookery", deadline=None, derandomize=True)
settings.load_profile("rookery")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    return without_haste(pyfuncitem) or None  # None: pytest calls it


@pytest.fixture(autouse=True, scope="module")
def _forget_programs():
    """Compiled programs are given back after each file: a process has room for some thousand maps of memory only."""
    yield
    import jax

    jax.clear_caches()


@pytest.fixture
def quick(monkeypatch):
    """A program that this process has traced is not traced again: runs alike start at once."""
    from tests.tiny import trace_once

    trace_once(monkeypatch)


@pytest.fixture(scope="session")
def straight(tmp_path_factory):
    """A tiny run carried through without a stop: its result, with the last state as numpy arrays."""
    from rookery.training.trainer import train
    from tests.tiny import CONFIG, on_host, trace_once

    with pytest.MonkeyPatch.context() as patch:
        trace_once(patch)
        result = on_host(train(CONFIG, tmp_path_factory.mktemp("straight") / "run", quiet=True))
    assert result.finished, "somebody sent this process a signal"
    return result


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of reference recordings: $ROOKERY_GOLDEN, or `shared/golden` beside the checkout."""
    beside = Path(__file__).parents[1].parent / "shared" / "golden"
    folder = Path(os.environ.get("ROOKERY_GOLDEN", beside))
    if not folder.is_dir():
        pytest.skip(f"no reference recordings at {folder}; set ROOKERY_GOLDEN to their folder")
    return folder
