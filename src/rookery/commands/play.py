"""`rookery eval` and `rookery replay`: agents at play, never learning."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from rookery.agents import scripted
from rookery.agents.random import RandomPolicy
from rookery.agents.team import Group, Team
from rookery.agents.zoo import load
from rookery.cli import parse_task_changes, print_json
from rookery.errors import ConfigError, CorruptError, MisfitError, MissingError
from rookery.runs.build import check_fit, scripted_policy
from rookery.runs.codec import from_dict
from rookery.runs.config import Task
from rookery.tasks import registry
from rookery.types import Env, PyTree


@dataclasses.dataclass(frozen=True)
class Cast:
    """One agent in slot 0 and who stands beside it, ready to play."""

    env: Env
    team: Team
    params: dict[str, PyTree]


def cast(agent: str, beside: str | None, task_id: str | None, changes: tuple[str, ...]) -> Cast:
    """Put an agent in slot 0 of a task, and others in the rest.

    Raises: MissingError, CorruptError, MisfitError or ConfigError, before anything is compiled.
    """
    trained = None if agent in (*scripted.NAMES, "random") else load(agent)
    if task_id is not None:
        task = registry.make(task_id)
    elif trained is not None and "task" in trained.card:
        try:
            task = from_dict(Task, trained.card["task"], "task")  # type: ignore[arg-type] (a union)
        except ConfigError as error:  # the card's sha256 is of the weights; a newer version may know more
            raise MisfitError(f"{agent}: its card has a task this version does not know: {error}; use --task") from None
    else:
        task = registry.make("goal-cycle-v0")
    task = parse_task_changes(task, changes)
    grid = {"views", "spawn_delay"} <= {field.name for field in dataclasses.fields(task)}
    if beside == "nobody" and not grid:
        raise ConfigError(
            f"tasks of kind {task.kind!r} cannot be cut to one agent; leave out --beside nobody: the agent is played "
            "alone as well"
        )
    if beside == "nobody":
        task = dataclasses.replace(task, views=task.views[:1], spawn_delay=task.spawn_delay[:1])
    elif beside is not None and grid and len(task.views) == 1:
        task = dataclasses.replace(task, views=task.views * 3, spawn_delay=())  # the paper's two experts
    env = registry.environment(task)
    groups, params = [], {}
    others = tuple(range(1, env.agents))
    if others and beside is None:
        beside = (trained.card.get("beside") if trained is not None else None) or "scripted"
        if not isinstance(beside, str):
            raise CorruptError(f"{agent}: its card says beside={beside!r}, which names nobody; use --beside")
    for name, source, slots in (("agent", agent, (0,)), ("beside", beside, others)):
        if slots and source:
            policy, params[name] = policy_of(source, env, slots, trained if name == "agent" else None)
            groups.append(Group(name, slots, policy))
    return Cast(env, Team(tuple(groups)), params)


def policy_of(source: str, env: Env, slots: tuple[int, ...], trained=None) -> tuple:
    """A policy and its parameters by 'scripted', 'scripted-own', 'random', zoo name or file. Raises as `cast`."""
    if source in scripted.NAMES:
        return scripted_policy(env, scripted.NAMES[source]), ()
    if source == "random":
        return RandomPolicy(env.actions), ()
    agent = trained or load(source)
    for slot in slots:
        check_fit(agent.policy, env.observation_shape(slot), env.actions, source)
    return agent.policy, agent.params


def evaluate(options) -> int:
    """Print a JSON line a condition: the agent beside the others, alone, and its social gain."""
    for source in _agents(options.agent):
        for row in evaluate_agent(source, options):
            print_json({"agent": source, **row})
    return 0


def evaluate_agent(source: str, options) -> list[dict]:
    """Rows for one agent: 'social' and 'solo' and, where there are others, 'gain'."""
    import numpy as np

    from rookery.show.intervals import mean_interval

    chosen = cast(source, options.beside, options.task, tuple(options.set))
    rows, returns = [], {}
    alone = np.arange(chosen.env.agents) == 0
    conditions = {"solo": alone} if chosen.env.agents == 1 else {"social": np.ones_like(alone), "solo": alone}
    match = _match(chosen.env, chosen.team)
    for name, present in conditions.items():
        tally = match.play(chosen.params, options.episodes, options.seed, present)
        returns[name] = tally.episode_return[:, 0]
        row = {"condition": name, "episodes": options.episodes, **_interval(returns[name], mean_interval)}
        row |= {event: float(count[:, 0].mean()) for event, count in tally.events.items()}
        row |= {"streak": float(tally.streak[:, 0].mean()), "first_reward_step": float(tally.first_reward[:, 0].mean())}
        if name == "social":
            row["return_of_others"] = float(tally.episode_return[:, 1:].mean())
        rows.append(row)
    if len(returns) == 2:
        # The same worlds in the same order, so the gain is paired.
        rows.append({"condition": "gain", **_interval(returns["social"] - returns["solo"], mean_interval)})
    return rows


@functools.cache
def _match(env: Env, team: Team):
    """A run's agents differ in nothing but their parameters: compiled once for all of them."""
    from rookery.runs.evaluation import Match

    return Match(env, team)


