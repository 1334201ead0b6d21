import dataclasses

import numpy as np
import pytest

from rookery.agents.random_policy import RandomPolicy
from rookery.agents.scripted.goal_cycle_expert import GoalCyclePlanner
from rookery.errors import ConfigError, CorruptFileError, IncompatibleError
from rookery.learning.a2c import A2C
from rookery.learning.auxiliary.attention import AttentionLoss
from rookery.learning.intrinsic.reciprocity import Reciprocity
from rookery.learning.ppo import PPO
from rookery.learning.r2d2 import R2D2
from rookery.plugins import INTRINSIC_REWARDS
from rookery.training.build import build, initial_params
from rookery.training.config import FrozenPolicyConfig, RecurrentPolicyConfig, ScriptedPolicyConfig
from rookery.training.policy_config import check_compatible
from rookery.training.trainer import train
from tests.tiny import CONFIG, NETWORK, NOVICE, OTHER, TASK, assert_same, params, policy, save_novice, tiny


def test_every_kind_of_policy(tmp_path):
    source = str(save_novice(tmp_path / "agent.safetensors"))
    task = dataclasses.replace(TASK, views=TASK.views * 2, num_obstacles=0)
    team = (
        dataclasses.replace(OTHER, name="scripted", slots=(3,), policy=ScriptedPolicyConfig()),
        dataclasses.replace(OTHER, name="frozen", slots=(2,), policy=FrozenPolicyConfig(checkpoint=source)),
        OTHER,
        NOVICE,
    )
    run = build(tiny(task=task, team=team))
    scripted, frozen, random, novice = run.team.groups
    assert scripted.policy == GoalCyclePlanner(num_goals=2, height=5, width=6)
    assert frozen.policy == novice.policy == policy()
    assert random.policy == RandomPolicy(3)
    assert [group.learns for group in run.team.groups] == [False, False, False, True]
    assert run.team.learning_slots == (0,)
    assert set(run.frozen_params) == {"scripted", "frozen", "other"}
    assert_same(run.frozen_params["frozen"], params())


def test_the_planner_knows_the_size_of_an_ascii_map():
    task = dataclasses.replace(TASK, map="########\n#..1.2.#\n#......#\n########")
    run = build(tiny(task=task, team=(NOVICE, dataclasses.replace(OTHER, policy=ScriptedPolicyConfig()))))
    planner = run.team.groups[1].policy
    assert (planner.height, planner.width) == (4, 8)


def test_fit():
    check_compatible(policy(), (3, 3, 8), 3, "it")
    check_compatible(policy(), (3, 3, 8), 7, "it")  # it never takes the other actions
    with pytest.raises(
        IncompatibleError, match=r"it was trained on observations of \(3, 3, 8\), here it would see \(5, 5, 8\)"
    ):
        check_compatible(policy(), (5, 5, 8), 3, "it")
    seven = dataclasses.replace(policy(), num_actions=7)
    with pytest.raises(IncompatibleError, match="it has 7 actions, this task only 3; set num_actions=7"):
        check_compatible(seven, (3, 3, 8), 3, "it")


def test_a_damaged_frozen_agent(tmp_path):
    path = save_novice(tmp_path / "agent.safetensors")
    path.write_bytes(path.read_bytes()[:-1])
    frozen = dataclasses.replace(OTHER, policy=FrozenPolicyConfig(checkpoint=str(path)))
    with pytest.raises(CorruptFileError, match="sha256 differs"):
        build(tiny(team=(NOVICE, frozen)))


@pytest.mark.usefixtures("quick")
def test_every_replica_starts_from_the_initial_agent(tmp_path):
    source = str(save_novice(tmp_path / "agent.safetensors"))
    novice = dataclasses.replace(
        NOVICE, policy=RecurrentPolicyConfig(network=NETWORK, init_from=source), learning_rate=0.0
    )
    variants = tuple(dataclasses.replace(variant, learning_rate=0.0) for variant in CONFIG.variants)
    config = tiny(team=(novice, OTHER), variants=variants, eval_episodes=0)
    initial = initial_params(config, build(config))
    assert_same(initial["novice"], params())
    assert initial_params(CONFIG, build(CONFIG)) == {}
    # With a learning rate of 0 the run also ends with them.
    result = train(config, tmp_path / "run", quiet=True, stop_after=0)
    kernels = result.state.learners["novice"].params["policy"]["heads"]["policy3"]["kernel"]
    for kernel in np.asarray(kernels):
        np.testing.assert_array_equal(kernel[0], params()["heads"]["policy3"]["kernel"])


OWN_REWARDS = [
    name for name in INTRINSIC_REWARDS.names() if INTRINSIC_REWARDS.get(name).__module__.startswith("rookery.")
]


@pytest.mark.parametrize(
    "learner",
    [
        A2C(sequence_length=4, auxiliary=(AttentionLoss(),)),
        PPO(alignment_coef=1.0),
        *(A2C(sequence_length=4, intrinsic=(INTRINSIC_REWARDS.get(name)(),)) for name in OWN_REWARDS),
    ],
    ids=lambda learner: "-".join(part.kind for part in (*learner.auxiliary, *learner.intrinsic)) or "alignment",
)
def test_what_goes_by_others_in_a_task_of_one_agent_is_refused(learner):
    """All would be accepted, and have no effect."""
    alone = dataclasses.replace(TASK, views=TASK.views[:1])
    with pytest.raises(
        ConfigError, match=r"information about other agents .* and the task has one agent; give the task"
    ):
        build(tiny(task=alone, team=(dataclasses.replace(NOVICE, learner=learner),)))


@pytest.mark.parametrize(
    ("learner", "kind"),
    [(R2D2(capacity=8), "r2d2"), (A2C(sequence_length=4, intrinsic=(Reciprocity(),)), "reciprocity")],
)
def test_what_would_learn_wrong_values_from_absences_is_refused(learner, kind):
    """Where only other agents leave, both learn."""
    team = (dataclasses.replace(NOVICE, learner=learner), OTHER)
    build(tiny(team=team, task=dataclasses.replace(TASK, dropout_slots=(1,), leave_prob=0.1, return_prob=0.1)))
    leaving = dataclasses.replace(TASK, dropout_slots=(0, 1), leave_prob=0.1, return_prob=0.1)
    with pytest.raises(ConfigError, match=rf"^group 'novice': '{kind}' does not support agents that leave .* \[0\]"):
        build(tiny(team=team, task=leaving))


def test_slots():
    with pytest.raises(ConfigError, match="fills slot 5, the task has slots 0 to 1; give the task one view per agent"):
        build(tiny(team=(NOVICE, dataclasses.replace(OTHER, slots=(1, 5)))))
