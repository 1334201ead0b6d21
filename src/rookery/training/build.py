"""From a configuration to the run it describes: policies, teachers and the weights that training starts from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rookery.agents.communication import CommunicationConfig
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.scripted import OBSERVABILITY_BY_NAME
from rookery.agents.team import AgentGroup, Team
from rookery.agents.trained_teacher import make_trained_teacher
from rookery.agents.zoo import load_trained_agent
from rookery.errors import ConfigError, IncompatibleError, NotFoundError
from rookery.interfaces import Policy, check_required_info
from rookery.learning.requested import check_has_others
from rookery.learning.rollout import requested_info
from rookery.plugins import AUXILIARY_LOSSES, INTRINSIC_REWARDS, LEARNERS, NETWORKS, Registry
from rookery.tasks.checks import check_jax_settings
from rookery.tasks.registry import make_env, task_types
from rookery.training.agent_paths import FindAgent
from rookery.training.config import GroupConfig, RunConfig
from rookery.training.extension_checks import check_environment
from rookery.training.policy_config import scripted_policy
from rookery.training.train_step import Run
from rookery.types import Env, PyTree

SEED_PLACEHOLDER = "{seed}"
"""In `init_from` and `checkpoint`: replaced by each replica's own seed."""


def check_run_folder(name: str, folder: Path) -> None:
    """Check a folder in which runs start from the agents of others, whose paths then have the placeholder.

    Args:
      name: what the folder is given as.
    Raises: ConfigError for one whose own path has the placeholder, which each seed would replace, too.
    """
    if SEED_PLACEHOLDER in str(folder):
        raise ConfigError(
            f"{name}={folder} must not have {SEED_PLACEHOLDER!r} in it, which stands for a replica's seed in the paths "
            "of its agents; choose another folder"
        )


def build(config: RunConfig, find: FindAgent = str) -> Run:
    """Join task and team, and load the agents that do not learn.

    Args:
      find: where agents are loaded from, by their names in the configuration; `str`: as they are named.
    Raises: ConfigError, NotFoundError, CorruptFileError or IncompatibleError, before anything is compiled or written.
    """
    check_jax_settings()
    env = make_env(config.task)
    check_environment(config.task, env)
    groups, frozen_params, replica_params = [], {}, {}
    for entry in config.team:
        if max(entry.slots) >= env.num_agents:
            raise ConfigError(
                f"group {entry.name!r} fills slot {max(entry.slots)}, the task has slots 0 to {env.num_agents - 1}; "
                "give the task one view per agent"
            )
        teacher = None
        if SEED_PLACEHOLDER in entry.policy.checkpoint:
            policy, replica_params[entry.name] = _load_by_seed(entry, config, env, find)
        else:
            policy, params = _found(entry.policy, find).make_policy(env, entry.slots[0], entry.name)
            if entry.learner is None:
                frozen_params[entry.name] = params
        if entry.learner is not None:
            policy = entry.learner.eval_policy(with_communication(policy, entry, config, env))
            for part in (entry.learner, *entry.learner.auxiliary, *entry.learner.intrinsic):
                check_required_info(part)
                check_has_others(part, policy)
            _check_leaving(entry, env)
            for part in (*entry.learner.auxiliary, *entry.learner.intrinsic):
                part.validate(policy)
            if entry.learner.teacher is not None:
                teacher = _make_teacher(entry.learner.teacher, entry, env, find)
        groups.append(AgentGroup(entry.name, entry.slots, policy, entry.learner, teacher))
    return Run(config, env, Team(tuple(groups)), frozen_params, replica_params=replica_params)


def _check_leaving(entry: GroupConfig, env: Env) -> None:
    """Raises ConfigError for agents that may leave and return, which a learner or reward of theirs does not support."""
    leaving = sorted(set(entry.slots) & set(env.dropout_slots))
    assert entry.learner is not None, "only agents that learn are checked"
    for part in (entry.learner, *entry.learner.intrinsic):
        if leaving and not part.supports_leaving:
            raise ConfigError(
                f"group {entry.name!r}: {part.kind!r} does not support agents that leave within an episode and return, "
                f"and slots {leaving} are in the task's dropout_slots; take them out, or use "
                f"{'another learner, such as ppo' if part is entry.learner else 'another reward'}"
            )


