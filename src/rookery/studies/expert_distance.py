"""How near an agent keeps to the others, step by step."""

from __future__ import annotations

import json

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rookery.agents.team import Team, act_all, initial_carry
from rookery.gridworld.state import GridState
from rookery.storage.atomic import write_json
from rookery.studies import statistics
from rookery.studies.claims import judge_interval, withhold_if_few_seeds
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Claim, Condition, EvalCondition, Verdict
from rookery.training.evaluation import evaluation_key
from rookery.types import Env, PRNGKey, PyTree

DISTANCE_STREAM = 20_000
"""Of the keys of these episodes: others than those the returns are measured on."""


def distance_to_nearest(state: GridState) -> Float[Array, ""]:
    """Fewest steps, walls aside, from agent 0 to another that is in the world; NaN if there is none."""
    away = jnp.abs(state.position[1:] - state.position[0]).sum(-1)
    nearest = jnp.min(jnp.where(state.agent_mask[1:], away, 10**6))
    return jnp.where(nearest < 10**6, nearest * 1.0, jnp.nan)


def mean_distances(env: Env, team: Team, params: dict[str, PyTree], key: PRNGKey, episodes: int) -> Float[Array, "T"]:
    """`distance` after every step of an episode, mean over episodes with everybody present."""
    reset_key, act_key = jax.random.split(key)
    env_params = env.default_params()
    present = jnp.ones((episodes, env.num_agents), bool)
    state, told = jax.vmap(env.reset, (0, None, 0))(jax.random.split(reset_key, episodes), env_params, present)
    carries = {group.name: initial_carry(group, episodes) for group in team.groups}

    def step(loop, t):
        state, told, carries = loop
        action, carries = act_all(team, params, carries, told, state, jax.random.fold_in(act_key, t))
        state, told = jax.vmap(env.step, (0, 0, None))(state, action, env_params)
        return (state, told, carries), jnp.nanmean(jax.vmap(distance_to_nearest)(state))

    return jax.lax.scan(step, (state, told, carries), jnp.arange(env.max_steps))[1]


def distance_profiles(
    session: Session, eval_condition: EvalCondition, conditions: tuple[Condition, ...], max_episodes: int = 250
) -> dict:
    """{'distance': {arm: one list a seed, cells after each step}}: agents in slot 0 beside the scene's company."""
    stage = session.evaluator(eval_condition)
    count = min(max_episodes, session.eval_episodes)
    compiled: dict = {}
    found: dict[str, list[list[float]]] = {}
    for arm in conditions:
        for agent in session.evaluated_agents(arm.agents):
            seed = session.seed if agent.seed is None else agent.seed
            path = session.measurements_dir / f"{stage.measurement_key(agent, seed)}-distance.json"
            if not path.exists():
                team, params = stage.build_team(agent.policy)
                play = compiled.setdefault(
                    team.groups[0].policy, jax.jit(lambda p, k, t=team: mean_distances(stage.env, t, p, k, count))
                )
                told = np.asarray(play(params, evaluation_key(seed, DISTANCE_STREAM)))
                write_json(path, [round(float(x), 4) for x in told])
            found.setdefault(arm.label, []).append(json.loads(path.read_text(encoding="utf-8")))
    return {"distance_to_expert": found}


def stays_nearer(text: str, condition: str, other: str) -> Claim:
    """Over the second half of an episode the arm keeps nearer to an expert than another arm does."""

    def judge(results: Results) -> Verdict:
        halves = []
        for name in (condition, other):
            profile = np.array(results.data["extra_measurements"]["distance_to_expert"][name])
            halves.append(profile[:, profile.shape[1] // 2 :].mean(1))
        found = withhold_if_few_seeds(statistics.difference_of_means(*halves), min(map(len, halves)))
        named = f"cells to the nearest expert of {condition} less of {other}; claimed < 0"
        return Verdict(judge_interval(found, below=0.0), named, found)

    return Claim(text=text, judge=judge)
