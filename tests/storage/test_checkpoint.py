import errno
import os
import random
import resource
import shutil
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct

from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, NotFoundError, StorageError
from rookery.storage import checkpoint


@struct.dataclass
class Inner:
    weight: object
    mask: object


@struct.dataclass
class State:
    params: dict
    inner: tuple
    key: object
    step: object
    name: str = struct.field(pytree_node=False, default="x")


def state(shift: int = 0) -> State:
    """Every dtype we use, scalars, an array without elements, NaN, and both kinds of array."""
    rng = np.random.default_rng(shift)
    return State(
        params={
            "a/b.c": rng.standard_normal((3, 5)).astype(np.float32),
            "a": {"b.c": jnp.asarray(rng.standard_normal(7), jnp.bfloat16), "none": None},
            "odd": np.array([np.nan, -0.0, np.inf], np.float32),
            "tail": np.full(2, shift, np.int64),
        },
        inner=(
            Inner(weight=jnp.zeros((0, 4)), mask=np.array([True, False])),
            [np.float32(1.5), jnp.int32(shift)],
        ),
        key=jax.random.key_data(jax.random.key(shift)),
        step=np.uint32(shift),
    )


def assert_same(left, right):
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for one, other in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert one.dtype == other.dtype
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes()


def entries(path):
    return sorted(os.listdir(path))


def refusal(call):
    try:
        call()
    except StorageError as error:
        return str(error)
    return ""


def files(path):
    return sorted(p for p in path.rglob("*") if p.is_file())


def test_round_trip_is_bit_identical_and_silent(tmp_path, capfd):
    tree = state(3)
    path = checkpoint.save(tmp_path / "checkpoints", 12, tree)
    assert path == tmp_path / "checkpoints" / "00000012"
    back = checkpoint.restore(path, state(0))
    assert_same(back, tree)
    assert isinstance(back.key, jax.Array)
    assert isinstance(back.params["odd"], np.ndarray)
    assert back.key.committed == tree.key.committed
    assert entries(tmp_path / "checkpoints") == ["00000012"]
    assert capfd.readouterr() == ("", "")


def test_like_may_be_shapes_alone(tmp_path):
    tree = state(1)
    path = checkpoint.save(tmp_path, 0, tree)
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(np.shape(x), np.asarray(x).dtype), tree)
    back = checkpoint.restore(path, like)
    assert_same(back, tree)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(back))


def test_like_may_name_a_place(tmp_path):
    place = jax.sharding.SingleDeviceSharding(jax.devices()[-1])
    path = checkpoint.save(tmp_path, 1, {"x": np.arange(3, dtype=np.int32)})
    back = checkpoint.restore(path, {"x": jax.ShapeDtypeStruct((3,), jnp.int32, sharding=place)})
    assert back["x"].sharding == place
    assert back["x"].committed


def test_restored_arrays_run_without_a_new_compilation(tmp_path):
    traces = []

    @jax.jit
    def step(tree):
        traces.append(1)
        return jax.tree.map(lambda x: x + 1, tree)

    tree = step({"x": jnp.arange(3, dtype=jnp.float32), "n": jnp.zeros((), jnp.int32)})
    tree = step(tree)
    back = checkpoint.restore(checkpoint.save(tmp_path, 1, tree), tree)
    assert_same(step(back), step(tree))
    assert len(traces) == 1
    assert step._cache_size() == 1


def test_trees_without_arrays_or_with_a_single_one(tmp_path):
    for tree in ({}, None, np.arange(3), {"e": np.zeros((0, 2))}):
        assert_same(checkpoint.restore(checkpoint.save(tmp_path, 1, tree), tree), tree)


def test_only_the_newest_are_kept(tmp_path):
    for update in (2, 4, 6, 8):
        checkpoint.save(tmp_path, update, {"x": np.full(3, update)}, max_checkpoints=2)
    assert checkpoint.saved_updates(tmp_path) == [6, 8]
    assert entries(tmp_path) == ["00000006", "00000008"]
    # A run resumed from 6 writes 7: what came later is another future, and is not counted.
    checkpoint.save(tmp_path, 7, {"x": np.full(3, 7)}, max_checkpoints=1)
    assert checkpoint.saved_updates(tmp_path) == [7, 8]
    assert checkpoint.discard_after(tmp_path, 7) == [8]
    assert checkpoint.saved_updates(tmp_path) == [7]
    assert checkpoint.saved_updates(tmp_path / "absent") == []


def test_the_same_update_again_replaces_it(tmp_path):
    checkpoint.save(tmp_path, 5, {"x": np.zeros(3)})
    checkpoint.save(tmp_path, 5, {"x": np.ones(3)})
    assert entries(tmp_path) == ["00000005"]
    update, tree = checkpoint.restore_latest(tmp_path, {"x": np.zeros(3)}, pytest.fail)
    assert update == 5
    np.testing.assert_array_equal(tree["x"], np.ones(3))


