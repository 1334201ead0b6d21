"""Files that are either the old or the new version, never a mixture.

A file is written under a temporary name next to its target, synced to the disk, then renamed over it: after a crash or
a power cut, and for every reader, one whole version is there. Every refusal of the disk becomes one `StorageError`.

Libraries for this do not sync the folder, without which a power cut can undo the rename, and leave the errors as they
are.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import hashlib
import json
import os
import re
import shutil
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from rookery.errors import StorageError

STALE_AFTER_SECONDS = 24 * 3600.0
"""When another machine's temporary files are taken for those of dead processes."""

_ERRNO_ADVICE = {
    errno.ENOSPC: "the disk is full; free some space, then run the command again",
    errno.EDQUOT: "your disk quota is used up; free some space, then run the command again",
    errno.EFBIG: "the file is larger than this disk or account allows; write to another folder",
    errno.EACCES: "no permission; write to a folder of your own or change its permissions",
    errno.EPERM: "not permitted; write to a folder of your own or change its permissions",
    errno.EROFS: "the disk is read-only; write to another folder",
    errno.ENOTDIR: "part of the path is a file, not a folder; choose another path",
    errno.EISDIR: "it is a folder, not a file; choose another path",
    errno.EEXIST: "part of the path is a file, not a folder; choose another path",
    errno.ESPIPE: "it is not a regular file but a pipe, a socket or a device; put the file itself there",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
}

# A file system without hard links (FAT, some network disks).
_NO_HARD_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK)


def storage_error(action: str, path: Path | str, error: Exception) -> StorageError:
    """The error for a refusal of the disk, one line: `cannot <action> <path>: <why>; <what to do>`."""
    number = getattr(error, "errno", None)
    if number is None:  # some libraries report the reason only in words
        number = next((n for n in (errno.ENOSPC, errno.EDQUOT) if os.strerror(n) in str(error)), None)
    why = _ERRNO_ADVICE.get(number) if number is not None else None
    if why is None:
        reason = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
        why = f"{reason[:300]}; check the disk, then run the command again"
    return StorageError(f"cannot {action} {path}: {why}")


def check_path(path: Path | str) -> None:
    """Check a path that may come from a configuration, a card or a caller.

    Raises: StorageError for one that no file can have: with a NUL, or with a character that the file system's encoding
      lacks. Python raises ValueError for those, and only where the path is used.
    """
    try:
        usable = b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:
        usable = False
    if not usable:
        raise StorageError(f"{path}: no file can have this name, which holds a NUL or half a character; correct it")


