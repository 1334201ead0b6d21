"""Recorded steps of Cleanup and Harvest: equal as they are, and every altered entry is found."""

import json

import numpy as np
import pytest

from rookery.errors import CorruptFileError
from rookery.testing import dilemma_traces, gridworld_traces
from rookery.testing.__main__ import main


@pytest.fixture(scope="module")
def recorded(golden):
    """The first 40 steps of each recording."""
    result = {}
    for name in ("cleanup", "harvest"):
        data = gridworld_traces.load_trace(golden / f"{name}.npz")
        longer = ("tiles", "position", "heading")
        cut = {k: v[:, : 41 if k in longer else 40] for k, v in data.items() if k != "meta"}
        result[name] = {"meta": np.array(json.dumps({"task": name, "A": 5, "T": 40})), **cut}
    return result


def wrong(data) -> dict[str, int]:
    """Number of different entries, for the arrays that differ."""
    return {name: count for name, (count, _) in gridworld_traces.compare_trace(data).items() if count}


@pytest.mark.parametrize("name", ["cleanup", "harvest"])
def test_replays_exactly(golden, name, capsys):
    path = str(golden / f"{name}.npz")
    assert main(["trace", path]) == 0
    lines = capsys.readouterr().out.strip().split("\n")
    assert lines[0] == path
    assert [line.split()[:2] for line in lines[1:]] == [
        [array, "0"] for array in dilemma_traces.DILEMMA_COMPARED_ARRAYS
    ]
    assert all(int(line.split()[3]) > 0 for line in lines[1:])


def altered(data, **entries):
    """A copy with some entries changed: name=(index, change)."""
    copy = {name: np.array(array) for name, array in data.items()}
    for name, (index, change) in entries.items():
        copy[name][index] += change
    return copy


def test_each_wrong_entry_is_counted(recorded):
    data = recorded["cleanup"]
    assert wrong(data) == {}
    assert wrong(altered(data, reward=((0, slice(3, 5), 2), 1))) == {"reward": 2}
    assert wrong(altered(data, beam=((1, 7, 3, 3), 3))) == {"beam": 1}
    assert wrong(altered(data, apple_probability=((0, 4), 0.001))) == {"apple_probability": 1}
    last = (0, 40, 1)  # nothing starts from the last entries
    assert wrong(altered(data, heading=(last, 1))) == {"heading": 1}


def test_positions_count_only_where_nobody_contests(recorded):
    data = altered(recorded["harvest"], position=((0, 40, 3, 0), 1))
    assert "position" in wrong(data)
    data["contested"][0, 39] = True
    assert "position" not in wrong(data)


def test_what_cannot_grow_is_found(recorded):
    floor = altered(recorded["cleanup"])
    row, col = np.argwhere(floor["tiles"][0, 40] == 0)[0]  # (4, 6) is the first floor that is not apple ground
    floor["tiles"][0, 40, row, col] = 2
    assert wrong(floor) == {"tiles": 1}
    gone = altered(recorded["harvest"])
    row, col = np.argwhere(gone["tiles_before_growth"][0, 39] == 2)[0]
    gone["tiles"][0, 40, row, col] = 0
    assert wrong(gone) == {"tiles": 1}


def test_two_wastes_in_a_step_are_one_too_many(recorded):
    data = altered(recorded["cleanup"])
    data["apple_probability"][0, 39] = 0.01
    before, after = data["tiles_before_growth"][0, 39], data["tiles"][0, 40]
    after[:] = before
    for row, col in np.argwhere(before == 3)[:3]:
        after[row, col] = 4
    assert wrong(data)["tiles"] == 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"meta": np.array('{"task": "cleanup", "A": "five", "T": 40}')}, "meta is not the JSON"),
        ({"meta": np.array('{"task": "cleanup", "A": 40, "T": 40}')}, "action has shape"),
        ({"reward": np.zeros((2, 3))}, "reward has shape"),
        ({"tiles": np.zeros(3)}, "tiles has shape"),
        ({"beam": np.full((2, 40, 25, 18), "a")}, "beam holds <U1"),
    ],
)
def test_a_damaged_recording_is_named(recorded, change, words):
    with pytest.raises(CorruptFileError, match=words):
        gridworld_traces.compare_trace({**recorded["cleanup"], **change})


def test_missing_arrays_are_named(recorded, tmp_path, capsys):
    data = {name: array for name, array in recorded["harvest"].items() if name not in ("beam", "contested")}
    np.savez(tmp_path / "r.npz", **data)
    assert main(["trace", str(tmp_path / "r.npz")]) == CorruptFileError.exit_code
    assert "lacks the arrays contested, beam; a Cleanup or Harvest recording" in capsys.readouterr().err
