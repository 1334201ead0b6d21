"""Where a run continues whose metrics are lost."""

import jax
import numpy as np
import pytest

from rookery.errors import CorruptFileError
from rookery.storage import checkpoint
from rookery.storage.metrics import MetricsWriter
from rookery.storage.restart import restore_run

TREE = {"weights": np.arange(3.0, dtype=np.float32)}
LIKE = jax.eval_shape(lambda: TREE)


@pytest.fixture
def run_dir(tmp_path):
    """A run with a checkpoint of update 3, and no metrics of update 2."""
    with MetricsWriter(tmp_path) as writer:
        for update in (1, 3):
            writer.write(update, update, {})
    checkpoint.save(tmp_path / "checkpoints", 3, TREE)
    checkpoint.save(tmp_path / "checkpoints", 4, TREE)
    (tmp_path / "checkpoints" / "00000004" / "manifest.json").write_text("{}")
    return tmp_path


def test_lost_metrics_are_refused_and_nothing_is_removed(run_dir):
    said = "it lacks updates 2, of 3 that were done; put a copy of it back; or train from the beginning with --restart"
    with pytest.raises(CorruptFileError, match=said):
        restore_run(run_dir, LIKE, 3, False, lambda note: None)
    assert checkpoint.saved_updates(run_dir / "checkpoints") == [3, 4]


@pytest.mark.parametrize("content", [None, "", "damaged\n{}\n"])
def test_a_restart_keeps_what_is_there(run_dir, content):
    if content is not None:
        (run_dir / "metrics.jsonl").write_text(content)
    notes = []
    assert restore_run(run_dir, LIKE, 3, True, notes.append) is None
    aside = run_dir / "before-restart-1"
    assert notes[-1] == f"metrics are lost; starting again from the beginning; what was there is kept in {aside}"
    assert sorted(path.name for path in aside.iterdir()) == ["checkpoints", "metrics.jsonl"]
