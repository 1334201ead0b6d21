"""Agents that speak, through a whole run: trained, stopped and taken up again, tested, exported, filmed."""

import jax
import numpy as np
import pytest

from rookery.agents.communication import CommunicationConfig
from rookery.agents.numpy_actor import load_actor
from rookery.agents.weights import load_agent
from rookery.errors import IncompatibleError
from rookery.learning.a2c import A2C
from rookery.learning.intrinsic import MessageInfluence
from rookery.storage.metrics import read_metrics
from rookery.training.config import GroupConfig, RecurrentPolicyConfig, Variant
from rookery.training.trainer import load_learners, resume, train
from rookery.viz.record_episode import record_run
from tests.training.test_influence import NETWORK, config

TALKERS = GroupConfig(
    name="talker",
    slots=(0, 1),
    policy=RecurrentPolicyConfig(network=NETWORK, communication=CommunicationConfig(vocab_size=3)),
    learner=A2C(sequence_length=3, intrinsic=(MessageInfluence(weight=2.0, warmup_steps=48.0),)),
    learning_rate=3e-2,
)
RUN = config(
    name="talk", team=(TALKERS,), arms=(Variant(),), steps=24 * 4, checkpoint_interval=2, eval_episodes=2
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(RUN, tmp_path_factory.mktemp("talk") / "whole", quiet=True)


def untimed(folder):
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in read_metrics(folder)]


def test_it_goes_on_to_the_same_numbers(whole, tmp_path):
    stopped = train(RUN, tmp_path / "run", quiet=True, stop_after=0.0)
    assert (stopped.num_updates, stopped.finished) == (1, False)
    again = resume(tmp_path / "run", quiet=True)
    assert again.finished
    jax.tree.map(np.testing.assert_array_equal, *(jax.device_get(r.state.learners) for r in (again, whole)))
    np.testing.assert_equal(untimed(tmp_path / "run"), untimed(whole.run_dir))


def test_it_learns_and_tells(whole):
    first, *_, last = untimed(whole.run_dir)
    name = "main/talker-1"
    assert first[f"{name}/intrinsic_weight/influence-messages"] == [0.0]
    assert last[f"{name}/intrinsic_weight/influence-messages"] == [2.0]
    assert first[f"{name}/message_entropy"][0] == pytest.approx(np.log(3), abs=0.01)
    assert np.isfinite(last[f"evaluation/{name}/social/return"][0])
    begun = whole.program.init().learners["talker"].params["policy"]["speech"]
    ended = whole.state.learners["talker"].params["policy"]["speech"]
    moved = jax.tree.leaves(jax.tree.map(lambda a, b: float(np.abs(a - b).max()), begun, ended))
    assert max(moved) > 1e-3


def test_its_team_is_filmed_and_its_agents_are_files(whole):
    program, learners, who = load_learners(whole.run_dir)
    assert who == "talk, main, seed 0, 96 steps"
    # Fresh agents hardly listen; these weights are large enough.
    random = np.random.default_rng(0)
    loud = jax.tree.map(lambda x: random.standard_normal(x.shape).astype(np.float32), learners["talker"].params)
    film = record_run(program, {"talker": learners["talker"]._replace(params=loud)}, note=who)
    assert film.note == who
    assert film.influence.shape == (6, 2, 2)
    assert (film.influence[:5] > 0).any()
    assert not film.influence[5].any()  # the last message is heard by nobody
    path = whole.run_dir / "agents" / "main-seed0-talker-1.safetensors"
    assert load_agent(path).policy.vocab_size == 3
    with pytest.raises(IncompatibleError, match="says one of 3 symbols a step"):
        load_actor(str(path))


def test_no_influence_to_speak_of_is_said_in_the_note(whole):
    program, learners, _ = load_learners(whole.run_dir)
    quiet = jax.tree.map(lambda x: x * 0, learners["talker"].params)
    film = record_run(program, {"talker": learners["talker"]._replace(params=quiet)})
    assert film.max_influence == 0
    assert film.note == "no influence above 1e-06 nats"
