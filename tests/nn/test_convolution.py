import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.nn import convolution
from rookery.nn.convolution import (
    apply_to_both_axes,
    col2im,
    conv3x3,
    conv_transpose3x3,
    force_im2col,
    im2col,
    patchify,
    unpatchify,
)
from rookery.training.benchmark_update import count_flops

KEY = jax.random.PRNGKey(0)
LAYOUT = ("NHWC", "HWIO", "NHWC")
SIDES = sorted(convolution.INTERPOLATION_POINTS)  # of the smaller picture, by values; others by patches


def cells_first(picture):
    return picture.transpose(1, 2, 0, 3).reshape(-1, len(picture), picture.shape[-1])


def pictures(cells):
    side = round(len(cells) ** 0.5)
    return cells.reshape(side, side, *cells.shape[1:]).transpose(2, 0, 1, 3)


def test_a_correlation_by_hand():
    """Ones and a kernel that is 1 at its top right: each output is the cell two columns further, same row."""
    picture = jnp.arange(49.0).reshape(1, 7, 7, 1)
    kernel = jnp.zeros((9, 1)).at[2, 0].set(1)
    outputs = pictures(conv3x3(cells_first(picture), kernel))[0, :, :, 0]
    assert outputs.shape == (5, 5)
    np.testing.assert_allclose(outputs[0], [2, 3, 4, 5, 6], atol=1e-4)
    np.testing.assert_allclose(outputs[:, 0], [2, 9, 16, 23, 30], atol=1e-4)


def test_a_spread_by_hand():
    """One cell with a 2 becomes twice the kernel, where it stands."""
    picture = jnp.zeros((1, 3, 3, 1)).at[0, 1, 2, 0].set(2.0)
    outputs = pictures(conv_transpose3x3(cells_first(picture), jnp.arange(9.0)[None]))[0, :, :, 0]
    assert outputs.shape == (5, 5)
    np.testing.assert_allclose(outputs[1:4, 2:5], 2 * np.arange(9).reshape(3, 3), atol=1e-4)
    np.testing.assert_allclose(outputs.sum(), 72, atol=1e-3)


@pytest.mark.parametrize("side", [1, *SIDES, 4, 6])
@pytest.mark.parametrize("form", ["correlate", "spread"])
def test_values_patches_and_the_library_agree(form, side):
    """Numbers and slopes to both arguments; of sizes that have no points, by patches."""
    large, outputs = side + 2, 6
    x = jax.random.normal(KEY, (4, large, large, 5) if form == "correlate" else (4, side, side, 5))
    kernel = jax.random.normal(jax.random.PRNGKey(1), (3, 3, 5, outputs)) / 7

    def ours(x, kernel):
        if form == "correlate":
            return pictures(conv3x3(cells_first(x), kernel.reshape(-1, outputs)))
        return pictures(conv_transpose3x3(cells_first(x), kernel.transpose(2, 0, 1, 3).reshape(5, -1)))

    def plain(x, kernel):
        with force_im2col():
            return ours(x, kernel)

    def library(x, kernel):
        if form == "correlate":
            return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=LAYOUT)
        return jax.lax.conv_transpose(x, kernel[::-1, ::-1], (1, 1), "VALID", dimension_numbers=LAYOUT)

    found = []
    for function in (ours, plain, library):
        out, pull = jax.vjp(function, x, kernel)
        found.append((out, *pull(jnp.cos(jnp.arange(out.size)).reshape(out.shape))))
    for other in found[:2]:
        for one, reference in zip(other, found[2], strict=True):
            np.testing.assert_allclose(one, reference, atol=3e-5 * float(jnp.abs(reference).max()), rtol=0)


@pytest.mark.parametrize(("side", "bound"), [(3, 1e-6), (5, 4e-6)])
def test_values_lose_little(side, bound):
    """Against double precision, by the root of the mean square."""
    size = (side + 2) ** 2
    x = np.random.default_rng(0).normal(size=(size, 64, 32))
    kernel = np.random.default_rng(1).normal(size=(9, 32, 16))
    window = x.reshape(side + 2, side + 2, 64, 32)
    exact = sum(window[r : r + side, c : c + side] @ kernel[3 * r + c] for r in range(3) for c in range(3))
    result = conv3x3(jnp.asarray(x, jnp.float32), jnp.asarray(kernel.reshape(-1, 16), jnp.float32))
    error = np.asarray(result, np.float64).reshape(exact.shape) - exact
    assert np.sqrt((error**2).mean() / (exact**2).mean()) < bound


