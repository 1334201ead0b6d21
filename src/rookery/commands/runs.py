"""`rookery runs`: what is in the folder of runs, how far it is and at what return; comparison, export, removal."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from rookery.commands.options import Json, flags, optional
from rookery.commands.output import format_nested, print_json, print_table
from rookery.errors import ConfigError, CorruptFileError, NotFoundError, StorageError, printable, suggest

if TYPE_CHECKING:
    import numpy as np

    from rookery.tracking.run_info import RunInfo

RUNS_FOLDER = Path("runs")


@dataclasses.dataclass
class RunsCommand:
    """List runs, show or compare them, export their metrics as a table, or remove them."""

    action: Annotated[
        Positional[Literal["list", "show", "compare", "export", "rm"]],
        arg(
            help="list: one line per run: task, state, how far it is and the last training return of each agent. show: "
            "one run in full. compare: learning curves of several runs in one picture, and their last values. export: "
            "the metrics as one long table with a row per run, seed, step and metric. rm: remove runs; a folder "
            "that holds anything else is refused.",
        ),
    ] = "list"
    paths: Annotated[
        Positional[tuple[Path, ...]],
        arg(metavar="RUN", help="Folders of runs; for list, folders to search.", help_behavior_hint="(default: runs)"),
    ] = ()
    metric: Annotated[str, arg(metavar="METRIC", help="For compare: the metric, or how its name ends.")] = "return"
    out: Path = Path("compare.png")
    """For compare: the picture; .png, .svg or .pdf."""
    csv: Annotated[Path | None, optional("FILE", "no file")] = None
    """For export: write a CSV file."""
    parquet: Annotated[Path | None, optional("FILE", "no file")] = None
    """For export: write a Parquet file; needs pyarrow."""
    yes: bool = False
    """For rm: do not ask."""
    json: Json = False

    def __call__(self) -> int:
        self._check_options()
        paths = _without_repeats(self.paths)
        if self.action == "list":
            return list_runs(paths or (RUNS_FOLDER,), self.json)
        if not paths:
            raise ConfigError(f"name the runs to {'remove' if self.action == 'rm' else self.action}, such as runs/demo")
        if self.action == "show":
            return show_runs(paths, self.json)
        if self.action == "compare":
            return compare_runs(paths, self.metric, self.out, self.json)
        return self._export(paths) if self.action == "export" else remove_runs(paths, self.yes, self.json)

    def _check_options(self) -> None:
        """Raises ConfigError for options of another action."""
        owners = {"metric": "compare", "out": "compare", "csv": "export", "parquet": "export", "yes": "rm"}
        for field in dataclasses.fields(self):
            owner = owners.get(field.name, self.action)
            if owner != self.action and getattr(self, field.name) != field.default:
                raise ConfigError(f"{flags([field.name])} belongs to `rookery runs {owner}`; leave it out")

    def _export(self, paths: Sequence[Path]) -> int:
        import numpy as np

        from rookery.tracking.run_table import concatenate, load_run, write_csv, write_parquet

        if self.csv is None and self.parquet is None:
            raise ConfigError("name --csv or --parquet with the file to write")
        tables = [load_run(path) for path in paths]
        for table, name in zip(tables, distinct_names(paths), strict=True):
            table["run"] = np.full(len(table["value"]), name)
        table = concatenate(tables)
        for path, write in ((self.csv, write_csv), (self.parquet, write_parquet)):
            if path is None:
                continue
            write(table, path)
            if self.json:
                print_json({"file": str(path), "rows": len(table["value"])})
            else:
                print(f"{path}: {len(table['value']):,} rows")
        return 0


def list_runs(folders: Sequence[Path], as_json: bool = False) -> int:
    """One line per run in the folders; one that is damaged or cannot be read is listed as that. Returns 0."""
    from rookery.tracking.run_info import find_runs, read_run_info

    rows = [["run", "task", "state", "updates", "steps", "return (mean over seeds, last update)"]]
    for path in [run for folder in folders for run in find_runs(folder)]:
        try:
            info = read_run_info(path)
            returns = info.returns(info.last_metrics())
            facts = _facts(info, returns) if as_json else {}
        except (CorruptFileError, StorageError) as error:
            print(f"warning: {error}", file=sys.stderr)
            state = "damaged" if isinstance(error, CorruptFileError) else "unreadable"
            facts = {"run": str(path), "state": state, "error": str(error)}
            row = [printable(path), "-", state, "-", "-", "-"]
        except NotFoundError:  # removed meanwhile
            continue
        else:
            row = _list_row(info, returns)
        if as_json:
            print_json(facts)
        rows.append(row)
    if as_json:
        return 0
    if len(rows) == 1:
        print(f"no runs in {', '.join(map(str, folders))}; start one with: rookery train")
    else:
        print_table(rows)
    return 0


def _list_row(info: RunInfo, returns: dict[str, float]) -> list[str]:
    done, total = (info.status.get(key) for key in ("num_updates", "total_updates"))
    progress = "-" if done is None else f"{done}/{total}"
    steps = info.status.get("steps")
    variants = len(info.variants) > 1
    texts = [f"{key if variants else key.partition('/')[2]} {value:.2f}" for key, value in returns.items()]
    cells = [str(info.run_dir), "clone" if info.is_clone else info.task, info.state, progress]
    return [printable(cell) for cell in (*cells, "-" if steps is None else f"{steps:,}", ", ".join(texts) or "-")]


def _facts(info: RunInfo, returns: dict[str, float]) -> dict[str, Any]:
    keys = ("num_updates", "total_updates", "steps", "seconds")
    facts = {
        "run": str(info.run_dir),
        "task": info.task,
        "state": info.state,
        "seeds": list(info.seeds),
        "variants": list(info.variants),
        **{key: info.status.get(key) for key in keys},
        "returns": returns,
    }
    return facts | {"trackers": info.trackers}


def show_runs(paths: Sequence[Path], as_json: bool = False) -> int:
    """Each run in full: how far, where, returns, and the newest evaluation. Returns 0."""
    from rookery.tracking.run_info import read_run_info
    from rookery.tracking.tracker import mean_value

    for path in paths:
        info = read_run_info(path)
        metrics = info.last_metrics()
        facts = _facts(info, info.returns(metrics))
        means = {name: mean_value(value) for name, value in metrics.items() if name.startswith("evaluation/")}
        facts["evaluation"] = {name.removeprefix("evaluation/"): mean for name, mean in means.items()}
        facts["machine"] = info.status.get("machine")
        if as_json:
            print_json(facts)
        else:
            print("\n".join(map(printable, format_nested(facts))))
    return 0


def compare_runs(paths: Sequence[Path], metric: str, out: Path, as_json: bool = False) -> int:
    """Draw the learning curves of a metric in several runs, and print the last value of each. Returns 0."""
    from rookery.viz.plots import learning_curves, save_figure

    if out.suffix not in (".png", ".svg", ".pdf"):
        raise ConfigError(f"--out {out} must end in .png, .svg or .pdf")
    curves: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for path, label in zip(paths, distinct_names(paths), strict=True):
        curves |= {f"{label} {name}": curve for name, curve in _curves(path, metric).items()}
    figure = learning_curves(curves, xlabel="environment steps of each seed", ylabel=metric)
    save_figure(figure, out)
    rows = [["curve", "seeds", "steps", f"last {metric}", "lowest seed", "highest seed"]]
    for name, (steps, values) in curves.items():
        last = values[:, -1].tolist()
        mean = sum(last) / len(last)
        if as_json:
            facts = {"curve": name, "seeds": len(last), "steps": int(steps[-1])}
            print_json(facts | {"mean": mean if mean == mean else None})
        numbers = [f"{value:.2f}" for value in (mean, min(last), max(last))]
        rows.append([printable(name), str(len(last)), f"{int(steps[-1]):,}", *numbers])
    if as_json:
        print_json({"file": str(out)})
    else:
        print_table(rows)
        print(out)
    return 0


def _curves(path: Path, metric: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Steps f[N] and values f[seeds, N] of each metric of a run whose name is, or ends in, `metric`.

    Where several match, those of agents that do not learn and those of evaluations are left out.
    Raises: NotFoundError, with the nearest names.
    """
    from rookery.tracking.run_info import read_run_info
    from rookery.tracking.run_table import load_run

    info, table = read_run_info(path), load_run(path)
    names = list(dict.fromkeys(table["metric"].tolist()))
    matching = [name for name in names if name == metric or name.endswith(f"/{metric}")]
    if not matching:
        endings = sorted({name.rpartition("/")[2] for name in names})
        raise NotFoundError(f"{path} has no metric {metric!r}; {suggest(metric, [*endings, *names])}")
    if len(matching) > 1:
        learning = {f"{key}/{metric}" for key in info.returns(info.last_metrics())}
        matching = [name for name in matching if name in learning] or matching
    curves = {}
    for name in matching:
        rows = table["metric"] == name
        num_seeds = len(dict.fromkeys(table["seed"][rows].tolist()))
        steps, values = (table[column][rows].reshape(num_seeds, -1) for column in ("step", "value"))
        curves[name] = steps[0], values
    return curves


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """The name of each folder, after as many of the folders above it as tell it from others of the same name;
    for tables and figures, so that what is not printable is an escape."""
    parts = [path.resolve().parts for path in paths]
    names = []
    for own in parts:
        others = {other for other in parts if other != own}
        count = next(n for n in range(1, len(own) + 1) if all(other[-n:] != own[-n:] for other in others))
        names.append(printable("/".join(own[-count:])))
    return names


