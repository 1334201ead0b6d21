"""What all tests share: the folder of reference recordings, and the settings of randomized tests.

The shapes and types written in signatures are checked while tests run, unless ROOKERY_CHECK_TYPES=0.
"""

import atexit
import gc
import os
import shutil
import signal
import tempfile
from pathlib import Path

from tests.flags import HASTY, quick_flags, without_haste

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # before jax is imported; set it to test on an accelerator

if "XLA_FLAGS" not in os.environ:
    os.environ["XLA_FLAGS"] = quick_flags()
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    # A program that one test compiled is not compiled again by others and the processes they start. Small ones, which
    # are most, take half as long to read as to compile.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="rookery-tests-")
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

if os.environ.get("ROOKERY_CHECK_TYPES", "1") != "0":
    # Modules of functions only: a dataclass of a batch of environments does not fit the shapes of a single one.
    checked = "gridworld.layout nn.cells nn.modules agents.networks agents.recurrent learning.advantage"
    checked += " learning.auxiliary.frame_prediction"
    install_import_hook([f"rookery.{name}" for name in checked.split()], "beartype.beartype")

# Tracing makes millions of objects that live long; looking through them for cycles again and again takes a tenth of it.
gc.set_threshold(50_000, 10, 10)

settings.register_profile("rookery", deadline=None, derandomize=True)
settings.load_profile("rookery")


LONGEST_FILES = [
    "studies/test_smoke.py", "studies/test_smoke_of_others.py", "scaling/test_ray_study.py", "play/test_server.py",
    "training/test_trainer.py", "tasks/test_all.py", "learning/test_extensions.py", "interop/test_gymnasium.py",
    "interop/test_pettingzoo.py", "test_cli.py", "docs/test_code_blocks.py", "training/test_resume.py",
    "examples/test_rookery_extras.py", "training/test_train_step.py", "scaling/test_many_devices.py",
    "scorecard/test_card.py", "test_demo.py",
]  # fmt: skip
"""Relative to this folder, about half a minute or more on one core, the longest first."""


BYTES_PER_PROCESS = 4_000_000_000
"""The most that a process of tests, with those that it starts, was seen to need."""


def pytest_xdist_auto_num_workers(config):
    """One more than there are cores, if memory allows: some tests wait for a server, a browser or a cluster.

    None: as many as PYTEST_XDIST_AUTO_NUM_WORKERS says.
    """
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None
    from rookery.training.devices import available_cores
    from rookery.training.memory import machine_memory

    cores = available_cores()
    return cores + ((machine_memory() or 0) >= BYTES_PER_PROCESS * (cores + 1))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """The longest files come first: were they last, one process would do them while the others wait."""
    here, rank = Path(__file__).parent, {name: number for number, name in enumerate(LONGEST_FILES)}
    ranks = {path: rank.get(os.path.relpath(path, here), len(rank)) for path in {item.path for item in items}}
    items.sort(key=lambda item: ranks[item.path])


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem):
    return without_haste(pyfuncitem) or None  # None: pytest calls it


@pytest.fixture(autouse=True, scope="session")
def _one_device():
    """Runs use one device unless a test names more: dividing a program is a third of compiling it.

    Tests marked `exact` use all.
    """
    if HASTY not in os.environ["XLA_FLAGS"]:
        yield
        return
    import jax

    from rookery.training.train_step import Run

    choose = Run._mesh
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "_mesh", lambda run, devices: choose(run, devices or jax.devices()[:1]))
        yield


@pytest.fixture(autouse=True, scope="module")
def _forget_programs():
    """Compiled programs are freed after each file: a process can have only some thousand memory maps."""
    yield
    import jax

    jax.clear_caches()


@pytest.fixture
def signals_act():
    """SIGINT and SIGHUP are not ignored, also where the tests run in the background or under `nohup`."""
    acting = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    previous = {number: signal.signal(number, handler) for number, handler in acting.items()}
    yield
    for number, handler in previous.items():
        signal.signal(number, handler)


@pytest.fixture
def quick(monkeypatch):
    """A program that this process has traced is not traced again: similar runs start at once."""
    from tests.tiny import trace_once

    trace_once(monkeypatch)


@pytest.fixture(scope="module")
def quick_file():
    """As `quick`, for all of a file, its own fixtures included."""
    from tests.tiny import trace_once

    with pytest.MonkeyPatch.context() as patch:
        trace_once(patch)
        yield


@pytest.fixture(scope="session")
def straight(tmp_path_factory):
    """A tiny run that was never stopped: its result, with the last state as numpy arrays."""
    from rookery.training.trainer import train
    from tests.tiny import CONFIG, on_host, trace_once

    with pytest.MonkeyPatch.context() as patch:
        trace_once(patch)
        result = on_host(train(CONFIG, tmp_path_factory.mktemp("straight") / "run", quiet=True))
    assert result.finished, "this process received a signal"
    return result


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of reference recordings: $ROOKERY_GOLDEN, or `shared/golden` next to the checkout."""
    default = Path(__file__).parents[1].parent / "shared" / "golden"
    folder = Path(os.environ.get("ROOKERY_GOLDEN", default))
    if not folder.is_dir():
        pytest.skip(f"no reference recordings at {folder}; set ROOKERY_GOLDEN to their folder")
    return folder