def _found(policy: Any, find: FindAgent) -> Any:
    """The policy with its trained agent, if it has one, where it is found."""
    checkpoint = policy.checkpoint and find(policy.checkpoint)
    return policy if checkpoint == policy.checkpoint else dataclasses.replace(policy, checkpoint=checkpoint)


def check_registered(config: RunConfig) -> None:
    """Check that the saved configuration can be read again.

    Raises: ConfigError for a task, network, learner, loss or reward whose class is not registered.
    """
    task = type(config.task)
    if (task.__module__, task.__qualname__) not in {(known.__module__, known.__qualname__) for known in task_types()}:
        raise ConfigError(
            f"{task.__name__} (kind {config.task.kind!r}) is not a registered task, so its run could not be resumed; "
            f'call rookery.register("my-task-v0", "one line about it", {task.__name__}()) first'
        )
    for entry in config.team:
        network, learner = getattr(entry.policy, "network", None), entry.learner
        _check_registered(network, NETWORKS, "register_network")
        _check_registered(learner, LEARNERS, "register_learner")
        for loss in learner.auxiliary if learner is not None else ():
            _check_registered(loss, AUXILIARY_LOSSES, "register_auxiliary_loss")
        for reward in learner.intrinsic if learner is not None else ():
            _check_registered(reward, INTRINSIC_REWARDS, "register_intrinsic_reward")


def _check_registered(part: Any, registry: Registry, function: str) -> None:
    """By name: a cell of a notebook that runs twice makes a second class with the name of the first."""
    if part is None:
        return
    own = type(part)
    known = registry.get(part.kind) if part.kind in registry.names() else None
    if known is None or (known.__module__, known.__qualname__) != (own.__module__, own.__qualname__):
        raise ConfigError(
            f"{own.__name__} (kind {part.kind!r}) is not a registered {registry.noun}, so its run could not be resumed;"
            f" call rookery.{function}({own.__name__}) first. Registered kinds: {', '.join(registry.names())}"
        )


def _load_by_seed(entry: GroupConfig, config: RunConfig, env: Env, find: FindAgent) -> tuple[Policy, PyTree]:
    """A group whose agent is another one in each replica: the policy, and the parameters, leaves [M, ...].

    Raises: IncompatibleError if the agents have different networks.
    """
    path, by_seed = entry.policy.checkpoint, {}
    for seed in sorted({seed for _, seed in config.replicas}):
        one = dataclasses.replace(entry.policy, checkpoint=path.replace(SEED_PLACEHOLDER, str(seed)))  # type: ignore[type-var]
        by_seed[seed] = _found(one, find).make_policy(env, entry.slots[0], entry.name)
    policies = {policy for policy, _ in by_seed.values()}
    if len(policies) > 1:
        raise IncompatibleError(f"group {entry.name!r}: the agents of {path} have different networks; use one kind")
    replicas = [by_seed[seed][1] for _, seed in config.replicas]
    return policies.pop(), jax.tree.map(lambda *leaves: np.stack(leaves), *replicas)


def with_communication(policy: Any, entry: GroupConfig, config: RunConfig, env: Env) -> RecurrentPolicy:
    """The policy, with the number of agents if intrinsic rewards or auxiliary losses compare it with others.

    They need it of their own agent's policy; a reward for influence also of the others' policies.
    """
    rewards = () if entry.learner is None else entry.learner.intrinsic
    compared = rewards or requested_info(entry) or any("influence" in requested_info(group) for group in config.team)
    if not compared or policy.communication is not None:
        return policy
    return dataclasses.replace(policy, communication=CommunicationConfig(), num_agents=env.num_agents)


