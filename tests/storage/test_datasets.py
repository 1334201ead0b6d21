"""A dataset that is not whole leaves nothing, and none is written by two processes."""

import numpy as np
import pytest

from rookery.errors import ConfigError, CorruptFileError, InUseError
from rookery.storage.datasets import new_dataset, read_manifest, read_shards, write_manifest, write_shard


@pytest.mark.parametrize("entered", [True, False])
def test_a_recording_that_a_signal_ends_leaves_no_shard(tmp_path, entered):
    """Wherever the signal comes: the second shard may be there before its entry is."""
    folder = tmp_path / "data"

    def record():
        with new_dataset(folder) as shards:
            for number in range(2):
                entry = write_shard(folder, number, {"x": np.zeros(3)}, 1)
                if number == 0 or entered:
                    shards.append(entry)
            assert len(list(folder.glob("*.npz"))) == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record()
    assert [path.name for path in folder.iterdir()] == [".lock"]


def test_what_was_there_before_stays(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")

    def record(error=None):
        with new_dataset(tmp_path) as shards:
            shards.append(write_shard(tmp_path, 0, {"x": np.zeros(3)}, 1))
            if error:
                raise error
            write_manifest(tmp_path, {"shards": shards})

    with pytest.raises(OSError, match="full"):
        record(OSError("full"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "notes.txt"]
    record()
    assert len(read_shards(tmp_path, read_manifest(tmp_path))) == 1


def test_a_dataset_that_another_process_records_is_left_alone(tmp_path):
    """While it is recorded, and when it is whole: what a recording that is refused removes is its own."""

    def record():
        with new_dataset(tmp_path):
            pytest.fail("it must not be written")

    with new_dataset(tmp_path) as shards:
        shards.append(write_shard(tmp_path, 0, {"x": np.zeros(3)}, 1))
        with pytest.raises(InUseError, match="in use by process"):
            record()
        write_manifest(tmp_path, {"shards": shards})
    with pytest.raises(ConfigError, match="already holds a dataset"):
        record()
    assert len(read_shards(tmp_path, read_manifest(tmp_path))) == 1


def test_a_return_that_no_number_holds_is_damage(tmp_path):
    write_manifest(tmp_path, {"format": 1, "shards": [], "return": {"mean": 10**400, "std": 0}})
    with pytest.raises(CorruptFileError, match=r"manifest\.json is altered"):
        read_manifest(tmp_path)
