"""The host's side of a run: it logs, saves, evaluates and shows; all else is the compiled update."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rookery import __version__
from rookery.agents.weights import save_agent
from rookery.errors import ConfigError, CorruptError, DivergedError, MisfitError, MissingError
from rookery.learning.intrinsic.apply import FAULT
from rookery.runs import checkpoint
from rookery.runs.atomic import write_json
from rookery.runs.build import build, pins, starting_params
from rookery.runs.codec import from_dict, load_json, to_dict
from rookery.runs.config import Frozen, RunConfig, agent_names
from rookery.runs.devices import machine
from rookery.runs.evaluation import Evaluator
from rookery.runs.guard import RunLock
from rookery.runs.metrics import MetricsWriter, read_metrics
from rookery.runs.program import Program, TrainState, tunables
from rookery.runs.progress import Progress

CONFIG = "config.json"
CHECKPOINTS = "checkpoints"
AGENTS = "agents"
STATUS = "status.json"
PINNED = "agents"  # in CONFIG


@dataclasses.dataclass(frozen=True)
class Result:
    """How a call of `train` or `resume` ended."""

    run_dir: Path
    updates: int  # done in all
    finished: bool  # False: stopped early, resume goes on
    seconds: float  # from start to last update, in all its sessions, less what was lost when killed
    state: TrainState
    program: Program


def train(
    config: RunConfig,
    run_dir: Path,
    *,
    devices: list | None = None,
    quiet: bool = False,
    stop_after: float | None = None,
) -> Result:
    """Start a run in a new folder and carry it to its end.

    Args:
      run_dir: made if absent; refused if it already holds a run.
      stop_after: seconds after which to save and stop in good order; one update is always done.
    Raises: ConfigError, MissingError, CorruptError or MisfitError before anything is written; StorageError if
      the disk refuses or another process is at this run; DivergedError.
    """
    program = build(config)
    tunables(config)  # refuses unknown schedules now
    starts = starting_params(config, program)
    _refuse_used(run_dir)
    with RunLock(run_dir):
        _refuse_used(run_dir)  # another process may have been quicker
        pinned = pins(config)
        begun = {"rookery": __version__, "config": to_dict(config), **({PINNED: pinned} if pinned else {})}
        write_json(run_dir / CONFIG, begun)
        state = _start_from(program, starts)
        return _Loop(program, run_dir, devices, quiet, stop_after).run(state, resume_at=None)


def resume(
    run_dir: Path, *, devices: list | None = None, quiet: bool = False, stop_after: float | None = None
) -> Result:
    """Continue a run from its newest sound checkpoint, to the same numbers as if it had never stopped.

    Raises: MissingError if there is no run; CorruptError if its configuration is unreadable; MisfitError if its
      checkpoint is of another configuration, or who plays beside the learners is another by now; else as `train`.
    """
    config = load_config(run_dir)
    check_pins(run_dir, config)
    program = build(config)
    with RunLock(run_dir):
        notes: list[str] = []
        like = jax.eval_shape(program.init)
        try:
            update, state = checkpoint.restore_latest(run_dir / CHECKPOINTS, like, notes.append)
        except MissingError:
            # Killed before its first checkpoint, or none is sound: the beginning is as good, and exact.
            notes.append("no sound checkpoint; starting again from the beginning")
            update, state = 0, _start_from(program, starting_params(config, program))
        checkpoint.discard_after(run_dir / CHECKPOINTS, update)
        loop = _Loop(program, run_dir, devices, quiet, stop_after)
        return loop.run(state, resume_at=update, notes=notes)


def _refuse_used(run_dir: Path) -> None:
    if (run_dir / CONFIG).exists():
        raise ConfigError(f"{run_dir} already holds a run; continue it with 'rookery resume', or use another name")


def load_config(run_dir: Path, name: str = CONFIG) -> RunConfig:
    """The configuration a run was started with. Raises MissingError or CorruptError."""
    path = run_dir / name
    if not path.exists():
        raise MissingError(f"{run_dir} holds no run ({name} is missing)")
    data = load_json(path, CorruptError)
    if not isinstance(data, dict) or "config" not in data:
        raise CorruptError(f"{path} is not a run's configuration")
    try:
        return from_dict(RunConfig, data["config"])
    except ConfigError as error:
        raise CorruptError(f"{path}: {error}") from None


def check_pins(run_dir: Path, config: RunConfig) -> None:
    """Whether the trained agents that a run names are those it was begun with.

    Raises: MisfitError where one is not, for its numbers would be others; MissingError where one is gone.
    """
    begun = load_json(run_dir / CONFIG, CorruptError).get(PINNED, {})
    if not isinstance(begun, dict) or not all(isinstance(digest, str) for digest in begun.values()):
        raise CorruptError(f"{run_dir / CONFIG}: {PINNED!r} does not name agents and their SHA-256")
    for source, digest in pins(config).items() if begun else ():
        if digest != begun.get(source, digest):
            raise MisfitError(
                f"{run_dir} was begun with an agent {source} of SHA-256 {begun[source][:12]}…, which is {digest[:12]}… "
                "now; put the old one back, or start another run"
            )


def load_state(run_dir: Path) -> tuple[Program, TrainState]:
    """A run's program, and its state as the newest sound checkpoint has it. Nothing is trained, nothing written.

    Raises: MissingError where there is no run or no checkpoint; else as `resume`.
    """
    program = build(load_config(run_dir))
    like = jax.eval_shape(program.init)
    return program, checkpoint.restore_latest(run_dir / CHECKPOINTS, like, lambda note: None)[1]


def load_learners(run_dir: Path, arm: str | None = None, seed: int | None = None) -> tuple[Program, Any, str]:
    """A run's program, the learners of one member as its newest sound checkpoint has them, and who that is in words.

    Args:
      arm, seed: of the run; None is its first.
    Raises: MissingError where there is no run, no checkpoint, or no such member; else as `resume`. Nothing is trained.
    """
    config = load_config(run_dir)
    arm, seed = config.arms[0].name if arm is None else arm, config.seed if seed is None else seed
    if (arm, seed) not in config.members:
        told = ", ".join(f"{name} {number}" for name, number in config.members)
        raise MissingError(f"{run_dir} has no arm {arm!r} with seed {seed}; it has: {told}")
    program, state = load_state(run_dir)
    member = config.members.index((arm, seed))
    learners = jax.tree.map(lambda x: jax.numpy.asarray(x[member]), state.learners)
    update = int(state.update[member])
    return program, learners, f"{config.name}, {arm}, seed {seed}, {update * config.steps_per_update:,} steps"


def _start_from(program: Program, starts: dict[str, Any]) -> TrainState:
    """Fresh learners, with given policy weights in place of fresh ones, for every member and slot."""
    state = program.init()
    learners = dict(state.learners)
    for group in program.team.learning:
        if group.name in starts:
            learner = learners[group.name]
            given = jax.tree.map(
                lambda old, new: jax.numpy.broadcast_to(new, old.shape), learner.params["policy"], starts[group.name]
            )
            learners[group.name] = group.learner.start(learner, given)
    return state.replace(learners=learners)


class _Loop:
    """Runs updates; between them writes metrics, and every so often a checkpoint with its evaluation."""

    def __init__(self, program: Program, run_dir: Path, devices, quiet: bool, stop_after: float | None):
        self.program, self.config, self.run_dir = program, program.config, run_dir
        self.devices, self.quiet, self.stop_after = devices, quiet, stop_after
        episodes = self.config.evaluation_episodes
        self.evaluate: Callable | None = Evaluator(program, episodes, devices) if episodes else None
        self.began = time.monotonic()
        self.seconds = 0.0  # of all sessions, up to the last update

    def run(self, state: TrainState, resume_at: int | None, notes: list[str] | None = None) -> Result:
        config, done = self.config, resume_at or 0
        per_update = config.steps_per_update * len(config.members)
        schedules = tunables(config)
        stop = _StopSignal()
        with (
            MetricsWriter(self.run_dir, resume_at) as metrics,
            Progress(config.updates * per_update, config.name, self.quiet, done=done * per_update) as progress,
            stop,
        ):
            for note in notes or []:
                progress.note(note)
            if done:
                earlier = read_metrics(self.run_dir)
                self.seconds = earlier[-1].get("time/seconds", 0.0) if earlier else 0.0
                self._publish(state, done)  # who killed us may have come between the checkpoint and this
            if done < config.updates:
                state, schedules = self.program.place((state, schedules), self.devices)
                mark = time.monotonic()
                update = self.program.compile_update(self.devices).lower(state, schedules).compile()
                compile_seconds = time.monotonic() - mark
            before, stopping = self.seconds, stop.asked
            while done < config.updates and not stopping:
                mark = time.monotonic()
                state, told = update(state, schedules)
                told = jax.device_get(told)
                done += 1
                self._watch(told, done)
                values = self._values(told) | {
                    "time/steps_per_second": per_update / (time.monotonic() - mark),
                    "time/compile_seconds": compile_seconds,
                }
                due = done % config.checkpoint_every == 0 or done == config.updates
                if due and self.evaluate is not None:
                    values["evaluation"] = self._evaluation(self.evaluate(state.learners))
                self.seconds = values["time/seconds"] = before + time.monotonic() - self.began
                # Asked once: who is asked to stop after this line saves first, at the end of the next update.
                stopping = stop.asked or self._out_of_time()
                metrics.write(done, done * config.steps_per_update, values)
                if due or stopping:
                    metrics.sync()  # before the checkpoint that makes them final
                    self._save(state, done)
                    stopping = stopping or stop.asked
                progress.update(done * per_update, self._shown(told))
        return Result(self.run_dir, done, done == config.updates, self.seconds, state, self.program)

    def _out_of_time(self) -> bool:
        return self.stop_after is not None and time.monotonic() - self.began > self.stop_after

    def _save(self, state: TrainState, done: int) -> None:
        host = jax.device_get(state)
        checkpoint.save(self.run_dir / CHECKPOINTS, done, host, keep=self.config.keep_checkpoints)
        self._publish(host, done)

    def _publish(self, state: TrainState, done: int) -> None:
        """What others read of a run: its agents, and how far it is."""
        self._export(state, done)
        status = {"updates": done, "of": self.config.updates, "steps": done * self.config.steps_per_update}
        write_json(self.run_dir / STATUS, {**status, "seconds": round(self.seconds, 1), "machine": machine()})

    def _export(self, state: TrainState, done: int) -> None:
        """Every learning agent as a file that `eval`, `replay` and other runs can load."""
        for group in self.program.team.learning:
            for number, (arm, seed) in enumerate(self.config.members):
                for place, slot in enumerate(group.slots):
                    params = jax.tree.map(
                        lambda x, n=number, p=place: np.asarray(x[n, p]), state.learners[group.name].params["policy"]
                    )
                    card = {
                        "name": f"{self.config.name} {arm} seed {seed} {group.name} (slot {slot})",
                        "task": to_dict(self.config.task),
                        "slot": slot,
                        "seed": seed,
                        "beside": self._beside(),
                        "steps": done * self.config.steps_per_update,
                        "rookery": __version__,
                    }
                    path = self.run_dir / AGENTS / agent_file(arm, seed, group.name, slot)
                    save_agent(path, group.policy, params, card)

    def _beside(self) -> str | None:
        """Who did not learn, as `eval --beside` takes it; None where all learned or there was nobody else."""
        for entry in self.config.team:
            if entry.learner is None:
                return entry.policy.source if isinstance(entry.policy, Frozen) else entry.policy.kind
        return None

    def _watch(self, told: dict, done: int) -> None:
        """A number that is not finite would spread in silence; stop with the place named."""
        for group in self.program.team.learning:
            fault = np.asarray(told[group.name].pop(FAULT, -1.0))
            if (fault >= 0).any():
                member, place = np.argwhere(fault >= 0)[0]
                arm, seed = self.config.members[member]
                raise DivergedError(
                    f"an intrinsic reward of {group.name!r}, slot {group.slots[place]}, is not finite at step "
                    f"{int(fault[member, place]) + 1} of an episode of update {done} (arm {arm!r}, seed {seed}); "
                    "start another run with a lower learning_rate or intrinsic weight"
                )
            for name in group.learner.watched:
                bad = np.argwhere(~np.isfinite(told[group.name][name]))
                if len(bad):
                    arm, seed = self.config.members[bad[0][0]]
                    raise DivergedError(
                        f"{name} of {group.name!r} is not finite at update {done} (arm {arm!r}, seed {seed}); "
                        "start another run with a lower learning_rate, or with max_gradient_norm set"
                    )

    def _values(self, told: dict) -> dict[str, Any]:
        """Metrics by arm: values[arm][...] lists its seeds; per agent by its name."""
        seeds, agents = self.config.seeds, agent_names(self.config)
        values: dict[str, Any] = {}
        for number, arm in enumerate(self.config.arms):
            own = jax.tree.map(lambda x, n=number: x[n * seeds : (n + 1) * seeds], told)
            entry: dict[str, Any] = {"social_share": own["social_share"], "task": own["task"]}
            for name, value in own["agents"].items():
                for slot, agent in enumerate(agents):
                    entry.setdefault(agent, {})[name] = value[:, slot]
            for group in self.program.team.learning:
                for place, slot in enumerate(group.slots):
                    for name, value in own[group.name].items():
                        entry[agents[slot]][name] = value[:, place] if value.ndim > 1 else value
            values[arm.name] = entry
        return values

    def _evaluation(self, told: dict) -> dict[str, Any]:
        seeds, agents = self.config.seeds, agent_names(self.config)
        values: dict[str, Any] = {}
        for number, arm in enumerate(self.config.arms):
            entry = values.setdefault(arm.name, {})
            for place, slot in enumerate(self.program.team.learning_slots):
                entry[agents[slot]] = {
                    kind: {name: value[number * seeds : (number + 1) * seeds, place] for name, value in part.items()}
                    for kind, part in told.items()
                }
        return values

    def _shown(self, told: dict) -> dict[str, float]:
        """The few numbers worth a place in the terminal: mean return of each learner, by arm."""
        seeds, agents = self.config.seeds, agent_names(self.config)
        shown = {}
        for number, arm in enumerate(self.config.arms):
            returns = told["agents"]["return"][number * seeds : (number + 1) * seeds]
            for slot in self.program.team.learning_slots:
                label = agents[slot] if len(self.config.arms) == 1 else f"{agents[slot]} ({arm.name})"
                own = returns[:, slot]
                own = own[np.isfinite(own)]  # no number where an agent was in no episode
                shown[f"return {label}"] = float(own.mean()) if own.size else float("nan")
        return shown


def agent_file(arm: str, seed: int, group: str, slot: int) -> str:
    """Name of an exported agent in a run's `agents` folder."""
    return f"{arm}-seed{seed}-{group}-{slot}.safetensors"


class _StopSignal:
    """SIGINT and SIGTERM ask for a stop in good order; a second one stops at once."""

    def __init__(self):
        self.asked = False
        self._before: dict[int, Any] = {}

    def __enter__(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._ask)
            except ValueError:  # not the main thread: leave signals to whoever owns them
                break
        return self

    def __exit__(self, *error):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number, frame):
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
