"""Figures most studies share, each from results alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from rookery.show.plots import interval_dots, learning_curves
from rookery.studies.results import Results

Figures = list[tuple[str, Any, str]]
"""(file name without ending, matplotlib figure, caption), the study's main figure first."""


def training(results: Results) -> Figures:
    """Return at checkpoints beside others, then social gain, then every frozen agent in every scene."""
    return [
        *checkpoints(results, "beside", "figure", "return an episode"),
        *checkpoints(results, "gain", "gain", "social gain"),
        *everyone(results, "agents"),
    ]


def checkpoints(results: Results, measure: str, name: str, ylabel: str) -> Figures:
    """Curves of frozen agents at every checkpoint, with the levels of the agents that have no seeds."""
    arms = {}
    for label, curve in results.data["curves"].items():
        part = curve["checkpoints"]
        if part["steps"]:
            arms[label] = (np.array(part["steps"], float), np.array(part[measure], float))
    if not arms:
        return []
    levels = {"no gain": 0.0} if measure == "gain" else levels_of(results)
    caption = {
        "beside": "Agents frozen at each checkpoint, beside the others at the full penalty. Thin: each seed.",
        "alone": "Agents frozen at each checkpoint, alone, at the full penalty. Thin: each seed.",
        "gain": "Social gain of agents frozen at each checkpoint: return beside the others less return alone.",
    }[measure]
    figure = learning_curves(arms, levels=levels, xlabel="environment steps of each seed", ylabel=ylabel)
    return [(name, figure, caption)]


def levels_of(results: Results, scene: str | None = None) -> dict[str, float]:
    """Mean return of every arm that has no learning curve, and of stopping after one goal."""
    fixed = {
        arm: results.level(arm, "beside", scene)
        for arm in results.arms_in(scene)
        if not results.has_seeds(arm) or arm not in results.data["curves"]
    }
    return {**fixed, "stop after one goal": 1.0}


def everyone(results: Results, name: str, arms: list[str] | None = None) -> Figures:
    """For each scene, a row for every trained arm beside others, alone, and its gain."""
    found = []
    for number, scene in enumerate(results.scenes):
        rows = {}
        for arm in arms or results.arms_in(scene):
            if results.has_seeds(arm):
                for measure, word in (("beside", "beside others"), ("alone", "alone")):
                    rows[f"{arm}, {word}"] = results.values(arm, measure, scene)
        if rows:
            figure = interval_dots(rows, levels=levels_of(results, scene), xlabel="return an episode", title=scene)
            text = f"{scene}: every frozen agent over {results.data['episodes']} fresh episodes at the full penalty."
            found.append((name if number == 0 else f"{name}-{number + 1}", figure, text))
    return found


def alone(results: Results) -> Figures:
    """As `training`, with the return alone first."""
    return [
        *checkpoints(results, "alone", "figure", "return an episode, alone"),
        *checkpoints(results, "beside", "beside", "return an episode"),
        *everyone(results, "agents"),
    ]


def scenes(results: Results) -> Figures:
    """Every agent in every scene first, then the curves."""
    first, *others = everyone(results, "agents")
    return [
        ("figure", *first[1:]),
        *others,
        *checkpoints(results, "beside", "curves", "return an episode"),
        *checkpoints(results, "gain", "gain", "social gain"),
    ]


def auxiliary(results: Results) -> Figures:
    """The auxiliary losses' errors while learning."""
    arms = {}
    for label, curve in results.data["curves"].items():
        part = curve["learning"]
        if "auxiliary error" in part:
            arms[label] = (np.array(part["steps"], float), np.array(part["auxiliary error"], float))
    figure = learning_curves(arms, xlabel="environment steps of each seed", ylabel="mean absolute error (0 to 1)")
    return [
        ("figure", figure, "Error of the auxiliary losses while learning. Thin: each seed."),
        *training(results)[1:],
    ]


def counts(results: Results) -> Figures:
    """Goals and mistakes an episode, alone."""
    rows = {}
    for arm in results.arms:
        if results.has_seeds(arm):
            for name in ("goals", "mistakes"):
                rows[f"{arm}: {name}"] = results.values(arm, f"counts alone: {name}")
    figure = interval_dots(rows, levels={"one": 1.0}, xlabel="an episode, alone")
    return [("figure", figure, "Goals and mistakes of every frozen agent, alone."), *alone(results)[1:]]


def waiting(results: Results) -> Figures:
    """Distance to the nearest expert over an episode, then when first goals come and what mistakes are made."""
    profile = results.data["measured"]["distance"]
    arms = {label: (np.arange(1, 1 + len(rows[0]), dtype=float), np.array(rows)) for label, rows in profile.items()}
    figure = learning_curves(arms, xlabel="step of the episode", ylabel="cells to the nearest expert")
    found: Figures = [("figure", figure, "Distance to the nearest expert, mean over episodes. Thin: each seed.")]
    for count, name in (("mistakes", "mistakes"), ("first goal at step", "first-goal")):
        rows = {}
        for arm in results.arms:
            if results.has_seeds(arm):
                rows[f"{arm}, beside experts"] = results.values(arm, f"counts beside: {count}")
                rows[f"{arm}, alone"] = results.values(arm, f"counts alone: {count}")
        experts = float(np.mean([results.values(arm, f"counts of others: {count}").mean() for arm in results.arms]))
        dots = interval_dots(rows, levels={"the experts beside them": experts}, xlabel=count)
        found.append((name, dots, f"{count.capitalize()}: every frozen agent, mean over episodes."))
    return found


def society(results: Results) -> Figures:
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
        "collective": "collective reward an episode",
        "equality": "equality (1 - Gini)",
        "sustainability": "sustainability (mean step of being paid)",
        "peace": "peace (agents less those hit in a step)",
    }
    for name, label in words.items():
        rows = {}
        for arm in results.arms:
            if name in results.measures(arm):
                values = results.values(arm, name)
                if len(values := values[np.isfinite(values)]):
                    rows[arm] = values
        if rows:
            text = f"{label.capitalize()} of every frozen team over {results.data['episodes']} fresh episodes."
            found.append((name, interval_dots(rows, xlabel=label), text))
    return found


def society_first(results: Results) -> Figures:
    """As `society`, the curves as the study's main figure."""
    first, *others = society(results)
    return [("figure", *first[1:]), *others]
