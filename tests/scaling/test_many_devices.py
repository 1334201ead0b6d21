"""Numbers do not depend on how many devices a run has."""

import json
import os
import subprocess
import sys

from tests.flags import KEPT


def test_eight_devices_give_the_numbers_of_one():
    flags = KEPT.replace("device_count=2", "device_count=8")
    assert flags != KEPT
    command = [sys.executable, "-m", "tests.scaling.many_devices"]
    ended = subprocess.run(command, env={**os.environ, "XLA_FLAGS": flags}, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    digests = json.loads(ended.stdout)
    assert {case: list(by_devices) for case, by_devices in digests.items()} == {
        "shared": ["1", "2", "4", "8"],
        "spread": ["1", "8"],
    }
    for case, by_devices in digests.items():
        assert len(set(by_devices.values())) == 1, case
