"""`rookery bench`: speed on this machine, with the machine and versions that it was measured on."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

from tyro.conf import Positional, arg

from rookery.commands.options import Json, optional, use_cores, working
from rookery.commands.output import print_json
from rookery.errors import ConfigError
from rookery.limits import MAX_ENVS, check_count

DEFAULT_NUM_ENVS = 2048
MAX_SECONDS = 86_400
"""Of each measurement: a day."""
SOCIAL_DILEMMA_TASKS = ("cleanup-v0", "harvest-v0")


@dataclasses.dataclass
class BenchCommand:
    """Measure speed on this machine; print the machine, versions and environment steps per second."""

    target: Annotated[
        Positional[Literal["gridworld", "social-dilemmas", "update", "all"]],
        arg(
            help="gridworld: Goal Cycle with random actions. social-dilemmas: Cleanup and Harvest with random actions. "
            "update: one PPO update of each network, compared with a matrix product.",
        ),
    ] = "gridworld"
    seconds: float = 5.0
    """Seconds for each measurement."""
    task: Annotated[str | None, optional("ID", "Goal Cycle, as pixels and as symbols")] = None
    """Task that `gridworld` measures."""
    num_envs: int = DEFAULT_NUM_ENVS
    """Number of environments in one batch."""
    json: Json = False

    def __call__(self) -> int:
        return run_bench(self)


def run_bench(options: BenchCommand) -> int:
    """Measure and print. Raises ConfigError for a time or size that cannot be, NotFoundError for a task."""
    if not 0 < options.seconds <= MAX_SECONDS:
        raise ConfigError(f"seconds={options.seconds} must be above 0 and at most {MAX_SECONDS:,}")
    check_count("num_envs", options.num_envs, MAX_ENVS)
    if options.num_envs != DEFAULT_NUM_ENVS:
        _check_used("--num-envs", options.target, ("gridworld", "social-dilemmas", "all"))
    if options.task is not None:
        _check_used("--task", options.target, ("gridworld", "all"))
    use_cores(None)
    from rookery.training.devices import machine_info

    with working("measuring"):
        results: dict = {"machine": machine_info(), **_measure(options)}
    if options.json:
        print_json(results)
        return 0
    print(", ".join(f"{name} {value}" for name, value in results["machine"].items()))
    for row in (*results.get("gridworld", ()), *results.get("social-dilemmas", ())):
        print(
            f"{row['task']}, {row['num_agents']} agents, {row['observation_type']}, random actions, {row['num_envs']} "
            f"environments: {row['steps_per_second']:,.0f} environment steps/s"
        )
    for row in results.get("update", ()):
        print(
            f"{row['network']} network, {row['num_minibatches']} minibatches of {row['minibatch_size']} sequences of "
            f"{row['sequence_length']} steps: update {row['seconds']:.1f} s, {row['gflops']:.0f} GFLOP/s "
            f"({row['performed_gflops']:.0f} performed), {row['fraction_of_matmul']:.2f} of the "
            f"{row['matmul_gflops']:.0f} GFLOP/s of a float32 matrix product; compiled in {row['compile_seconds']:.0f} "
            f"s; {row['steps_per_second']:,.0f} environment steps/s learned"
        )
    return 0


def _check_used(option: str, target: str, targets: tuple[str, ...]) -> None:
    """Raises ConfigError for an option that says nothing about what is measured."""
    if target not in targets:
        raise ConfigError(f"{option} is not for {target!r}; leave it out, or measure one of: {', '.join(targets)}")


def _measure(options: BenchCommand) -> dict[str, list[dict]]:
    from rookery.tasks import registry
    from rookery.training.benchmark_env import measure_goal_cycle, measure_task
    from rookery.training.benchmark_update import measure_update

    def measure_tasks(*task_ids: str) -> list[dict]:
        return [
            {"task": task_id, **measure_task(registry.get_task(task_id), options.num_envs, options.seconds)}
            for task_id in task_ids
        ]

    if options.task is not None:
        registry.get_task(options.task)
    results: dict[str, list[dict]] = {}
    if options.target in ("gridworld", "all"):
        results["gridworld"] = (
            measure_tasks(options.task)
            if options.task is not None
            else [
                measure_goal_cycle(kind, options.num_envs, 3, 13, 13, options.seconds)
                for kind in ("pixels", "symbolic")
            ]
        )
    if options.target in ("social-dilemmas", "all"):
        results["social-dilemmas"] = measure_tasks(*SOCIAL_DILEMMA_TASKS)
    if options.target in ("update", "all"):
        results["update"] = [measure_update(network, options.seconds) for network in ("mlp", "ndousse2021")]
    return results
