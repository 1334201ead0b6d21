"""`rookery schelling`: what cooperating and defecting pay in a task, by how many others cooperate."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from rookery.commands.options import Json, TaskOverrides, optional, working
from rookery.commands.output import print_json, print_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE_FORMATS = (".svg", ".png", ".pdf")


@dataclasses.dataclass
class SchellingCommand:
    """Draw a task's Schelling diagram, and say whether it is a social dilemma, by greed or by fear."""

    task: Annotated[Positional[str], arg(metavar="ID", help="Task, such as coin-game-3x3-v0 or cleanup-small-v0.")]
    task_overrides: TaskOverrides = ()
    """Changes to the task, such as taken_cost=1."""
    cooperator: Annotated[str, optional("AGENT", "the task's scripted one")] = "cooperator"
    """The agent that cooperates: a zoo agent, a .safetensors file, 'cooperator' or 'random'."""
    defector: Annotated[str, optional("AGENT", "the task's scripted one")] = "defector"
    """The agent that defects."""
    episodes: int = 200
    """Episodes for each number of cooperators."""
    seed: int = 0
    """Seed of the episodes."""
    figure: Annotated[Path | None, optional("FILE", "no figure")] = None
    """Write the diagram to this file (.svg, .png or .pdf)."""
    json: Json = False

    def __call__(self) -> int:
        return run_schelling(self)


def run_schelling(options: SchellingCommand) -> int:
    """Print both curves, the four conditions and the verdict."""
    from rookery.intervals import format_interval
    from rookery.storage.serialization import apply_overrides
    from rookery.studies.schelling_diagram import DILEMMA_CONDITIONS, schelling_diagram, schelling_figures
    from rookery.tasks import registry

    check_figure(options.figure)
    env = registry.make_env(apply_overrides(registry.get_task(options.task), options.task_overrides))
    with working(f"playing {options.task}"):
        diagram = schelling_diagram(
            env, options.cooperator, options.defector, episodes=options.episodes, seed=options.seed
        )
    if options.json:
        print_json({"task": options.task, "episodes": options.episodes, **diagram.to_dict()})
    else:
        rows = [["others that cooperate", "cooperator", "defector"]]
        for others, pair in enumerate(zip(diagram.cooperator, diagram.defector, strict=True)):
            rows.append([str(others), *map(format_interval, pair)])
        print_table(rows)
        print()
        words = {True: "holds", False: "does not hold", None: "undecided"}
        print_table([
            [name, difference, format_interval(diagram.conditions[name]), words[diagram.holds(name)]]
            for name, difference in DILEMMA_CONDITIONS.items()
        ])  # fmt: skip
        print(f"\n{options.task}: {diagram.verdict}")
    write_figure(schelling_figures(diagram, options.task)[0][1], options.figure)
    return 0


def check_figure(path: Path | None) -> None:
    """Check a path for `write_figure`, before the episodes that the figure is about.

    Raises: ConfigError for a kind of file that is not known; StorageError if it cannot be written.
    """
    if path is None:
        return
    from rookery.errors import ConfigError
    from rookery.storage.atomic import check_writable

    if path.suffix not in FIGURE_FORMATS:
        raise ConfigError(f"figure={path} must end in one of {', '.join(FIGURE_FORMATS)}")
    check_writable(path, follow_link=True)


def write_figure(figure: Figure, path: Path | None) -> None:
    """Write a matplotlib figure, if a path is given that `check_figure` let pass."""
    if path is None:
        return
    import sys

    from rookery.storage.atomic import write_text
    from rookery.viz.plots import figure_to_svg, save_figure

    if path.suffix == ".svg":
        write_text(path, figure_to_svg(figure), follow_link=True)
    else:
        save_figure(figure, path, dpi=120)
    print(path, file=sys.stderr)
