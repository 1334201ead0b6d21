import dataclasses
import json
import signal

import numpy as np
import pytest

from rookery.agents.weights import load_agent
from rookery.errors import ConfigError, CorruptFileError, DivergedError, IncompatibleError, NotFoundError
from rookery.learning.cloning import BehaviorCloning
from rookery.plugins import NETWORKS
from rookery.storage import checkpoint
from rookery.storage.run_files import recorded_threads
from rookery.storage.serialization import to_dict
from rookery.training.clone_trainer import CloneConfig, _CloneLoop, load_clone_config, train_clones
from rookery.training.config import ScriptedPolicyConfig
from rookery.training.demonstrations import record_dataset
from rookery.training.devices import thread_count
from rookery.training.trainer import train
from tests.tiny import CONFIG, NETWORK, TASK, assert_same, rows, tiny
from tests.training.test_extension_checks import BadNetwork

TINY = CloneConfig(
    name="tiny", network=NETWORK, learner=BehaviorCloning(epochs=4, minibatch_size=4, learning_rate=1e-2), num_seeds=2
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return record_dataset(tmp_path_factory.mktemp("data") / "set", TASK, ScriptedPolicyConfig(), num_episodes=12)


@pytest.fixture(scope="module")
def cloned(data, tmp_path_factory):
    return train_clones(TINY, data, tmp_path_factory.mktemp("cloned") / "run", quiet=True)


def test_what_a_run_of_clones_leaves(cloned):
    assert (cloned.epochs_done, cloned.finished) == (4, True)
    assert load_clone_config(cloned.run_dir) == TINY
    lines = rows(cloned.run_dir)
    assert [line["update"] for line in lines] == [1, 2, 3, 4]
    steps = 11 * 2 * 8  # one of twelve episodes is for validation; two slots of eight steps
    assert [line["steps"] for line in lines] == [steps * n for n in (1, 2, 3, 4)]
    for part in ("train", "validation"):
        loss = np.array([line[f"{part}/loss"] for line in lines])
        assert loss.shape == (4, 2)
        assert (loss[-1] < loss[0]).all()
    assert (np.array([line["validation/accuracy"] for line in lines]) <= 1).all()
    assert checkpoint.saved_updates(cloned.run_dir / "checkpoints") == [4]
    best = np.min([line["validation/loss"] for line in lines], 0)
    np.testing.assert_allclose(cloned.validation_loss, best, rtol=1e-6)


def test_a_damaged_configuration_is_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"clone": to_dict(TINY) | {"num_seeds": "2"}, "dataset": "x"}))
    with pytest.raises(CorruptFileError, match=r"config.json: config.num_seeds is \"2\""):
        load_clone_config(tmp_path)


def test_the_card_of_a_clone_names_its_expert(cloned):
    agents = [load_agent(path) for path in cloned.agent_files]
    assert [path.name for path in cloned.agent_files] == [f"main-seed{n}-clone-0.safetensors" for n in range(2)]
    for agent, loss in zip(agents, cloned.validation_loss, strict=True):
        assert agent.card["task"] == to_dict(TASK)
        assert agent.card["partners"] == agent.card["cloning"]["expert"] == "scripted"
        assert agent.card["cloning"]["validation_loss"] == pytest.approx(float(loss))
    assert not np.array_equal(*(agent.params["memory"]["input_kernel"] for agent in agents))


def test_a_clone_is_trained_further_by_reward(cloned, tmp_path):
    """Other runs start from it as from any agent."""
    novice, other = CONFIG.team
    start = dataclasses.replace(novice.policy, init_from=str(cloned.agent_files[0]))
    still = dataclasses.replace(novice, policy=start, learning_rate=0.0)
    config = tiny(team=(still, other), variants=CONFIG.variants[:1], total_timesteps=1, eval_episodes=0)
    result = train(config, tmp_path / "run", quiet=True)
    agent = load_agent(next((result.run_dir / "agents").glob("*.safetensors")))
    assert_same(agent.params, load_agent(cloned.agent_files[0]).params)


