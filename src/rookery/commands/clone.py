"""`rookery clone`: record an expert, or take a recorded one, and train clones of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from rookery.cli import parse_task_changes
from rookery.errors import ConfigError

DATA = "data"


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
    if options.data is not None and (options.task, options.expert) != (None, None):
        raise ConfigError("--data holds a task and its expert already; leave out --task and --expert")
    folder = options.data or options.out / DATA
    if options.data is None and not (folder / MANIFEST).exists():
        _record(folder, options)
    manifest = read_manifest(folder)
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
    from rookery.agents import scripted
    from rookery.runs.config import Frozen, Random, Scripted
    from rookery.runs.dataset import record_dataset
    from rookery.tasks import registry

    if options.task is None or options.expert is None:
        raise ConfigError("name --task and --expert to record, or --data with a recorded dataset")
    named = {name: Scripted(sight=sight) for name, sight in scripted.NAMES.items()} | {"random": Random()}
    task = parse_task_changes(registry.make(options.task), tuple(options.set))
    expert = named.get(options.expert, Frozen(source=options.expert))
    record_dataset(folder, task, expert, worlds=options.episodes, seed=options.data_seed, alone=options.alone)
