"""Returns of experts alone, scripted ones on every task and the zoo's: this writes docs/experts.md.

A row is what `rookery eval scripted --task ID --partners none --json` prints, or the same of `scripted-partial`. Tasks
that differ only in how the same view is rendered share a row. Rows that are already in the results file are not
measured again. The returns of trained agents are read from their cards.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
AGENTS = ("scripted", "scripted-partial")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="*", metavar="ID", help="default: all that have a scripted expert")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--rows", type=Path, default=ROOT / "results" / "experts.jsonl", help="results, one row per line"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "experts.md")
    options = parser.parse_args()

    from rookery.commands.evaluate import evaluate

    lines = options.rows.read_text().splitlines() if options.rows.exists() else []
    rows = [json.loads(line) for line in lines]
    for task in options.tasks or task_ids():
        for agent in AGENTS:
            if any((row["task"], row["agent"]) == (task, agent) for row in rows):
                continue
            measured = evaluate(agent, task=task, partners="none", episodes=options.episodes, seed=options.seed)[0]
            row = {"task": task, "agent": agent, "seed": options.seed, **measured}
            rows.append(row)
            print(json.dumps(row), flush=True)
            with options.rows.open("a") as file:
                file.write(json.dumps(row) + "\n")
    options.out.write_text(page(rows))


def task_ids() -> list[str]:
    """Registered tasks with a scripted expert, one of each group that differs only in the kind of views."""
    from rookery.agents import scripted
    from rookery.tasks import registry

    ids: dict[Any, str] = {}
    for task_id in registry.task_ids():
        task = registry.get_task(task_id)
        if (task.kind, "full") not in scripted.EXPERT_FACTORIES or task.grid_spec is None:
            continue
        views = tuple(dataclasses.replace(view, observation_type="symbolic", tile_size=1) for view in task.views)
        ids.setdefault(dataclasses.replace(task, views=views, num_actions=7), task_id)
    return list(ids.values())


def page(rows: list[dict]) -> str:
    """Both tables: one row per task, one row per agent."""
    lines = []
    for task in dict.fromkeys(row["task"] for row in rows):
        by_agent = {row["agent"]: row for row in rows if row["task"] == task}
        cells = [
            f"{row['return']:.1f} [{row['low']:.1f}, {row['high']:.1f}]" if row else "not measured"
            for row in map(by_agent.get, AGENTS)
        ]
        last = by_agent.get(AGENTS[1]) or by_agent[AGENTS[0]]
        metrics = ", ".join(
            f"{last[name]:.2f} {name}"
            for name in ("mistakes", "success", "last_trial_goals", "last_trial_digits")
            if name in last
        )
        line = [f"`{task}`", *cells, f"{last['steps_to_first_reward']:.0f}", metrics, str(last["episodes"])]
        lines.append(f"| {' | '.join(line)} |")
    return "\n".join((INTRODUCTION + "\n".join(lines), "", TRAINED + "\n".join(map(trained_row, expert_cards())), ""))


def expert_cards() -> list[dict]:
    """Cards of the zoo's agents that were trained alone: experts, not novices."""
    from rookery.agents import zoo

    return [card for card in map(zoo.entry_card, zoo.entry_names()) if card.get("partners") is None]


def trained_row(card: dict) -> str:
    """A row of the second table."""
    returns = card["returns"]
    line = [
        f"`{card['name']}`",
        card["title"].split(":")[0].removesuffix(", symbolic views"),
        f"{returns['mean']:.1f} [{returns['low']:.1f}, {returns['high']:.1f}]",
        f"{card['scripted']['mean']:.1f}",
        f"{card['steps'] / 1e6:.0f}M",
    ]
    return f"| {' | '.join(line)} |"


INTRODUCTION = """# Experts

## Scripted experts

Each gridworld task has two scripted experts. Neither knows what the task hides from all agents: they find the order of
goals by trying, and read from their own prestige whether a try was rewarded.

- `scripted` observes the whole map, including goals that its own view would hide.
- `scripted-partial` observes what its view shows and keeps a map of it. Where it knows of no better goal, it walks to
  the nearest cell it has not observed. It remembers where goals, keys and doors were.

Both take the fewest actions, counting turns. In Goal Cycle they walk to the nearest goal that may come next, rule it
out where it was penalized, and follow the cycle once they know it. In goal sequence they keep the order they have found
from trial to trial. In key-door tasks they fetch a key, open the door, go through and walk to the goal.

The table has the mean return of one expert alone over evaluation episodes, with its 95 % interval; the last columns are
of `scripted-partial`. In `sixteen-places-hidden-v0` that is the agent whose view shows no goal, so it has to walk over
every cell. `rookery eval scripted-partial --task ID --partners none` repeats a row, and `python benchmarks/experts.py`
the table. Memory Sequence has no map, so both are one expert, which has to guess the digits of the hidden sequence; its
row is the condition `solo` of `rookery eval scripted --task memory-sequence-v0`.

| task | `scripted` | `scripted-partial` | steps to the first reward | per episode | episodes |
|---|---|---|---|---|---|
"""

TRAINED = """## Trained experts

The zoo's experts, with views of 7×7 cells. `goal-cycle-paper-expert` has the network of Ndousse et al. and observes
pixels; it learned the policy of `goal-cycle-lite-expert` (`rookery train expert-paper`, 91 minutes on one core). All
others have a network of 128 units per layer and symbolic views. The table has the mean return alone over 1,000
evaluation episodes with its 95 % interval, and the scripted expert's in the same episodes; `rookery zoo show NAME` has
all training stages.

| agent | trained for | return | `scripted` | steps, all stages |
|---|---|---|---|---|
"""


if __name__ == "__main__":
    main()
