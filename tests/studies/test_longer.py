"""Steps of the walk taken further differ from the walk's in how long they train, and in nothing else."""

import dataclasses

import pytest

from rookery.studies import catalogue
from rookery.studies.ndousse2021 import walk
from rookery.studies.ndousse2021.longer import TIMES

STEPS = {"plain": (walk.IN_COURSES, walk.COURSES["plain"][0]), "slow": (walk.IN_COURSES, walk.COURSES["slow"][0]),
         "pixels": (walk.IN_PIXELS, "pixels")}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_only_longer(name):
    short, words = STEPS[name]
    study = catalogue.load(f"ndousse2021/longer/{name}")
    of_walk, of_study = walk.CONDITIONS[words], study.arms[:2]
    training = of_study[0].agents.training
    assert [arm.label for arm in of_study] == [arm.label for arm in of_walk]
    assert [arm.scenes for arm in of_study] == [arm.scenes for arm in of_walk]
    assert [arm.agents.arm for arm in of_study] == [arm.agents.arm for arm in of_walk]
    assert training == of_study[1].agents.training
    for budget, times in (("desk", TIMES), ("smoke", 1)):
        run, first = training.configure(budget), short.configure(budget)
        assert run.arms == tuple(arm for arm in first.arms if arm.name in {a.agents.arm for a in of_walk})
        assert run.steps == times * first.steps
        assert run == dataclasses.replace(first, name=run.name, steps=run.steps, arms=run.arms)
