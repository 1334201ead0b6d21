"""From a configuration to the program that runs it."""

from __future__ import annotations

import dataclasses
from typing import Any

from rookery.agents import zoo
from rookery.agents.planner import GoalCyclePlanner
from rookery.agents.random import RandomPolicy
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.team import Group, Team
from rookery.errors import ConfigError, MisfitError
from rookery.runs.config import Frozen, GroupConfig, Recurrent, RunConfig, Scripted
from rookery.runs.program import Program
from rookery.tasks.env import Env
from rookery.types import PyTree


def build(config: RunConfig) -> Program:
    """Join task and team, and load the agents that do not learn.

    Raises: ConfigError, MissingError, CorruptError or MisfitError, before anything is compiled or written.
    """
    env = Env(config.task)
    groups, frozen = [], {}
    for entry in config.team:
        if max(entry.slots) >= env.agents:
            raise ConfigError(
                f"group {entry.name!r} fills slot {max(entry.slots)}, the task has slots 0 to {env.agents - 1}; "
                "give the task one view an agent"
            )
        policy, params = _policy(entry, env)
        groups.append(Group(entry.name, entry.slots, policy, entry.learner))
        if entry.learner is None:
            frozen[entry.name] = params
    return Program(config=config, env=env, team=Team(tuple(groups)), frozen=frozen)


def _policy(entry: GroupConfig, env: Env) -> tuple:
    """The group's policy, and its parameters where it is frozen (else None)."""
    shape = env.observation_shape(entry.slots[0])
    chosen = entry.policy
    if isinstance(chosen, Recurrent):
        return RecurrentPolicy(chosen.network, shape, env.actions), None
    if isinstance(chosen, Frozen):
        agent = zoo.load(chosen.source)
        check_fit(agent.policy, shape, env.actions, f"group {entry.name!r}: {chosen.source}")
        return agent.policy, agent.params
    if isinstance(chosen, Scripted):
        return scripted_policy(env), ()
    return RandomPolicy(env.actions), ()


def scripted_policy(env: Env) -> GoalCyclePlanner:
    """The task's scripted expert."""
    task: Any = env.task
    return GoalCyclePlanner(task.goals, task.world.height, task.world.width)


def check_fit(policy: RecurrentPolicy, shape: tuple[int, ...], actions: int, who: str) -> None:
    """Raises MisfitError where a trained agent cannot read these observations or has actions the world lacks."""
    if policy.observation_shape != shape:
        raise MisfitError(
            f"{who} was trained on observations of {policy.observation_shape}, here it would see {shape}; "
            "set its view's size, kind and tile_pixels as in its card"
        )
    if policy.actions > actions:
        raise MisfitError(f"{who} has {policy.actions} actions, this world only {actions}; set actions=7")


def starting_params(config: RunConfig, program: Program) -> dict[str, PyTree]:
    """Policy parameters that learning groups start from instead of a fresh draw, by group."""
    found = {}
    for entry in config.team:
        start = getattr(entry.policy, "start", None)
        if entry.learner is not None and start is not None:
            agent = zoo.load(start)
            group = next(g for g in program.team.groups if g.name == entry.name)
            if dataclasses.astuple(agent.policy) != dataclasses.astuple(group.policy):
                raise MisfitError(
                    f"group {entry.name!r}: {start} has network {agent.policy.network} "
                    f"for {agent.policy.observation_shape} "
                    f"and {agent.policy.actions} actions; the group has {group.policy.network} for "
                    f"{group.policy.observation_shape} and {group.policy.actions}"
                )
            found[entry.name] = agent.params
    return found
