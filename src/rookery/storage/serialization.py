"""Frozen dataclasses to JSON and back, without guessing and without ignoring anything.

Known field types: bool, int, float, str, None, Literal, `X | Y`, tuples, `dict[str, ...]` and dataclasses of
these. If a union offers several dataclasses, each has a field `kind: Literal["..."]` to tell them apart.
Every refusal is a `ConfigError` of one line that starts with the dotted path of what is wrong: `config.team.0.slots`.

Libraries for this (pydantic, cattrs) do not give such messages, convert values silently, and know no unions that other
packages extend at run time or overrides such as `team.0.learner.kind=a2c` that start from another class's defaults.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import math
import numbers
import re
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from rookery.errors import ConfigError, NotFoundError, RookeryError, error_text, suggest, typed_text
from rookery.storage.atomic import check_path, read_file, storage_error
from rookery.storage.strict_json import NUMBER, check_depth, is_whole_number_text, parse_json

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class OneOf:
    """Marks a field, `Annotated[Any, OneOf(classes)]`, whose value is of one of the classes known when it is read.

    For unions that grow at run time, such as the tasks and networks that other packages register.
    """

    classes: Callable[[], tuple[type, ...]]


@dataclasses.dataclass(frozen=True)
class _Lines:
    """Marks the type of a field whose text may be a list of its lines, too."""


_LINES_FIELD = "map"
"""The name of fields that are marked so: the ASCII map of a task, of this package or another."""


def to_dict(config: Any, where: str = "config") -> dict[str, Any]:
    """A dataclass as JSON values, which `from_dict` turns back into an equal one.

    Raises: ConfigError for a value that is not of its field's type.
    """
    data = _encode(config, where)
    from_dict(type(config), data, where)
    return data


def from_dict(cls: type[T], data: object, where: str = "config") -> T:
    """Build a dataclass from JSON values. `where` names it in messages.

    An int is taken for a float; a bool is not an int; NaN and infinity are refused; lists become tuples. The text of a
    field `map` may be a list of lines.
    Raises: ConfigError for unknown or missing keys, wrong types, and values the dataclass itself refuses.
      TypeError for a field type this module does not know, which is a mistake in the program.
    """
    return _decode(cls, data, where)


def check_field_types(cls: type) -> None:
    """Raises ConfigError for a field of a dataclass whose annotation names what its module does not have, or whose type
    cannot be kept in JSON."""
    for field in dataclasses.fields(cls):
        if not field.init:
            continue
        try:
            wrong = _unknown_type(_field_type(cls, field))
        except Exception as error:  # an annotation is any expression
            raise ConfigError(
                f"{cls.__name__}.{field.name}: the annotation {field.type!r} cannot be resolved "
                f"({typed_text(error)}), so no configuration could be read; import "
                "what it names, and not for type checkers alone"
            ) from None
        if wrong is not None:
            raise ConfigError(
                f"{cls.__name__}.{field.name}: a field of type {_type_name(wrong)} cannot be kept in JSON; allowed: "
                "bool, int, float, str, None, Literal[...], tuple[...], dict[str, ...], dataclasses of these, and "
                "unions of them with |"
            )


def kinds_of(cls: type) -> tuple[Any, ...]:
    """The values that the field `kind` of a dataclass may have; empty if it is no Literal."""
    kind = _kind_type(cls)
    return typing.get_args(kind) if typing.get_origin(kind) is Literal else ()


def check_json(hint: Any, data: object, where: str) -> None:
    """Check JSON values of a file that a program wrote, such as results, against a type.

    Args:
      hint: as a field of a config may have; besides, `object` for any JSON value, and TypedDicts, whose objects may
        have further entries, as those of another version do.
      where: names the values in messages.
    Raises: ConfigError for missing entries and wrong types.
    """
    _decode(hint, data, where)


def apply_overrides(config: T, overrides: Iterable[str]) -> T:
    """A copy of `config` changed by `key=value` texts, in order: `learner.learning_rate=1e-3`, `num_seeds=5`.

    Keys are dotted; tuple elements go by index (`team.0.slots=[0,1]`). Values are JSON, or bare words where a
    string fits. Setting a union's `kind` to another one starts that one from its defaults. Everything is checked
    once, at the end, so that values that only fit together may be given in any order.
    Raises: ConfigError as `from_dict`.
    """
    data = to_dict(config)
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"override {text!r} is not key=value; write, say, learner.learning_rate=1e-3")
        _apply_override(type(config), data, key.strip().split("."), value.strip(), "config")
    return from_dict(type(config), data)


def load_json(path: Path | str, error: type[RookeryError] = ConfigError) -> Any:
    """The content of a JSON file, as strictly as `parse_json`.

    Args:
      error: raised for malformed content; CorruptFileError for a file that the program wrote itself.
    Raises: `error` with line and column; NotFoundError; StorageError if the file cannot be read.
    """
    check_path(path)
    path = Path(path)
    try:
        raw = read_file(path)
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {path}; check the path") from None
    except OSError as refusal:
        raise storage_error("read", path, refusal) from refusal
    try:
        return parse_json(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as bad:
        line, column = _line_and_column(raw[: bad.start].decode(errors="replace"))
        raise error(f"{path} line {line} column {column}: not UTF-8 text; save it as UTF-8") from bad
    except json.JSONDecodeError as bad:
        raise error(f"{path} line {bad.lineno} column {bad.colno}: not JSON ({bad.msg}); correct it there") from bad
    except ValueError as bad:
        raise error(f"{path} is not JSON as this program reads it: {bad}; correct it") from bad


# -------------------------------------------------------------------------------------------- encoding


def _encode(value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            f.name: _encode(getattr(value, f.name), f"{where}.{f.name}") for f in dataclasses.fields(value) if f.init
        }
    if isinstance(value, tuple):
        return [_encode(item, f"{where}.{i}") for i, item in enumerate(value)]
    if isinstance(value, dict):
        return {key: _encode(item, _join_path(where, key)) for key, item in value.items()}
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, numbers.Integral):  # numpy's, too
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, str):
        return str(value)
    raise ConfigError(f"{where} is a {type(value).__name__}; a config holds plain numbers, strings and tuples")


# -------------------------------------------------------------------------------------------- decoding


def _decode(hint: Any, data: Any, where: str) -> Any:
    if _may_be_lines(hint) and isinstance(data, list | tuple):
        if not all(isinstance(line, str) for line in data):
            raise ConfigError(f"{where} is {_abbreviate(data)}; it must be {_describe(hint)}")
        data = "\n".join(data)
    hint = _strip_annotations(hint)
    if _is_dataclass(hint):
        return _decode_dataclass(hint, data, where)
    if typing.is_typeddict(hint):
        return _decode_open_object(hint, data, where)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        if any(type(data) is type(a) and data == a for a in args):
            return data
    elif _is_union(hint):
        return _decode_union(_alternatives(hint), data, where)
    elif origin is tuple:
        return _decode_tuple(hint, args, data, where)
    elif origin is dict:
        if isinstance(data, dict):
            keys = [_decode(args[0], key, _join_path(where, key)) for key in data]
            return {key: _decode(args[1], data[key], _join_path(where, key)) for key in keys}
    elif hint is float:
        if type(data) in (int, float):
            with contextlib.suppress(OverflowError):
                if math.isfinite(number := float(data)):
                    return number
    elif hint in (bool, int, types.NoneType):
        if type(data) is hint:
            return data
    elif hint is str:
        if isinstance(data, str) and not any("\ud800" <= c <= "\udfff" for c in data):
            return data
    elif hint is object:
        return data
    else:
        raise TypeError(f"{where}: fields of type {hint} cannot be kept in JSON")
    raise ConfigError(f"{where} is {_abbreviate(data)}; it must be {_describe(hint)}")


def _decode_dataclass(cls: Any, data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise ConfigError(f"{where} is {_abbreviate(data)}; it must be {_describe(cls)}")
    hints = _fields(cls)
    for key in data:
        if key not in hints:
            raise _unknown_key_error(where, key, hints)
    missing = [
        f.name
        for f in dataclasses.fields(cls)
        if f.name in hints and f.name not in data and f.default is f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where} lacks {', '.join(map(repr, missing))}, which must be given; add it")
    values = {key: _decode(hints[key], value, _join_path(where, key)) for key, value in data.items()}
    try:
        return cls(**values)
    except ValueError as error:
        raise ConfigError(f"{where}: {' '.join(error_text(error).split())}") from error


def _decode_open_object(hint: Any, data: Any, where: str) -> dict[str, Any]:
    """An object of a TypedDict, further entries included."""
    if not isinstance(data, dict):
        raise ConfigError(f"{where} is {_abbreviate(data)}; it must be {_describe(hint)}")
    if missing := sorted(hint.__required_keys__ - data.keys()):
        raise ConfigError(f"{where} lacks {', '.join(map(repr, missing))}")
    hints = _entries(hint)
    return {
        key: _decode(hints[key], value, _join_path(where, key)) if key in hints else value
        for key, value in data.items()
    }


def _decode_tuple(hint: Any, args: tuple[Any, ...], data: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(data, list | tuple):
        raise ConfigError(f"{where} is {_abbreviate(data)}; it must be {_describe(hint)}")
    if len(args) == 2 and args[1] is Ellipsis:
        args = (args[0],) * len(data)
    if len(args) != len(data):
        raise ConfigError(f"{where} has {len(data)} elements; it must be {_describe(hint)}")
    return tuple(_decode(arg, item, f"{where}.{i}") for i, (arg, item) in enumerate(zip(args, data, strict=True)))


def _decode_union(alternatives: list[Any], data: Any, where: str) -> Any:
    rest = [hint for hint in alternatives if hint is not types.NoneType]
    if data is None and len(rest) < len(alternatives):
        return None
    classes = [hint for hint in rest if _is_dataclass(hint)]
    if classes and isinstance(data, dict):
        return _decode(_class_of_kind(classes, data, where), data, where)
    shape = {list: tuple, tuple: tuple, dict: dict}.get(type(data))
    alike = [
        hint
        for hint in rest
        if shape and (typing.get_origin(hint) is shape or (shape is dict and typing.is_typeddict(hint)))
    ]
    if len(alike) == 1:  # no doubt which is meant, so the message may point inside it
        return _decode(alike[0], data, where)
    # The exact type comes first: 3 stays an int where int and float are both allowed.
    for hint in sorted(rest, key=lambda hint: hint is not type(data)):
        with contextlib.suppress(ConfigError):
            return _decode(hint, data, where)
    raise ConfigError(f"{where} is {_abbreviate(data)}; it must be {' or '.join(map(_describe, alternatives))}")


def _class_of_kind(classes: Sequence[Any], data: dict[str, Any], where: str) -> Any:
    """The dataclass that `data["kind"]` names; the only one needs no name."""
    if len(classes) == 1:
        return classes[0]
    kinds: dict[str, Any] = {}
    for cls in classes:
        hint = _kind_type(cls)
        if typing.get_origin(hint) is not Literal:
            raise TypeError(f'{cls.__name__} needs a field kind: Literal["..."] to stand in a union')
        kinds |= dict.fromkeys(typing.get_args(hint), cls)
    if "kind" not in data:
        raise ConfigError(f"{where} lacks 'kind', which tells what it is; allowed: {', '.join(kinds)}")
    kind = data["kind"]
    if not isinstance(kind, str) or kind not in kinds:
        raise ConfigError(f"{where}.kind {_abbreviate(kind)} is not known; {suggest(kind, kinds)}")
    return kinds[kind]


# -------------------------------------------------------------------------------------------- overrides


def _apply_override(hint: Any, node: Any, parts: list[str], text: str, where: str) -> None:
    """Write one override into JSON values, following the types along."""
    for depth, part in enumerate(parts):
        classes = _classes(hint)
        key, hint = _field_of(_alternative_of(hint, node, where), node, part, where)
        where = _join_path(where, part)
        if depth == len(parts) - 1:
            value = _parse(hint if len(classes) < 2 or part != "kind" else str, text, where)
            if len(classes) > 1 and part == "kind" and value != node.get("kind"):
                node.clear()  # another kind has other fields: start from its defaults
                node |= _defaults(_class_of_kind(classes, {"kind": value}, where.rpartition(".")[0]))
            node[key] = value
        else:
            if isinstance(node, dict):
                node.setdefault(key, {})  # without a default, in a kind just changed to
            node = node[key]


def _defaults(cls: Any) -> dict[str, Any]:
    """The JSON values of every field that has a default."""
    data = {}
    for f in dataclasses.fields(cls):
        if f.init and f.default is not dataclasses.MISSING:
            data[f.name] = _encode(f.default, f.name)
        elif f.init and f.default_factory is not dataclasses.MISSING:
            data[f.name] = _encode(f.default_factory(), f.name)
    return data


def _alternative_of(hint: Any, node: Any, where: str) -> Any:
    """The alternative of a type that the present value has."""
    hint = _strip_annotations(hint)
    if not _is_union(hint):
        return hint
    classes = _classes(hint)
    if classes and isinstance(node, dict):
        return _class_of_kind(classes, node, where)
    wanted = {list: tuple, dict: dict}.get(type(node))
    for alternative in _alternatives(hint):
        if wanted and typing.get_origin(alternative) is wanted:
            return alternative
    return type(node)


def _field_of(hint: Any, node: Any, part: str, where: str) -> tuple[Any, Any]:
    """The key and the type of `part` inside a value of type `hint`."""
    if _is_dataclass(hint) and isinstance(node, dict):
        hints = _fields(hint)
        if part not in hints:
            raise _unknown_key_error(where, part, hints)
        return part, hints[part]
    args = typing.get_args(hint)
    if typing.get_origin(hint) is dict and isinstance(node, dict):
        return part, args[1]
    if typing.get_origin(hint) is tuple and isinstance(node, list):
        if not (is_whole_number_text(part) and int(part) < len(node)):
            allowed = f"0 to {len(node) - 1}" if node else "none: it is empty"
            shown = part if len(part) <= 60 else f"{part[:57]}..."
            raise ConfigError(f"{_join_path(where, shown)} is not known; allowed: {allowed}")
        index = int(part)
        return index, args[0] if len(args) == 2 and args[1] is Ellipsis else args[index]
    raise ConfigError(f"{where} is {_abbreviate(node)} and has no {part!r} inside; set {where.partition('.')[2]} whole")


def _parse(hint: Any, text: str, where: str) -> Any:
    """The JSON value that a typed text means for a field: the first reading that fits."""
    readings: list[Any] = []
    words = {"True": True, "False": False, "None": None}
    if text in words:
        readings.append(words[text])
    with contextlib.suppress(ValueError):
        readings.append(parse_json(text))
    if re.fullmatch(NUMBER, text) or not any(map(str.isdigit, text)):  # +1, .5, nan
        for kind in (int, float):
            with contextlib.suppress(ValueError):
                readings.append(kind(text))
    for number in [r for r in readings if type(r) is float and r.is_integer()]:
        readings.append(int(number))  # 1e6 for a whole number
    readings.append(text)
    first: ConfigError | None = None
    for reading in readings:
        try:
            _decode(hint, reading, where)
            return reading
        except ConfigError as error:
            first = first or error
    assert first is not None
    raise first


# -------------------------------------------------------------------------------------------- types


@functools.cache
def _fields(cls: Any) -> dict[str, Any]:
    """Name to type of the fields a dataclass is built from."""
    hints = {f.name: _field_type(cls, f) for f in dataclasses.fields(cls) if f.init}
    types_of_map = _alternatives(hints.get(_LINES_FIELD))
    if str in types_of_map and not any(typing.get_origin(hint) is tuple for hint in types_of_map):
        hints[_LINES_FIELD] = Annotated[hints[_LINES_FIELD], _Lines()]
    return hints


@functools.cache
def _kind_type(cls: Any) -> Any:
    """The type of the field `kind`; None: there is none. Whatever the other fields are, other classes can be read."""
    return next((_field_type(cls, f) for f in dataclasses.fields(cls) if f.init and f.name == "kind"), None)


@functools.cache
def _entries(cls: Any) -> dict[str, Any]:
    """Name to type of a TypedDict's entries."""
    return typing.get_type_hints(cls)


