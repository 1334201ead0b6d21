"""The agent that train.py saved, as one function in plain NumPy: neither torch nor Stable-Baselines3 is imported."""

import functools
import os
import zlib
from pathlib import Path

import numpy as np

WEIGHTS = Path(os.environ.get("SB3_AGENT", Path(__file__).with_name("agent.npz")))


def policy(observation, state, is_first):
    """One step of one agent.

    Args:
      observation: u8[7, 7, 8], as the task has it.
      state: what the last call returned; None at the start.
      is_first: the observation is the first of its episode, so nothing is remembered.
    Returns: action, a sample; and the next state: hidden f32[H], cell f32[H], and the number of actions so far.
    """
    weights = load_weights(WEIGHTS)
    zeros = np.zeros(weights["lstm_actor.weight_hh_l0"].shape[1], np.float32)
    hidden, cell, step = (zeros, zeros, 0) if state is None else state
    if is_first:
        hidden, cell = zeros, zeros
    hidden, cell, logits = forward(weights, np.asarray(observation, np.float32).reshape(-1) / 255, hidden, cell)
    # The random number depends on the state and the observation alone: equal ones give equal actions, and episodes that
    # are played side by side differ.
    cumulative = np.cumsum(np.exp(logits - logits.max()))
    random = np.random.default_rng([step, zlib.crc32(np.asarray(observation, np.uint8).tobytes())]).random()
    action = int(np.searchsorted(cumulative, random * cumulative[-1]))
    return action, (hidden, cell, step + 1)


# What `rookery score` asks of a function: the view that it was trained with, and the files that its card names.
policy.observation_type, policy.files = "symbolic", (WEIGHTS,)


def forward(weights, x, hidden, cell):
    """LSTM, one layer of tanh, logits. x f32[O]; hidden and cell f32[H]; returns both, and logits f32[K]."""
    gates = weights["lstm_actor.weight_ih_l0"] @ x + weights["lstm_actor.weight_hh_l0"] @ hidden
    gates = gates + weights["lstm_actor.bias_ih_l0"] + weights["lstm_actor.bias_hh_l0"]
    i, f, g, o = np.split(gates, 4)
    cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
    hidden = sigmoid(o) * np.tanh(cell)
    features = np.tanh(
        weights["mlp_extractor.policy_net.0.weight"] @ hidden + weights["mlp_extractor.policy_net.0.bias"]
    )
    return hidden, cell, weights["action_net.weight"] @ features + weights["action_net.bias"]


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@functools.cache
def load_weights(path):
    """The arrays of the file, by the names that sb3-contrib gives them."""
    if not path.is_file():
        raise SystemExit(f"{path} does not exist; run train.py first, or name a file in SB3_AGENT")
    with np.load(path) as file:
        return dict(file)
