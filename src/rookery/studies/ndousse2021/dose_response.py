"""When does the next-frame loss make followers: constant penalties from 0.75 to 1.5, with the loss and without.

Not a figure of the paper. A wrong goal that is entered blindly, one of two, loses on average where the penalty exceeds
1. The higher the penalty, the sooner exploring alone stops, and the more a learner needs another reason to watch.
"""

from __future__ import annotations

import numpy as np

from rookery import significance
from rookery.intervals import binomial_fraction
from rookery.studies import budgets, figures
from rookery.studies.agent_sources import TrainedAgents
from rookery.studies.claims import changed, judge_interval, judge_test
from rookery.studies.followers import count_strategies, more_followers
from rookery.studies.mechanisms import FramePredictionCheck
from rookery.studies.ndousse2021.fig4 import LOSS_GATE
from rookery.studies.ndousse2021.shared_runs import GOAL_CYCLE_3, SOCIAL_NEXT_FRAME, SOCIAL_VANILLA
from rookery.studies.results import Results
from rookery.studies.study import FAILS, HOLDS, UNDECIDED, Claim, Condition, Figures, Study, Verdict
from rookery.studies.time_to_follow import time_figures
from rookery.studies.training_run import Budget, TrainingRun
from rookery.training.config import RunConfig, Variant
from rookery.training.schedules import Schedule
from rookery.viz.plots import response_curves

_LOWER_PENALTIES = (0.75, 1.0, 1.25)
FULL_PENALTY = 1.5
"""That of figure 4, whose agents are the last pair of conditions."""
_WITHOUT_LOSS = "-vanilla"
FIRST_COUNT = {"next frame": 0, "no loss": 2}
"""Where the numbers of followers and of seeds stand in `follower_counts`."""


def _variant_name(penalty: float) -> str:
    return f"penalty-{round(100 * penalty)}-percent"


def _config(budget: Budget) -> RunConfig:
    variants = []
    for penalty in _LOWER_PENALTIES:
        schedules: dict[str, Schedule] = {"penalty": penalty}
        name = _variant_name(penalty)
        variants += [
            Variant(name=name, env_schedules=schedules),
            Variant(name=f"{name}{_WITHOUT_LOSS}", env_schedules=schedules, aux_loss_scale=0.0),
        ]
    return budgets.run_config(budget, "dose-response", tuple(variants))


_RUN = TrainingRun(name="dose-response", configure=_config)


def _conditions() -> dict[float, tuple[Condition, Condition]]:
    """Penalty to the condition with the loss and the condition without."""
    pairs = {}
    for penalty in (*_LOWER_PENALTIES, FULL_PENALTY):
        name = _variant_name(penalty)
        sources = (
            (SOCIAL_NEXT_FRAME.agents, SOCIAL_VANILLA.agents)
            if penalty == FULL_PENALTY
            else (TrainedAgents(run=_RUN, variant=name), TrainedAgents(run=_RUN, variant=f"{name}{_WITHOUT_LOSS}"))
        )
        pairs[penalty] = (
            Condition(label=f"penalty {penalty:g}; next frame", agents=sources[0]),
            Condition(label=f"penalty {penalty:g}; no loss", agents=sources[1]),
        )
    return pairs


PENALTY_CONDITIONS = _conditions()


def follower_counts(results: Results) -> dict[float, tuple[int, int, int, int]]:
    """Penalty to (followers with the loss, seeds with it, followers without, seeds without)."""
    counts = {}
    for penalty, pair in PENALTY_CONDITIONS.items():
        by_condition = [count_strategies(results, condition.label) for condition in pair]
        counts[penalty] = tuple(n for c in by_condition for n in (c["follower"], sum(c.values())))
    return counts


def fit_logistic(features: np.ndarray, hits: np.ndarray, totals: np.ndarray, num_steps: int = 50) -> np.ndarray:
    """Coefficients of P(hit) = 1 / (1 + exp(-features @ coefficients)), with Firth's penalty, f[F].

    The penalty keeps them finite where all or none follow.

    Args: features f[N, F]; hits f[N] of totals f[N].
    Source: Firth 1993; Heinze and Schemper 2002.
    """
    coefficients = np.zeros(features.shape[1])
    for _ in range(num_steps):
        p = 1 / (1 + np.exp(-features @ coefficients))
        weight = totals * p * (1 - p)
        information = features.T @ (weight[:, None] * features)
        leverage = weight * np.einsum("nf,fg,ng->n", features, np.linalg.inv(information), features)
        score = features.T @ (hits - totals * p + leverage * (0.5 - p))
        step = np.linalg.solve(information, score)
        coefficients = coefficients + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-9))
    return coefficients


