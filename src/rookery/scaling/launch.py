"""Where a process of a run finds the others: by options, or by what SLURM or Open MPI says in the environment."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping

from rookery.errors import ConfigError
from rookery.storage.strict_json import is_whole_number_text

_FIRST_PORT, _NUM_PORTS = 61440, 4096
"""Ports from which those of a scheduler's jobs are chosen, by the number of the job; JAX chooses the same."""
_PORTS_PER_STEP = 997
"""How far apart the ports of a job's steps are: not those of the next jobs, which may be on the same node."""


@dataclasses.dataclass(frozen=True)
class Launch:
    """One process among those that train a run."""

    coordinator: str
    """HOST:PORT at which process 0 waits for the others."""
    num_processes: int
    process_id: int
    source: str
    """Who says so: 'options', 'SLURM' or 'Open MPI'."""

    def __post_init__(self) -> None:
        if self.num_processes < 1:
            raise ConfigError(f"num_processes={self.num_processes} must be at least 1")
        if not 0 <= self.process_id < self.num_processes:
            raise ConfigError(
                f"process_id={self.process_id} must lie in 0 to {self.num_processes - 1}, for {self.num_processes} "
                "processes"
            )
        _ = self.address

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of process 0. Raises ConfigError."""
        return parse_address("coordinator", self.coordinator)

    @property
    def description(self) -> str:
        """One line for people."""
        return (
            f"{self.process_id} of {self.num_processes}, by {self.source}; process 0 waits for the others at "
            f"{self.coordinator}"
        )


def parse_address(name: str, text: str) -> tuple[str, int]:
    """Host and port from HOST:PORT. `name`: of the setting, in the ConfigError for anything else."""
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not (_is_host(host) and port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536):
        raise ConfigError(f"{name} {text!r} must be HOST:PORT, such as node1:4000, with a port from 1 to 65535")
    return host, int(port)


def _is_host(host: str) -> bool:
    """Whether Python can look a name up: it raises UnicodeError for a name without letters between two dots."""
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def find_launch(
    coordinator: str | None, num_processes: int | None, process_id: int | None, environ: Mapping[str, str]
) -> Launch | None:
    """The place of this process among those of a run; None if it trains alone.

    Args:
      coordinator, num_processes, process_id: options; None: as the environment says.
    Raises: ConfigError if something is missing or wrong.
    """
    if num_processes == 1 and coordinator is None and not process_id:
        return None  # asked for, whatever the environment says
    found = _from_slurm(environ) or _from_open_mpi(environ)
    options = {"coordinator": coordinator, "num_processes": num_processes, "process_id": process_id}
    chosen = {name: value for name, value in options.items() if value is not None}
    if found is None:
        if not chosen:
            return None
        if missing := [name for name in options if name not in chosen]:
            raise ConfigError(
                f"{_flags(chosen)} without {_flags(missing)}: give all three, or start the processes with srun or "
                "mpirun, whose environment says the rest"
            )
        found = {"source": "options"}
    values = {**found, **chosen}
    if not values.get("coordinator"):
        raise ConfigError(
            f"{found['source']} does not say where process 0 is: add --coordinator HOST:PORT, with the host of process "
            "0, or --num-processes 1 to train in each process alone"
        )
    launch = Launch(**values)
    return launch if launch.num_processes > 1 else None


def _flags(names) -> str:
    return " and ".join(f"--{name.replace('_', '-')}" for name in names)


def _from_slurm(environ: Mapping[str, str]) -> dict | None:
    """Of a task that `srun` started with others. A batch script itself is not a task: it has no list of nodes."""
    size = _integer(environ, "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS")
    rank = _integer(environ, "SLURM_PROCID")
    nodes = environ.get("SLURM_STEP_NODELIST")
    if size is None or size < 2 or rank is None or not nodes:
        return None
    # node1 | node1,node2 | node[001-015,020],other | gpu-[1,3]-rack | rack[1-2]n[3-4]
    first = re.match(r"(?:[^,\[]|\[[^\]]*\])*", nodes)
    host = re.sub(r"\[(\w+)[^\]]*\]", r"\1", first[0] if first else nodes)
    number = (_integer(environ, "SLURM_JOB_ID") or 0) + (_integer(environ, "SLURM_STEP_ID") or 0) * _PORTS_PER_STEP
    port = _FIRST_PORT + number % _NUM_PORTS
    return {"coordinator": f"{host}:{port}", "num_processes": size, "process_id": rank, "source": "SLURM"}


def _from_open_mpi(environ: Mapping[str, str]) -> dict | None:
    """Of a process that `mpirun` started with others."""
    size = _integer(environ, "OMPI_COMM_WORLD_SIZE")
    rank = _integer(environ, "OMPI_COMM_WORLD_RANK")
    if size is None or size < 2 or rank is None:
        return None
    # 1531576320.0;tcp://10.96.0.1,10.148.0.1:34911, of version 4; version 5 does not say where its launcher is.
    uri = environ.get("OMPI_MCA_orte_hnp_uri", "")
    match = re.match(r"([0-9]{1,20})\..*?tcp6?://\[?([^,\]]+?)(?:[,\]]|:\d+$)", uri)
    address = f"{match[2]}:{_FIRST_PORT + int(match[1]) // 4096 % _NUM_PORTS}" if match else ""
    return {"coordinator": address, "num_processes": size, "process_id": rank, "source": "Open MPI"}


def _integer(environ: Mapping[str, str], *names: str) -> int | None:
    for name in names:
        text = environ.get(name, "")
        if is_whole_number_text(text):
            return int(text)
    return None
