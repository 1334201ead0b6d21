"""docs/command-line.md, written from the commands themselves: `python -m rookery.commands.reference`.

It reads the dataclasses and not the help text, whose layout depends on the terminal and on tyro's version.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import sys
import textwrap
import typing
from pathlib import Path
from typing import Any, Literal

from tyro.conf import Positional

from rookery import errors
from rookery.environment import OTHER_VARIABLES, TEST_VARIABLES, VARIABLES

PAGE = Path("docs/command-line.md")
_POSITIONAL = typing.get_args(Positional[int])[1]

_INTRODUCTION = """\
# Command line

Written by `python -m rookery.commands.reference` from the commands; `rookery COMMAND --help` says the same. `python
-m rookery` is the same program as `rookery`.

Commands print results on standard output and messages on standard error. With `--json` they print JSON, one object
per line, and no progress.

`rookery --install-completion [bash|zsh|fish]` installs completion by the Tab key for commands and options.
"""

_CONFIGURATIONS = """\
## Configurations

`rookery train PRESET` starts from a preset, or from a file: JSON as `--dry-run` prints it, or the same in YAML. Both
are read equally strictly: unknown keys, keys twice, values of another type, NaN and infinity are refused, with the
place in the file. YAML scalars follow YAML 1.2 (`1e6` is a number, `yes` is a text); anchors and tags are refused.
`KEY=VALUE` changes a field of either, or of the default preset where none is named; numbers are written as in YAML.

JSON is YAML, so a file that `--dry-run` wrote can be renamed, commented and edited:

```
rookery train lite --dry-run > mine.yaml
rookery train mine.yaml num_seeds=3 --out runs/mine
```
"""

_TRACKING = """\
## Tracking

