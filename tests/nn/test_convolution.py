import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.nn import convolution
from rookery.nn.convolution import (
    _apply_to_both_axes,
    _col2im,
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
SIDES = sorted(
    convolution.INTERPOLATION_POINTS
)  # of the smaller picture, computed from values at points; other sizes by im2col


def cells_first(picture):
    return picture.transpose(1, 2, 0, 3).reshape(-1, len(picture), picture.shape[-1])


def pictures(cells):
    side = round(len(cells) ** 0.5)
    return cells.reshape(side, side, *cells.shape[1:]).transpose(2, 0, 1, 3)


def test_a_convolution_by_hand():
    """Ones and a kernel that is 1 at its top right: each output is the cell two columns to the right."""
    picture = jnp.arange(49.0).reshape(1, 7, 7, 1)
    kernel = jnp.zeros((9, 1)).at[2, 0].set(1)
    outputs = pictures(conv3x3(cells_first(picture), kernel))[0, :, :, 0]
    assert outputs.shape == (5, 5)
    np.testing.assert_allclose(outputs[0], [2, 3, 4, 5, 6], atol=1e-4)
    np.testing.assert_allclose(outputs[:, 0], [2, 9, 16, 23, 30], atol=1e-4)


def test_a_transposed_convolution_by_hand():
    """One cell with a 2 becomes twice the kernel, at its place."""
    picture = jnp.zeros((1, 3, 3, 1)).at[0, 1, 2, 0].set(2.0)
    outputs = pictures(conv_transpose3x3(cells_first(picture), jnp.arange(9.0)[None]))[0, :, :, 0]
    assert outputs.shape == (5, 5)
    np.testing.assert_allclose(outputs[1:4, 2:5], 2 * np.arange(9).reshape(3, 3), atol=1e-4)
    np.testing.assert_allclose(outputs.sum(), 72, atol=1e-3)


@pytest.mark.parametrize("side", [1, *SIDES, 4, 6])
@pytest.mark.parametrize("form", ["conv3x3", "conv_transpose3x3"])
def test_winograd_im2col_and_the_library_agree(form, side):
    """Results and gradients with respect to both arguments."""
    large, outputs = side + 2, 6
    x = jax.random.normal(KEY, (4, large, large, 5) if form == "conv3x3" else (4, side, side, 5))
    kernel = jax.random.normal(jax.random.PRNGKey(1), (3, 3, 5, outputs)) / 7

    def ours(x, kernel):
        if form == "conv3x3":
            return pictures(conv3x3(cells_first(x), kernel.reshape(-1, outputs)))
        return pictures(conv_transpose3x3(cells_first(x), kernel.transpose(2, 0, 1, 3).reshape(5, -1)))

    def plain(x, kernel):
        with force_im2col():
            return ours(x, kernel)

    def library(x, kernel):
        if form == "conv3x3":
            return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=LAYOUT)
        return jax.lax.conv_transpose(x, kernel[::-1, ::-1], (1, 1), "VALID", dimension_numbers=LAYOUT)

    results = []
    for function in (ours, plain, library):
        out, vjp = jax.vjp(function, x, kernel)
        results.append((out, *vjp(jnp.cos(jnp.arange(out.size)).reshape(out.shape))))
    for result in results[:2]:
        for one, reference in zip(result, results[2], strict=True):
            np.testing.assert_allclose(one, reference, atol=3e-5 * float(jnp.abs(reference).max()), rtol=0)


@pytest.mark.parametrize(("side", "bound"), [(3, 1e-6), (5, 4e-6)])
def test_rounding_errors_are_small(side, bound):
    """Root mean square error against double precision."""
    size = (side + 2) ** 2
    x = np.random.default_rng(0).normal(size=(size, 64, 32))
    kernel = np.random.default_rng(1).normal(size=(9, 32, 16))
    window = x.reshape(side + 2, side + 2, 64, 32)
    exact = sum(window[r : r + side, c : c + side] @ kernel[3 * r + c] for r in range(3) for c in range(3))
    result = conv3x3(jnp.asarray(x, jnp.float32), jnp.asarray(kernel.reshape(-1, 16), jnp.float32))
    error = np.asarray(result, np.float64).reshape(exact.shape) - exact
    assert np.sqrt((error**2).mean() / (exact**2).mean()) < bound


