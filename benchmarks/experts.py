"""What experts earn alone, scripted ones on every task and the zoo's: this writes docs/experts.md.

A row is what `rookery eval scripted --task ID --beside nobody` prints, or `scripted-own`. Tasks whose worlds differ
only in how the same view is painted stand in one row. Rows already in the file of results are not measured again. What
trained agents earn is read from their cards.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import types
from pathlib import Path

ROOT = Path(__file__).parents[1]
AGENTS = ("scripted", "scripted-partial")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--tasks", nargs="*", metavar="ID", help="default: all that have a scripted expert")
    options.add_argument("--episodes", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--rows", type=Path, default=ROOT / "results" / "experts.jsonl", help="results, a line a row")
    options.add_argument("--out", type=Path, default=ROOT / "docs" / "experts.md")
    chosen = options.parse_args()

    from rookery.commands.evaluate import evaluate_agent

    rows = [json.loads(line) for line in chosen.rows.read_text().splitlines()] if chosen.rows.exists() else []
    for task in chosen.tasks or ids():
        for agent in AGENTS:
            if any((row["task"], row["agent"]) == (task, agent) for row in rows):
                continue
            wanted = types.SimpleNamespace(
                agent=agent, beside="nobody", task=task, set=(), episodes=chosen.episodes, seed=chosen.seed
            )
            row = {"task": task, "agent": agent, "seed": chosen.seed, **evaluate_agent(agent, wanted)[0]}
            rows.append(row)
            print(json.dumps(row), flush=True)
            with chosen.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
    chosen.out.write_text(page(rows))


def ids() -> list[str]:
    """Registered tasks with a scripted expert, one of each that differ only in the kind of their views."""
    from rookery.agents import scripted
    from rookery.tasks import registry

    kept = {}
    for name, (_, task) in registry.TASKS.items():
        if (task.kind, "map") not in scripted.EXPERT_FACTORIES:
            continue
        views = tuple(dataclasses.replace(view, observation_type="symbolic", tile_size=1) for view in task.views)
        kept.setdefault(dataclasses.replace(task, views=views, num_actions=7), name)
    return list(kept.values())


def page(rows: list[dict]) -> str:
    """Both tables: a line a task, a line an agent."""
    lines = []
    for task in dict.fromkeys(row["task"] for row in rows):
        found = {row["agent"]: row for row in rows if row["task"] == task}
        cells = [
            f"{row['return']:.1f} [{row['low']:.1f}, {row['high']:.1f}]" if row else "not measured"
            for row in map(found.get, AGENTS)
        ]
        last = found.get(AGENTS[1]) or found[AGENTS[0]]
        counted = ", ".join(
            f"{last[name]:.2f} {name}" for name in ("mistakes", "success", "last_trial_goals") if name in last
        )
        line = [f"`{task}`", *cells, f"{last['steps_to_first_reward']:.0f}", counted, str(last["episodes"])]
        lines.append(f"| {' | '.join(line)} |")
    return "\n".join((INTRODUCTION + "\n".join(lines), "", TRAINED + "\n".join(map(trained, agents())), ""))


def agents() -> list[dict]:
    """Cards of the zoo's agents that learned alone: experts, not novices."""
    from rookery.agents import zoo

    return [card for card in map(zoo.entry_card, zoo.entry_names()) if card.get("beside") is None]


def trained(card: dict) -> str:
    """A line of the second table."""
    earned = card["returns"]
    line = [
        f"`{card['name']}`",
        card["title"].split(":")[0].removesuffix(", symbolic views"),
        f"{earned['mean']:.1f} [{earned['low']:.1f}, {earned['high']:.1f}]",
        f"{card['scripted']['mean']:.1f}",
        f"{card['steps'] / 1e6:.0f}M",
    ]
    return f"| {' | '.join(line)} |"


INTRODUCTION = """# Experts

## Scripted

Each task of the grid has two scripted experts. Neither is told what the task hides from everybody: the order of goals
is found by trying, and whether a try was paid each reads from its own prestige.

- `scripted` sees the whole map, goals included, also those its own view would hide.
- `scripted-own` sees what its view shows it, keeps a map of that, walks to the nearest cell it has not seen where it
  knows of nothing better, and remembers where goals, keys and doors were.

Both go by the fewest actions, turns counted. In Goal Cycle they walk to the nearest goal that may come next, strike it
off where it was punished, and follow the cycle once they know it. In goal sequence they keep the order they have found
from trial to trial. With key and door they fetch a key, open the door, go through and walk to the goal.

Mean return of one expert alone over evaluation episodes, with its 95 % interval; the last columns are of
`scripted-own`. In `sixteen-places-hidden-v0` it fills the place of the agent that sees no goal and has to walk over
every cell. Repeat a cell with `rookery eval scripted-own --task ID --beside nobody`, the table with
`python benchmarks/experts.py`.

| task | `scripted` | `scripted-own` | steps to its first reward | of each episode | episodes |
|---|---|---|---|---|---|
"""

TRAINED = """## Trained

The zoo's, on views of 7×7 cells: the paper's network on pixels, which learned the policy of `goal-cycle-lite-expert`
(`rookery train expert-paper`, 91 minutes of one core), all others a network of 128 each on symbolic views. Mean return
alone over 1,000 fresh episodes with its 95 % interval, and the scripted expert's in the same worlds; `rookery zoo show
NAME` has the whole recipe.

| agent | made for | it earns | `scripted` | trained for, all stages |
|---|---|---|---|---|
"""


if __name__ == "__main__":
    main()
