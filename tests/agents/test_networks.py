import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from rookery.agents.communication import CommunicationConfig
from rookery.agents.networks import MLPNetwork, NdousseDecoder, NdousseEncoder, NdousseNetwork
from rookery.agents.recurrent import RecurrentPolicy, count_parameters
from rookery.errors import ConfigError
from rookery.nn.cells import LSTM, LSTMState
from rookery.nn.modules import LinearHeads

KEY = jax.random.PRNGKey(0)
LAYOUT = ("NHWC", "HWIO", "NHWC")


def randomized(params, seed=1):
    """Parameters with every entry random, so that no bias is zero."""
    leaves, shape = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.PRNGKey(seed), len(leaves))
    return jax.tree.unflatten(shape, [0.2 * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves, strict=True)])


def test_the_published_network_has_exactly_its_parameters():
    policy = RecurrentPolicy(NdousseNetwork(), (21, 21, 3), 7)
    params = jax.eval_shape(policy.init, KEY)
    assert count_parameters(params) == 497_096
    decoder = NdousseNetwork().decoder((21, 21, 3), 7)
    decoding = jax.eval_shape(decoder.init, KEY, jnp.zeros((1, 192)), jnp.zeros((1, 7)))
    assert count_parameters(params) + count_parameters(decoding) == 668_555
    encoder = params["encoder"]
    assert {name: count_parameters(part) for name, part in encoder.items()} == {
        "conv1": 896, "conv2": 18_496, "conv3": 36_928, "dense": 110_784,
    }  # fmt: skip
    assert count_parameters(params["memory"]) == 296_448  # two bias vectors
    assert count_parameters(params["heads"]) == 16_577 + 16_967
    assert {name: count_parameters(part) for name, part in decoding["params"].items()} == {
        "dense": 115_200, "deconv1": 36_928, "deconv2": 18_464, "deconv3": 867,
    }  # fmt: skip


def test_the_published_network_takes_its_pictures_only():
    with pytest.raises(ConfigError, match="21×21×3, not 7×7×8"):
        RecurrentPolicy(NdousseNetwork(), (7, 7, 8), 7)


@pytest.mark.parametrize("field", ["encoder_size", "hidden_size", "head_size"])
def test_sizes_of_an_mlp_network_are_at_least_1(field):
    with pytest.raises(ConfigError, match=f"{field}=0 must be at least 1"):
        MLPNetwork(**{field: 0})


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def slow_lstm(params, state, inputs, is_first):
    """Gate by gate, agent by agent, in double precision."""
    size = len(params["hidden_kernel"])
    p = {name: np.asarray(value, np.float64) for name, value in params.items()}
    gate = {name: slice(k * size, (k + 1) * size) for k, name in enumerate("ifgo")}
    outputs, pre_step = [], []
    hidden, cell = (np.array(x, np.float64) for x in state)
    for t in range(len(inputs)):
        states = []
        for n in range(inputs.shape[1]):
            if is_first[t, n]:
                hidden[n], cell[n] = 0, 0
            states.append((hidden[n].copy(), cell[n].copy()))
            z = {
                name: inputs[t, n] @ p["input_kernel"][:, g] + p["input_bias"][g]
                + hidden[n] @ p["hidden_kernel"][:, g] + p["hidden_bias"][g]
                for name, g in gate.items()
            }  # fmt: skip
            cell[n] = sigmoid(z["f"]) * cell[n] + sigmoid(z["i"]) * np.tanh(z["g"])
            hidden[n] = sigmoid(z["o"]) * np.tanh(cell[n])
        outputs.append(hidden.copy())
        pre_step.append([np.stack(x) for x in zip(*states, strict=True)])
    return (hidden, cell), np.stack(outputs), [np.stack(x) for x in zip(*pre_step, strict=True)]


def test_the_lstm_equals_a_slow_one():
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((6, 3, 5)).astype(np.float32)
    is_first = np.zeros((6, 3), bool)
    is_first[0, 0] = is_first[3, 1] = is_first[4, 1] = True  # agent 2 continues from its state all along
    state = LSTMState(*jnp.asarray(rng.standard_normal((2, 3, 4)), jnp.float32))
    inputs, is_first = jnp.asarray(inputs), jnp.asarray(is_first)
    lstm = LSTM(4)
    params = randomized(lstm.init(KEY, state, inputs, is_first)["params"])
    last, outputs, pre_step = jax.jit(lstm.apply)({"params": params}, state, inputs, is_first)
    (hidden, cell), slow_outputs, slow_pre_step = slow_lstm(params, state, inputs, is_first)
    np.testing.assert_allclose(outputs, slow_outputs, atol=1e-5)
    np.testing.assert_allclose(last.hidden, hidden, atol=1e-5)
    np.testing.assert_allclose(last.cell, cell, atol=1e-5)
    np.testing.assert_allclose(pre_step.hidden, slow_pre_step[0], atol=1e-5)
    np.testing.assert_allclose(pre_step.cell, slow_pre_step[1], atol=1e-5)


