"""A run in parts that trains with agents of other runs."""

import dataclasses
import importlib.util
import json

import pytest

from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, NotFoundError, StorageError
from rookery.plugins import TRACKERS
from rookery.storage.atomic import write_json, write_text
from rookery.storage.metrics import read_metrics
from rookery.storage.run_files import CHECKPOINT_HASHES_KEY, CONFIG_FILE, STATUS_FILE
from rookery.tracking.tracker import Tracker
from rookery.tracking.trackers import save_trackers, saved_trackers
from rookery.training import run_parts
from rookery.training.build import checkpoint_hashes
from rookery.training.config import FrozenPolicyConfig
from rookery.training.continue_run import is_finished
from rookery.training.join_parts import _join_agents, _join_metrics, _join_status, finish_parts, join_parts
from rookery.training.run_parts import Split, split_run
from rookery.training.trainer import agent_file, check_checkpoint_hashes, load_state
from tests.tiny import CONFIG, NOVICE, OTHER, TASK, tiny

pytestmark = pytest.mark.usefixtures("quick")


def test_missing_parts_are_announced_before_they_are_trained(tmp_path, monkeypatch):
    """The one command that judges may otherwise train for days what other machines were meant to."""
    lines = []
    monkeypatch.setattr("rookery.training.join_parts.train_part", lambda *_, **__: lines.append("trains"))
    assert not finish_parts(
        tiny(num_seeds=2), tmp_path / "run", Split(replicas_per_part=1, num_threads=1),
        seconds_left=lambda: None, log=lines.append,
    )  # fmt: skip
    assert lines == ["4 of 4 parts of tiny are not here; training them in this process", "trains"]


ROW = {"update": 1, "steps": 4, "social/novice/return": [1.0], "time/seconds": 2.0}


def two_parts(folder, *lines):
    """A run of two updates, the folders of its two parts with these lines of metrics, and one for the whole run."""
    config = tiny(num_seeds=2, variants=CONFIG.variants[:1], total_timesteps=2 * 4 * TASK.max_steps)
    folders = [(part, folder / f"part-{number}") for number, part in enumerate(split_run(config, 1))]
    for (_, part_folder), of_part in zip(folders, lines, strict=True):
        part_folder.mkdir()
        (part_folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in of_part))
    (folder / "run").mkdir()
    return config, folders


@pytest.fixture
def service(monkeypatch):
    """A registered tracker that needs a package, as that of a service: the steps that it was told of, by its id."""

    class Service(Tracker):
        kind = "service"
        package = "json"
        told: dict = {}  # noqa: RUF012
        fails = False

        def start(self, run, run_id):
            if self.fails:
                raise RuntimeError("no account")
            self.steps = self.told.setdefault(run_id or "id-1", [])
            return run_id or "id-1"

        def write(self, steps, values):
            self.steps.append(steps)

    monkeypatch.setattr(TRACKERS, "_entries", dict(TRACKERS._entries))
    TRACKERS.register(Service)
    return Service


LINES = [ROW, ROW | {"update": 2, "steps": 8}]


