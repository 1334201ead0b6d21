"""The command line: chooses the command, runs it, and turns its error into one line and an exit code.

Each command is a dataclass in `rookery.commands`; its fields are the options. A command is imported only when it runs,
and lists are printed without parsing the command line, so that both are quick.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys

from rookery.commands.command_classes import COMMANDS, command_class
from rookery.commands.lists import find_list
from rookery.commands.output import outlast_readers
from rookery.commands.stopping import describe_stop, end_at_once_by_signals, end_by_signals_as_by_sigint
from rookery.environment import read_variable
from rookery.errors import (
    STOPPED_EXIT_CODE,
    ConfigError,
    NotFoundError,
    RookeryError,
    StorageError,
    explain_failure,
    printable,
    suggest,
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0 done, else as in `rookery.errors` (2 for wrong arguments).

    Args:
      arguments: the command line; None: the process's own, whose standard error is then filtered (see
        `rookery.commands.native_messages`).
    """
    is_process, arguments = arguments is None, sys.argv[1:] if arguments is None else arguments
    code = 0
    if is_process:
        _open_closed_streams()
        _escape_unprintable()
    try:
        if is_process:
            end_by_signals_as_by_sigint()
        code = _run(arguments, is_process)
        sys.stdout.flush()  # if the reader of a pipe has gone, find out here and not at exit
        return code
    except (ConfigError, NotFoundError) as error:
        help_hint = f" (help: rookery {arguments[0]} --help)" if arguments and arguments[0] in COMMANDS else ""
        return _fail(f"{error}{help_hint}", error.exit_code)
    except RookeryError as error:
        return _fail(str(error), error.exit_code)
    except OSError as error:
        if error.errno == errno.EPIPE or (error.errno == errno.EIO and error.filename is None):  # EIO: of a terminal
            # The reader has gone: there is nothing more to say, not even at exit.
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return code
        return _fail(f"{error.strerror or error}: {error.filename or 'no file named'}", StorageError.exit_code)
    except KeyboardInterrupt:
        return _fail(describe_stop(arguments[0] if arguments else ""), STOPPED_EXIT_CODE)
    except Exception as error:
        explained = explain_failure(error)
        if explained is None:
            raise
        return _fail(str(explained), explained.exit_code)
    finally:
        if is_process:
            end_at_once_by_signals()


def _open_closed_streams() -> None:
    """Give a process that was started without standard input, output or error (`>&-`) empty ones.

    The first files that it opens would otherwise get their numbers: what native code writes to standard error would end
    in the metrics of a run.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def _escape_unprintable() -> None:
    """Where the output is not UTF-8, characters that it lacks become escapes and not errors."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(arguments: list[str], is_process: bool) -> int:
    if not arguments or arguments[0] in ("--help", "-h"):
        print(overview())
        return 0 if arguments else ConfigError.exit_code
    if arguments in (["--version"], ["-V"]):
        from rookery import __version__

        print(__version__)
        return 0
    name, *options = arguments
    if name == "--install-completion":
        from rookery.commands.completion import install_completion

        classes = {command: (command_class(command), summary) for command, (_, summary) in COMMANDS.items()}
        return install_completion(classes, options)
    if name not in COMMANDS:
        raise ConfigError(f"no command {name!r}; {suggest(name, COMMANDS)}; see rookery --help")
    if "" in options:
        raise ConfigError(
            "an argument is empty, perhaps from a shell variable that is not set; leave it out or fill it in"
        )
    if print_list := find_list(name, options):
        return print_list()
    import tyro

    from rookery.commands.options import expand_home, gather_overrides

    try:
        cls = command_class(name)
        command = tyro.cli(cls, args=gather_overrides(cls, list(map(expand_home, options))), prog=f"rookery {name}")
    except SystemExit as end:  # help was shown, or the arguments were wrong
        return end.code if isinstance(end.code, int) else 0
    if is_process and read_variable("ROOKERY_XLA_MESSAGES") == "filtered":
        from rookery.commands.native_messages import filter_native_messages

        filter_native_messages()
    if is_process:
        outlast_readers(name)
        _configure_logging()
    return command()


def _configure_logging() -> None:
    """Print the library's messages on standard error, from the level of ROOKERY_LOG on."""
    import logging

    logger = logging.getLogger("rookery")
    logger.setLevel(read_variable("ROOKERY_LOG").upper())
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger.addHandler(handler)
    logger.propagate = False  # other libraries give the root logger handlers: every message would appear twice


def overview() -> str:
    """Every command with the first sentence of its help."""
    lines = [f"  {name:10} {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        (
            "Social learning in multi-agent reinforcement learning.",
            "",
            "usage: rookery COMMAND [OPTIONS]",
            "       rookery COMMAND --help",
            "       rookery --install-completion [bash|zsh|fish]",
            "",
            *lines,
        )
    )


def _fail(message: str, code: int) -> int:
    with contextlib.suppress(OSError):  # the terminal has gone, and the exit code has not
        print(f"error: {printable(' '.join(message.split()))}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
