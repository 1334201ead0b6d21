"""The example trains on the functional interface, and learns."""

import importlib.util
from pathlib import Path

import jax
import numpy as np

PATH = Path(__file__).parents[2] / "examples" / "functional_ppo.py"


def test_it_learns_to_enter_the_goal_again_and_again():
    spec = importlib.util.spec_from_file_location("functional_ppo", PATH)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    _, returns = example.make_train(10)(jax.random.PRNGKey(0))
    # At random 0.5 an episode; the example's header says 10.7 after ten updates.
    assert float(returns[0]) < 1.5
    assert float(np.mean(returns[-2:])) > 6