def test_the_forget_gate_starts_open():
    params = LSTM(4).init(
        KEY, LSTMState(jnp.zeros((1, 4)), jnp.zeros((1, 4))), jnp.ones((1, 1, 2)), jnp.ones((1, 1), bool)
    )
    assert params["params"]["input_bias"].tolist() == [0] * 4 + [1] * 4 + [0] * 8
    assert not params["params"]["hidden_bias"].any()


def leaky(x):
    return jnp.where(x > 0, x, 0.01 * x)


def convolve(x, part, side, stride):
    kernel = part["kernel"].reshape(side, side, x.shape[-1], -1)
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), "VALID", dimension_numbers=LAYOUT) + part["bias"]


def by_library_encoder(p, picture):
    x = picture.astype(jnp.float32) / 255
    x = leaky(convolve(x, p["conv1"], 3, 3))
    x = leaky(convolve(x, p["conv2"], 3, 1))
    x = leaky(convolve(x, p["conv3"], 3, 1))
    return jnp.tanh(x.reshape(-1, 576) @ p["dense"]["kernel"] + p["dense"]["bias"])


def value_and_grads(function, params, *inputs):
    """A function's result, and the gradient of a weighted sum of it, with different weights."""

    def weighted_sum(params):
        out = function(params, *inputs)
        return jnp.sum(out * jnp.cos(jnp.arange(out.size)).reshape(out.shape)), out

    grads, out = jax.jit(jax.grad(weighted_sum, has_aux=True))(params)
    return out, grads


def assert_close(ours, library):
    def compare(a, b):
        np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5 * float(jnp.abs(b).max()))

    jax.tree.map(compare, ours, library)


def test_the_encoder_equals_the_library_convolutions():
    picture = jax.random.randint(KEY, (3, 21, 21, 3), 0, 256).astype(jnp.uint8)
    encoder = NdousseEncoder()
    params = randomized(encoder.init(KEY, picture)["params"])
    params["dense"]["kernel"] *= 0.02  # keeps the tanh off its flat ends
    ours = value_and_grads(lambda p, x: encoder.apply({"params": p}, x), params, picture)
    assert ours[0].shape == (3, 192)
    assert jnp.abs(ours[0]).mean() < 0.98
    assert_close(ours, value_and_grads(by_library_encoder, params, picture))


def deconvolve(x, part, stride):
    # Our matrix maps a cell to its block, (F, row, col, C); the library's kernel runs backwards.
    block = part["kernel"].reshape(x.shape[-1], 3, 3, -1)
    kernel = block.transpose(1, 2, 0, 3)[::-1, ::-1]
    return jax.lax.conv_transpose(x, kernel, (stride, stride), "VALID", dimension_numbers=LAYOUT) + part["bias"]


def by_library_decoder(p, hidden, action):
    x = jnp.tanh(jnp.concatenate([hidden, action], -1) @ p["dense"]["kernel"] + p["dense"]["bias"])
    x = x.reshape(-1, 3, 3, 64)
    x = leaky(deconvolve(x, p["deconv1"], 1))
    x = leaky(deconvolve(x, p["deconv2"], 1))
    return deconvolve(x, p["deconv3"], 3)


def test_the_decoder_equals_the_library_transposed_convolutions():
    hidden, action = jax.random.normal(KEY, (2, 192)), jax.nn.one_hot(jnp.array([1, 6]), 7)
    decoder = NdousseDecoder(7)
    params = randomized(decoder.init(KEY, hidden, action)["params"])
    ours = value_and_grads(lambda p, h, a: decoder.apply({"params": p}, h, a), params, hidden, action)
    assert ours[0].shape == (2, 21, 21, 3)
    assert_close(ours, value_and_grads(by_library_decoder, params, hidden, action))


# The policy around the network.

SHAPE = (3, 3, 8)
POLICY = RecurrentPolicy(MLPNetwork(encoder_size=8, hidden_size=8, head_size=8), SHAPE, 3)


@pytest.fixture(scope="module")
def params():
    return randomized(jax.jit(POLICY.init)(KEY))


def test_acting_step_by_step_equals_unrolling(params):
    T, N = 6, 4
    observation = jax.random.randint(KEY, (T, N, *SHAPE), 0, 256).astype(jnp.uint8)
    is_first = jnp.zeros((T, N), bool).at[0].set(True).at[3, 1].set(True)
    act = jax.jit(POLICY.act)
    carry, outputs, pre_step = POLICY.initial_carry(N), [], []
    for t in range(T):
        pre_step.append(carry)
        action, carry, extras = act(params, carry, observation[t], is_first[t], jax.random.PRNGKey(t))
        outputs.append((action, extras["log_prob"], extras["value"]))
    action, log_prob, value = (jnp.stack(x) for x in zip(*outputs, strict=True))
    logits, values, hidden, states = jax.jit(POLICY.unroll)(params, POLICY.initial_carry(N), observation, is_first)
    np.testing.assert_allclose(values, value, atol=1e-5)
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), action[..., None], -1)[..., 0]
    np.testing.assert_allclose(chosen, log_prob, atol=1e-5)
    assert hidden.shape == (T, N, 8)
    reset = jax.tree.map(lambda *x: jnp.stack(x) * ~is_first[..., None], *pre_step)
    chex.assert_trees_all_close(states, reset, atol=1e-5)


