"""`rookery play`: a person among the agents, in a browser or in the terminal."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from rookery.commands.options import TaskOverrides, flags, given, optional
from rookery.errors import ConfigError, IncompatibleError
from rookery.limits import check_key_seed

if TYPE_CHECKING:
    from rookery.agents.team_setup import TeamSetup
    from rookery.play.game import Game

PAGE_OPTIONS = ("host", "port", "browser")
"""Options of the page alone."""
REST_SECONDS = 4.0
"""Seconds between the end of an episode and the next one."""


@dataclasses.dataclass
class PlayCommand:
    """Move one agent yourself, in a browser page or in the terminal, while policies move the others.

    Be the expert: play Goal Cycle, and watch a trained social learner follow you. Several browsers may join; each
    takes a free slot, or watches. A policy moves every slot that no person has taken.
    """

    task: Annotated[Positional[str], arg(metavar="ID", help="Task to play.")] = "goal-cycle-demo-v0"
    task_overrides: TaskOverrides = ()
    """Changes to the task, such as penalty=0.5 or num_goals=4."""
    human_slots: Annotated[tuple[int, ...], optional("SLOT", "all but 0, which the novice has")] = ()
    """Slots that people may take, in this order."""
    policies: Annotated[
        tuple[str, ...],
        arg(
            metavar="AGENT",
            help="The policy of each slot while no person moves it, in slot order: a zoo agent, a .safetensors file, "
            "'scripted', 'scripted-partial' or 'random'; the last one is for all remaining slots.",
            help_behavior_hint="(default: the zoo's novice for the task, one scripted agent, then random)",
        ),
    ] = ()
    fps: float = 5.0
    """Steps per second."""
    seed: int = 0
    """Seed of the episodes."""
    terminal: bool = False
    """Play in this terminal, without a server."""
    host: str = "127.0.0.1"
    """Address to serve at; only this machine can reach the default one."""
    port: int = 8765
    """Port to serve at; 0 for any free one."""
    browser: bool = False
    """Open the page in a browser on this machine."""

    def __call__(self) -> int:
        return run_play(self)


def run_play(options: PlayCommand) -> int:
    """Play until interrupted. Returns 0."""
    from rookery.play.game import Game, check_fps, check_human_slots

    check_fps(options.fps)
    check_key_seed(options.seed)
    if options.terminal:
        from rookery.play.terminal import check_terminal

        if unused := given(options, PAGE_OPTIONS):
            raise ConfigError(f"{flags(unused)} cannot be used with --terminal, which serves no page; leave it out")
        check_terminal()  # before anything is compiled
    else:
        from rookery.play.server import check_address

        check_address(options.host, options.port)
    setup = make_game_setup(options.task, options.policies, options.task_overrides)
    human_slots = options.human_slots or default_human_slots(setup.env.num_agents)
    check_human_slots(human_slots, setup.env.num_agents)
    if options.terminal:
        if len(options.human_slots) > 1:
            raise ConfigError("--terminal has one keyboard: name one slot after --human-slots, or leave out --terminal")
        human_slots = human_slots[:1]
    for slot, (name, role) in enumerate(zip(setup.agent_names, setup.roles, strict=True)):
        person = " until a person takes it" if slot in human_slots else ""
        print(f"slot {slot}: {name} ({'trained' if role == 'frozen' else role}){person}", file=sys.stderr)
    game = Game(setup, tuple(human_slots), seed=options.seed, rest_ticks=round(REST_SECONDS * options.fps))
    if options.terminal:
        from rookery.play.terminal import play_in_terminal

        return play_in_terminal(game, options.fps)
    return _serve(game, options)


def _serve(game: Game, options: PlayCommand) -> int:
    import asyncio

    from rookery.play.server import Server

    server = Server(game, host=options.host, port=options.port, fps=options.fps)

    def ready():
        print(f"playing at {server.url} (Ctrl-C to stop)", flush=True)
        if server.url_for_others:
            if server.url_for_others != server.url:
                print(f"others can play at {server.url_for_others}", flush=True)
            print(f"anyone who has the token can play (served at {', '.join(server.addresses)})", file=sys.stderr)
        if options.browser:
            import threading
            import webbrowser

            # A browser in this terminal returns at its end, and the page is served meanwhile.
            threading.Thread(target=webbrowser.open, args=(server.url,), daemon=True).start()

    try:
        asyncio.run(server.run(ready))
    except KeyboardInterrupt:
        print("the game is over", file=sys.stderr)
    return 0


def default_human_slots(num_agents: int) -> tuple[int, ...]:
    """Slots that people may take: those of the experts, or the only one. Slot 0 is the novice's."""
    return tuple(range(1, num_agents)) or (0,)


