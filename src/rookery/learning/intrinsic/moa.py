"""Influence by a model of other agents: what this agent itself believes its actions do to the others.

The model stands on the policy's convolution, with dense layers and a memory of its own. From what this agent sees and
what everybody does now it predicts what each of the others does next; it learns by the cross-entropy of what they did.
The influence of an action is worked out from the model alone, with the agent's own policy weighing the actions it did
not take. Only others in view count. No other agent's parameters, memory or reward are read.

With `intrinsic_scale` 0 it is the paper's ablation: a mere auxiliary loss. Source: Jaques et al. 2019, section 5.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float

from rookery.agents.recurrent import RecurrentPolicy
from rookery.errors import ConfigError
from rookery.learning.intrinsic.base import BaseIntrinsicReward, exclude_self
from rookery.learning.intrinsic.influence import Divergence, batched_influence, check_divergence
from rookery.nn.cells import LSTM, LSTMState
from rookery.nn.modules import apply_module
from rookery.types import PRNGKey, PyTree, Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class MOAInfluence(BaseIntrinsicReward):
    """The model, its loss, and the influence it tells."""

    kind: Literal["influence-moa"] = "influence-moa"
    divergence: Divergence = "kl"
    loss_weight: float = 1.0  # of the model's cross-entropy beside the policy's loss
    dense_size: int = 32  # of the model's dense layers; its memory is as large as the policy's
    train_only_visible: bool = False  # learn only from what those in view did

    required_info: ClassVar[tuple[str, ...]] = ("action", "in_view", "agent_mask", "logits")

    def __post_init__(self):
        super().__post_init__()
        check_divergence(self.kind, self.divergence)
        if self.loss_weight < 0 or self.dense_size < 1:
            raise ConfigError(
                f"{self.kind}: loss_weight={self.loss_weight} must be at least 0, dense_size={self.dense_size} at least 1"
            )

    def init(self, key: PRNGKey, policy: RecurrentPolicy) -> PyTree:
        """Parameters of the model: {'dense', 'memory', 'output'}."""
        keys = jax.random.split(key, 3)
        blank = jnp.zeros((1, *policy.observation_shape), jnp.uint8)
        encoder = jax.eval_shape(lambda k: policy.network.encoder().init(k, blank)["params"], key)
        trunk = jax.eval_shape(policy.network.shared_features, encoder, blank)
        size = policy.network.hidden_size
        inputs = jnp.zeros((1, 1, self.dense_size + policy.num_agents * policy.num_actions))
        start = policy.initial_carry(1)
        return {
            "dense": self._dense.init(keys[0], jnp.zeros(trunk.shape))["params"],
            "memory": self._lstm(policy).init(keys[1], start, inputs, jnp.ones((1, 1), bool))["params"],
            "output": self._output(policy).init(keys[2], jnp.zeros((1, size)))["params"],
        }

    @property
    def _dense(self) -> nn.Module:
        return _Dense(dense_size=self.dense_size)

    def _lstm(self, policy: RecurrentPolicy) -> LSTM:
        return LSTM(policy.network.hidden_size, num_biases=1)

    def _output(self, policy: RecurrentPolicy) -> nn.Module:
        start = nn.initializers.orthogonal(0.01)
        return nn.Dense((policy.num_agents - 1) * policy.num_actions, kernel_init=start)

    def inputs(self, params: PyTree, policy: RecurrentPolicy, observation, action) -> Float[Array, "T N F"]:
        """What goes into the model's memory: features of the view, then everybody's action, its own first."""
        steps, count = action.shape[:2]
        picture = observation.reshape(steps * count, *policy.observation_shape)
        trunk = policy.network.shared_features(params["policy"]["encoder"], picture)
        features = apply_module(self._dense, params["intrinsic"][self.kind]["dense"], trunk).reshape(steps, count, -1)
        acted = jax.nn.one_hot(action, policy.num_actions).reshape(steps, count, -1)
        return jnp.concatenate([features, acted], -1)

    def pre_step_state(self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory) -> LSTMState:
        """The model's memory before each step, f32[T, E, M] each."""
        return self._unroll(params, policy, trajectory)[2]

    def _unroll(self, params, policy, trajectory):
        episodes = trajectory.action.shape[1]
        company = trajectory.others
        inputs = self.inputs(params, policy, trajectory.observation[:-1], company.action)
        own = params["intrinsic"][self.kind]["memory"]
        blank = policy.initial_carry(episodes)
        _, hidden, before = apply_module(self._lstm(policy), own, blank, inputs, trajectory.is_first[:-1])
        return inputs, hidden, before

    def predictions(self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory) -> Float[Array, "K T E N A"]:
        """The others' next actions as the model sees them, logits, for each of K actions this agent might take."""
        inputs, _, before = self._unroll(params, policy, trajectory)
        own, steps = params["intrinsic"][self.kind], inputs.shape[0]
        flat = jax.tree.map(lambda x: x.reshape(-1, x.shape[-1]), (before, inputs))
        output = self._output(policy)
        before, inputs = flat
        told = self._lstm(policy).counterfactual_outputs(
            own["memory"],
            before,
            inputs,
            self.dense_size,
            policy.num_actions,
            lambda hidden: apply_module(output, own["output"], hidden),
        )
        return told.reshape(policy.num_actions, steps, -1, policy.num_agents - 1, policy.num_actions)

    def reward(self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory) -> Float[Array, "T E"]:
        return self.influence_on(params, policy, trajectory).sum(-1)

    def influence_on(self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory) -> Float[Array, "T E N"]:
        """The influence on each other agent; 0 for those out of view or absent, and of an episode's last step."""
        company: Any = trajectory.others
        steps, episodes = trajectory.action.shape
        conditional = self.predictions(params, policy, trajectory)
        answer = jnp.concatenate(
            [exclude_self(company.action)[1:], jnp.full_like(exclude_self(company.action)[:1], -1)]
        )
        flat = lambda x: x.reshape(steps * episodes, *x.shape[2:])  # noqa: E731
        told = batched_influence(
            conditional.reshape(conditional.shape[0], steps * episodes, *conditional.shape[3:]),
            flat(trajectory.logits), flat(trajectory.action), flat(answer), self.divergence,
        )  # fmt: skip
        told = told.reshape(steps, episodes, -1)
        follows = jnp.concatenate(
            [trajectory.loss_mask[1:] & ~trajectory.is_first[1:-1], jnp.zeros((1, episodes), bool)]
        )
        counts = company.in_view & exclude_self(company.agent_mask) & follows[..., None] & (answer >= 0)
        return jnp.where(counts, told, 0.0)

    def loss_mask(self, others: Any, next_in_episode: Bool[Array, "L N"]) -> Bool[Array, "L N O"]:
        """The predictions the model learns from: of others who do something in the next step.

        company: a `Company` of L+1 moments. follows: the next moment is of the same episode.
        """
        known = (
            (exclude_self(others.action)[1:] >= 0) & exclude_self(others.agent_mask)[:-1] & next_in_episode[..., None]
        )
        return known & others.in_view[:-1] if self.train_only_visible else known

    def loss(
        self, params: PyTree, policy: RecurrentPolicy, batch: Any, loss_mask: Bool[Array, "L N O"]
    ) -> Float[Array, ""]:
        """Cross-entropy of what the others did next, summed over the predictions that count.

        batch: a learner's sequences, with `observation`, `is_first`, `company` of L+1 moments and `own` memories.
        """
        action = batch.others.action
        inputs = self.inputs(params, policy, batch.observation[:-1], action[:-1])
        own = params["intrinsic"][self.kind]
        _, hidden, _ = apply_module(
            self._lstm(policy), own["memory"], batch.moa_carry[self.kind], inputs, batch.is_first[:-1]
        )
        logits = apply_module(self._output(policy), own["output"], hidden)
        log_probs = jax.nn.log_softmax(logits.reshape(*action[1:].shape[:2], policy.num_agents - 1, policy.num_actions))
        target = jnp.maximum(exclude_self(action)[1:], 0)[..., None]
        return -jnp.sum(jnp.take_along_axis(log_probs, target, -1)[..., 0] * loss_mask)


class _Dense(nn.Module):
    """Two dense layers."""

    dense_size: int

    @nn.compact
    def __call__(self, shared_features: Float[Array, "N D"]) -> Float[Array, "N F"]:
        for name in ("dense1", "dense2"):
            start = nn.initializers.orthogonal(2**0.5)
            shared_features = nn.relu(nn.Dense(self.dense_size, kernel_init=start, name=name)(shared_features))
        return shared_features