def _field_type(cls: Any, field: dataclasses.Field) -> Any:
    """The type of one field. Not `get_type_hints(cls)`: base classes may have annotations for type checkers alone."""
    owner = next(c for c in cls.__mro__ if "__dataclass_fields__" in vars(c) and field.name in c.__annotations__)
    annotated = types.SimpleNamespace(__annotations__={field.name: field.type})
    module = sys.modules.get(owner.__module__)  # None for code that `exec` ran, as of a page or a notebook's magic
    namespace = {} if module is None else vars(module)
    return typing.get_type_hints(annotated, namespace, dict(vars(owner)), include_extras=True)[field.name]


_PLAIN_TYPES = (bool, int, float, str, None, types.NoneType, object)


def _unknown_type(hint: Any, inside: tuple[Any, ...] = ()) -> Any:
    """The first type inside a type that `_decode` does not know; None: it knows all. `inside`: what it is part of."""
    if typing.get_origin(hint) is typing.Annotated:
        if any(isinstance(note, OneOf) for note in typing.get_args(hint)[1:]):
            return None  # a union that grows; its classes are checked where they are registered
        return _unknown_type(typing.get_args(hint)[0], inside)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    parts: Iterable[Any] = ()
    if _is_dataclass(hint):
        parts = () if hint in inside else _fields(hint).values()
    elif origin is tuple or _is_union(hint):
        parts = [arg for arg in args if arg is not Ellipsis]
    elif origin is dict and (args[0] is str or typing.get_origin(args[0]) is Literal):
        parts = args[1:]
    elif not (origin is Literal or typing.is_typeddict(hint)) and hint not in _PLAIN_TYPES:
        return hint
    return next((wrong for part in parts if (wrong := _unknown_type(part, (*inside, hint))) is not None), None)


