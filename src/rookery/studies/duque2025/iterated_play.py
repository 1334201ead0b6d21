"""How learned teams of two play an iterated matrix game: with each other, and each agent with scripted ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from rookery.agents.team import AgentGroup, Team
from rookery.agents.team_setup import TeamSetup
from rookery.dilemma_policies.policy_pairs import DILEMMA_ROLES, DilemmaRole, make_dilemma_policy
from rookery.intervals import Interval
from rookery.learning.rollout import EpisodeStats
from rookery.studies.agent_sources import TrainedTeam
from rookery.studies.claims import judge_difference, judge_mean
from rookery.studies.results import Results
from rookery.studies.rollout_traces import rollout_traces
from rookery.studies.session import Session
from rookery.studies.study import UNDECIDED, Claim, Figures, Verdict
from rookery.tasks.matrix_games import COOPERATE
from rookery.tasks.registry import make_env
from rookery.training.evaluation import EVAL_BATCH_SIZE, evaluate_team
from rookery.training.policy_config import PolicyConfig
from rookery.types import Env
from rookery.viz.plots import interval_dots

NUM_EPISODES = 200
"""Episodes of each play, at most."""
EXTRA = "iterated_play"
"""Where a study's extra measurements hold what `measure_play` returns."""
COOPERATION = "cooperation"
"""Fraction of steps of play with each other in which an agent cooperates."""
AFTER = {True: "cooperation after the other cooperated", False: "cooperation after the other defected"}
"""Fraction of the steps after the other agent's cooperation, or defection, in which an agent cooperates."""
RESPONSE = "response"
"""The first of `AFTER` minus the second: 1 for tit for tat, 0 for an agent that ignores the other one."""


def with_scripted(measure: str, role: str) -> str:
    """Name of a measure of play with a scripted agent; `measure`: 'cooperation' or 'reward', per step."""
    return f"{measure} with a {role}"


def measure_play(session: Session, teams: Mapping[str, TrainedTeam], task: Any) -> dict[str, Any]:
    """{EXTRA: {team: {measure: [[of each slot] of each seed]}}}; None where a response is undefined."""
    env, measured = make_env(task), {}
    episodes = min(session.eval_episodes, NUM_EPISODES)
    for label, team in teams.items():
        rows = [
            [response_measures(np.asarray(trace.action), slot) for slot in range(env.num_agents)]
            for _, trace in rollout_traces(session, team, episodes)
        ]
        for row, agent in zip(rows, team.evaluated_agents(session), strict=True):
            for measures, policy in zip(row, agent.policies, strict=True):
                measures |= scripted_measures(env, policy, episodes, agent.seed or 0)
        measured[label] = {name: [[slot[name] for slot in row] for row in rows] for name in rows[0][0]}
    return {EXTRA: measured}


def response_measures(action: Int[np.ndarray, "T E 2"], slot: int) -> dict[str, float | None]:
    """How often the agent in a slot cooperates, in all, and after what the other one did a step earlier."""
    cooperates = action == COOPERATE
    own, others_last = cooperates[1:, :, slot], cooperates[:-1, :, 1 - slot]
    after = {name: _mean_or_none(own[others_last == did]) for did, name in AFTER.items()}
    first, second = after.values()
    response = None if first is None or second is None else first - second
    return {COOPERATION: float(cooperates[..., slot].mean()), **after, RESPONSE: response}


def _mean_or_none(values: np.ndarray) -> float | None:
    return float(values.mean()) if values.size else None


def scripted_measures(env: Env, agent: PolicyConfig, episodes: int, seed: int) -> dict[str, float]:
    """Cooperation and reward per step of a frozen agent with a scripted cooperator, and with a scripted defector."""
    measures = {}
    for role in DILEMMA_ROLES:
        stats = play_with_scripted(env, agent, role, episodes, seed)
        steps = env.max_steps
        measures[with_scripted("cooperation", role)] = float(stats.task_metrics["cooperations"][:, 0].mean()) / steps
        measures[with_scripted("reward", role)] = float(stats.episode_return[:, 0].mean()) / steps
    return measures


def play_with_scripted(env: Env, agent: PolicyConfig, role: DilemmaRole, episodes: int, seed: int) -> EpisodeStats:
    """Episodes of a frozen agent, in slot 0, with the task's scripted agent of a role."""
    policy, params = agent.make_policy(env, 0, "agent")
    partner = AgentGroup("partner", (1,), make_dilemma_policy(env.task, role))
    setup = TeamSetup(env, Team((AgentGroup("agent", (0,), policy), partner)), {"agent": params, "partner": ()})
    return evaluate_team(setup, episodes, seed, batch_size=min(episodes, EVAL_BATCH_SIZE))


def play_values(results: Results, team: str, measure: str, slot: int | None = None) -> np.ndarray:
    """Of the agent in a slot, or the mean over the agents of each seed, f[seeds]; NaN where it is undefined for all."""
    rows = results.extra[EXTRA][team][measure]
    rows = rows if slot is None else [[row[slot]] for row in rows]
    defined = [[value for value in row if value is not None] for row in rows]
    return np.array([np.mean(row) if row else math.nan for row in defined], float)


def play_dots(name: str, results: Results, teams: Iterable[str], measure: str, caption: str) -> Figures:
    """A figure of a measure with a row per team, without seeds in which it is undefined; none if all are."""
    rows = {team: _defined(play_values(results, team, measure))[0] for team in teams}
    rows = {team: values for team, values in rows.items() if len(values)}
    return [(name, interval_dots(rows, xlabel=measure), caption)] if rows else []


def play_mean(
    text: str,
    team: str,
    measure: str,
    *,
    slot: int | None = None,
    above: float = -math.inf,
    below: float = math.inf,
) -> Claim:
    """A team's mean over seeds lies above or below a number, give one of the two; `slot`: of its agent there alone."""

    def judge(results: Results) -> Verdict:
        values = play_values(results, team, measure, slot)
        bound = f"> {above:g}" if math.isfinite(above) else f"< {below:g}"
        quantity = f"{measure} of {_name_agents(team, slot)}; claimed {bound}"
        defined, detail = _defined(values)
        if not len(defined):
            return Verdict(UNDECIDED, f"{quantity}: undefined in every seed", Interval.unknown())
        return judge_mean(defined, quantity, above=above, below=below, detail=detail)

    return Claim(text=text, judge=judge)


def play_greater(text: str, team: str, other: str, measure: str, *, slot: int | None = None) -> Claim:
    """A team's mean over seeds exceeds that of another one; `slot`: of the first team's agent in a slot alone."""

    def judge(results: Results) -> Verdict:
        quantity = f"{measure}: {_name_agents(team, slot)} minus '{other}'; claimed > 0"
        first, detail = _defined(play_values(results, team, measure, slot))
        second, other_detail = _defined(play_values(results, other, measure))
        if not (len(first) and len(second)):
            return Verdict(UNDECIDED, f"{quantity}: undefined in every seed of one of them", Interval.unknown())
        return judge_difference(first, second, quantity, above=0.0, detail=detail or other_detail)

    return Claim(text=text, judge=judge)


def _name_agents(team: str, slot: int | None) -> str:
    return f"'{team}'" if slot is None else f"agent {slot} of '{team}'"


def _defined(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Those that are not NaN, and what to say if some are."""
    defined = values[np.isfinite(values)]
    return defined, "" if len(defined) == len(values) else f"defined in {len(defined)} of {len(values)} seeds"
