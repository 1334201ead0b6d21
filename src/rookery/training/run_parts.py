"""A run in parts: replicas that train in processes of their own, on any machine.

A part is some variants with some consecutive seeds. It trains in a folder of its own, `RUN.parts/PART/`, like any run,
to the numbers that its replicas have in the whole run (docs/scaling.md says where this is exact). When all parts are
finished, `join_parts` makes the folder of the whole run from theirs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, NotFoundError
from rookery.storage.atomic import (
    create_once,
    is_filled,
    read_file,
    refuse_link,
    restore_replaced,
    storage_error,
    write_bytes,
)
from rookery.storage.run_files import AGENTS_DIR, CHECKPOINT_HASHES_KEY, CONFIG_FILE, START_AGENTS_DIR, is_thread_count
from rookery.storage.serialization import load_json
from rookery.storage.strict_json import parse_json
from rookery.tracking.trackers import choose_trackers, part_trackers
from rookery.training.build import SEED_PLACEHOLDER, initial_hashes
from rookery.training.config import RunConfig
from rookery.training.continue_run import check_same_agents, check_same_config, is_finished, train_or_resume
from rookery.training.train_step import default_env_values
from rookery.training.trainer import OnUpdate

SPLIT_FILE = "split.json"


@dataclasses.dataclass(frozen=True)
class RunPart:
    """Some variants of a run with some consecutive seeds."""

    variants: tuple[str, ...]
    seed: int
    num_seeds: int

    @property
    def name(self) -> str:
        """Name of its folder: 'social-seed-3', 'social-to-solo-seeds-0-to-4'."""
        variants = "-to-".join(dict.fromkeys((self.variants[0], self.variants[-1])))
        last = self.seed + self.num_seeds - 1
        return f"{variants}-seed-{self.seed}" if self.num_seeds == 1 else f"{variants}-seeds-{self.seed}-to-{last}"

    @property
    def seeds(self) -> range:
        return range(self.seed, self.seed + self.num_seeds)

    @property
    def num_replicas(self) -> int:
        return len(self.variants) * self.num_seeds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Split:
    """How a run was divided; all its parts must agree on it."""

    replicas_per_part: int
    num_threads: int
    """Threads over which XLA splits a sum on the CPU (`devices.thread_count`), the same on every machine."""


def split_run(config: RunConfig, replicas_per_part: int) -> list[RunPart]:
    """A run's replicas, in their order, in parts of at most `replicas_per_part`; the last ones may have fewer.

    Several seeds of one variant are in a part first, then several variants with all their seeds.
    Raises: ConfigError for fewer than one replica per part, or if two parts would have one name.
    """
    check_replicas_per_part(replicas_per_part)
    names = [variant.name for variant in config.variants]
    seeds_each = min(replicas_per_part, config.num_seeds)
    variants_each = max(1, replicas_per_part // config.num_seeds)
    end = config.seed + config.num_seeds
    parts = [
        RunPart(tuple(names[i : i + variants_each]), seed, min(seeds_each, end - seed))
        for i in range(0, len(names), variants_each)
        for seed in range(config.seed, end, seeds_each)
    ]
    _check_different_names(parts)
    return parts


def _check_different_names(parts: list[RunPart]) -> None:
    """Raises ConfigError for two parts of one name, as of the variants `a`, `b` and of the variant `a-to-b`."""
    named: dict[str, RunPart] = {}
    for part in parts:
        if (other := named.setdefault(part.name, part)) is not part:
            raise ConfigError(
                f"the tasks of the variants {', '.join(other.variants)} and {', '.join(part.variants)} would have one "
                f"folder, {part.name}; use another --replicas-per-task, or rename one of the variants"
            )


def check_replicas_per_part(number: int) -> None:
    """Raises ConfigError for fewer than one."""
    if number < 1:
        raise ConfigError(f"replicas_per_task={number} must be at least 1")


def part_config(config: RunConfig, part: RunPart) -> RunConfig:
    """The configuration of a part: the same program as the whole run's, for fewer replicas."""
    return dataclasses.replace(
        config,
        variants=tuple(variant for variant in config.variants if variant.name in part.variants),
        seed=part.seed,
        num_seeds=part.num_seeds,
        # What another variant schedules is an argument of the program too.
        env_schedules={**default_env_values(config), **config.env_schedules},
    )


def parts_dir(run_dir: Path) -> Path:
    """Folder of a run's parts."""
    return run_dir.with_name(f"{run_dir.name}.parts")


