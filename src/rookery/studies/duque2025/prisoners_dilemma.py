"""Advantage Alignment in the iterated prisoner's dilemma: two agents that learn with it, and two that learn without.

The paper's agents cooperate with each other and play like tit for tat: they cooperate with agents that cooperate, and
are not exploited by agents that defect. Plain PPO ends in mutual defection.

Source: Duque et al. 2025, arXiv:2406.14662. The published code has neither this game nor its settings; those here are
this project's, found on training seeds 100 and 101 (docs/dilemmas.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rookery.agents.networks import MLPNetwork
from rookery.learning.ppo import PPO
from rookery.studies.claims import mean_below, mean_greater
from rookery.studies.cross_play_matrix import CrossPlay, cross_play_figures, cross_play_of_seeds
from rookery.studies.duque2025.iterated_play import (
    AFTER,
    RESPONSE,
    measure_play,
    play_mean,
    play_values,
    with_scripted,
)
from rookery.studies.duque2025.iterated_runs import aligned_team, iterated_run
from rookery.studies.figures import team_figures
from rookery.studies.frozen_evaluation import TeamEvalCondition
from rookery.studies.results import Results
from rookery.studies.schelling_diagram import SchellingDiagram, schelling_diagram, schelling_figures
from rookery.studies.session import Session
from rookery.studies.study import Condition, Figures, Study
from rookery.studies.training_run import Budget
from rookery.tasks.matrix_games import MatrixGame
from rookery.tasks.registry import make_env
from rookery.training.config import GroupConfig, RecurrentPolicyConfig, RunConfig
from rookery.viz.plots import interval_dots

NUM_STEPS = 16
NUM_ENVS = {"smoke": 4, "desk": 128}
NUM_UPDATES = {"smoke": 2, "desk": 60}
ALIGNMENT_COEF = 5.0
CROSS_PLAY, SCHELLING = "cross_play", "schelling"
"""Where the extra measurements hold what `measure_strangers` returns."""
_COOPERATIONS = "metrics: cooperations"
_MOSTLY = 0.75
"""Fraction of steps that the claims call most of them."""
_SMALL_LOSS = 0.25
"""Reward per step that an agent may lose to a defector and is not called exploited; the game's steps are of 1."""


def matrix_game(budget: Budget) -> MatrixGame:
    """The paper's payoffs -1, -3, 0 and -2, all plus 2: mutual defection pays 0."""
    return MatrixGame(
        reward=1.0, sucker=-1.0, temptation=2.0, punishment=0.0, max_steps=4 if budget == "smoke" else NUM_STEPS
    )


def matrix_learner(budget: Budget, **changes: Any) -> PPO:
    """PPO with two passes over the batch in two minibatches each, of sequences of four steps."""
    length = 4
    sequences = matrix_game(budget).max_steps // length * NUM_ENVS[budget]
    return PPO(
        sequence_length=length, num_minibatches=4, minibatch_size=sequences // 2, recompute_every=None, gamma=0.9,
        gae_lambda=0.7, vf_coef=0.5, target_kl=None, rollback_kl=None, adam_eps=1e-5, **changes,
    )  # fmt: skip


def matrix_group(budget: Budget, learner: PPO, name: str = "player", slots: tuple[int, ...] = (0, 1)) -> GroupConfig:
    """Agents with the study's network and schedules."""
    size = 4 if budget == "smoke" else 64
    network = MLPNetwork(encoder_size=size, hidden_size=size, head_size=size, cell="gru")
    return GroupConfig(
        name=name,
        slots=slots,
        policy=RecurrentPolicyConfig(network=network),
        learner=learner,
        learning_rate=((0.0, 1e-3), (1.0, 1e-4)),
        ent_coef=0.15,
    )


def matrix_run(budget: Budget, name: str, *groups: GroupConfig) -> RunConfig:
    """A run of the game with these groups."""
    return iterated_run(budget, name, matrix_game(budget), NUM_ENVS[budget], NUM_UPDATES[budget], groups)


def _config(budget: Budget, coef: float) -> RunConfig:
    name = "duque-matrix-aligned" if coef else "duque-matrix-plain"
    return matrix_run(budget, name, matrix_group(budget, matrix_learner(budget, alignment_coef=coef)))


ALIGNED = Condition(label="aligned", agents=aligned_team(_config, ALIGNMENT_COEF))
PLAIN = Condition(label="plain PPO", agents=aligned_team(_config, 0.0))
_TEAMS: dict[str, Any] = {condition.label: condition.agents for condition in (ALIGNED, PLAIN)}


