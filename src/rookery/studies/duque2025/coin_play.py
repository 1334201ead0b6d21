"""How learned teams of two play Coin Game: with each other, and each agent with scripted ones.

What is measured is stored as of iterated matrix games (`iterated_play.EXTRA`), so that the same claims judge it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from rookery.dilemma_policies.policy_pairs import DILEMMA_ROLES
from rookery.learning.rollout import EpisodeStats
from rookery.studies.agent_sources import TrainedTeam
from rookery.studies.duque2025.iterated_play import EXTRA, NUM_EPISODES, play_with_scripted, with_scripted
from rookery.studies.frozen_evaluation import TeamEvalCondition
from rookery.studies.session import Session

OWN_COINS = "fraction of own coins"
"""Of the coins that an agent takes, those of its own color; ½ for one that does not care."""
COINS = "coins"
"""Coins that an agent takes in a step."""
REWARD = "reward"
"""Reward of an agent per step."""


def measure_coin_play(
    session: Session, eval_condition: TeamEvalCondition, teams: Mapping[str, TrainedTeam]
) -> dict[str, Any]:
    """{EXTRA: {team: {measure: [[of each slot] of each seed]}}}; None for a fraction of no coins."""
    evaluator, measured = session.evaluator(eval_condition), {}
    env, episodes = evaluator.env, min(session.eval_episodes, NUM_EPISODES)
    for label, team in teams.items():
        rows = []
        for agent in team.evaluated_agents(session):
            seed = agent.seed or 0
            together = evaluator.play(evaluator.build_team(agent), seed)
            row = [coin_measures(together, slot, env.max_steps) for slot in range(env.num_agents)]
            for measures, policy in zip(row, agent.policies, strict=True):
                for role in DILEMMA_ROLES:
                    stats = play_with_scripted(env, policy, role, episodes, seed)
                    own = coin_measures(stats, 0, env.max_steps)
                    measures |= {with_scripted(name, role): value for name, value in own.items()}
            rows.append(row)
        measured[label] = {name: [[slot[name] for slot in row] for row in rows] for name in rows[0][0]}
    return {EXTRA: measured}


def coin_measures(stats: EpisodeStats, slot: int, num_steps: int) -> dict[str, float | None]:
    """`OWN_COINS`, `COINS` and `REWARD` of the agent in a slot, over episodes of `num_steps` steps."""
    own, others = (_of_slot(stats.task_metrics[name], slot) for name in ("own_coins", "others_coins"))
    taken = own.sum() + others.sum()
    return {
        OWN_COINS: float(own.sum() / taken) if taken else None,
        COINS: float(taken) / len(own) / num_steps,
        REWARD: float(_of_slot(stats.episode_return, slot).mean()) / num_steps,
    }


def _of_slot(values: Any, slot: int) -> Float[np.ndarray, "E"]:
    return np.asarray(values, np.float64)[:, slot]
