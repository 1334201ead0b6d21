import dataclasses
import re
from pathlib import Path
from typing import Literal

import jax.numpy as jnp
import pytest

from rookery.agents import zoo
from rookery.errors import ConfigError, RookeryError
from rookery.gridworld.spec import ViewConfig
from rookery.interfaces import Task
from rookery.keys import FIRST_GROUP_PARAMS
from rookery.learning.ppo import PPO
from rookery.learning.r2d2 import R2D2
from rookery.storage.serialization import apply_overrides, from_dict, to_dict
from rookery.training.config import (
    FrozenPolicyConfig,
    GroupConfig,
    RandomPolicyConfig,
    RecurrentPolicyConfig,
    RunConfig,
    ScriptedPolicyConfig,
    Variant,
)
from rookery.training.train_step import _fraction_done
from rookery.training.trainer import default_run_dir, train
from tests.interop.counting import CountingEnv
from tests.tiny import CONFIG, NETWORK, NOVICE, OTHER, TASK, save_novice, tiny


def refusal(kind: type[RookeryError], call) -> str:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def trained(tmp_path, config=None, changes=()) -> str:
    """The error of `train` for a configuration, which must leave no files."""
    run_dir = tmp_path / "run"

    def call():
        train(apply_overrides(config or CONFIG, changes), run_dir, quiet=True)

    with pytest.raises(RookeryError) as caught:
        call()
    assert not run_dir.exists()
    assert "\n" not in str(caught.value)
    return f"{type(caught.value).__name__}: {caught.value}"


def test_round_trip():
    assert from_dict(RunConfig, to_dict(CONFIG)) == CONFIG


@dataclasses.dataclass(frozen=True)
class FiveStepsEnv(CountingEnv):
    max_steps = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class FiveSteps(Task):
    """A task whose environment alone has a length."""

    kind: Literal["five-steps"] = "five-steps"
    limit: int = 6

    def make_env(self):
        return FiveStepsEnv(self)


def test_the_length_of_an_episode_is_the_environments():
    assert tiny(task=FiveSteps(), env_schedules={}).steps_per_update == 4 * 5


def test_updates_reach_the_steps():
    assert (CONFIG.steps_per_update, CONFIG.total_updates) == (32, 8)
    assert tiny(total_timesteps=1).total_updates == 1
    assert tiny(total_timesteps=33).total_updates == 2


