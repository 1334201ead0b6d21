"""XLA's alarm about slow compilation is left out; everything else on standard error arrives, even in a crash."""

import io
import signal
import subprocess
import sys

from rookery.commands.native_messages import copy_without_alarms

ALARM = b"""\
E0000 00:00:1700000000.000000   12345 slow_operation_alarm.cc:73]
********************************
[Compiling module jit_train_step] Very slow compile? If you want to file a bug, run with envvar XLA_FLAGS=--xla_dump_to=/tmp/foo and attach the results.
********************************
E0000 00:00:1700000000.000000   12345 slow_operation_alarm.cc:140] The operation took 2m3.4s

********************************
"""  # noqa: E501 (as XLA writes it)
ERROR = b"E0000 00:00:1700000000.000000   12345 pjrt_client.cc:9] out of memory\n"


def test_only_the_alarm_is_left_out():
    passed = []
    copy_without_alarms(io.BytesIO(ALARM + ERROR + b"2 ** 3\nno line end"), passed.append)
    assert b"".join(passed).replace(b"\n\n", b"\n").lstrip() == ERROR + b"2 ** 3\nno line end"


def test_the_last_messages_of_a_crash_arrive():
    program = f"""
import os, sys
from rookery.commands.native_messages import filter_native_messages
filter_native_messages()
print("from Python", file=sys.stderr)
os.write(2, {ALARM!r} + {ERROR!r})
os.write(2, b"F0000 check failed")
os.abort()
"""
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=600)
    assert process.returncode == -signal.SIGABRT
    assert b"from Python\n" in process.stderr
    assert ERROR in process.stderr
    assert process.stderr.endswith(b"F0000 check failed")
    assert b"slow" not in process.stderr
    assert b"****" not in process.stderr
