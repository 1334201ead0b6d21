"""Generations: each trains from scratch next to the best agent of the one before, which it sees less and less.

A generation is a run. Its population trains side by side; the agent with the highest return alone, in the evaluation at
the end of its run, is handed on. Those episodes are never trained on, and no study reports them. Several lineages, with
populations of their own, train side by side in the same runs. Whatever stops the loop, it continues with the same
numbers: a finished generation is kept, an unfinished run resumes, and which agent is handed on follows from files.

With `handover="reset"` the agents are handed on instead: each continues alone from its own weights, but for the last
layers, which are new. That is one life with resets, the control for what new beginnings alone do.

Source: Cook et al. 2024, arXiv:2406.00392, in-weights accumulation. There, the example is seen with probability
1 - t/(T-1) at step t of T; here that is a schedule of the run, such as {"visibility": [[0, 1], [1, 0]]}.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from rookery import keys
from rookery.agents.weights import load_agent, save_agent
from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, suggest
from rookery.limits import NumericFields, check_at_most, check_stop_after, check_type
from rookery.storage.atomic import (
    check_recordable,
    create_once,
    is_filled,
    path_exists,
    read_file,
    refuse_link,
    write_bytes,
)
from rookery.storage.metrics import read_metrics, seed_values
from rookery.storage.run_files import AGENTS_DIR, GENERATIONS_FILE, HANDED_ON_DIR
from rookery.storage.serialization import check_file_keys, from_dict, load_json, to_dict
from rookery.tasks.registry import make_env
from rookery.training.build import SEED_PLACEHOLDER, check_run_folder
from rookery.training.config import (
    FrozenPolicyConfig,
    GroupConfig,
    RecurrentPolicyConfig,
    RunConfig,
    slot_names,
)
from rookery.training.continue_run import is_finished, train_or_resume
from rookery.training.example_seen import fraction_seen
from rookery.training.trainer import agent_file

SEEDS_PER_GENERATION = 1_000_000
"""By how much seeds of one generation differ from those of the next."""
MAX_GENERATIONS = 1000
MAX_POPULATION = 1000


@dataclasses.dataclass(frozen=True, kw_only=True)
class GenerationsConfig(NumericFields):
    """Everything that determines a chain of generations."""

    run: RunConfig
    """One generation. Its seed is that of the first lineage; the number of seeds follows from the fields below."""
    num_generations: int = 5
    num_lineages: int = 1  # independent repetitions, side by side; their seeds count up from the run's
    population: int = 3  # agents of a generation in each lineage, the best of which is handed on
    handover: Literal["example", "reset"] = "example"
    """example: the next generation sees the best agent act. reset: every agent continues alone, its last layers new."""
    learner: str = "novice"  # the group that learns
    predecessor: str = "predecessor"  # the group that the agent before fills
    first_alone: bool = True  # the first generation learns alone; false: next to the policy that the run names

    def __post_init__(self) -> None:
        check_type("run", self.run, RunConfig, "a RunConfig")
        check_at_most("num_generations", self.num_generations, MAX_GENERATIONS)
        check_at_most("population", self.population, MAX_POPULATION)
        for name in ("num_generations", "num_lineages", "population"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name}={getattr(self, name)} must be at least 1")
        if self.num_seeds > SEEDS_PER_GENERATION or (self.run.seed + self.num_lineages) * self.population > 2**20:
            raise ConfigError(
                f"seed={self.run.seed}: (seed + num_lineages) · population must be at most 2^20, so that generations "
                "have different seeds; choose a smaller seed"
            )
        if self.handover not in ("example", "reset"):
            allowed = suggest(self.handover, ("example", "reset"))
            raise ConfigError(f"handover={self.handover!r} is not known; {allowed}")
        self._check_run()

    def _check_run(self) -> None:
        """Raises ConfigError for a run that cannot be a generation."""
        run = self.run
        if len(run.variants) != 1:
            raise ConfigError(f"run.variants: generations have one variant, not {len(run.variants)}; leave one")
        (variant,) = run.variants
        if variant.social_episode_prob is not None:
            raise ConfigError(
                f"run.variants.0.social_episode_prob={variant.social_episode_prob}: a generation that learns alone "
                "sets the run's; leave the variant's out, and set run.social_episode_prob"
            )
        if run.num_seeds != 1:
            raise ConfigError(
                f"run.num_seeds={run.num_seeds}: leave it at 1; num_lineages · population says how many seeds train"
            )
        if run.eval_episodes < 2:
            raise ConfigError(
                f"run.eval_episodes={run.eval_episodes} must be at least 2: the evaluation at the end of a run says "
                "which agent is handed on"
            )
        learner, predecessor = self.group(self.learner), self.group(self.predecessor)
        if learner.learner is None or predecessor.learner is not None:
            raise ConfigError(
                f"the group {self.learner!r} must learn and {self.predecessor!r} must not; exchange them, or give "
                f"{self.predecessor!r} a frozen, scripted or random policy"
            )
        if len(learner.slots) != 1:
            raise ConfigError(f"group {self.learner!r} fills slots {learner.slots}; a generation has one learning slot")
        if others := [group.name for group in run.team if group.learner is not None and group != learner]:
            raise ConfigError(f"group {others[0]!r} learns, too; only {self.learner!r} may")
        if learner.policy.init_from is not None:
            raise ConfigError(
                f"group {self.learner!r}: init_from={learner.policy.init_from!r}, but a generation begins from "
                "scratch; leave it out"
            )
        if learner.policy.communication is not None:
            raise ConfigError(f"group {self.learner!r}: an example shows only what it does; leave communication out")
        self._check_example(learner, predecessor)

    def _check_example(self, learner: GroupConfig, predecessor: GroupConfig) -> None:
        """Raises ConfigError where an agent cannot act in the slots of its example, or is seen as much to the end."""
        if self.handover == "reset" or self.num_generations == 1:
            return
        env = make_env(self.run.task)
        shapes = [env.observation_shape(slot) for slot in (learner.slots[0], *predecessor.slots)]
        if any(shape != shapes[0] for shape in shapes):
            raise ConfigError(
                f"agents of {self.learner!r} observe {shapes[0]} and those of {self.predecessor!r} {shapes[1:]}; give "
                "their slots the same view"
            )
        first, last = (fraction_seen(self.run, predecessor.slots, point) for point in (0, -1))
        if not last < first:
            raise ConfigError(
                f"nothing makes {self.predecessor!r} be seen less during a run: in {first:.3g} of all steps at its "
                f"start, and in {last:.3g} at its end; schedule social_episode_prob=[[0, 1], [1, 0]] or, for an agent "
                'in the task\'s fading_slots, env_schedules={"visibility": [[0, 1], [1, 0]]}'
            )

    def group(self, name: str) -> GroupConfig:
        """A group of the run. Raises ConfigError, suggesting the nearest names."""
        groups = {group.name: group for group in self.run.team}
        if name not in groups:
            raise ConfigError(f"the run has no group {name!r}; {suggest(name, groups)}")
        return groups[name]

    @property
    def num_seeds(self) -> int:
        """Replicas of a generation's run."""
        return self.num_lineages * self.population

    @property
    def lineages(self) -> range:
        """The seeds of the lineages."""
        return range(self.run.seed, self.run.seed + self.num_lineages)

    def seeds(self, generation: int, lineage: int) -> range:
        """The seeds of a population. It has the same ones however many lineages train. `generation`: from 1."""
        first = (generation - 1) * SEEDS_PER_GENERATION + lineage * self.population
        return range(first, first + self.population)


