"""The example that trains with sb3-contrib and plays in NumPy."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rookery.scorecard.agents import load_scored_agent

FOLDER = Path(__file__).parents[2] / "examples" / "sb3_agent"
SHAPES = {
    "lstm_actor.weight_ih_l0": (16, 392), "lstm_actor.weight_hh_l0": (16, 4), "lstm_actor.bias_ih_l0": (16,),
    "lstm_actor.bias_hh_l0": (16,), "mlp_extractor.policy_net.0.weight": (5, 4),
    "mlp_extractor.policy_net.0.bias": (5,), "action_net.weight": (3, 5), "action_net.bias": (3,),
}  # fmt: skip


def load():
    spec = importlib.util.spec_from_file_location("sb3_agent", FOLDER / "sb3_agent.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_its_policy_forgets_at_the_start_of_an_episode(tmp_path):
    random = np.random.default_rng(0)
    np.savez(tmp_path / "agent.npz", **{name: random.normal(size=shape) for name, shape in SHAPES.items()})
    agent = load()
    agent.WEIGHTS = tmp_path / "agent.npz"
    observations = random.integers(0, 256, (4, 7, 7, 8)).astype(np.uint8)
    action, state = agent.policy(observations[0], None, True)
    assert action in range(3)
    _, again = agent.policy(observations[1], state, True)
    _, first = agent.policy(observations[1], None, True)
    _, later = agent.policy(observations[1], state, False)
    np.testing.assert_array_equal(again[0], first[0])
    assert (later[0] != first[0]).any()
    assert len({agent.policy(observations[3], state, False)[0] for _ in range(5)}) == 1
    states, actions = state, []
    for _ in range(60):
        action, states = agent.policy(observations[2], states, True)
        actions.append(action)
    assert len(set(actions)) > 1  # samples


def test_episodes_side_by_side_draw_different_numbers(tmp_path):
    """At the same step, from the same probabilities; the same observation and state give the same action again."""
    np.savez(tmp_path / "agent.npz", **{name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()})
    agent = load()
    agent.WEIGHTS = tmp_path / "agent.npz"
    observations = np.random.default_rng(0).integers(0, 256, (40, 7, 7, 8)).astype(np.uint8)
    actions = [agent.policy(observation, None, True)[0] for observation in observations]
    assert min(actions.count(action) for action in range(3)) >= 5
    assert actions == [agent.policy(observation, None, True)[0] for observation in observations]


def test_a_card_covers_its_weights(tmp_path, monkeypatch):
    """Other weights are another agent, though the program is the same."""
    digests = []
    for scale in (1, 2):
        path = tmp_path / f"agent-{scale}.npz"
        np.savez(path, **{name: np.full(shape, scale, np.float32) for name, shape in SHAPES.items()})
        monkeypatch.setenv("SB3_AGENT", str(path))
        monkeypatch.delitem(sys.modules, "sb3_agent", raising=False)
        monkeypatch.syspath_prepend(FOLDER)
        agent = load_scored_agent("sb3_agent:policy")
        assert agent.observation_type == "symbolic"
        digests.append(agent.sha256)
    assert digests[0] != digests[1]


def test_its_network_is_that_of_torch(tmp_path):
    pytest.importorskip(
        "sb3_contrib", reason="sb3-contrib is not installed; pip install -e '.[clients]'", exc_type=ImportError
    )
    import torch

    path = tmp_path / "agent.npz"
    command = [sys.executable, str(FOLDER / "train.py"), "--steps", "128", "--num-envs", "2", "--out", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert result.returncode == 0, result.stderr[-2000:]
    agent = load()
    weights = agent.load_weights(path)
    lstm = torch.nn.LSTM(392, 64)
    lstm.load_state_dict(
        {name.removeprefix("lstm_actor."): torch.tensor(weights[name]) for name in weights if "lstm" in name}
    )
    inputs = np.random.default_rng(0).random((5, 392)).astype(np.float32)
    expected = lstm(torch.tensor(inputs))[0].detach().numpy()
    hidden = cell = np.zeros(64, np.float32)
    for x, output in zip(inputs, expected, strict=True):
        hidden, cell, logits = agent.forward(weights, x, hidden, cell)
        np.testing.assert_allclose(hidden, output, atol=1e-6)
        assert logits.shape == (3,)