def part_dir(run_dir: Path, part: RunPart) -> Path:
    """Folder of one part."""
    return parts_dir(run_dir) / part.name


def is_divided(run_dir: Path) -> bool:
    """Whether it is recorded how a run was divided. A folder of parts may be there without that: its lock makes one."""
    return is_filled(parts_dir(run_dir) / SPLIT_FILE)


def read_split(run_dir: Path) -> Split | None:
    """How a run was divided; None if it was not. Raises CorruptFileError or StorageError."""
    path = parts_dir(run_dir) / SPLIT_FILE
    if not is_divided(run_dir):
        return None
    try:
        text = read_file(path).decode(errors="replace")
    except OSError as error:
        raise storage_error("read", path, error) from error
    return _decode_split(path, text)


def _decode_split(path: Path, text: str) -> Split:
    try:
        split = Split(**parse_json(text))
        replicas = split.replicas_per_part
        if not is_thread_count(split.num_threads) or type(replicas) is not int or replicas < 1:
            raise ValueError
        return split
    except (ValueError, TypeError):
        raise CorruptFileError(
            f"{path} does not say how the run was divided; remove {path.parent} to train the run again"
        ) from None


def agree_on_split(run_dir: Path, split: Split) -> Split:
    """The split of a run: the one recorded first.

    Raises: ConfigError if it was divided into other parts; StorageError if the disk refuses; as `choose_trackers` for
      the trackers that the run is to have when it is joined.
    """
    choose_trackers()
    refuse_link(parts_dir(run_dir))
    path = parts_dir(run_dir) / SPLIT_FILE
    recorded = _decode_split(path, create_once(path, json.dumps(dataclasses.asdict(split))))
    _check_same_split(run_dir, recorded, split.replicas_per_part)
    return recorded


def check_recorded_split(run_dir: Path, replicas_per_part: int) -> None:
    """`agree_on_split` without recording anything: nothing is wrong while no split is recorded."""
    if (recorded := read_split(run_dir)) is not None:
        _check_same_split(run_dir, recorded, replicas_per_part)


def _check_same_split(run_dir: Path, recorded: Split, replicas_per_part: int) -> None:
    """Raises ConfigError if a run was divided into other parts."""
    if recorded.replicas_per_part != replicas_per_part:
        raise ConfigError(
            f"{run_dir.name} was divided into tasks of {recorded.replicas_per_part} replicas, not of "
            f"{replicas_per_part}: use --replicas-per-task {recorded.replicas_per_part}, or remove "
            f"{parts_dir(run_dir)} to start its training again"
        )


def train_part(
    config: RunConfig,
    part: RunPart,
    folder: Path,
    *,
    quiet: bool = False,
    stop_after: float | None = None,
    on_update: OnUpdate | None = None,
) -> bool:
    """Train one part of the run `config` in a folder, from wherever it stopped. Returns whether it reached the end.

    Raises: NotFoundError if it starts from agents that are not trained yet; StorageError if the folder, or that of all
      parts, is a symbolic link; otherwise as `train_or_resume`.
    """
    restore_replaced(folder)
    if not is_finished(folder):
        refuse_link(folder.parent)
        refuse_link(folder)
        copy_start_agents(config, part, folder / START_AGENTS_DIR)
    return train_or_resume(
        _starting_from(part_config(config, part), folder / START_AGENTS_DIR),
        folder,
        quiet=quiet,
        stop_after=stop_after,
        on_update=on_update,
        comparable=_with_its_own_start,
        track=part_trackers(),
    )


def check_part_config(config: RunConfig, part: RunPart, folder: Path) -> None:
    """Check that a folder holds a part of the run `config`.

    Raises: ConfigError, naming the part and what differs, if it is of another run; else as `check_same_config`.
    """
    check_same_config(_starting_from(part_config(config, part), folder / START_AGENTS_DIR), folder, _with_its_own_start)


def check_begun_parts(config: RunConfig, run_dir: Path, parts: list[RunPart]) -> None:
    """Check that those of a run's parts that have begun are of its configuration, before others are trained.

    Raises: ConfigError, naming the part and what differs.
    """
    for part in parts:
        with contextlib.suppress(NotFoundError, CorruptFileError):  # it has not begun; damage is found where it is used
            check_part_config(config, part, part_dir(run_dir, part))


