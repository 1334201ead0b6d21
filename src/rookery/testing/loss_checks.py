"""What the checks of auxiliary losses and of intrinsic rewards' losses share: minibatches, masks, and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from rookery.agents.recurrent import RecurrentPolicy
from rookery.interfaces import AuxiliaryLoss, IntrinsicReward, LossInputs
from rookery.learning import actor_critic
from rookery.learning.actor_critic import ActorCritic
from rookery.testing.conformance import require, require_close
from rookery.testing.sample_episodes import with_absent_actions, with_other_absent_positions, with_other_masked_steps
from rookery.types import PyTree, Sequences, Trajectory

MakeMinibatch: TypeAlias = Callable[..., LossInputs]
"""From a trajectory and, optionally, numbers of its sequences to a minibatch."""
Measure: TypeAlias = Callable[[LossInputs], dict[str, jax.Array]]
"""From a minibatch to `loss_mask` and `loss`, which is 0 where the mask is False."""

UNCOUNTED = "steps that do not count (`loss_mask` False) hold arbitrary numbers, and must not change"
"""What a message about them begins with; what changed follows."""
ABSENT = (
    "`others.relative_position` of an absent agent is arbitrary (add 'agent_mask' to `required_info`, and leave out "
    "agents for which `others.agent_mask` is False), and must not change"
)
"""The same for agents that are absent."""

_LOSS_KEY, _OTHER_KEY = jax.random.split(jax.random.PRNGKey(6))
_STATES = ("carry", "intrinsic_carry")
"""Fields of `Sequences` that lead with the sequences; time leads all others."""


def minibatch_maker(learner: ActorCritic, policy: RecurrentPolicy, params: PyTree) -> MakeMinibatch:
    """A function that makes minibatches of the sequences of a trajectory: of all, or of those with some numbers."""

    @jax.jit
    def read(params: PyTree, trajectory: Trajectory, indices: Int[Array, "N"]) -> tuple[Sequences, jax.Array]:
        recomputed = actor_critic.recompute(learner, policy, params, trajectory)
        batch = actor_critic.take_sequences(learner, trajectory, recomputed, indices)
        return batch, unroll(policy, params["policy"], batch)

    def make(trajectory: Trajectory, indices: Int[Array, "N"] | None = None) -> LossInputs:
        if indices is None:
            indices = jnp.arange(actor_critic.num_sequences(learner, trajectory))
        batch, hidden = read(params, trajectory, indices)
        return LossInputs(policy, params["policy"], batch, hidden, _LOSS_KEY)

    return make


def unroll(policy: RecurrentPolicy, policy_params: PyTree, batch: Sequences) -> jax.Array:
    """Outputs of the policy's recurrent cell for the steps of a minibatch, f32[L, N, M]."""
    comms = () if batch.comms_obs is None else (batch.comms_obs,)
    return policy.unroll(policy_params, batch.carry, batch.observation[:-1], batch.is_first[:-1], *comms)[2]


def measure_by(part: AuxiliaryLoss | IntrinsicReward, loss: Callable[[LossInputs], jax.Array]) -> Measure:
    """`loss_mask` of a loss or reward, and this function where it is True; compiled once for a size of minibatches."""

    def compute(policy: RecurrentPolicy, *arrays: Any) -> dict[str, jax.Array]:
        inputs = LossInputs(policy, *arrays)
        mask: Any = part.loss_mask(inputs.batch)
        return {"loss_mask": mask, "loss": jnp.where(mask, loss(inputs), 0.0)}

    compiled = jax.jit(compute, static_argnums=0)
    return lambda inputs: compiled(*inputs)


def check_mask(mask: Any, inputs: LossInputs, method: str) -> None:
    """The mask is boolean, leads with steps and sequences, and is True somewhere."""
    size = inputs.batch.loss_mask.shape
    require(
        jnp.shape(mask)[:2] == size and jnp.asarray(mask).dtype == bool,
        method,
        f"must return bool[{size[0]}, {size[1]}] (steps, sequences) or with further axes; it is "
        f"{jnp.asarray(mask).dtype}{list(jnp.shape(mask))}",
    )
    require(jnp.any(mask), method, "is False everywhere for a minibatch in which nearly all steps count")


def check_values(values: Any, mask: Any, method: str) -> None:
    """There is one finite number for each entry of the mask."""
    require(
        jnp.shape(values) == jnp.shape(mask),
        method,
        f"must return one number for each entry of the mask, {list(jnp.shape(mask))}; it is {list(jnp.shape(values))}",
    )
    require(jnp.issubdtype(values.dtype, jnp.floating), method, f"must return floats, not {values.dtype}")
    require(jnp.isfinite(values).all(), method, "is not finite everywhere, which it must be even outside the mask")


