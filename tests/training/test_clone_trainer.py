import dataclasses
import json

import numpy as np
import pytest

from rookery.agents.weights import load_agent
from rookery.errors import ConfigError, DivergedError, IncompatibleError, NotFoundError
from rookery.learning.cloning import BehaviorCloning
from rookery.storage import checkpoint
from rookery.storage.serialization import to_dict
from rookery.training.clone_trainer import CloneConfig, load_clone_config, train_clones
from rookery.training.config import ScriptedPolicyConfig
from rookery.training.demonstrations import record_dataset
from rookery.training.trainer import train
from tests.tiny import CONFIG, NETWORK, TASK, assert_same, rows, tiny

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
    assert (cloned.epochs, cloned.finished) == (4, True)
    assert load_clone_config(cloned.run_dir) == TINY
    lines = rows(cloned.run_dir)
    assert [line["update"] for line in lines] == [1, 2, 3, 4]
    learned = 11 * 2 * 8  # of twelve worlds one is held out; two slots of eight steps
    assert [line["steps"] for line in lines] == [learned * n for n in (1, 2, 3, 4)]
    for part in ("train", "held_out"):
        loss = np.array([line[f"{part}/loss"] for line in lines])
        assert loss.shape == (4, 2)
        assert (loss[-1] < loss[0]).all()
    assert (np.array([line["held_out/accuracy"] for line in lines]) <= 1).all()
    assert checkpoint.saved_updates(cloned.run_dir / "checkpoints") == [4]
    best = np.min([line["held_out/loss"] for line in lines], 0)
    np.testing.assert_allclose(cloned.loss, best, rtol=1e-6)


def test_an_exported_clone_says_whom_it_imitates(cloned):
    agents = [load_agent(path) for path in cloned.agents]
    assert [path.name for path in cloned.agents] == [f"main-seed{n}-clone-0.safetensors" for n in range(2)]
    for agent, loss in zip(agents, cloned.loss, strict=True):
        assert agent.card["task"] == to_dict(TASK)
        assert agent.card["beside"] == agent.card["cloned"]["expert"] == "scripted"
        assert agent.card["cloned"]["loss"] == pytest.approx(float(loss))
    assert not np.array_equal(*(agent.params["memory"]["input_kernel"] for agent in agents))


def test_a_clone_learns_on_by_reward(cloned, tmp_path):
    """Other runs take it as a start like any agent."""
    novice, other = CONFIG.team
    start = dataclasses.replace(novice.policy, start=str(cloned.agents[0]))
    still = dataclasses.replace(novice, policy=start, learning_rate=0.0)
    config = tiny(team=(still, other), arms=CONFIG.variants[:1], steps=1, eval_episodes=0)
    result = train(config, tmp_path / "run", quiet=True)
    agent = load_agent(next((result.run_dir / "agents").glob("*.safetensors")))
    assert_same(agent.params, load_agent(cloned.agents[0]).params)


def test_stopped_and_gone_on_gives_the_same(cloned, data, tmp_path):
    for expected in (1, 2, 3):
        part = train_clones(TINY, data, tmp_path / "run", quiet=True, stop_after=0.0)
        assert (part.epochs_done, part.finished) == (expected, False)
    last = train_clones(TINY, data, tmp_path / "run", quiet=True)
    assert last.finished
    assert rows(last.run_dir) == rows(cloned.run_dir)
    for path, other in zip(last.agent_files, cloned.agents, strict=True):
        assert path.read_bytes() == other.read_bytes()
        assert path.with_suffix(".json").read_bytes() == other.with_suffix(".json").read_bytes()
    again = train_clones(TINY, data, tmp_path / "run", quiet=True)  # nothing left to do
    assert_same(again.validation_loss, cloned.loss)


def test_a_seed_alone_is_the_seed_beside_another(cloned, data, tmp_path):
    alone = train_clones(dataclasses.replace(TINY, seed=1, seeds=1), data, tmp_path / "run", quiet=True)
    assert alone.agent_files[0].name == cloned.agents[1].name
    assert_same(load_agent(alone.agent_files[0]).params, load_agent(cloned.agents[1]).params)


def test_refusals(cloned, data, tmp_path, straight):
    def refused(kind, said, config=TINY, data=data, run_dir=tmp_path / "new"):
        with pytest.raises(kind, match=said) as caught:
            train_clones(config, data, run_dir, quiet=True)
        assert "\n" not in str(caught.value)

    refused(ConfigError, "holds another run", dataclasses.replace(TINY, seed=3), run_dir=cloned.run_dir)
    refused(IncompatibleError, "holds another kind of run", run_dir=straight.run_dir)
    refused(NotFoundError, "holds no whole dataset", data=tmp_path)
    refused(
        ConfigError,
        "too few",
        dataclasses.replace(TINY, learner=dataclasses.replace(TINY.learner, validation_fraction=0.99)),
    )
    assert not (tmp_path / "new").exists()
    wild = dataclasses.replace(TINY, learner=dataclasses.replace(TINY.learner, learning_rate=1e30))
    refused(DivergedError, "is not finite at epoch", wild)
    assert json.loads((tmp_path / "new" / "config.json").read_text())["clone"] == to_dict(wild)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seeds": 0}, "seeds=0"),
        ({"checkpoint_interval": 0}, "checkpoint_interval=0"),
        ({"seed": -1}, "seed=-1 must lie"),
    ],
)
def test_a_configuration_out_of_range(change, said):
    with pytest.raises(ConfigError, match=said):
        CloneConfig(**change)
