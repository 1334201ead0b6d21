"""Mistakes of learners that their check names. The update is a few operations, so that it compiles at once."""

import dataclasses
import random
import time
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.networks import MLPNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.interfaces import IntrinsicReward, Learner
from rookery.learning.masking import masked_mean
from rookery.plugins import INTRINSIC_REWARDS, LEARNERS
from rookery.testing import ConformanceError, check_intrinsic_reward, check_learner

POLICY = RecurrentPolicy(MLPNetwork(encoder_size=2, hidden_size=2, head_size=2), (2,), 3)
NOISE = {
    "numpy": np.random.random,
    "numpy's own": lambda: np.random.default_rng().random(),
    "python": random.random,
    "array": lambda: jnp.asarray(np.random.random(3)).sum(),
    "time": time.perf_counter,
}


class BaselineState(NamedTuple):
    params: Any
    baseline: jax.Array  # mean reward of the last update


@dataclasses.dataclass(frozen=True, kw_only=True)
class Baseline(Learner):
    """All parameters grow by what the mean reward is above that of the last update; with one mistake."""

    kind: Literal["test-baseline"] = "test-baseline"
    mistake: str = ""
    teacher: str | None = None

    supports_teacher: ClassVar[bool] = True
    hparams: ClassVar[dict[str, Any]] = {"distill_coef": 1.0, "teacher_action_prob": 0.0}

    def init(self, policy, key, steps):
        return BaselineState({"policy": policy.init(key)}, jnp.float32(0))

    def mean(self, x, trajectory, name):
        """Over the steps that count, unless this is the mistake."""
        return x.mean() if self.mistake == name else masked_mean(x, trajectory.loss_mask)

    def update(self, policy, state, trajectory, hparams, key):
        growth = 1e-3 * (masked_mean(trajectory.reward, trajectory.loss_mask) - state.baseline)
        if self.mistake in NOISE:
            growth = growth + NOISE[self.mistake]()
        metrics = {"reward": self.mean(trajectory.reward, trajectory, "metric")}
        if trajectory.teacher_action is not None:
            name = "agree/" if self.mistake == "name" else "agreement"
            metrics[name] = self.mean(trajectory.teacher_action == 0, trajectory, "teacher")
        params = jax.tree.map(lambda x: x + growth, state.params)
        return BaselineState(params, self.mean(trajectory.reward, trajectory, "baseline")), metrics

    def health(self, policy, state, trajectory, agent_scores):
        return {"baseline": jnp.full(2, state.baseline) if self.mistake == "health" else state.baseline}


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(LEARNERS._entries, "test-baseline", Baseline)


@pytest.mark.parametrize("teacher", [None, "scripted"])
def test_a_learner_without_mistakes_passes(teacher):
    check_learner(Baseline(teacher=teacher), POLICY)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("baseline", r"Baseline\.update: steps that do not count .* the parameters of the next update, either"),
        ("metric", r"Baseline\.update: steps that do not count .* the metrics \(at \['reward'\]\)"),
        ("teacher", r"Baseline\.update: steps that do not count .* the metrics \(at \['agreement'\]\)"),
        ("name", r"Baseline\.update: metric name 'agree/' must be a string"),
        ("health", r"Baseline\.health: 'baseline' has shape \(2,\), must be one number"),
        *(
            (noise, r"Baseline\.update: compiled twice, must agree; take random numbers from the key")
            for noise in NOISE
        ),
    ],
)
def test_a_mistake_is_named(mistake, message):
    with pytest.raises(ConformanceError, match=message):
        check_learner(Baseline(mistake=mistake, teacher="scripted"), POLICY)


class Attracted(Baseline):
    """A learner that is attracted to the others, wherever absent ones may be."""

    required_info: ClassVar[tuple[str, ...]] = ("relative_position",)

    def update(self, policy, state, trajectory, hparams, key):
        state, metrics = super().update(policy, state, trajectory, hparams, key)
        ahead = masked_mean(trajectory.others.relative_position[..., 0].mean(-1), trajectory.loss_mask)
        return state, {**metrics, "ahead": ahead}


class Near(IntrinsicReward):
    """A reward for others ahead, wherever absent ones may be."""

    required_info: ClassVar[tuple[str, ...]] = ("relative_position",)

    def reward(self, params, policy, trajectory, state):
        return trajectory.others.relative_position[..., 0].sum(-1).astype(jnp.float32)


def frozen(cls):
    """Under the name of its class; a learner of these tests has the kind of its base."""
    return dataclasses.dataclass(frozen=True, kw_only=True)(cls)


def test_what_depends_on_where_absent_agents_are_is_named(monkeypatch):
    others = RecurrentPolicy(POLICY.network, (2,), 3, num_agents=3)
    attracted = frozen(Attracted)
    monkeypatch.setitem(LEARNERS._entries, "test-baseline", attracted)
    message = r"`others\.relative_position` of an absent agent is arbitrary .* and must not change the"
    with pytest.raises(ConformanceError, match=rf"Attracted\.update: {message} metrics \(at \['ahead'\]\)"):
        check_learner(attracted(), others)

    near = frozen(type("Near", (Near,), {"kind": "test-near", "__annotations__": {"kind": Literal["test-near"]}}))
    monkeypatch.setitem(INTRINSIC_REWARDS._entries, "test-near", near)
    with pytest.raises(ConformanceError, match=rf"Near\.reward: {message} rewards of the steps that do count"):
        check_intrinsic_reward(near(), others)


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("supports_teacher", False, r"Baseline\.supports_teacher: must be True where it has a teacher"),
        ("hparams", {}, r"Baseline\.hparams: a run with a teacher needs distill_coef, teacher_action_prob; add"),
        ("hparams", {"distill_coef": 1.0}, r"Baseline\.hparams: a run with a teacher needs teacher_action_prob; add"),
    ],
)
def test_a_teacher_that_no_run_could_have_is_named(attribute, value, message, monkeypatch):
    monkeypatch.setattr(Baseline, attribute, value)
    with pytest.raises(ConformanceError, match=message):
        check_learner(Baseline(teacher="scripted"), POLICY)


def test_a_policy_without_the_logits_that_a_teacher_needs_is_named(monkeypatch):
    def act(self, params, carry, obs, is_first, key):
        action, carry, extras = RecurrentPolicy.act(self, params, carry, obs, is_first, key)
        return action, carry, {"log_prob": extras["log_prob"], "value": extras["value"]}

    mute = type("Mute", (RecurrentPolicy,), {"act": act})(POLICY.network, POLICY.observation_shape, POLICY.num_actions)
    monkeypatch.setattr(Baseline, "behavior_policy", lambda self, policy: mute)
    check_learner(Baseline(), POLICY)
    with pytest.raises(ConformanceError, match=r"Baseline\.behavior_policy: must give the extra `logits`"):
        check_learner(Baseline(teacher="scripted"), POLICY)
