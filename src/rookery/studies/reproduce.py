"""Carry a study from nothing, or from wherever it stopped, to its results."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from rookery.storage.metrics import read_metrics
from rookery.studies import statistics
from rookery.studies.evaluate import measure_or_load
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.statistics import Interval
from rookery.studies.study import UNJUDGED, Study, TrainedAgents, TrainingRun
from rookery.studies.trained_teams import TEAM_MEASURES, TrainedTeam
from rookery.training.config import slot_names
from rookery.training.config_diff import config_diff
from rookery.training.devices import machine_info
from rookery.training.trainer import load_config

MAX_CURVE_POINTS = 200
"""At most so many points of a learning curve are kept."""


def reproduce(study: Study, session: Session, log: Callable[[str], None] = print) -> dict | None:
    """Train what is missing, measure, judge. Returns the content of results.json; None if training was stopped."""
    for training in study.runs:
        members = session.run_config(training).replicas
        log(f"{training.name}: {len(members)} agents in {session.run_dir(training)}")
        if not session.train(training):
            return None
    began = time.monotonic()
    for arm in study.conditions:
        prepare = getattr(arm.agents, "prepare", None)
        if prepare is not None:
            log(f"{arm.label}: {session.num_seeds} agents")
            if not prepare(session):
                return None
    rows, seeds = [], session.seed_range
    for scene in study.eval_conditions:
        for arm in study.conditions:
            if arm.eval_conditions is not None and scene not in arm.eval_conditions:
                continue
            for agent in session.evaluated_agents(arm.agents):
                stage = session.evaluator(scene)
                row = measure_or_load(
                    stage, agent, agent.seed if agent.seed is not None else session.seed, session.measurements_dir
                )
                rows.append({"condition": arm.label, "seed": agent.seed, "eval_condition": scene.name, **row})
    more = study.measure_extra(session) if study.measure_extra else {}
    seconds = {f"run {t.name}": session.run_status(t)["seconds"] for t in study.runs}
    data = {
        "study": study.name,
        "budget": session.budget,
        "seeds": list(seeds),
        "eval_episodes": session.eval_episodes,
        "rows": rows,
        "curves": collect_curves(study, session),
        "extra_measurements": more,
        "runs": summarize_runs(study, session),
        "config_diff": all_config_diffs(study, session),
        "notes": list(study.notes),
        "seconds": {**seconds, "evaluation": round(time.monotonic() - began, 1)},
        "machine": machine_info(),
    }
    return {**data, "summary": summarize_results(Results(data)), "claims": judge_claims(study, data)}


def judge_claims(study: Study, data: dict) -> list[dict]:
    """Every claim with its verdict, what it was judged by, and the interval; smoke judges nothing."""
    found = []
    for claim in study.claims:
        judgement = claim.judge(Results(data))
        found.append({
            "claim": claim.text,
            "verdict": UNJUDGED if data["budget"] == "smoke" else judgement.outcome,
            "quantity": judgement.quantity,
            **_interval_to_dict(judgement.interval),
            "detail": judgement.detail,
        })  # fmt: skip
    return found


def summarize_results(results: Results) -> list[dict]:
    """Of every arm in every scene: mean and interquartile mean over seeds, and how many seeds beat the experts."""
    found = []
    for scene in results.eval_conditions:
        for arm in results.conditions_in(scene):
            entry: dict = {"condition": arm, "eval_condition": scene, "num_seeds": len(results.rows(arm, scene))}
            for name in results.measures(arm, scene):
                values = results.values(arm, name, scene)
                if name in TEAM_MEASURES and not len(values := values[np.isfinite(values)]):
                    entry[name] = {}  # such as the equality of those who earned nothing
                elif results.has_seeds(arm):
                    entry[name] = {
                        "mean": _interval_to_dict(statistics.mean_over_seeds(values)),
                        "iqm": _interval_to_dict(statistics.iqm_over_seeds(values)),
                    }
                else:
                    entry[name] = {"mean": _interval_to_dict(results.intervals(arm, name, scene)[0])}
            if results.has_seeds(arm) and "experts" in results.conditions_in(scene):
                above = results.values(arm, "return_social", scene) > results.mean("experts", "return_social", scene)
                entry["seeds_above_experts"] = int(above.sum())
                entry["fraction_above_experts"] = _interval_to_dict(
                    statistics.binomial_fraction(int(above.sum()), len(above))
                )
            found.append(entry)
    return found


def collect_curves(study: Study, session: Session) -> dict:
    """Of every trained arm, for each seed: what it earned while learning, and frozen at each checkpoint."""
    found = {}
    for arm in study.conditions:
        if isinstance(arm.agents, TrainedAgents) and arm.agents.run.name not in found.get(arm.label, {}):
            found[arm.label] = _agent_curve(arm.agents, session)
        if isinstance(arm.agents, TrainedTeam):
            found[arm.label] = _team_curve(arm.agents, session)
    return found


def _agent_curve(agents: TrainedAgents, session: Session) -> dict:
    rows, names, own = _run_metrics(agents.run, session)
    name = names[agents.slot]
    checked = f"evaluation/{agents.variant}/{name}"
    keys = {"return_social": f"{checked}/social/return", "return_solo": f"{checked}/solo/return", "social_gain": f"{checked}/social_gain/return"}
    found: dict = {"checkpoints": _series([row for row in rows if keys["social_gain"] in row], keys, own)}
    learning = {"return": f"{agents.variant}/{name}/return"}
    for kind in ("next-frame", "reconstruction"):
        key = f"{agents.variant}/{name}/aux_loss/{kind}"
        if rows and key in rows[0]:
            learning["aux_loss"] = key
    found["learning"] = _series(_subsample(rows), learning, own)
    return found


def _team_curve(agents: TrainedTeam, session: Session) -> dict:
    """What a team earned together while learning, and what else its members tell, on the mean over them."""
    rows, names, own = _run_metrics(agents.run, session)
    rows = _subsample(rows)
    found: dict = {"steps": [row["steps"] for row in rows]}
    kinds = sorted({key.split("/", 2)[2] for key in rows[0] if key.startswith(f"{agents.variant}/{names[0]}/")})
    told = [kind for kind in kinds if kind.split("/")[0] in ("intrinsic_reward", "influence_above_mean_fraction", "moa_loss")]
    for kind in ("return", *told):
        keys = [key for name in names if (key := f"{agents.variant}/{name}/{kind}") in rows[0]]
        values = np.array([[list(row[key])[own] for key in keys] for row in rows], float)  # [rows, agents, seeds]
        combined = values.sum(1) if kind == "return" else values.mean(1)
        found[kind] = combined.T.tolist()
    return {"learning": found}


def _run_metrics(training: TrainingRun, session: Session) -> tuple[list[dict], list[str], slice]:
    """What a run logged, the names of its agents, and where the session's seeds stand among its own."""
    folder = session.run_dir(training)
    config = load_config(folder)
    first = session.seed - config.seed
    return read_metrics(folder), slot_names(config), slice(first, first + session.num_seeds)


