"""Which slots a policy fills, and whether it learns there."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from rookery.errors import ConfigError
from rookery.types import Env, Key, PyTree


@dataclasses.dataclass(frozen=True)
class Group:
    """Agents with one policy. A learning group's agents have parameters of their own each; others share theirs."""

    name: str
    slots: tuple[int, ...]
    policy: Any  # a Policy; a RecurrentPolicy where it learns
    learner: Any = None  # None: this group does not change

    @property
    def learns(self) -> bool:
        return self.learner is not None


@dataclasses.dataclass(frozen=True)
class Team:
    """Groups that fill each slot of a world exactly once."""

    groups: tuple[Group, ...]

    def check(self, env: Env) -> None:
        """Raises ConfigError where the groups do not fill the slots, or a policy does not fit what it would see."""
        filled = sorted(slot for group in self.groups for slot in group.slots)
        if filled != list(range(env.agents)):
            raise ConfigError(
                f"the team fills slots {filled}, the world has slots {list(range(env.agents))}; "
                "each slot must be filled exactly once"
            )
        names = [group.name for group in self.groups]
        if len(set(names)) != len(names):
            raise ConfigError(f"group names {names} must differ from each other")
        for group in self.groups:
            shapes = {env.observation_shape(slot) for slot in group.slots}
            if len(shapes) != 1:
                raise ConfigError(f"group {group.name!r} has slots whose views differ in shape: {sorted(shapes)}")
            taken, seen = getattr(group.policy, "observation_shape", None), shapes.pop()
            if taken is not None and tuple(taken) != tuple(seen):
                raise ConfigError(
                    f"group {group.name!r} sees {'×'.join(map(str, seen))}, "
                    f"its policy takes {'×'.join(map(str, taken))}"
                )

    @property
    def learning(self) -> tuple[Group, ...]:
        return tuple(group for group in self.groups if group.learns)

    @property
    def learning_slots(self) -> tuple[int, ...]:
        return tuple(slot for group in self.learning for slot in group.slots)


def gather_view(observation, slots: tuple[int, ...]) -> jax.Array:
    """What some agents of B worlds see: [S, B, ...]."""
    if isinstance(observation, tuple):
        return jnp.stack([observation[slot] for slot in slots])
    return jnp.stack([observation[:, slot] for slot in slots])


def act(
    group: Group, params: PyTree, carry: PyTree, observation, states, is_first: Bool[Array, "B"], key: Key
) -> tuple[jax.Array, PyTree, dict[str, jax.Array]]:
    """Let a group act in B worlds. Carry, action i32[S, B] and extras lead with the group's S slots.

    `params` leads with S where the group learns (parameters of their own), and does not where it is frozen.
    """
    keys = jax.random.split(key, len(group.slots))
    if group.policy.privileged:
        batch = is_first.shape[0]

        def privileged(carry, slot, key):
            seen = (states, jnp.full(batch, slot, jnp.int32))
            return group.policy.act(params, carry, seen, is_first, key)

        # Not vmapped: a scripted policy plans under `cond`, which vmap would run at every step.
        parts = [
            privileged(jax.tree.map(lambda x, i=i: x[i], carry), slot, keys[i]) for i, slot in enumerate(group.slots)
        ]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)
    seen = gather_view(observation, group.slots)
    over = 0 if group.learns else None
    return jax.vmap(group.policy.act, (over, 0, 0, None, 0))(params, carry, seen, is_first, keys)


def initial_carry(group: Group, batch: int) -> PyTree:
    """A blank memory for every slot of the group in B worlds: [S, B, ...]."""
    parts = [group.policy.initial_carry(batch) for _ in group.slots]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *parts)
