"""Carry a study from nothing, or from wherever it stopped, to its results."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from rookery.runs.config import agent_names
from rookery.runs.deviations import deviations
from rookery.runs.devices import machine
from rookery.runs.metrics import read_metrics
from rookery.runs.trainer import load_config
from rookery.studies import statistics
from rookery.studies.measuring import measure
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.statistics import Interval
from rookery.studies.study import UNJUDGED, Learned, Study, Training
from rookery.studies.teams import TEAM_MEASURES, LearnedTeam

CURVE_POINTS = 200
"""At most so many points of a learning curve are kept."""


def reproduce(study: Study, session: Session, say: Callable[[str], None] = print) -> dict | None:
    """Train what is missing, measure, judge. Returns the content of results.json; None if training was stopped."""
    for training in study.trainings:
        members = session.config(training).members
        say(f"{training.name}: {len(members)} agents in {session.folder(training)}")
        if not session.train(training):
            return None
    began = time.monotonic()
    for arm in study.arms:
        prepare = getattr(arm.agents, "prepare", None)
        if prepare is not None:
            say(f"{arm.label}: {session.seeds} agents")
            if not prepare(session):
                return None
    rows, seeds = [], session.own_seeds
    for scene in study.scenes:
        for arm in study.arms:
            if arm.scenes is not None and scene not in arm.scenes:
                continue
            for agent in session.subjects(arm.agents):
                stage = session.stage(scene)
                row = measure(stage, agent, agent.seed if agent.seed is not None else session.seed, session.store)
                rows.append({"arm": arm.label, "seed": agent.seed, "scene": scene.name, **row})
    more = study.measure(session) if study.measure else {}
    seconds = {f"training {t.name}": session.status(t)["seconds"] for t in study.trainings}
    data = {
        "study": study.name,
        "budget": session.budget,
        "seeds": list(seeds),
        "episodes": session.episodes,
        "rows": rows,
        "curves": curves(study, session),
        "measured": more,
        "trainings": trainings(study, session),
        "deviations": all_deviations(study, session),
        "notes": list(study.notes),
        "seconds": {**seconds, "evaluation": round(time.monotonic() - began, 1)},
        "machine": machine(),
    }
    return {**data, "summary": summary(Results(data)), "claims": judged(study, data)}


def judged(study: Study, data: dict) -> list[dict]:
    """Every claim with its verdict, what it was judged by, and the interval; smoke judges nothing."""
    found = []
    for claim in study.claims:
        judgement = claim.judge(Results(data))
        found.append({
            "claim": claim.text,
            "verdict": UNJUDGED if data["budget"] == "smoke" else judgement.verdict,
            "quantity": judgement.quantity,
            **_said(judgement.interval),
            "detail": judgement.detail,
        })  # fmt: skip
    return found


def summary(results: Results) -> list[dict]:
    """Of every arm in every scene: mean and interquartile mean over seeds, and how many seeds beat the experts."""
    found = []
    for scene in results.scenes:
        for arm in results.arms_in(scene):
            entry: dict = {"arm": arm, "scene": scene, "seeds": len(results.rows(arm, scene))}
            for name in results.measures(arm, scene):
                values = results.values(arm, name, scene)
                if name in TEAM_MEASURES and not len(values := values[np.isfinite(values)]):
                    entry[name] = {}  # such as the equality of those who earned nothing
                elif results.has_seeds(arm):
                    entry[name] = {
                        "mean": _said(statistics.mean_over_seeds(values)),
                        "iqm": _said(statistics.iqm_over_seeds(values)),
                    }
                else:
                    entry[name] = {"mean": _said(results.intervals(arm, name, scene)[0])}
            if results.has_seeds(arm) and "experts" in results.arms_in(scene):
                above = results.values(arm, "beside", scene) > results.level("experts", "beside", scene)
                entry["seeds above experts"] = int(above.sum())
                entry["share above experts"] = _said(statistics.share(int(above.sum()), len(above)))
            found.append(entry)
    return found


def curves(study: Study, session: Session) -> dict:
    """Of every trained arm, for each seed: what it earned while learning, and frozen at each checkpoint."""
    found = {}
    for arm in study.arms:
        if isinstance(arm.agents, Learned) and arm.agents.training.name not in found.get(arm.label, {}):
            found[arm.label] = _curve(arm.agents, session)
        if isinstance(arm.agents, LearnedTeam):
            found[arm.label] = _team_curve(arm.agents, session)
    return found


def _curve(agents: Learned, session: Session) -> dict:
    rows, names, own = _logged(agents.training, session)
    name = names[agents.slot]
    checked = f"evaluation/{agents.arm}/{name}"
    keys = {"beside": f"{checked}/social/return", "alone": f"{checked}/solo/return", "gain": f"{checked}/gain/return"}
    found: dict = {"checkpoints": _series([row for row in rows if keys["gain"] in row], keys, own)}
    learning = {"return": f"{agents.arm}/{name}/return"}
    for kind in ("next-frame", "this-frame"):
        key = f"{agents.arm}/{name}/auxiliary_error/{kind}"
        if rows and key in rows[0]:
            learning["auxiliary error"] = key
    found["learning"] = _series(_thin(rows), learning, own)
    return found


def _team_curve(agents: LearnedTeam, session: Session) -> dict:
    """What a team earned together while learning, and what else its members tell, on the mean over them."""
    rows, names, own = _logged(agents.training, session)
    rows = _thin(rows)
    found: dict = {"steps": [row["steps"] for row in rows]}
    kinds = sorted({key.split("/", 2)[2] for key in rows[0] if key.startswith(f"{agents.arm}/{names[0]}/")})
    told = [kind for kind in kinds if kind.split("/")[0] in ("intrinsic", "above_mean", "model_error")]
    for kind in ("return", *told):
        keys = [key for name in names if (key := f"{agents.arm}/{name}/{kind}") in rows[0]]
        values = np.array([[list(row[key])[own] for key in keys] for row in rows], float)  # [rows, agents, seeds]
        combined = values.sum(1) if kind == "return" else values.mean(1)
        found[kind] = combined.T.tolist()
    return {"learning": found}


def _logged(training: Training, session: Session) -> tuple[list[dict], list[str], slice]:
    """What a run logged, the names of its agents, and where the session's seeds stand among its own."""
    folder = session.folder(training)
    config = load_config(folder)
    first = session.seed - config.seed
    return read_metrics(folder), agent_names(config), slice(first, first + session.seeds)


