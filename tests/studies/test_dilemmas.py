"""Schelling diagrams and cross-play: conditions by hand, matrix games exactly, and their commands."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.cli import main
from rookery.dilemma_policies.apples import AppleEater, RiverCleaner, SustainableEater
from rookery.errors import ConfigError, NotFoundError
from rookery.learning.ppo import PPO
from rookery.storage.run_files import AGENTS_DIR
from rookery.studies.cross_play_matrix import CrossPlay, cross_play, cross_play_figures, players_of_run
from rookery.studies.schelling_diagram import SchellingDiagram, diagram_of_returns, schelling_diagram, schelling_figures
from rookery.tasks.matrix_games import MatrixGame
from rookery.tasks.social_dilemmas.cleanup import Cleanup
from rookery.tasks.social_dilemmas.dilemma_tiles import (
    CLEAN,
    MOVE_FORWARD,
    MOVE_LEFT,
    STAY,
    TURN_CLOCKWISE,
    TURN_COUNTERCLOCKWISE,
)
from rookery.tasks.social_dilemmas.harvest import Harvest
from rookery.training.config import GroupConfig, RecurrentPolicyConfig, RunConfig

GAME = MatrixGame(max_steps=2)
ENV = GAME.make_env()


@pytest.mark.parametrize(
    ("cooperator", "defector", "is_dilemma", "words"),
    [
        ((0, 3), (1, 5), True, "a social dilemma, by fear and greed"),  # prisoner's dilemma
        ((0, 4), (2, 3), True, "a social dilemma, by fear"),  # stag hunt
        ((1, 3), (0, 4), True, "a social dilemma, by greed"),  # chicken
        ((2, 4), (1, 3), False, "neither fear nor greed"),  # harmony
        ((0, 1), (2, 5), False, "no mutual cooperation over mutual defection"),
        ((0, 1, 3), (1, 4, 2), True, "by fear"),  # greed is asked for among cooperators alone
    ],
)
def test_the_conditions_by_hand(cooperator, defector, is_dilemma, words):
    diagram = diagram_of_returns(*([np.full(3, x, float) for x in curve] for curve in (cooperator, defector)))
    assert diagram.is_dilemma is is_dilemma
    assert diagram.verdict.endswith(words)


def test_an_interval_that_contains_zero_decides_nothing():
    steady, wide = np.full(4, 3.0), np.array([-9.0, 9.0, -9.0, 10.0])
    diagram = diagram_of_returns([np.zeros(4), steady], [np.ones(4), wide])
    assert diagram.holds("fear") is True
    assert diagram.holds("greed") is None
    assert diagram.is_dilemma is True  # by fear, whatever greed is
    diagram = diagram_of_returns([np.zeros(4), steady], [wide, np.zeros(4)])
    assert diagram.is_dilemma is None
    assert "undecided" in diagram.verdict


def test_a_game_is_measured_exactly():
    diagram = schelling_diagram(ENV, episodes=2)
    assert [interval.value for interval in diagram.cooperator] == [0, 6]
    assert [interval.value for interval in diagram.defector] == [2, 10]
    assert SchellingDiagram.from_dict(json.loads(json.dumps(diagram.to_dict()))) == diagram
    ((name, figure, caption),) = schelling_figures(diagram, "game")
    assert name == "schelling"
    assert "by fear and greed" in caption
    assert figure.axes[0].get_xlabel() == "other agents that cooperate"


def test_cross_play_of_a_game():
    result = cross_play(ENV, {"nice": ("cooperator",), "mixed": ("cooperator", "defector")}, episodes=2)
    np.testing.assert_array_equal(result.returns, [[6, 0], [6, 0]])  # rows in slot 0, columns in slot 1
    np.testing.assert_array_equal(result.others, [[6, 10], [6, 10]])
    assert result.self_play.value == (6 + 5) / 2
    assert result.cross_play.value == (5 + 6) / 2
    assert math.isnan(result.cross_play.low)  # the two agents are in the same pair
    assert "self-play 5.50 [-0.85, 11.85], cross-play 5.50." in cross_play_figures(result)[0][2]
    assert CrossPlay.from_dict(json.loads(json.dumps(result.to_dict()))).to_dict() == result.to_dict()


def test_players_are_counted():
    with pytest.raises(ConfigError, match="cross-play of 1 agents"):
        cross_play(ENV, {"one": ("random",)})
    with pytest.raises(ConfigError, match="three has 3 agents; the task has 2"):
        cross_play(ENV, {"three": ("random",) * 3, "one": ("random",)})
    with pytest.raises(ConfigError, match="episodes=1 must be at least 2"):
        schelling_diagram(ENV, episodes=1)


def test_the_players_of_a_run(tmp_path):
    group = GroupConfig(name="pair", slots=(0, 1), policy=RecurrentPolicyConfig(), learner=PPO())
    config = RunConfig(task=GAME, team=(group,), num_seeds=2, seed=4)
    (tmp_path / AGENTS_DIR).mkdir()
    variant = config.variants[0].name
    for name in ("4-pair-0", "4-pair-1", "5-pair-0"):
        (tmp_path / AGENTS_DIR / f"{variant}-seed{name}.safetensors").touch()
    with pytest.raises(NotFoundError, match="seed5-pair-1"):
        players_of_run(tmp_path, config)
    last = tmp_path / AGENTS_DIR / f"{variant}-seed5-pair-1.safetensors"
    last.touch()
    players = players_of_run(tmp_path, config)
    assert list(players) == ["seed 4", "seed 5"]
    assert players["seed 5"][1] == str(last)
    with pytest.raises(NotFoundError, match="no variant 'other'"):
        players_of_run(tmp_path, config, "other")


def test_the_commands(tmp_path, capsys):
    figure = tmp_path / "diagram.svg"
    arguments = ["matrix-prisoners-dilemma-v0", "--task-overrides", "max_steps=2", "--episodes", "2"]
    assert main(["schelling", *arguments, "--json", "--figure", str(figure)]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["is_dilemma"]
    assert facts["conditions"]["greed"]["value"] == 4
    assert "<svg" in figure.read_text()
    assert main(["schelling", "goal-cycle-v0"]) == 2
    assert "has no scripted cooperator" in capsys.readouterr().err
    arguments[0:1] = ["cooperator", "defector", "--task", "matrix-prisoners-dilemma-v0"]
    assert main(["cross-play", *arguments]) == 0
    assert capsys.readouterr().out.split()[4:7] == ["cooperator", "6.00", "0.00"]
    assert main(["cross-play", "cooperator", "defector"]) == 2
    assert main(["cross-play", str(tmp_path)]) == 6


@pytest.mark.parametrize(
    "command",
    [
        ["schelling", "matrix-chicken-v0"],
        ["cross-play", "cooperator", "defector", "--task", "matrix-chicken-v0"],
    ],
)
def test_a_figure_that_cannot_be_written_is_refused_before_anything_is_played(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("rookery.studies.schelling_diagram.schelling_diagram", lambda *_, **__: pytest.fail("played"))
    monkeypatch.setattr("rookery.studies.cross_play_matrix.cross_play", lambda *_, **__: pytest.fail("played"))
    assert main([*command, "--figure", str(tmp_path / "x.gif")]) == 2
    assert "x.gif must end in one of .svg, .png, .pdf" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main([*command, "--figure", str(tmp_path / "file" / "x.svg")]) == 5
    assert "part of the path is a file" in capsys.readouterr().err


def start(task, position, heading):
    """The first state of a map with the first agent on a cell, facing `heading`."""
    env = task.make_env()
    state, _ = env.reset(jax.random.PRNGKey(0), env.default_params())
    return state.replace(
        position=state.position.at[0].set(jnp.array(position)), heading=state.heading.at[0].set(heading)
    )


def choices(policy, state, is_first=True) -> set[int]:
    """The actions of the first agent under twenty keys."""
    states = jax.tree.map(lambda x: jnp.stack([x] * 20), state)
    obs = states, jnp.zeros(20, jnp.int32)
    carry = policy.initial_carry(20)
    action, _, _ = jax.jit(policy.act)((), carry, obs, jnp.full(20, is_first), jax.random.PRNGKey(1))
    return set(map(int, action))


def test_apples_that_may_be_eaten():
    """An apple to the left has no other near it; those to the right have two each, but are farther away."""
    rows = ["#########", "#o.A..oo#", "#.....oo#", "#########"]
    state = start(Harvest(map="\n".join(rows), num_agents=1), (1, 3), 0)
    assert MOVE_LEFT in choices(AppleEater(), state)
    assert MOVE_LEFT not in choices(SustainableEater(), start(Harvest(map="\n".join(rows), num_agents=1), (1, 2), 0)), (
        "it would eat the lonely apple"
    )
    lonely = ["######", "#o.A.#", "######"]
    assert choices(SustainableEater(), start(Harvest(map="\n".join(lonely), num_agents=1), (1, 3), 0)) == {STAY}


def test_waste_is_cleaned():
    """Ahead it is cleaned, to a side it is turned to, far away it is walked to; with little waste, apples are eaten."""
    rows = ["############", "#wA.......o#", "############"]
    task = Cleanup(map="\n".join(rows), num_agents=1)
    cleaner = RiverCleaner(max_waste=0.5)
    west, north, south, east = 3, 0, 2, 1
    assert choices(cleaner, start(task, (1, 2), west)) == {CLEAN}
    assert choices(cleaner, start(task, (1, 6), west)) == {CLEAN}
    assert choices(cleaner, start(task, (1, 3), north)) == {TURN_COUNTERCLOCKWISE}
    assert choices(cleaner, start(task, (1, 3), south)) == {TURN_CLOCKWISE}
    assert MOVE_FORWARD in choices(cleaner, start(task, (1, 8), west))
    behind_an_agent = Cleanup(map="\n".join(["############", "#wA.A.....o#", "############"]), num_agents=2)
    state = start(behind_an_agent, (1, 4), west)
    state = state.replace(position=state.position.at[1].set(jnp.array((1, 2))))
    assert CLEAN not in choices(cleaner, state), "the beam ends at the other agent"
    behind_a_wall = Cleanup(map="\n".join(["#######", "#wA#wo#", "#######"]), num_agents=1)
    choice = choices(cleaner, start(behind_a_wall, (1, 2), east))
    assert choice == {TURN_COUNTERCLOCKWISE}, "the beam ends at the wall; facing north, a side lane reaches the waste"
    eating = RiverCleaner(max_waste=1.0, switch_prob=1.0)
    assert MOVE_FORWARD in choices(eating, start(task, (1, 4), east), is_first=False)
    assert choices(eating, start(task, (1, 4), east)) == {TURN_CLOCKWISE}, "it cleans at first"