def _measure(session: Session) -> dict[str, Any]:
    return measure_play(session, _TEAMS, matrix_game(session.budget)) | measure_strangers(session)


def measure_strangers(session: Session) -> dict[str, Any]:
    """Cross-play of the teams of all seeds, by condition, and the Schelling diagram, which has no chance in it."""
    task = matrix_game(session.budget)
    played = {label: cross_play_of_seeds(session, team, task) for label, team in _TEAMS.items()}
    return {
        CROSS_PLAY: {label: result.to_dict() for label, result in played.items() if result is not None},
        SCHELLING: schelling_diagram(make_env(task), episodes=2).to_dict(),
    }


def _figures_with_strangers(results: Results) -> Figures:
    """The matrix of the aligned teams, and the diagram; none for results from before they were measured."""
    figures: Figures = []
    if ALIGNED.label in results.extra.get(CROSS_PLAY, {}):
        figures += cross_play_figures(CrossPlay.from_dict(results.extra[CROSS_PLAY][ALIGNED.label]), ALIGNED.label)
    if SCHELLING in results.extra:
        diagram = SchellingDiagram.from_dict(results.extra[SCHELLING])
        figures += schelling_figures(diagram, "scripted cooperators and defectors")
    return figures


def play_figures(results: Results, teams: tuple[str, ...]) -> Figures:
    """What agents do after the other one's cooperation and defection, and what they earn from scripted agents."""
    rows = {
        f"{team}, {name.split(' ', 1)[1]}": play_values(results, team, name)
        for team in teams
        for name in AFTER.values()
    }
    rows = {name: values[np.isfinite(values)] for name, values in rows.items()}
    rewards = {
        f"{team}, with a {role}": play_values(results, team, with_scripted("reward", role))
        for team in teams
        for role in ("cooperator", "defector")
    }
    figures: Figures = []
    if defined := {name: values for name, values in rows.items() if len(values)}:
        caption = "Fraction of steps in which an agent cooperates, by what the other one did in the step before."
        figures.append(("figure", interval_dots(defined, xlabel="cooperation, fraction of steps"), caption))
    caption = "Reward per step of frozen agents with scripted ones. Mutual defection pays 0, mutual cooperation 1."
    return [*figures, ("scripted", interval_dots(rewards, xlabel="reward per step"), caption)]


def _figures(results: Results) -> Figures:
    own = play_figures(results, (ALIGNED.label, PLAIN.label))
    return [*own, *_figures_with_strangers(results), *team_figures(results)]


STUDY = Study(
    name="duque2025/prisoners-dilemma",
    title="Advantage Alignment in the prisoner's dilemma",
    source="Duque et al. 2025, arXiv:2406.14662",
    compares="two agents that learn with Advantage Alignment, and two that learn with plain PPO",
    conditions=(ALIGNED, PLAIN),
    eval_conditions=(TeamEvalCondition(name="prisoner's dilemma", task=matrix_game),),
    claims=(
        mean_greater("Aligned agents cooperate with each other more often than plain ones.",
                     ALIGNED.label, PLAIN.label, _COOPERATIONS),
        mean_below("Plain PPO ends in mutual defection: its agents cooperate in less than a tenth of the steps.",
                   PLAIN.label, 0.1 * 2 * NUM_STEPS, _COOPERATIONS),
        play_mean("Aligned agents play like tit for tat: they cooperate much more often after cooperation than after "
                  "defection.", ALIGNED.label, RESPONSE, above=0.5),
        play_mean("They cooperate with a scripted cooperator in most steps.",
                  ALIGNED.label, with_scripted("cooperation", "cooperator"), above=_MOSTLY),
        play_mean("They defect against a scripted defector in most steps.",
                  ALIGNED.label, with_scripted("cooperation", "defector"), below=1 - _MOSTLY),
        play_mean("They are not exploited: a defector costs them little, compared with mutual defection.",
                  ALIGNED.label, with_scripted("reward", "defector"), above=-_SMALL_LOSS),
    ),
    figures=_figures,
    num_seeds=10,
    budgets=("smoke", "desk"),
    notes=(
        "The paper's payoffs are all raised by 2, which changes no incentive.",
        "The paper gives an agent its opponent's advantages from the opponent's critic; here they are estimated from "
        "the opponent's rewards.",
        "Settings are this project's: the public code of the paper does not have this game.",
    ),
    measure_extra=_measure,
    steps_per_second={"desk": 10_000},
)  # fmt: skip