def make_game_setup(task_id: str, policies: Sequence[str] = (), task_overrides: Sequence[str] = ()) -> TeamSetup:
    """A policy for each slot of a task.

    Args:
      policies: an agent for each slot, in order; the last is for all remaining slots. Empty: as
        `default_policies`.
      task_overrides: KEY=VALUE changes to the task.
    Raises: NotFoundError, CorruptFileError, IncompatibleError or ConfigError, before anything is compiled.
    """
    from rookery.storage.serialization import apply_overrides
    from rookery.tasks import registry

    task = apply_overrides(registry.get_task(task_id), task_overrides)
    sources = list(policies) or default_policies(task_id, task)
    try:
        return _make_setup(task_id, task, sources)
    except IncompatibleError:
        if policies:
            raise
        return _make_setup(task_id, task, [_untrained_policy(task)])  # the novice does not fit the changed task


def _make_setup(task_id: str, task: Any, sources: list[str]) -> TeamSetup:
    from rookery.agents.team import AgentGroup, Team, check_only_sees
    from rookery.agents.team_setup import TeamSetup
    from rookery.tasks import registry
    from rookery.training.make_team import load_policy

    env = registry.make_env(task)
    if len(sources) > env.num_agents:
        raise ConfigError(
            f"--policies names {len(sources)} agents; {task_id} has {env.num_agents}, slots 0 to {env.num_agents - 1}"
        )
    sources = sources + sources[-1:] * (env.num_agents - len(sources))
    slots_by_policy: dict[tuple, list[int]] = {}
    for slot, source in enumerate(sources):
        slots_by_policy.setdefault((source, env.observation_shape(slot)), []).append(slot)
    groups, params = [], {}
    for number, ((source, _), slots) in enumerate(slots_by_policy.items()):
        policy, params[f"{number}"] = load_policy(source, env, tuple(slots))
        check_only_sees(policy, source)
        groups.append(AgentGroup(f"{number}", tuple(slots), policy))
    roles = {slot: group.policy.role for group in groups for slot in group.slots}
    return TeamSetup(
        env,
        Team(tuple(groups)),
        params,
        agent_names=_agent_names(sources),
        roles=tuple(roles[slot] for slot in range(env.num_agents)),
        task_id=task_id,
        description=registry.describe(task_id),
        rules=task.rules_for_players,
    )


def _agent_names(sources: list[str]) -> tuple[str, ...]:
    """What to call each slot's agent; agents with the same name are numbered."""
    names = [display_name(source) for source in sources]
    numbers = [names[:slot].count(name) + 1 for slot, name in enumerate(names)]
    return tuple(
        name if names.count(name) == 1 else f"{name} {number}" for name, number in zip(names, numbers, strict=True)
    )


def default_policies(task_id: str, task: Any) -> list[str]:
    """The zoo's novice, one scripted agent and random ones; without a novice scripted or, if there are none, random."""
    from rookery.agents import zoo

    novice = f"{task_id.rpartition('-v')[0] or task_id}-novice"
    rest = _untrained_policy(task)
    # With one expert only, who may be a person, the novice follows that person.
    return [novice, rest, "random"][: len(task.views)] if novice in zoo.entry_names() else [rest]


def _untrained_policy(task: Any) -> str:
    """Scripted, or random for a task without a scripted expert."""
    from rookery.agents import scripted

    return "scripted" if task.kind in {kind for kind, _ in scripted.EXPERT_FACTORIES} else "random"


def display_name(source: str) -> str:
    """What to call an agent: `goal-cycle-demo-novice` is a novice."""
    from rookery.agents import scripted

    if source in scripted.OBSERVABILITY_BY_NAME:
        return "expert"
    if source.endswith(".safetensors"):
        return source.removesuffix(".safetensors").rpartition("/")[2]
    return source.rpartition("-")[2]
