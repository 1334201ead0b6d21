"""`rookery export`: a run's agent as a file of its own, with a card that says what it earns and how it was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from rookery import __version__
from rookery.agents.team import AgentGroup, Team
from rookery.agents.weights import read_card, save_agent
from rookery.agents.zoo import entry_path, load_trained_agent
from rookery.commands.evaluate import TeamSetup, make_team_setup
from rookery.errors import ConfigError, NotFoundError
from rookery.storage.serialization import to_dict
from rookery.tasks.registry import make_env
from rookery.training.build import scripted_policy
from rookery.training.clone_trainer import load_clone_config
from rookery.training.config import RunConfig
from rookery.training.evaluation import TeamEvaluator
from rookery.training.trainer import CONFIG_FILE, STATUS_FILE, load_config
from rookery.viz.mean_intervals import mean_interval

QUANTILES = (0.15, 0.5, 0.85)


def run_export(options) -> int:
    """Raises ConfigError for a name or number that makes no sense; MissingError, CorruptError as `zoo.load`."""
    if options.out.suffix != ".safetensors":
        raise ConfigError(f"--out {options.out} must end in .safetensors; the card is written beside it")
    if options.episodes < 2:
        raise ConfigError(f"episodes={options.episodes} must be at least 2 to give an interval")
    agent = load_trained_agent(options.agent)
    earned = _measured_returns(make_team_setup(options.agent, options.beside, None, ()), options.episodes, options.seed)
    known = {name: agent.card[name] for name in ("task", "slot", "beside") if name in agent.card}
    card = {"name": options.out.stem, "title": options.title, **known, **earned}
    card["rookery"] = __version__
    card |= _scripted_returns(options.agent, options.episodes, options.seed)
    card |= _provenance(Path(options.agent)) or {k: v for k, v in agent.card.items() if k in ("steps", "recipe")}
    save_agent(options.out, agent.policy, agent.params, card)
    print(options.out)
    return 0


def _measured_returns(setup: TeamSetup, episodes: int, seed: int) -> dict[str, Any]:
    """What slot 0 earns alone and, where others stand there, beside them; 'returns' is how it was trained."""
    match = TeamEvaluator(setup.env, setup.team)
    alone = np.arange(setup.env.num_agents) == 0
    solo = match.evaluate(setup.params, episodes, seed, alone)
    social = match.evaluate(setup.params, episodes, seed, alone | True) if setup.env.num_agents > 1 else None
    told = solo if social is None else social
    found = {
        "returns": _interval(told.episode_return[:, 0], episodes, seed),
        **{name: float(value[:, 0].mean()) for name, value in told.task_metrics.items()},
    }
    if social is not None:
        found["alone"] = _interval(solo.episode_return[:, 0], episodes, seed)
        found["social gain"] = _interval(social.episode_return[:, 0] - solo.episode_return[:, 0], episodes, seed)
        found["others"] = float(social.episode_return[:, 1:].mean())
    return found


def _interval(values: Any, episodes: int, seed: int) -> dict[str, Any]:
    """Of f[episodes]."""
    values = np.asarray(values)
    mean, low, high = mean_interval(values)
    quantiles = {str(q): float(np.quantile(values, q)) for q in QUANTILES}
    told = {"mean": mean, "low": low, "high": high, "episodes": episodes, "seed": seed}
    return {**told, "confidence": 0.95, "quantiles": quantiles}


def _scripted_returns(source: str, episodes: int, seed: int) -> dict[str, Any]:
    """What the task's scripted expert earns alone in the same worlds; nothing where it has none."""
    try:
        env = make_env(make_team_setup(source, "nobody", None, ()).env.task)  # type: ignore[attr-defined] (a grid world has one)
        team = Team((AgentGroup("agent", (0,), scripted_policy(env)),))
    except ConfigError:
        return {}
    returns = TeamEvaluator(env, team).evaluate({"agent": ()}, episodes, seed).episode_return[:, 0]
    return {"scripted": {"mean": float(returns.mean()), "episodes": episodes}}


def _provenance(path: Path) -> dict[str, Any] | None:
    """Steps, minutes, machine and stages of the run that an agent's file lies in, those it went on from first."""
    folder = path.parent.parent
    if not (folder / CONFIG_FILE).exists():
        return None
    card = read_card(path.with_suffix(".json"))
    if "cloned" in card:
        return {"recipe": [{"clone": load_clone_config(folder).name, **card["cloned"]}]}
    config = load_config(folder)
    status = json.loads((folder / STATUS_FILE).read_text(encoding="utf-8"))
    group = next(g for g in config.team if g.learner is not None)
    before: dict[str, Any] = {}
    start = getattr(group.policy, "start", None)
    if start is not None:
        before = _parent_provenance(start, card.get("seed", config.seed))
    return {
        "steps": before.get("steps", 0) + status["steps"],
        "minutes": before.get("minutes", 0) + round(status["seconds"] / 60),
        "machine": status["machine"],
        "recipe": [*before.get("recipe", []), _training_stage(config, group, status["steps"])],
    }


def _parent_provenance(init_from: str, seed: int) -> dict[str, Any]:
    """The same of the agent a run started from."""
    path = Path(init_from.replace("{seed}", str(seed)))
    if path.suffix != ".safetensors":
        return read_card(entry_path(init_from).with_suffix(".json"))
    try:
        return _provenance(path) or read_card(path.with_suffix(".json"))
    except NotFoundError:
        raise NotFoundError(
            f"{path}, which the run started from, is no longer there: its part of the recipe is lost"
        ) from None


def _training_stage(config: RunConfig, group, steps: int) -> dict[str, Any]:
    """What a reader needs to make the stage again."""
    told = to_dict(group)
    return {
        "preset": config.name,
        "steps": steps,
        "episodes": config.num_envs,
        "seed": config.seed,
        "env_schedules": to_dict(config)["env_schedules"],
        **{name: told[name] for name in ("learner", "learning_rate", "entropy", "rates")},
    }
