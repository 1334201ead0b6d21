"""Recorded episodes on disk: a folder of shards and a manifest.

A shard is a compressed numpy archive without pickled objects. `manifest.json` says what was recorded and holds the
size and SHA-256 of every shard, and its own SHA-256. It is written last: a folder that has one holds a whole dataset.
Reading checks every byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, NotFoundError, StorageError
from rookery.storage.archive_errors import ARCHIVE_ERRORS
from rookery.storage.atomic import check_path, path_exists, read_file, storage_error, write_bytes, write_text
from rookery.storage.run_lock import RunLock

DATASET_FORMAT = 1
DATASET_MANIFEST = "manifest.json"
_COUNTS = ("num_episodes", "seed", "max_steps", "num_actions")
_LISTS = ("slots", "observation_shape")


@contextlib.contextmanager
def new_dataset(folder: Path) -> Iterator[list[dict[str, Any]]]:
    """A dataset is written within: its shards and then its manifest. An error or a signal leaves none of them.

    The folder is locked meanwhile, and keeps the lock's file, which does not belong to the dataset.

    Yields: a list for what `write_shard` returns.
    Raises: InUseError if another process records there; ConfigError as `check_no_dataset`; StorageError.
    """
    with RunLock(folder):
        check_no_dataset(folder)  # another process may have been quicker
        shards: list[dict[str, Any]] = []
        try:
            yield shards
        except BaseException:
            with contextlib.suppress(OSError):
                for number in range(len(shards) + 1):  # the last may be there without its entry
                    (folder / _shard_name(number)).unlink(missing_ok=True)
            raise


def check_no_dataset(folder: Path) -> None:
    """Raises ConfigError for a folder in which a dataset is recorded already."""
    if path_exists(folder / DATASET_MANIFEST):
        raise ConfigError(f"{folder} already holds a dataset; clone from it, or name another folder")


def write_shard(folder: Path, number: int, arrays: Mapping[str, np.ndarray], num_trajectories: int) -> dict[str, Any]:
    """Write one shard. Returns its entry for the manifest's 'shards'.

    Raises: StorageError if the disk refuses.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    data, name = buffer.getvalue(), _shard_name(number)
    write_bytes(folder / name, data)
    return {"file": name, "num_trajectories": num_trajectories, "bytes": len(data), "sha256": _sha256(data)}


def check_shards_fit(folder: Path, written: Mapping[str, Any], num_left: int, remedy: str) -> None:
    """Check that the disk has room for `num_left` more shards of the size of one that `write_shard` wrote.

    Raises: StorageError that ends with the remedy.
    """
    needed, free = num_left * written["bytes"], shutil.disk_usage(folder).free
    if needed > free:
        raise StorageError(
            f"{folder}: {num_left:,} more shards need about {needed / 1e9:,.2f} GB, and the disk has "
            f"{free / 1e9:,.2f} GB free: {remedy}"
        )


def _shard_name(number: int) -> str:
    return f"shard-{number:05d}.npz"


def write_manifest(folder: Path, content: dict[str, Any]) -> None:
    """Write the manifest of a dataset whose shards are all written.

    Args:
      content: must hold 'shards', a list of what `write_shard` returned; the format is added.
    Raises: StorageError if the disk refuses.
    """
    content = {"format": DATASET_FORMAT, **content}
    text = json.dumps({"content": content, "sha256": manifest_digest(content)}, indent=1)
    write_text(folder / DATASET_MANIFEST, text)


def read_manifest(folder: Path | str) -> dict[str, Any]:
    """A dataset's manifest, checked against its digest.

    Raises: NotFoundError if there is no dataset; CorruptFileError if the manifest was altered; IncompatibleError if
      another version wrote it; StorageError if it cannot be read.
    """
    path = Path(folder) / DATASET_MANIFEST
    check_path(path)
    try:
        data = json.loads(read_file(path))
        content = data["content"]
        if manifest_digest(content) != data["sha256"]:
            raise ValueError
        _check_content(content)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFoundError(f"{folder} holds no whole dataset ({DATASET_MANIFEST} is missing); record one") from None
    # Of its content.
    except (StorageError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        raise CorruptFileError(f"{path} is altered; {record_again(folder)}") from None
    except OSError as error:
        raise storage_error("read", path, error) from error
    if content["format"] != DATASET_FORMAT:
        raise IncompatibleError(
            f"{path} has format {content['format']}, this version reads {DATASET_FORMAT}; {record_again(folder)}"
        )
    return content


def _check_content(content: dict[str, Any]) -> None:
    """Raises ValueError, TypeError or KeyError for a manifest that no dataset has."""
    counts = {"format": content["format"]} | {name: content[name] for name in _COUNTS if name in content}
    for shard in content["shards"]:
        counts |= {"num_trajectories": shard["num_trajectories"], "bytes": shard["bytes"]}
        check_path(shard["file"])
        if Path(shard["file"]).name != shard["file"] or not isinstance(shard["sha256"], str):
            raise ValueError
        _check_counts(counts)
    _check_counts(counts)
    for name in _LISTS:
        if name in content:
            _check_counts(dict(enumerate(content[name])))
    if "return" in content:
        _ = [float(content["return"][name]) for name in ("mean", "std")]


def _check_counts(counts: Mapping[Any, Any]) -> None:
    if not all(type(value) is int and 0 <= value < 2**40 for value in counts.values()):
        raise ValueError


def read_shards(folder: Path | str, manifest: dict[str, Any]) -> list[dict[str, np.ndarray]]:
    """The arrays of every shard, by name.

    Raises: CorruptFileError naming the first shard that is missing or altered; StorageError if one cannot be read.
    """
    return [_read_shard(Path(folder) / shard["file"], shard) for shard in manifest["shards"]]


def corrupt_shard(path: Path, problem: str) -> CorruptFileError:
    """The error for a shard that is not what was written."""
    return CorruptFileError(f"{path}: {problem}; {record_again(path.parent)}")


def record_again(folder: Path | str) -> str:
    """What to do about a dataset that cannot be read: while it is there, no other is recorded in its place."""
    return f"remove {folder} to record the dataset again"


def _read_shard(path: Path, shard: dict[str, Any]) -> dict[str, np.ndarray]:
    try:
        data = read_file(path)
    except FileNotFoundError:
        raise corrupt_shard(path, "the shard is missing") from None
    except OSError as error:
        raise storage_error("read", path, error) from error
    if len(data) != shard["bytes"] or _sha256(data) != shard["sha256"]:
        raise corrupt_shard(path, "the shard is altered (size or sha256 differs)")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except ARCHIVE_ERRORS as error:
        raise corrupt_shard(path, f"not a readable archive ({error})") from None


def manifest_digest(manifest: dict[str, Any]) -> str:
    """SHA-256 of a manifest's content, and so of the whole dataset."""
    return _sha256(json.dumps(manifest, sort_keys=True, allow_nan=False).encode())


def manifest_differences(manifest: dict[str, Any], requested: dict[str, Any]) -> list[str]:
    """Names of the requested entries that a manifest has otherwise, such as 'task', 'seed' or 'solo'."""
    return [name for name, value in requested.items() if manifest[name] != value]


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
