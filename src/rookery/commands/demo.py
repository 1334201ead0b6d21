"""`rookery demo`: novices beside experts and alone, by one algorithm; trained, evaluated, shown."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np

from rookery.errors import ConfigError
from rookery.training.devices import available_cores, machine_info, use_all_cores

RUN_DIR = "run"
RESULTS_FILE = "results.json"
REPORT_FILE = "report.html"
MIN_SEEDS, MAX_SEEDS = 2, 5


def run_demo(out: Path, num_seeds: int | None, episodes: int, preset: str, quiet: bool) -> int:
    """Returns 0; prints where the report is."""
    use_all_cores()
    from rookery.storage.atomic import write_json
    from rookery.training.presets import preset as configuration
    from rookery.training.trainer import load_config, resume, train

    if episodes < 2:
        raise ConfigError(f"episodes={episodes} must be at least 2 to give an interval")
    run_dir = out / RUN_DIR
    started = load_config(run_dir) if (run_dir / "config.json").exists() else None
    if num_seeds is None:
        # A core carries one seed of each arm in about the time two cores need for two.
        # Who goes on, perhaps with other cores, goes on with the seeds it has.
        num_seeds = started.num_seeds if started else min(MAX_SEEDS, max(MIN_SEEDS, available_cores()))
    config = dataclasses.replace(configuration(preset), seeds=num_seeds)
    if {arm.name for arm in config.variants} != {"social", "solo"}:
        raise ConfigError(f"preset {preset!r} has no arms 'social' and 'solo'; use demo or smoke")
    if started:
        if started != config:
            raise ConfigError(f"{run_dir} holds another run; name another folder with --out, or remove it")
        result = resume(run_dir, quiet=quiet)
    else:
        result = train(config, run_dir, quiet=quiet)
    if not result.finished:
        print(f"stopped; the same command goes on from {run_dir}")
        return 0
    began = time.monotonic()
    results = evaluate_demo(result, episodes)
    seconds = {"training": result.seconds, "evaluation": time.monotonic() - began}
    results |= {
        "seconds": {name: round(value, 1) for name, value in seconds.items()},
        "steps": {"each seed": config.total_updates * config.steps_per_update, "seeds of each arm": num_seeds},
        "machine": machine_info(),
    }
    write_json(out / RESULTS_FILE, results)
    write_report(result, results, out / REPORT_FILE)
    for claim in results["claims"]:
        print(f"{'holds' if claim['holds'] else 'does not hold':14} {claim['text']}")
    print(f"report: {(out / REPORT_FILE).resolve()}")
    return 0


def evaluate_demo(result, episodes: int) -> dict:
    """Play every trained novice beside the experts and alone, the experts alone, and judge the claims."""
    import jax

    from rookery.training.config_diff import config_diff
    from rookery.training.evaluation import TeamEvaluator, two_level_interval

    program, config = result.program, result.program.config
    match = TeamEvaluator(program.env, program.team)
    everyone = np.ones(program.env.num_agents, bool)
    novice = np.arange(program.env.num_agents) == 0
    learners = jax.device_get(result.state.learners)["novice"].params["policy"]
    rows, returns = [], {}
    for number, (arm, seed) in enumerate(config.members):
        params = {**program.frozen, "novice": jax.tree.map(lambda x, n=number: x[n, 0], learners)}
        social = match.evaluate(params, episodes, seed, everyone)
        solo = match.evaluate(params, episodes, seed, novice)
        beside, alone = social.episode_return[:, 0], solo.episode_return[:, 0]
        returns.setdefault(arm, []).append((beside, alone))
        rows.append({
            "arm": arm, "seed": seed,
            "beside experts": _mean_interval(beside), "alone": _mean_interval(alone), "social gain": _mean_interval(beside - alone),
            "goals": float(social.task_metrics["goals"][:, 0].mean()),
            "mistakes": float(social.task_metrics["mistakes"][:, 0].mean()),
            "first goal at step": float(social.steps_to_first_reward[:, 0].mean()),
            "first goal at step, experts": float(social.steps_to_first_reward[:, 1:].mean()),
            "experts": float(social.episode_return[:, 1:].mean()),
        })  # fmt: skip
    expert_alone = match.evaluate(params, episodes, 0, np.arange(program.env.num_agents) == 1).episode_return[:, 1]
    # The solo arm never met an expert: what it learned is what it earns alone.
    measured = {
        "social: beside experts": np.stack([beside for beside, _ in returns["social"]]),
        "social: alone": np.stack([alone for _, alone in returns["social"]]),
        "social: gain": np.stack([beside - alone for beside, alone in returns["social"]]),
        "solo: alone": np.stack([alone for _, alone in returns["solo"]]),
        "solo: beside experts": np.stack([beside for beside, _ in returns["solo"]]),
    }
    # Of two or three seeds an interval over seeds says nothing; what can be said is said of just these novices.
    over_seeds = len(returns["social"]) >= MAX_SEEDS
    intervals = {name: two_level_interval(values, over_seeds=over_seeds) for name, values in measured.items()}
    social, solo, gain = (intervals[k] for k in ("social: beside experts", "solo: alone", "social: gain"))
    claims = [
        {"text": "novices trained beside experts earn more than 1 (stop after one goal)", "holds": social[1] > 1},
        {"text": "they earn more than novices trained alone", "holds": social[1] > solo[2]},
        {"text": "their social gain is above 0: frozen, they earn more beside experts", "holds": gain[1] > 0},
    ]  # fmt: skip
    return {
        "claims": claims,
        "intervals over": "seeds and episodes" if over_seeds else "episodes of these novices",
        "intervals": {
            name: dict(zip(("mean", "low", "high"), value, strict=True)) for name, value in intervals.items()
        },
        "members": rows,
        "expert alone": _mean_interval(expert_alone),
        "episodes": episodes,
        "deviations": config_diff(config),
    }


def _mean_interval(values) -> dict[str, float]:
    from rookery.viz.mean_intervals import mean_interval

    return {name: float(x) for name, x in zip(("mean", "low", "high"), mean_interval(values), strict=True)}


def summary_sentence(results: dict) -> str:
    """What was seen, in plain words."""
    at = results["intervals"]
    social, alone, gain, solo = (
        at[k] for k in ("social: beside experts", "social: alone", "social: gain", "solo: alone")
    )
    seeds = sum(row["arm"] == "social" for row in results["members"])
    gained = sum(row["arm"] == "social" and row["social gain"]["low"] > 0 for row in results["members"])
    held = all(claim["holds"] for claim in results["claims"])
    opening = "Social learning was seen" if held else "Social learning was not clearly seen"
    return (
        f"{opening}: novices trained beside experts earn {social['mean']:.1f} an episode beside them "
        f"[{social['low']:.1f}, {social['high']:.1f}] and {alone['mean']:.1f} when left alone, a social gain of "
        f"{gain['mean']:.1f} [{gain['low']:.1f}, {gain['high']:.1f}]; the same algorithm without experts earns "
        f"{solo['mean']:.1f} [{solo['low']:.1f}, {solo['high']:.1f}]. {gained} of {seeds} social seeds earn more "
        f"beside experts than alone. Intervals are 95 %, over {results.get('intervals over', 'seeds and episodes')}."
    )


def write_report(result, results: dict, path: Path) -> None:
    """The page a person opens: sentence, verdicts, curves, table, films, deviations, machine."""
    import jax

    from rookery.storage.metrics import read_metrics
    from rookery.viz.plots import interval_dots, learning_curves
    from rookery.viz.record_episode import record_episode
    from rookery.viz.report import Report

    program, config = result.program, result.program.config
    metrics = read_metrics(result.run_dir)
    expert = float(np.mean([row["experts"] for row in results["members"]]))
    steps = np.array([row["steps"] for row in metrics], float)
    curves = {
        arm: (steps, np.array([row[f"{arm}/novice/return"] for row in metrics], float).T) for arm in ("social", "solo")
    }
    levels = {"experts": expert, "stop after one goal": 1.0}
    report = Report("Learning from others in Goal Cycle", "Novices beside experts, and the same novices alone")
    report.paragraph(summary_sentence(results))
    report.paragraph(_training_description(config))
    for claim in results["claims"]:
        report.verdict(claim["text"], claim["holds"])
    report.figure(
        learning_curves(
            curves, reference_levels=levels, xlabel="environment steps of each seed", ylabel="return an episode"
        ),
        "Return while learning, under the penalty of the moment. Thin: each seed. Bold: mean, with its 95 % interval.",
    )
    checked = [row for row in metrics if "evaluation/social/novice/gain/return" in row]
    if checked:
        at = np.array([row["steps"] for row in checked], float)
        gains = {
            arm: (at, np.array([row[f"evaluation/{arm}/novice/gain/return"] for row in checked], float).T)
            for arm in ("social", "solo")
        }
        report.figure(
            learning_curves(
                gains, reference_levels={"no gain": 0.0}, xlabel="environment steps of each seed", ylabel="social gain"
            ),
            "Social gain at each checkpoint, at the full penalty: return beside experts less return alone.",
        )
    dots = {
        label: np.array([row[field]["mean"] for row in results["members"] if row["arm"] == arm])
        for label, arm, field in (
            ("social, beside experts", "social", "beside experts"),
            ("social, alone", "social", "alone"),
            ("solo, alone", "solo", "alone"),
            ("solo, beside experts", "solo", "beside experts"),
        )
    }
    report.figure(
        interval_dots(dots, reference_levels=levels, xlabel="return an episode"),
        f"Every trained novice, frozen, over {results['episodes']} fresh episodes at the full penalty.",
    )
    report.table(
        ["arm", "seed", "beside experts", "alone", "social gain", "goals", "mistakes", "first goal at step"],
        [
            [row["arm"], row["seed"], *(_format_interval(row[k]) for k in ("beside experts", "alone", "social gain")),
             f"{row['goals']:.1f}", f"{row['mistakes']:.1f}", f"{row['first goal at step']:.0f}"]
            for row in results["members"]
        ],
        f"Mean over {results['episodes']} episodes [95 % interval]. Goals, mistakes and first goal: beside experts. "
        f"The experts earn {expert:.1f}; alone {_format_interval(results['expert alone'])}.",
    )  # fmt: skip
    social = [row for row in results["members"] if row["arm"] == "social"]
    best = max(social, key=lambda row: row["social gain"]["mean"])
    number = config.members.index(("social", best["seed"]))
    learners = jax.device_get(result.state.learners)["novice"].params["policy"]
    params = {**program.frozen, "novice": jax.tree.map(lambda x: x[number, 0], learners)}
    films = (
        ("beside the experts", np.ones(program.env.num_agents, bool)),
        ("alone", np.arange(program.env.num_agents) == 0),
    )
    for label, present in films:
        film = record_episode(
            program.env, program.team, params, episodes=21, seed=1, agent_mask=present, note=f"novice {label}"
        )
        report.replay(
            film,
            f"The social novice of seed {best['seed']} (the one with the largest gain) {label}: "
            "the episode of median return among 21.",
        )
    rows = [[d["setting"], str(d["paper"]), str(d["here"])] for d in results["deviations"]]
    report.table(["setting", "paper", "here"], rows, "Every deviation from the published experiment.")
    report.key_values({**results["machine"], **{f"seconds, {k}": v for k, v in results["seconds"].items()}}, "Machine")
    report.write(path)


def _training_description(config) -> str:
    """How both arms were trained, in a sentence or two."""
    text = (
        f"Both arms are one algorithm in one compiled program; only the experts' presence differs. Each seed learns "
        f"for {config.updates * config.steps_per_update:,} steps. A wrong goal costs "
        f"{_format_schedule(config.env_schedules.get('penalty'))} of the run."
    )
    if "goal_hiding_prob" in config.env_schedules:
        text += (
            " Goals are hidden from the novices of both arms in a share of training episodes: "
            f"{_format_schedule(config.env_schedules['goal_hiding_prob'])} of the run. They are shown in every evaluation."
        )
    return text


def _format_interval(interval: dict[str, float]) -> str:
    return f"{interval['mean']:.2f} [{interval['low']:.2f}, {interval['high']:.2f}]"


def _format_schedule(schedule) -> str:
    if not isinstance(schedule, tuple):
        return f"{schedule} throughout" if schedule is not None else "the task's own throughout"
    return " to ".join(f"{value:g} at {share:.0%}" for share, value in schedule)