def check_part_agents(config: RunConfig, part: RunPart, folder: Path) -> None:
    """Check that a part trained with the agents, and started from those, that the run `config` has now.

    Raises: IncompatibleError, naming the part and the agent; CorruptFileError.
    """
    check_same_agents(folder)
    saved = load_json(folder / CONFIG_FILE, CorruptFileError).get(CHECKPOINT_HASHES_KEY, {})
    if not isinstance(saved, dict) or not all(isinstance(digest, str) for digest in saved.values()):
        raise CorruptFileError(f"{folder / CONFIG_FILE}: {CHECKPOINT_HASHES_KEY!r} must be SHA-256 digests by agent")
    # Not of an agent that acts unchanged, whose file may have the same name.
    recorded = {Path(name).name: digest for name, digest in saved.items() if Path(name).parent.name == START_AGENTS_DIR}
    starts = {path: name for name, path in start_agents(config, part).items() if name in recorded}
    for path, digest in (initial_hashes(part_config(config, part)) if starts else {}).items():
        name = starts.get(Path(path))
        if name is not None and recorded[name] != digest:
            raise IncompatibleError(
                f"{folder} started from an agent {name} of SHA-256 {recorded[name][:12]}…, which is {digest[:12]}… "
                "now; put the old one back, or remove the part to train it again"
            )


def _with_its_own_start(config: RunConfig) -> RunConfig:
    """The configuration without the folder of the agents that it starts from, which each part has for itself."""
    return _starting_from(config, Path())


def start_agents(config: RunConfig, part: RunPart) -> dict[str, Path]:
    """The files of agents that a part's replicas start from, seed by seed: name of the part's copy -> path of the file
    in the run's own folder."""
    agents = [
        (Path(_of_seed(name, seed)), Path(_of_seed(pattern, seed)))
        for pattern, name in _start_names(config).items()
        for seed in part.seeds
    ]
    return {
        str(copy.with_suffix(suffix)): path.with_suffix(suffix)
        for copy, path in agents
        for suffix in (path.suffix, ".json")
    }


def _of_seed(pattern: str, seed: int) -> str:
    return pattern.replace(SEED_PLACEHOLDER, str(seed))


def _start_names(config: RunConfig) -> dict[str, str]:
    """The paths of agents that learners start from, if each seed has its own, with the names of a part's copies.

    These are the names of the files; where two groups start from different files of one name, numbered.
    """
    patterns = dict.fromkeys(filter(None, map(_seeded_start, config.team)))
    names = {pattern: Path(pattern).name for pattern in patterns}
    if len({*names.values()}) == len(names):
        return names
    return {pattern: f"{number}-{name}" for number, (pattern, name) in enumerate(names.items())}


def copy_start_agents(config: RunConfig, part: RunPart, folder: Path) -> None:
    """Put the agents that a part starts from into a folder, if they are not there.

    Raises: NotFoundError if one is not trained yet; StorageError if the disk refuses, or the folder is a symbolic link.
    """
    refuse_link(folder)
    for name, path in start_agents(config, part).items():
        if not (folder / name).exists():
            write_bytes(folder / name, read_file(finished_agent(path)))


def finished_agent(path: Path) -> Path:
    """Where a file of an agent is that a finished run, or a finished part of it, exported.

    Args:
      path: where it is when the whole run is finished.

    Raises: NotFoundError if neither is finished.
    """
    run_dir = path.parent.parent
    # Not those that are just being replaced, whose names begin with a dot.
    folders = [run_dir, *sorted(entry for entry in parts_dir(run_dir).glob("[!.]*") if entry.is_dir())]
    for folder in folders:
        if (folder / AGENTS_DIR / path.name).exists() and is_finished(folder):
            return folder / AGENTS_DIR / path.name
    raise NotFoundError(
        f"{path.name} of {run_dir.name}, from which training starts, is not trained yet; train it first"
    )


def _seeded_start(group: Any) -> str | None:
    """The path of the agents that a group's learners start from, if each seed has its own."""
    path = group.policy.init_from if group.learner is not None else None
    return path if path is not None and SEED_PLACEHOLDER in path else None


def _starting_from(config: RunConfig, folder: Path) -> RunConfig:
    """The configuration with each seed's start agent in another folder."""
    names = _start_names(config)
    team = tuple(
        dataclasses.replace(group, policy=dataclasses.replace(group.policy, init_from=str(folder / names[path])))
        if (path := _seeded_start(group))
        else group
        for group in config.team
    )
    return dataclasses.replace(config, team=team)