def test_stopped_and_continued_gives_the_same(cloned, data, tmp_path):
    def stop_at_once(number, frame):
        raise AssertionError("the signal was not caught")

    check_finite = _CloneLoop._check_finite
    with pytest.MonkeyPatch.context() as patch:
        previous = signal.signal(signal.SIGTERM, stop_at_once)
        patch.setattr(
            _CloneLoop, "_check_finite", lambda *args: (check_finite(*args), signal.raise_signal(signal.SIGTERM))
        )
        part = train_clones(TINY, data, tmp_path / "run", quiet=True)
        signal.signal(signal.SIGTERM, previous)
    assert (part.epochs_done, part.finished) == (1, False)
    assert recorded_threads(part.run_dir) == thread_count()
    for expected in (2, 3):
        part = train_clones(TINY, data, tmp_path / "run", quiet=True, stop_after=0.0)
        assert (part.epochs_done, part.finished) == (expected, False)
    last = train_clones(TINY, data, tmp_path / "run", quiet=True)
    assert last.finished
    assert rows(last.run_dir) == rows(cloned.run_dir)
    for path, other in zip(last.agent_files, cloned.agent_files, strict=True):
        assert path.read_bytes() == other.read_bytes()
        assert path.with_suffix(".json").read_bytes() == other.with_suffix(".json").read_bytes()
    again = train_clones(TINY, data, tmp_path / "run", quiet=True)  # nothing left to do
    assert_same(again.validation_loss, cloned.validation_loss)


def test_a_seed_does_not_depend_on_the_others(cloned, data, tmp_path):
    single = train_clones(dataclasses.replace(TINY, seed=1, num_seeds=1), data, tmp_path / "run", quiet=True)
    assert single.agent_files[0].name == cloned.agent_files[1].name
    assert_same(load_agent(single.agent_files[0]).params, load_agent(cloned.agent_files[1]).params)


def test_refusals(cloned, data, tmp_path, straight, monkeypatch):
    monkeypatch.setitem(NETWORKS._entries, "bad-network", BadNetwork)

    def refused(kind, said, config=TINY, data=data, run_dir=tmp_path / "new"):
        with pytest.raises(kind, match=said) as caught:
            train_clones(config, data, run_dir, quiet=True)
        assert "\n" not in str(caught.value)

    message = r"holds clones of another configuration \(it differs in seed\)"
    refused(ConfigError, message, dataclasses.replace(TINY, seed=3), run_dir=cloned.run_dir)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "metrics.jsonl").write_text("{}")
    refused(ConfigError, r"has the metrics\.jsonl of a run, and no config\.json", run_dir=tmp_path / "results")
    refused(IncompatibleError, "holds another kind of run", run_dir=straight.run_dir)
    refused(NotFoundError, "holds no whole dataset", data=tmp_path)
    refused(
        ConfigError,
        "too few",
        dataclasses.replace(TINY, learner=dataclasses.replace(TINY.learner, validation_fraction=0.99)),
    )
    message = r"^Unfinished\.__call__: raised KeyError: 'pixels'; mend it"
    refused(ConfigError, message, dataclasses.replace(TINY, network=BadNetwork(part="encoder")))
    assert not (tmp_path / "new").exists()
    wild = dataclasses.replace(TINY, learner=dataclasses.replace(TINY.learner, learning_rate=1e30))
    refused(DivergedError, "is not finite at epoch", wild)
    assert json.loads((tmp_path / "new" / "config.json").read_text())["clone"] == to_dict(wild)


def test_clones_in_a_folder_that_was_renamed_are_continued(cloned, data):
    again = train_clones(dataclasses.replace(TINY, name="renamed"), data, cloned.run_dir, quiet=True)
    assert again.finished


def test_a_validation_loss_that_is_never_finite_ends_the_run(cloned, data, tmp_path, monkeypatch):
    monkeypatch.setattr("rookery.training.clone_trainer.keep_best", lambda state, loss: state)
    with pytest.raises(DivergedError, match="also on validation episodes"):
        train_clones(dataclasses.replace(TINY, num_seeds=1), data, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"num_seeds": 0}, "num_seeds=0"),
        ({"checkpoint_interval": 0}, "checkpoint_interval=0"),
        ({"seed": -1}, "seed=-1 must lie"),
    ],
)
def test_a_configuration_out_of_range(change, said):
    with pytest.raises(ConfigError, match=said):
        CloneConfig(**change)
