"""Does an agent that is rewarded for influence let another agent out of its box, for which there is no other reward?

Source: Jaques et al. 2019, the Box Trapped experiment.
"""

from __future__ import annotations

import numpy as np

from rookery.intervals import Interval
from rookery.studies import figures
from rookery.studies.agent_sources import TrainedTeam
from rookery.studies.claims import changed, judge_mean, mean_above, mean_below, mean_greater
from rookery.studies.frozen_evaluation import TeamEvalCondition
from rookery.studies.jaques2019 import influence_budgets
from rookery.studies.mechanisms import ALIVE_FRACTION, CheckOutcome, MeasuredCheck
from rookery.studies.results import Results
from rookery.studies.rollout_traces import rollout_traces
from rookery.studies.session import Session
from rookery.studies.study import UNDECIDED, Claim, Condition, Figures, Study, Verdict
from rookery.studies.training_run import TrainingRun
from rookery.training.mechanism_health import MIN_REWARD
from rookery.viz.plots import interval_dots, learning_curves

_NUM_EPISODES = {"smoke": 4, "desk": 100, "paper": 100}
"""Episodes recorded step by step; the paper looks at 100."""
STEPS_BEFORE, STEPS_AFTER = 3, 12
"""Steps shown before and after the opening."""
_OPENED = "metrics: opened"
_MECHANISM = "influence-centralized"
_MEASURES = ("opening_step", "opening_has_max_influence", "opening_minus_other_steps", "influence_around_opening")

BOX_TRAPPED_RUN = TrainingRun(
    name="jaques-box-trapped",
    configure=lambda budget: influence_budgets.box_trapped_run_config(budget, "jaques-box-trapped"),
    published_config=lambda: influence_budgets.box_trapped_run_config("paper", "jaques-box-trapped"),
)
_INFLUENCE_TEAM = TrainedTeam(run=BOX_TRAPPED_RUN, variant="influence")
_INFLUENCE = Condition(label="influence", agents=_INFLUENCE_TEAM)
_NO_INFLUENCE = Condition(label="no influence", agents=TrainedTeam(run=BOX_TRAPPED_RUN, variant="baseline"))
_BOX_TRAPPED = TeamEvalCondition(name="Box Trapped", task=influence_budgets.box_trapped_task)


def _measure_opening(session: Session) -> dict:
    """By seed of the influence condition: the free agent's influence around the step in which it opens the box."""
    measured: dict = {name: [] for name in _MEASURES}
    for _, trace in rollout_traces(session, _INFLUENCE_TEAM, _NUM_EPISODES[session.budget]):
        influence = np.asarray(trace.influence)[:, :, 0].sum(-1)  # [T, E]
        opened = np.asarray(trace.info["opened"])[:, :, 0] > 0
        for name, value in _influence_around_opening(influence, opened).items():
            measured[name].append(value)
    return measured


def _influence_around_opening(influence: np.ndarray, opened: np.ndarray) -> dict:
    """Means over the episodes in which the box is opened; None where it never is.

    Args:
      influence: f[T, E]. opened: bool[T, E].
    """
    episodes = np.flatnonzero(opened.any(0))
    if not episodes.size:
        nothing = dict.fromkeys(_MEASURES)
        return {**nothing, "influence_around_opening": [None] * (STEPS_BEFORE + 1 + STEPS_AFTER)}
    opening_step = opened.argmax(0)[episodes]
    influence = influence[:, episodes]
    at_opening = influence[opening_step, np.arange(len(episodes))]
    mean_of_others = (influence.sum(0) - at_opening) / (len(influence) - 1)
    around = np.full((STEPS_BEFORE + 1 + STEPS_AFTER, len(episodes)), np.nan)
    for row, offset in enumerate(range(-STEPS_BEFORE, STEPS_AFTER + 1)):
        inside = (opening_step + offset >= 0) & (opening_step + offset < len(influence))
        around[row, inside] = influence[opening_step[inside] + offset, np.flatnonzero(inside)]
    means = [float(row[np.isfinite(row)].mean()) if np.isfinite(row).any() else None for row in around]
    return {
        "opening_step": float(opening_step.mean()) + 1,
        "opening_has_max_influence": float((at_opening >= influence.max(0)).mean()),
        "opening_minus_other_steps": float((at_opening - mean_of_others).mean()),
        "influence_around_opening": means,
    }


def _claim_over_opening_seeds(text: str, name: str, above: float, quantity: str) -> Claim:
    """Over the seeds that open the box at all, a number lies above another."""

    def judge(results: Results) -> Verdict:
        by_seed = results.extra[name]
        values = np.array([value for value in by_seed if value is not None], float)
        if not len(values):
            return Verdict(UNDECIDED, f"{quantity}: no seed opens the box", Interval.unknown())
        detail = f"{len(values)} of {len(by_seed)} seeds open the box"
        return judge_mean(values, f"{quantity}, mean over seeds; claimed > {above:g}", above=above, detail=detail)

    return Claim(text=text, judge=judge)


