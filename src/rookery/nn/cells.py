"""Recurrent cells: the memory of a policy, chosen by name in a network's configuration.

A cell's state is a NamedTuple of arrays with one row per agent; its field `hidden` is the cell's output. Letters in
shapes: T steps, N agents, F inputs, M outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from rookery.errors import ConfigError, suggest
from rookery.types import PyTree

CellState: TypeAlias = Any
"""A cell's own NamedTuple of arrays f32[N, ...]; `hidden`, f32[N, M], is its output."""

CellName: TypeAlias = Literal["lstm", "lstm-one-bias", "gru"]


def over_axes_of(x: Any, mask: Any) -> Any:
    """A mask of the leading axes of an array, with axes of size 1 for the others. JAX or numpy arrays."""
    return mask[(..., *(None,) * (x.ndim - mask.ndim))]


def reset_state(state: CellState, is_first: Bool[Array, "N"]) -> CellState:
    """The state with zeros for the agents whose observation opens an episode."""
    return jax.tree.map(lambda x: x * ~over_axes_of(x, is_first), state)


class RecurrentCell(nn.Module):
    """Base class of recurrent cells. Everything but what says "required" has a default.

    A new cell is a Flax module that reads whole sequences. The state at the start of an episode must be all zeros.
    """

    features: int
    """Size M of the output."""

    @nn.nowrap
    def initial_state(self, batch_size: int) -> CellState:
        """Required. The state of N agents before an episode: zeros, each array a buffer of its own."""
        raise NotImplementedError(f"{type(self).__name__} needs a method initial_state(batch_size)")

    def __call__(
        self, state: CellState, inputs: Float[Array, "T N F"], is_first: Bool[Array, "T N"]
    ) -> tuple[CellState, Float[Array, "T N M"], CellState]:
        """Required. Read T steps; where `is_first`, the state is reset to zeros before the step.

        Returns: the state after the last step, the output of every step, and the state before every step (after the
          reset), its arrays leading with T.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method __call__(state, inputs, is_first)")

    @nn.nowrap
    def counterfactual_outputs(
        self,
        params: PyTree,
        pre_step_state: CellState,
        inputs: Float[Array, "N F"],
        onehot_start: int,
        num_values: int,
        readout: Callable[[jax.Array], Any],
    ) -> Any:
        """What `readout` would return after one step, for each of the K values of a one-hot part of the input.

        Args:
          params: parameters of this cell.
          pre_step_state: state before the step, already reset where an episode begins.
          inputs: the inputs as they were.
          onehot_start: index in F of the first entry of the one-hot part.
          num_values: K, the length of the one-hot part.
          readout: from the output f32[N, M] to arrays of a fixed shape.
        Returns: as `readout`, with a leading axis of K.
        """
        is_first = jnp.zeros((1, len(inputs)), bool)

        def output_for(one_hot):
            changed = inputs.at[:, onehot_start : onehot_start + num_values].set(one_hot)
            return readout(self.apply({"params": params}, pre_step_state, changed[None], is_first)[0].hidden)  # type: ignore[union-attr]

        return jax.lax.map(output_for, jnp.eye(num_values, dtype=inputs.dtype))

    @nn.nowrap
    def numpy_step(self, params: PyTree, state: CellState, inputs: np.ndarray) -> CellState:
        """One step in numpy: parameters, state and inputs f32[N, F] to the next state.

        Default: runs the JAX function and converts the result.
        """
        is_first = np.zeros((1, len(inputs)), bool)
        after = self.apply({"params": params}, state, inputs[None], is_first)[0]
        return jax.tree.map(np.asarray, after)


class LSTMState(NamedTuple):
    """State of an LSTM; JAX or numpy arrays."""

    hidden: Any  # f32[N, M]
    cell: Any  # f32[N, M]


class LSTM(RecurrentCell):
    """Long short-term memory with one bias vector or two (as in PyTorch); the forget gate starts open.

    Gates are in the order i, f, g, o: input gate, forget gate, candidate, output gate.
    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000. Two bias vectors are what the
    parameter count of Ndousse et al. 2021 needs.
    """

    num_biases: int = 2

    @nn.nowrap
    def initial_state(self, batch_size: int) -> LSTMState:
        # Two arrays, not one twice: a compiled program may reuse the memory of each of its arguments.
        size = (batch_size, self.features)
        return LSTMState(jnp.zeros(size), jnp.zeros(size))

    @nn.compact
    def __call__(
        self, state: LSTMState, inputs: Float[Array, "T N F"], is_first: Bool[Array, "T N"]
    ) -> tuple[LSTMState, Float[Array, "T N M"], LSTMState]:
        size = self.features
        orthogonal, zeros = nn.initializers.orthogonal(), nn.initializers.zeros_init()
        input_kernel = self.param("input_kernel", orthogonal, (inputs.shape[-1], 4 * size))
        hidden_kernel = self.param("hidden_kernel", orthogonal, (size, 4 * size))
        input_bias = self.param("input_bias", _init_forget_gate_open, (4 * size,))
        bias = input_bias
        if self.num_biases == 2:
            bias = input_bias + self.param("hidden_bias", zeros, (4 * size,))
        projected = inputs @ input_kernel + bias

        def step(state, scanned):
            gates, is_first = scanned
            keep = ~is_first[:, None]
            pre_step = LSTMState(state.hidden * keep, state.cell * keep)
            after = _lstm_step(gates + pre_step.hidden @ hidden_kernel, pre_step.cell)
            return after, (after.hidden, pre_step)

        last, (outputs, pre_step_states) = jax.lax.scan(step, state, (projected, is_first))
        return last, outputs, pre_step_states

    @nn.nowrap
    def counterfactual_outputs(
        self,
        params: PyTree,
        pre_step_state: LSTMState,
        inputs: Float[Array, "N F"],
        onehot_start: int,
        num_values: int,
        readout: Callable[[jax.Array], Any],
    ) -> Any:
        # What does not change is computed once: a one-hot input only selects a row of the kernel.
        kernel = params["input_kernel"]
        rest = inputs.at[:, onehot_start : onehot_start + num_values].set(0.0)
        gates = rest @ kernel + params["input_bias"] + params.get("hidden_bias", 0.0)
        gates = gates + pre_step_state.hidden @ params["hidden_kernel"]
        # One value after another: all at once would hold K times the gates of every step.
        return jax.lax.map(
            lambda row: readout(_lstm_step(gates + row, pre_step_state.cell).hidden),
            kernel[onehot_start : onehot_start + num_values],
        )

    @nn.nowrap
    def numpy_step(self, params: PyTree, state: LSTMState, inputs: np.ndarray) -> LSTMState:
        gates = inputs @ params["input_kernel"] + (params["input_bias"] + params.get("hidden_bias", np.float32(0)))
        i, f, g, o = np.split(gates + state.hidden @ params["hidden_kernel"], 4, -1)
        cell = _numpy_sigmoid(f) * state.cell + _numpy_sigmoid(i) * np.tanh(g)
        return LSTMState(_numpy_sigmoid(o) * np.tanh(cell), cell)


def _lstm_step(gates: Float[Array, "N G"], prev_cell: Float[Array, "N M"]) -> LSTMState:
    """The state after a step; G = 4M."""
    i, f, g, o = jnp.split(gates, 4, -1)
    cell = nn.sigmoid(f) * prev_cell + nn.sigmoid(i) * jnp.tanh(g)
    return LSTMState(nn.sigmoid(o) * jnp.tanh(cell), cell)


def _init_forget_gate_open(key, shape, dtype=jnp.float32):
    """Zero biases, but ones for the forget gate."""
    size = shape[0] // 4
    return jnp.zeros(shape, dtype).at[size : 2 * size].set(1.0)


class GRUState(NamedTuple):
    """State of a GRU; a JAX or numpy array."""

    hidden: Any  # f32[N, M]


class GRU(RecurrentCell):
    """Gated recurrent unit with two bias vectors, its reset gate applied after the matrix product, as in PyTorch.

    Gates are in the order r, z, n: reset gate, update gate, candidate.
    Source: Cho et al. 2014, arXiv:1406.1078.
    """

    @nn.nowrap
    def initial_state(self, batch_size: int) -> GRUState:
        return GRUState(jnp.zeros((batch_size, self.features)))

    @nn.compact
    def __call__(
        self, state: GRUState, inputs: Float[Array, "T N F"], is_first: Bool[Array, "T N"]
    ) -> tuple[GRUState, Float[Array, "T N M"], GRUState]:
        size = self.features
        orthogonal, zeros = nn.initializers.orthogonal(), nn.initializers.zeros_init()
        input_kernel = self.param("input_kernel", orthogonal, (inputs.shape[-1], 3 * size))
        hidden_kernel = self.param("hidden_kernel", orthogonal, (size, 3 * size))
        input_bias = self.param("input_bias", zeros, (3 * size,))
        hidden_bias = self.param("hidden_bias", zeros, (3 * size,))
        projected = inputs @ input_kernel + input_bias

        def step(state, scanned):
            input_gates, is_first = scanned
            pre_step = GRUState(state.hidden * ~is_first[:, None])
            after = _gru_step(input_gates, pre_step.hidden @ hidden_kernel + hidden_bias, pre_step.hidden)
            return after, (after.hidden, pre_step)

        last, (outputs, pre_step_states) = jax.lax.scan(step, state, (projected, is_first))
        return last, outputs, pre_step_states

    @nn.nowrap
    def counterfactual_outputs(
        self,
        params: PyTree,
        pre_step_state: GRUState,
        inputs: Float[Array, "N F"],
        onehot_start: int,
        num_values: int,
        readout: Callable[[jax.Array], Any],
    ) -> Any:
        # As for the LSTM: a one-hot input only selects a row of the kernel.
        kernel, hidden = params["input_kernel"], pre_step_state.hidden
        rest = inputs.at[:, onehot_start : onehot_start + num_values].set(0.0)
        input_gates = rest @ kernel + params["input_bias"]
        hidden_gates = hidden @ params["hidden_kernel"] + params["hidden_bias"]
        return jax.lax.map(
            lambda row: readout(_gru_step(input_gates + row, hidden_gates, hidden).hidden),
            kernel[onehot_start : onehot_start + num_values],
        )

    @nn.nowrap
    def numpy_step(self, params: PyTree, state: GRUState, inputs: np.ndarray) -> GRUState:
        input_r, input_z, input_n = np.split(inputs @ params["input_kernel"] + params["input_bias"], 3, -1)
        hidden_gates = state.hidden @ params["hidden_kernel"] + params["hidden_bias"]
        hidden_r, hidden_z, hidden_n = np.split(hidden_gates, 3, -1)
        r, z = _numpy_sigmoid(input_r + hidden_r), _numpy_sigmoid(input_z + hidden_z)
        n = np.tanh(input_n + r * hidden_n)
        return GRUState((1 - z) * n + z * state.hidden)


def _gru_step(
    input_gates: Float[Array, "N G"], hidden_gates: Float[Array, "N G"], prev_hidden: Float[Array, "N M"]
) -> GRUState:
    """The state after a step; G = 3M."""
    input_r, input_z, input_n = jnp.split(input_gates, 3, -1)
    hidden_r, hidden_z, hidden_n = jnp.split(hidden_gates, 3, -1)
    r, z = nn.sigmoid(input_r + hidden_r), nn.sigmoid(input_z + hidden_z)
    n = jnp.tanh(input_n + r * hidden_n)
    return GRUState((1 - z) * n + z * prev_hidden)


def _numpy_sigmoid(x: np.ndarray) -> np.ndarray:
    return np.float32(0.5) * (np.tanh(np.float32(0.5) * x) + 1)  # never overflows


_CELLS: dict[str, Callable[[int], RecurrentCell]] = {
    "lstm": lambda features: LSTM(features),
    "lstm-one-bias": lambda features: LSTM(features, num_biases=1),
    "gru": lambda features: GRU(features),
}


def make_cell(name: CellName, features: int) -> RecurrentCell:
    """A cell by name, with an output of size `features`. Raises ConfigError for an unknown name."""
    if name not in _CELLS:
        raise ConfigError(f"there is no recurrent cell {name!r}; {suggest(name, _CELLS)}")
    return _CELLS[name](features)
