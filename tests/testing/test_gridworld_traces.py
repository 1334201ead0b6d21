import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rookery.errors import CorruptFileError, NotFoundError
from rookery.testing import gridworld_traces
from rookery.testing.__main__ import main

META = {"A": 2, "K": 1, "W": 5, "H": 4, "nclut": 0, "pen": 1.5, "offset": 1, "T": 3, "hide": []}


def recording(**meta) -> dict[str, np.ndarray]:
    """A well-formed recording in which nothing happens and nothing is visible; most of it is wrong."""
    E, T, A, K, H, W, V = 2, 3, 2, 1, 4, 5, 3
    walls = np.ones((E, H, W), bool)
    walls[:, 1:-1, 1:-1] = False
    return {
        "meta": np.array(json.dumps({**META, **meta})),
        "walls": walls,
        "goals": np.full((E, K, 2), 2, np.int16),
        "position": np.ones((E, T + 1, A, 2), np.int16),
        "heading": np.zeros((E, T + 1, A), np.int8),
        "action": np.full((E, T, A), 6, np.int8),
        "reward": np.zeros((E, T, A), np.float32),
        "done": np.tile(np.arange(T) == T - 1, (E, 1)),
        "view_kind": np.zeros((E, T + 1, A, V, V), np.int8),
        "view_agents": np.zeros((E, T + 1, A, V, V), np.uint8),
    }


def save(folder: Path, data, name="r.npz") -> str:
    np.savez(folder / name, **data)
    return str(folder / name)


def run(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "rookery.testing", *arguments], capture_output=True, text=True, env=os.environ
    )


def refused(capsys, path: str, code: int, *words: str):
    """The command says in one line what is wrong and where, and returns its exit code."""
    assert main(["trace", path]) == code
    result = capsys.readouterr().err
    assert result.startswith("error: ")
    assert result.count("\n") == 1
    assert "Traceback" not in result
    for word in (path, *words):
        assert word in result


def test_an_idle_recording_by_hand():
    result = gridworld_traces.compare_trace(recording())
    assert result["position"] == (0, 2 * 4 * 2 * 2)
    assert result["heading"] == (0, 2 * 4 * 2)
    assert result["reward"] == (0, 2 * 3 * 2)
    assert result["done"] == (0, 2 * 3)
    # All nine cells of either view are seen, and the recording has none of them.
    assert result["view_kind"] == (2 * 4 * 2 * 9, 2 * 4 * 2 * 9)
    assert result["view_agents"] == (2 * 4 * 2, 2 * 4 * 2 * 9)  # one cell a view shows agents


