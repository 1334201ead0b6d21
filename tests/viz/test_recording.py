import dataclasses
import io
import os
import zipfile

import numpy as np
import pytest

from rookery.errors import CorruptFileError, NotFoundError, StorageError
from rookery.viz import Recording, reward_events

ARRAYS = ("tiles", "position", "heading", "agent_mask", "prestige", "reward", "action", "goals")


def test_fields_are_cast_copied_and_read_only(recording):
    dtypes = [getattr(recording, name).dtype.name for name in ARRAYS]
    assert dtypes == ["uint8", "int16", "int8", "bool", "float32", "float32", "int8", "int16"]
    with pytest.raises(ValueError, match="read-only"):
        recording.tiles[0, 0, 0] = 2
    assert (recording.num_steps, recording.num_agents, recording.height, recording.width) == (4, 2, 5, 9)


def test_returns_by_hand(recording):
    np.testing.assert_array_equal(recording.returns(), [[0, 0], [0, 0], [0, 0], [1, 0], [1, -1.5]])


def test_events_by_hand(recording):
    result = [(e.step, e.agent, e.text) for e in reward_events(recording)]
    assert result == [(3, 0, "+1 goal 1"), (4, 1, "-1.5 mistake at goal 2")]


def test_events_off_goals(recording):
    plain = dataclasses.replace(recording, goals=np.zeros((0, 2)))
    assert [e.text for e in reward_events(plain)] == ["+1 reward", "-1.5 penalty"]


def test_round_trip_is_lossless(recording, tmp_path):
    odd = dataclasses.replace(recording, note="trailing NUL \0", agent_names=("ñ", "\ud800 lone"))
    loaded = Recording.load(odd.save(tmp_path / "deep" / "episode"))  # no .npz is added behind our back
    for field in dataclasses.fields(Recording):
        before, after = getattr(odd, field.name), getattr(loaded, field.name)
        if field.name in ARRAYS:
            assert before.dtype == after.dtype
            np.testing.assert_array_equal(before, after)
        elif field.name in ("views", "visible"):
            assert all((a == b).all() for a, b in zip(before, after, strict=True))
        else:
            assert before == after
    assert os.listdir(tmp_path / "deep") == ["episode"]


def test_what_is_carried_round_trips(recording, tmp_path):
    carrying = np.arange(10).reshape(5, 2)
    film = dataclasses.replace(recording, carrying=carrying)
    assert film.carried_tile(2, 1) == 5
    np.testing.assert_array_equal(Recording.load(film.save(tmp_path / "film.npz")).carrying, carrying)
    assert recording.carried_tile(2, 1) == 0


def test_nothing_optional_round_trips(recording, tmp_path):
    bare = dataclasses.replace(recording, visible=(), goals=(), note="")
    loaded = Recording.load(bare.save(tmp_path / "bare.npz"))
    assert loaded.visible == ()
    assert loaded.goals.shape == (0, 2)


@pytest.mark.parametrize("harm", ["empty", "truncated", "text", "altered", "other"])
def test_a_harmed_file_says_so(recording, tmp_path, harm):
    path = recording.save(tmp_path / "episode.npz")
    whole = path.read_bytes()
    if harm == "other":
        np.savez(path, tiles=recording.tiles)
    else:
        altered = bytearray(whole)
        altered[len(whole) // 3] ^= 0xFF
        path.write_bytes({"empty": b"", "truncated": whole[:-40], "text": b"hello", "altered": bytes(altered)}[harm])
    with pytest.raises(CorruptFileError, match=r"episode\.npz is not a valid recording"):
        Recording.load(path)


@pytest.mark.parametrize("side", [10**7, 10**12])
def test_a_shape_that_no_memory_holds_is_damage(recording, tmp_path, side):
    path, header = recording.save(tmp_path / "episode.npz"), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (side, side)})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (parts | {"tiles.npy": header.getvalue()}).items():
            archive.writestr(name, content)
    with pytest.raises(CorruptFileError, match=r"episode\.npz is not a valid recording"):
        Recording.load(path)


def test_every_truncation_is_noticed(recording, tmp_path):
    path = recording.save(tmp_path / "episode.npz")
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(CorruptFileError):
            Recording.load(path)


def test_missing_and_refused(recording, tmp_path):
    with pytest.raises(NotFoundError):
        Recording.load(tmp_path / "none.npz")
    with pytest.raises(StorageError):
        Recording.load(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        recording.save(tmp_path / "file" / "episode.npz")


def test_a_link_that_the_user_names_is_followed(recording, tmp_path):
    """Only the program's own files are never links."""
    (tmp_path / "link.npz").symlink_to(tmp_path / "episode.npz")
    recording.save(tmp_path / "link.npz")
    assert (tmp_path / "link.npz").is_symlink()
    np.testing.assert_array_equal(Recording.load(tmp_path / "episode.npz").returns(), recording.returns())


def test_a_refused_write_keeps_the_old_file(recording, tmp_path, monkeypatch):
    path = recording.save(tmp_path / "episode.npz")
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rookery.storage.atomic.os.replace", full)
    with pytest.raises(StorageError, match="disk is full"):
        recording.save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["episode.npz"]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("agent_names", ("one",), "roles has 2 entries for 1 agent_names"),
        ("agent_names", "ab", "agent_names must be a tuple of texts"),
        ("agent_names", (), "agent_names is empty"),
        ("roles", ("learning", "wise"), "wise"),
        ("tiles", np.zeros((5, 9)), r"tiles has shape \(5, 9\)"),
        ("tiles", np.full((5, 5, 9), 256), "tiles has values that uint8 cannot hold"),
        ("tiles", np.full((5, 5, 9), 0.5), "tiles has values"),
        ("position", np.zeros((5, 2)), r"position has shape \(5, 2\), not \(5, 2, 2\)"),
        ("position", np.full((5, 2, 2), 5), "position puts a present agent off the 5×9 map"),
        ("heading", np.full((5, 2), 4), "heading must be"),
        ("prestige", np.full((5, 2), np.nan), "prestige must lie"),
        ("reward", np.full((4, 2), np.inf), "reward must be finite"),
        ("reward", np.zeros((5, 2)), r"reward has shape \(5, 2\), not \(4, 2\)"),
        ("action", np.full((4, 2), 2), "action must index the 2"),
        ("goals", [[5, 0]], "goals has a cell off"),
        ("goals", [1, 2, 3], r"goals has shape \(3,\)"),
        ("views", (np.zeros((5, 3, 4, 3)),), "views has 1 entries for 2"),
        ("views", (np.zeros((4, 3, 4, 3)),) * 2, r"views\[0\] has shape"),
        ("visible", (np.zeros((5, 9, 5)),) * 2, r"visible\[0\] has shape \(5, 9, 5\), not \(5, 5, 9\)"),
        ("carrying", np.zeros((4, 2)) + 1, r"carrying has shape \(4, 2\), not \(5, 2\)"),
        ("note", None, "note must be text"),
    ],
)
def test_what_does_not_fit_is_named(recording, field, value, says):
    with pytest.raises(ValueError, match=says):
        dataclasses.replace(recording, **{field: value})
