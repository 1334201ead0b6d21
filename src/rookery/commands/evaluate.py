"""`rookery eval` and `rookery replay`: agents at play, never learning."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

from rookery.agents import scripted
from rookery.agents.random_policy import RandomPolicy
from rookery.agents.team import AgentGroup, Team
from rookery.agents.zoo import load_trained_agent
from rookery.cli import apply_task_overrides, print_json
from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, NotFoundError
from rookery.storage.serialization import from_dict
from rookery.tasks import registry
from rookery.training.build import check_compatible, scripted_policy
from rookery.training.config import TaskConfig
from rookery.types import Env, PyTree


@dataclasses.dataclass(frozen=True)
class TeamSetup:
    """One agent in slot 0 and who stands beside it, ready to play."""

    env: Env
    team: Team
    params: dict[str, PyTree]


def make_team_setup(
    agent: str, partners: str | None, task_id: str | None, task_overrides: tuple[str, ...]
) -> TeamSetup:
    """Put an agent in slot 0 of a task, and others in the rest.

    Raises: MissingError, CorruptError, MisfitError or ConfigError, before anything is compiled.
    """
    trained = None if agent in (*scripted.OBSERVABILITY_BY_NAME, "random") else load_trained_agent(agent)
    if task_id is not None:
        task = registry.get_task(task_id)
    elif trained is not None and "task" in trained.card:
        try:
            task = from_dict(TaskConfig, trained.card["task"], "task")  # type: ignore[arg-type] (a union)
        except ConfigError as error:  # the card's sha256 is of the weights; a newer version may know more
            raise IncompatibleError(
                f"{agent}: its card has a task this version does not know: {error}; use --task"
            ) from None
    else:
        task = registry.get_task("goal-cycle-v0")
    task = apply_task_overrides(task, task_overrides)
    grid = {"views", "spawn_delay"} <= {field.name for field in dataclasses.fields(task)}
    if partners == "nobody" and not grid:
        raise ConfigError(
            f"tasks of kind {task.kind!r} cannot be cut to one agent; leave out --beside nobody: the agent is played "
            "alone as well"
        )
    if partners == "nobody":
        task = dataclasses.replace(task, views=task.views[:1], spawn_delay=task.spawn_delay[:1])
    elif partners is not None and grid and len(task.views) == 1:
        task = dataclasses.replace(task, views=task.views * 3, spawn_delay=())  # the paper's two experts
    env = registry.make_env(task)
    groups, params = [], {}
    others = tuple(range(1, env.num_agents))
    if others and partners is None:
        partners = (trained.card.get("beside") if trained is not None else None) or "scripted"
        if not isinstance(partners, str):
            raise CorruptFileError(f"{agent}: its card says beside={partners!r}, which names nobody; use --beside")
    for name, source, slots in (("agent", agent, (0,)), ("beside", partners, others)):
        if slots and source:
            policy, params[name] = load_policy(source, env, slots, trained if name == "agent" else None)
            groups.append(AgentGroup(name, slots, policy))
    return TeamSetup(env, Team(tuple(groups)), params)


def load_policy(source: str, env: Env, slots: tuple[int, ...], trained=None) -> tuple:
    """A policy and its parameters by 'scripted', 'scripted-own', 'random', zoo name or file. Raises as `cast`."""
    if source in scripted.OBSERVABILITY_BY_NAME:
        return scripted_policy(env, scripted.OBSERVABILITY_BY_NAME[source]), ()
    if source == "random":
        return RandomPolicy(env.num_actions), ()
    agent = trained or load_trained_agent(source)
    for slot in slots:
        check_compatible(agent.policy, env.observation_shape(slot), env.num_actions, source)
    return agent.policy, agent.params


def run_eval(options) -> int:
    """Print a JSON line a condition: the agent beside the others, alone, and its social gain."""
    for source in _agent_sources(options.agent):
        for row in evaluate_agent(source, options):
            print_json({"agent": source, **row})
    return 0


def evaluate_agent(source: str, options) -> list[dict]:
    """Rows for one agent: 'social' and 'solo' and, where there are others, 'gain'."""
    import numpy as np

    from rookery.viz.mean_intervals import mean_interval

    chosen = make_team_setup(source, options.beside, options.task, tuple(options.set))
    rows, returns = [], {}
    alone = np.arange(chosen.env.num_agents) == 0
    conditions = {"solo": alone} if chosen.env.num_agents == 1 else {"social": np.ones_like(alone), "solo": alone}
    match = _team_evaluator(chosen.env, chosen.team)
    for name, present in conditions.items():
        tally = match.evaluate(chosen.params, options.episodes, options.seed, present)
        returns[name] = tally.episode_return[:, 0]
        row = {"condition": name, "episodes": options.episodes, **_interval(returns[name], mean_interval)}
        row |= {event: float(count[:, 0].mean()) for event, count in tally.task_metrics.items()}
        row |= {
            "longest_streak": float(tally.longest_streak[:, 0].mean()),
            "steps_to_first_reward": float(tally.steps_to_first_reward[:, 0].mean()),
        }
        if name == "social":
            row["return_of_others"] = float(tally.episode_return[:, 1:].mean())
        rows.append(row)
    if len(returns) == 2:
        # The same worlds in the same order, so the gain is paired.
        rows.append({"condition": "gain", **_interval(returns["social"] - returns["solo"], mean_interval)})
    return rows


@functools.cache
def _team_evaluator(env: Env, team: Team):
    """A run's agents differ in nothing but their parameters: compiled once for all of them."""
    from rookery.training.evaluation import TeamEvaluator

    return TeamEvaluator(env, team)


