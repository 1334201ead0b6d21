"""`rookery clone`: record an expert, or take a recorded dataset, and train clones of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rookery.commands.options import (
    Json,
    Overrides,
    TaskOverrides,
    TimeLimit,
    Track,
    flags,
    given,
    optional,
    time_limit_seconds,
    use_cores,
    working,
)
from rookery.commands.output import print_json
from rookery.errors import STOPPED_EXIT_CODE, ConfigError, printable
from rookery.storage.run_files import CONFIG_FILE, DATASET_DIR

if TYPE_CHECKING:
    from rookery.training.clone_trainer import CloneConfig
    from rookery.training.config import PolicyConfig

RECORDING_OPTIONS = ("task", "expert", "task_overrides", "episodes", "solo", "data_seed")
"""Options that say what is recorded."""
TRAINING_OPTIONS = ("seeds", "seed", "time_limit", "track", "restart")
"""Options that say how clones are trained, next to KEY=VALUE."""
DEFAULT_EPISODES = 500


@dataclasses.dataclass
class CloneCommand:
    """Record an expert's episodes and train clones of it by behavior cloning. Run it again to continue.

    For example: rookery clone --task goal-cycle-symbolic-v0 --expert goal-cycle-lite-expert --out runs/clone
    """

    overrides: Overrides = ()
    task: Annotated[str | None, optional("ID", "the dataset's")] = None
    """Task to record the expert in."""
    task_overrides: TaskOverrides = ()
    """Changes to the task, such as penalty=0.5 or num_goals=4."""
    expert: Annotated[str | None, optional("AGENT", "the dataset's")] = None
    """The agent in every slot: a zoo agent, a .safetensors file, 'scripted', 'scripted-partial' or 'random'."""
    episodes: Annotated[int | None, optional("INT", "500")] = None
    """Episodes to record; each gives one trajectory per slot."""
    solo: bool = False
    """Record the expert without other agents."""
    data: Annotated[Path | None, optional("FOLDER", "recorded into OUT/data")] = None
    """A dataset recorded before."""
    data_seed: Annotated[int | None, optional("INT", "0")] = None
    """Seed of the recorded episodes; they never overlap with training or evaluation episodes."""
    record_only: bool = False
    """Record, but train nothing."""
    out: Path = Path("runs/clone")
    """Folder of metrics, checkpoints and agents."""
    seeds: Annotated[int | None, optional("INT", "1")] = None
    """Number of clones; they train at the same time on the same data."""
    seed: Annotated[int | None, optional("INT", "0")] = None
    """The first seed; the others count up from it."""
    time_limit: TimeLimit = None
    """Save and stop after so many minutes."""
    track: Track = ()
    quiet: bool = False
    """Show no progress."""
    restart: bool = False
    """Start over if all checkpoints, or metrics, are lost; what is left is kept in a folder in the run's."""
    json: Json = False

    def __call__(self) -> int:
        return run_clone(self)


