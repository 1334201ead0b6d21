"""`rookery generations`: train generation after generation, each next to the best agent of the one before."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from rookery.commands.options import (
    Cores,
    Json,
    Overrides,
    TimeLimit,
    check_cores,
    optional,
    time_limit_seconds,
    use_cores,
)
from rookery.commands.output import print_json
from rookery.errors import STOPPED_EXIT_CODE
from rookery.limits import check_interval_episodes, check_key_seed

if TYPE_CHECKING:
    from rookery.training.generation_chain import GenerationsConfig

RETURNS_FILE, GENERATIONS_FIGURE = "returns.json", "generations.png"
"""In the folder of the generations: their returns, and the figure."""


@dataclasses.dataclass
class GenerationsCommand:
    """Train generation after generation, each from scratch next to the best agent of the one before, and evaluate all.

    Run it again to continue where it stopped, or with a larger `num_generations` to add some.
    """

    config: Annotated[
        Positional[str],
        arg(metavar="CONFIG", help="A .json or .yaml file as --dry-run prints it, or a name: memory-sequence."),
    ] = "memory-sequence"
    overrides: Overrides = ()
    out: Annotated[Path | None, optional("FOLDER", "runs/NAME-generations")] = None
    """Folder of the generations."""
    episodes: int = 200
    """Evaluation episodes of each generation's best agent, alone; never those by which it was chosen."""
    eval_seed: Annotated[int, arg(metavar="INT")] = 0
    """Seed of these episodes."""
    time_limit: TimeLimit = None
    """Save and stop after so many minutes; run the same command to continue."""
    cores: Cores = None
    """CPU cores to spread seeds over."""
    quiet: bool = False
    """Show no progress."""
    json: Json = False
    dry_run: bool = False
    """Print the complete configuration and do nothing."""

    def __call__(self) -> int:
        return run_generations(self)


def run_generations(options: GenerationsCommand) -> int:
    """Train and evaluate. Returns 0, or STOPPED_EXIT_CODE if the time was up."""
    stop_after = time_limit_seconds(options.time_limit)
    check_interval_episodes("episodes", options.episodes)
    check_key_seed(options.eval_seed, "eval_seed")
    check_cores(options.cores)
    from rookery.storage.atomic import check_writable
    from rookery.storage.serialization import to_dict
    from rookery.training.generation_chain import generation_dir, train_generations
    from rookery.training.machine_notes import started_threads
    from rookery.training.trainer import default_run_dir

    config = make_generations_config(options)
    if options.dry_run:
        data = {"generations": to_dict(config)}
        print(json.dumps(data) if options.json else json.dumps(data, indent=2))
        return 0
    out = options.out or default_run_dir(f"{config.run.name}-generations")
    for name in (RETURNS_FILE, GENERATIONS_FIGURE):  # found out now, not after the training
        check_writable(out / name)
    use_cores(options.cores, started_threads([generation_dir(out, 1)]))
    quiet = options.quiet or options.json
    log = (lambda line: None) if quiet else print
    if not train_generations(config, out, quiet=quiet, stop_after=stop_after, log=log):
        if options.json:
            print_json({"finished": False, "generations": str(out)})
        else:
            print(f"{out}: stopped; run the same command to continue")
        return STOPPED_EXIT_CODE
    report_generations(config, out, options)
    return 0


def make_generations_config(options: GenerationsCommand) -> GenerationsConfig:
    """The configuration that a command line asks for. Raises ConfigError or NotFoundError."""
    from rookery.storage.serialization import apply_overrides
    from rookery.storage.yaml_files import CONFIG_SUFFIXES, load_config_data
    from rookery.training.generation_chain import load_generations
    from rookery.training.generation_presets import generation_preset

    if options.config.endswith(CONFIG_SUFFIXES):
        config = load_generations(load_config_data(options.config), options.config)
    else:
        config = generation_preset(options.config)
    return apply_overrides(config, options.overrides)


def report_generations(config: GenerationsConfig, out: Path, options: GenerationsCommand) -> None:
    """Evaluate the best agent of every generation alone; write and print the table, and draw the figure."""
    from rookery.storage.atomic import refuse_link, write_json
    from rookery.viz.plots import learning_curves, save_figure

    generations = range(1, config.num_generations + 1)
    rows = [row for generation in generations for row in _evaluate(config, generation, out, options)]
    write_json(out / RETURNS_FILE, {"episodes": options.episodes, "eval_seed": options.eval_seed, "rows": rows})
    by_lineage = {lineage: [r["return_solo"] for r in rows if r["lineage"] == lineage] for lineage in config.lineages}
    curves = {"best agent": (list(generations), list(by_lineage.values()))}
    figure = learning_curves(curves, xlabel="generation", ylabel="return alone, per episode")
    refuse_link(out / GENERATIONS_FIGURE)
    save_figure(figure, out / GENERATIONS_FIGURE, dpi=150)
    if options.json:
        for row in rows:
            print_json(row)
        return
    print("generation  lineage  return alone of the best [95 % over episodes]")
    for row in rows:
        interval = f"{row['return_solo']:.2f} [{row['low']:.2f}, {row['high']:.2f}]"
        print(f"{row['generation']:>10}  {row['lineage']:>7}  {interval}")
    print(f"{out / RETURNS_FILE}, {out / GENERATIONS_FIGURE}")


def _evaluate(config: GenerationsConfig, generation: int, out: Path, options: GenerationsCommand) -> list[dict]:
    """A row for the best agent of every lineage."""
    from rookery.studies.frozen_evaluation import AgentConditionEvaluator, EvaluatedAgent
    from rookery.training.config import FrozenPolicyConfig, RandomPolicyConfig
    from rookery.training.generation_chain import populations

    task, slot = config.run.task, config.group(config.learner).slots[0]
    partners: Any = (RandomPolicyConfig(),) * (task.make_env().num_agents - 1)
    evaluator = AgentConditionEvaluator(task, partners, options.episodes, slot)
    rows = []
    for population in populations(config, generation, out):
        agent = EvaluatedAgent.of(FrozenPolicyConfig(checkpoint=str(population.best_agent)))
        alone = evaluator.evaluate(agent, options.eval_seed)["return_solo"]
        rows.append({
            "generation": generation,
            "lineage": population.lineage,
            "seed": population.seeds[population.best],
            "agent": str(population.best_agent),
            "score": population.scores[population.best],
            "return_solo": alone["mean"],
            "low": alone["low"],
            "high": alone["high"],
        })  # fmt: skip
    return rows