@pytest.mark.parametrize(
    ("asked", "of_parts", "joined"),
    [
        ("", [None, None], {"tensorboard": None}),
        ("none", [{}, {}], {}),
        ("service", [{}, {}], {"service": "id-1"}),
        ("service,tensorboard", [None, None], {"service": "id-1", "tensorboard": None}),
        ("service", [{"service": "a"}, {"service": "b"}], {}),
        ("service", [{"service": "a"}, {}], {"service": "id-1"}),
    ],
    ids=str,
)
def test_the_joined_run_has_the_trackers_that_were_asked_for_but_for_those_that_followed_its_parts(
    tmp_path, monkeypatch, service, asked, of_parts, joined
):
    """And not those of another attempt to join it, which was killed."""
    monkeypatch.setenv("ROOKERY_TRACK", asked)
    config, folders = two_parts(tmp_path, LINES, LINES)
    run_dir = tmp_path / "run"
    (run_dir / "tracking.json").write_text('{"trackers": {"wandb": null}}')
    for (_, folder), trackers in zip(folders, of_parts, strict=True):
        if trackers is not None:
            save_trackers(folder, trackers)
    _join_metrics(config, run_dir, folders)
    assert saved_trackers(run_dir) == joined
    assert (run_dir / "tb").exists() == ("tensorboard" in joined)
    assert service.told == ({"id-1": [4, 8]} if "service" in joined else {})
    assert len((run_dir / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_run_that_is_joined_again_is_the_same_tracked_run(tmp_path, monkeypatch, service):
    """The process that joined it was killed, or its tracker could not start."""
    monkeypatch.setenv("ROOKERY_TRACK", "service")
    config, folders = two_parts(tmp_path, LINES, LINES)
    save_trackers(tmp_path / "run", {"service": "id-7"})
    service.fails = True
    with pytest.raises(ConfigError, match="no account; correct that, or leave it out of ROOKERY_TRACK, then run"):
        _join_metrics(config, tmp_path / "run", folders)
    service.fails = False
    _join_metrics(config, tmp_path / "run", folders)
    assert service.told == {"id-7": [4, 8]}


@pytest.mark.parametrize(
    ("asked", "trackers"),
    [("", ("tensorboard",)), ("none", "none"), ("service", "none"), ("service,tensorboard", ("tensorboard",))],
)
def test_parts_have_only_the_trackers_that_need_no_package(tmp_path, monkeypatch, service, asked, trackers):
    """On a worker, the package may be missing."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setenv("ROOKERY_TRACK", asked)
    monkeypatch.setattr(run_parts, "train_or_resume", lambda *_, track, **__: track)
    config = tiny(num_seeds=2)
    assert run_parts.train_part(config, split_run(config, 1)[0], tmp_path / "part") == trackers


def test_an_unknown_tracker_is_named_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("ROOKERY_TRACK", "nothing")
    with pytest.raises(NotFoundError, match="no tracker 'nothing'"):
        finish_parts(
            tiny(num_seeds=2), tmp_path / "run", Split(replicas_per_part=1, num_threads=1),
            seconds_left=lambda: pytest.fail("nothing may be trained"),
        )  # fmt: skip


@pytest.mark.parametrize(
    ("damaged", "said"),
    [
        ({"social/novice/return": 5.0}, "of update 2, 'social/novice/return' is 5.0; it must be a list for 1"),
        ({"social/novice/return": [1.0, 2.0]}, "'social/novice/return' is"),
        ({"update": 3}, "it lacks updates 2, of 2 that were done; put a copy of it back, or remove the folder"),
        (None, "it lacks updates 2, of 2 that were done"),
    ],
    ids=str,
)  # fmt: skip
def test_damaged_metrics_of_a_part_are_named(tmp_path, damaged, said):
    lines = [ROW, ROW | {"update": 2} | (damaged or {})]
    config, folders = two_parts(tmp_path, lines, lines if damaged else lines[:1])
    with pytest.raises(CorruptFileError, match=said) as caught:
        _join_metrics(config, tmp_path / "run", folders)
    assert "part-" in str(caught.value)
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize("damaged", [0, 1])
def test_a_line_that_was_put_in_order_without_its_numbers_costs_its_own_part_s_alone(tmp_path, damaged):
    """As the error about a damaged line advises."""
    lines = [[ROW, ROW | {"update": 2}] for _ in range(2)]
    lines[damaged][0] = {"update": 1, "steps": 4}
    config, folders = two_parts(tmp_path, *lines)
    _join_metrics(config, tmp_path / "run", folders)
    first, second = read_metrics(tmp_path / "run")
    assert first["social/novice/return"] == [None, 1.0][:: -1 if damaged else 1]
    assert (first["time/seconds"], second["time/seconds"]) == (2.0, 4.0)
    assert second["social/novice/return"] == [1.0, 1.0]


def test_a_part_of_an_older_version_has_one_machine(tmp_path):
    status = {"num_updates": 8, "total_updates": 8, "steps": 256, "seconds": 1.5, "machine": {"cores": 2}}
    newer = status | {"machines": [{"cores": 4}, {"cores": 8}]}
    (tmp_path / "run").mkdir()
    folders = [(None, tmp_path / name) for name in ("older", "newer")]
    for (_, folder), content in zip(folders, (status, newer), strict=True):
        folder.mkdir()
        (folder / "status.json").write_text(json.dumps(content))
    _join_status(tmp_path / "run", folders)
    joined = json.loads((tmp_path / "run" / "status.json").read_text())
    assert joined == status | {"seconds": 3.0, "machines": [{"cores": 2}, {"cores": 4}, {"cores": 8}]}


def test_agents_are_joined_without_what_a_killed_worker_left_of_them(tmp_path):
    for part in ("a", "b"):
        write_text(tmp_path / part / "agents" / f"{part}.safetensors", part)
        write_text(tmp_path / part / "agents" / f".{part}.safetensors.tmp-77-0badcafe-1", "half")
    _join_agents(tmp_path / "run", [(None, tmp_path / part) for part in ("a", "b")])
    assert sorted(path.name for path in (tmp_path / "run" / "agents").iterdir()) == ["a.safetensors", "b.safetensors"]


def test_a_run_is_not_joined_through_a_link(tmp_path, monkeypatch):
    monkeypatch.setattr("rookery.training.join_parts.is_finished", lambda folder: True)
    (tmp_path / "run").symlink_to(tmp_path / "victim")
    with pytest.raises(StorageError, match="run is a symbolic link"):
        join_parts(CONFIG, tmp_path / "run", split_run(CONFIG, 1))
    assert not (tmp_path / "victim").exists()


def killed_at(name):
    def write(path, data):
        if path.name == name:
            raise KeyboardInterrupt
        write_json(path, data)

    return write


def test_the_joined_run_names_the_digests_of_its_frozen_agents(straight, tmp_path, monkeypatch):
    trained = straight.run_dir / "agents" / agent_file("social", CONFIG.seed, "novice", 0)
    frozen = tmp_path / "expert.safetensors"
    frozen.write_bytes(trained.read_bytes())
    frozen.with_suffix(".json").write_bytes(trained.with_suffix(".json").read_bytes())
    config = tiny(
        team=(NOVICE, dataclasses.replace(OTHER, policy=FrozenPolicyConfig(checkpoint=str(frozen)))),
        variants=CONFIG.variants[:1],
        num_seeds=2,
        total_timesteps=4 * TASK.max_steps,
        eval_episodes=0,
    )
    run_dir, split = tmp_path / "run", Split(replicas_per_part=1, num_threads=1)
    # Killed before one of the last files: the run is not finished, and the same command joins it again, for it has no
    # configuration, by which one that a single process began is known.
    for name in (STATUS_FILE, CONFIG_FILE):
        with monkeypatch.context() as patch:
            patch.setattr("rookery.training.join_parts.write_json", killed_at(name))
            with pytest.raises(KeyboardInterrupt):
                finish_parts(config, run_dir, split, quiet=True, seconds_left=lambda: None)
        assert not is_finished(run_dir)
        assert not (run_dir / CONFIG_FILE).exists()
    assert finish_parts(config, run_dir, split, quiet=True, seconds_left=lambda: None)
    assert is_finished(run_dir)
    saved = json.loads((run_dir / CONFIG_FILE).read_text())
    assert saved[CHECKPOINT_HASHES_KEY] == checkpoint_hashes(config) != {}
    assert load_state(run_dir)[0].config == config
    other = straight.run_dir / "agents" / agent_file("solo", CONFIG.seed, "novice", 0)
    frozen.write_bytes(other.read_bytes())
    frozen.with_suffix(".json").write_bytes(other.with_suffix(".json").read_bytes())
    with pytest.raises(IncompatibleError, match="put the old one back"):
        check_checkpoint_hashes(run_dir, config)
