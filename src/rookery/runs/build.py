"""From a configuration to the program that runs it."""

from __future__ import annotations

import dataclasses
from typing import Literal

import jax
import numpy as np

from rookery.agents import scripted, zoo
from rookery.agents.hearing import Hears
from rookery.agents.random import RandomPolicy
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.seeing import seeing
from rookery.agents.team import Group, Team
from rookery.errors import ConfigError, MisfitError, MissingError
from rookery.learning.rollout import asks
from rookery.runs.config import Frozen, GroupConfig, Oracle, Recurrent, RunConfig, Scripted
from rookery.runs.program import Program
from rookery.tasks.registry import environment
from rookery.types import Env, Policy, PyTree
from rookery.world.spec import WorldSpec

SEED = "{seed}"
"""In the path of a starting agent: stands for each member's own seed."""


def build(config: RunConfig) -> Program:
    """Join task and team, and load the agents that do not learn.

    Raises: ConfigError, MissingError, CorruptError or MisfitError, before anything is compiled or written.
    """
    env = environment(config.task)
    groups, frozen = [], {}
    for entry in config.team:
        if max(entry.slots) >= env.agents:
            raise ConfigError(
                f"group {entry.name!r} fills slot {max(entry.slots)}, the task has slots 0 to {env.agents - 1}; "
                "give the task one view an agent"
            )
        policy, params = group_policy(entry, env)
        watched = getattr(entry.learner, "intrinsic", ()) or any("policies" in asks(other) for other in config.team)
        if entry.learner is not None and watched and policy.hears is None:
            # Methods weigh an agent's choices by its own policy, and count who is beside it.
            policy = dataclasses.replace(policy, hears=Hears(), agents=env.agents)
        if entry.learner is not None:
            policy = entry.learner.agent(policy)
        teacher = None if (name := getattr(entry.learner, "teacher", None)) is None else _teacher(name, entry, env)
        groups.append(Group(entry.name, entry.slots, policy, entry.learner, teacher))
        if entry.learner is None:
            frozen[entry.name] = params
    return Program(config=config, env=env, team=Team(tuple(groups)), frozen=frozen)


def pins(config: RunConfig) -> dict[str, str]:
    """SHA-256 of the weights of every trained agent that plays or teaches as it is, by what the run calls it.

    Raises: as `zoo.load`.
    """
    named: set[str] = {entry.policy.source for entry in config.team if isinstance(entry.policy, Frozen)}
    teachers = {getattr(entry.learner, "teacher", None) for entry in config.team}
    named |= {name for name in teachers if name is not None} - {"map", "own"}
    return {source: zoo.load(source).card["sha256"] for source in sorted(named)}


def group_policy(entry: GroupConfig, env: Env) -> tuple:
    """The group's policy, and its parameters where it is frozen (else None)."""
    shape = env.observation_shape(entry.slots[0])
    chosen = entry.policy
    if isinstance(chosen, Recurrent):
        policy = RecurrentPolicy(chosen.network, shape, env.actions)
        if chosen.hears is not None:
            policy = dataclasses.replace(policy, hears=chosen.hears, agents=env.agents)
        return policy, None
    if isinstance(chosen, Frozen):
        agent = zoo.load(chosen.source)
        check_fit(agent.policy, shape, env.actions, f"group {entry.name!r}: {chosen.source}")
        return agent.policy, agent.params
    if isinstance(chosen, Scripted):
        return scripted_policy(env, chosen.sight), ()
    if isinstance(chosen, Oracle):
        return scripted.oracle(getattr(env, "task", env), chosen.noise), ()
    return RandomPolicy(env.actions), ()


def _teacher(name: str, entry: GroupConfig, env: Env) -> Policy:
    """Who teaches a group: the task's scripted expert, or a trained agent that sees by a view of its own."""
    if name in ("map", "own"):
        return scripted_policy(env, name)  # type: ignore[arg-type]
    who = f"group {entry.name!r}: teacher={name!r}"
    try:
        agent = zoo.load(name)
    except MissingError as error:
        raise MissingError(
            f"{who} is neither 'map' nor 'own', the scripted experts, nor a trained agent: {error}"
        ) from None
    spec = getattr(getattr(env, "task", None), "world", None)
    if not isinstance(spec, WorldSpec):
        raise ConfigError(f"{who}: only tasks of the grid can show a trained teacher its pupil's place")
    return seeing(agent, spec, entry.slots[0], who)


def scripted_policy(env: Env, sight: Literal["map", "own"] = "map") -> Policy:
    """The task's scripted expert of one sight. Raises ConfigError where it has none, naming those that have."""
    return scripted.make(getattr(env, "task", env), sight)


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
    """Policy parameters that learning groups start from instead of a fresh draw, by group.

    With '{seed}' in its path every member starts from the agent of its own seed; leaves then lead [M, 1].
    """
    found = {}
    for entry in config.team:
        start = getattr(entry.policy, "start", None)
        if entry.learner is not None and start is not None:
            group = next(g for g in program.team.groups if g.name == entry.name)
            if SEED in start:
                own = {s: _start(start.replace(SEED, str(s)), group) for s in sorted({s for _, s in config.members})}
                members = [own[seed] for _, seed in config.members]
                found[entry.name] = jax.tree.map(lambda *leaves: np.stack(leaves)[:, None], *members)
            else:
                found[entry.name] = _start(start, group)
    return found


def _start(start: str, group: Group) -> PyTree:
    agent = zoo.load(start)

    def fit(policy: RecurrentPolicy) -> str:
        shape = "×".join(map(str, policy.observation_shape))
        told = f", {policy.heard_size} numbers heard and {policy.symbols} symbols" if policy.heard_size else ""
        return f"{policy.network} for views of {shape}, {policy.actions} actions{told}"

    if fit(agent.policy) != fit(group.policy):
        raise MisfitError(f"group {group.name!r}: {start} has {fit(agent.policy)}; the group has {fit(group.policy)}")
    return agent.params
