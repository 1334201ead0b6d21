"""The compiled update of the replicas that one process trains, with their state; and a process that only trains."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import numpy as np

from rookery.backend import jax_devices
from rookery.training.agent_paths import FindAgent
from rookery.training.border_evaluation import BorderEvaluator
from rookery.training.build import build, checkpoint_hashes
from rookery.training.config import RunConfig
from rookery.training.devices import machine_info, on_cpu
from rookery.training.evaluation import RunEvaluator
from rookery.training.memory import check_process_memory
from rookery.training.process_group import ProcessGroup
from rookery.training.stop_signal import StopSignal
from rookery.training.train_step import Run, TrainState, show_missing
from rookery.types import PyTree


class ReplicaUpdates:
    """Trains a process's own replicas of a run, on its own devices.

    Args:
      run: the whole run.
      devices: None: all of this process.
      processes: divide the replicas among themselves here.
      hashes: of the trained agents that the run uses, which must be the same in all processes.
    Raises: IncompatibleError or ConfigError if the processes do not fit together; ConfigError if this process has too
      little memory for its replicas; LostProcessError.
    """

    state: TrainState
    """Of the own replicas, on the devices, after the last update that was started."""

    def __init__(self, run: Run, devices: list[Any] | None, processes: ProcessGroup, hashes: dict[str, str]) -> None:
        machine = machine_info(devices)
        precision = {"JAX_DEFAULT_MATMUL_PRECISION": machine["matmul_precision"]}
        facts = {"device": machine["device"], "agents": hashes, **precision, "machine": machine}
        own = processes.assign(len(run.config.replicas), len(devices or jax_devices()), facts)
        if processes.num_processes > 1:
            check_process_memory(run.config, devices, len(own), leads=processes.process_id == 0)
            processes.gather(np.zeros(len(own)))  # process 0 writes nothing before all have come this far
        self.run: Run = dataclasses.replace(run, own=own) if len(own) < len(run.config.replicas) else run
        self._devices = devices
        episodes = run.config.eval_episodes
        self._evaluator = RunEvaluator(self.run, episodes, devices) if episodes else None
        widening = run.config.widening
        self._borders = BorderEvaluator(self.run, widening, devices) if widening else None

    @property
    def evaluates(self) -> bool:
        """Whether checkpoints are evaluated."""
        return self._evaluator is not None

    def start(self, num_updates: int, state: TrainState) -> None:
        """Continue from a state of the own replicas."""
        self.num_updates: int = num_updates
        self.state = state
        self._unread: PyTree | None = None  # metrics of an update that was started

    def compile(self) -> None:
        """Put the state on the devices and compile the update."""
        self.state, self._schedules = self.run.place_on_devices((self.state, self.run.schedules), self._devices)
        self._update = self.run.compile_train_step(self._devices).lower(self.state, self._schedules).compile()

    @property
    def overlaps(self) -> bool:
        """Whether the host's work between updates can be done while the devices update: not where it is the device."""
        return not on_cpu(self._devices or jax_devices())

    @property
    def is_ahead(self) -> bool:
        """Whether an update was started whose metrics are not yet read."""
        return self._unread is not None

    def step(self, next_too: bool = False) -> PyTree:
        """One update. Returns its metrics, numpy; the state stays on the devices.

        Args:
          next_too: start the next update before waiting for these metrics. `state` is then the state after that one.
        """
        metrics = self._unread if self._unread is not None else self._dispatch()
        self._unread = self._dispatch() if next_too else None
        self.num_updates += 1
        return show_missing(jax.device_get(metrics))

    def _dispatch(self) -> PyTree:
        self.state, metrics = self._update(self.state, self._schedules)
        return metrics

    def evaluate(self) -> PyTree:
        """Metrics of the evaluation, numpy. A run that widens its task moves a border here."""
        assert self._evaluator is not None, "evaluates says so"
        metrics: dict[str, Any] = {**self._evaluator(self.state.learners)}
        if self._borders is not None:
            self.state, metrics["widening"] = self._borders(self.state)
        return metrics

    def state_on_host(self) -> TrainState:
        """The state, numpy."""
        return jax.device_get(self.state)


def follow_run(
    config: RunConfig, processes: ProcessGroup, devices: list[Any] | None = None, find: FindAgent = str
) -> bool:
    """Train some replicas of a run that process 0 starts, writes and ends. Returns whether the run reached its end.

    Args:
      find: as for `build`.
    Raises: as `build`; LostProcessError if process 0 or, through it, another process fails.
    """
    updates = ReplicaUpdates(build(config, find), devices, processes, checkpoint_hashes(config, find))
    with StopSignal() as stop_signal:
        updates.start(*processes.scatter(0, jax.eval_shape(updates.run.init)))
        if updates.num_updates < config.total_updates:
            updates.compile()
        stopping = processes.decide(False)
        while updates.num_updates < config.total_updates and not stopping:
            processes.gather(updates.step(), stop_signal.requested)
            if config.has_checkpoint(updates.num_updates) and updates.evaluates:
                processes.gather(updates.evaluate())
            if processes.decide(False):
                processes.gather(updates.state_on_host())
            stopping = processes.decide(False)
    return updates.num_updates == config.total_updates
