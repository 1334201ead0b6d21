"""`rookery export`: save an agent as a file of its own, with a card: its returns and how it was trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from rookery.commands.options import Json, PartnersOption, working
from rookery.commands.output import print_json
from rookery.errors import ConfigError, NotFoundError
from rookery.limits import check_interval_episodes, check_key_seed
from rookery.training.stop_signal import StopSignal

if TYPE_CHECKING:
    from rookery.agents.team_setup import TeamSetup
    from rookery.training.config import GroupConfig, RunConfig

QUANTILES = (0.15, 0.5, 0.85)


@dataclasses.dataclass
class ExportCommand:
    """Save an agent as a file of its own, with a card: its returns, alone and with partners, and how it was trained."""

    agent: Annotated[
        Positional[str],
        arg(
            metavar="AGENT",
            help="A .safetensors file from the folder `agents` of a run, so that the card can tell how it was trained, "
            "or any other .safetensors file or zoo agent.",
        ),
    ]
    out: Annotated[Path, arg(metavar="FILE", help="The file to write, ending in .safetensors; the agent's name.")]
    title: Annotated[str, arg(metavar="TEXT", help="One line about the agent.")]
    partners: PartnersOption = None
    """The agent in all other slots, as for `eval`, but not 'none': the card has the return alone as well."""
    episodes: int = 1000
    """Episodes for each condition."""
    seed: int = 2026
    """Seed of the evaluation episodes; they never overlap with training episodes."""
    json: Json = False

    def __call__(self) -> int:
        return run_export(self)


def run_export(options: ExportCommand) -> int:
    """Evaluate the agent, write the file and its card, and print the path. Returns 0."""
    if options.out.suffix != ".safetensors":
        raise ConfigError(f"--out {options.out} must end in .safetensors; the card is written next to it")
    check_interval_episodes("episodes", options.episodes)
    check_key_seed(options.seed)
    from rookery import __version__
    from rookery.agents.weights import save_agent
    from rookery.agents.zoo import load_trained_agent
    from rookery.storage.atomic import check_writable
    from rookery.training.make_team import NO_PARTNERS, make_team_setup

    if options.partners == NO_PARTNERS:
        raise ConfigError(f"leave out --partners {NO_PARTNERS}: the card has the return alone as well")
    for path in (options.out, options.out.with_suffix(".json")):  # found out now, not after minutes
        check_writable(path)
    agent = load_trained_agent(options.agent)
    setup = make_team_setup(options.agent, options.partners, None)
    provenance = _provenance(options.agent)
    if provenance is None:  # not an agent that a run wrote: what its own card says
        provenance = {name: agent.card[name] for name in ("steps", "training_stages") if name in agent.card}
    card = {"name": options.out.stem, "title": options.title}
    card |= {name: agent.card[name] for name in ("task", "slot", "partners", "partners_by_slot") if name in agent.card}
    card |= _evaluated_with(setup, agent.card, options.partners)
    with working("evaluating"):
        card |= _measured_returns(setup, options.episodes, options.seed)
        card["rookery"] = __version__
        card |= _scripted_returns(options.agent, options.episodes, options.seed)
    with StopSignal():  # the weights do not go without their card
        save_agent(options.out, agent.policy, agent.params, card | provenance)
    if options.json:
        print_json({"file": str(options.out), **card})
    else:
        print(options.out)
    return 0


def _evaluated_with(setup: TeamSetup, trained_card: dict[str, Any], partners: str | None) -> dict[str, Any]:
    """Of a card: the partners in the evaluation, by slot, who need not be those of training; empty without any."""
    from rookery.training.make_team import partner_sources

    others = [slot for slot in range(setup.env.num_agents) if slot != setup.agent_slot]
    sources = partner_sources(trained_card, partners, others)
    return {"evaluated_with": {str(slot): source for slot, source in sources.items()}} if others else {}


def _measured_returns(setup: TeamSetup, episodes: int, seed: int) -> dict[str, Any]:
    """Returns of the agent alone and, if there are other slots, with partners: then 'returns' is with partners."""
    import numpy as np

    from rookery.training.evaluation import evaluate_team

    slot, others = setup.agent_slot, ~setup.only_agent
    solo = stats = evaluate_team(setup, episodes, seed, setup.only_agent)
    fields = {}
    if setup.env.num_agents > 1:
        social = stats = evaluate_team(setup, episodes, seed, np.ones_like(others))
        gain = social.episode_return[:, slot] - solo.episode_return[:, slot]
        fields = {
            "return_solo": _interval(solo.episode_return[:, slot], episodes, seed),
            "social_gain": _interval(gain, episodes, seed),
            "return_partners": float(social.episode_return[:, others].mean()),
        }
    return {
        "returns": _interval(stats.episode_return[:, slot], episodes, seed),
        **{name: float(value[:, slot].mean()) for name, value in stats.task_metrics.items()},
        **fields,
    }


def _interval(values: Any, episodes: int, seed: int) -> dict[str, Any]:
    """Mean of f[episodes], its 95 % interval and quantiles."""
    import numpy as np

    from rookery.intervals import mean_interval

    values = np.asarray(values)
    quantiles = {str(q): float(np.quantile(values, q)) for q in QUANTILES}
    interval = {**mean_interval(values).to_dict("mean"), "episodes": episodes, "seed": seed}
    return {**interval, "confidence": 0.95, "quantiles": quantiles}


def _scripted_returns(source: str, episodes: int, seed: int) -> dict[str, Any]:
    """The return of the task's scripted expert alone, in the same episodes; empty if the task has none."""
    from rookery.agents.team import AgentGroup, Team
    from rookery.agents.team_setup import TeamSetup
    from rookery.training.evaluation import evaluate_team
    from rookery.training.make_team import NO_PARTNERS, make_team_setup
    from rookery.training.policy_config import scripted_policy

    try:
        env = make_team_setup(source, NO_PARTNERS, None).env
        team = Team((AgentGroup("agent", (0,), scripted_policy(env)),))
    except ConfigError:
        return {}
    returns = evaluate_team(TeamSetup(env, team, {"agent": ()}), episodes, seed).episode_return[:, 0]
    return {"scripted": {"mean": float(returns.mean()), "episodes": episodes}}


