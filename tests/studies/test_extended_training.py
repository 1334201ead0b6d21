"""Extended runs differ from those of `paper_gap` in how long they train, and in nothing else."""

import dataclasses

import pytest

from rookery.studies import study_list
from rookery.studies.ndousse2021 import paper_gap
from rookery.studies.ndousse2021.extended_training import LENGTH_FACTOR

RUNS = {
    "plain": (paper_gap.SCHEDULE_CHANGES_RUN, paper_gap.SCHEDULE_CHANGES["plain"][0]),
    "slow": (paper_gap.SCHEDULE_CHANGES_RUN, paper_gap.SCHEDULE_CHANGES["slow"][0]),
    "pixels": (paper_gap.PIXELS_RUN, "pixels"),
}


@pytest.mark.parametrize("name", RUNS)
def test_only_longer(name):
    short, description = RUNS[name]
    study = study_list.load_study(f"ndousse2021/extended-training/{name}")
    short_pair, pair = paper_gap.CONDITION_PAIRS[description], study.conditions[:2]
    extended = pair[0].agents.run
    assert [c.label for c in pair] == [c.label for c in short_pair]
    assert [c.eval_conditions for c in pair] == [c.eval_conditions for c in short_pair]
    assert [c.agents.variant for c in pair] == [c.agents.variant for c in short_pair]
    assert extended == pair[1].agents.run
    for budget, times in (("desk", LENGTH_FACTOR), ("smoke", 1)):
        run, first = extended.configure(budget), short.configure(budget)
        names = {condition.agents.variant for condition in short_pair}
        assert run.variants == tuple(variant for variant in first.variants if variant.name in names)
        assert run.total_timesteps == times * first.total_timesteps
        assert run == dataclasses.replace(
            first, name=run.name, total_timesteps=run.total_timesteps, variants=run.variants
        )