def run_clone(options: CloneCommand) -> int:
    """Print the expert's return, each clone's loss and where the agents are. Returns 0 or STOPPED_EXIT_CODE."""
    stop_after = time_limit_seconds(options.time_limit)
    quiet = options.quiet or options.json
    from rookery.storage.atomic import path_exists, refuse_link
    from rookery.storage.datasets import DATASET_MANIFEST
    from rookery.training.clone_trainer import load_clone_config, train_clones
    from rookery.training.demonstrations import read_demonstrations_manifest
    from rookery.training.machine_notes import started_threads

    use_cores(1, started_threads([options.out]))

    config = _clone_config(options)
    requested = given(options, RECORDING_OPTIONS)
    if options.data is not None and requested:
        raise ConfigError(f"--data already has a task and an expert; leave out {flags(requested)}")
    if options.data is not None and options.record_only:
        raise ConfigError("--data is recorded already; leave out --record-only, or leave out --data to record")
    if options.record_only and (
        unused := [*options.overrides, *filter(None, [flags(given(options, TRAINING_OPTIONS))])]
    ):
        raise ConfigError(f"--record-only trains nothing; leave out {', '.join(unused)}, or leave out --record-only")
    folder = options.data or options.out / DATASET_DIR
    if options.data is None:
        refuse_link(folder)
    if options.data is None and not path_exists(folder / DATASET_MANIFEST):
        if path_exists(options.out / CONFIG_FILE):
            load_clone_config(options.out)  # another kind of run is found out before the recording
        _record(folder, options)
    manifest = read_demonstrations_manifest(folder)
    if options.data is None:
        _check_recorded(folder, manifest, requested, options)
    if not quiet:
        expert_return = manifest["return"]
        print(
            f"{folder}: {manifest['num_episodes']} episodes of {printable(manifest['expert'])}, "
            f"{len(manifest['slots'])} slots each, "
            f"return {expert_return['mean']:.2f} ± {expert_return['std']:.2f}"
        )
    if options.record_only:
        if options.json:
            print_json({"dataset": str(folder), "episodes": manifest["num_episodes"], "return": manifest["return"]})
        return 0
    result = train_clones(
        config,
        folder,
        options.out,
        quiet=quiet,
        stop_after=stop_after,
        restart=options.restart,
        track=options.track or None,
    )
    for path, loss in zip(result.agent_files, result.validation_loss, strict=True):
        if options.json:
            print_json({"agent": str(path), "validation_loss": float(loss), "finished": result.finished})
        else:
            print(f"{path}: {loss:.4f} nats per action on validation episodes")
    if not result.finished and not options.json:
        print(f"stopped after {result.epochs_done} of {config.learner.epochs} epochs; run the same command to continue")
    return 0 if result.finished else STOPPED_EXIT_CODE


def _clone_config(options: CloneCommand) -> CloneConfig:
    from rookery.storage.serialization import apply_overrides
    from rookery.training.clone_trainer import CloneConfig

    config = apply_overrides(CloneConfig(name=options.out.name or "clone"), options.overrides)
    changes = {"num_seeds": options.seeds, "seed": options.seed}
    return dataclasses.replace(config, **{name: value for name, value in changes.items() if value is not None})


def _record(folder: Path, options: CloneCommand) -> None:
    from rookery.training.demonstrations import record_dataset

    if options.task is None or options.expert is None:
        raise ConfigError("name --task and --expert to record, or --data with a recorded dataset")
    with working(f"recording {options.expert}"):
        record_dataset(
            folder,
            _task(options.task, options),
            _expert_config(options.expert),
            num_episodes=DEFAULT_EPISODES if options.episodes is None else options.episodes,
            seed=options.data_seed or 0,
            solo=options.solo,
        )


def _task(task_id: str, options: CloneCommand) -> Any:
    from rookery.storage.serialization import apply_overrides
    from rookery.tasks import registry

    return apply_overrides(registry.get_task(task_id), options.task_overrides)


def _expert_config(name: str) -> PolicyConfig:
    from rookery.agents import scripted
    from rookery.training.config import FrozenPolicyConfig, RandomPolicyConfig, ScriptedPolicyConfig

    if name in scripted.OBSERVABILITY_BY_NAME:
        return ScriptedPolicyConfig(observability=scripted.OBSERVABILITY_BY_NAME[name])
    return RandomPolicyConfig() if name == "random" else FrozenPolicyConfig(checkpoint=name)


def _check_recorded(folder: Path, manifest: dict, requested: list[str], options: CloneCommand) -> None:
    """Raises ConfigError if the dataset that is already there is not the one asked for."""
    from rookery.storage.datasets import manifest_differences
    from rookery.storage.serialization import to_dict

    expected: dict = {}
    if "task" in requested or "task_overrides" in requested:
        # Changes without the task they change cannot match any dataset.
        expected["task"] = to_dict(_task(options.task, options)) if options.task else None
    if options.expert is not None:
        expected["expert"] = _expert_config(options.expert).label
    keys = {"episodes": "num_episodes", "data_seed": "seed"}
    expected |= {key: getattr(options, name) for name, key in keys.items() if name in requested}
    if requested:  # without --solo, these options ask for episodes of the whole team
        expected["solo"] = options.solo
    if differences := manifest_differences(manifest, expected):
        only_solo = differences == ["solo"] and not options.solo
        raise ConfigError(
            f"{folder} already holds {manifest['num_episodes']} episodes of {manifest['expert']}, which differ from "
            f"the options in: {', '.join(differences)}; name another --out, or "
            f"{'add --solo' if only_solo else 'leave those options out'}"
        )