def check_regular_file(path: Path | str) -> None:
    """Check what is about to be read: opening a pipe waits for its other end, for ever where there is none.

    Raises: OSError, ESPIPE for anything but a regular file or a folder, whose own refusal says more.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.ESPIPE, "it is not a regular file", os.fspath(path))


def check_recordable(path: Path | str) -> None:
    """Check a path that a file is to hold as text, before the work that the file is about.

    Raises: StorageError for one whose bytes are not UTF-8, as those of a folder that another encoding named.
    """
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError:
        raise StorageError(
            f"{path}: the name is not UTF-8 text, and a file that must hold it cannot; rename it, or choose another"
        ) from None


def path_exists(path: Path | str) -> bool:
    """As `Path.exists`. Raises: StorageError where the system does not say, as in a folder without permission."""
    return _ask(Path.exists, path)


def is_file(path: Path | str) -> bool:
    """As `Path.is_file`. Raises: StorageError as `path_exists`."""
    return _ask(Path.is_file, path)


def is_folder(path: Path | str) -> bool:
    """As `Path.is_dir`. Raises: StorageError as `path_exists`."""
    return _ask(Path.is_dir, path)


def _ask(question: Callable[[Path], bool], path: Path | str) -> bool:
    try:
        return question(Path(path))
    except OSError as error:
        raise storage_error("read", path, error) from error


def read_file(path: Path | str) -> bytes:
    """The content of a file. Raises: OSError as `Path.read_bytes`, and as `check_regular_file`."""
    check_regular_file(path)
    return Path(path).read_bytes()


def refuse_link(path: Path | str) -> None:
    """Check a file that the program writes for itself.

    Folders of runs, sweeps and studies are copied from machine to machine: writing through a link in them would change
    files elsewhere.
    Raises: StorageError, naming the link, if it is one.
    """
    if os.path.islink(path):
        raise StorageError(
            f"{path} is a symbolic link; the program's own files never are, and writing through it would change "
            f"{os.path.realpath(path)}: remove the link, or put the file itself there"
        )


def refuse_special_file(path: Path | str) -> None:
    """Check what is about to be replaced: a device such as /dev/null would become a regular file, for every process.

    Raises: StorageError, naming it, for anything but a regular file, a folder, whose own refusal says more, or nothing.
    """
    try:
        mode = os.stat(path).st_mode
    except OSError:  # nothing is there, or what is there cannot be looked at, which writing says
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise StorageError(
            f"cannot write {path}: it is not a regular file but a pipe, a socket, a terminal or another device, and "
            "would be replaced; name a file"
        )


def write_bytes(path: Path | str, data: bytes, *, follow_link: bool = False) -> None:
    """Replace `path` by `data`, whole or not at all; missing folders are created.

    What processes that were killed meanwhile left of earlier versions is removed.

    Args:
      follow_link: for a file of the user's, such as a page or a shell's script: if it is a symbolic link, the file that
        it leads to is replaced.
    Raises: StorageError if the disk refuses, for a symbolic link, or for a pipe, a socket or a device; the old content,
      if any, is then untouched.
    """
    write_files({path: data}, follow_link=follow_link)


def write_files(contents: Mapping[Path | str, bytes], *, follow_link: bool = False) -> None:
    """Replace files that belong together. All are on the disk before the first is renamed, in the order given.

    Only between these renames can a killed process, or a disk that refuses one of them, leave new files next to old
    ones; a full disk leaves all as they were.
    Args and Raises: as `write_bytes`.
    """
    for path in contents:
        _check_target(path, follow_link)
    written: list[tuple[Path | str, Path, Path]] = []  # path, temporary file, target
    path: Path | str = ""
    try:
        for path, data in contents.items():
            target = Path(os.path.realpath(path))
            temporary = temporary_path(target)
            _unfinished.add(temporary.name)
            written.append((path, temporary, target))
            if target.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            target.parent.mkdir(parents=True, exist_ok=True)
            _remove_leftovers(target)
            with open(temporary, "wb") as file:
                _keep_mode(target, temporary)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        for path, temporary, target in written:  # noqa: B007 (for the error)
            os.replace(temporary, target)
        for folder in dict.fromkeys(target.parent for *_, target in written):
            sync_directory(folder)
    except BaseException as error:
        for _, temporary, _ in written:
            with contextlib.suppress(OSError):
                temporary.unlink()
        if isinstance(error, OSError):
            raise storage_error("write", path, error) from error
        raise
    finally:
        _unfinished.difference_update(temporary.name for _, temporary, _ in written)


def _keep_mode(target: Path, temporary: Path) -> None:
    """A file that is replaced stays as private, or as public, as its owner made it."""
    with contextlib.suppress(OSError):  # there is none yet, or a file system without modes
        os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))


def _check_target(path: Path | str, follow_link: bool) -> None:
    """Raises StorageError for what no file may be written to: see `write_bytes`."""
    check_path(path)
    if not follow_link:
        refuse_link(path)
    refuse_special_file(path)


def temporary_path(target: Path) -> Path:
    """Where this thread writes what will replace a file or a folder."""
    return target.with_name(f".{target.name}.tmp-{os.getpid()}-{_host_digest()}-{threading.get_ident()}")


_unfinished: set[str] = set()
"""Names of the temporary files and folders that threads of this process are writing."""


@functools.cache
def _host_digest() -> str:
    """A short name of this machine, for file names: on a shared disk, process numbers mean nothing without it."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _remove_leftovers(target: Path) -> None:
    pattern = re.compile(re.escape(f".{target.name}.tmp-") + r"(\d+)-(\w+)-\d+")
    with contextlib.suppress(OSError):
        for name in os.listdir(target.parent):
            match = pattern.fullmatch(name)
            if (
                match
                and name not in _unfinished
                and is_stale(int(match[1]), match[2] == _host_digest(), target.with_name(name))
            ):
                _remove(target.with_name(name))


def _remove(path: Path) -> None:
    """Remove a file, a link or a folder, as far as the disk allows."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def is_stale(process: int, is_local: bool, path: Path) -> bool:
    """Whether the process that wrote a temporary file or folder is dead; of another machine's, whether it is a day old.

    This process counts as dead: the caller knows what it is writing itself.
    """
    if not is_local:
        with contextlib.suppress(FileNotFoundError):
            return time.time() - path.stat().st_mtime > STALE_AFTER_SECONDS
        return False
    if process == os.getpid():
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:  # it belongs to another user
        return False
    return False


def make_folder(folder: Path) -> None:
    """Create a folder and those above it, where they are missing. Raises: StorageError if the disk refuses."""
    check_path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error("write to", folder, error) from error


def check_writable(path: Path | str, *, follow_link: bool = False) -> None:
    """Check that a file can be written, before the work whose result it takes. Nothing is created.

    Args:
      follow_link: as for `write_bytes`.
    Raises: StorageError, as `write_bytes` would, except for what only writing shows, such as a full disk.
    """
    _check_target(path, follow_link)
    target = Path(os.path.realpath(path))
    folder = next(parent for parent in target.parents if os.path.lexists(parent))
    number = None if os.access(folder, os.W_OK | os.X_OK) else errno.EACCES
    if not folder.is_dir():
        number = errno.ENOTDIR
    if os.path.isdir(target):
        number = errno.EISDIR
    # All in the folder that is there, for in one that is missing no name is too long.
    for name in (*target.relative_to(folder).parts, temporary_path(target).name):
        try:
            os.stat(folder / name)
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:  # such as a name that is too long
            number = error.errno
    if number is not None:
        raise storage_error("write", path, OSError(number, os.strerror(number)))


def write_text(path: Path | str, text: str, *, follow_link: bool = False) -> None:
    """`write_bytes` of `text` in UTF-8.

    Raises: StorageError also for half a character, as in the name of a folder that is not UTF-8.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        around = text[max(error.start - 40, 0) : error.end + 20]
        raise StorageError(
            f"cannot write {path}: it would hold {around!r}, which is not UTF-8 text; rename what is called so"
        ) from None
    write_bytes(path, data, follow_link=follow_link)


