"""Every program of docs/recipes.md runs, with fewer environments and steps, where its library is installed."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.optional import is_installed

PAGE = Path(__file__).parents[2] / "docs" / "recipes.md"
PROGRAMS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
CLIENTS = ("sb3_contrib", "stable_baselines3", "ray", "torchrl", "jaxmarl")
MORE_PACKAGES = {"ray": ("tree", "torch")}  # RLlib's, which Ray alone comes without


def client(program: str) -> str:
    """The library that a program is for, by what it imports."""
    return next(name for name in CLIENTS if re.search(rf"^(from|import) {name}\b", program, re.MULTILINE))


def test_the_page_has_a_program_for_every_library():
    assert {client(program) for program in PROGRAMS} == set(CLIENTS)


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS, ids=[f"{client(p)}-{i}" for i, p in enumerate(PROGRAMS)])
def test_it_runs(program, tmp_path):
    for name in (client(program), *MORE_PACKAGES.get(client(program), ())):
        if not is_installed(name):
            pytest.skip(f"{name} is not installed; pip install -e '.[clients]'")
    small, found = re.subn(r"^NUM_ENVS, STEPS = .*$", "NUM_ENVS, STEPS = 4, 128", program, flags=re.MULTILINE)
    assert found == 1
    path = tmp_path / "recipe.py"
    path.write_text(small)
    options = {"cwd": tmp_path, "env": {**os.environ, "OMP_NUM_THREADS": "1"}}
    result = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=900, **options)
    missing = re.search(r"^ModuleNotFoundError: No module named '([^']+)'$", result.stderr, re.MULTILINE)
    if missing and missing[1].split(".")[0] not in (client(program), "rookery"):
        pytest.skip(f"{client(program)} needs {missing[1]}, which is not installed; pip install -e '.[clients]'")
    assert result.returncode == 0, result.stderr[-4000:]
