"""A path that no file can have, with a NUL, is refused in one line wherever it comes from, and nothing is written."""

import json
import os

import pytest

import rookery
from rookery.agents.cards import seal_card
from rookery.agents.zoo import ZOO_DIR
from rookery.cli import main
from rookery.errors import CorruptFileError, StorageError
from rookery.storage.atomic import check_writable, create_once, make_folder, write_bytes
from rookery.storage.checkpoint import restore_latest, save, saved_updates
from rookery.storage.datasets import read_manifest, write_manifest
from rookery.storage.metrics import MetricsWriter, read_metrics
from rookery.storage.run_files import check_no_results, recorded_threads
from rookery.storage.run_lock import RunLock
from rookery.storage.serialization import load_json
from rookery.storage.yaml_files import load_yaml
from rookery.tracking.trackers import saved_trackers
from rookery.training.agent_paths import AgentFinder, start_record
from rookery.training.trainer import resume, train
from rookery.viz.recording import Recording
from tests.tiny import CONFIG

NUL = "a\0.safetensors"
USES = {
    "an agent": rookery.load,
    "a run to train": lambda path: train(CONFIG, path, quiet=True),
    "a run to resume": lambda path: RunLock(path),
    "JSON": load_json,
    "YAML": load_yaml,
    "metrics": read_metrics,
    "new metrics": MetricsWriter,
    "a dataset": read_manifest,
    "a recording": Recording.load,
    "checkpoints": saved_updates,
    "a new checkpoint": lambda path: save(path, 1, {}),
    "the newest checkpoint": lambda path: restore_latest(path, {}, print),
    "a file": lambda path: write_bytes(path, b""),
    "a user's file": lambda path: write_bytes(path, b"", follow_link=True),
    "a file to come": check_writable,
    "a first file": lambda path: create_once(path, ""),
    "a folder": make_folder,
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("name", [NUL, "half \ud800 character.safetensors"], ids=["NUL", "half"])
def test_a_path_that_no_file_can_have(tmp_path, monkeypatch, use, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StorageError, match="no file can have this name") as caught:
        USES[use](tmp_path / name)
    assert name.encode("unicode_escape").decode() in str(caught.value)
    assert str(caught.value).isprintable()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "use",
    [rookery.load, rookery.load_run, resume, recorded_threads, check_no_results, saved_trackers],
    ids=lambda use: use.__name__,
)
def test_a_name_that_no_system_has(tmp_path, use):
    """And a folder without permission, whose refusal is of the same class."""
    with pytest.raises(StorageError, match=r"cannot read .*: the name is too long; choose a shorter one"):
        use(tmp_path / f"{'a' * 300}.safetensors")


def test_a_run_that_cannot_exist_is_not_found(tmp_path):
    with pytest.raises(rookery.NotFoundError, match=r"holds no run") as caught:
        resume(tmp_path / NUL)
    assert r"a\x00" in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        'team.1.policy={"kind":"frozen","checkpoint":"a\\u0000.safetensors"}',
        'team.0.policy.init_from="a\\u0000.safetensors"',
        'team.0.learner.teacher="a\\u0000.safetensors"',
    ],
)
def test_in_a_configuration(tmp_path, capsys, override):
    assert main(["train", "smoke", override, "--out", str(tmp_path / "out")]) == StorageError.exit_code
    error = capsys.readouterr().err
    assert r"a\x00.safetensors: no file can have this name" in error
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("place", ["working_directory", "run_dir"])
def test_in_the_record_of_where_a_run_was_started(tmp_path, place):
    record = {"working_directory": "/a", "run_dir": "/b"} | {place: "a\0b"}
    (tmp_path / "config.json").write_text(json.dumps({"config": {}, "started_in": record}))
    with pytest.raises(CorruptFileError, match=r"config\.json: 'started_in': a\\x00b: no file can have this name"):
        AgentFinder.of_run(tmp_path)


def test_in_a_run_that_records_where_it_was_started(tmp_path):
    finder = AgentFinder(tmp_path, {"working_directory": "/a", "run_dir": "/b"})
    for name in ("x\0y/a.safetensors", "a\0.safetensors"):
        with pytest.raises(StorageError, match=r"no file can have this name"):
            finder(name)


def test_a_name_that_is_not_utf_8_in_what_a_run_records(tmp_path):
    latin = os.fsdecode(b"caf\xe9")
    assert start_record(["scripted"], tmp_path / latin) == {}
    for names, run_dir in ((["a.safetensors"], tmp_path / latin), ([f"{latin}/a.safetensors"], tmp_path)):
        with pytest.raises(StorageError, match=r"caf\\udce9.*: the name is not UTF-8 text"):
            start_record(names, run_dir)


def test_in_the_manifest_of_a_dataset(tmp_path):
    shard = {"file": NUL, "num_trajectories": 1, "bytes": 1, "sha256": "0"}
    write_manifest(tmp_path, {"format": 1, "shards": [shard]})
    with pytest.raises(CorruptFileError, match=r"manifest\.json is altered"):
        read_manifest(tmp_path)


def test_in_a_card(tmp_path, capsys):
    source = ZOO_DIR / "goal-cycle-demo-novice"
    agent = tmp_path / "agent.safetensors"
    agent.write_bytes(source.with_suffix(".safetensors").read_bytes())
    card = json.loads(source.with_suffix(".json").read_text()) | {"partners": "x\0.safetensors"}
    agent.with_suffix(".json").write_text(json.dumps(seal_card(card)))
    assert main(["eval", str(agent), "--episodes", "2"]) == StorageError.exit_code
    error = capsys.readouterr().err
    assert r"x\x00.safetensors: no file can have this name" in error
    assert len(error.splitlines()) == 1
