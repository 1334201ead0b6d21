"""Finding a hidden cyclic order by trying, and following it once it is known."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


class CycleBelief(NamedTuple):
    """What one agent knows of the cyclic order of K things, out of N candidates that it tells apart by number."""

    chain: Int[Array, "K"]  # rewarded things, in order; -1 where not yet known
    num_known: Int[Array, ""]  # length of the chain
    last_rewarded: Int[Array, ""]  # -1 before the first
    tried: Bool[Array, "N"]  # penalized since the last reward

    @classmethod
    def initial(cls, length: int, num_things: int) -> CycleBelief:
        return cls(
            chain=jnp.full(length, -1, jnp.int32),
            num_known=jnp.int32(0),
            last_rewarded=jnp.int32(-1),
            tried=jnp.zeros(num_things, bool),
        )

    @property
    def candidates(self) -> Bool[Array, "N"]:
        """Things worth trying now.

        Once the whole chain is known this is the successor; before, anything outside the chain that was not tried.
        """
        return self.candidates_of(self.chain.shape[0])

    def candidates_of(self, length: int | Int[Array, ""]) -> Bool[Array, "N"]:
        """`candidates` where only the first `length` things are there."""
        things = jnp.arange(self.tried.shape[0])
        index = jnp.argmax(self.chain == self.last_rewarded)
        successor = self.chain[(index + 1) % length]
        in_chain = (self.chain[:, None] == things).any(0)
        return jnp.where(self.num_known >= length, things == successor, ~in_chain & ~self.tried)

    def update(self, entered: Bool[Array, ""], thing: Int[Array, ""], rewarded: Bool[Array, ""]) -> CycleBelief:
        """After one step: whether a thing was entered, which one, and whether that was rewarded."""
        length = self.chain.shape[0]
        right, wrong = entered & rewarded, entered & ~rewarded
        is_new = right & (self.num_known < length) & ~(self.chain == thing).any()
        tried = self.tried | wrong & (jnp.arange(self.tried.shape[0]) == thing)
        return CycleBelief(
            chain=jnp.where(is_new & (jnp.arange(length) == self.num_known), thing, self.chain),
            num_known=self.num_known + is_new,
            last_rewarded=jnp.where(right, thing, self.last_rewarded),
            tried=jnp.where(right, False, tried),
        )