def _type_name(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) and not typing.get_args(hint) else str(hint)


def _is_dataclass(hint: Any) -> bool:
    return isinstance(hint, type) and dataclasses.is_dataclass(hint)


def _is_union(hint: Any) -> bool:
    return typing.get_origin(hint) in (typing.Union, types.UnionType)


def _may_be_lines(hint: Any) -> bool:
    return any(isinstance(note, _Lines) for note in typing.get_args(hint)[1:])


def _strip_annotations(hint: Any) -> Any:
    """Without Annotated's metadata, of which only OneOf has a meaning here; None as its type."""
    while typing.get_origin(hint) is typing.Annotated:
        hint, *notes = typing.get_args(hint)
        for note in notes:
            if isinstance(note, OneOf):
                hint = typing.Union[note.classes()]  # noqa: UP007 (of a tuple made at run time)
    return types.NoneType if hint is None else hint


def _alternatives(hint: Any) -> list[Any]:
    """The types that a union allows, those of unions inside it included; the type itself if it is not a union."""
    hint = _strip_annotations(hint)
    return [inner for arg in typing.get_args(hint) for inner in _alternatives(arg)] if _is_union(hint) else [hint]


def _classes(hint: Any) -> list[Any]:
    """The dataclasses among a union's alternatives."""
    return [alternative for alternative in _alternatives(hint) if _is_dataclass(alternative)]