def test_what_does_not_fit_is_named(tmp_path):
    path = checkpoint.save(tmp_path, 1, {"a": np.zeros((2, 3), np.float32), "b": [np.zeros(1)]})
    fits = {"a": np.zeros((2, 3), np.float32), "b": [np.zeros(1)]}
    cases = {
        r"\['a'\] is float32\[2, 3\] there and float32\[2, 4\] here": fits | {"a": np.zeros((2, 4), np.float32)},
        r"\['a'\] is float32\[2, 3\] there and int32\[2, 3\] here": fits | {"a": np.zeros((2, 3), np.int32)},
        r"it has no \['c'\]": fits | {"c": np.zeros(1)},
        r"it has \['b'\]\[0\], unknown here": {"a": fits["a"]},
        r"it has no \['b'\]": fits | {"b": np.zeros(1)},
    }
    for words, like in cases.items():
        with pytest.raises(IncompatibleError, match=words) as caught:
            checkpoint.restore(path, like)
        assert "\n" not in str(caught.value)
    with pytest.raises(IncompatibleError):  # a valid checkpoint that does not fit is not skipped
        checkpoint.restore_latest(tmp_path, {"a": np.zeros(1)}, pytest.fail)


def test_what_cannot_be_saved(tmp_path):
    with pytest.raises(TypeError, match="key_data"):
        checkpoint.save(tmp_path, 1, {"key": jax.random.key(0)})
    with pytest.raises(TypeError, match=r"\['name'\] is str"):
        checkpoint.save(tmp_path, 1, {"name": "x"})
    with pytest.raises(ConfigError, match="max_checkpoints=0"):
        checkpoint.save(tmp_path, 1, {}, max_checkpoints=0)
    assert entries(tmp_path) == []


def test_nothing_to_restore(tmp_path):
    with pytest.raises(NotFoundError, match="no checkpoint in"):
        checkpoint.restore_latest(tmp_path / "absent", {}, pytest.fail)
    checkpoint.save(tmp_path, 3, {})
    with pytest.raises(NotFoundError, match="available: 00000003"):
        checkpoint.restore(tmp_path / "00000004", {})


# ------------------------------------------------------------------------------------------- damage


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """Two checkpoints, 10 and 12; copied, not written, for each case."""
    directory = tmp_path_factory.mktemp("pristine")
    for update in (10, 12):
        checkpoint.save(directory, update, state(update))
    return directory


def truncate(path, rng):
    os.truncate(path, rng.randrange(path.stat().st_size))


def flip(path, rng):
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def garbage(path, rng):
    path.write_bytes(rng.randbytes(path.stat().st_size))


def delete(path, _):
    path.unlink()


def append(path, rng):
    path.write_bytes(path.read_bytes() + rng.randbytes(1))


def into_folder(path, _):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [truncate, flip, garbage, delete, append, into_folder])
def test_any_damage_to_any_file_is_found_and_named(pristine, tmp_path, harm):
    rng = random.Random(harm.__name__)
    for name in [p.relative_to(pristine) for p in files(pristine / "00000012")]:
        directory = tmp_path / name.as_posix().replace("/", "_")
        shutil.copytree(pristine, directory)
        harm(directory / name, rng)
        inside = name.relative_to("00000012").as_posix()
        with pytest.raises(CorruptFileError) as caught:
            checkpoint.restore(directory / "00000012", state())
        assert str(caught.value).startswith(f"checkpoint 00000012 is damaged: {inside} ")
        said = []
        if inside == checkpoint.CHECKPOINT_MANIFEST or harm is flip:  # restoring for each would only cost time
            update, tree = checkpoint.restore_latest(directory, state(), said.append)
            assert update == 10
            assert_same(tree, state(10))
            assert said == [f"{caught.value}; going back to 00000010"]
        shutil.rmtree(directory)


def test_a_renamed_folder_is_not_another_update(pristine, tmp_path):
    directory = shutil.copytree(pristine, tmp_path / "c")
    (directory / "00000012").rename(directory / "00000017")
    said = []
    update, tree = checkpoint.restore_latest(directory, state(), said.append)
    assert update == 10
    assert_same(tree, state(10))
    assert said == [
        "checkpoint 00000017 is damaged: it is of update 12, so its folder was renamed; name it 00000012 again; going "
        "back to 00000010"
    ]
    with pytest.raises(CorruptFileError, match="it is of update 12"):
        checkpoint.verify(directory / "00000017")
    (directory / "00000017").rename(directory / "best")  # a name that says no update
    assert_same(checkpoint.restore(directory / "best", state()), state(12))


