"""Losses, rewards and learners as a user would write them: checked, trained for a few updates, saved and resumed."""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from rookery.errors import ConfigError
from rookery.interfaces import AuxiliaryLoss, IntrinsicReward, Learner
from rookery.learning.a2c import A2C
from rookery.learning.actor_critic import ActorCritic
from rookery.learning.auxiliary import AttentionLoss
from rookery.learning.extra_losses import init_auxiliary_params
from rookery.learning.intrinsic.centralized import CentralizedInfluence
from rookery.learning.intrinsic.combine import init_params
from rookery.learning.intrinsic.message_influence import MessageInfluence
from rookery.learning.intrinsic.prosocial import Prosocial
from rookery.learning.masking import masked_mean
from rookery.learning.ppo import PPO
from rookery.learning.r2d2 import R2D2
from rookery.plugins import AUXILIARY_LOSSES, INTRINSIC_REWARDS, LEARNERS
from rookery.testing import ConformanceError, check_auxiliary_loss, check_intrinsic_reward, check_learner
from rookery.training.build import build
from rookery.training.trainer import resume, train
from tests.tiny import NOVICE, OTHER, assert_same_run, on_host, rows, tiny


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardPrediction(AuxiliaryLoss):
    """Squared error of the predicted reward."""

    kind: Literal["test-reward-prediction"] = "test-reward-prediction"

    def init(self, key, policy):
        return nn.Dense(1).init(key, jnp.zeros((1, policy.network.hidden_size + policy.num_actions)))

    def loss(self, params, inputs):
        action = jax.nn.one_hot(inputs.batch.action, inputs.policy.num_actions)
        predicted = nn.Dense(1).apply(params, jnp.concatenate([inputs.hidden, action], -1))[..., 0]
        return (predicted - inputs.batch.reward) ** 2

    def metrics(self, params, inputs):
        return {"mean_reward": masked_mean(inputs.batch.reward, inputs.batch.loss_mask)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class InverseModel(AuxiliaryLoss):
    """Cross-entropy of the action, predicted from the features before and after it."""

    kind: Literal["test-inverse-model"] = "test-inverse-model"

    def init(self, key, policy):
        observation = jax.ShapeDtypeStruct((1, 1, *policy.observation_shape), jnp.uint8)
        features = jax.eval_shape(policy.inputs, jax.eval_shape(policy.init, key), observation)
        return nn.Dense(policy.num_actions).init(key, jnp.zeros((1, 2 * features.shape[-1])))

    def loss_mask(self, batch):
        return batch.next_in_episode

    def loss(self, params, inputs):
        both = jnp.concatenate([inputs.features, inputs.next_features], -1)
        log_probs = jax.nn.log_softmax(nn.Dense(inputs.policy.num_actions).apply(params, both))
        return -jnp.take_along_axis(log_probs, inputs.batch.action[..., None], -1)[..., 0]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contrastive(AuxiliaryLoss):
    """InfoNCE: the noisy features of a step among those of all sequences of the minibatch that have this step."""

    kind: Literal["test-contrastive"] = "test-contrastive"
    noise: float = 0.1

    splits_minibatch = False

    def loss(self, params, inputs):
        features = inputs.features
        noisy = features + self.noise * jax.random.normal(inputs.key, features.shape)
        is_candidate = inputs.batch.loss_mask[:, None] | jnp.eye(features.shape[1], dtype=bool)
        logits = jnp.where(is_candidate, jnp.einsum("lnf,lmf->lnm", noisy, features), -jnp.inf)
        return -jnp.diagonal(jax.nn.log_softmax(logits), axis1=1, axis2=2)


class RunningNorm(NamedTuple):
    """Number of steps, and sum of squares."""

    count: jax.Array
    square: jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class RND(IntrinsicReward):
    """Random network distillation: the error of predicting a fixed random network, divided by its running scale."""

    kind: Literal["test-rnd"] = "test-rnd"
    size: int = 8
    loss_weight: float = 0.5

    def init(self, key, policy):
        observation = jnp.zeros((1, int(np.prod(policy.observation_shape))))
        keys = jax.random.split(key)
        return {name: nn.Dense(self.size).init(k, observation) for name, k in zip(("net", "target"), keys, strict=True)}

    def init_state(self, policy):
        return RunningNorm(jnp.float32(0), jnp.float32(0))

    def error(self, params, observation):
        reward_params, flat = self.own_params(params), observation.reshape(*observation.shape[:2], -1) / 255
        target = jax.lax.stop_gradient(nn.Dense(self.size).apply(reward_params["target"], flat))
        return ((nn.Dense(self.size).apply(reward_params["net"], flat) - target) ** 2).mean(-1)

    def update_state(self, state, params, policy, trajectory):
        error, mask = self.error(params, trajectory.observation[1:]), trajectory.loss_mask
        return RunningNorm(state.count + mask.sum(), state.square + (error**2 * mask).sum())

    def reward(self, params, policy, trajectory, state):
        return self.error(params, trajectory.observation[1:]) / jnp.sqrt(state.square / state.count + 1e-8)

    def loss_mask(self, batch):
        return batch.loss_mask

    def loss(self, params, inputs, carry):
        return self.error(params, inputs.batch.observation[1:])


LOSSES, REWARD = (RewardPrediction(), InverseModel(weight=0.5), Contrastive()), RND(weight=0.1)


@pytest.fixture(scope="module", autouse=True)
def registered():
    for loss in LOSSES:
        AUXILIARY_LOSSES.register(type(loss))
    INTRINSIC_REWARDS.register(RND)
    yield
    for loss in LOSSES:
        del AUXILIARY_LOSSES._entries[loss.kind]
    del INTRINSIC_REWARDS._entries[RND.kind]


BUILTIN_LOSSES = tuple(AUXILIARY_LOSSES.names())
BUILTIN_REWARDS = tuple(kind for kind in INTRINSIC_REWARDS.names() if kind != "reciprocity")
"""Of all that are registered; `reciprocity` is checked with a small model in its own tests."""


@pytest.mark.parametrize("kind", [*BUILTIN_LOSSES, *(loss.kind for loss in LOSSES)])
def test_auxiliary_losses_conform(kind):
    check_auxiliary_loss(AUXILIARY_LOSSES.get(kind)())


@pytest.mark.parametrize("kind", [*BUILTIN_REWARDS, REWARD.kind])
def test_intrinsic_rewards_conform(kind):
    check_intrinsic_reward(INTRINSIC_REWARDS.get(kind)())


SMALL = {
    "ppo": {"sequence_length": 2, "num_minibatches": 2, "minibatch_size": 4, "recompute_every": 1},
    "a2c": {"sequence_length": 4},
    "r2d2": {
        "capacity": 8, "sequence_length": 3, "burn_in": 2, "n_step": 2, "gradient_steps": 2, "minibatch_size": 4,
        "auxiliary": (RewardPrediction(),),
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", LEARNERS.names())
def test_learners_conform(kind):
    check_learner(LEARNERS.get(kind)(**SMALL.get(kind, {})))


@pytest.mark.parametrize(
    "learner",
    [
        PPO(**SMALL["ppo"], alignment_coef=1.0, auxiliary=(AttentionLoss(),), intrinsic=(Prosocial(),)),
        A2C(sequence_length=4, intrinsic=(CentralizedInfluence(), MessageInfluence())),
    ],
    ids=lambda learner: learner.kind,
)
def test_learners_that_request_information_about_others_conform(learner):
    check_learner(learner)


@pytest.mark.parametrize("name", ["logits", "influence", "positions"])
def test_what_is_not_recorded_for_a_loss_is_refused(name, monkeypatch):
    curious = type("Curious", (RewardPrediction,), {"required_info": (name,)})
    monkeypatch.setitem(AUXILIARY_LOSSES._entries, RewardPrediction.kind, curious)
    message = rf"^Curious\.required_info has \['{name}'\]; allowed: 'action', 'reward', .*, 'agent_mask'$"
    with pytest.raises(ConformanceError, match=message):
        check_auxiliary_loss(curious())
    with pytest.raises(ConfigError, match=message):
        build(_config(A2C(sequence_length=4, auxiliary=(curious(),))))


def test_r2d2_refuses_a_loss_about_others():
    with pytest.raises(ConfigError, match=r"^the auxiliary loss 'attention' needs to know of other agents"):
        R2D2(auxiliary=(AttentionLoss(),))


@pytest.mark.parametrize(
    ("fields", "hparams", "message"),
    [
        ({"sequence_length": 4, "gamma": 0.9}, {}, "add num_minibatches, gae_lambda, vf_coef, normalize_advantages"),
        (
            {"sequence_length": 4, "gamma": 0.9, "num_minibatches": 1, "gae_lambda": 1.0, "vf_coef": 1.0,
             "normalize_advantages": False},
            {"ent_coef": 0.0},
            r"Bare\.hparams: .*; add learning_rate, aux_loss_scale",
        ),
    ],
)  # fmt: skip
def test_what_actor_critic_needs_and_a_learner_lacks_is_named(fields, hparams, message, monkeypatch):
    members = {"__annotations__": {"kind": Literal["test-bare"]}, "kind": "test-bare", "hparams": hparams, **fields}
    bare = dataclasses.dataclass(frozen=True, kw_only=True)(type("Bare", (ActorCritic,), members))
    monkeypatch.setitem(LEARNERS._entries, "test-bare", bare)
    with pytest.raises(ConformanceError, match=message):
        check_learner(bare())


@dataclasses.dataclass(frozen=True, kw_only=True)
class CountingLoss(AuxiliaryLoss):
    kind: Literal["test-counting-loss"] = "test-counting-loss"

    def init(self, key, policy):
        return {"count": jnp.int32(0)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class KeyedReward(IntrinsicReward):
    kind: Literal["test-keyed-reward"] = "test-keyed-reward"

    def init(self, key, policy):
        return jax.random.key(0)


@pytest.mark.parametrize(
    ("init", "part", "message"),
    [
        (
            init_auxiliary_params,
            CountingLoss(),
            r"^CountingLoss\.init: parameter \['count'\] is int32\[\], must be",
        ),
        (
            init_params,
            KeyedReward(),
            r"^KeyedReward\.init: parameter the array is key<.*, must be float32, since",
        ),
    ],
)
def test_own_parameters_without_gradients_are_named(init, part, message):
    with pytest.raises(ConfigError, match=message):
        init((part,), jax.random.PRNGKey(0), None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shared(ActorCritic):
    """A learner of another package, which leaves the ranges of shared settings to the base class."""

    kind: Literal["test-shared"] = "test-shared"
    sequence_length: int = 4
    num_minibatches: int = 1
    gamma: float = 0.9
    gae_lambda: float = 1.0
    vf_coef: float = 1.0
    normalize_advantages: bool = False
    max_grad_norm: float | None = None


@pytest.mark.parametrize(
    ("field", "value"),
    [("sequence_length", 0), ("num_minibatches", 0), ("gamma", 2.0), ("gae_lambda", -0.1), ("max_grad_norm", -1.0)],
)
def test_shared_settings_are_checked_for_every_actor_critic(field, value):
    with pytest.raises(ConfigError, match=f"^{field}={value} must "):
        Shared(**{field: value})


class CountsEveryStep(A2C):
    """It learns from steps that do not count."""

    def update(self, policy, state, trajectory, hparams, key):
        trajectory = trajectory.replace(loss_mask=jnp.ones_like(trajectory.loss_mask))
        return super().update(policy, state, trajectory, hparams, key)


def test_a_learner_that_learns_from_steps_that_do_not_count_is_named(monkeypatch):
    monkeypatch.setitem(LEARNERS._entries, "a2c", CountsEveryStep)
    with pytest.raises(ConformanceError, match=r"CountsEveryStep\.update: steps that do not count"):
        check_learner(CountsEveryStep(sequence_length=4))


def _loss(**methods):
    return type("Bad", (RewardPrediction,), methods)


def _probe(self, params, inputs):
    return RewardPrediction.loss(self, params, inputs._replace(hidden=jax.lax.stop_gradient(inputs.hidden)))


def _unparameterized(self, params, inputs):
    return RewardPrediction.loss(self, jax.lax.stop_gradient(params), inputs)


def _of_reward_to_go(self, params, inputs):
    batch = inputs.batch._replace(reward=inputs.batch.reward[::-1].cumsum(0)[::-1])
    return RewardPrediction.loss(self, params, inputs._replace(batch=batch))


def test_a_probe_says_that_it_leaves_the_encoder_alone(monkeypatch):
    probe = _loss(loss=_probe, trains_encoder=False)
    monkeypatch.setitem(AUXILIARY_LOSSES._entries, RewardPrediction.kind, probe)
    check_auxiliary_loss(probe())


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (
            {"loss": lambda self, params, inputs: inputs.batch.reward.mean()},
            r"Bad\.loss: must return one number",
        ),
        ({"loss": lambda self, params, inputs: inputs.batch.reward}, r"Bad\.loss: has no gradient"),
        ({"loss": _probe}, r"Bad\.loss: no gradient reaches the policy's encoder"),
        ({"loss": _unparameterized}, r"Bad\.loss: no gradient reaches the parameters of its own"),
        ({"loss_mask": lambda self, batch: batch.reward}, r"Bad\.loss_mask: must return bool\["),
        ({"metrics": lambda self, params, inputs: {"x": jnp.zeros(2)}}, r"Bad\.metrics: 'x' has shape \(2,\)"),
        (
            {"metrics": lambda self, params, inputs: {"x": inputs.batch.reward.mean()}},
            r"Bad\.metrics: steps that do not count .* the metrics \(at \['x'\]\)",
        ),
        ({"loss": _of_reward_to_go}, r"Bad\.loss: steps that do not count"),
        ({"health": lambda self, params, inputs: {"x": jnp.zeros(2)}}, r"Bad\.health: 'x' has shape \(2,\)"),
        ({"health": lambda self, params, inputs: inputs.nothing}, r"Bad\.<lambda>: raised AttributeError"),
    ],
)
def test_what_breaks_the_contract_is_named(methods, message, monkeypatch):
    bad = _loss(**methods)
    monkeypatch.setitem(AUXILIARY_LOSSES._entries, RewardPrediction.kind, bad)
    with pytest.raises(ConformanceError, match=message):
        check_auxiliary_loss(bad())


def test_a_loss_that_compares_sequences_must_say_so(monkeypatch):
    careless = type("Careless", (Contrastive,), {"splits_minibatch": True})
    monkeypatch.setitem(AUXILIARY_LOSSES._entries, Contrastive.kind, careless)
    with pytest.raises(ConformanceError, match=r"Careless\.loss: depends on the other .*`splits_minibatch = False`"):
        check_auxiliary_loss(careless())


def _rewarded_by(**methods):
    fields = {"__annotations__": {"kind": Literal["test-bad"]}, "kind": "test-bad"}
    return dataclasses.dataclass(frozen=True, kw_only=True)(type("Bad", (IntrinsicReward,), {**fields, **methods}))


def _add_sum_of_episode(self, params, policy, trajectory, state):
    return trajectory.reward + trajectory.reward.sum(0)


def _add_observations(self, state, params, policy, trajectory):
    return state + trajectory.observation.astype(jnp.float32).sum()


def _zero(self, params, policy, trajectory, state):
    return jnp.zeros_like(trajectory.reward)


def _add_others_rewards(self, params, policy, trajectory, state):
    return trajectory.others.reward.sum(-1)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({}, r"Bad\.reward: Bad needs a method reward\("),
        ({"reward": lambda *_: 0.0}, r"Bad\.reward: must be one number per step, \[12, 4\]; it is \[\]"),
        ({"reward": _add_others_rewards}, r"Bad\._add_others_rewards: .*required_info is \(\); allowed: 'action'"),
        ({"init_state": lambda *_: {"n": 0.0}}, r"Bad\.init_state: .* \['n'\] is float, must be an array"),
        (
            {"reward": _add_sum_of_episode},
            r"Bad\.reward: steps that do not count .* the rewards of the steps that do count",
        ),
        (
            {"init_state": lambda *_: jnp.float32(0), "update_state": _add_observations, "reward": _zero},
            r"Bad\.update_state: steps that do not count .* the state",
        ),
        (
            {
                "reward": lambda self, params, policy, t, state: jnp.arange(3.0)[t.others.action[..., 1]],
                "required_info": ("action",),
            },
            r"Bad\.reward: takes -1, the action of an absent agent",
        ),
        ({"reward": _zero, "health": lambda *_: {"x": jnp.zeros(2)}}, r"Bad\.health: 'x' has shape \(2,\)"),
    ],
)
def test_a_reward_that_breaks_the_contract_is_named(methods, message, monkeypatch):
    bad = _rewarded_by(**methods)
    monkeypatch.setitem(INTRINSIC_REWARDS._entries, "test-bad", bad)
    with pytest.raises(ConformanceError, match=message):
        check_intrinsic_reward(bad())


def test_a_reward_that_names_what_it_uses_conforms(monkeypatch):
    good = _rewarded_by(reward=_add_others_rewards, required_info=("reward",))
    monkeypatch.setitem(INTRINSIC_REWARDS._entries, "test-bad", good)
    check_intrinsic_reward(good())


@pytest.mark.parametrize("base", [AuxiliaryLoss, Learner])
def test_a_loss_or_learner_without_its_method_is_named(base, monkeypatch):
    fields = {"__annotations__": {"kind": Literal["test-bare"]}, "kind": "test-bare"}
    bare = dataclasses.dataclass(frozen=True, kw_only=True)(type("Bare", (base,), fields))
    registry, check, method = {
        AuxiliaryLoss: (AUXILIARY_LOSSES, check_auxiliary_loss, "loss"), Learner: (LEARNERS, check_learner, "init"),
    }[base]  # fmt: skip
    monkeypatch.setitem(registry._entries, "test-bare", bare)
    with pytest.raises(ConformanceError, match=rf"Bare\.{method}: Bare needs a method {method}\("):
        check(bare())


@pytest.mark.parametrize(
    ("check", "cls"),
    [(check_auxiliary_loss, InverseModel), (check_intrinsic_reward, RND), (check_learner, A2C)],
)
def test_a_class_is_no_instance(check, cls):
    with pytest.raises(ConformanceError, match=rf"{cls.__name__}: is a class; pass an instance, {cls.__name__}\(\)"):
        check(cls)


def _config(learner):
    return tiny(
        team=(dataclasses.replace(NOVICE, learner=learner), OTHER), variants=tiny().variants[:1], eval_episodes=0,
        total_timesteps=3 * 32, checkpoint_interval=1,
    )  # fmt: skip


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "learner",
    [
        dataclasses.replace(NOVICE.learner, auxiliary=LOSSES, intrinsic=(REWARD,)),
        A2C(sequence_length=4, intrinsic=(REWARD,)),
        R2D2(**{**SMALL["r2d2"], "auxiliary": LOSSES}),
    ],
    ids=lambda learner: learner.kind,
)
def test_they_train_and_are_saved_and_resumed(learner, tmp_path):
    config = _config(learner)
    whole = on_host(train(config, tmp_path / "whole", quiet=True))
    part = train(config, tmp_path / "part", quiet=True, stop_after=0.0)
    assert not part.finished
    assert_same_run(resume(tmp_path / "part", quiet=True), whole)
    metrics, state = rows(whole.run_dir), whole.state.learners["novice"]
    for loss in learner.auxiliary:
        values = [row[f"social/novice/aux_loss/{loss.kind}"][0] for row in metrics]
        assert np.isfinite(values).all()
        assert len(set(values)) == len(values)
    if learner.auxiliary:
        assert "social/novice/test-reward-prediction/mean_reward" in metrics[0]
    if learner.intrinsic:
        assert all(row["social/novice/intrinsic_reward/test-rnd"][0] > 0 for row in metrics)
        assert all(row["social/novice/intrinsic_loss/test-rnd"][0] > 0 for row in metrics)
        assert (state.intrinsic_state["test-rnd"].count == 3 * 32).all()
