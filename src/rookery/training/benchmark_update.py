"""How fast a learner's update is, compared with a plain matrix product measured at the same time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from rookery.agents.networks import MLPNetwork, NdousseNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.backend import jax_devices
from rookery.gridworld.spec import ViewConfig
from rookery.learning import batch_sharding, ppo
from rookery.learning.auxiliary import NextFramePrediction
from rookery.nn import convolution
from rookery.tasks.checks import start_backend
from rookery.training.devices import devices_per_replica
from rookery.types import Trajectory


def count_flops(function: Callable, *arguments: Any) -> int:
    """Multiplications and additions of every matrix product in a function, those in loops as often as they run.

    Of a conditional the more expensive branch counts; of a loop without a known length, one iteration.
    """
    return _flops(jax.make_jaxpr(function)(*arguments).jaxpr)


def _flops(jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            inner = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
            total += 2 * inner * math.prod(equation.outvars[0].aval.shape)
        elif equation.primitive.name == "cond":
            total += max(_flops(branch.jaxpr) for branch in equation.params["branches"])
        else:
            times = equation.params.get("length", 1) if equation.primitive.name == "scan" else 1
            inner = [p for p in equation.params.values() if hasattr(p, "jaxpr") or hasattr(p, "eqns")]
            total += times * sum(_flops(getattr(p, "jaxpr", p)) for p in inner)
    return total


def matmul_flops(size: int = 2048, seconds: float = 2.0) -> float:
    """Operations per second of a float32 product of two size×size matrices: the best of several."""
    start_backend()
    product = jax.jit(lambda a, b: a @ b)
    a = jax.random.normal(jax.random.PRNGKey(0), (size, size))
    jax.block_until_ready(product(a, a))
    best, began = math.inf, time.perf_counter()
    while time.perf_counter() - began < seconds:
        start = time.perf_counter()
        jax.block_until_ready(product(a, a))
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def measure_update(
    network: str = "ndousse2021", seconds: float = 5.0, num_envs: int = 128, num_steps: int = 250
) -> dict[str, Any]:
    """Time whole PPO updates with the paper's settings: 20 minibatches of 512×16, recomputed every 2.

    Args:
      network: 'ndousse2021' (pixels) or 'mlp' (symbolic).
      seconds: measure at least this long, and at least one update.
    Returns: seconds per update (best), its arithmetic rate and that as a fraction of a matrix product's (convolutions
      counted as im2col, as is usual), the rate of the products it actually performs, compile seconds, and environment
      steps learned from per second (without playing them). On a CPU the devices share the update, as in a run of one
      seed.
    """
    start_backend()
    kind, view = {
        "ndousse2021": (NdousseNetwork(), ViewConfig()),
        "mlp": (MLPNetwork(), ViewConfig(observation_type="symbolic")),
    }[network]
    shape = view.shape
    policy = RecurrentPolicy(kind, shape, 7, observation_type=view.observation_type)
    # Without target_kl no minibatch is skipped, whatever the random data.
    config = ppo.PPO(auxiliary=(NextFramePrediction(),), target_kl=None, rollback_kl=None)
    learner = config.init(policy, jax.random.PRNGKey(0), steps=0)
    trajectory = _random_trajectory(shape, num_steps, num_envs)
    hparams = ppo.ScheduledHparams(jnp.float32(1e-4), jnp.float32(1e-5), jnp.float32(1.0))

    def update(learner, trajectory, key):
        return ppo.ppo_update(config, policy, learner, trajectory, hparams, key)[0]

    mesh = Mesh(np.array(jax_devices()[: devices_per_replica(jax_devices(), 1)]), (batch_sharding.SHARD_AXIS,))
    whole = PartitionSpec()
    shared = jax.shard_map(update, mesh=mesh, in_specs=whole, out_specs=whole, check_vma=False)

    arguments = (learner, trajectory, jax.random.PRNGKey(1))
    performed = count_flops(update, *arguments)
    with convolution.force_im2col():
        flops = count_flops(lambda *a: update(*a), *arguments)  # another function object, because traces are cached
    began = time.perf_counter()
    compiled = jax.jit(shared).lower(*arguments).compile()
    compile_seconds = time.perf_counter() - began
    memory = compiled.memory_analysis()
    best, began = math.inf, time.perf_counter()
    while best == math.inf or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        best = min(best, time.perf_counter() - start)
    rate = matmul_flops()
    return {
        "network": network, "num_minibatches": config.num_minibatches, "minibatch_size": config.minibatch_size,
        "sequence_length": config.sequence_length, "seconds": best, "compile_seconds": compile_seconds,
        "gflops": flops / best / 1e9, "matmul_gflops": rate / 1e9, "fraction_of_matmul": flops / best / rate,
        "performed_gflops": performed / best / 1e9,
        "steps_per_second": num_envs * num_steps / best,
        "temporary_bytes": getattr(memory, "temp_size_in_bytes", None),
    }  # fmt: skip


def _random_trajectory(shape: tuple[int, ...], steps: int, episodes: int) -> Trajectory:
    keys = jax.random.split(jax.random.PRNGKey(2), 3)
    return Trajectory(
        observation=jax.random.randint(keys[0], (steps + 1, episodes, *shape), 0, 256).astype(jnp.uint8),
        action=jax.random.randint(keys[1], (steps, episodes), 0, 7),
        reward=jax.random.normal(keys[2], (steps, episodes)),
        log_prob=jnp.full((steps, episodes), -math.log(7)),
        is_first=jnp.zeros((steps + 1, episodes), bool).at[0].set(True),
        terminated=jnp.zeros((steps, episodes), bool),
        loss_mask=jnp.ones((steps, episodes), bool),
    )
