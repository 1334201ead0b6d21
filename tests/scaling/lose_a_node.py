"""A Ray cluster of two nodes on this machine, of which one is killed with -9 while it trains.

`python -m tests.scaling.lose_a_node RUNS COMMAND...`: starts the cluster, then the command with the cluster's address
at its end; kills the second node once one of its workers has written a checkpoint. Prints the command's output and
what was killed; the exit code is the command's.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from ray.cluster_utils import Cluster


def parent(process: int) -> int:
    """Number of the process that started another one; 0 if that is gone."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return 0


def victims(runs: Path, raylet: int) -> list[tuple[str, int]]:
    """Parts with a checkpoint, not finished, that a worker of a node trains; with the worker's process."""
    found = []
    for log in runs.glob("studies/*.parts/[!.]*/log.txt"):  # the name of a folder that is arriving begins with a dot
        processes = re.findall(r"process (\d+) on", log.read_text())
        trained = any((log.parent / "checkpoints").glob("[0-9]*")) if (log.parent / "checkpoints").exists() else False
        if processes and trained and parent(int(processes[-1])) == raylet:
            found.append((log.parent.name, int(processes[-1])))
    return found


def main(runs: Path, command: list[str]) -> int:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        second = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        raylet = second.all_processes["raylet"][0].process.pid
        driver = subprocess.Popen([*command, cluster.address])
        killed: list[tuple[str, int]] = []
        while driver.poll() is None:
            if not killed and (killed := victims(runs, raylet)):
                for process in (raylet, *(worker for _, worker in killed)):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGKILL)
            time.sleep(0.05)
        print("killed", *(part for part, _ in killed), flush=True)
        return driver.returncode
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
