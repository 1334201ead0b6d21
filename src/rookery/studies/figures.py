"""Figures that several studies share, each made from results alone."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from rookery.studies.followers import TIGHT_DISTANCE, count_strategies, tight_and_loose
from rookery.studies.measures import AGENT_MEASURES, measure_label
from rookery.studies.results import Results
from rookery.studies.study import Figures
from rookery.studies.time_to_follow import time_figures
from rookery.viz.plots import count_bars, interval_dots, learning_curves

_STEPS_LABEL = "environment steps per seed"
_RETURN_LABEL = "return per episode"
ONE_GOAL_LEVEL = {"stop after one goal": 1.0}
_NO_CONDITIONS: Mapping[str, str] = MappingProxyType({})
CHECKPOINT_CAPTIONS = {
    "return_social": "Agents frozen at each checkpoint, with partners, in the full task of training. Thin: each seed.",
    "return_solo": "Agents frozen at each checkpoint, alone, in the full task of training. Thin: each seed.",
    "social_gain": "Social gain of agents frozen at each checkpoint: return with partners minus return alone.",
}
STRATEGY_CAPTION = (
    "The strategy of each seed. Follower: earns more than 1.5 with experts, at least half of it social gain; tight: "
    f"stays within {TIGHT_DISTANCE:g} cells of an expert in the second half of episodes and repeats its entries. "
    "Explorer: more than 1.5, most of it without help. One goal: enters one and makes no mistake. Other: loses what it "
    "wins, or does nothing."
)
TEAM_MEASURE_LABELS = {
    "collective_reward": "collective reward per episode",
    "equality": "equality (1 - Gini)",
    "sustainability": "sustainability (mean step of a reward)",
    "peace": "peace (agents minus agents hit per step)",
}


def training_figures(results: Results, levels_in: Mapping[str, str] = _NO_CONDITIONS) -> Figures:
    """Return with partners at checkpoints, then social gain, then every frozen agent in every evaluation condition;
    `levels_in` as in `reference_levels`."""
    return [
        *checkpoint_curves(results, "return_social", "figure", levels_in=levels_in),
        *checkpoint_curves(results, "social_gain", "social_gain"),
        *return_dots(results, "agents"),
    ]


def checkpoint_curves(
    results: Results,
    measure: str,
    name: str,
    trained_in: str | None = None,
    continues: Mapping[str, str] = _NO_CONDITIONS,
    levels_in: Mapping[str, str] = _NO_CONDITIONS,
) -> Figures:
    """Curves of frozen agents at every checkpoint, with the levels of the agents that have no seeds, in this measure.

    Args:
      trained_in: the evaluation condition with the task of training, in which checkpoints are evaluated. None: the
        first of each condition.
      continues: by condition, the one whose agents it continues to train; its curve begins where that one's ends.
      levels_in: as in `reference_levels`.
    """
    curves = {}
    for label, curve in results.curves.items():
        checkpoints = curve["checkpoints"]
        if checkpoints["steps"]:
            before = results.curves[continues[label]]["checkpoints"]["steps"][-1] if label in continues else 0
            curves[label] = (before + np.array(checkpoints["steps"], float), np.array(checkpoints[measure], float))
    if not curves:
        return []
    if measure == "social_gain":
        levels = {"no gain": 0.0}
    else:  # older results lack the task of training
        is_measured = trained_in is None or trained_in in results.eval_conditions
        levels = reference_levels(results, trained_in, measure, levels_in) if is_measured else ONE_GOAL_LEVEL
    figure = learning_curves(
        curves, reference_levels=levels, xlabel=_STEPS_LABEL, ylabel=f"{measure_label(measure)} per episode"
    )
    return [(name, figure, CHECKPOINT_CAPTIONS[measure])]


def reference_levels(
    results: Results,
    eval_condition: str | None = None,
    measure: str = "return_social",
    levels_in: Mapping[str, str] = _NO_CONDITIONS,
) -> dict[str, float]:
    """Mean return of every condition that has no learning curve, and the return of stopping after one goal.

    Args:
      eval_condition: conditions that were not evaluated in it are left out. None: the first of each condition.
      levels_in: by condition, the evaluation condition in which its own level is measured instead.
    """
    fixed = {
        condition: results.mean(condition, measure, levels_in.get(condition, eval_condition))
        for condition in results.conditions_in(eval_condition)
        if not results.has_seeds(condition) or condition not in results.curves
    }
    return {**fixed, **ONE_GOAL_LEVEL}


def return_dots(results: Results, name: str, conditions: list[str] | None = None) -> Figures:
    """For each evaluation condition, two rows per trained condition: return with partners and alone."""
    figures = []
    for number, eval_condition in enumerate(results.eval_conditions):
        rows = {}
        for condition in conditions or results.conditions_in(eval_condition):
            if results.has_seeds(condition):
                for measure, words in (("return_social", "with others"), ("return_solo", "alone")):
                    rows[f"{condition}, {words}"] = results.values(condition, measure, eval_condition)
        if rows:
            levels = reference_levels(results, eval_condition)
            figure = interval_dots(rows, reference_levels=levels, xlabel=_RETURN_LABEL, title=eval_condition)
            caption = f"{eval_condition}: every frozen agent over {results.data['eval_episodes']} evaluation episodes."
            figures.append((name if number == 0 else f"{name}-{number + 1}", figure, caption))
    return figures


def follower_figures(results: Results, conditions: list[str]) -> Figures:
    """When seeds become followers, curves of checkpoints, what each seed has learned, and every frozen agent."""
    return [
        *time_figures(results, conditions),
        *checkpoint_curves(results, "return_social", "return_social"),
        *checkpoint_curves(results, "social_gain", "social_gain"),
        *strategy_figures(results, conditions),
        *return_dots(results, "agents"),
    ]


def solo_figures(
    results: Results, trained_in: str | None = None, continues: Mapping[str, str] = _NO_CONDITIONS
) -> Figures:
    """As `training_figures`, with the return alone first; `trained_in` and `continues` as in `checkpoint_curves`."""
    return [
        *checkpoint_curves(results, "return_solo", "figure", trained_in, continues),
        *checkpoint_curves(results, "return_social", "return_social", trained_in, continues),
        *return_dots(results, "agents"),
    ]


def eval_condition_figures(results: Results, trained_in: str) -> Figures:
    """Every agent in every evaluation condition first, then the curves, with the levels of the condition that has the
    task of training."""
    first, *others = return_dots(results, "agents")
    return [
        ("figure", *first[1:]),
        *others,
        *checkpoint_curves(results, "return_social", "curves", trained_in),
        *checkpoint_curves(results, "social_gain", "social_gain"),
    ]


def auxiliary_loss_figures(results: Results) -> Figures:
    """The auxiliary losses during training, then the usual figures."""
    curves = {}
    for label, curve in results.curves.items():
        learning = curve["learning"]
        for name, values in learning.items():
            if name.split("/")[0] == "aux_loss":  # with its kind, where an agent has several
                kind = name.removeprefix("aux_loss").replace("/", ", ")
                curves[label + kind] = (np.array(learning["steps"], float), np.array(values, float))
    figure = learning_curves(curves, xlabel=_STEPS_LABEL, ylabel="error of the auxiliary loss")
    held_out = {
        f"{label}, {words}": (np.array(curve["checkpoints"]["steps"], float), np.array(health[name], float))
        for label, curve in results.curves.items()
        for health in curve.get("health", {}).values()
        for name, words in (("error", "loss"), ("error_constant", "best constant"), ("error_copy", "copy of the view"))
        if name in health
    }
    compared: Figures = []
    if held_out:
        comparison = learning_curves(held_out, xlabel=_STEPS_LABEL, ylabel="error on held-out episodes")
        compared = [("health", comparison, "Error on held-out episodes, and that of what needs no learning.")]
    return [
        ("figure", figure, "Error of the auxiliary losses during training. Thin: each seed."),
        *compared,
        *training_figures(results)[1:],
    ]


def count_figures(results: Results) -> Figures:
    """Goals and mistakes per episode, alone."""
    rows = {}
    for condition in results.conditions:
        if results.has_seeds(condition):
            for name in ("goals", "mistakes"):
                rows[f"{condition}: {name}"] = results.values(condition, f"metrics_solo: {name}")
    figure = interval_dots(rows, reference_levels={"one": 1.0}, xlabel="per episode, alone")
    return [("figure", figure, "Goals and mistakes of every frozen agent, alone."), *solo_figures(results)[1:]]


def waiting_figures(results: Results) -> Figures:
    """Distance to the nearest expert over an episode, then mistakes and the time of the first goal."""
    curves = {
        label: (np.arange(1, 1 + len(rows[0]), dtype=float), np.array(rows))
        for label, rows in results.extra["distance_to_expert"].items()
    }
    figure = learning_curves(curves, xlabel="step of the episode", ylabel="cells to the nearest expert")
    figures: Figures = [("figure", figure, "Distance to the nearest expert, mean over episodes. Thin: each seed.")]
    for metric, name, words in (
        ("mistakes", "mistakes", "mistakes"),
        ("steps_to_first_reward", "first-goal", "steps to the first goal"),
    ):
        rows = {}
        for condition in results.conditions:
            if results.has_seeds(condition):
                rows[f"{condition}, with experts"] = results.values(condition, f"metrics_social: {metric}")
                rows[f"{condition}, alone"] = results.values(condition, f"metrics_solo: {metric}")
        partners = [results.values(condition, f"metrics_partners: {metric}").mean() for condition in results.conditions]
        dots = interval_dots(rows, reference_levels={"their experts": float(np.mean(partners))}, xlabel=words)
        figures.append((name, dots, f"{words.capitalize()}: every frozen agent, mean over episodes."))
    return figures


def measure_figures(results: Results, conditions: list[str], levels: dict[str, dict[str, float]]) -> Figures:
    """One row per condition for each measure of an agent. `levels`: reference levels by measure."""
    figures: Figures = []
    for measure in ("social_gain", *AGENT_MEASURES[:2]):
        label = measure_label(measure)
        rows = {condition: results.values(condition, measure) for condition in conditions}
        dots = interval_dots(rows, reference_levels=levels[measure], xlabel=label)
        caption = f"{label.capitalize()} of every frozen agent over the evaluation episodes, in its training task."
        figures.append((measure, dots, caption))
    return figures


def team_figures(results: Results) -> Figures:
    """Teams that learned together: collective reward during training and frozen, then the other measures."""
    figures: Figures = []
    curves = {}
    for label, curve in results.curves.items():
        learning = curve["learning"]
        curves[label] = (np.array(learning["steps"], float), np.array(learning["return"], float))
    rewards = [results.values(condition, "collective_reward") for condition in results.conditions]
    linear, note = _linear_range(rewards)
    if curves:
        figure = learning_curves(
            curves, xlabel=_STEPS_LABEL, ylabel=TEAM_MEASURE_LABELS["collective_reward"], linear_up_to=linear
        )
        figures.append(("learning", figure, f"Collective reward during training. Thin: each seed.{note}"))
    for name, label in TEAM_MEASURE_LABELS.items():
        rows = {}
        for condition in results.conditions:
            if name in results.measures(condition):
                values = results.values(condition, name)
                if len(values := values[np.isfinite(values)]):
                    rows[condition] = values
        if rows:
            caption = (
                f"{label.capitalize()} of every frozen team over {results.data['eval_episodes']} evaluation episodes."
            )
            is_reward = name == "collective_reward"
            figure = interval_dots(rows, xlabel=label, linear_up_to=linear if is_reward else None)
            figures.append((name, figure, caption + note * is_reward))
    return figures


_FAR = 20.0
"""A reward so many times the typical one would, on a linear scale, hide the differences between the others."""


def _linear_range(conditions: list[np.ndarray]) -> tuple[float | None, str]:
    """Where one condition loses thousands by hits, the others would be one line: the scale up to which it is linear.

    Returns: (twice the median condition's size if one team's is `_FAR` times as large, else None; a note for captions).
    """
    finite = [values[np.isfinite(values)] for values in conditions]
    sizes = [abs(np.mean(values)) for values in finite if len(values)]
    typical = float(np.median(sizes)) if sizes else 0.0
    if not typical or max(np.max(np.abs(values), initial=0) for values in finite) < _FAR * typical:
        return None, ""
    linear = float(f"{2 * typical:.1g}")
    return linear, f" Beyond {linear:g} and -{linear:g} the scale is logarithmic."


def team_figures_curve_first(results: Results) -> Figures:
    """As `team_figures`, with the learning curve as the study's main figure."""
    first, *others = team_figures(results)
    return [("figure", *first[1:]), *others]


def strategy_figures(results: Results, conditions: list[str], name: str = "strategies") -> Figures:
    """What each seed has learned, one bar per condition; followers by how near they stay, where it is measured."""
    rows = {}
    for condition in conditions:
        counts = count_strategies(results, condition)
        if condition in results.data["extra_measurements"].get("distance_to_expert", {}):
            followers = {kind: len(seeds) for kind, seeds in tight_and_loose(results, condition).items()}
            counts = {f"follower, {kind}": number for kind, number in followers.items()} | {
                kind: number for kind, number in counts.items() if kind != "follower"
            }
        rows[condition] = counts
    if len({tuple(counts) for counts in rows.values()}) > 1:  # not measured for all
        rows = {condition: count_strategies(results, condition) for condition in conditions}
    return [(name, count_bars(rows), STRATEGY_CAPTION)]