def test_a_tree_that_cannot_be_that_of_its_update_is_passed_over(pristine):
    said = []
    found, _ = checkpoint.restore_latest(
        pristine, state(), said.append, lambda update, tree: f"it is {tree.step}" if update == 12 else None
    )
    assert found == 10
    assert said == ["checkpoint 00000012 is damaged: it is 12; going back to 00000010"]


def test_every_bit_of_the_manifest_counts(pristine, tmp_path):
    path = shutil.copytree(pristine / "00000012", tmp_path / "00000012") / checkpoint.CHECKPOINT_MANIFEST
    good = path.read_bytes()
    rng = random.Random(0)
    for _ in range(500):
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        path.write_bytes(bad)
        with pytest.raises(CorruptFileError):
            checkpoint.verify(path.parent)


def test_nothing_sound_left(pristine, tmp_path):
    directory = shutil.copytree(pristine, tmp_path / "c")
    for update in ("00000010", "00000012"):
        (directory / update / checkpoint.CHECKPOINT_MANIFEST).unlink()
    (directory / "00000011").mkdir()
    said = []
    with pytest.raises(NotFoundError, match="00000010, 00000011, 00000012 all damaged"):
        checkpoint.restore_latest(directory, state(), said.append)
    assert [line[-8:] for line in said] == ["00000011", "00000010", "s absent"]


# ------------------------------------------------------------------------------------------- the disk refuses


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.EACCES])
def test_what_cannot_be_read_now_is_not_taken_for_damaged(pristine, tmp_path, monkeypatch, number):
    """Falling back to an older checkpoint for that would later remove the newer one."""
    directory = shutil.copytree(pristine, tmp_path / "c")

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(checkpoint, "_digest", refuse)
    with pytest.raises(StorageError, match=f"{os.strerror(number)}; nothing was changed"):
        checkpoint.restore_latest(directory, state(), pytest.fail)
    monkeypatch.undo()
    assert checkpoint.restore_latest(directory, state(), pytest.fail)[0] == 12


@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_full_disk_leaves_the_older_ones(pristine, tmp_path, monkeypatch, call):
    directory = shutil.copytree(pristine, tmp_path / "c")
    calls = 0
    for refused in range(100):
        real = getattr(os, call)
        calls = 0

        def full(*args, real=real, refused=refused):
            nonlocal calls
            calls += 1
            if calls > refused:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            message = refusal(lambda: checkpoint.save(directory, 14, state(14), max_checkpoints=3))
        if not message:
            break
        assert "the disk is full" in message
        assert "\n" not in message
        assert not [e for e in entries(directory) if ".tmp-" in e]
        update, tree = checkpoint.restore_latest(directory, state(), pytest.fail)
        assert update in (10, 12, 14)
        assert_same(tree, state(update))
        assert {10, 12} <= set(checkpoint.saved_updates(directory))
        if update == 14:  # renamed, but the last push to the disk was refused
            checkpoint.discard_after(directory, 12)
    else:
        pytest.fail("never saved")
    assert refused > 0


