"""The forward functions of networks in plain numpy. Parameters are those of the Flax modules of the same name."""

from __future__ import annotations

from typing import Any

import numpy as np

from rookery.nn.modules import NEGATIVE_SLOPE

PIXEL_MAX = np.float32(255)


def encode_dense(params: Any, observation: np.ndarray) -> np.ndarray:
    """`DenseEncoder`: u8[N, ...] to f32[N, F]."""
    x = observation.astype(np.float32) / PIXEL_MAX
    x = np.maximum(dense(params, "dense1", x.reshape(len(x), -1)), 0)
    return np.maximum(dense(params, "dense2", x), 0)


def encode_ndousse(params: Any, observation: np.ndarray) -> np.ndarray:
    """`NdousseEncoder`: u8[N, 21, 21, 3] to f32[N, 192]."""
    x = observation.astype(np.float32) / PIXEL_MAX
    x = _leaky_relu(dense(params, "conv1", numpy_im2col(x, 3, stride=3)))
    x = _leaky_relu(dense(params, "conv2", numpy_im2col(x, 3)))
    x = _leaky_relu(dense(params, "conv3", numpy_im2col(x, 3)))
    return np.tanh(dense(params, "dense", x.reshape(len(x), -1)))


def encode_jaques(params: Any, observation: np.ndarray) -> np.ndarray:
    """`JaquesEncoder`: u8[N, H, W, C] to f32[N, F]."""
    x = observation.astype(np.float32) / PIXEL_MAX
    x = np.maximum(dense(params, "conv", numpy_im2col(x, 3)), 0)
    x = np.maximum(dense(params, "dense1", x.reshape(len(x), -1)), 0)
    return np.maximum(dense(params, "dense2", x), 0)


def mlp_heads(params: Any, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`MLPHeads`: f32[N, M] to logits f32[N, A] and values f32[N]."""
    logits, value = (_mlp_head(params, name, hidden) for name in ("policy", "value"))
    return logits, value[:, 0]


def linear_heads(params: Any, hidden: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`LinearHeads`: f32[N, M] to logits f32[N, A] and values f32[N]."""
    return dense(params, "policy", hidden), dense(params, "value", hidden)[:, 0]


def dense(params: Any, name: str, x: np.ndarray) -> np.ndarray:
    """The dense layer of this name among `params`."""
    return x @ params[name]["kernel"] + params[name]["bias"]


def numpy_im2col(picture: np.ndarray, side: int, stride: int = 1) -> np.ndarray:
    """All side×side patches, flattened in (row, column, channel) order: f32[N, H, W, C] to f32[N, h, w, side²·C]."""
    windows = np.lib.stride_tricks.sliding_window_view(picture, (side, side), axis=(1, 2))[:, ::stride, ::stride]
    count, height, width = windows.shape[:3]
    return windows.transpose(0, 1, 2, 4, 5, 3).reshape(count, height, width, -1)


def _leaky_relu(x: np.ndarray) -> np.ndarray:
    return np.where(x >= 0, x, np.float32(NEGATIVE_SLOPE) * x)


def _mlp_head(params: Any, name: str, hidden: np.ndarray) -> np.ndarray:
    x = np.tanh(dense(params, f"{name}1", hidden))
    x = np.tanh(dense(params, f"{name}2", x))
    return dense(params, f"{name}3", x)
