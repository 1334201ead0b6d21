"""How a command ends that a signal stops."""

from __future__ import annotations

import signal

from rookery.training.stop_signal import stop_signals

_CONTINUES = "what is finished or saved is kept; run the same command to continue"
_RESUMES = "what was saved is kept, and 'rookery resume' continues from there"
KEPT: dict[str, str] = {
    "train": _RESUMES,
    "resume": _RESUMES,
    "generations": _CONTINUES,
    "clone": _CONTINUES,
    "demo": _CONTINUES,
    "reproduce": _CONTINUES,
    "sweep": _CONTINUES,
    "report": "the studies printed above are done; run the same command for the others",
    "eval": "nothing was kept but what is printed above",
    "replay": "nothing was kept but the files printed above",
    "score": "nothing was kept but the cards of agents that were done",
    "schelling": "nothing was kept",
    "cross-play": "nothing was kept",
    "export": "nothing was kept",
    "bench": "nothing was kept",
}
"""What each command that may take long leaves behind when it does not reach its end."""


def end_by_signals_as_by_sigint() -> None:
    """From now on SIGTERM and SIGHUP raise KeyboardInterrupt, so that what is being written is removed and the command
    can say what it kept. A command that saves before it stops handles the signals itself while it trains."""
    for number in stop_signals():
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def end_at_once_by_signals() -> None:
    """From now on the signals end the process without a word: the command has said what it kept, and what runs at exit
    would answer a KeyboardInterrupt with a traceback."""
    for number in stop_signals():
        if signal.getsignal(number) == signal.default_int_handler:
            signal.signal(number, signal.SIG_DFL)


def describe_stop(command: str) -> str:
    """One line about a command that a signal stopped."""
    return f"stopped; {KEPT[command]}" if command in KEPT else "stopped"
