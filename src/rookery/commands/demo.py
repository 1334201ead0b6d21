"""`rookery demo`: novices trained with experts and alone, by one algorithm; trained, evaluated, reported."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rookery.commands.options import Json, optional, use_cores, working
from rookery.commands.output import print_json
from rookery.errors import STOPPED_EXIT_CODE, ConfigError
from rookery.limits import check_interval_episodes

if TYPE_CHECKING:
    from rookery.training.config import RunConfig
    from rookery.training.trainer import TrainResult

RUN_DIR = "run"
RESULTS_FILE = "results.json"
REPORT_FILE = "report.html"
SMOKE_PRESET = "smoke"
"""Preset that trains too little to judge claims by."""
MIN_SEEDS, MAX_SEEDS = 2, 5
VERDICT_WORDS: dict[bool | None, str] = {True: "holds", False: "does not hold", None: "undecided"}
"""By a claim's entry in results.json."""


@dataclasses.dataclass
class DemoCommand:
    """Train novices with experts and alone, evaluate both, and write report.html. Run it again to continue."""

    out: Path = Path("demo")
    """Folder of the report and its run."""
    seeds: Annotated[int | None, optional("INT", "one per core, 2 to 5")] = None
    """Number of seeds of each variant."""
    episodes: int = 500
    """Evaluation episodes for each agent and condition."""
    preset: str = "demo"
    """The configuration: demo; or smoke, which only shows that everything runs."""
    quiet: bool = False
    """Show no progress."""
    json: Json = False

    def __call__(self) -> int:
        return run_demo(self)


def run_demo(options: DemoCommand) -> int:
    """Train or continue, evaluate, write the report and print where it is. Returns 0 or STOPPED_EXIT_CODE."""
    from rookery.commands.demo_report import NOT_JUDGED, write_report
    from rookery.storage.atomic import check_writable, path_exists, write_json
    from rookery.training import trainer
    from rookery.training.devices import machine_info
    from rookery.training.machine_notes import started_threads
    from rookery.training.stop_signal import StopSignal

    check_interval_episodes("episodes", options.episodes)
    for name in (RESULTS_FILE, REPORT_FILE):  # found out now, not after the training
        check_writable(options.out / name)
    run_dir = options.out / RUN_DIR
    use_cores(None, started_threads([run_dir]))
    quiet = options.quiet or options.json
    existing = trainer.load_config(run_dir) if path_exists(run_dir / trainer.CONFIG_FILE) else None
    config = _demo_config(options, existing)
    if existing not in (None, config):
        raise ConfigError(f"{run_dir} holds another run; name another folder with --out, or remove it")
    with StopSignal() as stop_signal:  # one that comes in the last update stops before the evaluation
        if existing is None:
            result = trainer.train(config, run_dir, quiet=quiet)
        else:
            result = trainer.resume(run_dir, quiet=quiet)
    if not result.finished or stop_signal.requested:
        if options.json:
            print_json({"finished": False, "run": str(run_dir)})
        else:
            print(f"stopped; run the same command to continue {run_dir}")
        return STOPPED_EXIT_CODE
    start = time.monotonic()
    with working("evaluating"):
        results = evaluate_demo(result, options.episodes)
    seconds = {"training": result.seconds, "evaluation": time.monotonic() - start}
    results |= {
        "judged": options.preset != SMOKE_PRESET,
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "steps": {
            "per_seed": config.total_updates * config.steps_per_update,
            "seeds_per_variant": config.num_seeds,
        },
        "machine": machine_info(),
    }
    write_json(options.out / RESULTS_FILE, results)
    report = options.out.resolve() / REPORT_FILE
    write_report(result, results, report)
    if options.json:
        print_json({"finished": True, **results, "report": str(report)})
        return 0
    if results["judged"]:
        for claim in results["claims"]:
            print(f"{VERDICT_WORDS[claim['holds']]:14} {claim['text']}")
    else:
        print(NOT_JUDGED)
    print(f"report: {report}")
    return 0


def _demo_config(options: DemoCommand, existing: RunConfig | None) -> RunConfig:
    from rookery.training.devices import available_cores
    from rookery.training.presets import preset

    num_seeds = options.seeds
    if num_seeds is None:
        # One core trains a seed of each variant in about the time that two cores take for two. A run that continues,
        # perhaps with other cores, keeps its seeds.
        num_seeds = existing.num_seeds if existing else min(MAX_SEEDS, max(MIN_SEEDS, available_cores()))
    config = dataclasses.replace(preset(options.preset), num_seeds=num_seeds)
    if {variant.name for variant in config.variants} != {"social", "solo"}:
        raise ConfigError(
            f"preset {options.preset!r} does not have the variants 'social' and 'solo'; use demo or smoke"
        )
    return config


