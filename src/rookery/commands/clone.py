"""`rookery clone`: record an expert, or take a recorded one, and train clones of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rookery.cli import parse_task_changes
from rookery.errors import ConfigError

DATA = "data"
RECORDING = ("task", "expert", "set", "episodes", "alone", "data_seed")
"""Options that say what is recorded."""
WORLDS = 500


def main(options) -> int:
    """Prints the expert's return, each clone's loss, and where the agents are."""
    from rookery.commands.runs import _seconds, _use_cores

    stop_after = _seconds(options.minutes)
    _use_cores(1)
    from rookery.runs.cloning import CloneConfig, clone
    from rookery.runs.codec import apply_overrides
    from rookery.runs.dataset import MANIFEST, read_manifest

    config = apply_overrides(CloneConfig(name=options.out.name or "clone"), options.overrides)
    given = {name: getattr(options, name) for name in ("seeds", "seed") if getattr(options, name) is not None}
    config = dataclasses.replace(config, **given)
    asked = [name for name in RECORDING if getattr(options, name) not in (None, (), False)]
    if options.data is not None and asked:
        told = " and ".join(f"--{name.replace('_', '-')}" for name in asked)
        raise ConfigError(f"--data holds a task and its expert already; leave out {told}")
    folder = options.data or options.out / DATA
    if options.data is None and not (folder / MANIFEST).exists():
        _record(folder, options)
    manifest = read_manifest(folder)
    if options.data is None:
        _check_asked(folder, manifest, asked, options)
    if not options.quiet:
        earned = manifest["return"]
        print(
            f"{folder}: {manifest['expert']} in {manifest['worlds']} worlds, {len(manifest['slots'])} episodes each, "
            f"return {earned['mean']:.2f} ± {earned['deviation']:.2f}"
        )
    if options.record_only:
        return 0
    result = clone(config, folder, options.out, quiet=options.quiet, stop_after=stop_after)
    for path, loss in zip(result.agents, result.loss, strict=True):
        print(f"{path}: {loss:.4f} nats an action on held-out episodes")
    if not result.finished:
        print(f"stopped after {result.epochs} of {config.learner.epochs} epochs; the same command goes on")
    return 0


def _record(folder: Path, options) -> None:
    from rookery.runs.dataset import record_dataset

    if options.task is None or options.expert is None:
        raise ConfigError("name --task and --expert to record, or --data with a recorded dataset")
    worlds = WORLDS if options.episodes is None else options.episodes
    seed = 0 if options.data_seed is None else options.data_seed
    record_dataset(folder, _task(options), _expert(options.expert), worlds=worlds, seed=seed, alone=options.alone)


def _task(options):
    from rookery.tasks import registry

    return parse_task_changes(registry.make(options.task), tuple(options.set))


def _expert(name: str):
    from rookery.agents import scripted
    from rookery.runs.config import Frozen, Random, Scripted

    named = {name: Scripted(sight=sight) for name, sight in scripted.NAMES.items()} | {"random": Random()}
    return named.get(name, Frozen(source=name))


def _check_asked(folder: Path, manifest: dict, asked: list[str], options) -> None:
    """Raises ConfigError where a dataset is there already, and is not what is asked for."""
    from rookery.runs.codec import to_dict
    from rookery.runs.dataset import called, differences

    wanted: dict = {}
    if {"task", "set"} & set(asked):
        wanted["task"] = to_dict(_task(options)) if options.task else None  # changes to what task?
    if "expert" in asked:
        wanted["expert"] = called(_expert(options.expert))
    fields = {"episodes": "worlds", "data_seed": "seed", "alone": "alone"}
    wanted |= {field: getattr(options, name) for name, field in fields.items() if name in asked}
    if differs := differences(manifest, wanted):
        raise ConfigError(
            f"{folder} holds {manifest['expert']} in {manifest['worlds']} worlds already, and differs from what is "
            f"asked in: {', '.join(differs)}; name another --out, or leave those options out"
        )