@dataclasses.dataclass(frozen=True)
class Population:
    """The agents of one lineage in one generation, after their training."""

    generation: int  # from 1
    lineage: int
    seeds: range
    scores: tuple[float, ...]  # return alone at the end of the run, one per seed
    agents: tuple[Path, ...]

    @property
    def best(self) -> int:
        """Number of the agent that is handed on; the first of equal ones."""
        return int(np.argmax(self.scores))

    @property
    def best_agent(self) -> Path:
        return self.agents[self.best]


def load_generations(data: Any, source: str) -> GenerationsConfig:
    """A configuration from the content of a file. Raises ConfigError; `source` names the file in messages."""
    if not isinstance(data, dict) or not isinstance(data.get("generations"), dict):
        raise ConfigError(f"{source} has no 'generations'; start from what 'rookery generations --dry-run' prints")
    check_file_keys(data, "generations", (), source)
    return from_dict(GenerationsConfig, data["generations"])


def generation_dir(out: Path, generation: int) -> Path:
    """Folder of the run of a generation, from 1."""
    return out / f"generation-{generation}"


def generation_run(config: GenerationsConfig, generation: int, out: Path) -> RunConfig:
    """The run of a generation, from 1."""
    run, is_first = config.run, generation == 1
    handed_on = str(generation_dir(out, generation) / HANDED_ON_DIR / f"seed-{SEED_PLACEHOLDER}.safetensors")
    alone = config.handover == "reset" or (is_first and config.first_alone)
    team = run.team
    if not is_first and config.handover == "example":
        team = _with_policy(team, config.predecessor, FrozenPolicyConfig(checkpoint=handed_on))
    if not is_first and config.handover == "reset":
        policy: Any = config.group(config.learner).policy
        team = _with_policy(team, config.learner, dataclasses.replace(policy, init_from=handed_on))
    return dataclasses.replace(
        run,
        name=f"{run.name} generation {generation}",
        team=team,
        seed=config.seeds(generation, config.lineages[0])[0],
        num_seeds=config.num_seeds,
        social_episode_prob=0.0 if alone else run.social_episode_prob,
    )