def checkpoint_hashes(config: RunConfig, find: FindAgent = str) -> dict[str, str]:
    """SHA-256 of the weights of every trained agent that acts or teaches unchanged, by its name in the configuration.

    Args:
      find: as for `build`.
    Raises: as `load_trained_agent`.
    """
    teachers = {entry.learner.teacher for entry in config.team if entry.learner is not None}
    names = _of_every_seed(config, {entry.policy.checkpoint for entry in config.team})
    return _hashes(names | teachers - {*OBSERVABILITY_BY_NAME}, find)


def initial_hashes(config: RunConfig, find: FindAgent = str) -> dict[str, str]:
    """SHA-256 of the weights of every trained agent that training starts from. They are read when a run begins, and not
    again once it has a checkpoint.

    Args:
      find: as for `build`.
    Raises: as `load_trained_agent`.
    """
    return _hashes(_of_every_seed(config, {entry.policy.init_from or "" for entry in config.team}), find)


def _of_every_seed(config: RunConfig, paths: set[str]) -> set[str]:
    return {path.replace(SEED_PLACEHOLDER, str(seed)) for path in paths for _, seed in config.replicas}


def _hashes(names: set[str], find: FindAgent) -> dict[str, str]:
    return {name: load_trained_agent(find(name)).card["sha256"] for name in sorted(filter(None, names))}


def _make_teacher(name: str, entry: GroupConfig, env: Env, find: FindAgent) -> Policy:
    """A group's teacher: the task's scripted expert, or a trained agent that observes by a view of its own."""
    if name in OBSERVABILITY_BY_NAME:
        return scripted_policy(env, OBSERVABILITY_BY_NAME[name])
    label = f"group {entry.name!r}: teacher={name!r}"
    try:
        agent = load_trained_agent(find(name))
    except NotFoundError as error:
        names = " nor ".join(map(repr, OBSERVABILITY_BY_NAME))
        raise NotFoundError(f"{label} is neither {names}, the scripted experts, nor a trained agent: {error}") from None
    if (spec := env.task.grid_spec) is None:
        raise ConfigError(f"{label}: only gridworld tasks support a trained teacher; use 'scripted', or another task")
    if len({dataclasses.replace(spec.views[slot], can_hide_goals=False) for slot in entry.slots}) > 1:
        raise ConfigError(
            f"{label} sees by its student's view, and slots {list(entry.slots)} have different ones; make one group "
            "for each view"
        )
    return make_trained_teacher(agent, spec, entry.slots[0], label)


def initial_params(config: RunConfig, run: Run, find: FindAgent = str) -> dict[str, PyTree]:
    """Policy parameters that learning groups start from instead of a random initialization, by group.

    With '{seed}' in its path every replica starts from the agent of its own seed; leaves then lead with [M, 1].

    Args:
      find: as for `build`.
    """
    initial = {}
    for entry in config.team:
        if entry.learner is None or entry.policy.init_from is None:
            continue
        path = entry.policy.init_from
        group = next(group for group in run.team.groups if group.name == entry.name)
        if SEED_PLACEHOLDER in path:
            seeds = sorted({seed for _, seed in config.replicas})
            by_seed = {s: _load_initial_params(find(path.replace(SEED_PLACEHOLDER, str(s))), group) for s in seeds}
            replicas = [by_seed[seed] for _, seed in config.replicas]
            initial[entry.name] = jax.tree.map(lambda *leaves: np.stack(leaves)[:, None], *replicas)
        else:
            initial[entry.name] = _load_initial_params(find(path), group)
    return initial


def _load_initial_params(init_from: str, group: AgentGroup) -> PyTree:
    agent = load_trained_agent(init_from)
    trained, needed = _describe(agent.policy), _describe(group.policy)
    if trained != needed:
        raise IncompatibleError(f"group {group.name!r}: {init_from} has {trained}; the group has {needed}")
    return agent.params


def _describe(policy: Any) -> str:
    """Everything that the shapes of a recurrent policy's parameters depend on."""
    shape = "×".join(map(str, policy.observation_shape))
    inputs = f", {policy.comms_obs_size} communicated inputs and a vocabulary of {policy.vocab_size}"
    communication = inputs if policy.comms_obs_size else ""
    return f"{policy.network} for views of {shape}, {policy.num_actions} actions{communication}"