def test_updates_stay_below_the_numbers_of_other_keys():
    most = FIRST_GROUP_PARAMS * CONFIG.steps_per_update
    assert tiny(total_timesteps=most).total_updates == FIRST_GROUP_PARAMS  # the last is number 999,999
    with pytest.raises(
        ConfigError,
        match=r"^total_timesteps=32000001 are 1,000,001 updates of num_envs × max_steps = 32 steps; at most 1,000,000 "
        "are allowed: lower total_timesteps, or raise num_envs$",
    ):
        tiny(total_timesteps=most + 1)
    assert CONFIG.replicas == (("social", 3), ("solo", 3))
    both = (("social", 3), ("social", 4), ("solo", 3), ("solo", 4))
    assert tiny(num_seeds=2).replicas == both


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (["num_sedes=2"], "config.num_sedes is not known; did you mean 'num_seeds'"),
        (["team.0.learner.clip_ep=0.1"], "config.team.0.learner.clip_ep is not known; did you mean 'clip_eps'"),
        (["task.veiws=[]"], "config.task.veiws is not known; did you mean 'views'"),
        (["team.1.policy.kind=frzen"], "config.team.1.policy.kind \"frzen\" is not known; did you mean 'frozen'"),
        (["team.7.name=x"], "config.team.7 is not known; allowed: 0 to 1"),
        (["num_seeds"], "override 'num_seeds' is not key=value"),
        (["num_seeds=two"], 'config.num_seeds is "two"; it must be a whole number'),
        (["task.height=2"], "a world of 2×6 has no room inside its border"),
        (["task.num_obstacles=40"], "do not fit on the 12 free cells of a 5×6 world"),
        (["task.num_goals=0"], "num_goals=0 must be at least 1"),
        (["task.penalty=-1"], "penalty=-1.0 must be non-negative; it is subtracted from the reward"),
        (["task.max_steps=0"], "max_steps=0 must be at least 1"),
        (["task.views.0.size=4"], "config.task.views.0: view size=4 must be odd"),
        (["task.map=####\n#x.#\n####"], "config.task: map line 2, column 2: 'x' is not known"),
        (["task.map=####\n#..#\n###"], "config.task: map line 3, column 4: 3 cells where line 1 has 4"),
        (["task.map="], "the map is empty"),
        (["team.0.slots=[0,1]"], "the team fills slots [0, 1, 1], the environment has slots [0, 1]"),
        (["team.1.slots=[2]"], "group 'other' fills slot 2, the task has slots 0 to 1"),
        (["team.1.name=novice"], "names novice, novice must differ"),
        (["team.1.slots=[]"], "slots () must be one or more different slot numbers"),
        (["team.1.name=a b"], "group name 'a b' must be letters, digits"),
        (["team=[]"], "the team is empty"),
        (["team.0.learner=null"], "an untrained network needs a learner"),
        (["team.1.policy.kind=frozen"], "lacks 'checkpoint', which must be given"),
        (["team.0.policy.network.kind=ndousse2021"], "the ndousse2021 network takes pictures of 21×21×3, not 3×3×8"),
        (["team.0.policy.network.encoder_size=0"], "encoder_size=0 must be at least 1"),
        (["team.0.learning_rate=[[0,1],[0,2]]"], "novice.learning_rate: fractions of the run [0.0, 0.0] must increase"),
        (["team.0.learning_rate=-1"], "novice.learning_rate: value -1.0 must lie in"),
        (["team.0.learning_rate=[[0,1,2]]"], "config.team.0.learning_rate.0 has 3 elements"),
        (["team.0.ent_coef=[]"], "novice.ent_coef has no points"),
        (["social_episode_prob=1.5"], "social_episode_prob: value 1.5 must lie in [0.0, 1.0]"),
        (["variants.1.social_episode_prob=-1"], "variant solo.social_episode_prob: value -1.0 must lie in [0.0, 1.0]"),
        (["variants.0.name=solo"], "variants must have different names"),
        (["variants=[]"], "variants must have different names, and there must be at least one"),
        (["env_schedules.penatly=1"], "env_schedules.penatly is not a number of this task; allowed: "),
        (["variants.0.env_schedules={\"num_goals\": 3}"], "env_schedules.num_goals is not a number of this task"),
        (["env_schedules.penalty=[[0, 0.5], [1, -0.5]]"], "env_schedules.penalty: penalty=-0.5 must be non-negative"),
        (["total_timesteps=0"], "total_timesteps=0 must be at least 1"),
        (["variants.0.name=evaluation"], "variant name 'evaluation' is reserved in metrics"),
        (["name="], "name '' must be printable text of 1 to 200 characters"),
        ([f"variants.0.name={'ä' * 90}", "team.0.name=n"], "have names too long for the file of an agent: at most 180"),
        (["num_seeds=0"], "num_seeds=0 must be at least 1"),
        (["seed=-1"], "seed=-1 must lie in [0, 2^31 - num_seeds]"),
        (["seed=2147483647", "num_seeds=2"], "seed=2147483647 must lie in [0, 2^31 - num_seeds]"),
        (["eval_episodes=-1"], "eval_episodes=-1 must be at least 0"),
        (["team.0.learner.num_minibatches=3", "team.0.learner.recompute_every=2"], "recompute_every=2 must divide"),
        (["team.0.learner.gamma=0"], "gamma=0.0 must lie in (0, 1]"),
    ],
)  # fmt: skip
def test_refused_with_its_place_before_anything_is_compiled_or_written(tmp_path, changes, expected, monkeypatch):
    monkeypatch.setattr("rookery.training.train_step.Run.compile_train_step", lambda *_: pytest.fail("compiled"))
    message = trained(tmp_path, changes=changes)
    assert message.startswith("ConfigError: ")
    assert expected in message


def test_who_learns():
    def group(**changes):
        return lambda: dataclasses.replace(OTHER, **changes)

    learner = NOVICE.learner
    for kind, policy in (
        ("scripted", ScriptedPolicyConfig()),
        ("random", RandomPolicyConfig()),
        ("frozen", FrozenPolicyConfig(checkpoint="x")),
    ):
        assert f"a {kind} policy cannot learn" in refusal(ConfigError, group(policy=policy, learner=learner))
    assert "no group of the team learns" in refusal(ConfigError, lambda: tiny(team=(OTHER,)))
    assert "variant name" in refusal(ConfigError, lambda: Variant(name="a/b"))