def check_masked_steps(measure: Measure, make: MakeMinibatch, trajectory: Trajectory, name: str) -> None:
    """What a loss says where its mask is True does not depend on steps that do not count, nor on absent agents."""
    inputs = make(trajectory)
    for what, other in arbitrary_variations(trajectory, inputs.policy).items():
        varied = measure(make(other))
        for method, numbers in measure(inputs).items():
            require_close(
                numbers, varied[method], f"{name}.{method}", f"{what} its numbers for the steps that do count"
            )


def arbitrary_variations(trajectory: Trajectory, policy: RecurrentPolicy) -> dict[str, Trajectory]:
    """Episodes of which the same must come, because they differ in arbitrary numbers only.

    Returns: by what a message about them begins with; what changed follows.
    """
    absent = with_other_absent_positions(trajectory, policy)
    return {UNCOUNTED: with_other_masked_steps(trajectory, policy), **({} if absent is None else {ABSENT: absent})}


def check_parts(
    part: AuxiliaryLoss | IntrinsicReward, measure: Measure, make: MakeMinibatch, trajectory: Trajectory, name: str
) -> None:
    """What a loss says of some sequences does not depend on the others of the minibatch, if it may be read in parts.

    Nor does it depend on their order or number; this is not checked of a loss that samples, since what it samples does.
    """
    if not part.splits_minibatch:
        return

    def compare(first: dict[str, jax.Array], second: dict[str, jax.Array]) -> None:
        for method, numbers in first.items():
            require_close(
                numbers,
                second[method],
                f"{name}.{method}",
                "depends on the other sequences of the minibatch, which is read in parts on a CPU; set "
                "`splits_minibatch = False`, and it gets the whole",
            )

    inputs = make(trajectory)
    count = inputs.batch.action.shape[1]
    order, half, whole = jnp.arange(count), count // 2, measure(inputs)
    repeated = measure(make(trajectory, order % half))
    compare(_sequences_of(whole, slice(half)), _sequences_of(repeated, slice(half)))
    if not np.array_equal(whole["loss"], measure(inputs._replace(key=_OTHER_KEY))["loss"]):
        return
    compare(whole, _sequences_of(measure(make(trajectory, order[::-1])), slice(None, None, -1)))
    compare(_sequences_of(whole, slice(half)), measure(_first_sequences(inputs, half)))


def _sequences_of(numbers: dict[str, jax.Array], chosen: slice) -> dict[str, jax.Array]:
    return {method: x[:, chosen] for method, x in numbers.items()}


def _first_sequences(inputs: LossInputs, count: int) -> LossInputs:
    """A minibatch of the first sequences of another."""
    batch = inputs.batch
    states = {
        name: jax.tree.map(lambda x: x[:count], value) for name, value in batch._asdict().items() if name in _STATES
    }
    rest = batch._replace(**dict.fromkeys(_STATES))
    first = jax.tree.map(lambda x: x[:, :count], rest)._replace(**states)
    return inputs._replace(batch=first, hidden=inputs.hidden[:, :count])


def check_absent_actions(
    measure: Callable[[Trajectory], jax.Array], trajectory: Trajectory, num_actions: int, method: str
) -> None:
    """-1, the action of an absent agent, is not taken as an index, by which it would mean the last action.

    Args:
      measure: what depends on the actions, 0 where it does not count.
    """
    if trajectory.others is None or trajectory.others.action is None:
        return

    def differs(action: int) -> bool:
        """From what is measured for -1, if absent agents do this action in its place."""
        return not np.array_equal(measure(with_absent_actions(trajectory, action)), expected)

    expected = measure(trajectory)
    # An index that is as much below 0 as there are actions, and one more, means none of them.
    is_index = not differs(num_actions - 1) and differs(0) and differs(-num_actions - 1)
    require(
        not is_index,
        method,
        "takes -1, the action of an absent agent in `others.action`, as the last action, which it means as an index; "
        "leave out absent agents, those with an action below 0",
    )


def check_gradient(loss: Any, params: PyTree, inputs: LossInputs, mask: Any, method: str) -> tuple[PyTree, PyTree]:
    """Returns the gradients of `params` and of the policy's parameters."""

    def mean(params, policy_params):
        hidden = unroll(inputs.policy, policy_params, inputs.batch)
        values = loss(params, inputs._replace(policy_params=policy_params, hidden=hidden))
        return jnp.sum(values * mask) / mask.sum()

    grads = jax.jit(jax.grad(mean, (0, 1)))(params, inputs.policy_params)
    require(all(jnp.isfinite(g).all() for g in jax.tree.leaves(grads)), method, "has a gradient that is not finite")
    require(any_nonzero(grads), method, "has no gradient: it trains neither the policy nor parameters of its own")
    return grads


def check_own_gradient(grads: PyTree, method: str) -> None:
    """Some may be zero: those of a network that is meant to stay as it is."""
    is_trained = any_nonzero(grads) or not jax.tree.leaves(grads)
    require(is_trained, method, "no gradient reaches the parameters of its own, which `init` returned")


def any_nonzero(grads: PyTree) -> bool:
    """Whether any gradient is not 0."""
    return any(bool(jnp.any(g != 0)) for g in jax.tree.leaves(grads))
