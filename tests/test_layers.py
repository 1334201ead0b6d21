"""The house: imports go one way, no two files import each other in a circle, one name is one thing."""

import ast
import collections
import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rookery

ROOT = Path(rookery.__file__).parent

GROUND = {"errors", "limits", "types", "keys", "interfaces", "extension_errors", "plugins", "storage", "nn"}
GROUND |= {"intervals", "significance", "optional_packages", "backend"}
MAY_IMPORT = {
    "errors": set(),
    "limits": {"errors"},
    "keys": set(),
    "backend": {"errors"},
    "plugins": {"errors", "limits", "storage"},
    "optional_packages": {"errors"},
    "environment": {"errors"},
    "storage": {"errors"},
    "tracking": {"errors", "limits", "environment", "plugins", "optional_packages", "storage"},
    "intervals": {"errors"},
    "significance": {"errors", "intervals"},
    "types": {"errors"},
    "nn": {"errors", "types"},
    "interfaces": {"errors", "limits", "types", "nn"},
    "extension_errors": {"errors", "types", "interfaces"},
    "gridworld": {"errors", "limits", "types"},
    "tasks": {"errors", "limits", "backend", "types", "keys", "interfaces", "plugins", "storage", "gridworld"},
    "agents": GROUND | {"gridworld"},
    "dilemma_policies": GROUND | {"gridworld", "tasks"},
    "learning": GROUND | {"agents"},
    "training": GROUND | {"gridworld", "tasks", "agents", "dilemma_policies", "learning", "tracking"},
    "viz": GROUND | {"gridworld", "tasks", "agents", "learning", "training"},
    "scorecard": GROUND | {"gridworld", "tasks", "agents", "training", "viz"},
    "testing": GROUND | {"gridworld", "tasks", "agents", "learning", "tracking", "training"},
    "studies": GROUND
    | {"gridworld", "tasks", "agents", "dilemma_policies", "learning", "training", "viz", "scorecard"},
    "play": GROUND | {"tasks", "agents", "training", "viz"},
    "interop": GROUND | {"gridworld", "tasks", "agents", "training", "viz"},
    "scaling": GROUND | {"tasks", "agents", "learning", "tracking", "training", "viz", "studies"},
    "commands": GROUND
    | {"gridworld", "tasks", "agents", "learning", "tracking", "training", "viz", "studies", "scaling", "play"}
    | {"testing", "environment", "scorecard"},
    "cli": {"errors", "environment", "commands"},
    "__main__": {"cli"},
}
"""What each part of the package may import besides itself and the version, imports inside functions included."""

SHARED_NAMES = {"main", "STUDY"}
"""Public names that several modules define by convention: entry points, and the study in each file of studies."""


def nodes(tree: ast.AST):
    """All nodes of a file that run: not what only type checkers see."""
    for node in ast.iter_child_nodes(tree):
        if not (isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")):
            yield node
            yield from nodes(node)


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the package, by dotted name."""
    paths = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = ["rookery", *path.relative_to(ROOT).with_suffix("").parts]
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return paths


@functools.cache
def imports() -> dict[str, dict[str, int]]:
    """For every module, the modules of the package that it imports anywhere, with a line that does."""
    graph = collections.defaultdict(dict)
    for module, path in modules().items():
        for node in nodes(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}:{node.lineno}: imports are written out in full"
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for name in names:
                if name.split(".")[0] == "rookery":
                    while name not in modules():
                        name = name.rpartition(".")[0]
                    if name != module:
                        graph[module].setdefault(name, node.lineno)
    return graph


def part(module: str) -> str:
    """The part of the package that a module belongs to; '' is the package itself, which has the version."""
    return module.split(".")[1] if "." in module else ""


def test_every_part_has_its_place():
    assert {part(module) for module in modules()} - {""} == set(MAY_IMPORT)


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_imports_go_one_way(name):
    wrong = [
        f"{module}:{line} imports {target}"
        for module, targets in imports().items()
        if part(module) == name
        for target, line in targets.items()
        if part(target) not in MAY_IMPORT[name] | {name, ""}
    ]
    assert not wrong


def test_no_import_circle():
    """Imports inside functions count: a circle that only they close is still one."""
    done, path = set(), []

    def visit(module):
        if module in path:
            pytest.fail("import circle: " + " -> ".join([*path[path.index(module) :], module]))
        if module not in done:
            path.append(module)
            for target in imports().get(module, ()):
                visit(target)
            done.add(path.pop())

    for module in modules():
        visit(module)


def test_one_public_name_is_one_thing():
    homes = collections.defaultdict(set)
    for module, path in modules().items():
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names = [node.name]
            else:
                targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            for name in names:
                if not name.startswith("_"):
                    homes[name].add(module)
    assert {name: where for name, where in homes.items() if len(where) > 1 and name not in SHARED_NAMES} == {}


def test_one_file_name_is_one_file():
    names = collections.Counter(path.name for path in ROOT.rglob("*.py") if not path.name.startswith("__"))
    assert [name for name, number in names.items() if number > 1] == []


def python(*lines: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, env=os.environ)


def test_importing_the_package_is_quick_and_silent():
    result = python(
        "import sys",
        "before = set(sys.modules)",
        "import rookery",
        "loaded = set(sys.modules) - before",
        "heavy = {'jax', 'flax', 'optax', 'orbax', 'matplotlib', 'tensorboardX', 'scipy', 'imageio', 'tyro'}",
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)",
        "assert len(loaded) < 100, loaded",  # a hundredth of a second; JAX alone has a thousand
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_the_lower_layers_do_without_the_optional_libraries():
    result = python(
        "import sys",
        "import rookery.tasks.grid_env, rookery.tasks.goal_cycle, rookery.agents.team, rookery.agents.scripted",
        "import rookery.learning.ppo, rookery.learning.rollout, rookery.training.train_step",
        "edge = {'matplotlib', 'orbax', 'tensorboardX', 'imageio', 'pettingzoo', 'gymnasium', 'wandb', 'ray'}",
        "print(sorted(edge & set(sys.modules)))",
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "[]\n"


def test_a_required_method_that_is_missing_is_named():
    for path in ROOT.rglob("*.py"):
        assert not re.search(r"raise NotImplementedError(\(\))?$", path.read_text(encoding="utf-8"), re.MULTILINE), path
