import errno
import os
import subprocess
import sys

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


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")
def test_a_replaced_file_keeps_its_mode(tmp_path):
    page = tmp_path / "page.md"
    atomic.write_text(page, "old")
    for mode in (0o600, 0o664):
        page.chmod(mode)
        atomic.write_text(page, "new", follow_link=True)
        assert page.stat().st_mode & 0o777 == mode


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


def test_a_name_that_is_not_utf_8_is_refused_where_a_file_would_hold_it(tmp_path):
    name = os.fsdecode(b"caf\xe9")
    atomic.check_recordable("café")
    with pytest.raises(StorageError, match=r"caf\\udce9: the name is not UTF-8 text") as caught:
        atomic.check_recordable(tmp_path / name)
    assert str(caught.value).isprintable()
    with pytest.raises(StorageError, match=r"cannot write .*x: it would hold .*caf.*udce9.*, which is not UTF-8 text"):
        atomic.write_json(tmp_path / "x", {"folder": name})
    assert not list(tmp_path.iterdir())
    atomic.write_text(tmp_path / name, "the name itself will do")


def test_nan_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "x").write_text("old")
    with pytest.raises(ValueError, match="JSON"):
        atomic.write_json(tmp_path / "x", {"a": float("nan")})
    assert os.listdir(tmp_path) == ["x"]
    assert (tmp_path / "x").read_text() == "old"


def test_files_that_belong_together_are_all_on_the_disk_before_the_first_is_replaced(tmp_path, monkeypatch):
    def full(descriptor, real=os.fsync):
        if os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(tmp_path / ".b")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    files = {tmp_path / name: b"old" for name in ("a", "b")}
    atomic.write_files(files)
    (tmp_path / "folder").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="b: the disk is full"):
            atomic.write_files(dict.fromkeys(files, b"new"))
    with pytest.raises(StorageError, match="it is a folder"):
        atomic.write_files({tmp_path / "a": b"new", tmp_path / "folder": b"new"})
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "folder"]
    assert [path.read_bytes() for path in files] == [b"old", b"old"]
    atomic.write_files(dict.fromkeys(files, b"new"))
    assert [path.read_bytes() for path in files] == [b"new", b"new"]


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


def _dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_folder_takes_the_place_of_another_one_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "a" / "results"
    for content in ("old", "new"):
        with atomic.replacing_folder(folder) as new:
            atomic.write_text(new / content, content)
    assert [path.name for path in folder.iterdir()] == ["new"]

    def fail():
        with atomic.replacing_folder(folder) as new:
            atomic.write_text(new / "newer", "")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert os.listdir(tmp_path / "a") == ["results"]


def test_a_folder_that_is_a_link_is_not_replaced(tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "results").symlink_to("big")
    with pytest.raises(StorageError, match="results is a symbolic link"), atomic.replacing_folder(tmp_path / "results"):
        raise AssertionError
    assert sorted(os.listdir(tmp_path)) == ["big", "results"]
    assert (tmp_path / "results").is_symlink()


def test_a_link_in_the_place_of_the_older_folder_is_neither_restored_nor_followed(tmp_path):
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "kept").write_text("")
    (tmp_path / ".results.backup").symlink_to("big")
    atomic.restore_replaced(tmp_path / "results")
    assert not (tmp_path / "results").exists()
    for content in ("old", "new"):
        with atomic.replacing_folder(tmp_path / "results") as new:
            atomic.write_text(new / content, content)
    assert sorted(os.listdir(tmp_path)) == ["big", "results"]
    assert os.listdir(tmp_path / "big") == ["kept"]
    assert os.listdir(tmp_path / "results") == ["new"]


def test_new_folders_of_dead_processes_are_removed(tmp_path):
    """Those of other machines, whose processes cannot be asked, only when they are old; a link goes, not its target."""
    name = atomic.temporary_path(tmp_path / "results").name
    process, machine, thread = name.removeprefix(".results.tmp-").split("-")
    assert process == str(os.getpid())
    dead, elsewhere = f".results.tmp-{_dead_process()}-{machine}-{thread}", f".results.tmp-{process}-other-{thread}"
    for left in (dead, elsewhere, "big"):
        atomic.write_text(tmp_path / left / "table.csv", "half")
    (tmp_path / f"{dead}1").symlink_to("big")
    with atomic.replacing_folder(tmp_path / "results") as new:
        assert new.name == name
        assert sorted(os.listdir(tmp_path)) == sorted([elsewhere, "big"])
        new.mkdir()
    assert os.listdir(tmp_path / "big") == ["table.csv"]
    os.utime(tmp_path / elsewhere, (0, 0))
    with atomic.replacing_folder(tmp_path / "results") as new:
        new.mkdir()
    assert sorted(os.listdir(tmp_path)) == ["big", "results"]


@pytest.mark.parametrize("hard_links", [True, False])
def test_a_file_that_is_created_once_has_a_name_only_with_its_content(tmp_path, monkeypatch, hard_links):
    path = tmp_path / "a" / "split.json"

    def refuse(number):
        def call(*_):
            raise OSError(number, os.strerror(number))

        return call

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse(errno.ENOSPC))
        with pytest.raises(StorageError, match=r"split\.json: the disk is full"):
            atomic.create_once(path, "first")
    assert not os.listdir(path.parent)
    if not hard_links:
        monkeypatch.setattr(os, "link", refuse(errno.EPERM))
    assert [atomic.create_once(path, text) for text in ("first", "second")] == ["first"] * 2
    assert os.listdir(path.parent) == ["split.json"]


def test_what_a_killed_process_left_empty_counts_as_missing(tmp_path, monkeypatch):
    path, pauses = tmp_path / "split.json", []
    path.touch()
    monkeypatch.setattr("time.sleep", pauses.append)
    assert [atomic.create_once(path, text) for text in ("first", "second")] == ["first"] * 2
    assert sum(pauses) == pytest.approx(5.0)  # another process may just be filling it
    path.write_text("")  # as another one saw it that waited as long
    assert atomic.create_once(path, "third") == "first"


def test_a_link_is_not_created_once(tmp_path):
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(StorageError, match="link is a symbolic link"):
        atomic.create_once(tmp_path / "link", "x")
