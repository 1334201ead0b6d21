"""Writes the section "At a glance" of these pages from the environments themselves.

Usage: python docs/tasks/write_interfaces.py [--check]

`--check` writes nothing and fails if a page is not up to date; a test does the same.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path

import jax

import rookery
from rookery.gridworld.spec import CHANNELS, OBJECT_CHANNELS
from rookery.tasks.coin_game import PLANES

FOLDER = Path(__file__).parent
START, END = "<!-- at a glance: written by write_interfaces.py -->", "<!-- end of at a glance -->"

ENTER_GOAL = "1 for entering the goal"
GOAL_CYCLE = "1 for the first goal and each successor in the order, -1.5 (`penalty`) for any other"
GOAL_SEQUENCE = "1 for the goal that is next in the order, -1 (`penalty`) for any other"
TIME_LIMIT = "truncated after {max_steps} steps"
NEVER_TERMINATED = TIME_LIMIT + "; never terminated"
REACHED = TIME_LIMIT + '; terminated at the first goal only with `when_reached="end"`'
PAGES = {
    "goal-cycle": ("goal-cycle-v0", GOAL_CYCLE, NEVER_TERMINATED),
    "single-goal": ("single-goal-v0", ENTER_GOAL, REACHED),
    "four-rooms": ("four-rooms-v0", ENTER_GOAL, REACHED),
    "maze": ("maze-v0", ENTER_GOAL, REACHED),
    "sixteen-places": ("sixteen-places-v0", ENTER_GOAL, REACHED),
    "key-door": ("key-door-v0", ENTER_GOAL, REACHED),
    "goal-sequence": ("goal-sequence-v0", GOAL_SEQUENCE, NEVER_TERMINATED),
    "memory-sequence": (
        "memory-sequence-v0", "1 for the right digit, -1 (`penalty`) for any other",
        "terminated after the last trial, at the latest after {max_steps} steps",
    ),
    "cleanup": ("cleanup-v0", "1 for eating an apple, -1 for firing, -50 for being hit", NEVER_TERMINATED),
    "harvest": ("harvest-v0", "1 for eating an apple, -1 for firing, -50 for being hit", NEVER_TERMINATED),
    "box-trapped": ("box-trapped-v0", "1 for eating an apple", NEVER_TERMINATED),
    "matrix-games": ("matrix-prisoners-dilemma-v0", "the payoff of the two actions, in every step", NEVER_TERMINATED),
    "coin-game": ("coin-game-3x3-v0", "1 for taking a coin, -2 where the other agent takes one of this agent's color",
                  NEVER_TERMINATED),
}  # fmt: skip
"""Page to the id that it shows, the reward of one agent, and how an episode ends."""


def main(arguments: list[str]) -> int:
    outdated = []
    for name in PAGES:
        path = FOLDER / f"{name}.md"
        before = path.read_text(encoding="utf-8")
        after = with_section(before, section(name))
        if before != after:
            outdated.append(path.name)
            if "--check" not in arguments:
                path.write_text(after, encoding="utf-8")
    print(f"{'not up to date' if '--check' in arguments else 'written'}: {', '.join(outdated) or 'nothing'}")
    return 1 if outdated and "--check" in arguments else 0


def with_section(text: str, new: str) -> str:
    """The page with its section replaced, or with a new one before "Settings", "Source" or the end."""
    if START in text:
        return re.sub(f"{re.escape(START)}.*?{re.escape(END)}", lambda _: new, text, flags=re.DOTALL)
    heading = re.search(r"^## (Settings|Source)", text, re.MULTILINE)
    position = heading.start() if heading else len(text)
    before, after = text[:position].rstrip("\n"), text[position:]
    return f"{before}\n\n{new}\n" + (f"\n{after}" if after else "")


def section(name: str) -> str:
    """Observation, action, reward, episode end and state of one environment, and ten lines that run it."""
    task_id, reward, end = PAGES[name]
    env = rookery.make(task_id)
    state, timestep = jax.eval_shape(env.reset, jax.random.PRNGKey(0), env.default_params())
    rows = [
        ("agents", f"A = {env.num_agents}"),
        ("observation", _observation(env)),
        ("action", f"`i32[A]`: {', '.join(f'{i} {name}' for i, name in enumerate(env.action_names))}"),
        ("reward", f"`f32[A]`: {reward}"),
        ("episode end", end.format(max_steps=f"{env.max_steps:,}")),
        ("metrics", ", ".join(f"`{name}`" for name in timestep.info)),
    ]
    return "\n".join([
        START,
        "## At a glance",
        "",
        f"`{task_id}`:",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {text} |" for name, text in rows),
        "",
        f"Its state, a `{type(state).__name__}`. Agents never observe it.",
        "",
        "| field | shape | |",
        "|---|---|---|",
        *_state_rows(state),
        "",
        "```python",
        "import jax",
        "import rookery",
        "",
        f'env = rookery.make("{task_id}")',
        "params = env.default_params()",
        "reset, step = jax.jit(env.reset), jax.jit(env.step)",
        "state, timestep = reset(jax.random.PRNGKey(0), params)",
        "for key in jax.random.split(jax.random.PRNGKey(1), 10):",
        "    action = jax.random.randint(key, (env.num_agents,), 0, env.num_actions)",
        "    state, timestep = step(state, action, params)",
        "    print(action, timestep.reward)",
        "```",
        END,
    ])  # fmt: skip


def _observation(env) -> str:
    shapes = [env.observation_shape(slot) for slot in range(env.num_agents)]
    shape = f"`u8[A, {', '.join(map(str, shapes[0]))}]`"
    channels = {len(CHANNELS): CHANNELS, len(OBJECT_CHANNELS): OBJECT_CHANNELS, len(PLANES): PLANES}.get(shapes[0][-1])
    return f"{shape}: {', '.join(channels)}" if channels else f"{shape}: rows, columns, red green blue"


def _state_rows(state, prefix: str = "") -> list[str]:
    rows = []
    for field, comment in field_comments(type(state)).items():
        value = getattr(state, field)
        if hasattr(value, "shape"):
            kind = {"uint8": "u8", "int32": "i32", "float32": "f32", "uint32": "u32"}.get(
                str(value.dtype), str(value.dtype)
            )
            rows.append(f"| `{prefix}{field}` | `{kind}[{', '.join(map(str, value.shape))}]` | {comment} |")
        elif value is not None and value != ():
            rows += _state_rows(value, f"{prefix}{field}.")
    return rows


def field_comments(cls: type) -> dict[str, str]:
    """Field to the comment behind it, in order; inherited fields first."""
    comments: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("rookery"):
            source = inspect.getsource(base)
            lines = source.splitlines()
            for node in ast.parse(source).body[0].body:
                if isinstance(node, ast.AnnAssign):
                    comment = lines[node.end_lineno - 1].partition("  # ")[2]
                    comments[node.target.id] = comment.replace("|", "\\|")
    return comments


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
