"""The lists of tasks, trained agents and studies, and agents' cards: they import neither JAX nor the parser."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rookery.commands.output import format_nested, print_json, print_table
from rookery.errors import ConfigError, CorruptFileError, RookeryError, StorageError
from rookery.storage.atomic import read_file, storage_error

RESULTS_DIR = Path("results")

DEFAULT_STEPS_PER_SECOND = {"desk": 41_500, "paper": 1_400}
"""Environment steps per second of all seeds of a run together on two cores, for estimates.

Measured: the run `next-frame` of figure 4 on an Intel Xeon, and `rookery train paper --seeds 1` on an AMD EPYC.
"""


def find_list(name: str, options: list[str]) -> Callable[[], int] | None:
    """The list that a command line asks for, if it asks for nothing else: quicker than parsing it.

    Args:
      name: the command. options: what follows it.
    Returns: a function that prints the list and returns 0; None if the command line asks for anything else.
    """
    as_json = "--json" in options
    rest = [option for option in options if option != "--json"]
    if name == "envs" and rest in ([], ["list"]):
        return lambda: list_tasks(as_json)
    if name == "zoo" and rest in ([], ["list"]):
        return lambda: list_agents(as_json)
    if name == "zoo" and rest[0] == "show" and len(rest) == 2 and not rest[1].startswith("-"):
        return lambda: show_card(rest[1], as_json)
    if name == "reproduce" and rest in ([], ["--list"]):
        return lambda: list_studies(RESULTS_DIR, as_json)
    return None


def list_tasks(as_json: bool = False) -> int:
    """One line per task. Returns 0."""
    from rookery.tasks.listing import describe_all

    descriptions = describe_all()
    if as_json:
        for task_id, description in descriptions.items():
            print_json({"task": task_id, "description": description})
    else:
        print_table([list(item) for item in descriptions.items()])
    return 0


def list_agents(as_json: bool = False) -> int:
    """One line per trained agent. Returns of different tasks do not compare, so each stands as a fraction of the return
    of its task's scripted expert. Returns 0."""
    from rookery.agents import zoo

    cards = {name: zoo.entry_card(name) for name in zoo.entry_names()}
    if as_json:
        for name, card in cards.items():
            print_json({
                "agent": name,
                "title": card.get("title"),
                "task": card.get("task", {}).get("kind"),
                "return": card.get("returns", {}).get("mean"),
                "scripted_return": card.get("scripted", {}).get("mean"),
            })  # fmt: skip
        return 0
    header = ["agent", "task", "of the scripted expert's return", ""]
    rows = [[name, *_summary_columns(card), card.get("title", "")] for name, card in cards.items()]
    print_table([header, *rows])
    return 0


def _summary_columns(card: dict[str, Any]) -> tuple[str, str]:
    """Kind of the task, and the return next to that of the task's scripted expert alone."""
    mean, scripted = (card.get(key, {}).get("mean", math.nan) for key in ("returns", "scripted"))
    comparable = scripted > 0  # False for NaN as well
    text = f"{mean / scripted:4.0%} ({mean:.1f} of {scripted:.1f})" if comparable else f"   - ({mean:.1f})"
    return card.get("task", {}).get("kind", "-"), text


def show_card(name: str | None, as_json: bool = False) -> int:
    """Print a card. Returns 0. Raises NotFoundError for an unknown agent, CorruptFileError for a damaged card."""
    from rookery.agents import zoo

    if name is None:
        raise ConfigError(f"name the agent to show: {', '.join(zoo.entry_names())}")
    card = zoo.entry_card(name)
    if as_json:
        print_json(card)
    else:
        print("\n".join(format_nested(card)))
    return 0


def list_studies(results: Path, as_json: bool = False) -> int:
    """Every study: what it compares, its budgets and their cost, and whether results exist. Returns 0.

    Raises: CorruptFileError or StorageError for results that cannot be read, after the list, which names all of them.
    """
    from rookery.studies.summaries import read_summaries

    damaged: RookeryError | None = None
    for name, summary in read_summaries().items():
        existing, unreadable = None, False
        try:
            existing = _existing_results(results / name)
        except (CorruptFileError, StorageError) as error:
            damaged, unreadable = damaged or error, True
        if as_json:
            print_json({"study": name, **summary, "results_budget": existing and existing[0]})
            continue
        print(f"{name}\n  {summary['compares']}")
        if summary["runs"]:
            print(f"  runs, shared with other studies: {', '.join(summary['runs'])}")
        for budget, steps in summary["training_steps"].items():
            if unreadable:
                state = f"damaged results in {results / name}"
            elif existing and existing[0] == budget:
                state = f"results of {existing[1]} seeds in {results / name}"
            else:
                state = "judges no claims" if budget == "smoke" else "not yet run"
            cost = _format_cost(steps, budget, summary["steps_per_second"])
            print(f"  {budget:6} {cost:42} {state}")
    if damaged is not None:
        raise damaged
    return 0


def _existing_results(folder: Path) -> tuple[str, int] | None:
    """Budget and number of seeds of the results in a folder; None if there are none."""
    path = folder / "results.json"
    try:
        data = json.loads(read_file(path))
        if not isinstance(data["budget"], str) or not isinstance(data["seeds"], list):
            raise TypeError("budget or seeds")
        return data["budget"], len(data["seeds"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise storage_error("read", path, error) from error
    except (KeyError, TypeError, ValueError, RecursionError):
        raise CorruptFileError(f"{path} does not hold the results of a study; run `rookery reproduce` again") from None


def _format_cost(steps: int, budget: str, steps_per_second: dict[str, int] | None) -> str:
    """The estimated cost of a budget, in words; `steps_per_second` is on one core, its default on two."""
    if budget == "smoke":
        return "minutes; longer on a busy machine"
    if not steps:
        return "no training of its own"
    hours = steps / (steps_per_second or DEFAULT_STEPS_PER_SECOND)[budget] / 3600
    if hours < 0.05:
        return f"{steps:,} steps, minutes"
    duration = f"{hours:.1f} hours" if hours < 48 else f"{hours / 24:,.0f} days"
    return f"{steps / 1e6:,.0f}M steps, about {duration} on {'1 core' if steps_per_second else '2 cores'}"