def write_json(path: Path | str, data: object, *, indent: int | None = 2) -> None:
    """`write_text` of `data` as strict JSON with a final newline.

    Raises: StorageError as `write_bytes`; ValueError for NaN or infinity, TypeError for what JSON cannot hold, both
      before anything is written.
    """
    write_text(path, json.dumps(data, indent=indent, allow_nan=False, ensure_ascii=False) + "\n")


def create_once(path: Path | str, text: str) -> str:
    """Create a file unless another process was first. Returns its content, which is the first one's.

    What a killed process left empty counts as missing, after some seconds in which it may still be filled.
    Raises: StorageError if the disk refuses, or for a symbolic link, a pipe, a socket or a device.
    """
    _check_target(path, follow_link=False)
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        content = _fill_once(path, text)
        if not content:
            # It cannot be replaced by a file that another process may just have put there, too: those that find it
            # empty agree on a file next to it, and all replace it by the same content.
            content = _fill_once(path.with_name(f".{path.name}.again"), text)
            write_text(path, content)
        return content
    except StorageError:
        raise
    except OSError as error:
        raise storage_error("write", path, error) from error


def _fill_once(path: Path, text: str) -> str:
    """Give a file its name when its content is on the disk, unless the name is taken. Returns its content.

    A file system without hard links gives out the name first: a process killed in between leaves an empty file.
    Returns '' for one that stays empty. Raises: OSError.
    """
    if not is_filled(path):
        temporary = temporary_path(path)
        _unfinished.add(temporary.name)
        try:
            _remove_leftovers(path)
            with open(temporary, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                try:
                    os.link(temporary, path)
                except OSError as error:
                    if error.errno not in _NO_HARD_LINKS:
                        raise
                    with open(path, "x"):
                        os.replace(temporary, path)
                sync_directory(path.parent)
        finally:
            _remove(temporary)
            _unfinished.discard(temporary.name)
    for _ in range(50):
        if content := read_file(path).decode(errors="replace"):
            return content
        time.sleep(0.1)
    return ""


def is_filled(path: Path | str) -> bool:
    """Whether `create_once` has created a file, here or in another process, and filled it.

    Raises: StorageError if the disk refuses, or for a pipe, a socket or a device.
    """
    try:
        check_regular_file(path)
        return os.stat(path).st_size > 0
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise storage_error("read", path, error) from error


@contextlib.contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Fill a new folder, whose path this gives, that takes another one's place at the end of the `with` block.

    What processes that were killed meanwhile left of earlier ones is removed.
    Raises: StorageError for a symbolic link in the folder's place, or if the disk refuses. After any error the older
      folder stays, and nothing of the new one.
    """
    refuse_link(folder)
    new_folder = temporary_path(folder)
    _unfinished.add(new_folder.name)
    try:
        _remove_leftovers(folder)
        _remove(new_folder)
        yield new_folder
        _replace_folder(new_folder, folder)
    finally:
        _remove(new_folder)
        _unfinished.discard(new_folder.name)


def _replace_folder(new_folder: Path, folder: Path) -> None:
    """A folder cannot be renamed over another, so the older one is renamed first."""
    backup = _replaced_path(folder)
    restore_replaced(folder)
    refuse_link(folder)
    try:
        if folder.exists():
            _remove(backup)
            os.rename(folder, backup)
        os.rename(new_folder, folder)
        sync_directory(folder.parent)
    except OSError as error:
        raise storage_error("write", folder, error) from error
    _remove(backup)


def restore_replaced(folder: Path) -> None:
    """A process killed between the two renames of `replacing_folder` left the older folder under the backup's name.

    Raises: StorageError if the disk refuses.
    """
    backup = _replaced_path(folder)
    try:
        if not os.path.lexists(folder) and backup.is_dir() and not backup.is_symlink():
            os.rename(backup, folder)
    except OSError as error:
        raise storage_error("write", folder, error) from error


def _replaced_path(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.backup")


def sync_tree(folder: Path | str) -> None:
    """Sync all files and folders in a folder to the disk. Raises: OSError."""
    for inner, _, files in os.walk(folder):
        for name in files:
            with open(os.path.join(inner, name), "rb") as file:
                os.fsync(file.fileno())
        sync_directory(inner)


def sync_directory(path: Path | str) -> None:
    """Sync a folder's list of names to the disk, so that a rename in it survives a power cut.

    Raises: OSError; does nothing on systems and file systems that cannot do it.
    """
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)
