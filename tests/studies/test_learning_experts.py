"""Experts that keep learning start as the shipped ones, and nothing else differs between the conditions."""

import numpy as np

from rookery.agents.zoo import load_trained_agent
from rookery.studies import budgets
from rookery.studies.ndousse2021.learning_experts import STUDY, learning_experts_config
from rookery.training.build import build, initial_params


def test_experts_start_as_shipped_and_learn_slowly():
    config = learning_experts_config("desk")
    learning, frozen = (run.configure("desk") for run in STUDY.runs)
    assert learning == config
    assert (learning.team[0], learning.task) == (frozen.team[0], frozen.task)
    novice, expert = config.team
    assert (expert.learning_rate, expert.learner) == (1e-5, novice.learner)
    ((name, params),) = initial_params(config, build(config)).items()
    assert name == "expert"
    shipped = load_trained_agent(budgets.EXPERT).params
    np.testing.assert_array_equal(params["heads"]["policy1"]["kernel"], shipped["heads"]["policy1"]["kernel"])
