"""Settings as users write them in Python: maps in several forms, lists, numbers that are not finite; 64-bit mode."""

import os
import subprocess
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import ConfigError, InvalidActionError
from rookery.gridworld.spec import ViewConfig
from rookery.tasks.coin_game import CoinGame
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.matrix_games import MatrixGame
from rookery.tasks.memory_sequence import MemorySequence
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
    from rookery.errors import ConfigError, InvalidActionError
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


@pytest.mark.parametrize("task", [GoalCycle(), CoinGame(), MatrixGame(), MemorySequence(), Harvest(num_agents=2)])
def test_actions_and_masks_have_one_entry_per_agent(task):
    """JAX would give a single number to all agents, and a mask of numbers would change the type of the state."""
    env = task.make_env()
    params, num_agents = env.default_params(), env.num_agents
    for wrong in (jnp.int32(0), jnp.zeros(1, jnp.int32), jnp.zeros((2, num_agents), jnp.int32), jnp.zeros(num_agents)):
        with pytest.raises(InvalidActionError, match=rf"the action is .*; pass int32\[{num_agents}\]"):
            env.step(None, wrong, params)
    for wrong in (np.ones(num_agents, int), np.ones(1, bool), True):
        with pytest.raises(ConfigError, match=rf"agent_mask is .*; pass bool\[{num_agents}\]"):
            jax.eval_shape(lambda key, wrong=wrong: env.reset(key, params, wrong), jax.random.PRNGKey(0))


def test_actions_of_any_type_of_whole_numbers_mean_the_same():
    env = MatrixGame().make_env()
    params = env.default_params()
    state, _ = env.reset(jax.random.PRNGKey(0), params, [True, True])
    for action in ([1, 7], np.array([1, 7], np.uint8)):
        after, timestep = env.step(state, action, params)
        assert after.last_action.tolist() == [1, -1]  # the second sits out
        assert timestep.reward.dtype == jnp.float32


def test_rewards_are_fractions_whatever_type_the_parameters_have():
    env = MatrixGame().make_env()
    params = jax.tree.map(int, env.default_params())
    _, timestep = jax.eval_shape(
        lambda key, action: env.step(env.reset(key, params)[0], action, params),
        jax.random.PRNGKey(0), jnp.zeros(2, jnp.int32),
    )  # fmt: skip
    assert (timestep.reward.dtype, timestep.reward.weak_type) == (jnp.float32, False)