Every run writes `metrics.jsonl`. `--track` says where the same numbers go besides: `tensorboard` (the default; event
files in the run's folder), `wandb`, `mlflow`, one or several, or `none`; the extra `track` installs all
three. A resumed run continues the same tracked run: the ids are in `tracking.json` in its folder. If a tracker fails
while a run trains, a warning says so and the run continues without it.

Names are the same everywhere: a metric of the whole run keeps its name (`time/seconds`), one with a value per seed
has curves `NAME/mean` and `NAME/seedN`, such as `social/novice/return/mean` and `social/novice/return/seed3`. The
horizontal axis is environment steps of each seed.

- W&B: without an account or network, set `WANDB_MODE=offline`; it then writes to the folder `wandb` in the run's
  folder, and `wandb sync FOLDER` uploads it later.
- MLflow: at `MLFLOW_TRACKING_URI`, else in the folder `mlruns`, MLflow's file store. Newer versions of MLflow open a
  file store only with `MLFLOW_ALLOW_FILE_STORE=true`, as in `MLFLOW_ALLOW_FILE_STORE=true mlflow ui`.
- Another package adds a tracker by an entry point of the group `rookery.trackers` that names a subclass of
  `rookery.Tracker`; [examples/rookery_extras](../examples/rookery_extras/) has one.

## Metrics as a table

`rookery runs export RUN ... --csv FILE` or `--parquet FILE` writes one long table with the columns run, seed, step,
metric and value. In Python, `rookery.load_run` returns the same columns as numpy arrays; `results/demo` lies in the
checkout:

```python
import rookery

table = rookery.load_run("results/demo")  # pandas.DataFrame(table) is the table of the CSV file
novice = table["metric"] == "social/novice/return"
print(table["value"][novice & (table["seed"] == 0)])
```
"""


def main() -> int:
    """Write the page. Returns 0."""
    from rookery.commands.command_classes import COMMANDS, command_class
    from rookery.storage.atomic import write_text

    write_text(PAGE, make_page({name: command_class(name) for name in COMMANDS}))
    print(PAGE)
    return 0


def make_page(commands: dict[str, type]) -> str:
    """The whole page as Markdown. `commands`: name to the command's dataclass."""
    sections = [_INTRODUCTION, *(describe_command(name, cls) for name, cls in commands.items())]
    return "\n".join([*sections, _CONFIGURATIONS, _TRACKING, _environment_section(), _exit_code_section()])


def describe_command(name: str, cls: type) -> str:
    """The section of one command: what it does, and a table of its arguments and options."""
    fields = [_describe_field(field, hint) for field, hint in _fields_with_hints(cls)]
    arguments = [field for field in fields if not field[0].startswith("`--")]
    usage = " ".join(["rookery", name, *(text.strip("`") for text, *_ in arguments), "[OPTIONS]"]).replace("\\", "")
    lines = [f"## rookery {name}", "", inspect.cleandoc(cls.__doc__ or ""), "", f"`{usage}`", ""]
    lines += ["| argument or option | default | meaning |", "|---|---|---|"]
    documentation = _field_documentation(cls)
    for (text, default, help_text), field in zip(fields, dataclasses.fields(cls), strict=True):
        meaning = help_text or documentation.get(field.name, "")
        lines.append(f"| {text} | {default} | {' '.join(meaning.split()).replace('|', chr(92) + '|')} |")
    return "\n".join([*lines, ""])


def _fields_with_hints(cls: type) -> list[tuple[Any, Any]]:
    hints = typing.get_type_hints(cls, include_extras=True)
    return [(field, hints[field.name]) for field in dataclasses.fields(cls)]  # type: ignore[arg-type]


def _describe_field(field: Any, hint: Any) -> tuple[str, str, str]:
    """How a field is typed, its default in words, and its help if the annotation has it."""
    extras = list(typing.get_args(hint)[1:]) if typing.get_origin(hint) is typing.Annotated else []
    kind = typing.get_args(hint)[0] if extras else hint
    settings = [extra for extra in extras if extra is not _POSITIONAL]

    def setting(name: str) -> Any:
        return next((value for extra in settings if (value := vars(extra).get(name)) is not None), None)

    choices = "|".join(typing.get_args(kind)) if typing.get_origin(kind) is Literal else None
    metavar = setting("metavar") or choices or ("" if kind is bool else _type_name(kind))
    if _POSITIONAL in extras:
        text = metavar if field.default is dataclasses.MISSING else f"[{metavar}]"
    else:
        text = f"--{field.name.replace('_', '-')} {metavar}".strip()
    if kind is bool and field.default is True:
        text = f"--no-{field.name.replace('_', '-')}"
    hint_text = setting("help_behavior_hint")
    default = hint_text.removeprefix("(default: ").removesuffix(")") if isinstance(hint_text, str) else None
    if default is None:
        default = "required" if field.default is dataclasses.MISSING else _default_text(field.default)
    escaped = text.replace("|", "\\|")
    return f"`{escaped}`", default, setting("help") or ""


def _type_name(kind: Any) -> str:
    if typing.get_origin(kind) is tuple:
        return f"{_type_name(typing.get_args(kind)[0])} ..."
    return getattr(kind, "__name__", str(kind)).upper()


def _default_text(default: Any) -> str:
    if default is False or default == ():
        return "no" if default is False else "none"
    return "yes" if default is True else f"`{default}`"


def _field_documentation(cls: type) -> dict[str, str]:
    """The string below each field in the source of a dataclass."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body  # type: ignore[attr-defined]
    return {
        field.target.id: text.value.value
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _environment_section() -> str:
    lines = ["## Environment variables", "", "| variable | default | effect |", "|---|---|---|"]
    for name, variable in {**VARIABLES, **TEST_VARIABLES}.items():
        lines.append(f"| `{name}` | `{variable.default}` | {variable.effect} |")
    lines += ["", "Of other programs:", "", "| variable | effect |", "|---|---|"]
    lines += [f"| `{name}` | {effect} |" for name, effect in OTHER_VARIABLES.items()]
    return "\n".join([*lines, ""])


def _exit_code_section() -> str:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.RookeryError)]
    meanings = {
        0: "done",
        errors.RookeryError.exit_code: "an error that is none of those below; a traceback is a fault of Rookery",
        errors.STOPPED_EXIT_CODE: "stopped before the end, at a time limit or by a signal; the same command, or "
        "`resume`, continues what was kept",
        errors.UNFINISHED_EXIT_CODE: "not finished because of what failed: tasks of a study, which are listed, or "
        "another process of the run, where the same command, or `resume`, continues it; or every trial of a sweep",
    }
    for kind in kinds:
        meanings.setdefault(kind.exit_code, " ".join((kind.__doc__ or "").split()))
    lines = ["## Exit codes", "", "| code | meaning |", "|---|---|"]
    return "\n".join([*lines, *(f"| {code} | {meaning} |" for code, meaning in sorted(meanings.items())), ""])


if __name__ == "__main__":
    sys.exit(main())
