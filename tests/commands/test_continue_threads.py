"""Commands that continue what they began split sums over as many threads as then; JAX is not started for that."""

import json

import jax
import pytest

from rookery.commands.clone import CloneCommand
from rookery.commands.demo import DemoCommand
from rookery.commands.generations import GenerationsCommand
from rookery.commands.reproduce import ReproduceCommand
from rookery.commands.sweep import SweepCommand
from rookery.training.devices import machine_info, thread_count
from rookery.training.machine_notes import machine_notes, part_notes, started_threads


class UsedCoresError(Exception):
    """Instead of using cores."""


@pytest.mark.parametrize(
    ("module", "folder", "command"),
    [
        ("clone", "", lambda out: CloneCommand(out=out)),
        ("demo", "run", lambda out: DemoCommand(out=out)),
        ("generations", "generation-1", lambda out: GenerationsCommand(out=out)),
        ("sweep", "runs/0123456789ab", lambda out: SweepCommand("demo", out=out)),
        (
            "reproduce",
            "studies/demo-ablation-smoke-seeds-0-to-1",
            lambda out: ReproduceCommand(study="ndousse2021/demo-ablation", budget="smoke", runs=out, seeds=2),
        ),
    ],
)
def test_threads_are_those_of_the_start(module, folder, command, tmp_path, monkeypatch):
    def use_cores(cores, num_threads=None):
        raise UsedCoresError(num_threads)

    monkeypatch.setattr(f"rookery.commands.{module}.use_cores", use_cores)
    for threads in (None, 7):
        if threads:
            (tmp_path / folder).mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / "config.json").write_text(json.dumps({"threads": threads}))
        with pytest.raises(UsedCoresError) as used:
            command(tmp_path)()
        assert used.value.args == (threads,)


def test_notes_on_what_changes_last_bits(tmp_path, monkeypatch):
    assert started_threads([tmp_path]) is None
    config, status = {"threads": thread_count()}, dict.fromkeys(("num_updates", "total_updates", "steps", "seconds"), 1)
    (tmp_path / "config.json").write_text(json.dumps(config))
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2 --xla_b=1 --xla_a=2")
    assert machine_notes(tmp_path) == []  # before the first checkpoint
    for before, expected in (("--xla_a=2 --xla_b=1", 0), ("none", 1), (None, 0), ("--xla_a=2", 1)):
        (tmp_path / "status.json").write_text(json.dumps({**status, "machine": {"xla_flags": before}}))
        notes = machine_notes(tmp_path)
        assert len(notes) == expected
        assert all(f"XLA_FLAGS were {before}" in note and "are --xla_b=1 --xla_a=2 now" in note for note in notes)
    (tmp_path / "config.json").write_text(json.dumps({"threads": config["threads"] + 1}))
    assert len(machine_notes(tmp_path)) == 2


def test_notes_on_versions_and_options_on_which_numbers_depend(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"threads": thread_count()}))
    status = dict.fromkeys(("num_updates", "total_updates", "steps", "seconds"), 1)
    (tmp_path / "status.json").write_text(json.dumps({**status, "machine": machine_info()}))
    assert machine_notes(tmp_path) == []
    with jax.default_matmul_precision("bfloat16"):
        (note,) = machine_notes(tmp_path)
    assert "JAX_DEFAULT_MATMUL_PRECISION was default in the run's last session, and bfloat16 now" in note
    (tmp_path / "status.json").write_text(json.dumps({**status, "machine": machine_info() | {"jax": "0.4.1"}}))
    assert "JAX was 0.4.1 in the run's last session" in machine_notes(tmp_path)[0]
    elsewhere = machine_info() | {"device": "NVIDIA H200", "processor": "another"}
    (tmp_path / "status.json").write_text(json.dumps({**status, "machine": elsewhere}))
    of_device, of_processor = machine_notes(tmp_path)
    assert "the device was NVIDIA H200 in the run's last session, and cpu now" in of_device
    assert "the processor was another in the run's last session" in of_processor


def test_a_note_on_source_that_was_edited_without_another_version(tmp_path):
    status = dict.fromkeys(("num_updates", "total_updates", "steps", "seconds"), 1)
    machine = machine_info()
    for number, edited in enumerate((machine, machine | {"rookery_source": "0123456789ab"})):
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "status.json").write_text(json.dumps({**status, "machine": edited}))
        (folder / "config.json").write_text(json.dumps({"threads": thread_count()}))
    assert machine_notes(tmp_path / "0") == []
    (note,) = machine_notes(tmp_path / "1")
    digest = machine["rookery_source"]
    assert note.startswith(
        f"the digest of Rookery's source was 0123456789ab in the run's last session, and {digest} now"
    )
    (note,) = part_notes("fig4", [tmp_path / "0", tmp_path / "1"])
    assert f"the digest of Rookery's source was {digest} in one part, and in another 0123456789ab" in note