def _subsample(rows: list[dict]) -> list[dict]:
    return rows[:: max(1, -(-len(rows) // MAX_CURVE_POINTS))]


def _series(rows: list[dict], keys: dict[str, str], own: slice) -> dict:
    """Steps f[N] and, by name, one list a seed of N numbers."""
    by_name = {name: [list(row[key])[own] for row in rows] for name, key in keys.items()}
    return {
        "steps": [row["steps"] for row in rows],
        **{name: [list(seed) for seed in zip(*values, strict=True)] for name, values in by_name.items()},
    }


def summarize_runs(study: Study, session: Session) -> list[dict]:
    """What each program came to: its arms, steps, machine and time."""
    found = []
    for training in study.runs:
        config, status = session.run_config(training), session.run_status(training)
        found.append({
            "run": training.name,
            "variants": [arm.name for arm in config.variants],
            "steps_per_seed": config.total_updates * config.steps_per_update,
            "seconds": status["seconds"],
            "machine": status["machine"],
        })  # fmt: skip
    return found


def all_config_diffs(study: Study, session: Session) -> list[dict]:
    """In what each program differs from the paper's; what several share is listed once."""
    found: dict[str, dict] = {}
    for training in study.runs:
        published = None if training.published_config is None else training.published_config()
        for row in config_diff(session.run_config(training), published):
            if isinstance(row["here"], str):  # where the runs lie is nobody else's business
                row["here"] = row["here"].replace(str(session.runs_dir), "runs")
            key = repr((row["setting"], row["paper"], row["here"]))
            found.setdefault(key, {**row, "runs": []})["runs"].append(training.name)
    return list(found.values())


def count_training_steps(study: Study, budget, num_seeds: int) -> int:
    """Environment steps that learning agents take in all the study's programs."""
    total = 0
    for training in study.runs:
        config = dataclasses.replace(training.configure(budget), seed=0, num_seeds=num_seeds)
        total += config.total_updates * config.steps_per_update * len(config.replicas)
    return total


def _interval_to_dict(interval: Interval) -> dict[str, float | None]:
    return {n: float(x) if np.isfinite(x) else None for n, x in zip(("value", "low", "high"), interval, strict=True)}
