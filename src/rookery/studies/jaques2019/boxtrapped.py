"""Does an agent that is paid for moving others let another out of its box, which pays nothing else?

Source: Jaques et al. 2019, section 3.2, the Box Trapped experiment.
"""

from __future__ import annotations

import numpy as np

from rookery.studies import figures, statistics
from rookery.studies.claims import judge_interval, mean_above, mean_below, mean_greater, withhold_if_few_seeds
from rookery.studies.jaques2019 import influence_budgets
from rookery.studies.results import Results
from rookery.studies.rollout_traces import rollout_traces
from rookery.studies.session import Session
from rookery.studies.study import Claim, Condition, Study, TrainingRun, Verdict
from rookery.studies.trained_teams import TeamEvalCondition, TrainedTeam
from rookery.viz.plots import interval_dots, learning_curves

_NUM_EPISODES = {"smoke": 4, "desk": 100, "paper": 100}
"""Watched step by step; the paper looks at 100."""
STEPS_BEFORE, STEPS_AFTER = 3, 12
"""Steps shown round the opening."""

BOX_TRAPPED_RUN = TrainingRun(
    name="jaques-box-trapped",
    configure=lambda budget: influence_budgets.box_trapped_run_config(budget, "jaques-box-trapped"),
    published_config=lambda: influence_budgets.box_trapped_run_config("paper", "jaques-box-trapped"),
)
_INFLUENCE = Condition(label="influence", agents=TrainedTeam(run=BOX_TRAPPED_RUN, variant="influence"))
_NO_INFLUENCE = Condition(label="no influence", agents=TrainedTeam(run=BOX_TRAPPED_RUN, variant="baseline"))
_BOX_TRAPPED = TeamEvalCondition(name="Box Trapped", task=influence_budgets.box_trapped_task)


def _measure_opening(session: Session) -> dict:
    """Of the influence arm, by seed: how the free agent's influence lies about the step in which it opens the box."""
    found: dict = {"opening_step": [], "opening_has_max_influence": [], "opening_minus_other_steps": [], "influence_around_opening": []}
    for _, told in rollout_traces(session, _INFLUENCE.agents, _NUM_EPISODES[session.budget]):
        influence = np.asarray(told.influence)[:, :, 0].sum(-1)  # [T, E]
        opened = np.asarray(told.info["opened"])[:, :, 0] > 0
        opening = _influence_around_opening(influence, opened)
        for name, value in opening.items():
            found[name].append(value)
    return found


def _influence_around_opening(influence: np.ndarray, opened: np.ndarray) -> dict:
    """f[T, E] and bool[T, E] to means over the episodes in which the box is opened; None where it never is."""
    episodes = np.flatnonzero(opened.any(0))
    if not episodes.size:
        names = ("opening_step", "opening_has_max_influence", "opening_minus_other_steps")
        return {**dict.fromkeys(names), "influence_around_opening": [None] * (STEPS_BEFORE + 1 + STEPS_AFTER)}
    at = opened.argmax(0)[episodes]
    own = influence[:, episodes]
    there = own[at, np.arange(len(episodes))]
    others = (own.sum(0) - there) / (len(own) - 1)
    around = np.full((STEPS_BEFORE + 1 + STEPS_AFTER, len(episodes)), np.nan)
    for row, offset in enumerate(range(-STEPS_BEFORE, STEPS_AFTER + 1)):
        inside = (at + offset >= 0) & (at + offset < len(own))
        around[row, inside] = own[at[inside] + offset, np.flatnonzero(inside)]
    shown = [float(row[np.isfinite(row)].mean()) if np.isfinite(row).any() else None for row in around]
    return {
        "opening_step": float(at.mean()) + 1,
        "opening_has_max_influence": float((there >= own.max(0)).mean()),
        "opening_minus_other_steps": float((there - others).mean()),
        "influence_around_opening": shown,
    }


def _claim_over_opening_seeds(text: str, name: str, above: float, words: str) -> Claim:
    """Over the seeds that open the box at all, a number lies above another."""

    def judge(results: Results) -> Verdict:
        told = results.data["extra_measurements"][name]
        values = np.array([value for value in told if value is not None], float)
        if not len(values):
            none = statistics.Interval(*[float("nan")] * 3)
            return Verdict(judge_interval(none), f"{words}: no seed opens the box", none)
        found = withhold_if_few_seeds(statistics.mean_over_seeds(values), len(values))
        detail = f"{len(values)} of {len(told)} seeds open the box"
        return Verdict(
            judge_interval(found, above=above), f"{words}, mean over seeds; claimed > {above:g}", found, detail
        )

    return Claim(text=text, judge=judge)


def _figures(results: Results) -> figures.Figures:
    shares = {arm: results.values(arm, "metrics: opened") for arm in results.conditions}
    dots = interval_dots(shares, xlabel="share of episodes in which the box is opened")
    told = results.data["extra_measurements"]["influence_around_opening"]
    around = np.array([[np.nan if x is None else x for x in row] for row in told], float)
    found: figures.Figures = [("figure", dots, "Share of episodes in which the boxed agent is let out. Dots: seeds.")]
    if np.isfinite(around).any():
        curve = learning_curves(
            {"influence": (np.arange(-STEPS_BEFORE, STEPS_AFTER + 1, dtype=float), around)},
            xlabel="steps from the opening of the box", ylabel="influence (nats)",
        )  # fmt: skip
        found.append(("opening", curve, "Influence of the free agent about the step in which it opens the box."))
    return [*found, *figures.team_figures(results)]


STUDY = Study(
    name="jaques2019/boxtrapped",
    title="Box Trapped",
    source="Jaques et al. 2019, section 3.2 (the Box Trapped environment)",
    compares="a free agent paid for its influence on one that is boxed in, and the same agents paid for apples alone",
    conditions=(_INFLUENCE, _NO_INFLUENCE),
    eval_conditions=(_BOX_TRAPPED,),
    claims=(
        mean_above("An agent paid for influence opens the box in most episodes (published: 88 %).",
                _INFLUENCE.label, 0.5, "metrics: opened"),
        mean_below("An agent paid for apples alone hardly ever opens it (published: 0 %).",
                    _NO_INFLUENCE.label, 0.1, "metrics: opened"),
        mean_greater("Influence is why it opens.", _INFLUENCE.label, _NO_INFLUENCE.label, "metrics: opened"),
        _claim_over_opening_seeds("Influence is larger on the opening step than on the others.", "opening_minus_other_steps", 0.0,
                  "influence on the opening step less the mean of the other steps"),
        _claim_over_opening_seeds("The opening step is the one with the most influence of its episode.", "opening_has_max_influence", 0.5,
                  "share of opening episodes with the most influence on the opening step"),
    ),
    figures=_figures,
    num_seeds=5,
    steps_per_second=influence_budgets.BOX_TRAPPED_STEPS_PER_SECOND,
    notes=(
        "The paper gives neither a map nor sizes nor numbers of this world; at `paper` they are ours, with the best "
        "published rates of basic influence in Cleanup.",
        "Without influence, too, the boxed agent is told what the free one does: the arms differ in the reward alone.",
    ),
    measure_extra=_measure_opening,
)  # fmt: skip
