"""Convolutions of 21×21 images on this machine, forward and backward, by Winograd, im2col and the library.

    python benchmarks/convolution.py [--images 128]

Prints GFLOP per second of CPU time, which a busy machine disturbs little. For all three ways, the operations of im2col
(patches × matrix) are counted.
"""

import argparse
import time

import jax
import jax.numpy as jnp
from jax import lax

from rookery.nn.convolution import conv3x3, conv_transpose3x3, force_im2col
from rookery.training.devices import machine_info

LAYERS = {"conv 7→5": (7, 32, 64, False), "conv 5→3": (5, 64, 64, False), "deconv 3→5": (3, 64, 64, True),
          "deconv 5→7": (5, 64, 32, True)}  # fmt: skip


def library(x, kernel, transposed):
    """f32[N, H, W, C] by f32[3, 3, C, F]."""
    padding = [(2, 2), (2, 2)] if transposed else "VALID"
    return lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def winograd(x, kernel, transposed):
    """The same, with cells as the leading axis."""
    count, side, _, features = x.shape
    cells = x.transpose(1, 2, 0, 3).reshape(side * side, count, features)
    if transposed:
        return conv_transpose3x3(cells, kernel.transpose(2, 0, 1, 3).reshape(features, -1))
    return conv3x3(cells, kernel.reshape(-1, kernel.shape[-1]))


def im2col(x, kernel, transposed):
    with force_im2col():
        return winograd(x, kernel, transposed)


def gflops_per_second(function, flops, *arguments) -> float:
    """GFLOP per second of CPU time: the best of five."""
    compiled = jax.jit(function).lower(*arguments).compile()
    jax.block_until_ready(compiled(*arguments))
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        jax.block_until_ready(compiled(*arguments))
        best = min(best, time.process_time() - start)
    return flops / best / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=128, help="in one batch (default 128)")
    count = parser.parse_args().images
    print(", ".join(f"{name} {value}" for name, value in machine_info().items()))
    for name, (side, features, outputs, transposed) in LAYERS.items():
        keys = jax.random.split(jax.random.PRNGKey(0))
        x = jax.random.normal(keys[0], (count, side, side, features))
        kernel = jax.random.normal(keys[1], (3, 3, features, outputs))
        cells = side**2 if transposed else (side - 2) ** 2
        flops = 3 * 2 * count * cells * 9 * features * outputs  # forward, and backward to both arguments
        rates = {}
        for method in (winograd, im2col, library):

            def both(x, kernel, method=method, transposed=transposed):
                return jax.grad(lambda x, k: jnp.sum(method(x, k, transposed) ** 2), argnums=(0, 1))(x, kernel)

            rates[method.__name__] = gflops_per_second(both, flops, x, kernel)
        text = "   ".join(f"{method} {rate:6.1f}" for method, rate in rates.items())
        print(f"{name:12} {text} GFLOP/s   winograd / im2col {rates['winograd'] / rates['im2col']:.1f}")


if __name__ == "__main__":
    main()
