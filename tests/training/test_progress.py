import contextlib
import errno
import io
import os

import pytest

from rookery.training.progress import Progress, format_count, format_duration, format_number


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_in_a_log():
    clock, out = Clock(), io.StringIO()
    with Progress(6_000_000, "fig4", clock=clock, stream=out) as progress:
        for i in range(1, 12):
            clock.now += 4.0
            progress.update(i * 40_000, {"return novice": 1.02, "return expert": float("nan")})
        progress.note("checkpoint 00000011 saved")
    lines = out.getvalue().splitlines()
    assert lines[0] == ("[fig4] 40.0k/6.00M steps  0%  10,000 steps/s  9m56s left  return novice 1.02  return expert -")
    # every third update is the first at least ten seconds after the last line
    assert [line.split()[1].split("/")[0] for line in lines] == [
        "40.0k",
        "160.0k",
        "280.0k",
        "400.0k",
        "checkpoint",
        "440.0k",
    ]
    assert lines[-2] == "[fig4] checkpoint 00000011 saved"


def test_the_time_left_moves_while_an_update_runs():
    clock = Clock()
    progress = Progress(1000, "run", clock=clock, stream=io.StringIO())
    clock.now = 60.0
    progress.update(500)
    assert progress.line().endswith("1m00s left")
    clock.now = 75.0
    assert progress.line().endswith("45s left")
    clock.now = 200.0  # slower than the update before
    assert progress.line().endswith("0s left")


def test_steps_are_those_of_each_run():
    progress = Progress(800, "run", num_replicas=4, stream=io.StringIO())
    progress.update(200)
    assert progress.line().startswith("[run] 50/200 steps × 4 runs  25%")


def test_compiling_is_shown_and_does_not_count_as_speed():
    clock, out = Clock(), io.StringIO()
    with Progress(1000, "run", clock=clock, stream=out) as progress:
        with progress.during("compiling"):
            assert progress.line() == "[run] 0/1,000 steps  0%  compiling"
            clock.now = 100.0
        clock.now = 101.0
        progress.update(10)
        assert progress.speed() == pytest.approx(10.0)
        with progress.during("evaluating"):  # says nothing more in a log
            assert "evaluating" in progress.line()
    assert out.getvalue() == "[run] compiling\n[run] 10/1,000 steps  1%  10 steps/s  1m39s left\n"


def test_speed_forgets_the_slow_start_and_a_resumed_past():
    clock = Clock()
    progress = Progress(10_000, "run", initial_steps=5000, clock=clock, stream=io.StringIO())
    assert progress.speed() is None
    clock.now = 100.0  # compiling
    progress.update(5010)
    assert progress.speed() == pytest.approx(0.1)
    for i in range(10):
        clock.now += 1.0
        progress.update(5010 + 20 * (i + 1))
    assert progress.speed() == pytest.approx(20.0)
    assert "52%" in progress.line()
    assert "3m59s left" in progress.line() or "4m00s left" in progress.line()


def test_the_end():
    clock, out = Clock(), io.StringIO()
    with Progress(100, "run", clock=clock, stream=out) as progress:
        clock.now = 62.0
        progress.update(100)
    assert out.getvalue() == "[run] 100/100 steps  100%  1.6 steps/s  done in 1m02s\n"


def test_quiet_and_empty_runs_say_nothing_wrong():
    out = io.StringIO()
    with Progress(100, "run", quiet=True, stream=out) as progress:
        progress.update(50, {"a": 1.0})
        progress.note("x")
    assert out.getvalue() == ""
    with Progress(0, "run", stream=out) as progress:
        progress.update(0)
    assert "done" in out.getvalue()


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    clock, out = Clock(), Terminal()
    with Progress(200, "run [x]", clock=clock, stream=out) as progress:
        clock.now = 2.0
        progress.update(100, {"return [novice]": 1.5})
        progress.note("saved [bold]")
    text = out.getvalue()
    for part in (
        "run [x]",
        "100/200 steps",
        "50%",
        "50 steps/s",
        "2s left",
        "2s so far",
        "return [novice] 1.50",
    ):
        assert part in text
    assert "[run [x]] saved [bold]" in text
    with Progress(200, "run", clock=clock, stream=(end := Terminal())) as progress:
        progress.update(200)
    last = end.getvalue().rsplit("200/200", 1)[1]
    assert "done in" in last
    assert "so far" not in last  # said once
    assert "\x1b[" in text


def test_an_error_takes_the_bar_down(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    out = Terminal()
    progress = Progress(200, "run", stream=out)

    def fail():
        with progress:
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        fail()
    assert out.getvalue().rstrip().endswith("\x1b[?25h")  # the cursor is back


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(errno.ENOSPC, "full"), ValueError("closed file")])
@pytest.mark.parametrize("terminal", [False, True])
def test_a_reader_that_left_stops_no_training(error, terminal, monkeypatch):
    class Gone(io.StringIO):
        def write(self, _):
            raise error

        def isatty(self):
            return terminal

    monkeypatch.setenv("TERM", "xterm")
    with Progress(100, "run", stream=Gone()) as progress:
        progress.update(10)
        progress.note("x")


@pytest.mark.parametrize("kind", ["xterm", "dumb"])
def test_a_terminal_that_was_closed_stops_no_training(kind, monkeypatch):
    monkeypatch.setenv("TERM", kind)
    master, slave = os.openpty()
    terminal = open(slave, "w")  # noqa: SIM115 (closing it fails, too)
    with Progress(100, "run", stream=terminal) as progress:
        progress.update(10)
        os.close(master)  # as when a connection by ssh ends
        progress.note("x")
        progress.update(100)
    with contextlib.suppress(OSError):
        terminal.close()


def test_a_process_without_a_console_trains(monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    with Progress(100, "run") as progress:
        progress.update(10)
        progress.note("x")


def test_few_characters():
    counts = {0: "0", 950: "950", 8430: "8,430", 12_345: "12.3k", 1_200_000: "1.20M", 2_500_000_000: "2.50G"}
    assert {n: format_count(n) for n in counts} == counts
    times = {-1: "0s", 38.4: "38s", 59.7: "1m00s", 252: "4m12s", 7500: "2h05m", 273_600: "3d04h"}
    assert {s: format_duration(s) for s in times} == times
    numbers = {
        0.0: "0.00",
        1.018: "1.02",
        -12.3: "-12.30",
        0.00012: "0.00012",
        12345.0: "12,345",
        2e9: "2e+09",
    }
    assert {v: format_number(v) for v in numbers} == numbers
    assert format_number(float("inf")) == "-"
