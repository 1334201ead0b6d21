"""Agents take the slot that they were trained in, and partners are those of training or none."""

import dataclasses

import jax
import numpy as np
import pytest

from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.weights import save_agent
from rookery.commands.evaluate import evaluate
from rookery.errors import CorruptFileError, NotFoundError
from rookery.storage.serialization import to_dict
from rookery.studies.frozen_evaluation import EvalCondition, EvaluatedAgent
from rookery.tasks.goal_sequence import GoalSequence
from rookery.training.config import FrozenPolicyConfig, OraclePolicyConfig, RandomPolicyConfig, ScriptedPolicyConfig
from rookery.training.evaluation import evaluate_team
from rookery.training.make_team import make_team_setup
from tests.tiny import NETWORK, TASK

EPISODES = 6


@pytest.fixture
def saved(tmp_path):
    """Write an untrained agent with a card that says where it was trained."""

    def save(**card):
        env = TASK.make_env()
        policy = RecurrentPolicy(NETWORK, env.observation_shape(0), env.num_actions)
        path = tmp_path / "agent.safetensors"
        save_agent(path, policy, policy.init(jax.random.PRNGKey(0)), {"task": to_dict(TASK), **card})
        return str(path)

    return save


def test_an_agent_is_evaluated_in_the_slot_that_it_was_trained_in(saved):
    agent = saved(slot=1, partners="random")
    setup = make_team_setup(agent)
    assert setup.agent_slot == 1
    assert setup.only_agent.tolist() == [slot == 1 for slot in range(setup.env.num_agents)]
    assert [group.slots for group in setup.team.groups] == [(1,), tuple(set(range(setup.env.num_agents)) - {1})]
    social, solo, _ = evaluate(agent, episodes=EPISODES)
    for row, mask in ((social, np.ones_like(setup.only_agent)), (solo, setup.only_agent)):
        returns = evaluate_team(setup, EPISODES, 0, mask).episode_return
        assert row["return"] == pytest.approx(returns[:, 1].mean(), abs=1e-6)
    assert make_team_setup(agent, "none").env.num_agents == 1


def test_an_agent_alone_needs_no_slots_of_agents_that_fade_or_leave():
    fading = GoalSequence(fading_slots=(1,), fade=1.0, visibility=0.5, dropout_slots=(2,), leave_prob=0.1)
    setup = make_team_setup("scripted", "none", fading)
    assert setup.env.num_agents == 1
    assert setup.env.task == dataclasses.replace(
        fading, views=fading.views[:1], fading_slots=(), fade=0.0, visibility=1.0, dropout_slots=(), leave_prob=0.0
    )


def test_a_study_evaluates_agents_in_the_slot_of_its_condition(saved):
    agent = saved(slot=1, partners="random")
    condition = EvalCondition(
        name="second", task=lambda budget: TASK, partners=lambda budget: (RandomPolicyConfig(),), slot=1
    )
    evaluator = condition.evaluator("smoke", EPISODES)
    evaluated = EvaluatedAgent.of(FrozenPolicyConfig(checkpoint=agent), seed=0)
    (social, solo, gain) = evaluate(agent, episodes=EPISODES, seed=7)
    measured = evaluator.evaluate(evaluated, seed=7)
    for name, row in (("return_social", social), ("return_solo", solo), ("social_gain", gain)):
        assert measured[name]["mean"] == pytest.approx(row["return"], abs=1e-6)
    first = EvalCondition(name="first", task=condition.task, partners=condition.partners)
    keys = {c.evaluator("smoke", EPISODES).measurement_key(evaluated, 7) for c in (condition, first)}
    assert len(keys) == 2, "measurements in two slots are two files"


def test_a_task_without_that_slot_has_the_agent_in_slot_0(saved):
    setup = make_team_setup(saved(slot=5), "random")
    assert (setup.agent_slot, setup.team.groups[0].slots) == (0, (0,))


@pytest.mark.parametrize("slot", [-1, "1", 1.0, True, None])
def test_a_card_with_an_impossible_slot(saved, slot):
    with pytest.raises(CorruptFileError, match=r"slot(=| is )"):
        make_team_setup(saved(slot=slot))


def test_partners_of_several_kinds_take_the_slots_that_they_had_in_training(saved):
    agent = saved(slot=1, partners="random, scripted", partners_by_slot={"0": "random", "2": "scripted"})
    four = dataclasses.replace(TASK, views=TASK.views[:1] * 4, max_steps=4)
    groups = make_team_setup(agent, task=four).team.groups
    assert [(group.slots, group.policy.role) for group in groups[1:]] == [((0,), "random"), ((2, 3), "scripted")]
    assert [group.slots for group in make_team_setup(agent, "random", four).team.groups] == [(1,), (0, 2, 3)]
    assert [group.slots for group in make_team_setup(agent).team.groups] == [(1,), (0,)]


@pytest.mark.parametrize("partners", ["oracle", "scripted-partial, random"])
def test_partners_that_no_command_can_make_are_asked_for(saved, partners):
    with pytest.raises(NotFoundError, match=rf"was trained with '{partners}'.*use --partners"):
        make_team_setup(saved(partners=partners))


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (ScriptedPolicyConfig(), "scripted"),
        (ScriptedPolicyConfig(observability="partial"), "scripted-partial"),
        (RandomPolicyConfig(), "random"),
        (OraclePolicyConfig(), "oracle"),
        (FrozenPolicyConfig(checkpoint="goal-cycle-demo-expert"), "goal-cycle-demo-expert"),
    ],
)
def test_cards_and_datasets_name_a_policy_as_commands_do(config, name):
    assert config.label == name