def test_frozen_agents_are_found_or_the_zoo_is_listed(tmp_path):
    def team(source):
        return tiny(team=(NOVICE, dataclasses.replace(OTHER, policy=FrozenPolicyConfig(checkpoint=source))))

    message = trained(tmp_path, team("goal-cycle-dmo-expert"))
    assert message.startswith("NotFoundError: the zoo has no 'goal-cycle-dmo-expert'; ")
    assert all(name in message for name in zoo.entry_names())
    message = trained(tmp_path, team(f"{tmp_path}/absent.safetensors"))
    assert message.startswith("NotFoundError: ")
    assert "no such card" in message
    message = trained(tmp_path, team(f"{tmp_path}/folder"))
    assert "an agent is a .safetensors file or one of" in message


def test_frozen_agents_must_fit_the_task(tmp_path):
    path = save_novice(tmp_path / "agent.safetensors")
    frozen = dataclasses.replace(OTHER, policy=FrozenPolicyConfig(checkpoint=str(path)))
    wide = ViewConfig(size=5, observation_type="symbolic")
    task = dataclasses.replace(TASK, views=(TASK.views[0], wide))
    message = trained(tmp_path, tiny(task=task, team=(NOVICE, frozen)))
    assert message.startswith("IncompatibleError: group 'other': ")
    assert "was trained on observations of (3, 3, 8), here it would see (5, 5, 8)" in message


def test_a_start_must_fit_the_network(tmp_path):
    path = save_novice(tmp_path / "agent.safetensors")
    network = dataclasses.replace(NETWORK, head_size=5)
    novice = dataclasses.replace(NOVICE, policy=RecurrentPolicyConfig(network=network, init_from=str(path)))
    message = trained(tmp_path, tiny(team=(novice, OTHER)))
    assert message.startswith("IncompatibleError: group 'novice': ")
    assert re.search(r"has .*head_size=4.* the group has .*head_size=5", message)


def test_views_of_one_group_must_be_alike(tmp_path):
    both = GroupConfig(name="both", slots=(0, 1), policy=NOVICE.policy, learner=NOVICE.learner)
    task = dataclasses.replace(TASK, views=(TASK.views[0], ViewConfig(size=5, observation_type="symbolic")))
    assert "whose views differ in shape" in trained(tmp_path, tiny(task=task, team=(both,)))


@pytest.mark.parametrize("name", [".", "..", "../../other", "a/../../b", "/etc/run"])
def test_a_name_never_leads_out_of_the_folder_of_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert f"name {name!r} is not that of a folder in runs" in refusal(ConfigError, lambda: train(tiny(name=name)))
    assert list(tmp_path.iterdir()) == []
    assert default_run_dir("studies/mine") == Path("runs/studies/mine")


def test_a_used_folder_is_refused_and_untouched(tmp_path):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "config.json").write_text("{}")
    message = refusal(ConfigError, lambda: train(CONFIG, run_dir, quiet=True))
    assert "already holds a run; continue it with 'rookery resume'" in message
    assert [path.name for path in run_dir.iterdir()] == ["config.json"]


def test_probabilities_are_at_most_one():
    for name in ("epsilon", "importance_exponent"):
        with pytest.raises(ConfigError, match=rf"student\.hparams\.{name}: value 5.0 must lie in \[0.0, 1.0\]"):
            GroupConfig(name="student", slots=(0,), learner=R2D2(), hparams={name: 5.0})


def test_agents_of_different_groups_have_different_names():
    """Otherwise the metrics of one would overwrite the other's."""
    pair = GroupConfig(name="a", slots=(0, 1), learner=PPO())
    with pytest.raises(ConfigError, match="names a-0, a-1, a-1 must differ"):
        RunConfig(team=(pair, GroupConfig(name="a-1", slots=(2,), policy=RandomPolicyConfig())))


def test_more_steps_than_an_int32_holds():
    few, many = (tiny(total_timesteps=steps, num_envs=1024) for steps in (2**31 - 1, 3 * 2**31))
    assert _fraction_done(jnp.int32(1000), few) == pytest.approx(1000 * few.steps_per_update / few.total_timesteps)
    half = many.total_updates // 2
    assert _fraction_done(jnp.int32(half), many) == pytest.approx(0.5, rel=1e-3)