def remove_runs(paths: Sequence[Path], yes: bool = False, as_json: bool = False) -> int:
    """Remove the folders of runs, after a question. Returns 0.

    Raises: ConfigError if it cannot ask, or the answer is no; NotFoundError for a folder without a run;
      CorruptFileError for a configuration that no run wrote; StorageError for a run that another process trains, a
      folder that is a link, or one that holds what no run wrote.
    """
    import shutil

    from rookery.storage.atomic import storage_error
    from rookery.storage.run_lock import RunLock
    from rookery.tracking.run_info import check_removable

    for path in paths:  # all of them before the first is removed
        if path.is_symlink():
            raise StorageError(f"{path} is a symbolic link; name the folder itself, {path.resolve()}")
        check_removable(path)
    if not yes:
        _ask(f"remove {', '.join(printable(str(path)) for path in paths)} with all metrics, checkpoints and agents?")
    for path in paths:
        with RunLock(path):
            try:
                shutil.rmtree(path.resolve())  # '.' itself cannot be removed
            except OSError as error:
                raise storage_error("remove", path, error) from error
        if as_json:
            print_json({"removed": str(path)})
        else:
            print(f"removed {printable(str(path))}")
    return 0


def _without_repeats(paths: Sequence[Path]) -> list[Path]:
    """The paths in order; of those that lead to one folder only the first."""
    found: dict[str, Path] = {}
    for path in paths:
        found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def _ask(question: str) -> None:
    """Raises: ConfigError unless the answer is yes."""
    if not sys.stdin.isatty():
        raise ConfigError("there is no terminal to ask in; add --yes to remove without a question")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)  # standard output is for results
    try:
        answer = input()
    except EOFError:  # Ctrl-D
        print(file=sys.stderr)
        answer = ""
    if answer.strip().lower() not in ("y", "yes"):
        raise ConfigError("nothing was removed")
