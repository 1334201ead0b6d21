import errno
import json
import os

import jax.numpy as jnp
import numpy as np
import pytest

from rookery.errors import CorruptFileError, NotFoundError, StorageError
from rookery.storage import metrics
from rookery.storage.metrics import MetricsWriter, check_all_updates, read_metrics, seed_values


def lines(run_dir):
    return (run_dir / "metrics.jsonl").read_bytes().splitlines()


def record(run_dir, updates, resume_at=None):
    with MetricsWriter(run_dir, resume_at) as writer:
        for update in updates:
            writer.write(update, 100 * update, {"loss": float(update)})


def test_one_line_an_update(tmp_path):
    with MetricsWriter(tmp_path) as writer:
        writer.write(
            1,
            4000,
            {
                "novice": {"return": np.array([1.0, 2.0], np.float32), "loss": {"next": jnp.float32(0.5)}},
                "half": jnp.asarray([1.5, 2.5], jnp.bfloat16),
                "count": np.uint8(7),
                "flags": np.array([True, False]),
                "by agent": np.array([[1.0, 3.0], [5.0, 7.0]]),
                "bad": float("nan"),
                "some bad": np.array([np.inf, 4.0]),
                "unknown": None,
            },
        )
        # each line can be read at once
        (row,) = read_metrics(tmp_path)
    assert row == {
        "update": 1,
        "steps": 4000,
        "novice/return": [1.0, 2.0],
        "novice/loss/next": 0.5,
        "half": [1.5, 2.5],
        "count": 7,
        "flags": [1, 0],
        "by agent": [[1.0, 3.0], [5.0, 7.0]],
        "bad": None,
        "some bad": [None, 4.0],
        "unknown": None,
    }


def test_what_cannot_be_recorded(tmp_path):
    with MetricsWriter(tmp_path) as writer:
        for values, error in [
            ({"a": "text"}, TypeError),
            ({"a": [1, None]}, TypeError),
            ({"a": 1j}, TypeError),
            ({"a": np.zeros(2, "datetime64[s]")}, TypeError),
            ({"": 1.0}, ValueError),
            ({1: 1.0}, ValueError),
            ({"a\nb": 1.0}, ValueError),
            ({"\ud800": 1.0}, ValueError),
            ({"a/": 1.0}, ValueError),
            ({"steps": 1.0}, ValueError),
            ({"a/b": 1.0, "a": {"b": 2.0}}, ValueError),
        ]:
            with pytest.raises(error, match="metric"):
                writer.write(1, 1, values)
    assert lines(tmp_path) == []


def test_a_new_run_does_not_write_into_an_old_one(tmp_path):
    record(tmp_path, [1])
    with pytest.raises(StorageError, match="exists already; resume that run or choose another run name"):
        MetricsWriter(tmp_path)
    assert len(lines(tmp_path)) == 1


@pytest.mark.parametrize("torn", [b"", b'{"update": 5, "st', b'{"update": 5', b"\0\0\0\0", b'"\xc3'])
def test_resuming_drops_the_abandoned_future_and_a_torn_line(tmp_path, torn):
    record(tmp_path, [1, 2, 3, 4])
    with open(tmp_path / "metrics.jsonl", "ab") as file:
        file.write(torn)
    assert [row["update"] for row in read_metrics(tmp_path)] == [1, 2, 3, 4]
    before = lines(tmp_path)[:2]
    record(tmp_path, [3], resume_at=2)
    assert lines(tmp_path)[:2] == before
    assert [row["update"] for row in read_metrics(tmp_path)] == [1, 2, 3]
    assert sorted(os.listdir(tmp_path)) == ["metrics.jsonl"]


def test_metrics_that_an_editor_on_windows_saved(tmp_path):
    record(tmp_path, [1, 2])
    before = (tmp_path / "metrics.jsonl").read_bytes()
    (tmp_path / "metrics.jsonl").write_bytes(b"\xef\xbb\xbf" + before.replace(b"\n", b"\r\n"))
    assert [row["update"] for row in read_metrics(tmp_path)] == [1, 2]
    record(tmp_path, [], resume_at=2)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_resuming_where_nothing_was_written(tmp_path):
    record(tmp_path, [1], resume_at=0)
    assert [row["update"] for row in read_metrics(tmp_path)] == [1]


