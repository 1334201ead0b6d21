"""Seconds of CPU that commands take which only print help or a list.

    python benchmarks/startup.py [--repeats N]

Prints, per command, the fewest seconds of CPU of N new processes, and the same as a multiple of what `import asyncio`
takes in a new process on the same machine.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys

COMMANDS = (
    "--help",
    "train --help",
    "clone --help",
    "play --help",
    "envs list",
    "zoo list",
    "zoo show goal-cycle-demo-novice",
    "reproduce --list",
)


def measure(arguments: list[str], repeats: int) -> float:
    """Fewest seconds of CPU, user and system, of `repeats` runs of Python with `arguments`."""
    seconds = []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    unit = measure(["-c", "import asyncio"], repeats)
    print(f"{unit:6.3f} s         import asyncio")
    for command in COMMANDS:
        seconds = measure(["-m", "rookery", *command.split()], repeats)
        print(f"{seconds:6.3f} s  {seconds / unit:5.1f}  rookery {command}")


if __name__ == "__main__":
    main()
