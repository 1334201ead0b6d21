"""What only prints help or a list does not import JAX (benchmarks/startup.py measures the seconds)."""

import subprocess
import sys

import pytest

from rookery.commands.lists import list_tasks
from rookery.studies.summaries import make_summaries, read_summaries
from rookery.tasks import registry
from rookery.tasks.descriptions import DESCRIPTIONS

HEAVY = ("jax", "flax", "optax", "orbax", "scipy", "matplotlib", "imageio")
PARSER = ("tyro",)  # a third of the time that a list may take
LIST_MODULES = f"""
import sys
from rookery.cli import main
code = main(sys.argv[1:])
print(code, *(name for name in {HEAVY + PARSER} if name in sys.modules), file=sys.stderr)
"""


def run_and_list_modules(*arguments):
    """Run one command in a new process. Returns its exit code and the heavy modules it imported."""
    process = subprocess.run(
        [sys.executable, "-c", LIST_MODULES, *arguments], capture_output=True, text=True, check=True
    )
    code, *modules = process.stderr.split()
    return int(code), modules


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["envs", "list"],
        ["zoo"],
        ["zoo", "list", "--json"],
        ["zoo", "show", "goal-cycle-demo-novice"],
        ["reproduce", "--list"],
    ],
    ids=" ".join,
)
def test_lists_do_without_jax_and_the_parser(arguments):
    assert run_and_list_modules(*arguments) == (0, [])


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--help"],
        ["clone", "--help"],
        ["play", "--help"],
        ["runs", "list", "src"],
    ],
    ids=" ".join,
)
def test_help_and_what_reads_files_do_without_jax(arguments):
    assert run_and_list_modules(*arguments) == (0, list(PARSER))


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
    summaries = read_summaries()
    assert summaries == make_summaries()
    # Twelve seeds with the loss and without it, six each with reconstruction, and alone with the loss and without.
    assert summaries["ndousse2021/fig4"]["training_steps"]["desk"] == (2 * 12 + 3 * 6) * 8_000_000
