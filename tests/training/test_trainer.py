import dataclasses
import json
import logging
import math
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from rookery import __version__
from rookery.agents.weights import load_agent
from rookery.errors import ConfigError, DivergedError
from rookery.storage import checkpoint, metrics
from rookery.storage.serialization import to_dict
from rookery.training.config import GroupConfig, RandomPolicyConfig, Variant, slot_names
from rookery.training.trainer import load_config, resume, train
from tests.tiny import CONFIG, NOVICE, UPDATES, assert_same, assert_same_run, on_host, rows, tiny

pytestmark = pytest.mark.usefixtures("quick")


def replica(result, number: int):
    """The last state of one replica."""
    return jax.tree.map(lambda x: np.asarray(x)[number], result.state)


def of_seed(row: dict, number: int, variant: str | None = None) -> dict:
    """The part of a line of metrics that belongs to a seed (and variant)."""
    return {
        k: v[number] if isinstance(v, list) else v
        for k, v in row.items()
        if variant is None or k.removeprefix("evaluation/").startswith(f"{variant}/")
    }


# ------------------------------------------------------------------------------------------- what a run leaves


def test_files(straight):
    run_dir = straight.run_dir
    assert straight.finished
    assert straight.num_updates == UPDATES
    assert load_config(run_dir) == CONFIG
    saved = json.loads((run_dir / "config.json").read_text())
    assert saved.pop("threads") >= 1
    assert saved == {"rookery": __version__, "config": to_dict(CONFIG)}
    assert checkpoint.saved_updates(run_dir / "checkpoints") == [6, 8]  # max_checkpoints=2
    assert checkpoint.restore_latest(run_dir / "checkpoints", straight.state, pytest.fail)[0] == 8
    assert {path.name for path in (run_dir / "agents").iterdir()} == {
        f"{variant}-seed3-novice-0.{ending}" for variant in ("social", "solo") for ending in ("json", "safetensors")
    }
    assert any((run_dir / "tb").iterdir())
    assert not [path for path in run_dir.rglob("*") if ".tmp" in path.name]
    status = json.loads((run_dir / "status.json").read_text())
    assert (status["num_updates"], status["total_updates"], status["steps"]) == (8, 8, 256)
    assert status["machine"]["jax"] == jax.__version__
    assert status["seconds"] == round(straight.seconds, 1) > 0


def test_exported_agents_are_those_of_the_state(straight):
    for number, variant in enumerate(("social", "solo")):
        agent = load_agent(straight.run_dir / "agents" / f"{variant}-seed3-novice-0.safetensors")
        params = replica(straight, number).learners["novice"].params["policy"]
        assert_same(agent.params, jax.tree.map(lambda x: x[0], params))
        trained = straight.run.team.groups[0].policy
        assert dataclasses.replace(agent.policy, observation_type=trained.observation_type) == trained
        assert agent.card["task"] == to_dict(CONFIG.task)
        assert (agent.card["steps"], agent.card["slot"]) == (256, 0)
    assert not np.array_equal(*straight.state.learners["novice"].params["policy"]["memory"]["hidden_bias"])


