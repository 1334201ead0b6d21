"""Steps of the walk taken further differ from the walk's in how long they train, and in nothing else."""

import dataclasses

import pytest

from rookery.studies import registry
from rookery.studies.ndousse2021 import paper_gap
from rookery.studies.ndousse2021.extended_training import LENGTH_FACTOR

STEPS = {"plain": (paper_gap.SCHEDULE_CHANGES_RUN, paper_gap.SCHEDULE_CHANGES["plain"][0]), "slow": (paper_gap.SCHEDULE_CHANGES_RUN, paper_gap.SCHEDULE_CHANGES["slow"][0]),
         "pixels": (paper_gap.PIXELS_RUN, "pixels")}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_only_longer(name):
    short, words = STEPS[name]
    study = registry.load_study(f"ndousse2021/extended-training/{name}")
    of_walk, of_study = paper_gap.CONDITION_PAIRS[words], study.conditions[:2]
    training = of_study[0].agents.training
    assert [arm.label for arm in of_study] == [arm.label for arm in of_walk]
    assert [arm.eval_conditions for arm in of_study] == [arm.eval_conditions for arm in of_walk]
    assert [arm.agents.arm for arm in of_study] == [arm.agents.arm for arm in of_walk]
    assert training == of_study[1].agents.training
    for budget, times in (("desk", LENGTH_FACTOR), ("smoke", 1)):
        run, first = training.configure(budget), short.configure(budget)
        assert run.arms == tuple(arm for arm in first.variants if arm.name in {a.agents.arm for a in of_walk})
        assert run.steps == times * first.total_timesteps
        assert run == dataclasses.replace(first, name=run.name, steps=run.steps, arms=run.arms)