def test_a_whole_last_line_that_lost_only_its_end_counts(tmp_path):
    record(tmp_path, [1, 2])
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-1])
    assert [row["update"] for row in read_metrics(tmp_path)] == [1, 2]
    record(tmp_path, [3], resume_at=2)
    assert [row["update"] for row in read_metrics(tmp_path)] == [1, 2, 3]


@pytest.mark.parametrize(
    "bad",
    [
        b"{torn",
        b"",
        b"[1]",
        b'{"steps": 1}',
        b'{"update": true, "steps": 1}',
        b"\xff",
        b'{"update": 2, "steps": 2, "a": NaN}',
        b'{"update": 2, "steps": 2, "a": 1e999}',
        b'{"update": 2, "steps": 2, "\\ud800": 1}',
        b'{"update": 2, "steps": 2, "a": "x"}',
        b'{"update": 2, "steps": 2, "a": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"update": 2, "steps": 9999999999999999999}',
    ],
)
def test_a_bad_line_in_the_middle_is_named(tmp_path, bad):
    record(tmp_path, [1, 2, 3])
    path = tmp_path / "metrics.jsonl"
    content = path.read_bytes().split(b"\n")
    content[1] = bad
    path.write_bytes(b"\n".join(content))
    for call in (lambda: read_metrics(tmp_path), lambda: MetricsWriter(tmp_path, 2)):
        with pytest.raises(CorruptFileError, match="line 2 is not a record") as caught:
            call()
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"\n".join(content)


@pytest.mark.parametrize(
    ("updates", "said"),
    [
        ((), "it lacks updates 1, 2, 3, of 3 that were done; put a copy of it back"),
        ((1, 3, 4), "it lacks updates 2, of 3"),
        ((1, 3, 2), "its lines are out of order, of 3"),
        ((1, 2, 2, 3), "its lines are out of order"),
    ],
    ids=str,
)
def test_missing_updates_are_named(tmp_path, updates, said):
    rows = [{"update": update} for update in updates]
    with pytest.raises(CorruptFileError, match=f"metrics.jsonl is damaged: {said}"):
        check_all_updates(tmp_path, rows, 3)


def test_all_updates_are_there(tmp_path):
    rows = [{"update": update} for update in (1, 2, 3, 4)]
    check_all_updates(tmp_path, [], 0)
    check_all_updates(tmp_path, rows, 3)
    with pytest.raises(CorruptFileError, match=r"lacks updates 5, 6, 7, 8, 9, 10, 11, 12, 13, 14 and 6 more, of 20"):
        check_all_updates(tmp_path, rows, 20)


def test_no_metrics(tmp_path):
    with pytest.raises(NotFoundError, match="there is no"):
        read_metrics(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="choose another path"):
        MetricsWriter(tmp_path / "file")


def test_a_full_disk_leaves_no_torn_line(tmp_path, monkeypatch):
    real = os.write
    with MetricsWriter(tmp_path) as writer:
        writer.write(1, 100, {"loss": 1.0})

        def full(descriptor, data):
            if len(data) > 10:
                return real(descriptor, data[:10])  # a part still fits
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(metrics.os, "write", full)
        with pytest.raises(StorageError, match="the disk is full"):
            writer.write(2, 200, {"loss": 2.0})
        monkeypatch.undo()
        writer.write(2, 200, {"loss": 3.0})
    assert [json.loads(line)["loss"] for line in lines(tmp_path)] == [1.0, 3.0]


@pytest.mark.parametrize("value", [5.0, None, [], [1.0], [1.0, 2.0, 3.0], [[1.0], [2.0]]], ids=str)
def test_a_metric_that_is_not_one_number_per_seed(tmp_path, value):
    row = {"update": 3, "steps": 6, "a/return": value}
    with pytest.raises(CorruptFileError, match=r"metrics.jsonl is damaged: in the line of update 3, 'a/return' is"):
        seed_values(tmp_path, row, "a/return", 2)
    with pytest.raises(CorruptFileError, match="'b/return' is missing"):
        seed_values(tmp_path, row, "b/return", 2)
    assert seed_values(tmp_path, row | {"a/return": [1.0, None]}, "a/return", 2) == [1.0, None]