def _figures(results: Results) -> Figures:
    fractions = {condition: results.values(condition, _OPENED) for condition in results.conditions}
    dots = interval_dots(fractions, xlabel="fraction of episodes in which the box is opened")
    by_seed = results.extra["influence_around_opening"]
    around = np.array([[np.nan if x is None else x for x in row] for row in by_seed], float)
    made: Figures = [("figure", dots, "Fraction of episodes in which the boxed agent is let out. Dots: seeds.")]
    if np.isfinite(around).any():
        steps = np.arange(-STEPS_BEFORE, STEPS_AFTER + 1, dtype=float)
        curve = learning_curves(
            {"influence": (steps, around)}, xlabel="steps from the opening of the box", ylabel="influence (nats)"
        )
        made.append(("opening", curve, "Influence of the free agent around the step in which it opens the box."))
    return [*made, *figures.team_figures(results)]


def _is_influence_felt(results: Results) -> CheckOutcome:
    """Whether influence is paid for where the box is opened; over an episode it is small, because it is rare.

    In a seed that never opens the box, any influence reward counts: such seeds are what the claims are about, and must
    not withhold them.
    """
    by_seed = results.extra["opening_minus_other_steps"]
    surplus = [value for value in by_seed if value is not None]
    logged = results.curves.get(_INFLUENCE.label, {}).get("learning", {}).get(f"intrinsic_reward/{_MECHANISM}")
    elsewhere = [
        bool(np.abs(rewards).mean() >= MIN_REWARD)
        for rewards, value in zip(logged or [], by_seed, strict=False)
        if value is None
    ]
    alive = [*(value > 0 for value in surplus), *elsewhere]
    if not alive:
        return CheckOutcome(None, "no seed opens the box, and the size of the influence reward was not logged")
    parts = []
    if surplus:
        parts.append(
            f"in {sum(alive[: len(surplus)])} of the {len(surplus)} seeds that open the box more influence is paid for "
            f"on that step than on others ({', '.join(f'{value:.3f}' for value in surplus)} nats more)"
        )
    if elsewhere:
        parts.append(f"in {sum(elsewhere)} of the {len(elsewhere)} that never open it influence is paid for at all")
    return CheckOutcome(sum(alive) >= ALIVE_FRACTION * len(alive), "; ".join(parts))


_INFLUENCE_IS_FELT = MeasuredCheck(mechanism=_MECHANISM, condition=_INFLUENCE.label, measure=_is_influence_felt)

STUDY = Study(
    name="jaques2019/boxtrapped",
    title="Box Trapped",
    source="Jaques et al. 2019 (the Box Trapped environment)",
    compares="a free agent rewarded for its influence on an agent in a box, and the same agents rewarded for apples "
    "alone",
    conditions=(_INFLUENCE, _NO_INFLUENCE),
    eval_conditions=(_BOX_TRAPPED,),
    claims=(
        changed(mean_greater("The influence reward is the reason: with it the box is opened more often.",
                             _INFLUENCE.label, _NO_INFLUENCE.label, _OPENED), mechanisms=(_INFLUENCE_IS_FELT,)),
        changed(mean_above("An agent rewarded for influence opens the box in most episodes (published: 88 %).",
                           _INFLUENCE.label, 0.5, _OPENED), mechanisms=(_INFLUENCE_IS_FELT,)),
        mean_below("An agent rewarded for apples alone hardly ever opens it (published: 0 %).",
                   _NO_INFLUENCE.label, 0.1, _OPENED),
        _claim_over_opening_seeds(
            "Influence is larger on the opening step than on the others.", "opening_minus_other_steps", 0.0,
            "influence on the opening step minus the mean of the other steps"),
        _claim_over_opening_seeds(
            "The opening step is the one with the most influence of its episode.", "opening_has_max_influence", 0.5,
            "fraction of opening episodes with the most influence on the opening step"),
    ),
    figures=_figures,
    num_seeds=5,
    steps_per_second=influence_budgets.BOX_TRAPPED_STEPS_PER_SECOND,
    notes=(
        "The paper gives neither a map nor sizes nor numbers for this environment; at `paper` they are this project's, "
        "with the best published hyperparameters of basic influence in Cleanup.",
        "Without the influence reward, too, the boxed agent observes the free agent's action: the conditions differ in "
        "the reward alone.",
    ),
    measure_extra=_measure_opening,
)  # fmt: skip
