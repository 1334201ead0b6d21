import sys

from rookery.errors import ConfigError, RookeryError


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print("usage: python -m rookery.testing trace FILE.npz [FILE.npz ...]")
        return 0 if arguments else ConfigError.exit_code
    try:
        if arguments[0] != "trace":
            raise ConfigError(f"{arguments[0]!r} is not known; allowed: trace")
        from rookery.testing.gridworld_traces import check_traces as trace

        return trace(arguments[1:])
    except RookeryError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
