"""Accumulation in weights in Memory Sequence: generations, one long life, one with resets, and two oracles.

Every agent learns the same sequence by heart. Each generation begins from scratch next to the best agent of the one
before, which it sees less and less. One long life has the steps of all generations together; with resets, its last
layers are new wherever a generation would begin.

Source: Cook et al. 2024, arXiv:2406.00392, section on in-weights accumulation. The sequence, the network and the budget
are small ones of this project. That a noisy oracle beats one that never errs is claimed there of in-context learning.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from rookery.agents.networks import MLPNetwork
from rookery.studies.claims import mean_greater
from rookery.studies.frozen_evaluation import EvalCondition
from rookery.studies.generation_agents import GenerationAgents
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Condition, Figures, Study
from rookery.studies.training_run import Budget
from rookery.training.config import OraclePolicyConfig, RecurrentPolicyConfig
from rookery.training.generation_chain import GenerationsConfig
from rookery.training.generation_presets import memory_sequence
from rookery.viz.plots import interval_dots, learning_curves

NUM_GENERATIONS = 4
ORACLE_NOISE = 0.2
"""Probability with which the noisy oracle says any digit; from the published code."""
_SMOKE_ENVS, _SMOKE_UPDATES = 4, 2


def _chain(budget: Budget) -> GenerationsConfig:
    config = dataclasses.replace(memory_sequence(), num_generations=NUM_GENERATIONS)
    if budget != "smoke":
        return config
    run = config.run
    task = dataclasses.replace(run.task, num_digits=2, sequence_length=3, sequence=(1, 0, 0))
    learner: Any = run.team[0].learner
    novice = dataclasses.replace(
        run.team[0],
        policy=RecurrentPolicyConfig(network=MLPNetwork(encoder_size=4, hidden_size=4, head_size=4)),
        learner=dataclasses.replace(
            learner, sequence_length=task.max_steps, num_minibatches=1, minibatch_size=4, recompute_every=1
        ),
    )
    run = dataclasses.replace(
        run,
        task=task,
        team=(novice, *run.team[1:]),
        num_envs=_SMOKE_ENVS,
        total_timesteps=_SMOKE_UPDATES * _SMOKE_ENVS * task.max_steps,
        checkpoint_interval=_SMOKE_UPDATES,
        eval_episodes=4,
    )
    return dataclasses.replace(config, run=run, num_generations=2, population=1)


def _long_life(budget: Budget) -> GenerationsConfig:
    config = _chain(budget)
    total = config.run.total_timesteps * config.num_generations
    return dataclasses.replace(config, run=dataclasses.replace(config.run, total_timesteps=total), num_generations=1)


def _with_resets(budget: Budget) -> GenerationsConfig:
    return dataclasses.replace(_chain(budget), handover="reset")


def _next_to_oracle(budget: Budget, noise: float) -> GenerationsConfig:
    config = _chain(budget)
    example = dataclasses.replace(config.run.team[1], policy=OraclePolicyConfig(error_prob=noise))
    run = dataclasses.replace(config.run, team=(config.run.team[0], example))
    return dataclasses.replace(config, run=run, num_generations=1, first_alone=False)


def _next_to_perfect_oracle(budget: Budget) -> GenerationsConfig:
    return _next_to_oracle(budget, 0.0)


def _next_to_noisy_oracle(budget: Budget) -> GenerationsConfig:
    return _next_to_oracle(budget, ORACLE_NOISE)


_CHAIN = GenerationAgents(name="memory-generations", configure=_chain)
_OTHER_CHAINS = {
    "one long life": GenerationAgents(name="memory-long-life", configure=_long_life),
    "one long life with resets": GenerationAgents(name="memory-resets", configure=_with_resets),
    "next to a perfect oracle": GenerationAgents(name="memory-perfect-oracle", configure=_next_to_perfect_oracle),
    "next to a noisy oracle": GenerationAgents(name="memory-noisy-oracle", configure=_next_to_noisy_oracle),
}
GENERATIONS = tuple(
    Condition(label=f"generation {number}", agents=dataclasses.replace(_CHAIN, generation=number))
    for number in range(1, NUM_GENERATIONS + 1)
)
LONG_LIFE, RESETS, PERFECT, NOISY = (Condition(label=label, agents=chain) for label, chain in _OTHER_CHAINS.items())
_CONDITIONS = (*GENERATIONS, LONG_LIFE, RESETS, PERFECT, NOISY)
_EVALUATION = EvalCondition(
    name="memory sequence",
    task=lambda budget: _chain(budget).run.task,
    partners=lambda budget: (OraclePolicyConfig(error_prob=0.0),),
)
_MEASURE = "return_solo"


def _measure_seconds(session: Session) -> dict[str, Any]:
    """Seconds of training of every chain; no run of the study lists them."""
    chains = (_CHAIN, *_OTHER_CHAINS.values())
    return {"training_seconds": {chain.name: round(chain.training_seconds(session), 1) for chain in chains}}


def _figures(results: Results) -> Figures:
    """Return alone by generation, with the levels of the other conditions; and every agent."""
    by_generation = [results.values(condition.label, _MEASURE) for condition in GENERATIONS]
    curve = {"generations": (range(1, NUM_GENERATIONS + 1), [list(seed) for seed in zip(*by_generation, strict=True)])}
    levels = {c.label: results.mean(c.label, _MEASURE) for c in (LONG_LIFE, RESETS)}
    ylabel = "return alone, per episode"
    return [
        (
            "figure",
            learning_curves(curve, reference_levels=levels, xlabel="generation", ylabel=ylabel),
            "Return alone of the best agent of each generation. Thin: each lineage. Lines: means of one long life.",
        ),
        (
            "agents",
            interval_dots({c.label: results.values(c.label, _MEASURE) for c in _CONDITIONS}, xlabel=ylabel),
            "Return alone of the best agent of every lineage.",
        ),
    ]


STUDY = Study(
    name="cook2024/in-weights",
    title="Generations in weights",
    source="Cook et al. 2024, arXiv:2406.00392",
    compares="generations that learn from the best agent before them, one long life of as many steps, one with resets, "
    "and agents that learn from oracles",
    conditions=_CONDITIONS,
    eval_conditions=(_EVALUATION,),
    claims=(
        mean_greater("The last generation earns more than one long life of as many steps.",
                     GENERATIONS[-1].label, LONG_LIFE.label, _MEASURE),
        mean_greater("Return rises over generations: the last earns more than the first.",
                     GENERATIONS[-1].label, GENERATIONS[0].label, _MEASURE),
        mean_greater("The last generation earns more than one long life with resets.",
                     GENERATIONS[-1].label, RESETS.label, _MEASURE),
        mean_greater("Agents that learned from a noisy oracle earn more than those of a perfect one.",
                     NOISY.label, PERFECT.label, _MEASURE),
    ),
    figures=_figures,
    num_seeds=5,
    budgets=("smoke", "desk"),
    notes=(
        "The paper has sequences of 24 digits of ten kinds and populations of five; here they have 10 of eight kinds, "
        "and populations of two.",
        "The example is seen in fewer and fewer episodes; in the paper, in fewer and fewer steps.",
        "Every condition has the same population, of which the best is evaluated; it is chosen on episodes that are "
        "not those of the results.",
    ),
    measure_extra=_measure_seconds,
    steps_per_second={"desk": 14_000},
)  # fmt: skip