def evaluate_demo(result: TrainResult, episodes: int) -> dict[str, Any]:
    """Evaluate every trained novice with the experts and alone, and the experts alone; judge the claims."""
    import jax
    import numpy as np

    from rookery.agents.team_setup import TeamSetup
    from rookery.intervals import mean_interval
    from rookery.training.config_diff import config_diff
    from rookery.training.evaluation import evaluate_team

    run, config = result.run, result.run.config
    setup = TeamSetup(run.env, run.team, {})
    slots = np.arange(run.env.num_agents)
    novice_params = jax.device_get(result.state.learners)["novice"].params["policy"]
    rows, returns = [], {}
    for number, (variant, seed) in enumerate(config.replicas):
        params = {**run.frozen_params, "novice": jax.tree.map(lambda x, n=number: x[n, 0], novice_params)}
        setup = dataclasses.replace(setup, params=params)
        social = evaluate_team(setup, episodes, seed, slots >= 0)
        solo = evaluate_team(setup, episodes, seed, slots == 0)
        return_social, return_solo = social.episode_return[:, 0], solo.episode_return[:, 0]
        returns.setdefault(variant, []).append((return_social, return_solo))
        rows.append({
            "variant": variant,
            "seed": seed,
            "return_social": mean_interval(return_social).to_dict("mean"),
            "return_solo": mean_interval(return_solo).to_dict("mean"),
            "social_gain": mean_interval(return_social - return_solo).to_dict("mean"),
            "goals": float(social.task_metrics["goals"][:, 0].mean()),
            "mistakes": float(social.task_metrics["mistakes"][:, 0].mean()),
            "steps_to_first_reward": float(social.steps_to_first_reward[:, 0].mean()),
            "experts_steps_to_first_reward": float(social.steps_to_first_reward[:, 1:].mean()),
            "experts_return": float(social.episode_return[:, 1:].mean()),
        })  # fmt: skip
    expert_solo = evaluate_team(setup, episodes, 0, slots == 1).episode_return[:, 1]
    return {
        **_judge(returns),
        "replicas": rows,
        "expert_return_solo": mean_interval(expert_solo).to_dict("mean"),
        "episodes": episodes,
        "config_diff": config_diff(config),
    }


def _judge(returns: dict[str, list[tuple[Any, Any]]]) -> dict[str, Any]:
    """Intervals and claims from each variant's (return_social, return_solo), f32[episodes] each, of every seed.

    A claim holds if the whole interval lies on its side, does not hold if none of it does, and is None in between.
    """
    import numpy as np

    from rookery.intervals import difference_of_agents, difference_of_means, two_level_interval
    from rookery.studies.claims import judge_interval
    from rookery.studies.study import FAILS, HOLDS

    social, solo = (
        {
            "return_social": np.stack([with_experts for with_experts, _ in returns[variant]]),
            "return_solo": np.stack([alone for _, alone in returns[variant]]),
            "social_gain": np.stack([with_experts - alone for with_experts, alone in returns[variant]]),
        }
        for variant in ("social", "solo")
    )
    # The solo variant never met an expert in training, so its return alone is the measure of what it learned.
    measures = {f"social: {name}": values for name, values in social.items()}
    measures |= {f"solo: {name}": solo[name] for name in ("return_solo", "return_social")}
    # An interval over two or three seeds says nothing, so with few seeds it is about these novices only.
    over_seeds = len(returns["social"]) >= MAX_SEEDS
    intervals = {name: two_level_interval(values, over_seeds=over_seeds) for name, values in measures.items()}
    names = ("social: return_social", "solo: return_solo")
    if over_seeds:
        difference = difference_of_means(*(measures[name].mean(1, dtype=np.float64) for name in names))
    else:
        difference = difference_of_agents(*(intervals[name] for name in names))
    claims = [
        (
            "novices trained with experts have a return above 1, that of stopping after one goal",
            judge_interval(intervals["social: return_social"], above=1.0),
        ),
        ("their return is higher than that of novices trained alone", judge_interval(difference, above=0.0)),
        (
            "their social gain is above 0: frozen, their return is higher with experts than alone",
            judge_interval(intervals["social: social_gain"], above=0.0),
        ),
    ]
    return {
        "claims": [{"text": text, "holds": {HOLDS: True, FAILS: False}.get(outcome)} for text, outcome in claims],
        "intervals_over": "seeds and episodes" if over_seeds else "episodes of these novices",
        "intervals": {name: interval.to_dict("mean") for name, interval in intervals.items()},
    }
