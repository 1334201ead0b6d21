"""Reciprocity: a reward for repaying what others did to one's own return, good with good and bad with bad.

The value influence of agent i on agent j in a step is what i's action changed of j's return: the return that is
expected after the actions of all, minus the one expected if i's action is not known. The balance with j adds up j's
influence on the agent itself minus its own on j, with discount, over the steps before. The reward is Σ_j balance_j ×
own influence on j, divided by the number of the others: while j has been good to it, an agent gains by what is good for
j; while j has been bad, by what is bad for j. Centralized: it reads the others' actions and rewards.

Expected returns come from a model of its own, two dense layers on the policy's features without gradient into them. It
learns the discounted returns of all agents by one-step temporal differences, from all actions and again without those
of each agent in turn; nothing follows the end of an episode, be it a time limit.

Source: Zhou et al. 2024, arXiv:2406.01641 (Reciprocators): value influence and influence balance. From the published
code of Coin Game: that own influence is subtracted from the balance, and the mean over the others. There, models of
rewards and of returns are separate and trained on a buffer of past episodes; here it is one, trained with the policy.
The published code of the prisoner's dilemma differs: its balance is the other agent's influence in the last step alone,
on the reward of that step, and expected rewards come from the known payoffs.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int

from rookery.interfaces import IntrinsicReward, LossInputs
from rookery.learning.advantage_alignment import discounted_past
from rookery.learning.configs import check_range
from rookery.learning.intrinsic.influence import exclude_self
from rookery.nn.modules import apply_module
from rookery.types import PRNGKey, PyTree, Sequences, Trajectory

if TYPE_CHECKING:
    from rookery.agents.recurrent import RecurrentPolicy


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reciprocity(IntrinsicReward):
    """The balance with each other agent times the own influence on its return."""

    kind: Literal["reciprocity"] = "reciprocity"
    gamma: float = 0.99  # of the returns that are predicted, and of the balance, per step
    dense_size: int = 32
    loss_weight: float = 1.0  # of the model's squared error

    required_info: ClassVar[tuple[str, ...]] = ("action", "reward", "agent_mask")
    loss_name: ClassVar[str] = "return_model_loss"
    supports_leaving: ClassVar[bool] = False  # its model takes the step before an absence for the last of an episode

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range(self, ("gamma",), high=1.0, exclude_low=True, name=self.kind)
        check_range(self, ("dense_size",), low=1, name=self.kind)
        check_range(self, ("loss_weight",), name=self.kind)

    def init(self, key: PRNGKey, policy: RecurrentPolicy) -> PyTree:
        """Parameters of the model of returns."""
        blank = jnp.zeros((1, 1, *policy.observation_shape), jnp.uint8)
        features = jax.eval_shape(lambda key: policy.inputs(policy.init(key), blank), key)
        actions = policy.num_agents * policy.num_actions
        return self._model(policy).init(key, jnp.zeros((1, features.shape[-1] + actions)))["params"]

    def _model(self, policy: RecurrentPolicy) -> nn.Module:
        return _ReturnModel(dense_size=self.dense_size, num_agents=policy.num_agents)

    def expected_returns(
        self,
        reward_params: PyTree,
        policy: RecurrentPolicy,
        features: Float[Array, "T N F"],
        action: Int[Array, "T N A"],
    ) -> Float[Array, "V T N A"]:
        """Expected returns of all A agents: V = A + 1, from all actions, then without that of each agent in turn."""
        actions = jax.nn.one_hot(action, policy.num_actions)  # all 0 for absent agents
        known = jnp.concatenate([jnp.ones((1, policy.num_agents)), 1 - jnp.eye(policy.num_agents)])
        actions = actions * known[:, None, None, :, None]
        actions = actions.reshape(*actions.shape[:-2], -1)
        features = jnp.broadcast_to(features, (*actions.shape[:-1], features.shape[-1]))
        return apply_module(self._model(policy), reward_params, jnp.concatenate([features, actions], -1))

    def value_influence(
        self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory
    ) -> tuple[Float[Array, "T E N"], Float[Array, "T E N"]]:
        """The agent's influence on the returns of the N others, and theirs on its own."""
        others: Any = trajectory.others
        features = policy.inputs(params["policy"], trajectory.observation[:-1])
        returns = self.expected_returns(self.own_params(params), policy, features, others.action)
        changed = returns[0] - returns[1:]  # [agent whose action it is, T, E, agent whose return it is]
        return exclude_self(changed[0]), jnp.moveaxis(changed[1:, ..., 0], 0, -1)

    def reward(
        self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory, state: PyTree
    ) -> Float[Array, "T E"]:
        others: Any = trajectory.others
        agent_mask = exclude_self(others.agent_mask) & trajectory.loss_mask[..., None]
        on_others, on_self = self.value_influence(params, policy, trajectory)
        return reciprocal_reward(on_others, on_self, agent_mask, self.gamma)

    def loss_mask(self, batch: Sequences) -> Bool[Array, "L N"]:
        return batch.loss_mask

    def loss(self, params: PyTree, inputs: LossInputs, carry: PyTree) -> Float[Array, "L N"]:
        """Mean squared temporal-difference error over agents and what is left out."""
        others: Any = inputs.batch.others
        own_params, policy = self.own_params(params), inputs.policy
        features = jax.lax.stop_gradient(inputs.encode(inputs.batch.observation))
        returns = self.expected_returns(own_params, policy, features, others.action)  # of L + 1 steps
        following = returns[0, 1:] * inputs.batch.next_in_episode[..., None]
        target = jax.lax.stop_gradient(others.reward[:-1] + self.gamma * following)
        return jnp.mean((returns[:, :-1] - target) ** 2, (0, -1))


def reciprocal_reward(
    on_others: Float[Array, "T E N"], on_self: Float[Array, "T E N"], agent_mask: Bool[Array, "T E N"], gamma: float
) -> Float[Array, "T E"]:
    """Mean over the others that are there of the balance before the step times the own influence.

    Args:
      on_others, on_self: the agent's influence on the returns of the others, and theirs on its own.
      gamma: in (0, 1], what is left of the balance after a step.
    """
    balance = discounted_past(jnp.where(agent_mask, on_self - on_others, 0.0), gamma) / gamma
    return jnp.sum(balance * on_others * agent_mask, -1) / jnp.maximum(agent_mask.sum(-1), 1)


class _ReturnModel(nn.Module):
    """Two dense layers; one number for each agent."""

    dense_size: int
    num_agents: int

    @nn.compact
    def __call__(self, inputs: Float[Array, "... I"]) -> Float[Array, "... A"]:
        hidden = nn.tanh(nn.Dense(self.dense_size, kernel_init=nn.initializers.orthogonal(2**0.5))(inputs))
        return nn.Dense(self.num_agents, kernel_init=nn.initializers.orthogonal(0.01))(hidden)
