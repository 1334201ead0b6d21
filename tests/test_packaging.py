"""What is built and what is declared: the wheel runs away from the checkout, and nothing needs one operating system."""

import ast
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
UNIX_ONLY = {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    process = subprocess.run([*command, str(ROOT)], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The wheel unpacked into a folder, as pip does it; what it depends on is this environment's."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def elsewhere(installed: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess:
    """Python in another folder, with the wheel before the checkout on its path."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_the_wheel_runs_away_from_the_checkout(installed, tmp_path):
    # `make test-dist` runs the demo, in an environment that has the wheel and what it depends on alone.
    where = elsewhere(installed, tmp_path, "-c", "import rookery; print(rookery.__file__)")
    assert Path(where.stdout.strip()).is_relative_to(installed), where.stderr
    listed = elsewhere(installed, tmp_path, "-m", "rookery", "envs")
    assert "goal-cycle-v0" in listed.stdout, listed.stderr
    verified = elsewhere(installed, tmp_path, "-m", "rookery", "zoo", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


def test_the_wheel_has_every_file_of_the_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if name.startswith("rookery/")}
    files = (path for path in (ROOT / "src").rglob("*") if path.is_file() and path.suffix != ".pyc")
    assert packed == {path.relative_to(ROOT / "src").as_posix() for path in files}


def test_no_module_imports_what_only_some_systems_have():
    # Inside functions such an import is allowed: `rookery play --terminal` needs a Unix terminal.
    for path in SOURCES:
        for node in ast.parse(path.read_text()).body:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not UNIX_ONLY & {name.split(".")[0] for name in names}, path


def test_windows_is_refused_in_the_first_line():
    program = "import sys; sys.platform = 'win32'; import rookery"
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert process.returncode != 0
    assert process.stderr.splitlines()[-1].startswith("ImportError: Rookery does not run on Windows; ")


def test_versions_agree():
    import rookery

    citation = (ROOT / "CITATION.cff").read_text()
    assert f"\nversion: {rookery.__version__}\n" in citation
    assert PROJECT["version"] == rookery.__version__


def test_every_python_that_is_declared_is_tested():
    declared = {line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if ":: 3." in line}
    workflow = (ROOT / ".github" / "workflows" / "test.yml").read_text()
    assert declared
    assert all(f'"{version}"' in workflow for version in declared)
    assert PROJECT["requires-python"] == f">={min(declared, key=lambda v: int(v.split('.')[1]))}"


def test_the_site_is_built_with_what_the_extra_docs_has():
    lines = (ROOT / "docs" / "requirements.txt").read_text().splitlines()
    assert sorted(PROJECT["optional-dependencies"]["docs"]) == sorted(line for line in lines if line[0] != "#")
