"""The same numbers on 1, 2, 4 and 8 devices of a CPU: prints a digest for each, as JSON. A process of its own for it.

`shared`: one replica whose episodes and minibatch the devices share. `spread`: eight replicas, on 1 and 8 devices.
"""

import dataclasses
import hashlib
import json

import jax

from rookery.agents.networks import MLPNetwork
from rookery.learning import batch_sharding
from rookery.tasks.matrix_games import MatrixGame
from rookery.training.build import build
from rookery.training.config import Variant
from rookery.training.train_step import replica_schedules
from tests.tiny import NOVICE, OTHER, tiny

DEVICES = (1, 2, 4, 8)
LEARNER = dataclasses.replace(
    NOVICE.learner, num_minibatches=1, minibatch_size=8, recompute_every=None, auxiliary=()
)  # fmt: skip
GAME = MatrixGame(max_steps=8)  # quick to compile
ONE_UPDATE = {
    "task": GAME, "team": (dataclasses.replace(NOVICE, learner=LEARNER), OTHER), "variants": (Variant(),),
    "env_schedules": {}, "eval_episodes": 0,
}  # fmt: skip


def digest(tree) -> str:
    """Of every bit."""
    return hashlib.sha256(b"".join(leaf.tobytes() for leaf in jax.tree.leaves(jax.device_get(tree)))).hexdigest()


def after_an_update(num_envs: int, num_seeds: int, sharing: dict[int, int]) -> dict[int, str]:
    """Digests of state and metrics by number of devices, the keys of `sharing`; of these so many share a replica."""
    steps = num_envs * GAME.max_steps
    run = build(tiny(num_envs=num_envs, num_seeds=num_seeds, total_timesteps=steps, **ONE_UPDATE))
    start, digests = jax.device_get((run.init(), replica_schedules(run.config))), {}
    for number in sharing:
        devices = jax.devices()[:number]
        assert run._mesh(devices).devices.shape == (number // sharing[number], sharing[number])
        digests[number] = digest(run.compile_train_step(devices)(*run.place_on_devices(start, devices)))
    return digests


if __name__ == "__main__":
    MLPNetwork.cpu_chunk_size = LEARNER.sequence_length  # a minibatch of eight parts
    shared = after_an_update(8 * 16, 1, {number: number for number in DEVICES})
    assert batch_sharding.num_shards(8 * 16, 16) == batch_sharding.MAX_SHARDS
    spread = after_an_update(4, 8, dict.fromkeys((1, 8), 1))
    print(json.dumps({"shared": shared, "spread": spread}))
