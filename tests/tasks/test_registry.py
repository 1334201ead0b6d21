"""Tasks of other packages, found by entry points; packages are laid out as an installer would leave them."""

import dataclasses
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Literal

import pytest

from rookery.errors import ConfigError
from rookery.interfaces import Task
from rookery.storage.serialization import to_dict
from rookery.tasks import registry
from rookery.tasks.descriptions import DESCRIPTIONS
from rookery.tasks.goal_cycle import GoalCycle
from rookery.testing import ConformanceError
from rookery.testing.task_checks import check_settings

EXAMPLE = Path(__file__).parents[2] / "examples" / "rookery_extras"


def install(folder: Path, package: str, entry_point: str, code: str | None = None) -> None:
    """What `pip install` leaves of a package with one module: metadata and, if given, its code."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[rookery.tasks]\n{package} = {entry_point}\n")
    if code is not None:
        (folder / f"{package}.py").write_text(textwrap.dedent(code))


def python(code: str, *paths: Path) -> subprocess.CompletedProcess:
    path = os.pathsep.join([*map(str, paths), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-W", "always::UserWarning", "-c", textwrap.dedent(code)],
        capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


def test_the_example_package_adds_a_task_that_every_tool_sees(tmp_path):
    install(tmp_path, "meeting-place", "rookery_extras.task:add_tasks")
    process = python(
        """
        from rookery.tasks import registry
        assert "meeting-place-v0" not in registry.TASKS, "loaded only when needed"
        task = registry.get_task("meeting-place-v0")
        assert type(task) in registry.task_types()
        assert "meeting-place-v0" in registry.task_ids()

        from rookery.testing import check_task
        check_task(task, steps=5)

        import jax, jax.numpy as jnp
        env = registry.make_env(task)
        params = env.default_params()
        state, _ = jax.jit(env.reset)(jax.random.PRNGKey(0), params)
        state = state.replace(position=jnp.array([[1, 1], [2, 1], [1, 1]]))
        _, timestep = jax.jit(env.step)(state, jnp.array([0, 0, 1]), params)
        assert timestep.reward.tolist() == [1, 0, 1], timestep.reward

        import gymnasium, rookery.interop
        made = gymnasium.make("rookery/meeting-place-v0", views=task.views[:2])
        assert made.observation_space.shape == (7, 7, 8)

        from rookery.storage.serialization import from_dict, to_dict
        from rookery.training.config import TaskConfig
        assert from_dict(TaskConfig, to_dict(task), "task") == task
        """,
        tmp_path,
        EXAMPLE / "src",
    )
    assert (process.returncode, process.stderr) == (0, "")


def test_the_example_package_declares_what_the_test_installs():
    text = (EXAMPLE / "pyproject.toml").read_text()
    assert '[project.entry-points."rookery.tasks"]\nmeeting-place = "rookery_extras.task:add_tasks"' in text


def test_a_task_must_be_one_and_its_kind_is_its_own():
    process = python(
        """
        import dataclasses
        from rookery.errors import ConfigError
        from rookery.tasks import registry
        from rookery.tasks.goal_cycle import GoalCycle
        class Other(GoalCycle):
            pass
        for task, message in ((3, "int is not a task"), (Other(), "the kind 'goal-cycle' is taken by 'goal-cycle-v0'")):
            try:
                registry.register("other-v0", "", task)
            except ConfigError as error:
                assert message in str(error), error
            else:
                raise SystemExit("registered")
        """
    )
    assert (process.returncode, process.stderr) == (0, "")


def test_a_broken_package_is_named_and_breaks_no_other(tmp_path):
    install(tmp_path, "valid", "valid:add", """
        from rookery.tasks.goal_cycle import GoalCycle
        from rookery.tasks.registry import register
        def add():
            register("valid-v0", "fine", GoalCycle(num_goals=2))
    """)  # fmt: skip
    install(tmp_path, "halfway", "halfway:add", """
        from rookery.tasks.goal_cycle import GoalCycle
        from rookery.tasks.registry import register
        def add():
            register("halfway-v0", "added before it fails", GoalCycle(num_goals=2))
            register("goal-cycle-v0", "taken", GoalCycle(num_goals=2))
    """)  # fmt: skip
    install(tmp_path, "unresolved", "unresolved:add", """
        from __future__ import annotations
        import dataclasses
        from typing import TYPE_CHECKING, Literal
        from rookery.tasks.goal_cycle import GoalCycle
        from rookery.tasks.registry import register
        if TYPE_CHECKING:
            from decimal import Decimal
        @dataclasses.dataclass(frozen=True, kw_only=True)
        class Priced(GoalCycle):
            kind: Literal["priced"] = "priced"
            price: Decimal | None = None
        def add():
            register("priced-v0", "", Priced())
    """)  # fmt: skip
    install(tmp_path, "gone", "gone:add")
    install(tmp_path, "nothing", "nothing:add", "add = 3")
    install(tmp_path, "misnamed", "misnamed:add", """
        from rookery.tasks.goal_cycle import GoalCycle
        from rookery.tasks.registry import register
        def add():
            register("bad id!", "", GoalCycle(num_goals=2))
    """)  # fmt: skip
    process = python(
        """
        from rookery.tasks import registry
        from rookery.tasks.goal_cycle import GoalCycle
        names = registry.task_ids()
        assert "valid-v0" in names and "halfway-v0" not in names
        assert registry.get_task("goal-cycle-v0") == GoalCycle()
        registry.task_ids()  # warns once
        """,
        tmp_path,
    )
    assert process.returncode == 0, process.stderr
    warnings = [line.split("UserWarning: ")[1] for line in process.stderr.splitlines() if "UserWarning: " in line]
    assert sorted(line.split(":")[0] for line in warnings) == ["gone", "halfway", "misnamed", "nothing", "unresolved"]
    messages = dict(line.split(": ", 1) for line in warnings)
    assert "entry point gone = gone:add failed: ModuleNotFoundError: No module named 'gone'" in messages["gone"]
    assert "the id 'goal-cycle-v0' is taken" in messages["halfway"]
    assert "the id 'bad id!' must be letters, digits" in messages["misnamed"]
    assert "Priced.price: the annotation 'Decimal | None' cannot be resolved" in messages["unresolved"]
    assert "ConfigError: 3 is neither a class nor a function that registers one" in messages["nothing"]


def test_an_entry_past_the_checks_breaks_no_adapter(tmp_path):
    install(tmp_path, "sneaky", "sneaky:add", """
        from rookery.tasks.goal_cycle import GoalCycle
        from rookery.tasks.registry import TASKS
        def add():
            TASKS["bad id!"] = ("", GoalCycle(num_goals=2))
    """)  # fmt: skip
    process = python(
        """
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            import rookery.interop
        import gymnasium, pettingzoo.env_registry.registration as registration
        assert "rookery/goal-cycle-v0" in gymnasium.registry and "rookery/sixteen-places-v0" in gymnasium.registry
        assert "rookery/goal-cycle-v0" in registration.parallel_registry
        print(*(str(warning.message) for warning in caught if "left out" in str(warning.message)), sep="\\n")
        """,
        tmp_path,
    )
    assert process.returncode == 0, process.stderr
    assert "rookery/bad id! is left out of gymnasium: " in process.stdout


@dataclasses.dataclass(frozen=True, kw_only=True)
class Returning(GoalCycle):
    metric_names = ("goals", "return")
    kind: Literal["returning"] = "returning"


def test_a_metric_that_every_agent_has_is_refused():
    for call in (lambda: registry.register("returning-v0", "", Returning()), lambda: registry.make(Returning())):
        with pytest.raises(ConfigError, match="metric_names: the metric 'return' would replace another of that name"):
            call()
    with pytest.raises(
        ConformanceError, match=r"Returning\.metric_names: \['return'\] are names of metrics that every"
    ):
        check_settings(Returning())


@pytest.mark.parametrize(
    "task_id",
    [5, None, ("a-v0",), "", "bad id!", "-v0", "--help-v0", "a/b-v0", "a-v0\n"],
)
def test_an_id_must_be_one_that_every_interface_takes(task_id):
    with pytest.raises(ConfigError, match=r"^the id .* must be letters, digits, '-', '_' and '\.', such as my-task-v0"):
        registry.register(task_id, "", GoalCycle())
    assert registry.TASKS.keys() == set(DESCRIPTIONS)


class Undecorated(Task):
    kind: Literal["test-undecorated"] = "test-undecorated"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spaced(GoalCycle):
    kind: Literal["two words"] = "two words"


@pytest.mark.parametrize(
    ("description", "task", "message"),
    [
        (None, GoalCycle(), "'mine-v0': the description None must be text of one line"),
        ("two\nlines", GoalCycle(), r"'mine-v0': the description 'two\\nlines' must be text of one line"),
        ("", GoalCycle, "'mine-v0': the class GoalCycle is not a task; give an instance of a class derived from"),
        ("", Undecorated(), "Undecorated must be a frozen dataclass itself"),
        ("", Spaced(), "'mine-v0': kind 'two words' must be letters, digits, - and _"),
    ],
)
def test_what_cannot_be_registered(description, task, message):
    with pytest.raises(ConfigError, match=f"^{message}"):
        registry.register("mine-v0", description, task)
    assert "mine-v0" not in registry.TASKS


def test_rules_state_no_number_that_another_id_changes():
    """`rookery envs show ID` prints the rules of a task for every id that it has."""
    for task_id in registry.task_ids():
        task = registry.get_task(task_id)
        rules = (sys.modules[type(task).__module__].__doc__ or "").partition("Source:")[0]
        values = str(to_dict(task))
        for number in re.findall(r"\d+\.\d+", rules):
            assert number in values, (task_id, number)
