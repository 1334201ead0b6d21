"""`rookery bench`: speed on this machine, with machine and versions beside every number."""

from __future__ import annotations

import json

from rookery.errors import ConfigError
from rookery.training.devices import machine_info, use_all_cores


def run_bench(what: str, seconds: float, num_envs: int, as_json: bool, task_id: str | None = None) -> int:
    """Measure and print. Raises ConfigError for a time or size without sense, MissingError for an unknown task."""
    if seconds <= 0 or num_envs < 1:
        raise ConfigError(f"seconds={seconds} and worlds={num_envs} must be positive")
    use_all_cores()
    from rookery.tasks import registry
    from rookery.training.benchmark_env import measure_goal_cycle, measure_task
    from rookery.training.benchmark_update import measure_update

    results: dict = {"machine": machine_info()}
    if task_id is not None:
        registry.check_task_id(task_id)
    if what in ("world", "all") and task_id is not None:
        results["world"] = [{"task": task_id, **measure_task(registry.get_task(task_id), num_envs, seconds)}]
    elif what in ("world", "all"):
        results["world"] = [measure_goal_cycle(kind, num_envs, 3, 13, 13, seconds) for kind in ("pixels", "symbolic")]
    if what in ("dilemma", "all"):
        results["dilemma"] = [measure_task(name, num_envs, seconds) for name in ("cleanup-v0", "harvest-v0")]
    if what in ("update", "all"):
        results["update"] = [measure_update(network, seconds) for network in ("lite", "paper")]
    if as_json:
        print(json.dumps(results))
        return 0
    print(", ".join(f"{name} {value}" for name, value in results["machine"].items()))
    for row in results.get("world", []):
        print(
            f"{row['task']}, {row['agents']} agents, {row['kind']}, random actions, {row['worlds']} worlds: "
            f"{row['steps_per_second']:,.0f} environment steps/s"
        )
    for row in results.get("dilemma", []):
        print(
            f"{row['task']}, {row['agents']} agents, random actions, {row['worlds']} worlds: "
            f"{row['steps_per_second']:,.0f} environment steps/s"
        )
    for row in results.get("update", []):
        print(
            f"{row['network']} network, {row['minibatches']} minibatches of {row['sequences']}×{row['length']}: "
            f"update {row['seconds']:.1f} s, {row['gflops']:.0f} GFLOP/s ({row['performed_gflops']:.0f} performed), "
            f"{row['share_of_matmul']:.2f} of the {row['matmul_gflops']:.0f} GFLOP/s of a float32 matrix product; "
            f"compiled in {row['compile_seconds']:.0f} s; "
            f"{row['steps_per_second']:,.0f} environment steps/s learned"
        )
    return 0
