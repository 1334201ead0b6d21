"""The linter finds nothing; above all no undefined name, which a branch that no test takes would hide."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ruff", reason="ruff is not installed")


def test_lint():
    root = Path(__file__).parents[1]
    ended = subprocess.run([sys.executable, "-m", "ruff", "check", "--no-cache", "."], cwd=root, capture_output=True)
    assert ended.returncode == 0, ended.stdout.decode()
