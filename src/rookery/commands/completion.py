"""`rookery --install-completion`: completion of commands and options by the Tab key."""

from __future__ import annotations

import contextlib
import functools
import io
import operator
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from rookery.errors import ConfigError, suggest

COMPLETION_FILES = {
    "bash": Path(".local/share/bash-completion/completions/rookery"),
    "zsh": Path(".zfunc/_rookery"),
    "fish": Path(".config/fish/completions/rookery.fish"),
}
"""Where each shell looks for completions, in the home folder."""

_AFTERWARDS = {
    "bash": "open a new shell (needs the package bash-completion)",
    "zsh": "add `fpath+=~/.zfunc; autoload -Uz compinit; compinit` to ~/.zshrc, and open a new shell",
    "fish": "open a new shell",
}


def install_completion(commands: Mapping[str, tuple[type, str]], options: list[str]) -> int:
    """Write the completion script of a shell where the shell finds it, and print what to do next. Returns 0.

    Args:
      commands: name to the command's dataclass and summary.
      options: at most one: the shell; none: that of $SHELL.
    Raises: ConfigError for a shell without completion.
    """
    shell = options[0] if options else Path(os.environ.get("SHELL", "bash")).name
    if len(options) > 1 or shell not in COMPLETION_FILES:
        raise ConfigError(f"no completion for {' '.join(options) or shell!r}; {suggest(shell, COMPLETION_FILES)}")
    from rookery.storage.atomic import write_text

    try:
        path = Path.home() / COMPLETION_FILES[shell]
    except RuntimeError:  # in a container, a user may have none
        raise ConfigError("there is no home folder to install the completion in; set HOME") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, completion_script(commands, shell), follow_link=True)  # a dotfile
    print(f"{path}\nnext: {_AFTERWARDS[shell]}")
    return 0


def completion_script(commands: Mapping[str, tuple[type, str]], shell: str) -> str:
    """The completion script of all commands for a shell: bash, zsh or fish."""
    import tyro

    choices: Any = [
        Annotated[cls, tyro.conf.subcommand(name, description=summary)] for name, (cls, summary) in commands.items()
    ]
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        tyro.cli(
            functools.reduce(operator.or_, choices),  # the union of all commands
            prog="rookery",
            args=["--tyro-print-completion", shell],
        )
    return output.getvalue()
