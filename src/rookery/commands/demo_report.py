"""The page that `rookery demo` writes: summary, verdicts, curves, table, replays, settings, machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rookery.intervals import Interval, format_interval
from rookery.scorecard.condition_episodes import repeats
from rookery.storage.metrics import read_metrics, seed_values
from rookery.viz.plots import interval_dots, learning_curves
from rookery.viz.record_episode import record_episode
from rookery.viz.recording import Recording
from rookery.viz.report_page import Report

if TYPE_CHECKING:
    from rookery.training.config import RunConfig
    from rookery.training.schedules import Schedule
    from rookery.training.trainer import TrainResult

VARIANTS = ("social", "solo")
NOT_JUDGED = "This preset only shows that everything runs; its claims are not judged."
REPLAY_EPISODES = 21
STEPS_LABEL = "environment steps of each seed"


def summary_sentence(results: dict[str, Any]) -> str:
    """The result in plain words."""
    intervals = results["intervals"]
    social, alone, gain, solo = (
        intervals[name]
        for name in ("social: return_social", "social: return_solo", "social: social_gain", "solo: return_solo")
    )
    replicas = [row for row in results["replicas"] if row["variant"] == "social"]
    num_positive = sum(row["social_gain"]["low"] > 0 for row in replicas)
    holds = [claim["holds"] for claim in results["claims"]]  # None: undecided
    seen = "seen" if all(holds) else "not seen" if False in holds else "not clearly seen"
    return (
        f"Social learning was {seen}: novices trained with experts have a mean return of {social['mean']:.1f} per "
        f"episode with them [{social['low']:.1f}, {social['high']:.1f}] and {alone['mean']:.1f} alone, a social gain "
        f"of {gain['mean']:.1f} [{gain['low']:.1f}, {gain['high']:.1f}]. The same algorithm without experts reaches "
        f"{solo['mean']:.1f} [{solo['low']:.1f}, {solo['high']:.1f}]. {num_positive} of {len(replicas)} social seeds "
        f"have a higher return with experts than alone. Intervals are 95 %, over {results['intervals_over']}."
    )


def write_report(result: TrainResult, results: dict[str, Any], path: Path) -> None:
    """Write the page. Raises StorageError."""
    config = result.run.config
    report = Report("Learning from others in Goal Cycle", "Novices with experts, and the same novices alone")
    if results["judged"]:
        report.paragraph(summary_sentence(results))
        for claim in results["claims"]:
            report.verdict(claim["text"], claim["holds"])
    else:
        report.paragraph(NOT_JUDGED)
    report.paragraph(_training_description(config))
    levels = {"experts": _experts_return(results), "stop after one goal": 1.0}
    _add_curves(report, result, levels)
    _add_evaluation(report, results, levels)
    _add_replays(report, result, results)
    rows = [[row["setting"], str(row["paper"]), str(row["here"])] for row in results["config_diff"]]
    report.table(["setting", "published", "here"], rows, "Every setting that differs from the published experiment.")
    seconds = {f"seconds, {name}": value for name, value in results["seconds"].items()}
    report.key_values({**results["machine"], **seconds}, "Machine")
    report.write(path)


def _experts_return(results: dict[str, Any]) -> float:
    return float(np.mean([row["experts_return"] for row in results["replicas"]]))


def _curves(result: TrainResult, rows: list[dict[str, Any]], key: str) -> dict[str, tuple[Any, Any]]:
    """Variant to its steps f[N] and the values f[seeds, N] of a metric; `key` has {} for the variant."""
    steps, num_seeds = np.array([row["steps"] for row in rows], float), result.run.config.num_seeds

    def values(name: str) -> np.ndarray:
        metric = key.format(name)
        return np.array([seed_values(result.run_dir, row, metric, num_seeds) for row in rows], float).T

    return {name: (steps, values(name)) for name in VARIANTS}


def _add_curves(report: Report, result: TrainResult, levels: dict[str, float]) -> None:
    rows = read_metrics(result.run_dir)
    report.figure(
        learning_curves(
            _curves(result, rows, "{}/novice/return"),
            reference_levels=levels,
            xlabel=STEPS_LABEL,
            ylabel="return per episode",
        ),
        "Return during training, at the penalty of that moment. Thin: each seed. Bold: mean, with its 95 % interval "
        "from three seeds on.",
    )
    gain = "evaluation/{}/novice/social_gain/return"
    checkpoints = [row for row in rows if gain.format("social") in row]
    if checkpoints:
        report.figure(
            learning_curves(
                _curves(result, checkpoints, gain),
                reference_levels={"no gain": 0.0},
                xlabel=STEPS_LABEL,
                ylabel="social gain",
            ),
            "Social gain at each checkpoint, at the full penalty: return with experts minus return alone.",
        )


def _add_evaluation(report: Report, results: dict[str, Any], levels: dict[str, float]) -> None:
    dots = {
        f"{variant}, {label}": np.array(
            [row[measure]["mean"] for row in results["replicas"] if row["variant"] == variant]
        )
        for variant, label, measure in (
            ("social", "with experts", "return_social"),
            ("social", "alone", "return_solo"),
            ("solo", "alone", "return_solo"),
            ("solo", "with experts", "return_social"),
        )
    }
    report.figure(
        interval_dots(dots, reference_levels=levels, xlabel="return per episode"),
        f"Every trained novice, frozen, over {results['episodes']} evaluation episodes at the full penalty.",
    )
    report.table(
        ["variant", "seed", "with experts", "alone", "social gain", "goals", "mistakes", "first goal at step"],
        [
            [
                row["variant"],
                row["seed"],
                *(_format_mean(row[name]) for name in ("return_social", "return_solo", "social_gain")),
                f"{row['goals']:.1f}",
                f"{row['mistakes']:.1f}",
                f"{row['steps_to_first_reward']:.0f}",
            ]
            for row in results["replicas"]
        ],
        f"Mean over {results['episodes']} episodes [95 % interval]. Goals, mistakes and first goal are with experts. "
        f"The mean return of the experts is {_experts_return(results):.1f}; of one expert alone, "
        f"{_format_mean(results['expert_return_solo'])}.",
    )


def _add_replays(report: Report, result: TrainResult, results: dict[str, Any]) -> None:
    """The social novice with the largest gain, with the experts and alone."""
    import jax

    from rookery.scorecard.social_v1 import SOCIAL_V1

    run = result.run
    best = max(
        (row for row in results["replicas"] if row["variant"] == "social"), key=lambda row: row["social_gain"]["mean"]
    )
    number = run.config.replicas.index(("social", best["seed"]))
    novice_params = jax.device_get(result.state.learners)["novice"].params["policy"]
    params = {**run.frozen_params, "novice": jax.tree.map(lambda x: x[number, 0], novice_params)}
    slots = np.arange(run.env.num_agents)
    follow_steps = SOCIAL_V1.follow_steps
    following = (
        f"one in which it enters most often a goal that an expert entered last, at most {follow_steps} steps before; "
        "of equal ones, the one with the highest return"
    )
    # The first episode shows how the novice follows the experts, a median one what is typical.
    films: tuple[tuple[str, Any, Callable[[Recording], Any] | None], ...] = (
        ("with the experts", slots >= 0, lambda film: (len(followed_steps(film, follow_steps)), film.returns()[-1, 0])),
        ("with the experts", slots >= 0, None),
        ("alone", slots == 0, None),
    )
    for label, agent_mask, rank in films:
        recording = record_episode(
            run.env,
            run.team,
            params,
            episodes=REPLAY_EPISODES,
            seed=1,
            agent_mask=agent_mask,
            rank=rank,
            note=f"novice {label}",
        )
        caption = (
            f"The social novice of seed {best['seed']} (the one with the largest gain) {label}: of {REPLAY_EPISODES} "
            f"episodes, the {'one with its median return' if rank is None else following}."
        )
        if rank is not None and (steps := followed_steps(recording, follow_steps)):
            caption += f" It does so {len(steps)} times, at the steps {', '.join(map(str, steps))}."
        report.replay(recording, caption)


def followed_steps(recording: Recording, follow_steps: int) -> list[int]:
    """Steps, from 1, at which agent 0 enters the goal that another agent entered last, so many steps before at most.

    As the scorecard counts them (`rookery.scorecard.condition_episodes.repeats`). For Goal Cycle, where entries pay or
    cost.
    """
    on_goal = (recording.position[1:, :, None] == recording.goals).all(-1)  # T, A, K
    entry = np.where(recording.reward != 0, on_goal.argmax(-1), -1)
    partners = range(1, entry.shape[1])
    followed = [repeats(entry[:, :1], entry[:, slot : slot + 1], follow_steps)[:, 0] for slot in partners]
    return (np.flatnonzero(np.any(followed, axis=0)) + 1).tolist()


def _training_description(config: RunConfig) -> str:
    """How both variants were trained, in a few sentences."""
    text = (
        "Both variants are one algorithm in one compiled program; they differ only in whether experts are present. "
        f"Each seed learns for {config.total_updates * config.steps_per_update:,} steps. The penalty for a wrong goal: "
        f"{_format_schedule(config.env_schedules.get('penalty'))} of the run."
    )
    if "goal_hiding_prob" in config.env_schedules:
        text += (
            " Goals are hidden from the novices of both variants in a fraction of the training episodes: "
            f"{_format_schedule(config.env_schedules['goal_hiding_prob'])} of the run. They are visible in every "
            "evaluation."
        )
    return text


def _format_mean(data: dict[str, float | None]) -> str:
    return format_interval(Interval.from_dict(data, "mean"))


def _format_schedule(schedule: Schedule | None) -> str:
    if schedule is None:
        return "the task's own for all"
    if not isinstance(schedule, tuple):
        return f"{schedule} for all"
    return " to ".join(f"{value:g} at {fraction:.0%}" for fraction, value in schedule)