def test_metrics_are_complete(straight):
    lines = [json.loads(line) for line in (straight.run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines] == list(range(1, UPDATES + 1))
    assert [line["steps"] for line in lines] == [32 * n for n in range(1, UPDATES + 1)]
    played = ("return", "return_q15", "return_q85", "goals", "mistakes", "longest_streak", "steps_to_first_reward")
    learned = (
        "policy_loss", "value_loss", "entropy", "approx_kl", "approx_kl_max", "clip_fraction", "rolled_back",
        "gradient_steps", "aux_loss/next-frame", "learning_rate", "ent_coef",
    )  # fmt: skip
    for line in lines:
        assert all(line[name] > 0 for name in ("time/steps_per_second", "time/seconds"))
        assert line["time/compile_seconds"] >= 0
        for variant in ("social", "solo"):
            for name in (*(f"novice/{m}" for m in (*played, *learned)), *(f"other/{m}" for m in played)):
                (value,) = line[f"{variant}/{name}"]  # a list: one seed
                assert (value is None) == (variant == "solo" and name.startswith("other/")), name
            low, mean, high = (line[f"{variant}/novice/{m}"][0] for m in ("return_q15", "return", "return_q85"))
            assert low <= high
            assert math.isfinite(mean)
            assert line[f"{variant}/novice/entropy"][0] == pytest.approx(math.log(3), abs=0.3)
            assert line[f"{variant}/novice/gradient_steps"] == [2.0]


def test_metrics_show_the_schedules(straight):
    """Schedules advance with the fraction of updates done before, in every variant as configured."""
    fraction = np.arange(UPDATES) / UPDATES
    values = {
        name: np.array([row[name][0] for row in rows(straight.run_dir)])
        for name in rows(straight.run_dir)[0]
        if "/" in name
    }
    close = {"rtol": 1e-5}
    np.testing.assert_allclose(values["social/env_params/penalty"], 1.5 * fraction, **close)
    np.testing.assert_allclose(values["social/novice/learning_rate"], 1e-2 - 9e-3 * fraction, **close)
    np.testing.assert_allclose(values["solo/novice/learning_rate"], np.full(UPDATES, 2e-2), **close)
    np.testing.assert_allclose(values["social/novice/ent_coef"], np.interp(fraction, [0, 0.5], [0.1, 0.01]), **close)
    np.testing.assert_allclose(values["social/social_episode_prob"], 1 - 0.5 * fraction, **close)
    np.testing.assert_array_equal(values["solo/social_episode_prob"], 0)


def test_every_checkpoint_has_a_social_and_a_solo_evaluation(straight):
    for row in rows(straight.run_dir):
        names = {name for name in row if name.startswith("evaluation/")}
        assert bool(names) == (row["update"] in (3, 6, 8))
        for variant in ("social", "solo") if names else ():
            prefix = f"evaluation/{variant}/novice"
            social, solo, gain = (row[f"{prefix}/{part}/return"][0] for part in ("social", "solo", "social_gain"))
            assert gain == pytest.approx(social - solo, abs=1e-6)
            others = ("return_q15", "return_q85", "goals", "mistakes", "longest_streak", "steps_to_first_reward")
            assert names >= {f"{prefix}/{part}/{name}" for part in ("social", "solo") for name in others}


def test_names_of_agents():
    assert slot_names(CONFIG) == ["novice", "other"]
    pair = GroupConfig(name="pair", slots=(2, 0), policy=RandomPolicyConfig())
    config = tiny(team=(pair, dataclasses.replace(NOVICE, slots=(1,))))
    assert slot_names(config) == ["pair-0", "novice", "pair-2"]


# ------------------------------------------------------------------------------------------- the same numbers


def test_the_same_twice(straight, tmp_path):
    assert_same_run(train(CONFIG, tmp_path / "run", quiet=True), straight)


def test_another_seed_is_another_run(straight, tmp_path):
    other = train(tiny(seed=4), tmp_path / "run", quiet=True)
    assert rows(other.run_dir) != rows(straight.run_dir)


@pytest.mark.exact
def test_seeds_side_by_side_are_the_seeds_one_at_a_time(straight, tmp_path):
    """Four replicas on two devices, and the two of each seed by themselves."""
    wide = on_host(train(tiny(num_seeds=2, eval_episodes=0), tmp_path / "wide", quiet=True))
    single = on_host(train(tiny(seed=4), tmp_path / "single", quiet=True))
    for variant in range(2):
        assert_same(replica(wide, 2 * variant), replica(straight, variant))
        assert_same(replica(wide, 2 * variant + 1), replica(single, variant))
    for number, narrow in enumerate((straight, single)):
        for row, other in zip(rows(wide.run_dir), rows(narrow.run_dir), strict=True):
            assert of_seed(row, number) == {k: v for k, v in of_seed(other, 0).items() if "evaluation/" not in k}


@pytest.mark.exact
def test_one_device_or_two(straight, tmp_path):
    assert len(jax.devices()) >= 2, "tests need XLA_FLAGS=--xla_force_host_platform_device_count=2"
    result = train(CONFIG, tmp_path / "run", quiet=True, devices=jax.devices()[:1])
    assert_same_run(result, straight)


@pytest.mark.exact
def test_a_variant_does_not_depend_on_the_others(straight, tmp_path):
    result = train(tiny(variants=CONFIG.variants[:1], eval_episodes=0), tmp_path / "run", quiet=True)
    assert_same(replica(result, 0), replica(straight, 0))
    for row, other in zip(rows(result.run_dir), rows(straight.run_dir), strict=True):
        assert of_seed(row, 0, "social") == {
            k: v for k, v in of_seed(other, 0, "social").items() if "evaluation/" not in k
        }


def test_variants_of_one_seed_start_alike(straight):
    state = jax.device_get(straight.run.init())
    assert_same(*(replica(dataclasses.replace(straight, state=state), number) for number in (0, 1)))
    first = rows(straight.run_dir)[0]
    assert first["social/social_episode_prob"] == [1.0]


def test_nothing_compiles_after_the_first_checkpoint(tmp_path, monkeypatch, caplog):
    """Neither when schedules change values, nor when later checkpoints evaluate, save and export."""
    write, log = metrics.MetricsWriter.write, logging.getLogger("mark")

    def mark(self, update, *rest):
        log.warning("update %d", update)
        write(self, update, *rest)

    monkeypatch.setattr(metrics.MetricsWriter, "write", mark)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        train(CONFIG, tmp_path / "run", quiet=True)
    messages = [record.getMessage() for record in caplog.records]
    start = messages.index("update 3")  # the first checkpoint came with it
    assert messages[start:].count("update 8") == 1
    assert [line for line in messages[start:] if line.startswith(("Compiling", "Finished tracing"))] == []
    # Between updates nothing but the update runs.
    between = messages[messages.index("update 1") : messages.index("update 2")]
    assert [line for line in between if line.startswith("Compiling")] == []


# ------------------------------------------------------------------------------------------- divergence


def test_devices_of_another_platform_are_refused_before_anything_is_written(tmp_path, monkeypatch):
    """Networks choose their programs by the platform of JAX."""
    monkeypatch.setattr("rookery.training.trainer.jax_devices", lambda: [SimpleNamespace(platform="gpu")])
    with pytest.raises(ConfigError, match="is a cpu device, and JAX computes on gpu ones; set JAX_PLATFORMS=cpu, and"):
        train(CONFIG, tmp_path / "run", devices=jax.devices())
    assert not (tmp_path / "run").exists()


def test_a_number_that_is_not_finite_stops_the_run_with_its_place(tmp_path):
    config = tiny(
        variants=(
            CONFIG.variants[0],
            Variant(name="solo", social_episode_prob=0.0, learning_rate=((0.5, 1e-2), (0.6, 1e38))),
        )
    )
    with pytest.raises(DivergedError) as caught:
        train(config, tmp_path / "run", quiet=True)
    message = str(caught.value)
    assert "of 'novice' is not finite at update " in message
    assert "(variant 'solo', seed 3)" in message
    assert "\n" not in message
    assert DivergedError.exit_code == 7
    # What was saved before is valid, and resuming ends in the same way.
    saved = checkpoint.saved_updates(tmp_path / "run" / "checkpoints")
    assert saved == [3]
    _, state = checkpoint.restore_latest(tmp_path / "run" / "checkpoints", _like(config), pytest.fail)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state) if leaf.dtype.kind == "f")
    with pytest.raises(DivergedError) as again:
        resume(tmp_path / "run", quiet=True)
    assert str(again.value) == message


def _like(config):
    from rookery.training.build import build

    return jax.eval_shape(build(config).init)


def test_a_learner_in_no_episode_is_shown_without_a_warning(tmp_path):
    """With one solo episode per update only one of two learners takes part."""
    pair = dataclasses.replace(NOVICE, name="pair", slots=(0, 1))
    config = tiny(
        team=(pair,), variants=(Variant(social_episode_prob=0.0),), num_envs=1, total_timesteps=8, eval_episodes=0
    )
    result = train(config, tmp_path / "run")
    (row,) = rows(result.run_dir)
    assert row["main/pair-1/return"] == [None]
    assert row["main/pair-0/return"][0] is not None


@pytest.mark.usefixtures("quick")
def test_jaxs_own_nan_hunter_finds_none(straight, tmp_path):
    """What has no value, such as the return of an agent that was in no episode, is not NaN in a compiled program."""
    with jax.debug_nans(True):
        result = train(CONFIG, tmp_path / "run", quiet=True)
    assert_same_run(result, straight)
    assert any(value == [None] for row in rows(result.run_dir) for value in row.values())