def _with_policy(team: tuple[GroupConfig, ...], name: str, policy: Any) -> tuple[GroupConfig, ...]:
    return tuple(dataclasses.replace(group, policy=policy) if group.name == name else group for group in team)


def train_generations(
    config: GenerationsConfig,
    out: Path | str,
    *,
    quiet: bool = False,
    stop_after: float | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> bool:
    """Train all generations, from wherever they stopped. Nothing is done if they are finished.

    Args:
      stop_after: seconds after which to save and stop.
      log: called with one line for every generation.
    Returns: whether they are finished.
    Raises: ConfigError if the folder holds generations of another configuration, or has '{seed}' in its path;
      otherwise as `rookery.training.continue_run.train_or_resume`.
    """
    check_stop_after(stop_after)
    out, start = Path(out), time.monotonic()
    check_run_folder("out", out)
    check_recordable(out.resolve())  # the agents that are handed on are named by path
    _claim_folder(config, out)
    for generation in range(1, config.num_generations + 1):
        folder = generation_dir(out, generation)
        if not is_finished(folder):
            refuse_link(folder)
            hand_on(config, generation, out)
            left = None if stop_after is None else max(0.0, stop_after - (time.monotonic() - start))
            run = generation_run(config, generation, out)
            if not train_or_resume(run, folder, quiet=quiet, stop_after=left, comparable=_without_paths):
                return False
        scores = [population.scores[population.best] for population in populations(config, generation, out)]
        log(f"generation {generation}: return alone {np.mean(scores):.2f}, of the best of each lineage")
    return True


def _claim_folder(config: GenerationsConfig, out: Path) -> None:
    """Write the configuration, or compare it with that in the folder, which another process may just have written."""
    path, text = out / GENERATIONS_FILE, json.dumps({"generations": to_dict(config)}, indent=2, ensure_ascii=False)
    if not is_filled(path) and create_once(path, f"{text}\n") == f"{text}\n":
        return
    saved = load_generations(load_json(path, CorruptFileError), str(path))
    # More generations of the same chain may follow later.
    if dataclasses.replace(saved, num_generations=config.num_generations) != config:
        fields = [field.name for field in dataclasses.fields(config)]
        changed = [name for name in fields if getattr(saved, name) != getattr(config, name)]
        raise ConfigError(
            f"{out} holds generations of another configuration (it differs in {', '.join(changed)}); name another "
            "folder, or remove it"
        )


def _without_paths(run: RunConfig) -> RunConfig:
    """The run without where the agents handed on lie: the same folder has an absolute path and relative ones."""
    team = []
    for group in run.team:
        policy = group.policy
        if isinstance(policy, FrozenPolicyConfig) and SEED_PLACEHOLDER in policy.checkpoint:
            policy = dataclasses.replace(policy, checkpoint=Path(policy.checkpoint).name)
        elif isinstance(policy, RecurrentPolicyConfig) and policy.init_from is not None:
            policy = dataclasses.replace(policy, init_from=Path(policy.init_from).name)
        team.append(dataclasses.replace(group, policy=policy))
    return dataclasses.replace(run, team=tuple(team))


def populations(config: GenerationsConfig, generation: int, out: Path) -> list[Population]:
    """What a finished generation's run says of every lineage.

    Raises: CorruptFileError if the run's metrics lack the evaluation at its end, with one return per agent.
    """
    folder = generation_dir(out, generation)
    run, variant = config.run, config.run.variants[0].name
    slot = config.group(config.learner).slots[0]
    key = f"evaluation/{variant}/{slot_names(run)[slot]}/solo/return"
    rows = read_metrics(folder)
    if not rows:
        raise CorruptFileError(f"{folder}: its metrics are empty; remove the folder to train it again")
    returns = seed_values(folder, rows[-1], key, config.num_seeds)
    scores = [-math.inf if score is None else float(score) for score in returns]
    return [
        Population(
            generation,
            lineage,
            seeds := config.seeds(generation, lineage),
            tuple(scores[number * config.population : (number + 1) * config.population]),
            tuple(folder / AGENTS_DIR / agent_file(variant, seed, config.learner, slot) for seed in seeds),
        )
        for number, lineage in enumerate(config.lineages)
    ]


def hand_on(config: GenerationsConfig, generation: int, out: Path) -> None:
    """Put the agents that a generation starts with into its folder, one per replica; nothing for the first.

    As an example, all of a population get the best agent before; with resets, each gets its own.
    Raises: NotFoundError, CorruptFileError or IncompatibleError if an agent cannot be read; StorageError if the disk
      refuses, or the folder of these agents is a symbolic link.
    """
    if generation == 1:
        return
    folder = generation_dir(out, generation) / HANDED_ON_DIR
    refuse_link(folder)
    for before in populations(config, generation - 1, out):
        for number, seed in enumerate(config.seeds(generation, before.lineage)):
            path = folder / f"seed-{seed}.safetensors"
            if path_exists(path.with_suffix(".json")):  # the card is written last
                continue
            if config.handover == "example":
                write_bytes(path, read_file(before.best_agent))
                write_bytes(path.with_suffix(".json"), read_file(before.best_agent.with_suffix(".json")))
            else:
                save_with_new_heads(before.agents[number], path, seed)


def save_with_new_heads(source: Path, path: Path, seed: int) -> None:
    """Save an agent with untrained heads, the last layers of policy and value.

    Args:
      seed: of the new layers.
    Raises: as `rookery.agents.weights.load_agent`.
    """
    agent = load_agent(source)
    key = jax.random.fold_in(jax.random.PRNGKey(seed), keys.NEW_LAYERS)
    fresh = jax.device_get(agent.policy.init(key))
    if "heads" not in agent.params:
        raise IncompatibleError(f"{source}: its network has no heads that could be reset")
    card = {name: value for name, value in agent.card.items() if name in ("name", "task", "slot", "seed")}
    save_agent(path, agent.policy, {**agent.params, "heads": fresh["heads"]}, card)
