"""A package that is missing is told from one that is broken."""

import importlib
import sys

import pytest

from rookery.errors import MissingPackageError
from rookery.optional_packages import import_optional
from rookery.scaling.ray_cluster import import_ray
from rookery.scorecard.agents import load_scored_agent
from rookery.tracking.run_table import write_parquet
from rookery.viz.video import find_ffmpeg

MISSING = "install it"


@pytest.fixture
def broken(tmp_path, monkeypatch):
    """Make a package of this name that cannot be imported, as one whose own library is missing."""

    def make(name: str, code: str = "raise ImportError('libx.so: no such file')") -> None:
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.delitem(sys.modules, name, raising=False)

    monkeypatch.syspath_prepend(tmp_path)
    return make


@pytest.mark.parametrize("name", ["no_such_package", "no_such_package.part"])
def test_what_is_not_installed(name):
    with pytest.raises(MissingPackageError, match=f"^{MISSING}$"):
        import_optional(name, MISSING)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ImportError('libx.so: no such file')", "ImportError: libx.so: no such file"),
        ("raise OSError('libx.so: no such file')", "OSError: libx.so: no such file"),
        ("import no_such_part", "ModuleNotFoundError: No module named 'no_such_part'"),
    ],
)
def test_what_is_broken_is_named_with_the_reason(code, reason, broken):
    broken("broken_package", code)
    message = f"broken_package is installed, but importing it failed: {reason}; mend that, or install broken_package"
    with pytest.raises(MissingPackageError, match=f"^{message} again$"):
        import_optional("broken_package", MISSING)


@pytest.fixture
def hide(monkeypatch):
    """Let packages not be found, as where they are not installed."""

    def these(*packages: str) -> None:
        class Finder:
            @staticmethod
            def find_spec(name, path=None, target=None):
                if name in packages:
                    raise ModuleNotFoundError(f"No module named {name!r}", name=name)

        for name in [name for name in sys.modules if name.partition(".")[0] in packages]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])

    return these


@pytest.mark.parametrize(
    ("adapter", "missing", "title", "extra"),
    [
        ("gymnasium", ["gymnasium"], "Gymnasium", "interop"),
        ("pettingzoo", ["gymnasium", "pettingzoo"], "Gymnasium", "interop"),
        ("pettingzoo", ["pettingzoo"], "PettingZoo", "interop"),
        ("stable_baselines3", ["stable_baselines3"], "Stable-Baselines3", "sb3"),
        ("stable_baselines3", ["gymnasium", "stable_baselines3"], "Stable-Baselines3", "sb3"),
    ],
)
def test_an_adapter_without_its_package(adapter, missing, title, extra, hide, monkeypatch):
    importlib.import_module("rookery.interop")  # before, since it registers tasks with what is installed
    monkeypatch.delitem(sys.modules, f"rookery.interop.{adapter}", raising=False)
    hide(*missing)
    said = rf"^{title} is not installed; \S+ -m pip install 'rookery\[{extra}\]'$"
    with pytest.raises(MissingPackageError, match=said):
        importlib.import_module(f"rookery.interop.{adapter}")


def test_every_optional_package_is_told_so(broken, tmp_path):
    model = tmp_path / "model"
    for suffix in (".onnx", ".pt"):
        model.with_suffix(suffix).touch()
    imports = {
        "onnxruntime": lambda: load_scored_agent(str(model.with_suffix(".onnx"))),
        "torch": lambda: load_scored_agent(str(model.with_suffix(".pt"))),
        "ray": import_ray,
        "imageio_ffmpeg": find_ffmpeg,
        "pyarrow": lambda: write_parquet({}, tmp_path / "table.parquet"),
    }
    for name, use in imports.items():
        broken(name)
        with pytest.raises(MissingPackageError, match=f"^{name}.* is installed, but importing it failed: ImportError"):
            use()
