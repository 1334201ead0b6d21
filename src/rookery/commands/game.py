"""`rookery play`: a person among the agents, in a browser or in the terminal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from rookery.agents import scripted, zoo
from rookery.agents.team import Group, Team
from rookery.cli import parse_task_changes
from rookery.commands.play import policy_of
from rookery.errors import ConfigError, MisfitError
from rookery.play.game import Game, Troupe, check_rate
from rookery.tasks import registry

REST = 4.0
"""Seconds between an episode and the next."""


def main(options) -> int:
    """Play until interrupted."""
    check_rate(options.rate)
    cast = troupe(options.task, options.others, tuple(options.set))
    open_slots = options.slot or default_slots(cast.env.agents)
    if options.terminal and len(open_slots) > 1:
        open_slots = open_slots[:1]  # there is one keyboard
    for slot, (name, role) in enumerate(zip(cast.names, cast.roles, strict=True)):
        person = " until a person takes it" if slot in open_slots else ""
        kind = "trained" if role == "frozen" else role
        print(f"slot {slot}: {name} ({kind}){person}", file=sys.stderr)
    game = Game(cast, tuple(open_slots), seed=options.seed, rest=round(REST * options.rate))
    if options.terminal:
        from rookery.play.terminal import play_in_terminal

        return play_in_terminal(game, options.rate)
    from rookery.play.server import Server

    server = Server(game, host=options.host, port=options.port, rate=options.rate)
    if not server.loopback:
        print(f"warning: anyone who reaches {options.host} may play; there is no password", file=sys.stderr)

    def ready():
        print(f"playing at {server.url} (Ctrl-C ends it)", flush=True)
        if options.browser:
            import webbrowser

            webbrowser.open(server.url)

    try:
        asyncio.run(server.run(ready))
    except KeyboardInterrupt:
        print("the game is closed", file=sys.stderr)
    return 0


def default_slots(agents: int) -> tuple[int, ...]:
    """Where persons may sit: wherever an expert stands, or where the only agent does. Slot 0 is the novice's."""
    return tuple(range(1, agents)) or (0,)


def troupe(task_id: str, others: Sequence[str], changes: tuple[str, ...] = ()) -> Troupe:
    """Who moves each slot of a task while no person does.

    Args:
      others: a source for each slot, in order; the last is for the rest. Empty: the zoo's novice for this task, if
        it has one, and scripted agents beside it.
    Raises: MissingError, CorruptError, MisfitError or ConfigError, before anything is compiled.
    """
    task = parse_task_changes(registry.make(task_id), changes)
    env = registry.environment(task)
    sources = list(others) or default_cast(task_id, task)
    if len(sources) > env.agents:
        raise ConfigError(
            f"--others names {len(sources)} agents; {task_id} has {env.agents}, slots 0 to {env.agents - 1}"
        )
    sources += sources[-1:] * (env.agents - len(sources))
    shared: dict[tuple, list[int]] = {}
    for slot, source in enumerate(sources):
        shared.setdefault((source, env.observation_shape(slot)), []).append(slot)
    groups, params = [], {}
    names, roles = [""] * env.agents, [""] * env.agents
    titles = [title(source) for source in sources]
    for number, ((source, _), slots) in enumerate(shared.items()):
        try:
            policy, mine = policy_of(source, env, tuple(slots))
        except MisfitError:
            if others:
                raise
            return troupe(task_id, default_cast(task_id, task)[1:], changes)  # the novice was trained for others
        group = Group(f"{number}", tuple(slots), policy)
        groups.append(group)
        params[group.name] = mine
        for slot in slots:
            alike = [other for other in range(env.agents) if titles[other] == titles[slot]]
            names[slot] = titles[slot] if len(alike) == 1 else f"{titles[slot]} {alike.index(slot) + 1}"
            roles[slot] = "scripted" if source in scripted.NAMES else "random" if source == "random" else "frozen"
    return Troupe(env, Team(tuple(groups)), params, tuple(names), tuple(roles), task_id, registry.describe(task_id))


def default_cast(task_id: str, task) -> list[str]:
    """The zoo's novice in slot 0 where there is one, then scripted agents, or random ones where a task has none."""
    novice = f"{task_id.rpartition('-v')[0] or task_id}-novice"
    kinds = {kind for kind, _ in scripted.EXPERTS}
    rest = "scripted" if getattr(task, "kind", None) in kinds else "random"
    return [novice, rest] if novice in zoo.names() else [rest]


def title(source: str) -> str:
    """What to call an agent: `goal-cycle-demo-novice` is a novice."""
    if source in scripted.NAMES:
        return "expert"
    if source.endswith(".safetensors"):
        return source.removesuffix(".safetensors").rpartition("/")[2]
    return source.rpartition("-")[2]
