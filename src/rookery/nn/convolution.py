"""Convolutions on small pictures, computed as matrix products.

A convolution at stride 1 is a product of polynomials. On CPUs the 3×3 convolutions of the published network are
computed from the values of these polynomials at a few points (Toom and Cook; for convolutional networks: Lavin and Gray
2016, arXiv:1509.09308): transform to the points, one matrix product per point, and transform back. That takes 81 / 25
times (for 3×3 outputs) and 225 / 49 times (for 5×5) fewer multiplications than im2col × matrix and moves as much less
memory; its rounding error is three to ten times larger (2e-6 of the result). On accelerators, which may multiply with
10 bits, and for other sizes, im2col × matrix is used: many times faster than a library convolution where that would
differentiate a transposed convolution (benchmarks/convolution.py). When every seed has weights of its own, all of these
stay matrix products, while library convolutions would become grouped convolutions.

Pictures are [P, N, C] here, cells first: P = side × side cells in row order, N pictures, C channels.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

INTERPOLATION_POINTS: dict[int, tuple[float, ...]] = {
    3: (0.5, -0.5, 1.5, -1.5, np.inf),
    5: (0.25, -0.25, 0.75, -0.75, 2.0, -2.0, np.inf),
}
"""Points at which polynomials are evaluated, by the side of the smaller picture. Of pairs of points that are exact in
binary, these have the smallest rounding error; `inf` stands for the leading coefficient."""


class WinogradTransform(NamedTuple):
    """Matrices between coefficients and values at the m + 2 points, for one axis; rows are tuples."""

    small_to_points: tuple[tuple[float, ...], ...]  # [m+2, m]: smaller picture to values
    kernel_to_points: np.ndarray  # f32[(m+2)^2, 9]: kernel to values, both axes at once
    points_to_large: tuple[tuple[float, ...], ...]  # [m+2, m+2]: values to the larger picture


@functools.cache
def winograd_transform(side: int) -> WinogradTransform:
    """The matrices for a smaller picture of side×side cells and a 3×3 kernel."""
    points = np.array(INTERPOLATION_POINTS[side])

    def powers(count: int) -> np.ndarray:
        finite = np.isfinite(points)[:, None]
        exponent = np.arange(count)
        return np.where(finite, np.where(finite, points[:, None], 0.0) ** exponent, exponent == count - 1)

    small, kernel, large = powers(side), powers(3), np.linalg.inv(powers(side + 2))
    # Scaled so that values have the same magnitude at every point, and scaled back on the way to coefficients.
    small_scale, kernel_scale = abs(small).max(1), abs(kernel).max(1)
    small, kernel = small / small_scale[:, None], kernel / kernel_scale[:, None]
    large = large * small_scale * kernel_scale
    return WinogradTransform(_rows(small), np.kron(kernel, kernel).astype(np.float32), _rows(large))


def _rows(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(x) for x in row) for row in matrix)


def _transposed(matrix: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    return tuple(zip(*matrix, strict=True))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _apply_to_both_axes(matrix: tuple[tuple[float, ...], ...], x: Float[Array, "P N C"]) -> Float[Array, "Q N C"]:
    """Multiply rows and columns by one small matrix [q, p]: P = p², Q = q².

    Written as sums, of which XLA makes one pass each: faster than a matrix product with so few rows.
    """
    rows, columns = len(matrix), len(matrix[0])
    _, count, channels = x.shape

    def multiply(x):  # [p, ...] to [q, ...]
        return jnp.stack([sum(weight * x[i] for i, weight in enumerate(row) if weight) for row in matrix])  # type: ignore[arg-type]

    x = multiply(x.reshape(columns, columns, count, channels))
    x = jnp.moveaxis(multiply(jnp.moveaxis(x, 1, 0)), 0, 1)
    return x.reshape(rows * rows, count, channels)


# Linear, so its gradient is its transpose; automatic differentiation would add up one scattered row at a time.
_apply_to_both_axes.defvjp(
    lambda matrix, x: (_apply_to_both_axes(matrix, x), None),
    lambda matrix, _, g: (_apply_to_both_axes(_transposed(matrix), g),),
)


def conv3x3(x: Float[Array, "P N C"], kernel: Float[Array, "K F"]) -> Float[Array, "Q N F"]:
    """3×3 convolution of square pictures at stride 1 without padding.

    P = p² cells become Q = (p - 2)². K = 9·C, in (row, column, channel) order.
    """
    cells, count, channels = x.shape
    side, outputs = _side(cells) - 2, kernel.shape[-1]
    if not _use_winograd(side):
        picture = x.transpose(1, 0, 2).reshape(count, side + 2, side + 2, channels)
        return (jnp.asarray(im2col(picture, 3)) @ kernel).reshape(count, side * side, outputs).transpose(1, 0, 2)
    transform = winograd_transform(side)
    kernel_values = (transform.kernel_to_points @ kernel.reshape(9, -1)).reshape(cells, channels, outputs)
    # The transpose of `conv_transpose3x3` along cells: a correlation is the transpose of a product of polynomials.
    products = jnp.matmul(_apply_to_both_axes(_transposed(transform.points_to_large), x), kernel_values)
    return _apply_to_both_axes(_transposed(transform.small_to_points), products)


def conv_transpose3x3(x: Float[Array, "Q N C"], kernel: Float[Array, "C K"]) -> Float[Array, "P N F"]:
    """3×3 transposed convolution of square pictures at stride 1: each cell becomes a block, blocks are added up.

    Q = q² cells become P = (q + 2)². K = 9·F, in (row, column, channel) order.
    """
    cells, count, channels = x.shape
    side, outputs = _side(cells), kernel.shape[-1] // 9
    if not _use_winograd(side):
        # One product of the cells themselves: im2col of a zero-padded picture would double the arithmetic.
        columns = (x.transpose(1, 0, 2) @ kernel).reshape(count, side, side, 9 * outputs)
        return jnp.asarray(_col2im(columns, 3)).reshape(count, -1, outputs).transpose(1, 0, 2)
    transform = winograd_transform(side)
    by_cell = kernel.reshape(channels, 9, outputs).transpose(1, 0, 2)
    kernel_values = (transform.kernel_to_points @ by_cell.reshape(9, -1)).reshape(-1, channels, outputs)
    products = jnp.matmul(_apply_to_both_axes(transform.small_to_points, x), kernel_values)
    return _apply_to_both_axes(transform.points_to_large, products)


def _side(cells: int) -> int:
    side = round(cells**0.5)
    assert side * side == cells, f"{cells} cells are not a square"
    return side


_im2col_only = contextvars.ContextVar("im2col_only", default=False)


@contextlib.contextmanager
def force_im2col() -> Iterator[None]:
    """Everything traced inside uses im2col × matrix: as a reference, and to count operations."""
    token = _im2col_only.set(True)
    try:
        yield
    finally:
        _im2col_only.reset(token)


def _use_winograd(side: int) -> bool:
    return side in INTERPOLATION_POINTS and jax.default_backend() == "cpu" and not _im2col_only.get()


def im2col(picture: Float[Array, "N H W C"], side: int) -> Float[Array, "N h w P"]:
    """All side×side patches at stride 1, flattened in (row, col, channel) order. h = H - side + 1, w likewise.

    One gather, with its transpose as its gradient: several times faster on a CPU than concatenated slices.
    """
    return _im2col(picture, side)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _im2col(picture: Float[Array, "N H W C"], side: int) -> Float[Array, "N h w P"]:
    count, height, width, channels = picture.shape
    out_height, out_width = height - side + 1, width - side + 1
    corner = np.arange(out_height)[:, None] * width + np.arange(out_width)
    offset = np.arange(side)[:, None] * width + np.arange(side)
    cells = corner[:, :, None] + offset.reshape(-1)
    columns = picture.reshape(count, height * width, channels)[:, cells]
    return columns.reshape(count, out_height, out_width, side * side * channels)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _col2im(columns: Float[Array, "N h w P"], side: int) -> Float[Array, "N H W C"]:
    """Add up overlapping side×side patches at stride 1: the transpose of `_im2col`."""
    count, height, width, _ = columns.shape
    columns = columns.reshape(count, height, width, side, side, -1)
    picture = jnp.zeros((count, height + side - 1, width + side - 1, columns.shape[-1]))
    for row in range(side):
        for column in range(side):
            picture = picture.at[:, row : row + height, column : column + width].add(columns[:, :, :, row, column])
    return picture


# Each is the gradient of the other: both are linear, and transposes of each other.
_im2col.defvjp(lambda x, side: (_im2col(x, side), None), lambda side, _, g: (_col2im(g, side),))
_col2im.defvjp(lambda x, side: (_col2im(x, side), None), lambda side, _, g: (_im2col(g, side),))


def patchify(picture: Array, side: int) -> Array:
    """Split square pictures [N, H, W, C] into side×side patches, each flattened: [P, N, side·side·C], patches first."""
    count, height, _, channels = picture.shape
    rows = height // side
    split = picture.reshape(count, rows, side, rows, side, channels)
    return split.transpose(1, 3, 0, 2, 4, 5).reshape(rows * rows, count, side * side * channels)


def unpatchify(patches: Array, side: int) -> Array:
    """The inverse of `patchify`."""
    number, count, _ = patches.shape
    rows = _side(number)
    split = patches.reshape(rows, rows, count, side, side, -1)
    return split.transpose(2, 0, 3, 1, 4, 5).reshape(count, rows * side, rows * side, -1)
