"""Configurations in YAML next to JSON, read as strictly: what a JSON file cannot say, a YAML file cannot say either.

Scalars follow YAML 1.2's core schema and not YAML 1.1: `1e6` is a number, `yes` and `on` are texts, and there are no
dates. Only plain data is built (PyYAML's SafeLoader); aliases, tags, a key twice, NaN and infinity are refused.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from rookery.errors import ConfigError, NotFoundError
from rookery.storage.atomic import check_path, read_file, storage_error
from rookery.storage.serialization import load_json
from rookery.storage.strict_json import NUMBER, bounded_int, check_depth, finite_float, reject_half_characters

YAML_SUFFIXES = (".yaml", ".yml")
CONFIG_SUFFIXES = (".json", *YAML_SUFFIXES)
"""Endings of files that hold a configuration."""


def load_config_data(path: Path | str) -> Any:
    """The content of a configuration file: YAML if its name says so, else JSON.

    Raises: ConfigError with line and column; NotFoundError; StorageError if the file cannot be read.
    """
    return load_yaml(path) if str(path).endswith(YAML_SUFFIXES) else load_json(path)


def load_yaml(path: Path | str) -> Any:
    """The content of a YAML file of one document. Raises: as `load_config_data`."""
    import yaml

    check_path(path)
    path = Path(path)
    try:
        text = read_file(path).decode("utf-8-sig")
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}; check the path") from None
    except UnicodeDecodeError as bad:
        raise ConfigError(f"{path}: not UTF-8 text; save it as UTF-8") from bad
    except OSError as refusal:
        raise storage_error("read", path, refusal) from refusal
    try:
        data = yaml.load(text, Loader=_strict_loader())  # a SafeLoader
        check_depth(data)
        reject_half_characters(data)
        return data
    except yaml.MarkedYAMLError as bad:
        mark = bad.problem_mark
        place = f" line {mark.line + 1} column {mark.column + 1}" if mark else ""
        raise ConfigError(
            f"{path}{place}: not YAML as this program reads it ({bad.problem}); correct it there"
        ) from bad
    except (yaml.YAMLError, ValueError, RecursionError) as bad:
        reason = "nested too deeply" if isinstance(bad, RecursionError) else bad
        raise ConfigError(f"{path} is not YAML as this program reads it: {reason}; correct it") from bad


def _strict_loader() -> Any:
    """PyYAML's SafeLoader with the scalars of YAML 1.2 and without aliases, tags and repeated keys."""
    import yaml

    class StrictLoader(yaml.SafeLoader):
        yaml_implicit_resolvers = {}  # noqa: RUF012 (PyYAML's own attribute)

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.peek_event()
            if isinstance(event, yaml.AliasEvent):
                problem = "aliases are not allowed; repeat the value"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
            if event.tag is not None:
                problem = f"the tag {event.tag!r} is not allowed; leave it out"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key, _ in node.value:
                if key.tag != "tag:yaml.org,2002:str":
                    raise yaml.MarkedYAMLError(problem="a key must be a text", problem_mark=key.start_mark)
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} is given twice", problem_mark=key.start_mark
                    )
                seen.add(key.value)
            return super().construct_mapping(node, deep)

        def construct_float(self, node: Any) -> float:
            if node.value.lstrip("+-").lower() in (".inf", ".nan"):
                raise yaml.MarkedYAMLError(problem=f"{node.value} is not allowed", problem_mark=node.start_mark)
            return self.read_number(finite_float, node)

        def construct_int(self, node: Any) -> int:
            return self.read_number(bounded_int, node)  # PyYAML reads 010 in base eight, as YAML 1.1 did

        def read_number(self, read: Any, node: Any) -> Any:
            try:
                return read(node.value)
            except ValueError as bad:
                raise yaml.MarkedYAMLError(problem=str(bad), problem_mark=node.start_mark) from None

    StrictLoader.add_constructor("tag:yaml.org,2002:int", StrictLoader.construct_int)
    StrictLoader.add_constructor("tag:yaml.org,2002:float", StrictLoader.construct_float)
    for tag, pattern, first in (
        ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
        ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
        ("int", r"[-+]?[0-9]+", list("-+0123456789")),
        ("float", NUMBER, list("-+.0123456789")),
        ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ):
        StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), first)
    return StrictLoader