@pytest.mark.parametrize(("form", "side", "times"), [("correlate", 3, 81 / 25), ("spread", 5, 225 / 49)])
def test_values_need_fewer_multiplications(form, side, times):
    """By count of the products themselves, one for each point, beside those that bring the kernel to points."""
    count, channels = 256, 64
    if form == "correlate":
        x, kernel = jnp.zeros(((side + 2) ** 2, count, channels)), jnp.zeros((9 * channels, channels))
    else:
        x, kernel = jnp.zeros((side**2, count, channels)), jnp.zeros((channels, 9 * channels))
    function = getattr(convolution, form)
    by_values = count_flops(lambda *a: function(*a), x, kernel)
    with force_im2col():
        plain = count_flops(lambda *a: function(*a), x, kernel)
    assert plain == 2 * side**2 * count * channels * 9 * channels
    points = (side + 2) ** 2
    assert by_values == pytest.approx(plain / times + 2 * points * 9 * channels * channels)


def test_without_a_cpu_nothing_goes_by_values(monkeypatch):
    """Accelerators may multiply with 10 bits, which values of polynomials do not bear."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    result = count_flops(lambda x, k: conv3x3(x, k), jnp.zeros((25, 8, 4)), jnp.zeros((36, 4)))
    assert result == 2 * 9 * 8 * 36 * 4


def test_a_matrix_along_both_axes():
    matrix = ((1.0, 0.0, 2.0), (0.0, -1.0, 0.5))
    x = jax.random.normal(KEY, (9, 2, 3))
    whole = np.kron(matrix, matrix)
    np.testing.assert_allclose(apply_to_both_axes(matrix, x), np.tensordot(whole, x, 1), rtol=1e-5, atol=1e-6)
    _, pull = jax.vjp(lambda x: apply_to_both_axes(matrix, x), x)
    g = jax.random.normal(KEY, (4, 2, 3))
    np.testing.assert_allclose(pull(g)[0], np.tensordot(whole.T, g, 1), rtol=1e-5, atol=1e-6)


def test_only_squares():
    with pytest.raises(AssertionError, match="12 cells are not a square"):
        conv3x3(jnp.zeros((12, 1, 1)), jnp.zeros((9, 1)))


def test_patches_times_matrix_is_a_convolution():
    picture = jax.random.normal(KEY, (2, 6, 9, 3))  # oblong, so that a transposed axis shows
    kernel = jax.random.normal(KEY, (3, 3, 3, 5))
    one = jax.lax.conv_general_dilated(picture, kernel, (1, 1), "VALID", dimension_numbers=LAYOUT)
    np.testing.assert_allclose(im2col(picture, 3) @ kernel.reshape(27, 5), one, atol=1e-4)


def test_blocks_times_matrix_is_a_convolution():
    picture = jax.random.normal(KEY, (2, 9, 9, 4))
    kernel = jax.random.normal(KEY, (3, 3, 4, 5))
    three = jax.lax.conv_general_dilated(picture, kernel, (3, 3), "VALID", dimension_numbers=LAYOUT)
    np.testing.assert_allclose(pictures(patchify(picture, 3) @ kernel.reshape(36, 5)), three, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_unblocks_reverses_blocks(count, tiles, side, channels):
    shape = (count, tiles * side, tiles * side, channels)
    picture = jnp.arange(np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(unpatchify(patchify(picture, side), side), picture)


def test_adding_patches_is_the_transpose_of_taking_them():
    """<patches(x), y> = <x, add_patches(y)>, and either is the other's gradient."""
    picture = jax.random.normal(KEY, (2, 5, 8, 3))
    cut = jax.random.normal(jax.random.PRNGKey(1), (2, 3, 6, 27))
    assert im2col(picture, 3).shape == cut.shape
    np.testing.assert_allclose(jnp.vdot(im2col(picture, 3), cut), jnp.vdot(picture, col2im(cut, 3)), rtol=1e-4)
    _, pull = jax.vjp(lambda x: im2col(x, 3), picture)
    np.testing.assert_allclose(pull(cut)[0], col2im(cut, 3), atol=1e-5)
    _, pull = jax.vjp(lambda y: col2im(y, 3), cut)
    np.testing.assert_allclose(pull(picture)[0], im2col(picture, 3), atol=1e-5)
