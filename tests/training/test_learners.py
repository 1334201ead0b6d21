"""R2D2 in a run: its replay buffer is part of the run's state, and is restored exactly."""

import dataclasses

import jax
import numpy as np
import pytest

from rookery.agents.recurrent import EpsilonGreedyPolicy
from rookery.agents.weights import load_agent
from rookery.errors import ConfigError, DivergedError
from rookery.learning.a2c import A2C
from rookery.learning.r2d2 import R2D2
from rookery.storage.serialization import apply_overrides, from_dict, to_dict
from rookery.training.build import build
from rookery.training.config import RunConfig, Variant
from rookery.training.train_step import replica_schedules
from rookery.training.trainer import resume, train
from tests.tiny import CONFIG, NOVICE, OTHER, assert_same, assert_same_run, on_host, rows, tiny

LEARNER = R2D2(
    capacity=6, sequence_length=3, burn_in=2, n_step=2, gradient_steps=2, minibatch_size=4, target_update_period=5,
)  # fmt: skip
GROUP = dataclasses.replace(NOVICE, learner=LEARNER, hparams={"epsilon": ((0.0, 1.0), (1.0, 0.5))})
SETTINGS = tiny(
    name="q", team=(GROUP, OTHER), variants=(Variant(name="social"), Variant(name="greedy", hparams={"epsilon": 0.0})),
    total_timesteps=5 * 32, eval_episodes=2, checkpoint_interval=2,
)  # fmt: skip


pytestmark = pytest.mark.usefixtures("quick_file")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return on_host(train(SETTINGS, tmp_path_factory.mktemp("q") / "run", quiet=True))


def test_r2d2_is_chosen_by_its_kind():
    config = apply_overrides(CONFIG, ["team.0.learner.kind=r2d2", "team.0.learner.capacity=8"])
    assert config.team[0].learner == R2D2(capacity=8)
    assert from_dict(RunConfig, to_dict(SETTINGS)) == SETTINGS


def test_it_explores_in_training_and_is_nearly_greedy_in_evaluation():
    run = build(SETTINGS)
    assert run.team.groups[0].policy.epsilon == 0.01
    assert isinstance(run.behavior_team.groups[0].policy, EpsilonGreedyPolicy)
    assert run.behavior_team.groups[1] == run.team.groups[1]


def test_hparams_follow_their_schedules_in_every_variant(whole):
    lines = rows(whole.run_dir)
    epsilons = [[line[f"{name}/novice/epsilon"][0] for line in lines] for name in ("social", "greedy")]
    np.testing.assert_allclose(epsilons, [[1.0, 0.9, 0.8, 0.7, 0.6], [0.0] * 5], rtol=1e-6)
    assert [line["social/novice/importance_exponent"][0] for line in lines] == pytest.approx([0.6] * 5)
    assert [line["social/novice/replay_episodes"][0] for line in lines] == [4, 6, 6, 6, 6]
    assert all(
        np.isfinite(line[f"social/novice/{name}"][0]) for line in lines for name in ("loss", "q_value", "abs_td_error")
    )


def test_resumed_it_reaches_the_same_numbers_replay_buffer_included(whole, tmp_path):
    run_dir = tmp_path / "run"
    for _ in range(2):
        part = (resume if run_dir.exists() else train)(
            *(() if run_dir.exists() else (SETTINGS,)), run_dir, quiet=True, stop_after=0.0
        )
        assert not part.finished
    result = resume(run_dir, quiet=True)
    assert_same_run(result, whole)
    assert_same(on_host(result).state.learners["novice"].replay, whole.state.learners["novice"].replay)
    assert whole.state.learners["novice"].replay.priority.any()


def test_its_cards_have_the_evaluation_epsilon(whole, tmp_path):
    agent = load_agent(whole.run_dir / "agents" / "social-seed3-novice-0.safetensors")
    assert agent.policy.epsilon == agent.card["epsilon"] == 0.01
    assert_same(
        agent.params, jax.tree.map(lambda x: np.asarray(x)[0, 0], whole.state.learners["novice"].params["policy"])
    )
    # Another run may start from it, whatever its learner.
    start = dataclasses.replace(
        NOVICE.policy, init_from=str(whole.run_dir / "agents/social-seed3-novice-0.safetensors")
    )
    still = dataclasses.replace(GROUP, policy=start, learning_rate=0.0)
    config = dataclasses.replace(SETTINGS, team=(still, OTHER), total_timesteps=1, eval_episodes=0)
    state = on_host(train(config, tmp_path / "run", quiet=True)).state.learners["novice"]
    for params in (state.params["policy"], state.target_params):
        assert_same(jax.tree.map(lambda x: np.asarray(x)[0, 0], params), agent.params)


def defaults(hparams) -> A2C:
    """A learner of another package with these default schedules."""
    return type("Own", (A2C,), {"hparams": hparams})(sequence_length=4)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda: dataclasses.replace(GROUP, hparams={"epsilom": 0.1}),
            "novice.hparams.epsilom is not a hyperparameter of its",
        ),
        (lambda: dataclasses.replace(GROUP, hparams={"epsilon": -0.1}), "novice.hparams.epsilon: value -0.1 must lie"),
        (
            lambda: dataclasses.replace(NOVICE, hparams={"epsilon": 0.1}),
            "novice.hparams.epsilon is not a hyperparameter of its",
        ),
        (lambda: dataclasses.replace(OTHER, hparams={"epsilon": 0.1}), "allowed: none"),
        (lambda: Variant(hparams={"ent_coef": 0.1}), "set the variant's own field ent_coef"),
        (
            lambda: tiny(variants=(Variant(hparams={"epsilon": 0.1}),)),
            "variant main.hparams.epsilon is not a hyperparameter of any learner",
        ),
        (
            lambda: dataclasses.replace(NOVICE, learner=defaults({"x": "a"})),
            "Own.hparams.x='a' must be a number or points",
        ),
        (
            lambda: dataclasses.replace(NOVICE, learner=defaults(["x"])),
            "Own.hparams=['x'] must be a dictionary of default",
        ),
        (lambda: dataclasses.replace(SETTINGS, num_envs=7), "capacity=6 must be at least the episodes of an update"),
    ],
)
def test_refused(call, said):
    with pytest.raises(ConfigError) as caught:
        call()
    assert said in str(caught.value)


def test_a_hyperparameter_that_is_not_set_is_the_learners_default():
    schedules = replica_schedules(dataclasses.replace(SETTINGS, team=(dataclasses.replace(GROUP, hparams={}), OTHER)))
    np.testing.assert_allclose(schedules.hparams["novice"]["epsilon"][0, :2], [[0, 1], [0.3, 0.05]], rtol=1e-6)
    assert set(schedules.hparams["novice"]) == {"learning_rate", "aux_loss_scale", "epsilon", "importance_exponent"}


def test_a_number_that_is_not_finite_is_found(tmp_path):
    wild = dataclasses.replace(GROUP, learning_rate=1e38)
    config = dataclasses.replace(SETTINGS, team=(wild, OTHER), eval_episodes=0)
    with pytest.raises(DivergedError, match="of 'novice' is not finite at update"):
        train(config, tmp_path / "run", quiet=True)
