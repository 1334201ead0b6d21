"""Imports go one way, and the package is quick to import."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import rookery

ROOT = Path(rookery.__file__).parent

MAY_IMPORT = {
    "errors": set(),
    "types": set(),
    "world": {"errors", "types"},
    "tasks": {"errors", "types", "world"},
    "testing": {"errors", "types", "world", "tasks"},
    "agents": {"errors", "types"},
    "learning": {"errors", "types", "agents"},
    "runs": {"errors", "types", "world", "tasks", "agents", "learning"},
    "studies": {"errors", "types", "world", "tasks", "agents", "learning", "runs", "show"},
    "interop": {"errors", "types", "world", "tasks", "agents", "runs", "show"},
}
"""What each lower layer may import beside itself; layers not named stand above all of these."""

EXCEPTIONS = {
    ("agents/scripted/goal_cycle.py", "world"),  # scripted experts read the map
    ("agents/scripted/explorer.py", "world"),
    ("agents/scripted/goal_sequence.py", "world"),
    ("agents/scripted/key_door.py", "world"),
    ("agents/scripted/memory.py", "world"),
    ("agents/scripted/paths.py", "world"),
    ("agents/seeing.py", "world"),  # a teacher looks at the world itself
    ("agents/weights.py", "runs.atomic"),  # files are written whole by one function
    ("runs/record.py", "show.recording"),  # a run records itself in the form that is shown
}


def imports(path: Path):
    """Modules of this package that a file imports anywhere in it, as dotted names without `rookery.`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are written out in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "rookery" and "." in name:
                yield node.lineno, name.removeprefix("rookery.")


def files(layer: str):
    folder = ROOT / layer
    return sorted(folder.rglob("*.py")) if folder.is_dir() else [ROOT / f"{layer}.py"]


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_imports_go_one_way(layer):
    wrong = []
    for path in files(layer):
        name = path.relative_to(ROOT).as_posix()
        for line, module in imports(path):
            allowed = {exception for file, exception in EXCEPTIONS if file == name}
            if module.split(".")[0] in MAY_IMPORT[layer] | {layer, "__version__"}:
                continue
            if not any(module == e or module.startswith(f"{e}.") for e in allowed):
                wrong.append(f"{name}:{line} imports {module}")
    assert not wrong


def test_the_exceptions_are_still_needed():
    for name, module in EXCEPTIONS:
        assert any(found.startswith(module) for _, found in imports(ROOT / name)), (name, module)


def python(*lines: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, env=os.environ)


def test_importing_the_package_is_quick_and_silent():
    told = python(
        "import sys, time",
        "start = time.process_time()",
        "import rookery",
        "took = time.process_time() - start",
        "heavy = {'jax', 'flax', 'optax', 'orbax', 'matplotlib', 'tensorboardX', 'scipy', 'imageio', 'tyro'}",
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)",
        "assert took < 0.5, took",
    )
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")


def test_the_lower_layers_do_without_the_optional_libraries():
    told = python(
        "import sys",
        "import rookery.tasks.grid_env, rookery.tasks.goal_cycle, rookery.agents.team, rookery.agents.scripted",
        "import rookery.learning.ppo, rookery.learning.rollout, rookery.training.train_step",
        "edge = {'matplotlib', 'orbax', 'tensorboardX', 'imageio', 'pettingzoo', 'gymnasium', 'wandb', 'ray'}",
        "print(sorted(edge & set(sys.modules)))",
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == "[]\n"
