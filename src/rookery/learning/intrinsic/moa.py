"""Influence by a model of other agents (MOA): what this agent itself predicts its actions do to the others.

The model reads the policy's shared features, with dense layers and an LSTM of its own. From this agent's observation
and every agent's action in a step it predicts the next action of each other agent; its loss is the cross-entropy of
what they did. The influence of an action is computed from the model alone: its predictions for each action that was
not taken, weighted by the agent's own policy. Only other agents in view count. Nothing is read of the other agents'
parameters, recurrent states or rewards.

With `intrinsic_scale` 0 it is the paper's ablation, an auxiliary loss alone. Source: Jaques et al. 2019, model of other
agents.
"""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Bool, Float, Int, UInt8

from rookery.agents.recurrent import RecurrentPolicy
from rookery.interfaces import HealthInputs, IntrinsicReward, LossInputs
from rookery.learning.configs import check_range
from rookery.learning.intrinsic.influence import Divergence, batched_influence, check_divergence, exclude_self
from rookery.learning.masking import masked_mean
from rookery.nn.cells import LSTM, LSTMState
from rookery.nn.modules import apply_module, init_module
from rookery.types import PRNGKey, PyTree, Sequences, Trajectory


@dataclasses.dataclass(frozen=True, kw_only=True)
class MOAInfluence(IntrinsicReward):
    """The model of other agents, its loss, and the influence it estimates."""

    kind: Literal["influence-moa"] = "influence-moa"
    divergence: Divergence = "kl"
    loss_weight: float = 1.0  # of the model's cross-entropy, next to the policy's loss
    dense_size: int = 32  # of the model's dense layers; its LSTM is as large as the policy's recurrent cell
    train_only_visible: bool = False  # learn only from the actions of agents in view

    required_info: ClassVar[tuple[str, ...]] = ("action", "in_view", "agent_mask", "logits")
    measures_influence: ClassVar[bool] = True
    loss_name: ClassVar[str] = "moa_loss"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_divergence(self.kind, self.divergence)
        check_range(self, ("loss_weight",), name=self.kind)
        check_range(self, ("dense_size",), low=1, name=self.kind)

    def init(self, key: PRNGKey, policy: RecurrentPolicy) -> PyTree:
        """Parameters of the model: {'dense', 'memory', 'output'}."""
        keys = jax.random.split(key, 3)
        blank = jnp.zeros((1, *policy.observation_shape), jnp.uint8)
        encoder = jax.eval_shape(lambda k: init_module(policy.encoder, k, blank), key)
        shared = jax.eval_shape(policy.shared_features, encoder, blank)
        inputs = jnp.zeros((1, 1, self.dense_size + policy.num_agents * policy.num_actions))
        lstm = self._lstm(policy)
        return {
            "dense": self._dense.init(keys[0], jnp.zeros(shared.shape))["params"],
            "memory": lstm.init(keys[1], lstm.initial_state(1), inputs, jnp.ones((1, 1), bool))["params"],
            "output": self._output(policy).init(keys[2], jnp.zeros((1, policy.network.hidden_size)))["params"],
        }

    @property
    def _dense(self) -> nn.Module:
        return _Dense(dense_size=self.dense_size)

    def _lstm(self, policy: RecurrentPolicy) -> LSTM:
        return LSTM(policy.network.hidden_size, num_biases=1)

    def _output(self, policy: RecurrentPolicy) -> nn.Module:
        return nn.Dense((policy.num_agents - 1) * policy.num_actions, kernel_init=nn.initializers.orthogonal(0.01))

    def inputs(
        self,
        reward_params: PyTree,
        policy: RecurrentPolicy,
        policy_params: PyTree,
        observation: UInt8[Array, "T N ..."],
        action: Int[Array, "T N A"],
    ) -> Float[Array, "T N F"]:
        """Inputs of the model's LSTM: features of the observation, then every agent's action, the agent's own first."""
        steps, count = action.shape[:2]
        flat = observation.reshape(steps * count, *policy.observation_shape)
        shared = policy.shared_features(policy_params["encoder"], flat)
        features = apply_module(self._dense, reward_params["dense"], shared).reshape(steps, count, -1)
        actions = jax.nn.one_hot(action, policy.num_actions).reshape(steps, count, -1)
        return jnp.concatenate([features, actions], -1)

    def pre_step_state(self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory) -> LSTMState:
        """The state of the model's LSTM before each step, f32[T, E, M] each."""
        return self._unroll(params, policy, trajectory)[1]

    def _unroll(self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory):
        """The inputs of the model's LSTM, its state before each step, and its outputs."""
        reward_params, lstm = self.own_params(params), self._lstm(policy)
        others: Any = trajectory.others
        observation, action = trajectory.observation[:-1], others.action
        inputs = self.inputs(reward_params, policy, params["policy"], observation, action)
        initial, is_first = lstm.initial_state(trajectory.action.shape[1]), trajectory.is_first[:-1]
        _, hidden, pre_step_states = apply_module(lstm, reward_params["memory"], initial, inputs, is_first)
        return inputs, pre_step_states, hidden

    def predictions(self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory) -> Float[Array, "K T E N A"]:
        """Predicted logits of the others' next actions, for each of K actions this agent might take."""
        inputs, pre_step_states, _ = self._unroll(params, policy, trajectory)
        reward_params, steps = self.own_params(params), inputs.shape[0]
        pre_step_states, inputs = jax.tree.map(lambda x: x.reshape(-1, x.shape[-1]), (pre_step_states, inputs))
        output = self._output(policy)
        logits = self._lstm(policy).counterfactual_outputs(
            reward_params["memory"],
            pre_step_states,
            inputs,
            self.dense_size,
            policy.num_actions,
            lambda hidden: apply_module(output, reward_params["output"], hidden),
        )
        return logits.reshape(policy.num_actions, steps, -1, policy.num_agents - 1, policy.num_actions)

    def influence(self, params: PyTree, policy: RecurrentPolicy, trajectory: Trajectory) -> Float[Array, "T E N"]:
        """The influence on each other agent; 0 if it is out of view or absent, and on an episode's last step."""
        others: Any = trajectory.others
        steps, episodes = trajectory.action.shape
        conditional = self.predictions(params, policy, trajectory)
        actions = exclude_self(others.action)
        response = jnp.concatenate([actions[1:], jnp.full_like(actions[:1], -1)])

        def flat(x):
            return x.reshape(steps * episodes, *x.shape[2:])

        influence = batched_influence(
            conditional.reshape(conditional.shape[0], steps * episodes, *conditional.shape[3:]),
            flat(trajectory.logits), flat(trajectory.action), flat(response), self.divergence,
        )  # fmt: skip
        influence = influence.reshape(steps, episodes, -1)
        next_in_episode = jnp.concatenate(
            [trajectory.loss_mask[1:] & ~trajectory.is_first[1:-1], jnp.zeros((1, episodes), bool)]
        )
        mask = others.in_view & exclude_self(others.agent_mask) & next_in_episode[..., None] & (response >= 0)
        return jnp.where(mask, influence, 0.0)

    def loss_mask(self, batch: Sequences) -> Bool[Array, "L N O"]:
        """The predictions that the model learns from: of other agents that act in the next step."""
        others: Any = batch.others
        acts_next = exclude_self(others.action)[1:] >= 0
        mask = acts_next & exclude_self(others.agent_mask)[:-1] & batch.next_in_episode[..., None]
        return mask & others.in_view[:-1] if self.train_only_visible else mask

    def loss(self, params: PyTree, inputs: LossInputs, carry: LSTMState) -> Float[Array, "L N O"]:
        """Cross-entropy of each other agent's next action."""
        policy, batch, reward_params = inputs.policy, inputs.batch, self.own_params(params)
        others: Any = batch.others
        action, is_first = others.action, batch.is_first[:-1]
        lstm_inputs = self.inputs(reward_params, policy, inputs.policy_params, batch.observation[:-1], action[:-1])
        _, hidden, _ = apply_module(self._lstm(policy), reward_params["memory"], carry, lstm_inputs, is_first)
        return self._cross_entropy(reward_params, policy, hidden, exclude_self(action)[1:])

    def _cross_entropy(
        self, reward_params: PyTree, policy: RecurrentPolicy, hidden: Float[Array, "T N M"], action: Int[Array, "T N O"]
    ) -> Float[Array, "T N O"]:
        """Of other agents' next actions, from the outputs of the model's LSTM; any number for the action -1."""
        logits = apply_module(self._output(policy), reward_params["output"], hidden)
        log_probs = jax.nn.log_softmax(logits.reshape(*action.shape, policy.num_actions))
        return -jnp.take_along_axis(log_probs, jnp.maximum(action, 0)[..., None], -1)[..., 0]

    def health(self, params: PyTree, inputs: HealthInputs) -> dict[str, Float[Array, ""]]:
        """The model's cross-entropy in nats per action, and that of each other agent's own action frequencies."""
        policy, trajectory = inputs.policy, inputs.trajectory
        others: Any = trajectory.others
        action, agent_mask = exclude_self(others.action), exclude_self(others.agent_mask)
        loss_mask = trajectory.loss_mask[:-1] & trajectory.loss_mask[1:] & ~trajectory.is_first[1:-1]
        mask = (action[1:] >= 0) & agent_mask[:-1] & loss_mask[..., None]
        hidden = self._unroll(params, policy, trajectory)[2]
        cross_entropy = self._cross_entropy(self.own_params(params), policy, hidden[:-1], action[1:])
        taken = jax.nn.one_hot(action[1:], policy.num_actions) * mask[..., None]
        frequency = taken.sum((0, 1)) / jnp.maximum(mask.sum((0, 1)), 1)[:, None]
        marginal = -jnp.sum(taken * jnp.log(jnp.maximum(frequency, 1e-12)), -1)
        return {
            "cross_entropy": masked_mean(cross_entropy, mask),
            "cross_entropy_marginal": masked_mean(marginal, mask),
        }


class _Dense(nn.Module):
    """Two dense layers."""

    dense_size: int

    @nn.compact
    def __call__(self, shared_features: Float[Array, "N D"]) -> Float[Array, "N F"]:
        for name in ("dense1", "dense2"):
            kernel_init = nn.initializers.orthogonal(2**0.5)
            shared_features = nn.relu(nn.Dense(self.dense_size, kernel_init=kernel_init, name=name)(shared_features))
        return shared_features