def _provenance(agent: str) -> dict[str, Any] | None:
    """Steps, minutes, machine and stages of the run that wrote an agent's file; the stages it continued come first.

    Returns: None for an agent that no run wrote where it is now: one of the zoo, or a file elsewhere, or one that was
      put into a run's folder.
    Raises: NotFoundError or CorruptFileError for a run whose files are missing or damaged.
    """
    from rookery.agents.cards import read_card
    from rookery.storage.run_files import AGENTS_DIR, read_status
    from rookery.training.clone_trainer import load_clone_config
    from rookery.training.trainer import load_config

    path = Path(agent)
    if path.suffix != ".safetensors":
        return None
    path = path.resolve()
    folder = path.parent.parent
    if path.parent.name != AGENTS_DIR or (kind := _kind_of_run(folder)) is None:
        return None
    card = read_card(path.with_suffix(".json"))
    if kind == "clone":
        clone_config = load_clone_config(folder)
        if path.name not in clone_config.agent_files or "cloning" not in card:
            return None
        return {"training_stages": [{"clone": clone_config.name, **card["cloning"]}]}
    config = load_config(folder)
    group = _writer(config, path.name, card)
    if group is None:
        return None
    status = read_status(folder)
    earlier: dict[str, Any] = {}
    if group.policy.init_from is not None:
        earlier = _parent_provenance(folder, group.policy.init_from, card.get("seed", config.seed))
    return {
        "steps": earlier.get("steps", 0) + status["steps"],
        "minutes": earlier.get("minutes", 0) + round(status["seconds"] / 60),
        "machine": status["machine"],
        "training_stages": [*earlier.get("training_stages", []), _training_stage(config, group, status["steps"])],
    }


def _kind_of_run(folder: Path) -> str | None:
    """'config' for the folder of a run, 'clone' for that of clones; None if it holds neither."""
    from rookery.errors import CorruptFileError
    from rookery.storage.atomic import path_exists
    from rookery.storage.run_files import CONFIG_FILE
    from rookery.storage.serialization import load_json

    if not path_exists(folder / CONFIG_FILE):
        return None
    data = load_json(folder / CONFIG_FILE, CorruptFileError)
    if not isinstance(data, dict) or "rookery" not in data:  # another program's
        return None
    return next((kind for kind in ("config", "clone") if kind in data), None)


def _writer(config: RunConfig, name: str, card: dict[str, Any]) -> GroupConfig | None:
    """The group whose agent a run writes to a file of this name and with this card; None if it writes no such file."""
    from rookery.training.trainer import agent_file, agent_name

    for group in config.team:
        for variant, seed in config.replicas if group.learner is not None else ():
            for slot in group.slots:
                if name == agent_file(variant, seed, group.name, slot):
                    return group if card.get("name") == agent_name(config, variant, seed, group.name, slot) else None
    return None


def _parent_provenance(folder: Path, init_from: str, seed: int) -> dict[str, Any]:
    """The same for the agent that the run in a folder started from."""
    from rookery.agents.cards import read_card
    from rookery.agents.zoo import entry_path, is_agent_path
    from rookery.training.agent_paths import AgentFinder

    path = Path(init_from.replace("{seed}", str(seed)))
    if not is_agent_path(init_from):
        return read_card(entry_path(init_from).with_suffix(".json"))
    try:
        path = Path(AgentFinder.of_run(folder)(str(path)))
        return _provenance(str(path)) or read_card(path.with_suffix(".json"))
    except NotFoundError:
        raise NotFoundError(
            f"{path}, which the run started from, is missing, so the card cannot say how it was trained"
        ) from None


def _training_stage(config: RunConfig, group: GroupConfig, steps: int) -> dict[str, Any]:
    """What a reader needs to repeat the stage."""
    from rookery.storage.serialization import to_dict

    fields = to_dict(group)
    return {
        "preset": config.name,
        "total_timesteps": steps,
        "num_envs": config.num_envs,
        "seed": config.seed,
        "env_schedules": to_dict(config)["env_schedules"],
        **{name: fields[name] for name in ("learner", "learning_rate", "ent_coef", "hparams")},
    }
