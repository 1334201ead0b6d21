"""Checks that every type of the public interface is known to a type checker: `make types` runs it.

Prints what is not, and exits with 1 then.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

UNTYPED_PACKAGES = {
    "rookery.interop.pettingzoo.RookeryParallelEnv": "PettingZoo",
    "rookery.interop.pettingzoo.parallel_env": "PettingZoo",
    "rookery.interop.stable_baselines3.RookeryVecEnv": "Stable-Baselines3, where it is not installed",
}
"""Classes that derive from one of a package without types, and what returns them, with the package."""


def unknown_types() -> list[str]:
    """Names of public symbols whose type is not known, each with the first thing wrong with it."""
    scripts = Path(sys.executable).parent
    environ = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}", "PYTHONPATH": "src"}
    command = [scripts / "pyright", "--outputjson", "--ignoreexternal", "--verifytypes", "rookery"]
    checked = json.loads(subprocess.run(command, env=environ, capture_output=True, text=True).stdout)
    symbols = [symbol for symbol in checked["typeCompleteness"]["symbols"] if symbol["isExported"]]
    assert len(symbols) > 1000, "pyright did not find the package"
    return [
        f"{symbol['name']}: {symbol['diagnostics'][0]['message'] if symbol['diagnostics'] else 'no diagnostic'}"
        for symbol in symbols
        if not symbol["isTypeKnown"] and symbol["name"] not in UNTYPED_PACKAGES
    ]


if __name__ == "__main__":
    unknown = unknown_types()
    print("\n".join(unknown) or "every public type is known")
    sys.exit(bool(unknown))