def test_an_opening_observation_resets_the_state(params):
    obs = jnp.ones((2, *SHAPE), jnp.uint8)
    full = LSTMState(jnp.ones((2, 8)), jnp.ones((2, 8)))
    act = jax.jit(POLICY.act)
    _, carry, _ = act(params, full, obs, jnp.array([True, False]), KEY)
    _, blank, _ = act(params, POLICY.initial_carry(2), obs, jnp.array([True, True]), KEY)
    np.testing.assert_allclose(carry.hidden[0], blank.hidden[0], atol=1e-7)
    assert jnp.abs(carry.hidden[1] - blank.hidden[1]).max() > 0.01


def test_actions_are_sampled_with_the_probabilities_of_the_policy(params):
    obs = jnp.ones((4000, *SHAPE), jnp.uint8)
    action, _, extras = jax.jit(POLICY.act)(params, POLICY.initial_carry(4000), obs, jnp.ones(4000, bool), KEY)
    fraction = np.bincount(action, minlength=3) / 4000
    for a in range(3):
        (log_prob,) = np.unique(np.asarray(extras["log_prob"])[np.asarray(action) == a]) if fraction[a] else (-9,)
        assert abs(np.exp(log_prob) - fraction[a]) < 0.03


def test_a_blank_state_is_two_buffers():
    carry = POLICY.initial_carry(2)
    assert carry.hidden.unsafe_buffer_pointer() != carry.cell.unsafe_buffer_pointer()


def test_the_mlp_network_takes_any_shape_and_predicts_the_same():
    network = MLPNetwork(encoder_size=8, hidden_size=8, head_size=8)
    for shape in ((4,), (3, 3, 8), (9, 6, 3)):
        decoder = network.decoder(shape, 3)
        hidden, action = jnp.zeros((2, 8)), jnp.zeros((2, 3))
        picture, _ = jax.eval_shape(lambda d=decoder, h=hidden, a=action: d.init_with_output(KEY, h, a))
        assert picture.shape == (2, *shape)
        params = jax.eval_shape(RecurrentPolicy(network, shape, 3).init, KEY)
        assert params["encoder"]["dense1"]["kernel"].shape == (np.prod(shape), 8)


class OddHeads(nn.Module):
    """Heads that add actions, or an axis to the values, or leave these out."""

    num_actions: int
    mistake: str

    @nn.compact
    def __call__(self, hidden):
        logits, value = LinearHeads(self.num_actions + (self.mistake == "actions"))(hidden)
        return logits if self.mistake == "pair" else (logits, value[..., None] if self.mistake == "axis" else value)


@dataclasses.dataclass(frozen=True, kw_only=True)
class OddNetwork(MLPNetwork):
    kind: str = "odd"
    mistake: str = "none"

    def heads(self, num_actions):
        return OddHeads(num_actions, self.mistake)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (
            "actions",
            r"^the array of logits from the heads of .* has shape \[2, 4\], must be \[2, 3\]; mend it",
        ),
        ("axis", r"^the array of values from the heads of network 'odd' has shape \[2, 1\], must be \[2\]; mend it"),
        ("pair", r"^the heads of network 'odd' must return a pair, logits and values; mend it"),
    ],
)
def test_results_of_heads_that_would_be_misread_are_refused(mistake, message):
    communication = CommunicationConfig(vocab_size=3)
    policy = RecurrentPolicy(OddNetwork(mistake=mistake), (2,), 3, communication=communication, num_agents=2)
    params, observation, is_first = jax.eval_shape(policy.init, KEY), jnp.zeros((2, 2), jnp.uint8), jnp.ones(2, bool)
    comms_obs = jnp.zeros((2, policy.comms_obs_size))
    carry = policy.initial_carry(2)
    sequence = (observation[None], is_first[None], comms_obs[None])
    for act in (
        lambda params: policy.forward(params, carry, observation, is_first, comms_obs),
        lambda params: policy.message_logits_and_value(params, carry.hidden),
        lambda params: policy.counterfactual_logits(params, carry, policy.inputs(params, *sequence[::2])[0], 0, 3),
    ):
        with pytest.raises(ConfigError, match=message):
            jax.eval_shape(act, params)
    with pytest.raises(ConfigError, match=message.replace(r"\[2", r"\[1, 2")):
        jax.eval_shape(lambda params: policy.unroll(params, carry, *sequence), params)
