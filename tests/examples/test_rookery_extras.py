"""The example package, installed as a user would: one extension of each kind trains, is saved, loaded and played."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "rookery_extras"


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with the package as pip installs it: its code and its entry points."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--no-build-isolation", "--target", str(folder), str(EXAMPLE)]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return folder


def python(installed: Path, *arguments: str, timeout: float = 900) -> str:
    path = os.pathsep.join([str(installed), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, *map(str, arguments)]
    process = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, env={**os.environ, "PYTHONPATH": path}
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


def test_all_five_train_together_and_are_saved_evaluated_replayed_and_loaded(installed, tmp_path):
    run, config = tmp_path / "run", json.loads((EXAMPLE / "run.json").read_text())
    config["config"] |= {"total_timesteps": 800, "num_envs": 4, "eval_episodes": 0, "checkpoint_interval": 1}
    config["config"]["task"]["max_steps"] = 100
    config["config"]["team"][0]["slots"], config["config"]["team"][1]["slots"] = [0], [1, 2]
    (tmp_path / "run.json").write_text(json.dumps(config))
    python(installed, "-m", "rookery", "train", tmp_path / "run.json", "--out", run, "--quiet")
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for name in ("met", "aux_loss/reward-prediction", "intrinsic_reward/rnd", "intrinsic_loss/rnd", "policy_loss"):
        assert f"main/agent/{name}" in rows[-1]
    assert rows[-1]["main/agent/intrinsic_loss/rnd"] < rows[0]["main/agent/intrinsic_loss/rnd"]

    evaluated = python(installed, "-m", "rookery", "eval", run, "--partners", "random", "--episodes", "2", "--json")
    assert {json.loads(line)["condition"] for line in evaluated.splitlines()} == {"social", "solo", "social_gain"}
    python(installed, "-m", "rookery", "replay", run, "--out", tmp_path / "film", "--png", "0")
    assert list(tmp_path.glob("film*.png"))

    played = python(
        installed,
        "-c",
        textwrap.dedent(f"""
        import gymnasium, rookery, rookery.interop
        agent = rookery.load(r"{run}/agents/main-seed0-agent-0.safetensors")
        env = gymnasium.make("rookery/meeting-place-v0")
        observation, _ = env.reset(seed=0)
        state = agent.initial_state()
        for _ in range(3):
            action, state = agent.act(observation, state)
            observation, reward, *_ = env.step(action)
        print(agent.card["network"]["kind"])
        """),
    )
    assert played.strip() == "residual"


def test_each_conforms(installed):
    python(
        installed,
        "-c",
        textwrap.dedent("""
        from rookery import plugins, testing
        from rookery.tasks import registry
        testing.check_task(registry.get_task("meeting-place-v0"), steps=5)
        testing.check_network(plugins.NETWORKS.get("residual")())
        testing.check_auxiliary_loss(plugins.AUXILIARY_LOSSES.get("reward-prediction")())
        testing.check_intrinsic_reward(plugins.INTRINSIC_REWARDS.get("rnd")())
        testing.check_learner(plugins.LEARNERS.get("awr")())
        testing.check_tracker(plugins.TRACKERS.get("csv"))
        from rookery.studies.summaries import read_summaries
        summary = read_summaries()["extras/rnd"]
        assert summary["runs"] == ["extras-rnd"] and summary["training_steps"]["smoke"] == 2 * 6400, summary
        """),
    )


def test_a_package_that_fails_adds_nothing_and_is_named(tmp_path):
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rookery.networks]\nbroken = broken_module:Network\n")
    result = python(
        tmp_path,
        "-c",
        textwrap.dedent("""
        import warnings
        from rookery import plugins
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            print(plugins.NETWORKS.names())
        print(*(warning.message for warning in caught))
        """),
    )
    assert "'mlp'" in result
    assert "broken" not in result.splitlines()[0]
    assert "broken: its entries of rookery.networks are left out" in result
