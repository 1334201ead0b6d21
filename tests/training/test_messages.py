"""Agents that send messages, through a whole run: trained, stopped, resumed, evaluated, exported, recorded."""

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
from tests.training.test_team_influence import NETWORK, config

pytestmark = pytest.mark.usefixtures("quick_file")

SENDERS = GroupConfig(
    name="sender",
    slots=(0, 1),
    policy=RecurrentPolicyConfig(network=NETWORK, communication=CommunicationConfig(vocab_size=3)),
    learner=A2C(sequence_length=3, intrinsic=(MessageInfluence(weight=2.0, warmup_steps=48.0),)),
    learning_rate=3e-2,
)
RUN = config(
    name="messages", team=(SENDERS,), variants=(Variant(),), total_timesteps=24 * 4, checkpoint_interval=2,
    eval_episodes=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train(RUN, tmp_path_factory.mktemp("messages") / "whole", quiet=True)


def metrics_without_times(folder):
    return [{k: v for k, v in line.items() if not k.startswith("time/")} for line in read_metrics(folder)]


def test_it_resumes_to_the_same_numbers(whole, tmp_path):
    stopped = train(RUN, tmp_path / "run", quiet=True, stop_after=0.0)
    assert (stopped.num_updates, stopped.finished) == (1, False)
    again = resume(tmp_path / "run", quiet=True)
    assert again.finished
    jax.tree.map(np.testing.assert_array_equal, *(jax.device_get(r.state.learners) for r in (again, whole)))
    np.testing.assert_equal(metrics_without_times(tmp_path / "run"), metrics_without_times(whole.run_dir))


def test_it_learns_and_its_metrics_show_it(whole):
    first, *_, last = metrics_without_times(whole.run_dir)
    name = "main/sender-1"
    assert first[f"{name}/intrinsic_weight/influence-messages"] == [0.0]
    assert last[f"{name}/intrinsic_weight/influence-messages"] == [2.0]
    assert first[f"{name}/message_entropy"][0] == pytest.approx(np.log(3), abs=0.01)
    assert np.isfinite(last[f"evaluation/{name}/social/return"][0])
    initial = whole.run.init().learners["sender"].params["policy"]["message_head"]
    final = whole.state.learners["sender"].params["policy"]["message_head"]
    changes = jax.tree.leaves(jax.tree.map(lambda a, b: float(np.abs(a - b).max()), initial, final))
    assert max(changes) > 1e-3


def test_its_team_is_recorded_and_its_agents_are_files(whole):
    run, learners, description = load_learners(whole.run_dir)
    assert description == "messages, main, seed 0, 96 steps"
    # Untrained agents hardly react to messages; these weights are large enough.
    random = np.random.default_rng(0)
    loud = jax.tree.map(lambda x: random.standard_normal(x.shape).astype(np.float32), learners["sender"].params)
    recording = record_run(run, {"sender": learners["sender"]._replace(params=loud)}, note=description)
    assert recording.note == description
    assert recording.influence.shape == (6, 2, 2)
    assert (recording.influence[:5] > 0).any()
    assert not recording.influence[5].any()  # no step is left in which the last message is received
    path = whole.run_dir / "agents" / "main-seed0-sender-1.safetensors"
    assert load_agent(path).policy.vocab_size == 3
    with pytest.raises(IncompatibleError, match="sends one of 3 messages per step"):
        load_actor(str(path))


def test_the_note_says_that_there_is_no_influence(whole):
    run, learners, _ = load_learners(whole.run_dir)
    quiet = jax.tree.map(lambda x: x * 0, learners["sender"].params)
    recording = record_run(run, {"sender": learners["sender"]._replace(params=quiet)})
    assert recording.max_influence == 0
    assert recording.note == "no influence above 1e-06 nats"