@pytest.mark.parametrize(("form", "side", "times"), [("conv3x3", 3, 81 / 25), ("conv_transpose3x3", 5, 225 / 49)])
def test_winograd_needs_fewer_multiplications(form, side, times):
    """The products at the points, and those that transform the kernel."""
    count, channels = 256, 64
    if form == "conv3x3":
        x, kernel = jnp.zeros(((side + 2) ** 2, count, channels)), jnp.zeros((9 * channels, channels))
    else:
        x, kernel = jnp.zeros((side**2, count, channels)), jnp.zeros((channels, 9 * channels))
    function = getattr(convolution, form)
    winograd = count_flops(lambda *a: function(*a), x, kernel)
    with force_im2col():
        plain = count_flops(lambda *a: function(*a), x, kernel)
    assert plain == 2 * side**2 * count * channels * 9 * channels
    points = (side + 2) ** 2
    assert winograd == pytest.approx(plain / times + 2 * points * 9 * channels * channels)


def test_accelerators_use_im2col(monkeypatch):
    """Accelerators may multiply with 10 bits, too few for values of polynomials."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    result = count_flops(lambda x, k: conv3x3(x, k), jnp.zeros((25, 8, 4)), jnp.zeros((36, 4)))
    assert result == 2 * 9 * 8 * 36 * 4


def test_a_matrix_along_both_axes():
    matrix = ((1.0, 0.0, 2.0), (0.0, -1.0, 0.5))
    x = jax.random.normal(KEY, (9, 2, 3))
    both = np.kron(matrix, matrix)
    np.testing.assert_allclose(_apply_to_both_axes(matrix, x), np.tensordot(both, x, 1), rtol=1e-5, atol=1e-6)
    _, vjp = jax.vjp(lambda x: _apply_to_both_axes(matrix, x), x)
    g = jax.random.normal(KEY, (4, 2, 3))
    np.testing.assert_allclose(vjp(g)[0], np.tensordot(both.T, g, 1), rtol=1e-5, atol=1e-6)


def test_pictures_must_be_square():
    with pytest.raises(AssertionError, match="12 cells are not a square"):
        conv3x3(jnp.zeros((12, 1, 1)), jnp.zeros((9, 1)))


def test_im2col_times_matrix_is_a_convolution():
    picture = jax.random.normal(KEY, (2, 6, 9, 3))  # oblong, to reveal transposed axes
    kernel = jax.random.normal(KEY, (3, 3, 3, 5))
    one = jax.lax.conv_general_dilated(picture, kernel, (1, 1), "VALID", dimension_numbers=LAYOUT)
    np.testing.assert_allclose(im2col(picture, 3) @ kernel.reshape(27, 5), one, atol=1e-4)


def test_patchify_times_matrix_is_a_convolution():
    picture = jax.random.normal(KEY, (2, 9, 9, 4))
    kernel = jax.random.normal(KEY, (3, 3, 4, 5))
    three = jax.lax.conv_general_dilated(picture, kernel, (3, 3), "VALID", dimension_numbers=LAYOUT)
    np.testing.assert_allclose(pictures(patchify(picture, 3) @ kernel.reshape(36, 5)), three, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
def test_unpatchify_is_the_inverse_of_patchify(count, rows, side, channels):
    shape = (count, rows * side, rows * side, channels)
    picture = jnp.arange(np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(unpatchify(patchify(picture, side), side), picture)


def test_col2im_is_the_transpose_of_im2col():
    """<im2col(x), y> = <x, _col2im(y)>, and each is the gradient of the other."""
    picture = jax.random.normal(KEY, (2, 5, 8, 3))
    columns = jax.random.normal(jax.random.PRNGKey(1), (2, 3, 6, 27))
    assert im2col(picture, 3).shape == columns.shape
    np.testing.assert_allclose(jnp.vdot(im2col(picture, 3), columns), jnp.vdot(picture, _col2im(columns, 3)), rtol=1e-4)
    _, vjp = jax.vjp(lambda x: im2col(x, 3), picture)
    np.testing.assert_allclose(vjp(columns)[0], _col2im(columns, 3), atol=1e-5)
    _, vjp = jax.vjp(lambda y: _col2im(y, 3), columns)
    np.testing.assert_allclose(vjp(picture)[0], im2col(picture, 3), atol=1e-5)
