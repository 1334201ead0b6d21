"""Distance between an agent and the nearest other agent, step by step."""

from __future__ import annotations

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rookery import intervals
from rookery.agents.team import Team
from rookery.gridworld.state import GridState
from rookery.keys import EXPERT_DISTANCE_EPISODES
from rookery.storage.atomic import write_json
from rookery.studies.claims import judge_interval, withhold_if_few_seeds
from rookery.studies.episode_scan import scan_episodes
from rookery.studies.evaluate import EvalCondition
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Claim, Condition, Verdict
from rookery.training.evaluation import evaluation_key
from rookery.types import Env, PRNGKey, PyTree

TOO_FAR = 10**6
"""Cells; stands for the distance to an agent that is absent."""


def distance_to_nearest(state: GridState) -> Float[Array, ""]:
    """Fewest steps, ignoring walls, from agent 0 to another agent that is present; NaN if there is none."""
    distance = jnp.abs(state.position[1:] - state.position[0]).sum(-1)
    nearest = jnp.min(jnp.where(state.agent_mask[1:], distance, TOO_FAR))
    return jnp.where(nearest < TOO_FAR, nearest * 1.0, jnp.nan)


def mean_distances(
    env: Env, team: Team, params: dict[str, PyTree], key: PRNGKey, num_episodes: int
) -> Float[Array, "T"]:
    """`distance_to_nearest` after every step of an episode, mean over episodes in which all agents take part."""
    return scan_episodes(
        env, team, params, key, num_episodes, lambda step: jnp.nanmean(jax.vmap(distance_to_nearest)(step.next_state))
    )


def distance_profiles(
    session: Session, eval_condition: EvalCondition, conditions: tuple[Condition, ...], max_episodes: int = 250
) -> dict[str, Any]:
    """{'distance_to_expert': {condition: one list per seed}}: cells after each step, with the agent in slot 0 and the
    evaluation condition's partners in the other slots."""
    evaluator = session.evaluator(eval_condition)
    num_episodes = min(max_episodes, session.eval_episodes)
    compiled: dict = {}
    profiles: dict[str, list[list[float]]] = {}
    for condition in conditions:
        for agent in condition.agents.evaluated_agents(session):
            seed = session.seed if agent.seed is None else agent.seed
            path = session.measurements_dir / f"{evaluator.measurement_key(agent, seed)}-distance.json"
            if not path.exists():
                setup = evaluator.build_team(agent)
                play = compiled.setdefault(
                    setup.team.groups[0].policy,
                    jax.jit(lambda p, k, s=setup: mean_distances(s.env, s.team, p, k, num_episodes)),
                )
                distances = np.asarray(play(setup.params, evaluation_key(seed, EXPERT_DISTANCE_EPISODES)))
                write_json(path, [round(float(x), 4) for x in distances])
            profiles.setdefault(condition.label, []).append(json.loads(path.read_text(encoding="utf-8")))
    return {"distance_to_expert": profiles}


def stays_nearer(text: str, condition: str, other: str) -> Claim:
    """Over the second half of an episode the condition's agents stay nearer to an expert than another's."""

    def judge(results: Results) -> Verdict:
        means = []
        for name in (condition, other):
            profile = np.array(results.extra["distance_to_expert"][name])
            means.append(profile[:, profile.shape[1] // 2 :].mean(1))
        interval = withhold_if_few_seeds(intervals.difference_of_means(*means), min(map(len, means)))
        quantity = f"cells to the nearest expert: '{condition}' minus '{other}'; claimed < 0"
        return Verdict(judge_interval(interval, below=0.0), quantity, interval)

    return Claim(text=text, judge=judge)
