"""`rookery clone`: record an expert, or take a recorded one, and train clones of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rookery.cli import apply_task_overrides
from rookery.errors import ConfigError

DATASET_DIR = "data"
RECORDING_OPTIONS = ("task", "expert", "set", "episodes", "alone", "data_seed")
"""Options that say what is recorded."""
DEFAULT_EPISODES = 500


def run_clone(options) -> int:
    """Prints the expert's return, each clone's loss, and where the agents are."""
    from rookery.commands.train import time_limit_seconds, use_cores

    stop_after = time_limit_seconds(options.minutes)
    use_cores(1)
    from rookery.storage.serialization import apply_overrides
    from rookery.training.clone_trainer import CloneConfig, train_clones
    from rookery.training.demonstrations import DATASET_MANIFEST, read_manifest

    config = apply_overrides(CloneConfig(name=options.out.name or "clone"), options.overrides)
    given = {name: getattr(options, name) for name in ("seeds", "seed") if getattr(options, name) is not None}
    config = dataclasses.replace(config, **given)
    asked = [name for name in RECORDING_OPTIONS if getattr(options, name) not in (None, (), False)]
    if options.data is not None and asked:
        told = " and ".join(f"--{name.replace('_', '-')}" for name in asked)
        raise ConfigError(f"--data holds a task and its expert already; leave out {told}")
    folder = options.data or options.out / DATASET_DIR
    if options.data is None and not (folder / DATASET_MANIFEST).exists():
        _record(folder, options)
    manifest = read_manifest(folder)
    if options.data is None:
        _check_recorded(folder, manifest, asked, options)
    if not options.quiet:
        earned = manifest["return"]
        print(
            f"{folder}: {manifest['expert']} in {manifest['worlds']} worlds, {len(manifest['slots'])} episodes each, "
            f"return {earned['mean']:.2f} ± {earned['deviation']:.2f}"
        )
    if options.record_only:
        return 0
    result = train_clones(config, folder, options.out, quiet=options.quiet, stop_after=stop_after)
    for path, loss in zip(result.agent_files, result.validation_loss, strict=True):
        print(f"{path}: {loss:.4f} nats an action on held-out episodes")
    if not result.finished:
        print(f"stopped after {result.epochs_done} of {config.learner.epochs} epochs; the same command goes on")
    return 0


def _record(folder: Path, options) -> None:
    from rookery.training.demonstrations import record_dataset

    if options.task is None or options.expert is None:
        raise ConfigError("name --task and --expert to record, or --data with a recorded dataset")
    worlds = DEFAULT_EPISODES if options.episodes is None else options.episodes
    seed = 0 if options.data_seed is None else options.data_seed
    record_dataset(
        folder, _task(options), _expert_config(options.expert), num_episodes=worlds, seed=seed, solo=options.alone
    )


def _task(options):
    from rookery.tasks import registry

    return apply_task_overrides(registry.get_task(options.task), tuple(options.set))


def _expert_config(name: str):
    from rookery.agents import scripted
    from rookery.training.config import FrozenPolicyConfig, RandomPolicyConfig, ScriptedPolicyConfig

    named = {
        name: ScriptedPolicyConfig(observability=sight) for name, sight in scripted.OBSERVABILITY_BY_NAME.items()
    } | {"random": RandomPolicyConfig()}
    return named.get(name, FrozenPolicyConfig(checkpoint=name))


def _check_recorded(folder: Path, manifest: dict, requested: list[str], options) -> None:
    """Raises ConfigError where a dataset is there already, and is not what is asked for."""
    from rookery.storage.serialization import to_dict
    from rookery.training.demonstrations import expert_name, manifest_differences

    wanted: dict = {}
    if {"task", "set"} & set(requested):
        wanted["task"] = to_dict(_task(options)) if options.task else None  # changes to what task?
    if "expert" in requested:
        wanted["expert"] = expert_name(_expert_config(options.expert))
    fields = {"episodes": "worlds", "data_seed": "seed", "alone": "alone"}
    wanted |= {field: getattr(options, name) for name, field in fields.items() if name in requested}
    if differs := manifest_differences(manifest, wanted):
        raise ConfigError(
            f"{folder} holds {manifest['expert']} in {manifest['worlds']} worlds already, and differs from what is "
            f"asked in: {', '.join(differs)}; name another --out, or leave those options out"
        )
