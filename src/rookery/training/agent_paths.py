"""Where the agents lie that a run's configuration names by path.

A relative path is meant from the working directory in which the run was started, and a run may be moved together with
the agents that it uses. So the folder of a run that uses any has both places on record, and its agents are found from
every working directory.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

from rookery.agents.zoo import is_agent_path
from rookery.errors import CorruptFileError, NotFoundError, StorageError
from rookery.storage.atomic import check_path, check_recordable
from rookery.storage.run_files import CONFIG_FILE
from rookery.storage.serialization import load_json
from rookery.training.config import GroupConfig, RunConfig

STARTED_IN_KEY = "started_in"
"""In a run's CONFIG_FILE, if its configuration names agents by path: what `start_record` returns."""
_PLACES = ("working_directory", "run_dir")

FindAgent: TypeAlias = Callable[[str], str]
"""From an agent's name in a configuration to the one by which it is loaded here and now."""


def start_record(names: Iterable[str], run_dir: Path) -> dict[str, Any]:
    """What a run's CONFIG_FILE says of the place where it is started; nothing if no agent is named by path.

    Raises: StorageError for a path that cannot be recorded.
    """
    paths = [name for name in names if is_agent_path(name)]
    if not paths:
        return {}
    places = (os.getcwd(), os.path.realpath(run_dir))
    for path in (*paths, *places):
        check_recordable(path)
    return {STARTED_IN_KEY: dict(zip(_PLACES, places, strict=True))}


@dataclasses.dataclass(frozen=True)
class AgentFinder:
    """Finds the agents of a run from any working directory, also after it was moved: a `FindAgent`."""

    run_dir: Path
    started_in: dict[str, str] | None
    """Of its record; None: of an older version."""

    @classmethod
    def of_run(cls, run_dir: Path | str) -> AgentFinder:
        """That of a run's folder. Raises: NotFoundError or CorruptFileError."""
        path = Path(run_dir) / CONFIG_FILE
        data = load_json(path, CorruptFileError)
        record = data.get(STARTED_IN_KEY) if isinstance(data, dict) else None
        if record is not None and not (
            isinstance(record, dict) and all(isinstance(record.get(place), str) for place in _PLACES)
        ):
            raise CorruptFileError(f"{path}: {STARTED_IN_KEY!r} must have the paths {' and '.join(_PLACES)}; remove it")
        try:
            if record is not None:
                for place in _PLACES:
                    check_path(record[place])
        except StorageError as error:
            raise CorruptFileError(f"{path}: {STARTED_IN_KEY!r}: {error}") from None
        return cls(Path(run_dir), record)

    def places(self, name: str) -> list[str]:
        """Where the agent of a path may be, absolute, the likeliest first.

        At the same place relative to the run's folder as when it was started, at the same place of the disk, or, of a
        relative path, in the working directory of now.
        Raises: StorageError for a path that no file can have.
        """
        check_path(name)
        here = _absolute(name)
        if self.started_in is None:
            return [here]
        working_directory, old_folder = (self.started_in[place] for place in _PLACES)
        old = os.path.join(working_directory, name)
        places = [old, here]
        with contextlib.suppress(ValueError):  # on another drive
            places.insert(0, os.path.join(os.path.realpath(self.run_dir), os.path.relpath(old, old_folder)))
        return list(dict.fromkeys(map(_absolute, places)))

    def __call__(self, name: str) -> str:
        """Raises: NotFoundError, naming the places, if the agent is at none of them; StorageError as `places`."""
        if not is_agent_path(name):
            return name
        places = self.places(name)
        found = next((place for place in places if os.path.exists(place)), None)
        if found is None:
            listed = places[0] if len(places) == 1 else f"any of {', '.join(places)}"
            raise NotFoundError(f"{self.run_dir} uses the agent {name}, which is not at {listed}; put it back there")
        return found


def with_agents_of(saved: RunConfig, config: RunConfig, find: AgentFinder) -> RunConfig:
    """`saved`, the configuration of a run's folder, with each path that leads to the same agent as that of `config` in
    its place: paths from several working directories are then equal."""
    if len(saved.team) != len(config.team):
        return saved

    def renamed(old: str, new: str) -> str:
        is_same = is_agent_path(old) and is_agent_path(new) and _absolute(new) in find.places(old)
        return new if is_same else old

    def of_group(group: GroupConfig, other: GroupConfig) -> GroupConfig:
        others = iter(_group_agent_names(other))
        names = _group_agent_names(group)
        return _replace_names(group, [renamed(old, new) for old, new in zip(names, others, strict=True)])

    return dataclasses.replace(saved, team=tuple(map(of_group, saved.team, config.team)))


def differing_agents(left: RunConfig, right: RunConfig) -> list[tuple[str, str]]:
    """The names of agents that differ between two configurations whose teams are alike otherwise; else nothing."""
    pairs = list(zip(agent_names(left), agent_names(right), strict=False))
    if len(left.team) != len(right.team) or not all(map(all, (pair for pair in pairs if any(pair)))):
        return []
    team = tuple(_replace_names(a, _group_agent_names(b)) for a, b in zip(left.team, right.team, strict=True))
    return [(a, b) for a, b in pairs if a != b] if team == right.team else []


def _absolute(path: str) -> str:
    """The absolute path without links to folders; a link to the file itself stays, for its card lies next to it.

    Raises: StorageError for a path that no file can have.
    """
    check_path(path)
    return os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))


def agent_names(config: RunConfig) -> list[str]:
    """The trained agents that a configuration names, among empty names and those of scripted experts."""
    return [name for group in config.team for name in _group_agent_names(group)]


def _group_agent_names(group: GroupConfig) -> list[str]:
    """The agents that a group acts as, starts from and learns from; empty where there is none."""
    return [group.policy.checkpoint, group.policy.init_from or "", (group.learner and group.learner.teacher) or ""]


def _replace_names(group: GroupConfig, names: list[str]) -> GroupConfig:
    """The group with other names of agents, in the order of `_group_agent_names`."""
    if names == _group_agent_names(group):
        return group
    checkpoint, init_from, teacher = names
    policy: Any = group.policy
    learner: Any = group.learner
    if checkpoint != policy.checkpoint:
        policy = dataclasses.replace(policy, checkpoint=checkpoint)
    if init_from != (policy.init_from or ""):
        policy = dataclasses.replace(policy, init_from=init_from)
    if learner is not None and teacher != (learner.teacher or ""):
        learner = dataclasses.replace(learner, teacher=teacher)
    return dataclasses.replace(group, policy=policy, learner=learner)