def test_each_wrong_entry_is_counted(golden, tmp_path, capsys):
    data = gridworld_traces.load_trace(golden / "goal_cycle_4_solo.npz")
    path = save(tmp_path, data)
    assert main(["trace", path]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[0] == path
    assert [line.split()[:2] for line in lines[1:7]] == [[name, "0"] for name in gridworld_traces.COMPARED_ARRAYS]

    data["reward"][0, 5:8] += 1
    data["view_kind"][0, 3, 0, 2, 2] += 1
    data["position"][1, 9, 0, 1] -= 1
    assert main(["trace", save(tmp_path, data)]) == 1
    counts = {line.split()[0]: int(line.split()[1]) for line in capsys.readouterr().out.split("\n")[1:7]}
    assert counts == {"position": 1, "heading": 0, "reward": 3, "done": 0, "view_kind": 1, "view_agents": 0}


def test_the_command_exits_1_where_a_copy_differs(golden, tmp_path):
    data = gridworld_traces.load_trace(golden / "goal_cycle_4_solo.npz")
    data["heading"][0, 1:] = (data["heading"][0, 1:] + 1) % 4
    path = save(tmp_path, data)
    result = run("trace", path)
    assert result.returncode == 1
    assert result.stderr == ""
    steps = data["heading"].shape[1] - 1
    assert f"heading      {steps} of {data['heading'].size} differ" in result.stdout


def test_a_hidden_goal_may_show_one_agent_or_all(golden):
    """With several agents on a hidden goal the recording shows one; a wrong one still counts as different."""
    data = gridworld_traces.load_trace(golden / "goal_cycle_hidden.npz")
    data["view_agents"][0, 0, 0] ^= 1 << 7
    assert gridworld_traces.compare_trace(data)["view_agents"][0] == data["view_agents"][0, 0, 0].size


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file(tmp_path, capsys, keep):
    path = Path(save(tmp_path, recording()))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    refused(capsys, str(path), CorruptFileError.exit_code)


def test_a_flipped_byte(tmp_path, capsys):
    path = Path(save(tmp_path, recording()))
    whole = bytearray(path.read_bytes())
    whole[300] ^= 0xFF  # inside the first array: the archive's checksum notices
    path.write_bytes(bytes(whole))
    refused(capsys, str(path), CorruptFileError.exit_code)


def test_not_an_archive(tmp_path, capsys):
    (tmp_path / "text.npz").write_text("once upon a time\n" * 20)
    refused(capsys, str(tmp_path / "text.npz"), CorruptFileError.exit_code)
    np.save(tmp_path / "single.npy", np.zeros(3))
    refused(capsys, str(tmp_path / "single.npy"), CorruptFileError.exit_code)


def test_missing_file_and_folder(tmp_path, capsys):
    refused(capsys, str(tmp_path / "none.npz"), NotFoundError.exit_code, "no such recording")
    refused(capsys, str(tmp_path), NotFoundError.exit_code, "no such recording")


def test_missing_arrays_are_named(tmp_path, capsys):
    data = recording()
    del data["walls"], data["view_kind"]
    refused(capsys, save(tmp_path, data), CorruptFileError.exit_code, "walls, view_kind")


@pytest.mark.parametrize("name", ["walls", "goals", "position", "action", "reward", "done", "view_agents"])
def test_a_wrong_shape_is_named(tmp_path, capsys, name):
    data = recording()
    data[name] = data[name][..., None]
    refused(capsys, save(tmp_path, data), CorruptFileError.exit_code, f"{name} has shape", "from meta")


@pytest.mark.parametrize("name", ["action", "view_kind"])
@pytest.mark.parametrize("wrong", [np.array(3), np.zeros(0), np.zeros((2, 3, 2, 3, 4))])
def test_arrays_that_others_are_measured_by(tmp_path, capsys, name, wrong):
    refused(capsys, save(tmp_path, {**recording(), name: wrong}), CorruptFileError.exit_code)


@pytest.mark.parametrize("name", ["walls", "goals", "position", "action", "reward", "view_kind", "done"])
def test_arrays_of_text_are_refused(tmp_path, capsys, name):
    data = recording()
    data[name] = np.full(data[name].shape, "a")
    refused(capsys, save(tmp_path, data), CorruptFileError.exit_code, name)


@pytest.mark.parametrize(
    "meta",
    [
        "",
        "{",
        "[1, 2]",
        "7",
        "null",
        "{}",
        json.dumps({**META, "A": "two"}),
        json.dumps({**META, "T": None}),
        json.dumps({**META, "pen": [1]}),
        json.dumps({**META, "hide": 3}),
        json.dumps({**META, "K": 2}),
        json.dumps({**META, "H": -4}),
        json.dumps({**META, "W": 10**30}),
        json.dumps({**META, "A": float("inf")}),
        json.dumps({**META, "A": float("nan")}),
    ],
)
def test_bad_meta(tmp_path, capsys, meta):
    refused(capsys, save(tmp_path, {**recording(), "meta": np.array(meta)}), CorruptFileError.exit_code)


def test_a_world_that_cannot_be(tmp_path, capsys):
    refused(capsys, save(tmp_path, recording(offset=9)), CorruptFileError.exit_code, "rows_behind=9")


def test_object_arrays_are_not_unpickled(tmp_path, capsys):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    trap = np.array([Trap()], dtype=object)
    np.savez(tmp_path / "trap.npz", **{**recording(), "walls": trap})
    refused(capsys, str(tmp_path / "trap.npz"), CorruptFileError.exit_code)
    assert not (tmp_path / "sprung").exists()


def test_the_command_line(capsys, tmp_path):
    assert main(["--help"]) == 0
    assert "usage: python -m rookery.testing trace" in capsys.readouterr().out
    assert main([]) == 2
    capsys.readouterr()
    assert main(["trade"]) == 2
    assert capsys.readouterr().err == "error: 'trade' is not known; allowed: trace\n"
    assert main(["trace"]) == 2
    assert "name at least one recording" in capsys.readouterr().err


def test_a_malformed_file_leaves_no_traceback(tmp_path):
    result = run("trace", str(tmp_path / "none.npz"))
    assert result.returncode == NotFoundError.exit_code
    assert result.stdout == ""
    assert result.stderr == f"error: {tmp_path / 'none.npz'}: no such recording\n"
