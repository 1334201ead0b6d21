"""The processes that train one run together, as the training loop sees them."""

from __future__ import annotations

from typing import Any

from rookery.types import PyTree


class ProcessGroup:
    """The processes of a run, which each train some of its replicas; this class is a run in a single process.

    Process 0 starts or restores the state of all replicas, sends every process its own, and writes everything that the
    run writes. The others train and report. `rookery.scaling.hosts` has groups of several processes.
    """

    process_id: int = 0
    num_processes: int = 1
    stop_requested: bool = False
    """Process 0: whether another process was asked to stop, as of the last `gather`."""

    def assign(self, num_replicas: int, num_devices: int, facts: dict[str, Any]) -> range:
        """Divide the replicas among the processes, by their devices. Returns the numbers of this process's.

        Args:
          num_devices: that this process can use.
          facts: what all processes must have in common; else the run is refused.
        Raises: IncompatibleError if the processes differ in a fact.
        """
        return range(num_replicas)

    def scatter(self, num_updates: int, state: PyTree) -> tuple[int, PyTree]:
        """Send every process the state of its replicas.

        Args:
          num_updates: updates done. state: process 0: of all replicas; else a tree of its form.
        Returns: the updates done, and this process's state.
        """
        return num_updates, state

    def gather(self, tree: PyTree, stop: bool = False) -> PyTree:
        """Collect from all processes a tree whose leaves lead with replicas, numpy.

        Args:
          stop: whether this process was asked to stop.
        Returns: process 0: the tree of all replicas, in their order; else `tree`.
        """
        return tree

    def decide(self, decision: bool) -> bool:
        """The decision of process 0, in every process."""
        return decision

    def machines(self, replicas: tuple[Any, ...], machine: dict[str, Any]) -> list[dict[str, Any]]:
        """Process 0: which replicas were trained on which machine, as `status.json` has it.

        Args:
          replicas: of the whole run. machine: this process's.
        """
        return [{"replicas": [list(replica) for replica in replicas], **machine}]


ONE_PROCESS = ProcessGroup()
"""A run in this process alone."""