def test_a_write_cut_short_by_the_system(pristine, tmp_path):
    directory = shutil.copytree(pristine, tmp_path / "c")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    big = {"x": np.random.default_rng(0).standard_normal(50_000)}
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(StorageError, match=r"cannot save checkpoint .*; write to another folder"):
            checkpoint.save(directory, 14, big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert entries(directory) == ["00000010", "00000012"]
    checkpoint.verify(directory / "00000012")


def test_a_disk_that_is_really_full(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("only root can mount a small disk")
    made = subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True)
    if made.returncode:
        pytest.skip("this system does not allow mounting a small disk")
    try:
        rng = np.random.default_rng(0)
        checkpoint.save(disk / "c", 1, {"x": rng.standard_normal(20_000)})
        with pytest.raises(StorageError, match="the disk is full; free some space"):
            checkpoint.save(disk / "c", 2, {"x": rng.standard_normal(200_000)})
        assert entries(disk / "c") == ["00000001"]
        checkpoint.verify(disk / "c" / "00000001")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_path_that_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose another path"):
        checkpoint.save(tmp_path / "file", 1, {})


# ------------------------------------------------------------------------------------------- the process dies


def test_leftovers_of_the_dead_go_and_of_the_living_stay(pristine, tmp_path):
    directory = shutil.copytree(pristine, tmp_path / "c")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = checkpoint.socket.gethostname()
    gone = [f".tmp-{dead.pid}-{host}-new", f".tmp-{os.getpid()}-{host}-old00000003", ".tmp-1-far-off-new"]
    stay = [f".tmp-{os.getppid()}-{host}-new", ".tmp-2-far-off-new"]
    for name in gone + stay:
        (directory / name).mkdir()
        (directory / name / "x").write_text("")
    os.utime(directory / ".tmp-1-far-off-new", (0, 0))
    checkpoint.save(directory, 14, state(14))
    assert entries(directory) == sorted([*stay, "00000010", "00000012", "00000014"])


def test_killed_between_the_two_renames_of_a_replacement(pristine, tmp_path):
    directory = shutil.copytree(pristine, tmp_path / "c")
    os.rename(directory / "00000012", directory / ".aside-00000012")
    update, tree = checkpoint.restore_latest(directory, state(), pytest.fail)
    assert update == 12
    assert_same(tree, state(12))
    checkpoint.save(directory, 14, state(14))
    assert checkpoint.saved_updates(directory) == [10, 12, 14]
    assert entries(directory) == ["00000010", "00000012", "00000014"]
    # killed before the old one was removed
    shutil.copytree(pristine / "00000010", directory / ".aside-00000012")
    update, tree = checkpoint.restore_latest(directory, state(), pytest.fail)
    checkpoint.save(directory, 16, state(16), max_checkpoints=4)
    assert entries(directory) == ["00000010", "00000012", "00000014", "00000016"]
    assert_same(checkpoint.restore(directory / "00000012", state()), state(12))


CHILD = """
import sys
import numpy as np
from rookery.storage import checkpoint

update = int(sys.argv[2])
while True:
    update += 1
    tree = {"x": np.full((40, 1000), update), "y": [np.full(3, update)] * 5}
    checkpoint.save(sys.argv[1], update, tree, max_checkpoints=2)
    checkpoint.save(sys.argv[1], update, tree, max_checkpoints=2)  # replacing is safe as well
    print(update, flush=True)
"""


def test_killed_at_any_moment_the_last_state_is_there(tmp_path):
    like = {"x": np.zeros((40, 1000), np.int64), "y": [np.zeros(3, np.int64)] * 5}
    rng = random.Random()
    reached = 0
    for _ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, tmp_path, str(reached)], stdout=subprocess.PIPE, text=True
        )
        with child:
            reported = int(child.stdout.readline())
            time.sleep(rng.uniform(0, 0.3))
            child.kill()
            reported = max([reported, *map(int, child.stdout.read().split())])
        reached, tree = checkpoint.restore_latest(tmp_path, like, pytest.fail)
        assert reported <= reached <= reported + 1
        for leaf in jax.tree.leaves(tree):
            np.testing.assert_array_equal(leaf, np.full_like(leaf, reached))
    checkpoint.save(tmp_path, reached + 1, like, max_checkpoints=2)
    assert len(entries(tmp_path)) == 2


def test_reading_while_another_writes(pristine, tmp_path, monkeypatch):
    """A checkpoint that is removed while it is read is not damaged: the reader looks again."""
    directory = shutil.copytree(pristine, tmp_path / "c")
    real = checkpoint.verify

    def verify(path):
        if path.name == "00000012":
            shutil.rmtree(path)
            monkeypatch.setattr(checkpoint, "verify", real)
            checkpoint.save(directory, 14, state(14))
        return real(path)

    monkeypatch.setattr(checkpoint, "verify", verify)
    assert checkpoint.restore_latest(directory, state(), pytest.fail)[0] == 14


@pytest.mark.parametrize(
    "name", ["seed=[1]", "x[ab]y", "{a}", "a*b", "a?b", "back\\slash", "new\nline", "a b", "ünï 日本"]
)
def test_any_folder_name(tmp_path, name):
    """Brackets once were taken for a pattern of file names: such a checkpoint was written and never read again."""
    checkpoint.save(tmp_path / name, 1, state(1))
    assert_same(checkpoint.restore_latest(tmp_path / name, state(), pytest.fail)[1], state(1))


def test_what_cannot_be_read_back_does_not_count(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, state(1))
    read = checkpoint._read_arrays
    monkeypatch.setattr(checkpoint, "_read_arrays", lambda *args: [np.zeros_like(array) for array in read(*args)])
    with pytest.raises(StorageError, match="is read back differently from what was written"):
        checkpoint.save(tmp_path, 2, state(2))
    assert entries(tmp_path) == ["00000001"]


def test_a_refused_removal_leaves_nothing_behind(tmp_path, monkeypatch):
    real, calls = os.rmdir, []

    def refuse_once(*args, **kwargs):
        calls.append(args)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(*args, **kwargs)

    checkpoint.save(tmp_path, 1, {"a": np.zeros(3, np.float32)}, max_checkpoints=1)
    monkeypatch.setattr(os, "rmdir", refuse_once)
    checkpoint.save(tmp_path, 2, {"a": np.zeros(3, np.float32)}, max_checkpoints=1)
    assert len(calls) > 1
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
