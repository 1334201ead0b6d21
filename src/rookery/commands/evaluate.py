"""`rookery eval`: how well agents play, without learning."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from rookery.commands.options import Json, PartnersOption, TaskId, TaskOverrides, working
from rookery.commands.output import print_json
from rookery.errors import NotFoundError, printable

if TYPE_CHECKING:
    from rookery.interfaces import Task


@dataclasses.dataclass
class EvalCommand:
    """Evaluate agents on episodes never trained on: return with its 95 % interval, goals, mistakes, social gain."""

    agent: Annotated[
        Positional[str],
        arg(
            metavar="AGENT",
            help="A zoo agent, a .safetensors file, the folder of a run (all its agents), 'scripted', "
            "'scripted-partial' or 'random'.",
        ),
    ]
    task: TaskId = None
    """Task to play."""
    task_overrides: TaskOverrides = ()
    """Changes to the task, such as penalty=0.5 or num_goals=4."""
    partners: PartnersOption = None
    """The agent in all other slots: a zoo agent, a file, 'scripted', 'scripted-partial' or 'random'; or 'none'."""
    episodes: int = 1000
    """Episodes for each agent and condition."""
    seed: int = 0
    """Seed of the evaluation episodes; they never overlap with training episodes."""
    json: Json = False

    def __call__(self) -> int:
        return run_eval(self)


def run_eval(options: EvalCommand) -> int:
    """Print a line per condition: the agent with its partners, alone, and the difference of the two."""
    for source in _agent_sources(options.agent):
        with working(f"evaluating {source}"):
            rows = evaluate(
                source,
                task=options.task,
                task_overrides=options.task_overrides,
                partners=options.partners,
                episodes=options.episodes,
                seed=options.seed,
            )
        if not options.json:
            print(printable(source))
        for row in rows:
            if options.json:
                print_json({"agent": source, **row})
            else:
                print(f"  {format_row(row)}", flush=True)
    return 0


def evaluate(
    agent: str | Path,
    *,
    task: str | Task | None = None,
    task_overrides: str | Iterable[str] = (),
    partners: str | Path | None = None,
    episodes: int = 1000,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Evaluate an agent in a task, with partners in the other slots and again alone.

    A trained agent takes the slot that it was trained in, where the task has it, any other slot 0.

    Args:
      agent: a zoo agent, a .safetensors file, 'scripted', 'scripted-partial' or 'random'.
      task: a task or its id; None: the task that the agent was trained on.
      task_overrides: KEY=VALUE changes to the task, one or several, such as "penalty=0.5".
      partners: the agent in all other slots, or 'none' for no other agents; None: as in training, else scripted.
      episodes: for each condition.
      seed: of the evaluation episodes, which never overlap with training episodes; the same for both conditions.
    Returns: one row for each 'condition': 'social' and 'solo' have 'episodes', 'return' with the 95 % interval 'low' to
      'high' (None for a single episode), means of what the task counts, 'longest_streak' and 'steps_to_first_reward';
      'social' also 'return_partners'; 'social_gain' is the mean paired difference of the two returns. A task with one
      agent has 'solo' alone.
    Raises: NotFoundError, CorruptFileError, IncompatibleError or ConfigError.
    """
    import numpy as np

    from rookery.intervals import mean_interval
    from rookery.training.evaluation import evaluate_team
    from rookery.training.make_team import make_team_setup

    setup = make_team_setup(agent, partners, task, task_overrides)
    slot, others = setup.agent_slot, ~setup.only_agent
    masks = {"social": np.ones_like(setup.only_agent), "solo": setup.only_agent}
    if setup.env.num_agents == 1:
        del masks["social"]
    rows, returns = [], {}
    for condition, agent_mask in masks.items():
        stats = evaluate_team(setup, episodes, seed, agent_mask)
        returns[condition] = stats.episode_return[:, slot]
        row = {"condition": condition, "episodes": episodes, **mean_interval(returns[condition]).to_dict("return")}
        row |= {name: float(values[:, slot].mean()) for name, values in stats.task_metrics.items()}
        row["longest_streak"] = float(stats.longest_streak[:, slot].mean())
        row["steps_to_first_reward"] = float(stats.steps_to_first_reward[:, slot].mean())
        if condition == "social":
            row["return_partners"] = float(stats.episode_return[:, others].mean())
        rows.append(row)
    if len(returns) == 2:
        # Both conditions play the same worlds in the same order, so the differences are paired.
        gain = mean_interval(returns["social"] - returns["solo"])
        rows.append({"condition": "social_gain", **gain.to_dict("return")})
    return rows


def format_row(row: dict[str, Any]) -> str:
    """A row of `evaluate` for people, rounded."""
    interval = "" if row["low"] is None else f" [{row['low']:.2f}, {row['high']:.2f}]"
    name = row["condition"] if row["condition"] == "social_gain" else f"{row['condition']:12} return"
    text = f"{name:12} {row['return']:.2f}{interval}"
    others = {k: v for k, v in row.items() if k not in ("condition", "episodes", "return", "low", "high")}
    return "   ".join([text, *(f"{name} {value:.2f}" for name, value in others.items())])


def _agent_sources(source: str) -> list[str]:
    """The folder of a run stands for all its agents."""
    from rookery.storage.atomic import is_folder, path_exists
    from rookery.storage.run_files import CONFIG_FILE, no_run

    folder = Path(source)
    if not is_folder(folder):
        return [source]
    paths = sorted(str(path) for path in (folder / "agents").glob("*.safetensors"))
    if not paths and not path_exists(folder / CONFIG_FILE):
        raise NotFoundError(f"{folder} holds no agents: {no_run(folder)}")
    if not paths:
        raise NotFoundError(f"{folder} holds no agents; a run writes them at its first checkpoint")
    return paths
