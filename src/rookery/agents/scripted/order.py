"""Finding a hidden cyclic order by trying, and then knowing it."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int


class Order(NamedTuple):
    """What one agent knows of the order of K things among N that it tells apart by number."""

    chain: Int[Array, "K"]  # things paid for, in order; -1 where not yet known
    known: Int[Array, ""]  # length of the chain
    last: Int[Array, ""]  # last credited, -1 before the first
    tried: Bool[Array, "N"]  # punished since the last credit

    @classmethod
    def unknown(cls, length: int, things: int) -> Order:
        return cls(
            chain=jnp.full(length, -1, jnp.int32),
            known=jnp.int32(0),
            last=jnp.int32(-1),
            tried=jnp.zeros(things, bool),
        )

    @property
    def may_be_next(self) -> Bool[Array, "N"]:
        """Things worth trying now.

        With the chain closed that is the successor; while it is open, any thing outside it that was not tried.
        """
        things = jnp.arange(self.tried.shape[0])
        place = jnp.argmax(self.chain == self.last)
        successor = self.chain[(place + 1) % self.chain.shape[0]]
        in_chain = (self.chain[:, None] == things).any(0)
        return jnp.where(self.known >= self.chain.shape[0], things == successor, ~in_chain & ~self.tried)

    def learn(self, entered: Bool[Array, ""], thing: Int[Array, ""], paid: Bool[Array, ""]) -> Order:
        """After one step: whether a thing was entered, which, and whether that was paid."""
        length = self.chain.shape[0]
        right, wrong = entered & paid, entered & ~paid
        is_new = right & (self.known < length) & ~(self.chain == thing).any()
        struck = self.tried | wrong & (jnp.arange(self.tried.shape[0]) == thing)
        return Order(
            chain=jnp.where(is_new & (jnp.arange(length) == self.known), thing, self.chain),
            known=self.known + is_new,
            last=jnp.where(right, thing, self.last),
            tried=jnp.where(right, False, struck),
        )
