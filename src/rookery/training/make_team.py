"""An environment, a team that fills it and the team's parameters: what evaluation, replays and games start from.

Agents are named as on the command line: a zoo entry, a .safetensors file, 'scripted', 'scripted-partial', 'random',
'cooperator' or 'defector'.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rookery.agents import scripted
from rookery.agents.random_policy import RandomPolicy
from rookery.agents.team import AgentGroup, Team
from rookery.agents.team_setup import TeamSetup
from rookery.agents.weights import Agent
from rookery.agents.zoo import check_agent_source, is_agent_path, load_trained_agent
from rookery.dilemma_policies.policy_pairs import DILEMMA_ROLES, make_dilemma_policy
from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, NotFoundError
from rookery.interfaces import Policy, Task
from rookery.limits import as_texts
from rookery.storage.atomic import path_exists
from rookery.storage.run_files import AGENTS_DIR, CONFIG_FILE
from rookery.storage.serialization import apply_overrides, from_dict
from rookery.tasks import registry
from rookery.training.agent_paths import AgentFinder
from rookery.training.config import TaskConfig
from rookery.training.policy_config import check_compatible, scripted_policy
from rookery.types import Env, PyTree

UNTRAINED = (*scripted.OBSERVABILITY_BY_NAME, "random", *DILEMMA_ROLES)
"""Names of agents that were not trained."""
DEFAULT_PARTNERS = "scripted"
NO_PARTNERS = "none"
"""Value of `partners` that leaves every other slot out of the task."""
DEFAULT_TASK = "goal-cycle-v0"
"""Task of an agent that names none: a scripted or random one."""


def make_team_setup(
    agent: str | Path,
    partners: str | Path | None = None,
    task: str | Task | None = None,
    task_overrides: str | Iterable[str] = (),
) -> TeamSetup:
    """Put an agent in a slot of a task, and partners in the other slots.

    A trained agent takes the slot that it was trained in, where the task has one of that number, any other slot 0.

    Args:
      partners: one agent for all other slots, or 'none' to leave them out; None: the partners that the agent was
        trained with, each in its slot, else scripted ones.
      task: an id of `rookery envs`, or a task; None: the task that the agent was trained on.
      task_overrides: KEY=VALUE changes to the task, one or several.
    Raises: NotFoundError, CorruptFileError, IncompatibleError or ConfigError, before anything is compiled.
    """
    check_agent_source("agent", agent)
    if partners is not None:
        check_agent_source("partners", partners)
        partners = os.fspath(partners)
    agent = os.fspath(agent)
    overrides = as_texts("task_overrides", task_overrides, "penalty=0.5")
    chosen = None if task is None else registry.as_task(task)
    trained = None if agent in UNTRAINED else load_trained_agent(agent)
    config = apply_overrides(_trained_task(agent, trained) if chosen is None else chosen, overrides)
    fields = {field.name for field in dataclasses.fields(config)}
    is_grid = {"views", "spawn_delay"} <= fields
    slot = _slot(agent, trained)
    if partners == NO_PARTNERS:
        if not is_grid:
            raise ConfigError(
                f"tasks of kind {config.kind!r} cannot be reduced to one agent; leave out --partners {NO_PARTNERS}: "
                "the agent is evaluated alone as well"
            )
        own = slice(slot, slot + 1) if slot < len(config.views) else slice(1)
        dropout: Any = {"leave_prob": 0.0, "return_prob": 0.0, "leave_step": None, "return_step": None}
        fading: Any = {"visibility": 1.0, "fade": 0.0} if "fading_slots" in fields else {}
        slots: Any = dict.fromkeys(fields & {"dropout_slots", "fading_slots"}, ())
        alone = {"views": config.views[own], "spawn_delay": config.spawn_delay[own], **slots, **dropout, **fading}
        config = dataclasses.replace(config, **alone)
    elif partners is not None and is_grid and len(config.views) == 1:
        config = dataclasses.replace(config, views=config.views * 3, spawn_delay=())  # two experts, as in the paper
    env = registry.make_env(config)
    slot = slot if slot < env.num_agents else 0
    policy, policy_params = load_policy(agent, env, (slot,), trained)
    groups, params = [AgentGroup("agent", (slot,), policy)], {"agent": policy_params}
    others = tuple(other for other in range(env.num_agents) if other != slot)
    for name, source, slots in _partner_groups(agent, partners, trained, others):
        policy, params[name] = _load_partners(agent, source, env, slots, asked_for=partners is not None)
        groups.append(AgentGroup(name, slots, policy))
    return TeamSetup(env, Team(tuple(groups)), params, agent_slot=slot)


def load_policy(source: str, env: Env, slots: tuple[int, ...], trained: Agent | None = None) -> tuple[Policy, PyTree]:
    """A policy for some slots of an environment, and its parameters.

    Args:
      source: how the command line names an agent.
      trained: the agent of `source`, if it is loaded already.
    Raises: NotFoundError, CorruptFileError, IncompatibleError or ConfigError.
    """
    if source in scripted.OBSERVABILITY_BY_NAME:
        return scripted_policy(env, scripted.OBSERVABILITY_BY_NAME[source]), ()
    if source == "random":
        return RandomPolicy(env.num_actions), ()
    if source in DILEMMA_ROLES:
        return make_dilemma_policy(env.task, source), ()
    agent = trained or load_trained_agent(source)
    for slot in slots:
        check_compatible(agent.policy, env.observation_shape(slot), env.num_actions, source)
    return agent.policy, agent.params


def _partner_groups(
    agent: str, partners: str | None, trained: Agent | None, slots: tuple[int, ...]
) -> list[tuple[str, str, tuple[int, ...]]]:
    """Name, source and slots of each group of partners: those asked for, else those of training, else scripted ones."""
    if not slots:
        return []
    card = {} if trained is None else trained.card
    sources = partner_sources(card, partners, slots)
    has_kinds = partners is None and card.get("partners_by_slot")
    groups = []
    for number, kind in enumerate(dict.fromkeys(sources.values()), 1):
        own = tuple(slot for slot in slots if sources[slot] == kind)
        found = _where_run_has_it(agent, kind) if partners is None else kind
        groups.append((f"partners-{number}" if has_kinds else "partners", found, own))
    return groups


def partner_sources(card: dict[str, Any], partners: str | None, slots: Iterable[int]) -> dict[int, str]:
    """What the partner in each of these slots is called: as asked for, else as in the training of the agent with this
    card, else scripted."""
    by_slot = {} if partners is not None else card.get("partners_by_slot", {})
    rest = partners or (None if by_slot else card.get("partners")) or DEFAULT_PARTNERS
    return {slot: by_slot.get(str(slot), rest) for slot in slots}


def _load_partners(agent: str, source: str, env: Env, slots: tuple[int, ...], asked_for: bool) -> tuple[Policy, PyTree]:
    """The policy of a group of partners, and its parameters."""
    try:
        return load_policy(source, env, slots)
    except NotFoundError as error:
        if asked_for:
            raise
        raise NotFoundError(f"{agent} was trained with {source!r}: {error}; use --partners") from None


def _slot(agent: str, trained: Agent | None) -> int:
    """The slot that an agent was trained in; 0 if its card does not say."""
    slot = trained.card.get("slot", 0) if trained is not None else 0
    if slot < 0:
        raise CorruptFileError(f"{agent}: its card says slot={slot}, which must be at least 0")
    return slot


def _trained_task(agent: str, trained: Agent | None) -> Any:
    """The task that an agent was trained on."""
    if trained is None or "task" not in trained.card:
        return registry.get_task(DEFAULT_TASK)
    try:
        return from_dict(TaskConfig, trained.card["task"], "task")  # type: ignore[arg-type] (a union)
    except ConfigError as error:  # a newer version may have more settings
        raise IncompatibleError(
            f"{agent}: its card has a task that this version does not know: {error}; use --task"
        ) from None


def _where_run_has_it(agent: str, partners: str) -> str:
    """Partners that are a file, where the run of this agent finds it."""
    folder = Path(agent).resolve().parent
    if is_agent_path(partners) and folder.name == AGENTS_DIR and path_exists(folder.parent / CONFIG_FILE):
        try:
            return AgentFinder.of_run(folder.parent)(partners)
        except NotFoundError as error:
            raise NotFoundError(f"{error}, or name others by --partners") from None
    return partners
