"""From a configuration to the program that runs it."""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import numpy as np

from rookery.agents import scripted, zoo
from rookery.agents.communication import CommunicationConfig
from rookery.agents.random_policy import RandomPolicy
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.team import AgentGroup, Team
from rookery.agents.trained_teacher import make_trained_teacher
from rookery.errors import ConfigError, IncompatibleError, NotFoundError
from rookery.gridworld.spec import GridSpec
from rookery.learning.rollout import requested_info
from rookery.tasks.registry import make_env
from rookery.training.config import (
    FrozenPolicyConfig,
    GroupConfig,
    OraclePolicyConfig,
    RecurrentPolicyConfig,
    RunConfig,
    ScriptedPolicyConfig,
)
from rookery.training.train_step import Run
from rookery.types import Env, Policy, PyTree

SEED_PLACEHOLDER = "{seed}"
"""In the path of a starting agent: stands for each member's own seed."""


def build(config: RunConfig) -> Run:
    """Join task and team, and load the agents that do not learn.

    Raises: ConfigError, MissingError, CorruptError or MisfitError, before anything is compiled or written.
    """
    env = make_env(config.task)
    groups, frozen = [], {}
    for entry in config.team:
        if max(entry.slots) >= env.num_agents:
            raise ConfigError(
                f"group {entry.name!r} fills slot {max(entry.slots)}, the task has slots 0 to {env.num_agents - 1}; "
                "give the task one view an agent"
            )
        policy, params = group_policy(entry, env)
        watched = getattr(entry.learner, "intrinsic", ()) or any(
            "policies" in requested_info(other) for other in config.team
        )
        if entry.learner is not None and watched and policy.communication is None:
            # Methods weigh an agent's choices by its own policy, and count who is beside it.
            policy = dataclasses.replace(policy, communication=CommunicationConfig(), num_agents=env.num_agents)
        if entry.learner is not None:
            policy = entry.learner.eval_policy(policy)
        teacher = None if (name := getattr(entry.learner, "teacher", None)) is None else _make_teacher(name, entry, env)
        groups.append(AgentGroup(entry.name, entry.slots, policy, entry.learner, teacher))
        if entry.learner is None:
            frozen[entry.name] = params
    return Run(config=config, env=env, team=Team(tuple(groups)), frozen_params=frozen)


def checkpoint_hashes(config: RunConfig) -> dict[str, str]:
    """SHA-256 of the weights of every trained agent that plays or teaches as it is, by what the run calls it.

    Raises: as `zoo.load`.
    """
    named: set[str] = {entry.policy.checkpoint for entry in config.team if isinstance(entry.policy, FrozenPolicyConfig)}
    teachers = {getattr(entry.learner, "teacher", None) for entry in config.team}
    named |= {name for name in teachers if name is not None} - set(scripted.OBSERVABILITY_BY_NAME)
    return {source: zoo.load_trained_agent(source).card["sha256"] for source in sorted(named)}


def group_policy(entry: GroupConfig, env: Env) -> tuple:
    """The group's policy, and its parameters where it is frozen (else None)."""
    shape = env.observation_shape(entry.slots[0])
    chosen = entry.policy
    if isinstance(chosen, RecurrentPolicyConfig):
        policy = RecurrentPolicy(chosen.network, shape, env.num_actions)
        if chosen.communication is not None:
            policy = dataclasses.replace(policy, communication=chosen.communication, num_agents=env.num_agents)
        return policy, None
    if isinstance(chosen, FrozenPolicyConfig):
        agent = zoo.load_trained_agent(chosen.checkpoint)
        check_compatible(agent.policy, shape, env.num_actions, f"group {entry.name!r}: {chosen.checkpoint}")
        return agent.policy, agent.params
    if isinstance(chosen, ScriptedPolicyConfig):
        return scripted_policy(env, chosen.observability), ()
    if isinstance(chosen, OraclePolicyConfig):
        return scripted.make_oracle(getattr(env, "task", env), chosen.error_prob), ()
    return RandomPolicy(env.num_actions), ()


def _make_teacher(name: str, entry: GroupConfig, env: Env) -> Policy:
    """Who teaches a group: the task's scripted expert, or a trained agent that sees by a view of its own."""
    if name in scripted.OBSERVABILITY_BY_NAME:
        return scripted_policy(env, scripted.OBSERVABILITY_BY_NAME[name])
    who = f"group {entry.name!r}: teacher={name!r}"
    try:
        agent = zoo.load_trained_agent(name)
    except NotFoundError as error:
        raise NotFoundError(
            f"{who} is neither 'scripted' nor 'scripted-partial', the scripted experts, nor a trained agent: {error}"
        ) from None
    spec = getattr(getattr(env, "task", None), "grid_spec", None)
    if not isinstance(spec, GridSpec):
        raise ConfigError(f"{who}: only tasks of the grid can show a trained teacher its pupil's place")
    return make_trained_teacher(agent, spec, entry.slots[0], who)


def scripted_policy(env: Env, observability: Literal["full", "partial"] = "full") -> Policy:
    """The task's scripted expert of one sight. Raises ConfigError where it has none, naming those that have."""
    return scripted.make_expert(getattr(env, "task", env), observability)


def check_compatible(policy: RecurrentPolicy, observation_shape: tuple[int, ...], num_actions: int, label: str) -> None:
    """Raises MisfitError where a trained agent cannot read these observations or has actions the world lacks."""
    if policy.observation_shape != observation_shape:
        raise IncompatibleError(
            f"{label} was trained on observations of {policy.observation_shape}, here it would see {observation_shape}; "
            "set its view's size, kind and tile_size as in its card"
        )
    if policy.num_actions > num_actions:
        raise IncompatibleError(
            f"{label} has {policy.num_actions} actions, this world only {num_actions}; set num_actions=7"
        )


def initial_params(config: RunConfig, run: Run) -> dict[str, PyTree]:
    """Policy parameters that learning groups start from instead of a fresh draw, by group.

    With '{seed}' in its path every member starts from the agent of its own seed; leaves then lead [M, 1].
    """
    found = {}
    for entry in config.team:
        start = getattr(entry.policy, "init_from", None)
        if entry.learner is not None and start is not None:
            group = next(g for g in run.team.groups if g.name == entry.name)
            if SEED_PLACEHOLDER in start:
                own = {
                    s: _load_initial_params(start.replace(SEED_PLACEHOLDER, str(s)), group)
                    for s in sorted({s for _, s in config.replicas})
                }
                members = [own[seed] for _, seed in config.replicas]
                found[entry.name] = jax.tree.map(lambda *leaves: np.stack(leaves)[:, None], *members)
            else:
                found[entry.name] = _load_initial_params(start, group)
    return found


def _load_initial_params(init_from: str, group: AgentGroup) -> PyTree:
    agent = zoo.load_trained_agent(init_from)

    def fit(policy: RecurrentPolicy) -> str:
        shape = "×".join(map(str, policy.observation_shape))
        told = (
            f", {policy.comms_obs_size} numbers heard and {policy.vocab_size} symbols" if policy.comms_obs_size else ""
        )
        return f"{policy.network} for views of {shape}, {policy.num_actions} actions{told}"

    if fit(agent.policy) != fit(group.policy):
        raise IncompatibleError(
            f"group {group.name!r}: {init_from} has {fit(agent.policy)}; the group has {fit(group.policy)}"
        )
    return agent.params
