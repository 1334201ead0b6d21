"""An agent that acts at random."""

import dataclasses

import jax


@dataclasses.dataclass(frozen=True)
class RandomPolicy:
    """Every action with the same chance; sees nothing."""

    num_actions: int

    privileged = False

    def init(self, key):
        return ()

    def initial_carry(self, batch: int):
        return ()

    def act(self, params, carry, obs, is_first, key):
        return jax.random.randint(key, is_first.shape, 0, self.num_actions), carry, {}
