"""A run from nothing or from wherever it stopped, up to its end."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rookery.errors import ConfigError, CorruptFileError, NotFoundError
from rookery.storage.atomic import path_exists
from rookery.storage.run_files import CONFIG_FILE, read_status
from rookery.training.agent_paths import AgentFinder, differing_agents, with_agents_of
from rookery.training.config import RunConfig
from rookery.training.stop_signal import StopSignal
from rookery.training.trainer import OnUpdate, TrainResult, check_checkpoint_hashes, load_config, resume, train


def train_or_resume(
    config: RunConfig,
    run_dir: Path,
    *,
    quiet: bool = False,
    stop_after: float | None = None,
    on_update: OnUpdate | None = None,
    comparable: Callable[[RunConfig], RunConfig] = lambda config: config,
    track: str | Sequence[str] | None = None,
) -> bool:
    """Train a run to its end, from wherever it stopped. Nothing is done if it is finished.

    Args:
      config: the folder may hold a run of more seeds, if these are among them.
      comparable: leaves out of a configuration what may differ from that of the run in the folder.
      track: as for `rookery.training.trainer.train`; a run that continues keeps its own.
    Returns: whether it reached the end, and no signal asked to stop meanwhile: one that came in the last update, or in
      the evaluation after it, is for what its caller would do next.
    Raises: ConfigError if the folder holds a run of another configuration or of other seeds; IncompatibleError if the
      frozen agents that it trained with have changed since; otherwise as `rookery.training.trainer.train`.
    """
    options: dict[str, Any] = {"quiet": quiet, "stop_after": stop_after, "on_update": on_update}
    if not path_exists(run_dir / CONFIG_FILE):
        return _reaches_end(lambda: train(config, run_dir, track=track, **options))
    check_same_config(config, run_dir, comparable)
    if is_finished(run_dir):
        check_same_agents(run_dir)
        return True
    return _reaches_end(lambda: resume(run_dir, **options))


def check_same_config(
    config: RunConfig, run_dir: Path, comparable: Callable[[RunConfig], RunConfig] = lambda config: config
) -> None:
    """Check that a folder holds the run of a configuration.

    Args: as for `train_or_resume`.
    Raises: ConfigError, naming what differs; NotFoundError if it holds no run; CorruptFileError.
    """
    saved = load_config(run_dir)
    if config.seed not in saved.seeds or config.seeds[-1] not in saved.seeds:
        raise ConfigError(
            f"{run_dir} holds a run of seeds {saved.seeds[0]} to {saved.seeds[-1]}, not of {config.seeds[0]} to "
            f"{config.seeds[-1]}; name another folder with --runs, or remove it"
        )
    # Paths depend on the working directory; those that lead to the same agent are equal.
    same = with_agents_of(saved, config, AgentFinder.of_run(run_dir))
    left = comparable(dataclasses.replace(same, seed=config.seed, num_seeds=config.num_seeds))
    right = comparable(config)
    if left != right:
        fields = [field.name for field in dataclasses.fields(config)]
        changed = [name for name in fields if getattr(left, name) != getattr(right, name)]
        if moved := [f"{old} and not {new}" for old, new in differing_agents(left, right)]:
            changed[changed.index("team")] = f"team, with the agent {', '.join(moved)}"
        raise ConfigError(
            f"{run_dir} holds a run of another configuration (it differs in {', '.join(changed)}); "
            "name another folder with --runs, or remove it"
        )


def check_same_agents(run_dir: Path) -> None:
    """Check that the frozen agents of a run are those that it trained with. Raises: IncompatibleError."""
    with contextlib.suppress(NotFoundError):  # the agents are gone: there is nothing to compare with
        check_checkpoint_hashes(run_dir, load_config(run_dir))


def _reaches_end(run: Callable[[], TrainResult]) -> bool:
    with StopSignal() as stop_signal:
        finished = run().finished
    return finished and not stop_signal.requested


def is_finished(run_dir: Path) -> bool:
    """Whether a folder holds a run that reached its end; one that is being joined from parts gets its configuration
    last."""
    if not path_exists(run_dir / CONFIG_FILE):
        return False
    try:
        status = read_status(run_dir)
    except (NotFoundError, CorruptFileError):
        return False
    return status["num_updates"] == status["total_updates"]
