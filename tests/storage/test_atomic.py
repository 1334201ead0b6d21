import errno
import os

import pytest

from rookery.errors import StorageError
from rookery.storage import atomic


def test_writes_whole_files_and_makes_folders(tmp_path):
    atomic.write_text(tmp_path / "a" / "b" / "x.txt", "één\n")
    assert (tmp_path / "a" / "b" / "x.txt").read_text(encoding="utf-8") == "één\n"
    atomic.write_bytes(tmp_path / "x", b"\0\n\r")
    assert (tmp_path / "x").read_bytes() == b"\0\n\r"
    atomic.write_json(tmp_path / "x", {"a": [1, None]})
    assert (tmp_path / "x").read_text() == '{\n  "a": [\n    1,\n    null\n  ]\n}\n'


def test_a_symbolic_link_is_refused_or_followed(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    for path in (tmp_path / "link", str(tmp_path / "link")):
        with pytest.raises(StorageError, match=r"link is a symbolic link; .* would change .*real: remove the link"):
            atomic.write_json(path, {})
    assert (tmp_path / "real").read_text() == "old"
    (tmp_path / "folder").symlink_to(tmp_path)
    atomic.write_text(tmp_path / "folder" / "real", "through a folder")
    assert (tmp_path / "real").read_text() == "through a folder"
    atomic.write_text(tmp_path / "link", "new", follow_link=True)
    assert (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "link").is_symlink()


def test_what_cannot_be_written_is_known_before(tmp_path, monkeypatch):
    atomic.check_writable(tmp_path / "a" / "b" / "x")
    (tmp_path / "x").write_text("old")
    atomic.check_writable(tmp_path / "x")
    (tmp_path / "link").symlink_to("x")
    atomic.check_writable(tmp_path / "link", follow_link=True)
    bad = {"link": "symbolic link", ".": "it is a folder", "x/y": "part of the path is a file", "n" * 300: "too long"}
    long = "n" * 250  # with its temporary file next to it
    bad |= {name: "too long" for name in (long, f"missing/{long}", f"missing/{'n' * 300}/x")}
    for name, said in bad.items():
        with pytest.raises(StorageError, match=said):
            atomic.check_writable(tmp_path / name)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StorageError, match="no permission"):
        atomic.check_writable(tmp_path / "y")
    assert sorted(os.listdir(tmp_path)) == ["link", "x"]


@pytest.mark.skipif(os.name != "posix", reason="pipes have names on POSIX alone")
@pytest.mark.parametrize("follow_link", [False, True])
def test_pipes_and_devices_are_not_replaced(tmp_path, follow_link):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for path in (tmp_path / "pipe", *([tmp_path / "link"] if follow_link else [])):
        for use in (atomic.check_writable, lambda *args, **options: atomic.write_bytes(*args, b"", **options)):
            with pytest.raises(StorageError, match=f"cannot write {path}: it is not a regular file .*; name a file"):
                use(path, follow_link=follow_link)
    with pytest.raises(StorageError, match="cannot write /dev/null: it is not a regular file"):
        atomic.check_writable("/dev/null", follow_link=follow_link)  # not written: a fault would cost the machine's
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]


def test_nan_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(tmp_path / "x", {"a": float("nan")})
    assert os.listdir(tmp_path) == ["x"]
    assert (tmp_path / "x").read_text() == "old"


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "full"), (errno.EACCES, "permission"), (errno.EROFS, "read-only")]
)
def test_a_refusal_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call, number, words):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    (tmp_path / "x").write_text("old")
    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(StorageError, match=words) as caught:
        atomic.write_text(tmp_path / "x", "new")
    assert str(tmp_path / "x") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == ["x"]
    assert (tmp_path / "x").read_text() == "old"


def test_an_interrupt_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    (tmp_path / "x").write_text("old")
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        atomic.write_text(tmp_path / "x", "new")
    assert os.listdir(tmp_path) == ["x"]


def test_paths_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match="choose another path"):
        atomic.write_text(tmp_path / "file" / "x", "")
    with pytest.raises(StorageError, match="choose another path"):
        atomic.write_text(tmp_path / "folder", "")
    with pytest.raises(StorageError, match="shorter"):
        atomic.write_text(tmp_path / ("n" * 300), "")


def test_a_disk_without_the_call_for_folders_is_passed_over(tmp_path, monkeypatch):
    real = os.fsync
    folders = []

    def picky(descriptor):
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            folders.append(descriptor)
            raise OSError(errno.EINVAL, "no")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", picky)
    atomic.write_text(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "new"
