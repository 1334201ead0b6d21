"""`rookery play`: a person among the agents, in a browser or in the terminal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from rookery.agents import scripted, zoo
from rookery.agents.team import AgentGroup, Team
from rookery.cli import apply_task_overrides
from rookery.commands.evaluate import load_policy
from rookery.errors import ConfigError, IncompatibleError
from rookery.play.game import Game, GameSetup, check_fps
from rookery.tasks import registry

REST_SECONDS = 4.0
"""Seconds between an episode and the next."""


def run_play(options) -> int:
    """Play until interrupted."""
    check_fps(options.rate)
    cast = make_game_setup(options.task, options.others, tuple(options.set))
    open_slots = options.slot or default_human_slots(cast.env.num_agents)
    if options.terminal and len(open_slots) > 1:
        open_slots = open_slots[:1]  # there is one keyboard
    for slot, (name, role) in enumerate(zip(cast.agent_names, cast.roles, strict=True)):
        person = " until a person takes it" if slot in open_slots else ""
        kind = "trained" if role == "frozen" else role
        print(f"slot {slot}: {name} ({kind}){person}", file=sys.stderr)
    game = Game(cast, tuple(open_slots), seed=options.seed, rest_ticks=round(REST_SECONDS * options.rate))
    if options.terminal:
        from rookery.play.terminal import play_in_terminal

        return play_in_terminal(game, options.rate)
    from rookery.play.server import Server

    server = Server(game, host=options.host, port=options.port, fps=options.rate)
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


def default_human_slots(agents: int) -> tuple[int, ...]:
    """Where persons may sit: wherever an expert stands, or where the only agent does. Slot 0 is the novice's."""
    return tuple(range(1, agents)) or (0,)


def make_game_setup(task_id: str, policies: Sequence[str], task_overrides: tuple[str, ...] = ()) -> GameSetup:
    """Who moves each slot of a task while no person does.

    Args:
      others: a source for each slot, in order; the last is for the rest. Empty: the zoo's novice for this task, if
        it has one, and scripted agents beside it.
    Raises: MissingError, CorruptError, MisfitError or ConfigError, before anything is compiled.
    """
    task = apply_task_overrides(registry.get_task(task_id), task_overrides)
    env = registry.make_env(task)
    sources = list(policies) or default_policies(task_id, task)
    if len(sources) > env.num_agents:
        raise ConfigError(
            f"--others names {len(sources)} agents; {task_id} has {env.num_agents}, slots 0 to {env.num_agents - 1}"
        )
    sources += sources[-1:] * (env.num_agents - len(sources))
    shared: dict[tuple, list[int]] = {}
    for slot, source in enumerate(sources):
        shared.setdefault((source, env.observation_shape(slot)), []).append(slot)
    groups, params = [], {}
    names, roles = [""] * env.num_agents, [""] * env.num_agents
    titles = [display_name(source) for source in sources]
    for number, ((source, _), slots) in enumerate(shared.items()):
        try:
            policy, mine = load_policy(source, env, tuple(slots))
        except IncompatibleError:
            if policies:
                raise
            return make_game_setup(
                task_id, default_policies(task_id, task)[1:], task_overrides
            )  # the novice was trained for others
        group = AgentGroup(f"{number}", tuple(slots), policy)
        groups.append(group)
        params[group.name] = mine
        for slot in slots:
            alike = [other for other in range(env.num_agents) if titles[other] == titles[slot]]
            names[slot] = titles[slot] if len(alike) == 1 else f"{titles[slot]} {alike.index(slot) + 1}"
            roles[slot] = (
                "scripted" if source in scripted.OBSERVABILITY_BY_NAME else "random" if source == "random" else "frozen"
            )
    return GameSetup(env, Team(tuple(groups)), params, tuple(names), tuple(roles), task_id, registry.describe(task_id))


def default_policies(task_id: str, task) -> list[str]:
    """The zoo's novice in slot 0 where there is one, then scripted agents, or random ones where a task has none."""
    novice = f"{task_id.rpartition('-v')[0] or task_id}-novice"
    kinds = {kind for kind, _ in scripted.EXPERT_FACTORIES}
    rest = "scripted" if getattr(task, "kind", None) in kinds else "random"
    return [novice, rest] if novice in zoo.entry_names() else [rest]


def display_name(source: str) -> str:
    """What to call an agent: `goal-cycle-demo-novice` is a novice."""
    if source in scripted.OBSERVABILITY_BY_NAME:
        return "expert"
    if source.endswith(".safetensors"):
        return source.removesuffix(".safetensors").rpartition("/")[2]
    return source.rpartition("-")[2]