def _interval(values, mean_interval) -> dict[str, float | None]:
    mean, low, high = (float(x) for x in mean_interval(values))
    return {"return": mean, "low": low if low == low else None, "high": high if high == high else None}


def _agents(source: str) -> list[str]:
    """A run's folder stands for all its agents."""
    folder = Path(source)
    if not folder.is_dir():
        return [source]
    found = sorted(str(path) for path in (folder / "agents").glob("*.safetensors"))
    if not found:
        raise MissingError(f"{folder} holds no agents; a run writes them at its first checkpoint")
    return found


def replay(options) -> int:
    """Write the films and print where they are."""
    import numpy as np

    from rookery.runs.record import record, record_team
    from rookery.runs.trainer import load_learners
    from rookery.show.film import find_ffmpeg, write_gif, write_html, write_mp4, write_png
    from rookery.show.frames import check_moment

    if not options.out.name:
        raise ConfigError(f"--out {options.out} is a folder; name the films in it, such as {options.out / 'replay'}")
    whole_team = Path(options.agent).is_dir()
    _check_fitting(options, whole_team)
    if whole_team:
        program, learners, who = load_learners(Path(options.agent), options.arm, options.trained_seed)
        film = record_team(program, learners, seed=options.seed, note=who)
    else:
        chosen = cast(options.agent, options.beside, options.task, tuple(options.set))
        everyone = np.ones(chosen.env.agents, bool)
        film = record(chosen.env, chosen.team, chosen.params, seed=options.seed, present=everyone)
    name = options.out.stem if options.out.suffix in (".html", ".gif", ".mp4", ".png") else options.out.name
    ending = lambda kind: options.out.with_name(f"{name}.{kind}")  # noqa: E731 (no suffix: a name may have a dot)
    step = 0 if options.png is None else film.steps + 1 + options.png if options.png < 0 else options.png
    check_moment(film, step)
    if options.mp4:
        find_ffmpeg()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    print(write_html(film, ending("html")))
    if options.gif:
        print(write_gif(film, ending("gif")))
    if options.mp4:
        print(write_mp4(film, ending("mp4")))
    if options.png is not None:
        print(write_png(film, ending("png"), step))
    return 0


def _check_fitting(options, whole_team: bool) -> None:
    """Raises ConfigError for options of a whole team given with one agent, or the other way round."""
    wrong = ("task", "set", "beside") if whole_team else ("arm", "trained_seed")
    given = [f"--{name.replace('_', '-')}" for name in wrong if getattr(options, name) not in (None, ())]
    if given:
        what = "a run's folder plays its own task with its own team" if whole_team else "only a run's folder has arms"
        raise ConfigError(f"{options.agent}: {', '.join(given)} cannot be used here; {what}")
