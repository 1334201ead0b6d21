"""Does an agent that is paid for moving others let another out of its box, which pays nothing else?

Source: Jaques et al. 2019, section 3.2, the Box Trapped experiment.
"""

from __future__ import annotations

import numpy as np

from rookery.show.plots import interval_dots, learning_curves
from rookery.studies import figures, statistics
from rookery.studies.claims import enough, exceeds, falls_below, more, verdict
from rookery.studies.jaques2019 import recipe
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Arm, Claim, Judgement, Study, Training
from rookery.studies.teams import LearnedTeam, TeamScene
from rookery.studies.traces import traces

EPISODES = {"smoke": 4, "desk": 100, "paper": 100}
"""Watched step by step; the paper looks at 100."""
BEFORE, AFTER = 3, 12
"""Steps shown round the opening."""

BOX = Training(
    name="jaques-box-trapped",
    configure=lambda budget: recipe.trapped(budget, "jaques-box-trapped"),
    published=lambda: recipe.trapped("paper", "jaques-box-trapped"),
)
PAID = Arm(label="influence", agents=LearnedTeam(training=BOX, arm="influence"))
UNPAID = Arm(label="no influence", agents=LearnedTeam(training=BOX, arm="baseline"))
HOME = TeamScene(name="Box Trapped", task=recipe.box)


def _opening(session: Session) -> dict:
    """Of the influence arm, by seed: how the free agent's influence lies about the step in which it opens the box."""
    found: dict = {"opens at step": [], "largest on opening": [], "opening less others": [], "influence around": []}
    for _, told in traces(session, PAID.agents, EPISODES[session.budget]):
        influence = np.asarray(told.influence)[:, :, 0].sum(-1)  # [T, E]
        opened = np.asarray(told.events["opened"])[:, :, 0] > 0
        opening = _around(influence, opened)
        for name, value in opening.items():
            found[name].append(value)
    return found


def _around(influence: np.ndarray, opened: np.ndarray) -> dict:
    """f[T, E] and bool[T, E] to means over the episodes in which the box is opened; None where it never is."""
    episodes = np.flatnonzero(opened.any(0))
    if not episodes.size:
        names = ("opens at step", "largest on opening", "opening less others")
        return {**dict.fromkeys(names), "influence around": [None] * (BEFORE + 1 + AFTER)}
    at = opened.argmax(0)[episodes]
    own = influence[:, episodes]
    there = own[at, np.arange(len(episodes))]
    others = (own.sum(0) - there) / (len(own) - 1)
    around = np.full((BEFORE + 1 + AFTER, len(episodes)), np.nan)
    for row, offset in enumerate(range(-BEFORE, AFTER + 1)):
        inside = (at + offset >= 0) & (at + offset < len(own))
        around[row, inside] = own[at[inside] + offset, np.flatnonzero(inside)]
    shown = [float(row[np.isfinite(row)].mean()) if np.isfinite(row).any() else None for row in around]
    return {
        "opens at step": float(at.mean()) + 1,
        "largest on opening": float((there >= own.max(0)).mean()),
        "opening less others": float((there - others).mean()),
        "influence around": shown,
    }


def _measured(text: str, name: str, above: float, words: str) -> Claim:
    """Over the seeds that open the box at all, a number lies above another."""

    def judge(results: Results) -> Judgement:
        told = results.data["measured"][name]
        values = np.array([value for value in told if value is not None], float)
        if not len(values):
            none = statistics.Interval(*[float("nan")] * 3)
            return Judgement(verdict(none), f"{words}: no seed opens the box", none)
        found = enough(statistics.mean_over_seeds(values), len(values))
        detail = f"{len(values)} of {len(told)} seeds open the box"
        return Judgement(verdict(found, above=above), f"{words}, mean over seeds; claimed > {above:g}", found, detail)

    return Claim(text=text, judge=judge)


def _figures(results: Results) -> figures.Figures:
    shares = {arm: results.values(arm, "counts: opened") for arm in results.arms}
    dots = interval_dots(shares, xlabel="share of episodes in which the box is opened")
    told = results.data["measured"]["influence around"]
    around = np.array([[np.nan if x is None else x for x in row] for row in told], float)
    found: figures.Figures = [("figure", dots, "Share of episodes in which the boxed agent is let out. Dots: seeds.")]
    if np.isfinite(around).any():
        curve = learning_curves(
            {"influence": (np.arange(-BEFORE, AFTER + 1, dtype=float), around)},
            xlabel="steps from the opening of the box", ylabel="influence (nats)",
        )  # fmt: skip
        found.append(("opening", curve, "Influence of the free agent about the step in which it opens the box."))
    return [*found, *figures.society(results)]


STUDY = Study(
    name="jaques2019/boxtrapped",
    title="Box Trapped",
    source="Jaques et al. 2019, section 3.2 (the Box Trapped environment)",
    compares="a free agent paid for its influence on one that is boxed in, and the same agents paid for apples alone",
    arms=(PAID, UNPAID),
    scenes=(HOME,),
    claims=(
        exceeds("An agent paid for influence opens the box in most episodes (published: 88 %).",
                PAID.label, 0.5, "counts: opened"),
        falls_below("An agent paid for apples alone hardly ever opens it (published: 0 %).",
                    UNPAID.label, 0.1, "counts: opened"),
        more("Influence is why it opens.", PAID.label, UNPAID.label, "counts: opened"),
        _measured("Influence is larger on the opening step than on the others.", "opening less others", 0.0,
                  "influence on the opening step less the mean of the other steps"),
        _measured("The opening step is the one with the most influence of its episode.", "largest on opening", 0.5,
                  "share of opening episodes with the most influence on the opening step"),
    ),
    figures=_figures,
    seeds=5,
    steps_per_second=recipe.BOX_STEPS_PER_SECOND,
    notes=(
        "The paper gives neither a map nor sizes nor numbers of this world; at `paper` they are ours, with the best "
        "published rates of basic influence in Cleanup.",
        "Without influence, too, the boxed agent is told what the free one does: the arms differ in the reward alone.",
    ),
    measure=_opening,
)  # fmt: skip