def fitted_fractions(results: Results, penalties: np.ndarray) -> dict[str, np.ndarray]:
    """P(follower) at penalties f[N], with the loss and without, by a logistic curve for each.

    One curve with a shift for the loss would say that the loss does the same at every penalty.
    """
    counts = follower_counts(results)
    trained, shown = (np.stack([np.ones_like(x), x], 1) for x in (np.array(list(counts)), penalties))
    fractions = {}
    for name, first in FIRST_COUNT.items():
        hits, totals = np.array([row[first : first + 2] for row in counts.values()], float).T
        fractions[name] = 1 / (1 + np.exp(-shown @ fit_logistic(trained, hits, totals)))
    return fractions


def _judge_loss_makes_followers(results: Results) -> Verdict:
    counts = follower_counts(results)
    test = significance.stratified_fractions_test(list(counts.values()))
    outcome = judge_interval(test.interval, above=0.0)
    if not test.agrees:
        outcome = UNDECIDED
    elif outcome == UNDECIDED:
        outcome = HOLDS if test.interval.value > 0 else FAILS
    listed = ", ".join(f"{p:g}: {c[0]} of {c[1]} and {c[2]} of {c[3]}" for p, c in counts.items())
    quantity = "fraction of followers with the loss minus without, mean over penalties; claimed > 0"
    detail = f"{listed}; exact Mantel-Haenszel p = {test.p_value:.2g}"
    return judge_test(test, outcome, quantity, min(c[1] for c in counts.values()), detail)


def _judge_needed_more(results: Results) -> Verdict:
    """Without the loss, fewer follow at 1.5 than at 0.75."""
    counts = follower_counts(results)
    low, high = counts[_LOWER_PENALTIES[0]], counts[FULL_PENALTY]
    test = significance.fractions_test(low[2], low[3], high[2], high[3])
    outcome = judge_interval(test.interval, above=0.0) if test.agrees else UNDECIDED
    quantity = "without the loss: fraction of followers at penalty 0.75 minus at 1.5; claimed > 0"
    return judge_test(test, outcome, quantity, min(low[3], high[3]), f"{low[2]} of {low[3]}, {high[2]} of {high[3]}")


def _claims() -> tuple[Claim, ...]:
    checks = {
        penalty: FramePredictionCheck(condition=pair[0].label, by=LOSS_GATE, like_figure_2=False)
        for penalty, pair in PENALTY_CONDITIONS.items()
    }
    return (
        Claim(
            text="Over all penalties, the next-frame loss makes more seeds follow.",
            judge=_judge_loss_makes_followers,
            mechanisms=tuple(checks.values()),
        ),
        *(
            changed(
                more_followers(f"At penalty {penalty:g}, the loss makes more seeds follow.", *(c.label for c in pair)),
                mechanisms=(checks[penalty],),
            )
            for penalty, pair in PENALTY_CONDITIONS.items()
        ),
        Claim(text="Without the loss, fewer seeds follow where the penalty is higher.", judge=_judge_needed_more),
    )


def _figures(results: Results) -> Figures:
    points = {}
    for name, number in FIRST_COUNT.items():
        points[name] = [
            (penalty, binomial_fraction(*counts[number : number + 2])) for penalty, counts in
            follower_counts(results).items()
        ]  # fmt: skip
    penalties = np.linspace(0.7, 1.55, 60)
    figure = response_curves(
        points, penalties, fitted_fractions(results, penalties), xlabel="penalty", ylabel="fraction of followers"
    )
    caption = "Fraction of seeds that follow, with exact 95 % intervals; curves: a logistic fit for each condition."
    labels = [condition.label for pair in PENALTY_CONDITIONS.values() for condition in pair]
    return [
        ("figure", figure, caption),
        *figures.strategy_figures(results, labels),
        *time_figures(results, labels, "times"),
        *figures.checkpoint_curves(results, "social_gain", "social_gain"),
    ]


STUDY = Study(
    name="ndousse2021/dose-response",
    title="At which penalties the loss makes followers",
    source="after Ndousse et al. 2021, figure 4",
    compares="constant penalties 0.75, 1, 1.25 and 1.5, with the next-frame loss and without: fraction of seeds that "
    "follow",
    conditions=tuple(condition for pair in PENALTY_CONDITIONS.values() for condition in pair),
    eval_conditions=(GOAL_CYCLE_3,),
    claims=_claims(),
    figures=_figures,
    num_seeds=8,
    budgets=("smoke", "desk"),
    notes=("All agents are evaluated at penalty 1.5, whatever they trained with.",),
)
