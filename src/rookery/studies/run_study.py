"""Carry out a study, from nothing or from wherever it stopped, up to its results."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rookery import intervals
from rookery.storage.run_files import status_machines
from rookery.studies.deviations import deviations
from rookery.studies.frozen_evaluation import measure_or_load
from rookery.studies.judging import collect_mechanisms, judge_claims
from rookery.studies.measures import TEAM_MEASURES
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Study
from rookery.studies.training_run import Budget
from rookery.training.config_diff import config_diff
from rookery.training.devices import machine_info
from rookery.training.trainer import load_config

_logger = logging.getLogger(__name__)


def reproduce(study: Study, session: Session, log: Callable[[str], None] = _logger.info) -> dict[str, Any] | None:
    """Train what is missing, measure, judge. Returns the content of results.json; None if training was stopped.

    Raises: ConfigError, before anything is trained, if a run will not train the agents that a condition names.
    """
    for condition in study.conditions:
        condition.agents.validate(session)
    for run in study.runs:
        log(f"{run.name}: {len(session.run_config(run).replicas)} agents in {session.run_dir(run)}")
        if not session.train(run, log):
            return None
    start_time = time.monotonic()
    for condition in study.conditions:
        if not condition.agents.prepare(session):
            return None
    rows = _measure_all(study, session, log)
    extra = study.measure_extra(session) if study.measure_extra else {}
    seconds = {f"run {run.name}": session.run_status(run)["seconds"] for run in study.runs}
    data = {
        "study": study.name,
        "budget": session.budget,
        "seeds": list(session.seed_range),
        "eval_episodes": session.eval_episodes,
        "rows": rows,
        "curves": collect_curves(study, session),
        "extra_measurements": extra,
        "definition": study.definition,
        "mechanisms": collect_mechanisms(study, session),
        "runs": summarize_runs(study, session),
        "config_diff": all_config_diffs(study, session),
        "notes": list(study.notes),
        "seconds": {**seconds, "evaluation": round(time.monotonic() - start_time, 1)},
        "machine": machine_info(),
    }
    return {**data, "summary": summarize_results(Results(data)), "claims": judge_claims(study, data)}


def _measure_all(study: Study, session: Session, log: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row for every agent in every evaluation condition."""
    rows = []
    for eval_condition in study.eval_conditions:
        for condition in study.conditions:
            if condition.eval_conditions is not None and eval_condition not in condition.eval_conditions:
                continue
            log(f"evaluating {condition.label} in {eval_condition.name}, {session.eval_episodes} episodes each")
            for agent in condition.agents.evaluated_agents(session):
                seed = session.seed if agent.seed is None else agent.seed
                row = measure_or_load(session.evaluator(eval_condition), agent, seed, session.measurements_dir)
                rows.append(
                    {"condition": condition.label, "seed": agent.seed, "eval_condition": eval_condition.name, **row}
                )
    return rows


def summarize_results(results: Results) -> list[dict[str, Any]]:
    """Mean and interquartile mean over seeds of every condition in every evaluation condition, and the number of
    seeds that exceed the experts."""
    return [
        _summarize_condition(results, condition, eval_condition)
        for eval_condition in results.eval_conditions
        for condition in results.conditions_in(eval_condition)
    ]


def _summarize_condition(results: Results, condition: str, eval_condition: str) -> dict[str, Any]:
    has_seeds = results.has_seeds(condition)
    entry: dict = {
        "condition": condition,
        "eval_condition": eval_condition,
        "num_seeds": len(results.rows(condition, eval_condition)),
    }
    for name in results.measures(condition, eval_condition):
        values = results.values(condition, name, eval_condition)
        if name in TEAM_MEASURES and not len(values := values[np.isfinite(values)]):
            entry[name] = {}  # undefined for every seed, such as the equality of agents that earned nothing
        elif has_seeds:
            entry[name] = {
                "mean": intervals.mean_interval(values).to_dict(),
                "iqm": intervals.iqm_interval(values).to_dict(),
            }
        else:
            entry[name] = {"mean": results.intervals(condition, name, eval_condition)[0].to_dict()}
    if has_seeds and "experts" in results.conditions_in(eval_condition):
        expert_return = results.mean("experts", "return_social", eval_condition)
        above = results.values(condition, "return_social", eval_condition) > expert_return
        entry["seeds_above_experts"] = int(above.sum())
        entry["fraction_above_experts"] = intervals.binomial_fraction(int(above.sum()), len(above)).to_dict()
    return entry


def collect_curves(study: Study, session: Session) -> dict[str, Any]:
    """Learning curves of every condition that a run trained, by label."""
    curves = {condition.label: condition.agents.learning_curves(session) for condition in study.conditions}
    return {label: curve for label, curve in curves.items() if curve is not None}


def summarize_runs(study: Study, session: Session) -> list[dict[str, Any]]:
    """Each run's variants, steps, machine and time, and which seeds took that time where it has others besides."""
    summaries = []
    for run in study.runs:
        config, status = session.run_config(run), session.run_status(run)
        trained = load_config(session.run_dir(run)).seeds
        summaries.append({
            "run": run.name,
            "variants": [variant.name for variant in config.variants],
            "steps_per_seed": config.total_updates * config.steps_per_update,
            "num_seeds": config.num_seeds,
            "seconds": status["seconds"],
            **({} if trained == config.seeds else {"trained_seeds": list(trained)}),
            "machine": status["machine"],
            "machines": distinct_machines(status),
        })  # fmt: skip
    return summaries


def distinct_machines(status: dict[str, Any]) -> list[dict[str, Any]]:
    """Every machine that trained a part of a run, once each: a resumed or divided run may have several."""
    machines = [
        {name: value for name, value in machine.items() if name != "replicas"} for machine in status_machines(status)
    ]
    return [machine for number, machine in enumerate(machines) if machine not in machines[:number]]


def all_config_diffs(study: Study, session: Session) -> list[dict[str, Any]]:
    """Every setting in which a run differs from the paper's; a difference that several runs share is listed once."""
    diffs: dict[str, dict] = {}
    for run in study.runs:
        published = None if run.published_config is None else run.published_config()
        config = session.run_config(run)
        for row in [*config_diff(config, published), *deviations(config, published)]:
            if isinstance(row["here"], str):
                row["here"] = _without_folder(row["here"], session.runs_dir)
            key = repr((row["setting"], row["paper"], row["here"]))
            diffs.setdefault(key, {**row, "runs": []})["runs"].append(run.name)
    return list(diffs.values())


def _without_folder(value: str, runs_dir: Path) -> str:
    """A setting that may be the path of an agent: results do not depend on where the runs lie."""
    path = Path(value)
    return str("runs" / path.relative_to(runs_dir)) if runs_dir.parts and path.is_relative_to(runs_dir) else value


def count_training_steps(study: Study, budget: Budget, num_seeds: int) -> int:
    """Environment steps of all replicas of all the study's runs, and of what its conditions train besides."""
    others: dict[str, int] = {}
    for condition in study.conditions:
        others |= condition.agents.training_steps(budget, num_seeds)
    total = sum(others.values())
    for run in study.runs:
        config = dataclasses.replace(
            run.configure(budget), seed=0, num_seeds=min(num_seeds, run.max_seeds or num_seeds)
        )
        total += config.total_updates * config.steps_per_update * len(config.replicas)
    return total
