"""What `import rookery` offers: every name resolves, and the functions do what their documentation says."""

import ast
import dataclasses
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import rookery
from rookery.tasks import registry
from tests.tiny import TASK, assert_same, on_host, rows, save_novice, tiny


def test_every_name_resolves_and_is_documented():
    for name in rookery.__all__:
        assert getattr(rookery, name).__doc__, name
    assert set(rookery.__all__) <= set(dir(rookery))
    with pytest.raises(AttributeError, match="no attribute 'mak'"):
        rookery.mak  # noqa: B018


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(rookery.__file__).read_text())
    block = next(n for n in tree.body if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING")
    imported = {
        (alias.asname or alias.name): f"{node.module}:{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == rookery._MODULES
    assert sorted(imported) == sorted(rookery.__all__)


def test_importing_does_not_import_jax():
    code = "import sys, rookery; print(*{'jax', 'numpy', 'tyro'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split() == []


def test_make():
    env = rookery.make("goal-cycle-4-v0")
    assert env.num_agents == 3
    assert env.task == registry.get_task("goal-cycle-4-v0")
    _, timestep = jax.jit(env.reset)(jax.random.PRNGKey(0), env.default_params())
    assert isinstance(timestep, rookery.TimeStep)
    assert timestep.observation.shape == (3, 21, 21, 3)
    assert rookery.make("goal-cycle-v0", num_goals=5).task.num_goals == 5


def test_make_refuses():
    with pytest.raises(rookery.NotFoundError, match="did you mean 'goal-cycle-v0'"):
        rookery.make("goal-cycle-v")
    with pytest.raises(rookery.ConfigError, match="goal-cycle-v0 has no setting 'num_gaols'; did you mean 'num_goals'"):
        rookery.make("goal-cycle-v0", num_gaols=4)
    with pytest.raises(rookery.ConfigError, match="num_goals"):
        rookery.make("goal-cycle-v0", num_goals=-1)


def test_register(monkeypatch):
    monkeypatch.setattr(registry, "TASKS", dict(registry.TASKS))
    rookery.register("my-task-v0", "Goal Cycle on 5×6 cells", TASK)
    assert rookery.make("my-task-v0").task == TASK
    with pytest.raises(rookery.ConfigError, match="my-task-v0"):
        rookery.register("my-task-v0", "again", TASK)


@pytest.mark.usefixtures("quick")
def test_train_and_resume(straight, tmp_path):
    config = tiny()
    stopped = rookery.train(config, out=tmp_path / "run", quiet=True, stop_after=0)
    assert isinstance(stopped, rookery.TrainResult)
    assert (stopped.num_updates, stopped.finished, stopped.run_dir) == (1, False, tmp_path / "run")
    result = rookery.resume(str(tmp_path / "run"), quiet=True)
    assert result.finished
    assert rows(result.run_dir) == rows(straight.run_dir)
    assert_same(on_host(result).state, on_host(straight).state)


@pytest.mark.usefixtures("quick")
def test_train_takes_a_preset_and_a_default_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(rookery.NotFoundError, match="no preset 'smok'; did you mean 'smoke'"):
        rookery.train("smok")
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("rookery.training.trainer.preset", {"mine": tiny(name="mine")}.get)
    assert rookery.train("mine", quiet=True, stop_after=0).run_dir == Path("runs/mine")
    assert (tmp_path / "runs" / "mine" / "config.json").exists()


def test_preset():
    config = rookery.preset("demo")
    assert isinstance(config, rookery.RunConfig)
    assert dataclasses.replace(config, num_seeds=3).num_seeds == 3


def test_evaluate(tmp_path):
    agent = save_novice(tmp_path / "agent.safetensors")
    social, solo, gain = rookery.evaluate(agent, partners="random", episodes=4, seed=1)
    assert [row["condition"] for row in (social, solo, gain)] == ["social", "solo", "social_gain"]
    assert gain["return"] == pytest.approx(social["return"] - solo["return"], abs=1e-5)
    assert {"goals", "mistakes", "return_partners", "low", "high"} <= social.keys()
    (alone,) = rookery.evaluate(agent, partners="none", episodes=4, task_overrides=["penalty=0.5"])
    assert alone["condition"] == "solo"
    with pytest.raises(rookery.NotFoundError, match="the zoo has no 'nobody-like-me'"):
        rookery.evaluate("nobody-like-me")


def test_load(tmp_path):
    agent = save_novice(tmp_path / "agent.safetensors")
    actor = rookery.load(str(agent))
    env = TASK.make_env()
    _, timestep = env.reset(jax.random.PRNGKey(0), env.default_params())
    action, _ = actor.act(jax.device_get(timestep.observation[0]), actor.initial_state())
    assert 0 <= action < env.num_actions
