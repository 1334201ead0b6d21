"""Command line of `rookery.testing`: `trace FILE.npz ...` compares recordings; see `gridworld_traces`."""

import sys

from rookery.errors import ConfigError, RookeryError


def main(arguments: list[str]) -> int:
    """Run a command. Returns the exit code: 0 equal, 1 different, 2 bad arguments, 4 damaged file, 6 no such file."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: python -m rookery.testing trace FILE.npz [FILE.npz ...]")
        return 0 if arguments else ConfigError.exit_code
    try:
        if arguments[0] != "trace":
            raise ConfigError(f"{arguments[0]!r} is not known; allowed: trace")
        from rookery.testing.gridworld_traces import check_traces

        return check_traces(arguments[1:])
    except RookeryError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
