"""What `python -m benchmarks.torture` tries is what it says it tries. The trials themselves take hours."""

import json
import random

import pytest

from rookery import plugins

torture = pytest.importorskip("benchmarks.torture.files", reason="no folder of benchmarks here")
configs = pytest.importorskip("benchmarks.torture.configs")
kills = pytest.importorskip("benchmarks.torture.kills")


@pytest.mark.parametrize(
    ("registry", "tried"),
    [
        (plugins.LEARNERS, configs.LEARNERS),
        (plugins.INTRINSIC_REWARDS, configs.INTRINSIC_REWARDS),
        (plugins.AUXILIARY_LOSSES, configs.AUXILIARY_LOSSES),
    ],
)
def test_everything_that_learns_is_made_to_diverge(registry, tried):
    ours = {cls for cls in registry.classes() if cls.__module__.startswith("rookery.")}
    assert {type(config) for config in tried.values()} == ours


def test_a_file_that_only_one_run_has_is_a_difference(tmp_path):
    left, right = tmp_path / "left", tmp_path / "right"
    for folder in (left, right):
        (folder / "agents").mkdir(parents=True)
        (folder / "agents" / "a.safetensors").write_bytes(b"a")
    (right / "agents" / ".tmp-1.safetensors").write_bytes(b"half-written")
    assert kills.compare(left, right) == ""
    (right / "agents" / "b.safetensors").write_bytes(b"b")
    assert kills.compare(left, right) == kills.compare(right, left) == "agents/b.safetensors"


def test_lines_of_metrics_get_values_of_wrong_kinds(tmp_path):
    path, rows = tmp_path / "metrics.jsonl", [{"update": n, "return": [0.5, n]} for n in range(3)]
    changed = []
    for number in range(40):
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        torture._mutate_line(path, random.Random(number))
        damaged = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(damaged) == 3
        changed += [row for row, before in zip(damaged, rows, strict=True) if row != before]
    assert 30 < len(changed) <= 40
    texts = [json.dumps(row) for row in changed]
    for wrong in ("{}", "[[", "true", '"../../x"'):
        assert any(wrong in text for text in texts), wrong