def _interval(values, mean_interval) -> dict[str, float | None]:
    mean, low, high = (float(x) for x in mean_interval(values))
    return {"return": mean, "low": low if low == low else None, "high": high if high == high else None}


def _agent_sources(source: str) -> list[str]:
    """A run's folder stands for all its agents."""
    folder = Path(source)
    if not folder.is_dir():
        return [source]
    found = sorted(str(path) for path in (folder / "agents").glob("*.safetensors"))
    if not found:
        raise NotFoundError(f"{folder} holds no agents; a run writes them at its first checkpoint")
    return found


def run_replay(options) -> int:
    """Write the films and print where they are."""
    import numpy as np

    from rookery.training.trainer import load_learners
    from rookery.viz.frames import check_step
    from rookery.viz.record_episode import record_episode, record_run
    from rookery.viz.video import find_ffmpeg, write_gif, write_mp4, write_png, write_replay_html

    if not options.out.name:
        raise ConfigError(f"--out {options.out} is a folder; name the films in it, such as {options.out / 'replay'}")
    whole_team = Path(options.agent).is_dir()
    _check_options(options, whole_team)
    if whole_team:
        program, learners, who = load_learners(Path(options.agent), options.arm, options.trained_seed)
        film = record_run(program, learners, seed=options.seed, note=who)
    else:
        chosen = make_team_setup(options.agent, options.beside, options.task, tuple(options.set))
        everyone = np.ones(chosen.env.num_agents, bool)
        film = record_episode(chosen.env, chosen.team, chosen.params, seed=options.seed, agent_mask=everyone)
    name = options.out.stem if options.out.suffix in (".html", ".gif", ".mp4", ".png") else options.out.name
    ending = lambda kind: options.out.with_name(f"{name}.{kind}")  # noqa: E731 (no suffix: a name may have a dot)
    step = 0 if options.png is None else film.num_steps + 1 + options.png if options.png < 0 else options.png
    check_step(film, step)
    if options.mp4:
        find_ffmpeg()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    print(write_replay_html(film, ending("html")))
    if options.gif:
        print(write_gif(film, ending("gif")))
    if options.mp4:
        print(write_mp4(film, ending("mp4")))
    if options.png is not None:
        print(write_png(film, ending("png"), step))
    return 0


def _check_options(options, whole_team: bool) -> None:
    """Raises ConfigError for options of a whole team given with one agent, or the other way round."""
    wrong = ("task", "set", "beside") if whole_team else ("arm", "trained_seed")
    given = [f"--{name.replace('_', '-')}" for name in wrong if getattr(options, name) not in (None, ())]
    if given:
        what = "a run's folder plays its own task with its own team" if whole_team else "only a run's folder has arms"
        raise ConfigError(f"{options.agent}: {', '.join(given)} cannot be used here; {what}")
