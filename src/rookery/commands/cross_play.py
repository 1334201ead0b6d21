"""`rookery cross-play`: every agent with every other, such as the agents of all seeds of a run."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from rookery.commands.options import Json, TaskOverrides, optional, working
from rookery.commands.output import print_json, print_table
from rookery.commands.schelling import check_figure, write_figure
from rookery.errors import ConfigError, printable

if TYPE_CHECKING:
    from rookery.types import Env


@dataclasses.dataclass
class CrossPlayCommand:
    """Play every agent with every other, such as the teams of all seeds of a run, and print the matrix of returns."""

    agents: Annotated[
        Positional[tuple[str, ...]],
        arg(
            metavar="RUN|AGENT...",
            help="The folder of a run in which all agents learned; or two agents or more: zoo agents, .safetensors "
            "files, 'cooperator', 'defector', 'scripted' or 'random'.",
        ),
    ]
    task: Annotated[str | None, optional("ID", "the run's; needed for agents")] = None
    """Task to play."""
    task_overrides: TaskOverrides = ()
    """Changes to the task, such as max_steps=100."""
    variant: Annotated[str | None, optional("NAME", "all")] = None
    """Variant of the run whose seeds play."""
    episodes: int = 100
    """Episodes for each pair."""
    seed: int = 0
    """Seed of the episodes, the same for all pairs."""
    figure: Annotated[Path | None, optional("FILE", "no figure")] = None
    """Write the matrix to this file (.svg, .png or .pdf)."""
    json: Json = False

    def __call__(self) -> int:
        return run_cross_play(self)


def run_cross_play(options: CrossPlayCommand) -> int:
    """Print the matrix, and self-play against cross-play."""
    from rookery.intervals import format_interval
    from rookery.studies.cross_play_matrix import cross_play, cross_play_figures

    check_figure(options.figure)
    env, players = _players(options)
    with working(f"playing {len(players) ** 2} pairs"):
        result = cross_play(env, players, episodes=options.episodes, seed=options.seed)
    if options.json:
        print_json({"task": env.task.kind, "episodes": options.episodes, **result.to_dict()})
    else:
        rows = [["return with", *result.names]]
        rows += [
            [name, *(f"{value:.2f}" for value in row)] for name, row in zip(result.names, result.returns, strict=True)
        ]
        print_table([[printable(text) for text in row] for row in rows])
        print(f"\nmean of both sides, self-play: {format_interval(result.self_play)}")
        print(f"mean of both sides, cross-play: {format_interval(result.cross_play)}")
    write_figure(cross_play_figures(result, env.task.kind)[0][1], options.figure)
    return 0


def _players(options: CrossPlayCommand) -> tuple[Env, dict[str, tuple[str, ...]]]:
    """The environment and who plays."""
    from rookery.storage.serialization import apply_overrides
    from rookery.studies.cross_play_matrix import players_of_run
    from rookery.tasks import registry
    from rookery.training.trainer import load_config

    if len(options.agents) == 1:
        folder = Path(options.agents[0])
        config = load_config(folder)
        task = config.task if options.task is None else registry.get_task(options.task)
        players = players_of_run(folder, config, options.variant)
    else:
        if options.task is None:
            raise ConfigError("name the task that the agents play: --task ID")
        if options.variant is not None:
            raise ConfigError("--variant is for the folder of a run")
        task = registry.get_task(options.task)
        players = {agent: (agent,) for agent in options.agents}
        if len(players) < len(options.agents):
            raise ConfigError(f"agents {options.agents} must differ from each other; the diagonal is play with itself")
    return registry.make_env(apply_overrides(task, options.task_overrides)), players
