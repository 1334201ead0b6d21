"""What only prints help or a list is quick, and does not import JAX."""

import subprocess
import sys

import pytest

from rookery.commands.envs import list_tasks
from rookery.studies.summaries import make_summaries, read_summaries
from rookery.tasks import registry
from rookery.tasks.descriptions import DESCRIPTIONS

CPU_LIMIT = 0.4  # seconds
HEAVY = ("jax", "flax", "optax", "orbax", "scipy", "matplotlib", "imageio")
MEASURE = f"""
import sys, time
from rookery.cli import main
code = main(sys.argv[1:])
print(code, time.process_time(), *(name for name in {HEAVY} if name in sys.modules), file=sys.stderr)
"""


def measure(*arguments):
    """Run one command in a new process. Returns its exit code, seconds of CPU and the heavy modules it imported."""
    process = subprocess.run([sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, check=True)
    code, seconds, *modules = process.stderr.split()
    return int(code), float(seconds), modules


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["clone", "--help"],
        ["play", "--help"],
        ["envs", "list"],
        ["zoo", "list"],
        ["zoo", "show", "goal-cycle-demo-novice"],
        ["reproduce", "--list"],
    ],
    ids=" ".join,
)
def test_help_and_lists_are_quick(arguments):
    fastest = float("inf")
    for _ in range(10):  # other processes slow each other down: the fastest of several is what the command needs
        code, seconds, modules = measure(*arguments)
        assert (code, modules) == (0, [])
        fastest = min(fastest, seconds)
        if fastest < CPU_LIMIT:
            return
    pytest.fail(f"{fastest:.2f} s of CPU")


def test_the_module_is_the_command():
    process = subprocess.run([sys.executable, "-m", "rookery", "--help"], capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")
    assert "usage: rookery COMMAND" in process.stdout


def test_the_descriptions_are_those_of_the_tasks(capsys):
    assert list(DESCRIPTIONS) == [name for name in registry.TASKS if name in DESCRIPTIONS]
    assert {name: registry.describe(name) for name in DESCRIPTIONS} == DESCRIPTIONS
    assert list_tasks() == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == registry.task_ids()


def test_the_summaries_are_those_of_the_studies():
    """After a change to a study: `python -m rookery.studies.summaries`."""
    assert read_summaries() == make_summaries()
