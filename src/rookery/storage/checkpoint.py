"""Checkpoints: a run's whole state as one folder, `<directory>/<update:08d>/`.

Inside, `arrays.npz` holds the leaves in order, as bytes; `manifest.json` holds every leaf's path, shape and dtype and
every file's size and SHA-256. A checkpoint is written under a hidden name, read back, synced to the disk and then
renamed, so a visible name is always a whole checkpoint that can be read; later damage is found by the digests.

Three promises: a process killed at any moment leaves only whole checkpoints; an altered byte is found before any number
is used; a damaged checkpoint is reported and the one before it used instead.

Leaves are jax or numpy arrays (and plain numbers). Random keys are raw uint32 arrays, not typed keys. Every
process that calls `save` writes for itself: with many hosts, gather the state and let one of them save.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, NotFoundError, RookeryError, StorageError
from rookery.storage.array_files import dtype_of, read_arrays, write_arrays
from rookery.storage.atomic import check_path, check_regular_file, is_stale, read_file, storage_error, sync_directory

CHECKPOINT_FORMAT = 2
ARRAYS_FILE = "arrays.npz"
CHECKPOINT_MANIFEST = "manifest.json"
_FINAL = re.compile(r"\d{8,}")
_ASIDE = re.compile(r"\.aside-(\d{8,})")  # an old checkpoint on its way out, while its successor comes in
_TEMPORARY = re.compile(r"\.tmp-(\d+)-(.*)-[^-]*")  # .tmp-<process>-<host>-<what>
NOT_A_FILE_ERRORS = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


def saved_updates(directory: Path | str) -> list[int]:
    """The updates that have a checkpoint, oldest first; `verify` checks whether they are valid."""
    return sorted(_candidates(Path(directory)))


def save(directory: Path | str, update: int, tree: Any, *, max_checkpoints: int = 3) -> Path:
    """Write `tree` as the checkpoint of `update`; an older one of the same update is replaced.

    After the new one is in place and verified, only the `max_checkpoints` newest up to `update` stay; later ones are
    left alone (see `discard_after`). Stale temporary folders of dead processes are removed.

    Returns: the checkpoint's folder.
    Raises: StorageError if the disk refuses or does not return what was written: nothing half-written stays and older
      checkpoints are intact. ConfigError for max_checkpoints < 1 or update < 0. TypeError for a leaf that is not an
      array, ValueError for one that is partly on other hosts.
    """
    if max_checkpoints < 1 or update < 0:
        raise ConfigError(f"update={update} must be at least 0 and max_checkpoints={max_checkpoints} at least 1")
    check_path(directory)
    directory = Path(directory)
    check_leaves(tree)
    leaves = [(path, _to_host(path, leaf)) for path, leaf in _flatten(tree)]
    temporary = directory / _temporary_name("new")
    final = directory / f"{update:08d}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _remove_stale(directory)
        temporary.mkdir()
        write_arrays(temporary / ARRAYS_FILE, [array for _, array in leaves])
        _check_readable(temporary, leaves)
        _write_manifest(temporary, update, leaves)
        _move_into_place(temporary, final)
    except BaseException as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if isinstance(error, OSError) and not isinstance(error, RookeryError):
            raise storage_error("save checkpoint", final, error) from error
        raise
    try:
        verify(final)
    except CorruptFileError as error:
        raise StorageError(f"{error}, right after it was written: check the disk; older ones are kept") from error
    keep_newest(directory, update, max_checkpoints)
    return final


def keep_newest(directory: Path | str, update: int, max_checkpoints: int) -> None:
    """Remove all but the `max_checkpoints` newest checkpoints up to an update, as `save` does at its end.

    Raises: StorageError if the disk refuses.
    """
    _delete(Path(directory), [u for u in saved_updates(directory) if u <= update][:-max_checkpoints])


def verify(path: Path | str) -> dict[str, Any]:
    """Check every file of a checkpoint against its manifest, and the manifest against the folder's name.

    Returns: the manifest's content.
    Raises: CorruptFileError naming the first file that is absent, of the wrong size or altered, or the update that the
      folder was renamed from; NotFoundError if there is no such checkpoint; IncompatibleError if a newer version of
      this package wrote it; StorageError if the disk refuses to read.
    """
    path = Path(path)
    if not path.is_dir():
        available = ", ".join(f"{u:08d}" for u in saved_updates(path.parent)) or "none"
        raise NotFoundError(f"there is no checkpoint {path}; available: {available}")
    manifest = _read_manifest(path)
    number = path.name.removeprefix(".aside-")
    if _FINAL.fullmatch(number) and int(number) != manifest["update"]:
        was = manifest["update"]
        raise _corrupt(path, f"it is of update {was}, so its folder was renamed; name it {was:08d} again")
    for name, (size, digest) in manifest["files"].items():
        try:
            found_size, found_digest = _digest(path / name)
        except NOT_A_FILE_ERRORS:
            raise _corrupt(path, f"{name} is absent") from None
        except OSError as error:
            raise _unreadable(path, name, error) from error
        if found_size != size:
            raise _corrupt(path, f"{name} has {found_size} bytes instead of {size}")
        if found_digest != digest:
            raise _corrupt(path, f"{name} is altered (SHA-256 differs)")
    return manifest


def restore(path: Path | str, like: Any) -> Any:
    """Read a checkpoint back, bit for bit, into the structure of `like`.

    Args:
      path: the checkpoint's folder.
      like: a pytree of arrays or `jax.ShapeDtypeStruct`; only structure, shape, dtype and sharding are used.
    Returns: the tree. A leaf is a jax array where `like` holds one (placed as it is) or names a sharding,
      else a numpy array.
    Raises: as `verify`; IncompatibleError naming the first leaf that differs from `like`.
    """
    path = Path(path)
    manifest = verify(path)
    wanted = _flatten(like)
    index = _match_leaves(path, manifest["leaves"], wanted)
    arrays = _read_arrays(path, manifest["leaves"])
    restored = [_place(arrays[index[name]], leaf) for name, leaf in wanted]
    return jax.tree_util.tree_unflatten(jax.tree_util.tree_structure(like), restored)


def restore_latest(
    directory: Path | str,
    like: Any,
    on_skip: Callable[[str], None],
    problem_of: Callable[[int, Any], str | None] = lambda update, tree: None,
) -> tuple[int, Any]:
    """The newest valid checkpoint.

    Args:
      directory, like: as `save` and `restore`.
      on_skip: called with one line for each damaged checkpoint passed over.
      problem_of: why a restored tree cannot be that of an update, which makes the checkpoint damaged; None: it can.
    Returns: its update and its tree.
    Raises: NotFoundError if there is none or none is valid; IncompatibleError if the newest valid one does not fit.
    """
    directory = Path(directory)
    damaged: dict[int, CorruptFileError] = {}
    while True:
        # Listed again each time: a training process may add and remove checkpoints while we read.
        candidates = _candidates(directory)
        left = [u for u in sorted(candidates) if u not in damaged]
        if not left:
            break
        update = left[-1]
        try:
            tree = restore(candidates[update], like)
            if (problem := problem_of(update, tree)) is not None:
                raise _corrupt(candidates[update], problem)
            return update, tree
        except (CorruptFileError, NotFoundError) as error:
            if not candidates[update].exists():  # removed or replaced meanwhile, not damaged
                time.sleep(0.01)
                continue
            damaged[update] = error if isinstance(error, CorruptFileError) else CorruptFileError(str(error))
            older = f"; going back to {left[-2]:08d}" if len(left) > 1 else ""
            on_skip(f"{error}{older}")
    if damaged:
        names = ", ".join(f"{u:08d}" for u in sorted(damaged))
        raise NotFoundError(f"no valid checkpoint in {directory}: {names} all damaged; start the run again")
    raise NotFoundError(f"there is no checkpoint in {directory}; train first, or name another run")


def discard_after(directory: Path | str, update: int) -> list[int]:
    """Remove the checkpoints later than `update`: the abandoned future of a run resumed from there.

    Returns: the updates removed, oldest first. Raises: StorageError if the disk refuses.
    """
    directory = Path(directory)
    gone = [u for u in saved_updates(directory) if u > update]
    _delete(directory, gone)
    return gone


# ---------------------------------------------------------------------------------------------- leaves


def _flatten(tree: Any) -> list[tuple[str, Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(jax.tree_util.keystr(path).lstrip(".") or "the tree", leaf) for path, leaf in leaves]


def check_leaves(tree: Any) -> None:
    """Raises TypeError for a leaf that no checkpoint can hold; the leaves may be shapes, too."""
    for path, leaf in _flatten(tree):
        dtype = getattr(leaf, "dtype", None)
        if dtype is not None and jax.numpy.issubdtype(dtype, jax.dtypes.extended):
            raise TypeError(f"{path} is a typed random key; keep keys raw: jax.random.key_data(key)")


def _to_host(path: str, leaf: Any) -> np.ndarray:
    if isinstance(leaf, jax.Array) and not (leaf.is_fully_addressable or leaf.is_fully_replicated):
        raise ValueError(f"{path} lives partly on other hosts; gather it before saving")
    array = np.asarray(leaf)
    if array.dtype.hasobject or array.dtype.names or array.dtype.kind in "SUMm":
        raise TypeError(f"{path} is {type(leaf).__name__}; a checkpoint holds arrays of numbers only")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _place(array: np.ndarray, like: Any) -> Any:
    if isinstance(like, jax.Array):
        # An uncommitted array must be restored uncommitted, or the next step would compile again.
        return jax.device_put(array, like.sharding) if like.committed else jax.numpy.asarray(array)
    sharding = getattr(like, "sharding", None)
    return array if sharding is None else jax.device_put(array, sharding)


def _match_leaves(path: Path, saved: list[dict[str, Any]], wanted: list[tuple[str, Any]]) -> dict[str, int]:
    """Where each wanted leaf is in the checkpoint. Raises: IncompatibleError for the first that differs."""
    index = {leaf["path"]: i for i, leaf in enumerate(saved)}
    advice = "use the settings and the version it was saved with"
    for name, leaf in wanted:
        if name not in index:
            raise IncompatibleError(f"checkpoint {path.name} does not fit: it has no {name}; {advice}")
        record = saved[index[name]]
        have = (tuple(record["shape"]), dtype_of(record["dtype"]))
        leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
        want = (tuple(leaf.shape), leaf.dtype)
        if have != want:
            there, here = (f"{dtype}[{', '.join(map(str, shape))}]" for shape, dtype in (have, want))
            raise IncompatibleError(
                f"checkpoint {path.name} does not fit: {name} is {there} there and {here} here; {advice}"
            )
    unwanted = [leaf["path"] for leaf in saved if leaf["path"] not in {name for name, _ in wanted}]
    if unwanted:
        raise IncompatibleError(f"checkpoint {path.name} does not fit: it has {unwanted[0]}, unknown here; {advice}")
    return index


# ---------------------------------------------------------------------------------------------- files


def _read_arrays(path: Path, records: list[dict[str, Any]]) -> list[np.ndarray]:
    return read_arrays(path / ARRAYS_FILE, [(tuple(r["shape"]), dtype_of(r["dtype"])) for r in records])


def _check_readable(folder: Path, leaves: list[tuple[str, np.ndarray]]) -> None:
    """Raises StorageError unless the arrays just written are read back bit for bit."""
    saved = [{"shape": array.shape, "dtype": array.dtype.name} for _, array in leaves]
    for (name, array), read in zip(leaves, _read_arrays(folder, saved), strict=True):
        if (array.shape, array.dtype) != (read.shape, read.dtype) or array.tobytes() != read.tobytes():
            raise StorageError(
                f"{name} of a new checkpoint in {folder.parent} is read back differently from what was written; check "
                "the disk; older checkpoints are kept"
            )


def _digest(path: Path, sync: bool = False) -> tuple[int, str]:
    """Size in bytes and SHA-256; with `sync`, the file is first synced to the disk."""
    check_regular_file(path)
    with open(path, "rb") as file:
        if sync:
            os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return os.fstat(file.fileno()).st_size, digest


def _write_manifest(folder: Path, update: int, leaves: list[tuple[str, np.ndarray]]) -> None:
    files = {}
    for name in sorted(folder.rglob("*")):
        if name.is_dir():
            sync_directory(name)
        else:
            files[name.relative_to(folder).as_posix()] = _digest(name, sync=True)
    content = {
        "format": CHECKPOINT_FORMAT,
        "update": update,
        "leaves": [{"path": p, "shape": list(a.shape), "dtype": a.dtype.name} for p, a in leaves],
        "files": files,
    }
    with open(folder / CHECKPOINT_MANIFEST, "w", encoding="ascii", newline="") as file:
        file.write(_manifest_text(content))
        file.flush()
        os.fsync(file.fileno())
    sync_directory(folder)


def _manifest_text(content: dict[str, Any]) -> str:
    """The manifest with its own digest, byte for byte, so that an altered bit of it is found too."""
    text = json.dumps(content, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return json.dumps({"content": content, "sha256": digest}, sort_keys=True, indent=1) + "\n"


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        text = read_file(path / CHECKPOINT_MANIFEST).decode("ascii")
        content = json.loads(text)["content"]
        if text != _manifest_text(content):
            raise ValueError
        _check_manifest(content)
    except NOT_A_FILE_ERRORS:
        raise _corrupt(path, f"{CHECKPOINT_MANIFEST} is absent") from None
    except OSError as error:
        raise _unreadable(path, CHECKPOINT_MANIFEST, error) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _corrupt(path, f"{CHECKPOINT_MANIFEST} is altered") from None
    if content["format"] != CHECKPOINT_FORMAT:
        raise IncompatibleError(
            f"checkpoint {path.name} has format {content['format']}, this version reads {CHECKPOINT_FORMAT}; use the "
            "version that wrote it"
        )
    return content


def _check_manifest(content: dict[str, Any]) -> None:
    """Raises ValueError, TypeError, KeyError or AttributeError for content that `_write_manifest` never writes."""
    for name, (size, digest) in content["files"].items():
        if not (name.isprintable() and type(size) is int and isinstance(digest, str)) or ".." in Path(name).parts:
            raise ValueError
    for leaf in content["leaves"]:
        dtype_of(leaf["dtype"])
        if not isinstance(leaf["path"], str) or not all(type(n) is int and 0 <= n < 2**40 for n in leaf["shape"]):
            raise ValueError
    if type(content["format"]) is not int or type(content["update"]) is not int or content["update"] < 0:
        raise ValueError


def _unreadable(path: Path, name: str, error: OSError) -> StorageError:
    """For a failure that may pass, such as a lost network disk or too many open files: not damage, so nothing is given
    up for it."""
    return StorageError(
        f"cannot read {name} of checkpoint {path}: {error.strerror}; nothing was changed: try again, or, if it is lost "
        "for good, remove that checkpoint to continue from the one before"
    )


def _corrupt(path: Path, what: str) -> CorruptFileError:
    return CorruptFileError(f"checkpoint {path.name.removeprefix('.aside-')} is damaged: {what}")


# ---------------------------------------------------------------------------------------------- names


def _candidates(directory: Path) -> dict[int, Path]:
    """The folder of each update; one that was set aside counts if its successor is missing."""
    check_path(directory)
    final, aside = {}, {}
    try:
        for entry in directory.iterdir():
            if _FINAL.fullmatch(entry.name) and entry.is_dir():
                final[int(entry.name)] = entry
            elif match := _ASIDE.fullmatch(entry.name):
                aside[int(match[1])] = entry
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise storage_error("list", directory, error) from error
    return aside | final


def _temporary_name(what: str) -> str:
    return f".tmp-{os.getpid()}-{socket.gethostname()}-{what}"


def _move_into_place(temporary: Path, final: Path) -> None:
    """Rename to the final name. A folder cannot be renamed over another, so an old one is set aside first."""
    aside = final.with_name(f".aside-{final.name}")
    if final.exists():
        os.rename(final, aside)
    os.rename(temporary, final)
    sync_directory(final.parent)
    if aside.exists():
        _remove(aside)


def _delete(directory: Path, updates: list[int]) -> None:
    candidates = _candidates(directory)
    for update in updates:
        try:
            _remove(candidates[update])
        except OSError as error:
            raise storage_error("remove checkpoint", candidates[update], error) from error


def _remove(path: Path) -> None:
    """Hide, then delete: a visible checkpoint is never a half-deleted one."""
    hidden = path.with_name(_temporary_name(f"old{path.name.removeprefix('.aside-')}"))
    shutil.rmtree(hidden, ignore_errors=True)
    os.rename(path, hidden)
    for _ in range(2):  # a disk that refuses once may not do so again; the next save tries once more
        shutil.rmtree(hidden, ignore_errors=True)


def _remove_stale(directory: Path) -> None:
    """Clean up after dead processes: remove half-written folders, and restore a folder that was only set aside."""
    for entry in list(directory.iterdir()):
        if match := _ASIDE.fullmatch(entry.name):
            final = directory / match[1]
            if final.exists():
                _remove(entry)
            else:
                os.rename(entry, final)
        elif (match := _TEMPORARY.fullmatch(entry.name)) and is_stale(
            int(match[1]), match[2] == socket.gethostname(), entry
        ):  # saving is synchronous, so a folder of this process is an earlier one's of the same number
            shutil.rmtree(entry, ignore_errors=True)
