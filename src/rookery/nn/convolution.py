"""Convolutions of small pictures, as matrix products.

A convolution at stride 1 is a product of polynomials. On CPU those of the paper's network are worked out by their
values at points (Toom and Cook; in convolutional networks: Lavin and Gray 2016, arXiv:1509.09308): to the points, one
product of matrices each, and back. That takes 81 / 25 (3×3 outputs) and 225 / 49 (5×5) times fewer multiplications than
`patches` × matrix and moves as much less memory, at three to ten times the rounding error (2e-6 of the result). On
accelerators, which may multiply with 10 bits, and for other sizes, patches × matrix stays: many times faster than a
library where that must differentiate a transposed convolution (benchmarks/convolution.py). With weights of their own
for each seed all stay matrix products, where a library's would become grouped convolutions.

Pictures are [P, N, C] here, cells first: P = side × side cells in row order of N pictures with C channels.
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

INTERPOLATION_POINTS = {3: (0.5, -0.5, 1.5, -1.5, np.inf), 5: (0.25, -0.25, 0.75, -0.75, 2.0, -2.0, np.inf)}
"""Where the polynomials of a product are known, by the side of the smaller picture. Of points in pairs, exact in
binary, these lose least; `inf` is the leading coefficient."""


class WinogradTransform(NamedTuple):
    """Matrices between coefficients and values at the m + 2 points, for one axis; rows as tuples."""

    small_to_points: tuple[tuple[float, ...], ...]  # [m+2, m]: of the smaller picture
    kernel_to_points: np.ndarray  # f32[(m+2)^2, 9]: of the kernel, both axes at once
    points_to_large: tuple[tuple[float, ...], ...]  # [m+2, m+2]: from values back to the larger picture's coefficients


@functools.cache
def winograd_transform(side: int) -> WinogradTransform:
    """For a smaller picture of side×side cells and a kernel of 3×3."""
    points = np.array(INTERPOLATION_POINTS[side])

    def powers(count: int) -> np.ndarray:
        finite = np.isfinite(points)[:, None]
        exponent = np.arange(count)
        return np.where(finite, np.where(finite, points[:, None], 0.0) ** exponent, exponent == count - 1)

    small, kernel, large = powers(side), powers(3), np.linalg.inv(powers(side + 2))
    # Values of one size at every point: all that is scaled is scaled back on the way to coefficients.
    of_small, of_kernel = abs(small).max(1), abs(kernel).max(1)
    small, kernel = small / of_small[:, None], kernel / of_kernel[:, None]
    large = large * of_small * of_kernel
    return WinogradTransform(_rows(small), np.kron(kernel, kernel).astype(np.float32), _rows(large))


def _rows(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(x) for x in row) for row in matrix)


def _transposed(matrix: tuple[tuple[float, ...], ...]) -> tuple[tuple[float, ...], ...]:
    return tuple(zip(*matrix, strict=True))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def apply_to_both_axes(matrix: tuple[tuple[float, ...], ...], x: Float[Array, "P N C"]) -> Float[Array, "Q N C"]:
    """One small matrix [q, p] along rows and along columns: P = p², Q = q².

    Written as sums: XLA makes one pass of each, quicker than a matrix product of so few rows.
    """
    rows, columns = len(matrix), len(matrix[0])
    _, count, channels = x.shape

    def along(x):  # [p, ...] to [q, ...]
        return jnp.stack([sum(weight * x[i] for i, weight in enumerate(row) if weight) for row in matrix])  # type: ignore[arg-type]

    x = along(x.reshape(columns, columns, count, channels))
    x = jnp.moveaxis(along(jnp.moveaxis(x, 1, 0)), 0, 1)
    return x.reshape(rows * rows, count, channels)


# Linear, so its gradient is its transpose; left to itself it would be a sum of one scattered row at a time.
apply_to_both_axes.defvjp(
    lambda matrix, x: (apply_to_both_axes(matrix, x), None),
    lambda matrix, _, g: (apply_to_both_axes(_transposed(matrix), g),),
)


def conv3x3(x: Float[Array, "P N C"], kernel: Float[Array, "K F"]) -> Float[Array, "Q N F"]:
    """A layer of 3×3 at stride 1 without padding, of square pictures: q = p - 2. K = 9·C, in (row, column, channel)
    order."""
    cells, count, channels = x.shape
    side, outputs = _side(cells) - 2, kernel.shape[-1]
    if not _use_winograd(side):
        picture = x.transpose(1, 0, 2).reshape(count, side + 2, side + 2, channels)
        return (jnp.asarray(im2col(picture, 3)) @ kernel).reshape(count, side * side, outputs).transpose(1, 0, 2)
    of = winograd_transform(side)
    at_points = (of.kernel_to_points @ kernel.reshape(9, -1)).reshape(cells, channels, outputs)
    # The transpose of `spread` along cells: a correlation is the transpose of a product of polynomials.
    products = jnp.matmul(apply_to_both_axes(_transposed(of.points_to_large), x), at_points)
    return apply_to_both_axes(_transposed(of.small_to_points), products)


def conv_transpose3x3(x: Float[Array, "Q N C"], kernel: Float[Array, "C K"]) -> Float[Array, "P N F"]:
    """A transposed layer of 3×3 at stride 1, of square pictures: each cell becomes a block, blocks are added up;
    p = q + 2. K = 9·F, in (row, column, channel) order."""
    cells, count, channels = x.shape
    side, outputs = _side(cells), kernel.shape[-1] // 9
    if not _use_winograd(side):
        # One product of the cells themselves: patches of a zero-padded picture would double the arithmetic.
        cut = (x.transpose(1, 0, 2) @ kernel).reshape(count, side, side, 9 * outputs)
        return jnp.asarray(col2im(cut, 3)).reshape(count, -1, outputs).transpose(1, 0, 2)
    of = winograd_transform(side)
    by_cell = kernel.reshape(channels, 9, outputs).transpose(1, 0, 2)
    at_points = (of.kernel_to_points @ by_cell.reshape(9, -1)).reshape(-1, channels, outputs)
    return apply_to_both_axes(of.points_to_large, jnp.matmul(apply_to_both_axes(of.small_to_points, x), at_points))


def _side(cells: int) -> int:
    side = round(cells**0.5)
    assert side * side == cells, f"{cells} cells are not a square"
    return side


_im2col_only = contextvars.ContextVar("plain", default=False)


@contextlib.contextmanager
def force_im2col() -> Iterator[None]:
    """What is traced within convolves by patches × matrix everywhere: to compare with, and to count by."""
    token = _im2col_only.set(True)
    try:
        yield
    finally:
        _im2col_only.reset(token)


def _use_winograd(side: int) -> bool:
    return side in INTERPOLATION_POINTS and jax.default_backend() == "cpu" and not _im2col_only.get()


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def im2col(picture: Float[Array, "N H W C"], side: int) -> Float[Array, "N h w P"]:
    """All side×side patches at stride 1, flattened in (row, col, channel) order. h = H - side + 1, w likewise.

    One gather, and its gradient is `add_patches`: several times faster on CPU than slices joined together.
    """
    count, height, width, channels = picture.shape
    high, wide = height - side + 1, width - side + 1
    corner = np.arange(high)[:, None] * width + np.arange(wide)
    within = np.arange(side)[:, None] * width + np.arange(side)
    cells = corner[:, :, None] + within.reshape(-1)
    taken = picture.reshape(count, height * width, channels)[:, cells]
    return taken.reshape(count, high, wide, side * side * channels)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def col2im(columns: Float[Array, "N h w P"], side: int) -> Float[Array, "N H W C"]:
    """Lay side×side patches at stride 1 over each other and add them up: the transpose of `patches`."""
    count, high, wide, _ = columns.shape
    columns = columns.reshape(count, high, wide, side, side, -1)
    picture = jnp.zeros((count, high + side - 1, wide + side - 1, columns.shape[-1]))
    for r in range(side):
        for c in range(side):
            picture = picture.at[:, r : r + high, c : c + wide].add(columns[:, :, :, r, c])
    return picture


# Each is the other's gradient, for both are linear and each is the other's transpose.
im2col.defvjp(lambda x, side: (im2col(x, side), None), lambda side, _, g: (col2im(g, side),))
col2im.defvjp(lambda x, side: (col2im(x, side), None), lambda side, _, g: (im2col(g, side),))


def patchify(picture: Array, side: int) -> Array:
    """Pictures [N, H, W, C], H = W, in side×side tiles: [P, N, side·side·C], the tiles first, each flattened."""
    count, height, _, channels = picture.shape
    tiles = height // side
    cut = picture.reshape(count, tiles, side, tiles, side, channels)
    return cut.transpose(1, 3, 0, 2, 4, 5).reshape(tiles * tiles, count, side * side * channels)


def unpatchify(patches: Array, side: int) -> Array:
    """What `blocks` made of pictures, back to pictures."""
    number, count, _ = patches.shape
    tiles = _side(number)
    cut = patches.reshape(tiles, tiles, count, side, side, -1)
    return cut.transpose(2, 0, 3, 1, 4, 5).reshape(count, tiles * side, tiles * side, -1)
