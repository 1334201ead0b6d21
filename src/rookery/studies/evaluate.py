"""Play frozen agents on episodes no training saw, beside the others and alone, and store what was measured.

Every measurement is one small file, so a study that is killed between two agents measures none of them twice.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from rookery.storage.atomic import write_json
from rookery.studies.evaluated_agents import ConditionEvaluator, EvaluatedAgent
from rookery.studies.statistics import Interval, mean_over_episodes
from rookery.studies.trained_teams import EvaluatedTeam, TeamConditionEvaluator

MEASURES = ("return_social", "return_solo", "social_gain")
"""Return beside the others, return alone, and social gain: the one less the other, episode by episode."""


def measure_or_load(
    evaluator: ConditionEvaluator | TeamConditionEvaluator,
    agent: EvaluatedAgent | EvaluatedTeam,
    seed: int,
    measurements_dir: Path,
) -> dict:
    """One agent, or one team, in one scene. Returns a row: its measures with intervals, and what the task counts.

    Args:
      seed: of the evaluation episodes: agents of one seed meet the same worlds in every arm.
      store: folder of measurements.
    """
    path = measurements_dir / f"{evaluator.measurement_key(agent, seed)}.json"  # pyright: ignore[reportArgumentType]
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    row = (
        evaluator.evaluate(agent, seed)
        if isinstance(evaluator, TeamConditionEvaluator)
        else _evaluate_agent(evaluator, agent, seed)
    )  # type: ignore[arg-type]
    write_json(path, row)
    return row


def _evaluate_agent(stage: ConditionEvaluator, agent: EvaluatedAgent, seed: int) -> dict:
    team, params = stage.build_team(agent.policy)
    match = stage.team_evaluator(team)
    agents = stage.env.num_agents
    everyone, itself = np.ones(agents, bool), np.arange(agents) == 0
    social = match.evaluate(params, stage.eval_episodes, seed, everyone)
    solo = match.evaluate(params, stage.eval_episodes, seed, itself)
    beside, alone = social.episode_return[:, 0], solo.episode_return[:, 0]
    others = slice(1, None) if agents > 1 else slice(0, 0)

    def counted(tally, who) -> dict[str, float]:
        if not tally.agent_mask[:, who].size:
            return {}
        events = {name: float(value[:, who].mean()) for name, value in tally.task_metrics.items()}
        return {**events, "steps_to_first_reward": float(tally.steps_to_first_reward[:, who].mean())}

    return {
        "eval_episodes": stage.eval_episodes,
        "return_social": _interval_to_dict(mean_over_episodes(beside)),
        "return_solo": _interval_to_dict(mean_over_episodes(alone)),
        "social_gain": _interval_to_dict(mean_over_episodes(beside - alone)),
        "return_partners": float(social.episode_return[:, others].mean()) if agents > 1 else None,
        "metrics_social": counted(social, slice(0, 1)),
        "metrics_solo": counted(solo, slice(0, 1)),
        "metrics_partners": counted(social, others),
    }


def _interval_to_dict(interval: Interval) -> dict[str, float | None]:
    return {name: x if np.isfinite(x) else None for name, x in zip(("mean", "low", "high"), interval, strict=True)}
