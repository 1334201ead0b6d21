import dataclasses
import hashlib
import io
import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from rookery.agents.communication import CommunicationConfig
from rookery.agents.weights import save_agent
from rookery.cli import main
from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, NotFoundError, StorageError
from rookery.storage import datasets
from rookery.storage.datasets import DATASET_MANIFEST, manifest_digest, read_manifest
from rookery.training import demonstrations
from rookery.training.config import FrozenPolicyConfig, RandomPolicyConfig, ScriptedPolicyConfig
from rookery.training.demonstrations import read_dataset, record_dataset
from tests.tiny import TASK, assert_same, policy, save_novice


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """Seven episodes of a scripted expert in two slots, three episodes per shard."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demonstrations, "EPISODES_PER_SHARD", 3)
        return record_dataset(
            tmp_path_factory.mktemp("data") / "set", TASK, ScriptedPolicyConfig(), num_episodes=7, seed=5
        )


@pytest.fixture
def copy(recorded, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    for path in recorded.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def rewrite(folder, **changes):
    """Change a manifest, with a digest that fits."""
    content = {**read_manifest(folder), **changes}
    (folder / DATASET_MANIFEST).write_text(json.dumps({"content": content, "sha256": manifest_digest(content)}))


def test_what_is_read_is_what_was_played(recorded):
    data = read_dataset(recorded)
    assert sorted(path.name for path in recorded.iterdir()) == [
        ".lock",
        DATASET_MANIFEST,
        *(f"shard-0000{n}.npz" for n in range(3)),
    ]
    assert [shard["num_trajectories"] for shard in data.manifest["shards"]] == [6, 6, 2]
    assert data.task == TASK
    assert data.manifest["expert"] == "scripted"
    episodes = data.trajectories
    assert episodes.observation.shape == (9, 14, 3, 3, 8)
    assert episodes.observation.dtype == np.uint8
    assert episodes.action.shape == episodes.loss_mask.shape == (8, 14)
    assert episodes.is_first[0].all()
    assert not episodes.is_first[1:].any()
    assert episodes.loss_mask.all()
    assert set(np.unique(episodes.action)) <= {0, 1, 2}
    assert data.manifest["return"]["mean"] == pytest.approx(episodes.reward.sum(0).mean(), rel=1e-6)
    assert episodes.reward.sum() > 0
    # Two slots observe from two cells, and episodes differ.
    assert len({episodes.observation[:, n].tobytes() for n in range(14)}) == 14


def test_the_same_seed_gives_the_same_bytes(recorded, tmp_path, monkeypatch):
    monkeypatch.setattr(demonstrations, "EPISODES_PER_SHARD", 3)
    again = record_dataset(tmp_path / "again", TASK, ScriptedPolicyConfig(), num_episodes=7, seed=5)
    for path in recorded.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes(), path.name


def test_validation_takes_whole_episodes(recorded):
    data = read_dataset(recorded)
    training, validation = data.split(0.3)  # two of seven
    assert (training.action.shape[1], validation.action.shape[1]) == (10, 4)
    np.testing.assert_array_equal(np.concatenate([training.action, validation.action], 1), data.trajectories.action)
    assert data.split(0.01)[1].action.shape[1] == 2
    with pytest.raises(ConfigError, match=r"7 episodes are too few for validation_fraction=0\.99"):
        data.split(0.99)


def test_a_trained_expert_solo(tmp_path):
    """The log-probabilities are those of its network, and only one slot is recorded."""
    path = save_novice(tmp_path / "agent.safetensors")
    folder = record_dataset(tmp_path / "set", TASK, FrozenPolicyConfig(checkpoint=str(path)), num_episodes=2, solo=True)
    data = read_dataset(folder)
    assert data.manifest["expert"] == str(path)
    assert data.manifest["slots"] == [0]
    assert data.trajectories.action.shape == (8, 2)
    np.testing.assert_allclose(data.trajectories.log_prob, -np.log(3), atol=0.1)


def test_refused_before_anything_is_written(recorded, tmp_path):
    def refused(kind, said, folder=tmp_path / "set", task=TASK, expert=ScriptedPolicyConfig(), **more):  # noqa: B008
        with pytest.raises(kind, match=said):
            record_dataset(folder, task, expert, **{"num_episodes": 3, **more})
        assert folder == recorded or not folder.exists()

    refused(ConfigError, "num_episodes=1 must be at least 2", num_episodes=1)
    refused(ConfigError, "seed=-1 must lie in", seed=-1)
    refused(ConfigError, "already holds a dataset", folder=recorded)
    refused(NotFoundError, "the zoo has no 'nobody'", expert=FrozenPolicyConfig(checkpoint="nobody"))
    path = save_novice(tmp_path / "agent.safetensors")
    wide = dataclasses.replace(TASK, views=(dataclasses.replace(TASK.views[0], size=5),) * 2)
    refused(IncompatibleError, "here it would see", task=wide, expert=FrozenPolicyConfig(checkpoint=str(path)))
    listener = dataclasses.replace(policy(), communication=CommunicationConfig(visible_actions=True), num_agents=2)
    shapes = jax.eval_shape(listener.init, jax.random.PRNGKey(0))
    save_agent(path, listener, jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes), {})
    said = "observes other agents' actions or messages, which only"
    refused(IncompatibleError, said, expert=FrozenPolicyConfig(checkpoint=str(path)))


def test_shards_that_the_disk_cannot_hold(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10))
    monkeypatch.setattr(demonstrations, "EPISODES_PER_SHARD", 3)  # as `recorded`, which is compiled
    with pytest.raises(StorageError, match=r"2 more shards need about .* GB free: record fewer or shorter ones"):
        record_dataset(tmp_path / "set", TASK, ScriptedPolicyConfig(), num_episodes=7)
    assert [path.name for path in (tmp_path / "set").iterdir()] == [".lock"]


def test_damage_is_found(copy):
    def damaged(said, kind=CorruptFileError):
        with pytest.raises(kind, match=said) as caught:
            read_dataset(copy)
        assert "\n" not in str(caught.value)
        assert kind is NotFoundError or str(caught.value).endswith(f"; remove {copy} to record the dataset again")

    shard = copy / "shard-00001.npz"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    damaged("shard-00001.npz: the shard is altered")
    shard.write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
    damaged("shard-00001.npz: the shard is altered")
    shard.unlink()
    damaged("shard-00001.npz: the shard is missing")
    shard.write_bytes(whole)
    assert_same(read_dataset(copy).trajectories.action, read_dataset(copy).trajectories.action)
    text = (copy / DATASET_MANIFEST).read_text()
    (copy / DATASET_MANIFEST).write_text(text.replace('"scripted"', '"random"'))
    damaged("manifest.json is altered")
    (copy / DATASET_MANIFEST).write_text(text[: len(text) // 2])
    damaged("manifest.json is altered")
    (copy / DATASET_MANIFEST).unlink()
    damaged("holds no whole dataset", NotFoundError)


def test_a_manifest_that_promises_other_shapes(copy):
    rewrite(copy, max_steps=9)
    with pytest.raises(CorruptFileError, match=r"holds \(8, 6\) steps × trajectories, its manifest says \(9, 6\)"):
        read_dataset(copy)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        *[({name: "absent"}, f"manifest lacks '{name}'") for name in (
            "task", "expert", "slots", "solo", "num_episodes", "seed", "max_steps", "num_actions", "observation_shape",
            "return",
        )],
        ({"task": "goal-cycle"}, 'manifest.task is "goal-cycle"; it must be an object'),
        ({"expert": None}, "manifest.expert is null"),
        ({"solo": "no"}, 'manifest.solo is "no"; it must be true or false'),
        ({"num_episodes": 6}, "are 12 trajectories and its shards hold 14"),
        ({"shards": [], "num_episodes": 0}, "are 0 trajectories and its shards hold 0"),
    ],
    ids=str,
)  # fmt: skip
def test_a_sealed_manifest_that_is_not_of_demonstrations(copy, tmp_path, capsys, changes, said):
    content = {**read_manifest(copy), **changes}
    content = {name: value for name, value in content.items() if value != "absent"}
    (copy / DATASET_MANIFEST).write_text(json.dumps({"content": content, "sha256": manifest_digest(content)}))
    with pytest.raises(CorruptFileError) as caught:
        read_dataset(copy)
    assert f"{copy / DATASET_MANIFEST} is damaged: " in str(caught.value)
    assert said in str(caught.value)
    assert str(caught.value).endswith(f"; remove {copy} to record the dataset again")
    assert main(["clone", "--data", str(copy), "--out", str(tmp_path / "out")]) == CorruptFileError.exit_code
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_pickles_are_refused(copy):
    """Even one with the right digest in the manifest."""
    buffer = io.BytesIO()
    np.savez(buffer, action=np.array([{"a": 1}], dtype=object))
    blob = buffer.getvalue()
    (copy / "shard-00000.npz").write_bytes(blob)
    shards = read_manifest(copy)["shards"]
    shards[0] |= {"bytes": len(blob), "sha256": hashlib.sha256(blob).hexdigest()}
    rewrite(copy, shards=shards)
    with pytest.raises(CorruptFileError, match="not a readable archive"):
        read_dataset(copy)


def test_other_versions_are_told(copy):
    rewrite(copy, task={"kind": "gaol-cycle"})
    with pytest.raises(IncompatibleError, match="a task that this version does not know"):
        read_dataset(copy)
    rewrite(copy, format=2)
    with pytest.raises(
        IncompatibleError, match=r"has format 2, this version reads 1; remove .*copy to record the dataset again"
    ):
        read_dataset(copy)


def test_a_half_written_dataset_is_recorded_again(copy, recorded, monkeypatch):
    monkeypatch.setattr(demonstrations, "EPISODES_PER_SHARD", 3)
    (copy / DATASET_MANIFEST).unlink()
    (copy / "shard-00002.npz").write_bytes(b"half")
    record_dataset(copy, TASK, ScriptedPolicyConfig(), num_episodes=7, seed=5)
    assert_same(read_dataset(copy).trajectories, read_dataset(recorded).trajectories)


def test_a_random_policy_can_be_recorded(tmp_path):
    """Here of agents that may leave, which change nothing of what is in a dataset."""
    task = dataclasses.replace(TASK, dropout_slots=(1,))
    data = read_dataset(record_dataset(tmp_path / "set", task, RandomPolicyConfig(), num_episodes=40))
    assert data.trajectories.agent_mask is None
    frequency = np.bincount(data.trajectories.action.reshape(-1), minlength=3) / data.trajectories.action.size
    np.testing.assert_allclose(frequency, 1 / 3, atol=0.06)
