"""Accumulation in context in Memory Sequence: generations of agents whose weights no longer change, and long lives.

Agents learn to learn: in every episode another sequence has to be found out within four trials, next to an oracle that
they see less and less from trial to trial. After training, the oracle's place is taken by the best trial of a
generation of such agents, for seven generations. Agents that learned without an oracle (RL²) live as long as one
generation, or as all of them together.

Source: Cook et al. 2024, arXiv:2406.00392, section on in-context accumulation. The sequences, the network and the
budget are small ones of this project.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from rookery.agents.networks import MLPNetwork
from rookery.agents.weights import load_agent
from rookery.learning.ppo import PPO
from rookery.studies.agent_sources import TrainedAgents
from rookery.studies.claims import changed, judge_difference, judge_mean
from rookery.studies.cook2024.accumulation import accumulate, live_alone
from rookery.studies.frozen_evaluation import EvalCondition
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Claim, Condition, Figures, Study, Verdict
from rookery.studies.training_run import Budget, TrainingRun
from rookery.tasks.memory_sequence import MemorySequence
from rookery.training.config import GroupConfig, OraclePolicyConfig, RecurrentPolicyConfig, RunConfig, Variant
from rookery.viz.plots import interval_dots, learning_curves

_NUM_GENERATIONS = 7
POPULATION = 3
NOISE, TOO_MUCH_NOISE = 0.3, 0.8
"""Probability with which an oracle says any digit."""
_NUM_UPDATES, _NUM_ENVS, _NUM_MINIBATCHES = 300, 64, 8


def _task(budget: Budget, num_lives: int = 1) -> MemorySequence:
    """The task, with the trials of so many generations in an episode."""
    if budget == "smoke":
        return MemorySequence(num_digits=2, sequence_length=2, num_trials=2 * num_lives, fade=1.0)
    return MemorySequence(num_digits=3, sequence_length=5, num_trials=4 * num_lives, fade=1.0)


def _num_generations(budget: Budget) -> int:
    return 2 if budget == "smoke" else _NUM_GENERATIONS


def _config(budget: Budget, name: str, noise: float, variants: tuple[Variant, ...], lives: int = 1) -> RunConfig:
    """Training in episodes of so many lives; every run has as many steps, and gradient steps of as many."""
    smoke = budget == "smoke"
    noise = NOISE if smoke else noise  # oracles that are alike share a program, and compiling is most of this budget
    size, num_minibatches = (4, 1) if smoke else (48, _NUM_MINIBATCHES)
    task, steps_of_life = _task(budget, lives), _task(budget).max_steps
    num_envs = max(1, (4 if smoke else _NUM_ENVS) // lives // num_minibatches) * num_minibatches
    learner = GroupConfig(
        name="novice",
        slots=(0,),
        policy=RecurrentPolicyConfig(network=MLPNetwork(encoder_size=size, hidden_size=size, head_size=size)),
        learner=PPO(
            sequence_length=steps_of_life,
            num_minibatches=num_minibatches,
            minibatch_size=num_envs * lives // num_minibatches,
            recompute_every=1 if smoke else 2,
            gamma=0.99,
            gae_lambda=0.95,
            vf_coef=0.5,
            target_kl=None,
            rollback_kl=None,
            adam_eps=1e-5,
        ),
        learning_rate=((0.0, 2e-3), (1.0, 4e-4)),
        ent_coef=((0.0, 0.04), (1.0, 0.012)),
    )
    updates, envs = (2, 4) if smoke else (_NUM_UPDATES, _NUM_ENVS)
    return RunConfig(
        name=name,
        task=task,
        team=(learner, GroupConfig(name="oracle", slots=(1,), policy=OraclePolicyConfig(error_prob=noise))),
        variants=variants,
        num_envs=num_envs,
        total_timesteps=updates * envs * steps_of_life,
        checkpoint_interval=1 if smoke else 100,
        eval_episodes=4 if smoke else 64,
    )


_SOCIAL, _ALONE = Variant(name="oracle"), Variant(name="alone", social_episode_prob=0.0)


def _run(name: str, noise: float, variants: tuple[Variant, ...]) -> TrainingRun:
    configure = functools.partial(_config, name=name, noise=noise, variants=variants)
    return TrainingRun(name=name, configure=configure, published_config=functools.partial(configure, "desk"))


def _long_config(budget: Budget) -> RunConfig:
    return _config(budget, "in-context-long-life", NOISE, (_ALONE,), lives=_num_generations(budget))


NOISY_RUN = _run("in-context-noisy-oracle", NOISE, (_SOCIAL, _ALONE))
PERFECT_RUN = _run("in-context-perfect-oracle", 0.0, (_SOCIAL,))
TOO_NOISY_RUN = _run("in-context-too-noisy-oracle", TOO_MUCH_NOISE, (_SOCIAL,))
LONG_RUN = TrainingRun(
    name="in-context-long-life", configure=_long_config, published_config=functools.partial(_long_config, "desk")
)
NOISY, PERFECT, TOO_NOISY, SHORT_LIFE, LONG_LIFE = (
    Condition(label=label, agents=TrainedAgents(run=run, variant=variant.name))
    for label, run, variant in (
        ("generations, noisy oracle", NOISY_RUN, _SOCIAL),
        ("generations, perfect oracle", PERFECT_RUN, _SOCIAL),
        ("generations, too noisy oracle", TOO_NOISY_RUN, _SOCIAL),
        ("alone, one life", NOISY_RUN, _ALONE),
        ("alone, as long as all generations", LONG_RUN, _ALONE),
    )
)
_ACCUMULATING, _ALONE_CONDITIONS = (NOISY, PERFECT, TOO_NOISY), (SHORT_LIFE, LONG_LIFE)
_EVALUATION = EvalCondition(name="one life", task=_task, partners=lambda budget: (OraclePolicyConfig(error_prob=0.0),))


def _measure(session: Session) -> dict[str, Any]:
    """Mean return of every trial: 'generations' {condition: [seeds][G][K]} and 'alone' {condition: [seeds][trials]}."""
    budget, episodes = session.budget, session.eval_episodes
    task, generations = _task(budget), _num_generations(budget)
    measured: dict[str, Any] = {"generations": {}, "alone": {}}
    for condition in (*_ACCUMULATING, *_ALONE_CONDITIONS):
        for evaluated in condition.agents.evaluated_agents(session):
            agent = load_agent(evaluated.policies[0].checkpoint)
            if condition in _ACCUMULATING:
                kind, returns = "generations", accumulate(
                    task, agent.policy, agent.params,
                    num_generations=generations, population=POPULATION, episodes=episodes,
                )  # fmt: skip
            else:
                whole = _task(budget, generations if condition is LONG_LIFE else 1)
                kind, returns = "alone", live_alone(whole, agent.policy, agent.params, episodes=episodes)
            measured[kind].setdefault(condition.label, []).append(np.round(returns, 6).tolist())
    return {"accumulation": measured}


def generation_returns(results: Results, condition: str) -> np.ndarray:
    """Mean return per trial of each generation of every seed, f[seeds, G]."""
    return np.array(results.extra["accumulation"]["generations"][condition], float).mean(-1)


def end_of_life(results: Results, condition: str) -> np.ndarray:
    """Mean return per trial of an agent alone, over the last trials, as many as a generation has; f[seeds]."""
    num_trials = np.shape(results.extra["accumulation"]["generations"][NOISY.label])[-1]
    return np.array(results.extra["accumulation"]["alone"][condition], float)[:, -num_trials:].mean(-1)


def _exceeds_life(text: str, condition: str) -> Claim:
    def judge(results: Results) -> Verdict:
        quantity = f"return per trial: last generation of '{NOISY.label}' minus '{condition}'; claimed > 0"
        last = generation_returns(results, NOISY.label)[:, -1]
        return judge_difference(last, end_of_life(results, condition), quantity, above=0.0)

    return Claim(text=text, judge=judge)


def long_life_fails(results: Results) -> str | None:
    """Why a comparison with a long life says nothing: its agents end below those that live as long as one generation.

    A longer life contains a short one, so agents that earn less in it have not learned to use it.
    """
    long, short = (float(end_of_life(results, condition.label).mean()) for condition in (LONG_LIFE, SHORT_LIFE))
    if long >= short:
        return None
    return (
        f"agents with the long life earn {long:.2f} per trial at its end, less than the {short:.2f} of those with the "
        "short one: they have not learned to use it"
    )


def _exceeds_oracle(text: str, condition: str) -> Claim:
    def judge(results: Results) -> Verdict:
        quantity = f"return per trial of the last generation: '{NOISY.label}' minus '{condition}'; claimed > 0"
        first, second = (generation_returns(results, label)[:, -1] for label in (NOISY.label, condition))
        return judge_difference(first, second, quantity, above=0.0)

    return Claim(text=text, judge=judge)


def _judge_rise(results: Results) -> Verdict:
    returns = generation_returns(results, NOISY.label)
    quantity = f"return per trial of '{NOISY.label}': last generation minus first; claimed > 0"
    return judge_mean(returns[:, -1] - returns[:, 0], quantity, above=0.0)  # of the same agents


def _figures(results: Results) -> Figures:
    """Return per trial by generation with the levels of the long lives; and every agent."""
    by_generation = {c.label: generation_returns(results, c.label) for c in _ACCUMULATING}
    numbers = range(1, by_generation[NOISY.label].shape[1] + 1)
    curves = {label: (numbers, returns) for label, returns in by_generation.items()}
    levels = {c.label: float(end_of_life(results, c.label).mean()) for c in _ALONE_CONDITIONS}
    last = {label: returns[:, -1] for label, returns in by_generation.items()}
    last |= {c.label: end_of_life(results, c.label) for c in _ALONE_CONDITIONS}
    ylabel = "return per trial"
    return [
        (
            "figure",
            learning_curves(curves, reference_levels=levels, xlabel="generation", ylabel=ylabel),
            "Return per trial of each generation in context. Thin: each trained agent. Lines: means of agents alone, "
            "in the last trials of their lives.",
        ),
        (
            "agents",
            interval_dots(last, xlabel=ylabel),
            "The last generation, and the last trials alone, of every agent.",
        ),
    ]


STUDY = Study(
    name="cook2024/in-context",
    title="Generations in context",
    source="Cook et al. 2024, arXiv:2406.00392",
    compares="generations of trained agents that watch the best trial before them, after training next to oracles of "
    "three kinds, and agents that learned alone, with lives as long as one generation and as all of them",
    conditions=(*_ACCUMULATING, *_ALONE_CONDITIONS),
    eval_conditions=(_EVALUATION,),
    claims=(
        changed(_exceeds_life("The last generation earns more than agents alone that live as long as all generations.",
                              LONG_LIFE.label),
                withheld=long_life_fails),
        Claim(text="Return rises over generations: the last earns more than the first.", judge=_judge_rise),
        _exceeds_life("The last generation earns more than agents alone that live as long as one.", SHORT_LIFE.label),
        _exceeds_oracle("Generations of agents from a noisy oracle earn more than those from a perfect one.",
                        PERFECT.label),
        _exceeds_oracle("They earn more than those from an oracle that is too noisy.", TOO_NOISY.label),
    ),
    figures=_figures,
    num_seeds=5,
    budgets=("smoke", "desk"),
    notes=(
        "Learner, network and training are this project's; the paper's are not compared setting by setting.",
        "The paper has sequences of 24 digits; here they have 5, also of three kinds.",
        "The noisy oracle says any digit with probability 0.3; in the published code, 0.2.",
        "A generation is shown what was right in the best trial of the one before, without the mistake that ended it; "
        "in the paper its best agent acts again, and guesses where it does not know.",
        "A population is three copies of one agent that act at random in their own ways; in the paper each agent is "
        "trained by itself.",
        "The first generation sees nothing of its example.",
    ),
    measure_extra=_measure,
    steps_per_second={"desk": 20_000},
)  # fmt: skip
