"""Settings as users write them in Python: maps in several forms, lists, numbers that are not finite; 64-bit mode."""

import os
import subprocess
import sys
import textwrap

import pytest

from rookery.errors import ConfigError
from rookery.gridworld.spec import ViewConfig
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.matrix_games import MatrixGame
from rookery.tasks.social_dilemmas.cleanup import Cleanup
from rookery.tasks.social_dilemmas.harvest import Harvest

GRID = "#####\n#1.A#\n#2.3#\n#####"
OTHER_PROGRAM = "@@@@@@@\n@H  PB@\n@H   B@\n@ P  B@\n@@@@@@@"
RIVER = OTHER_PROGRAM.translate(str.maketrans("@HPB", "#wA,"))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (GRID, lambda text: text.split("\n")),
        (GRID, lambda text: tuple(text.split("\n"))),
        (GRID, lambda text: text.replace("\n", "\r\n")),
        (RIVER, lambda text: text.split("\n")),
        (RIVER, lambda text: text.replace("\n", "\r\n")),
        (RIVER, lambda text: "\n" + textwrap.indent(text, "    ") + "\n    "),
    ],
)
def test_a_map_can_be_lines_and_have_any_line_breaks(text, form):
    if text == GRID:
        task, plain = (GoalCycle(map=value, views=(ViewConfig(),)) for value in (form(text), text))
        assert task == plain
    else:
        task, plain = (Cleanup(map=value, num_agents=2) for value in (form(text), text))
        assert (task.parsed_map.tiles == plain.parsed_map.tiles).all()
    assert isinstance(hash(task), int)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Cleanup(map=OTHER_PROGRAM),
            "line 1, column 1: '@' is not known; in other programs it is wall, here #",
        ),
        (lambda: Cleanup(map=RIVER.replace("w", "H")), "'H' is not known; in other programs it is waste, here w"),
        (lambda: Harvest(map="#####\n#A.A#\n#####", num_agents=2), "no apple cells; mark them with o or ','"),
        (lambda: Cleanup(map=RIVER.replace(",", "."), num_agents=2), "no apple cells"),
        (lambda: Cleanup(map=RIVER.encode()), "map must be text or a list of lines, not bytes"),
        (lambda: GoalCycle(map=3), "map must be text or a list of lines, not int"),
        (lambda: GoalCycle(map=["#####", 3]), "map must be text or a list of lines, not list"),
        (lambda: GoalCycle(penalty=float("nan")), "penalty=nan must be a finite number"),
        (lambda: GoalCycle(goal_reward=float("inf")), "goal_reward=inf must be a finite number"),
        (lambda: Cleanup(hit_cost=float("inf")), "hit_cost=inf must be a finite number"),
        (lambda: Cleanup(apple_reward=float("nan")), "apple_reward=nan must be a finite number"),
        (lambda: MatrixGame(temptation=float("nan")), "temptation=nan must be a finite number"),
    ],
)
def test_what_cannot_be_is_named(make, message):
    with pytest.raises(ConfigError) as caught:
        make()
    assert message in str(caught.value)


def test_lists_are_taken_where_tuples_are():
    task = GoalCycle(views=[ViewConfig()] * 3, spawn_delay=[0, 1, 2])
    assert task == GoalCycle(views=(ViewConfig(),) * 3, spawn_delay=(0, 1, 2))
    assert hash(task) == hash(GoalCycle(spawn_delay=(0, 1, 2)))
    assert Harvest(regrowth_probs=[0, 0.1, 0.1, 0.1]).regrowth_probs == (0, 0.1, 0.1, 0.1)


def test_64_bit_mode_is_refused_in_one_line():
    code = """
    import jax
    from rookery.errors import ConfigError
    from rookery.tasks import registry
    for task_id in ("goal-cycle-v0", "cleanup-v0", "matrix-chicken-v0"):
        env = registry.make(task_id)
        try:
            env.reset(jax.random.PRNGKey(0), env.default_params())
        except ConfigError as error:
            assert "64-bit mode is on" in str(error) and "\\n" not in str(error), error
        else:
            raise SystemExit(f"{task_id} was reset")
    """
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True, text=True, env={**os.environ, "JAX_ENABLE_X64": "1"},
    )  # fmt: skip
    assert (process.returncode, process.stderr) == (0, "")