# -------------------------------------------------------------------------------------------- messages


def _join_path(where: str, key: str) -> str:
    """The path of a key inside `where`; a key that would break the line is quoted."""
    return f"{where}.{key if isinstance(key, str) and key.isprintable() else repr(key)}"


def _describe(hint: Any) -> str:
    if _may_be_lines(hint):
        return f"{_describe(_strip_annotations(hint))} or a list of lines"
    hint = _strip_annotations(hint)
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if _is_dataclass(hint) or typing.is_typeddict(hint):
        return f"an object ({hint.__name__})"
    if origin is Literal:
        return ("one of " if len(args) > 1 else "") + ", ".join(map(_abbreviate, args))
    if _is_union(hint):
        return " or ".join(map(_describe, args))
    if origin is tuple:
        if len(args) == 2 and args[1] is Ellipsis:
            return f"a list, each element {_describe(args[0])}"
        return f"a list of {len(args)}: {', '.join(map(_describe, args))}"
    if origin is dict:
        return f"an object, each value {_describe(args[1])}"
    names = {bool: "true or false", int: "a whole number", float: "a finite number", str: "a string"}
    return names.get(hint, "null")


def _abbreviate(value: Any) -> str:
    try:
        check_depth(value)
    except ValueError:
        return "nested too deeply"
    try:
        text = json.dumps(value, ensure_ascii=True)
    except (TypeError, ValueError):
        text = repr(value)
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def check_file_keys(data: Mapping[str, Any], main: str, others: Iterable[str], source: str) -> None:
    """Check the keys of a configuration file, whose settings all lie under one of them.

    Args:
      main: the key under which the settings lie.
      others: the keys that the program writes next to it.
      source: names the file in the message.
    Raises: ConfigError for another key: a setting that stands next to `main` would have no effect.
    """
    allowed = (main, *others)
    if (wrong := next((key for key in data if key not in allowed), None)) is not None:
        raise ConfigError(
            f"{source}: {_abbreviate(wrong)} is not known next to {main!r}; put settings into {main!r}, or leave it "
            f"out: {suggest(wrong, allowed)}"
        )


def _unknown_key_error(where: str, key: str, allowed: Iterable[str]) -> ConfigError:
    return ConfigError(f"{_join_path(where, key)} is not known; {suggest(key, allowed)}")


def _line_and_column(before: str) -> tuple[int, int]:
    """Line and column, from 1, of the character after `before`."""
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
