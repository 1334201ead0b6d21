"""Figures most studies share, each from results alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from rookery.studies.results import Results
from rookery.viz.plots import interval_dots, learning_curves

Figures = list[tuple[str, Any, str]]
"""(file name without ending, matplotlib figure, caption), the study's main figure first."""


def training_figures(results: Results) -> Figures:
    """Return at checkpoints beside others, then social gain, then every frozen agent in every scene."""
    return [
        *checkpoint_curves(results, "return_social", "figure", "return an episode"),
        *checkpoint_curves(results, "social_gain", "social_gain", "social gain"),
        *return_dots(results, "agents"),
    ]


def checkpoint_curves(results: Results, measure: str, name: str, ylabel: str) -> Figures:
    """Curves of frozen agents at every checkpoint, with the levels of the agents that have no seeds."""
    arms = {}
    for label, curve in results.data["curves"].items():
        part = curve["checkpoints"]
        if part["steps"]:
            arms[label] = (np.array(part["steps"], float), np.array(part[measure], float))
    if not arms:
        return []
    levels = {"no gain": 0.0} if measure == "social_gain" else reference_levels(results)
    caption = {
        "return_social": "Agents frozen at each checkpoint, beside the others at the full penalty. Thin: each seed.",
        "return_solo": "Agents frozen at each checkpoint, alone, at the full penalty. Thin: each seed.",
        "social_gain": "Social gain of agents frozen at each checkpoint: return beside the others less return alone.",
    }[measure]
    figure = learning_curves(arms, reference_levels=levels, xlabel="environment steps of each seed", ylabel=ylabel)
    return [(name, figure, caption)]


def reference_levels(results: Results, eval_condition: str | None = None) -> dict[str, float]:
    """Mean return of every arm that has no learning curve, and of stopping after one goal."""
    fixed = {
        arm: results.mean(arm, "return_social", eval_condition)
        for arm in results.conditions_in(eval_condition)
        if not results.has_seeds(arm) or arm not in results.data["curves"]
    }
    return {**fixed, "stop after one goal": 1.0}


def return_dots(results: Results, name: str, conditions: list[str] | None = None) -> Figures:
    """For each scene, a row for every trained arm beside others, alone, and its gain."""
    found = []
    for number, scene in enumerate(results.eval_conditions):
        rows = {}
        for arm in conditions or results.conditions_in(scene):
            if results.has_seeds(arm):
                for measure, word in (("return_social", "beside others"), ("return_solo", "alone")):
                    rows[f"{arm}, {word}"] = results.values(arm, measure, scene)
        if rows:
            figure = interval_dots(
                rows, reference_levels=reference_levels(results, scene), xlabel="return an episode", title=scene
            )
            text = f"{scene}: every frozen agent over {results.data['eval_episodes']} fresh episodes at the full penalty."
            found.append((name if number == 0 else f"{name}-{number + 1}", figure, text))
    return found


def solo_figures(results: Results) -> Figures:
    """As `training`, with the return alone first."""
    return [
        *checkpoint_curves(results, "return_solo", "figure", "return an episode, alone"),
        *checkpoint_curves(results, "return_social", "return_social", "return an episode"),
        *return_dots(results, "agents"),
    ]


def eval_condition_figures(results: Results) -> Figures:
    """Every agent in every scene first, then the curves."""
    first, *others = return_dots(results, "agents")
    return [
        ("figure", *first[1:]),
        *others,
        *checkpoint_curves(results, "return_social", "curves", "return an episode"),
        *checkpoint_curves(results, "social_gain", "social_gain", "social gain"),
    ]


def auxiliary_loss_figures(results: Results) -> Figures:
    """The auxiliary losses' errors while learning."""
    arms = {}
    for label, curve in results.data["curves"].items():
        part = curve["learning"]
        if "aux_loss" in part:
            arms[label] = (np.array(part["steps"], float), np.array(part["aux_loss"], float))
    figure = learning_curves(arms, xlabel="environment steps of each seed", ylabel="mean absolute error (0 to 1)")
    return [
        ("figure", figure, "Error of the auxiliary losses while learning. Thin: each seed."),
        *training_figures(results)[1:],
    ]


def count_figures(results: Results) -> Figures:
    """Goals and mistakes an episode, alone."""
    rows = {}
    for arm in results.conditions:
        if results.has_seeds(arm):
            for name in ("goals", "mistakes"):
                rows[f"{arm}: {name}"] = results.values(arm, f"metrics_solo: {name}")
    figure = interval_dots(rows, reference_levels={"one": 1.0}, xlabel="an episode, alone")
    return [("figure", figure, "Goals and mistakes of every frozen agent, alone."), *solo_figures(results)[1:]]


def waiting_figures(results: Results) -> Figures:
    """Distance to the nearest expert over an episode, then when first goals come and what mistakes are made."""
    profile = results.data["extra_measurements"]["distance_to_expert"]
    arms = {label: (np.arange(1, 1 + len(rows[0]), dtype=float), np.array(rows)) for label, rows in profile.items()}
    figure = learning_curves(arms, xlabel="step of the episode", ylabel="cells to the nearest expert")
    found: Figures = [("figure", figure, "Distance to the nearest expert, mean over episodes. Thin: each seed.")]
    for count, name in (("mistakes", "mistakes"), ("steps_to_first_reward", "first-goal")):
        rows = {}
        for arm in results.conditions:
            if results.has_seeds(arm):
                rows[f"{arm}, beside experts"] = results.values(arm, f"metrics_social: {count}")
                rows[f"{arm}, alone"] = results.values(arm, f"metrics_solo: {count}")
        experts = float(
            np.mean([results.values(arm, f"metrics_partners: {count}").mean() for arm in results.conditions])
        )
        dots = interval_dots(rows, reference_levels={"the experts beside them": experts}, xlabel=count)
        found.append((name, dots, f"{count.capitalize()}: every frozen agent, mean over episodes."))
    return found


def team_figures(results: Results) -> Figures:
    """Of teams that learn together: collective reward while learning and frozen, then the other measures."""
    found: Figures = []
    arms = {}
    for label, curve in results.data["curves"].items():
        part = curve["learning"]
        arms[label] = (np.array(part["steps"], float), np.array(part["return"], float))
    if arms:
        curves = learning_curves(arms, xlabel="environment steps of each seed", ylabel="collective reward an episode")
        found.append(("learning", curves, "Collective reward while learning. Thin: each seed."))
    words = {
        "collective_reward": "collective reward an episode",
        "equality": "equality (1 - Gini)",
        "sustainability": "sustainability (mean step of being paid)",
        "peace": "peace (agents less those hit in a step)",
    }
    for name, label in words.items():
        rows = {}
        for arm in results.conditions:
            if name in results.measures(arm):
                values = results.values(arm, name)
                if len(values := values[np.isfinite(values)]):
                    rows[arm] = values
        if rows:
            text = f"{label.capitalize()} of every frozen team over {results.data['eval_episodes']} fresh episodes."
            found.append((name, interval_dots(rows, xlabel=label), text))
    return found


def team_figures_curve_first(results: Results) -> Figures:
    """As `society`, the curves as the study's main figure."""
    first, *others = team_figures(results)
    return [("figure", *first[1:]), *others]
