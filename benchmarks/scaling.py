"""How a study grows: replicas on 1 to N devices of this machine, what Ray adds to a task, and what travels.

`python benchmarks/scaling.py devices 1 2 4 8` trains as many replicas as devices, each count in a process of its own.
`python benchmarks/scaling.py processes 1 2` trains as many replicas as the largest count in so many processes, one core
each, that meet as on several hosts.
`python benchmarks/scaling.py ray` starts a Ray cluster here and times tasks that do nothing.
`python benchmarks/scaling.py bytes RUN...` measures the archives of runs, which travel where no disk is shared.
"""

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path


def measure_devices(counts: list[int], updates: int) -> list[dict]:
    """One row per number of devices."""
    return [json.loads(subprocess.run(
        [sys.executable, __file__, "one-count", str(count), "--updates", str(updates)],
        env={**os.environ, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, check=True,
    ).stdout.splitlines()[-1]) for count in counts]  # fmt: skip


def measure_count(count: int, updates: int) -> dict:
    """As many replicas of the preset demo as devices, for a few updates, in this process."""
    from rookery.training.devices import use_all_cores

    use_all_cores(count)
    import jax

    from rookery.training.build import build
    from rookery.training.presets import preset
    from rookery.training.train_step import replica_schedules

    demo = preset("demo")
    config = dataclasses.replace(demo, variants=demo.variants[:1], num_seeds=count, eval_episodes=0)
    run = build(config)
    state, schedules = run.place_on_devices((run.init(), replica_schedules(config)))
    start = time.perf_counter()
    update = run.compile_train_step().lower(state, schedules).compile()
    compile_seconds, seconds = time.perf_counter() - start, []
    for _ in range(updates + 1):
        start = time.perf_counter()
        state, metrics = update(state, schedules)
        jax.block_until_ready(metrics)
        seconds.append(time.perf_counter() - start)
    best = min(seconds[1:])
    return {
        "devices": count,
        "replicas": count,
        "compile_seconds": round(compile_seconds, 1),
        "update_seconds": round(best, 3),
        "replicas_per_hour": round(3600 * count / (best * config.total_updates), 2),
    }


def measure_processes(counts: list[int], updates: int, name: str) -> list[dict]:
    """One row per number of processes, all with the same replicas of a preset, without checkpoints in between."""
    import socket
    import tempfile

    from rookery.storage.metrics import read_metrics
    from rookery.storage.serialization import to_dict
    from rookery.training.presets import preset

    whole = preset(name)
    config = dataclasses.replace(
        whole, variants=whole.variants[:1], num_seeds=max(counts), eval_episodes=0,
        total_timesteps=(updates + 1) * whole.steps_per_update, checkpoint_interval=updates + 1,
    )  # fmt: skip
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            server.close()
            (Path(folder) / "config.json").write_text(json.dumps({"config": to_dict(config)}))
            command = [sys.executable, "-m", "rookery", "train", f"{folder}/config.json", "--out", f"{folder}/run",
                       "--cores", "1", "--track", "none", "--quiet"]  # fmt: skip
            together = ["--coordinator", f"127.0.0.1:{port}", "--num-processes", str(count), "--process-id"]
            started = [
                subprocess.Popen([*command, *([*together, str(number)] if count > 1 else [])],
                                 env={**os.environ, "JAX_PLATFORMS": "cpu"}, stdout=subprocess.DEVNULL)
                for number in range(count)
            ]  # fmt: skip
            if any(process.wait() for process in started):
                raise SystemExit("a process failed")
            best = max(row["time/steps_per_second"] for row in read_metrics(f"{folder}/run")[1:])
            state = sum(path.stat().st_size for path in Path(folder, "run", "checkpoints").rglob("arrays.npz"))
        rows.append({
            "processes": count, "replicas": max(counts), "steps_per_second": round(best),
            "replicas_per_hour": round(3600 * best / (whole.total_updates * whole.steps_per_update), 2),
            "state_bytes": state,
        })  # fmt: skip
    return rows


def measure_ray(num_tasks: int) -> dict:
    """Seconds that Ray adds: to start a cluster, a node's first task, and every further task."""
    from rookery.scaling.ray_cluster import RayOptions, connected
    from rookery.scaling.ray_worker import probe

    start = time.perf_counter()
    with connected(RayOptions(local_cpus=2)) as ray:
        started = time.perf_counter()
        task = ray.remote(num_cpus=1, max_retries=0, scheduling_strategy="SPREAD")(probe)
        ray.get(task.remote("", ""))
        first = time.perf_counter()
        each = []
        for _ in range(num_tasks):
            begin = time.perf_counter()
            ray.get(task.remote("", ""))
            each.append(time.perf_counter() - begin)
    return {
        "start_cluster_seconds": round(started - start, 1),
        "first_task_seconds": round(first - started, 1),
        "further_task_seconds": round(statistics.median(each), 4),
    }


def measure_bytes(run_dirs: list[Path]) -> list[dict]:
    """Size of what travels at every checkpoint, and seconds to pack and to unpack it."""
    import tempfile

    from rookery.scaling.archives import pack, unpack

    rows = []
    for run_dir in run_dirs:
        start = time.perf_counter()
        data = pack(run_dir)
        packed = time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:
            unpack(data, Path(scratch) / "run")
        unpacked = time.perf_counter()
        rows.append({
            "run": run_dir.name, "bytes": len(data), "pack_seconds": round(packed - start, 3),
            "unpack_seconds": round(unpacked - packed, 3),
        })  # fmt: skip
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("devices", "one-count", "processes", "ray", "bytes"))
    parser.add_argument("values", nargs="*", help="numbers of devices or processes, or folders of runs")
    parser.add_argument("--updates", type=int, default=3, help="updates timed; the best counts (default 3)")
    parser.add_argument("--tasks", type=int, default=50, help="tasks of Ray timed; the median counts (default 50)")
    parser.add_argument("--preset", default="demo", help="what processes train (default demo)")
    options = parser.parse_args()
    if options.what == "one-count":
        print(json.dumps(measure_count(int(options.values[0]), options.updates)))
    else:
        from rookery.training.devices import machine_info

        if options.what == "devices":
            results = measure_devices([int(value) for value in options.values or ("1", "2")], options.updates)
        elif options.what == "processes":
            results = measure_processes(
                [int(value) for value in options.values or ("1", "2")], options.updates, options.preset
            )
        elif options.what == "ray":
            results = measure_ray(options.tasks)
        else:
            results = measure_bytes([Path(value) for value in options.values])
        print(json.dumps({"machine": machine_info(), "results": results}, indent=2))
