"""The verdict on every claim of a study: what was not tested, then the test of each, corrected for their number."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from rookery.intervals import Interval
from rookery.significance import LEVEL, SignificanceTest, holm
from rookery.studies.mechanisms import OtherResults, dead_mechanisms
from rookery.studies.results import Results
from rookery.studies.study import FAILS, HOLDS, NOT_TESTED, UNDECIDED, UNJUDGED, Claim, Study, Verdict
from rookery.studies.training_end import TracedResults, still_rising

if TYPE_CHECKING:
    from rookery.studies.session import Session

NOTHING = "none"
"""In results.json, for the smallest detectable effect where no effect is shown in 80 % of cases."""


def judge_claims(study: Study, data: dict[str, Any], others: OtherResults = lambda name: None) -> list[dict[str, Any]]:
    """Every claim with its verdict, the measured quantity, its interval and its test; `smoke` judges nothing.

    The study's first claim is its primary one. Of the others, all that are tested are corrected together (Holm), for
    their number and that of those that need newer results.

    Args:
      data: content of results.json, as far as it is measured. others: results of other studies, for older results.
    """
    results = Results(data)
    verdicts = [_judge(claim, study, results, others) for claim in study.claims]
    num_waiting = sum(_lacks_results(claim, results) for claim in study.claims[1:])
    corrected = _correct(verdicts, num_waiting)
    judged = []
    for number, (claim, verdict) in enumerate(zip(study.claims, verdicts, strict=True)):
        outcome, detail, test = verdict.outcome, verdict.detail, verdict.test
        p_value = corrected.get(number)
        if outcome in (HOLDS, FAILS) and test is not None and p_value is not None and p_value > LEVEL:
            outcome = UNDECIDED
            note = (
                f"p = {_format_p(test.p_value)} does not hold for {len(corrected) + num_waiting} claims "
                f"(Holm: {_format_p(p_value)})"
            )
            detail = f"{detail}; {note}" if detail else note
        judged.append({
            "claim": claim.text,
            "verdict": UNJUDGED if data["budget"] == "smoke" else outcome,
            "primary": number == 0,
            "quantity": verdict.quantity,
            **verdict.interval.to_dict(),
            "p_value": _finite(test.p_value if test else None),
            "exact_p_value": _finite(test.exact_p_value if test else None),
            "corrected_p_value": _finite(p_value),
            "detectable": _detectable(test),
            "detail": detail,
        })  # fmt: skip
    return judged


def _judge(claim: Claim, study: Study, results: Results, others: OtherResults) -> Verdict:
    """One claim, before any correction."""
    if _lacks_results(claim, results):
        definition = results.data.get("definition", 1)
        reason = f"it needs results of definition {claim.since} of the study; these are of definition {definition}"
        return Verdict(NOT_TESTED, reason, Interval.unknown())
    traced = TracedResults(results.data)
    verdict = claim.judge(traced)
    if results.data["budget"] == "smoke":
        return verdict
    reasons = dead_mechanisms(claim.mechanisms, results, others)
    if claim.withheld is not None and (reason := claim.withheld(results)) is not None:
        reasons.append(reason)
    if not reasons:
        detail = "; ".join(part for part in (verdict.detail, still_rising(traced)) if part)
        return dataclasses.replace(verdict, detail=detail)
    detail = "; ".join([*reasons, verdict.detail] if verdict.detail else reasons)
    return dataclasses.replace(verdict, outcome=NOT_TESTED, detail=detail)


def _lacks_results(claim: Claim, results: Results) -> bool:
    """Whether a claim has changed since the results were measured, and needs others."""
    return claim.since > results.data.get("definition", 1)


def _correct(verdicts: list[Verdict], num_waiting: int) -> dict[int, float]:
    """The corrected p-value of every claim but the primary one, by its number, where a test judged it.

    Args:
      num_waiting: other claims that wait for newer results. They count, so that a changed claim eases no other one.
    """
    p_values = {
        number: verdict.test.p_value
        for number, verdict in enumerate(verdicts)
        if number > 0 and verdict.outcome != NOT_TESTED and verdict.test and math.isfinite(verdict.test.p_value)
    }
    corrected = holm([*p_values.values(), *[1.0] * num_waiting])
    return dict(zip(p_values, corrected.tolist(), strict=False))


def collect_mechanisms(study: Study, session: Session) -> dict[str, list[dict[str, Any]]]:
    """What the runs measured of every mechanism that a claim names, by the check's key, one entry per seed."""
    conditions = {condition.label: condition for condition in study.conditions}
    checks = {check.key: check for claim in study.claims for check in claim.mechanisms}
    return {
        key: conditions[check.condition].agents.mechanism_checks(session, check.mechanism, check.by)
        for key, check in checks.items()
        if check.condition in conditions
    }


def _detectable(test: SignificanceTest | None) -> float | str | None:
    return NOTHING if test and test.detectable == math.inf else _finite(test.detectable if test else None)


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def _format_p(value: float) -> str:
    return f"{value:.2g}"