def _thin(rows: list[dict]) -> list[dict]:
    return rows[:: max(1, -(-len(rows) // CURVE_POINTS))]


def _series(rows: list[dict], keys: dict[str, str], own: slice) -> dict:
    """Steps f[N] and, by name, one list a seed of N numbers."""
    by_name = {name: [list(row[key])[own] for row in rows] for name, key in keys.items()}
    return {
        "steps": [row["steps"] for row in rows],
        **{name: [list(seed) for seed in zip(*values, strict=True)] for name, values in by_name.items()},
    }


def trainings(study: Study, session: Session) -> list[dict]:
    """What each program came to: its arms, steps, machine and time."""
    found = []
    for training in study.trainings:
        config, status = session.config(training), session.status(training)
        found.append({
            "training": training.name,
            "arms": [arm.name for arm in config.arms],
            "steps of each seed": config.updates * config.steps_per_update,
            "seconds": status["seconds"],
            "machine": status["machine"],
        })  # fmt: skip
    return found


def all_deviations(study: Study, session: Session) -> list[dict]:
    """In what each program differs from the paper's; what several share is listed once."""
    found: dict[str, dict] = {}
    for training in study.trainings:
        published = None if training.published is None else training.published()
        for row in deviations(session.config(training), published):
            if isinstance(row["here"], str):  # where the runs lie is nobody else's business
                row["here"] = row["here"].replace(str(session.runs), "runs")
            key = repr((row["setting"], row["paper"], row["here"]))
            found.setdefault(key, {**row, "trainings": []})["trainings"].append(training.name)
    return list(found.values())


def cost(study: Study, budget, seeds: int) -> int:
    """Environment steps that learning agents take in all the study's programs."""
    total = 0
    for training in study.trainings:
        config = dataclasses.replace(training.configure(budget), seed=0, seeds=seeds)
        total += config.updates * config.steps_per_update * len(config.members)
    return total


def _said(interval: Interval) -> dict[str, float | None]:
    return {n: float(x) if np.isfinite(x) else None for n, x in zip(("value", "low", "high"), interval, strict=True)}
