"""Advantage Alignment in Coin Game: two agents that learn with it, and two that learn without.

The paper's agents take coins of their own color and are not exploited by agents that take every coin. Agents with plain
PPO take every coin that they can, and together earn nothing.

Source: Duque et al. 2025, arXiv:2406.14662. The settings here are this project's, found on training seed 100
(docs/dilemmas.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rookery.agents.networks import MLPNetwork
from rookery.learning.ppo import PPO
from rookery.studies.claims import mean_greater
from rookery.studies.cross_play_matrix import CrossPlay, cross_play_figures, cross_play_of_seeds
from rookery.studies.duque2025.coin_play import OWN_COINS, REWARD, measure_coin_play
from rookery.studies.duque2025.iterated_play import play_greater, play_mean, play_values, with_scripted
from rookery.studies.duque2025.iterated_runs import aligned_team, iterated_run
from rookery.studies.figures import team_figures
from rookery.studies.frozen_evaluation import TeamEvalCondition
from rookery.studies.results import Results
from rookery.studies.session import Session
from rookery.studies.study import Condition, Figures, Study
from rookery.studies.training_run import Budget
from rookery.tasks.coin_game import CoinGame
from rookery.training.config import GroupConfig, RecurrentPolicyConfig, RunConfig
from rookery.viz.plots import interval_dots

_NUM_STEPS = 32
_NUM_ENVS = {"smoke": 4, "desk": 64}
_NUM_UPDATES = {"smoke": 2, "desk": 60}
_ALIGNMENT_COEF = 1.0
_CROSS_PLAY = "cross_play"
_MOSTLY = 0.75
"""Fraction of coins that the claims call most of them."""
_CARELESS = 0.6
"""Fraction of own coins that is called taking every coin; ½ without any preference."""
_SMALL_LOSS = 0.14
"""Reward per step that an agent may lose to a defector and is not called exploited: half of what a scripted cooperator
loses (docs/dilemmas.md)."""


def coin_game(budget: Budget) -> CoinGame:
    """Coin Game on 3×3 cells, in short episodes."""
    return CoinGame(max_steps=4 if budget == "smoke" else _NUM_STEPS)


def coin_learner(budget: Budget, **changes: Any) -> PPO:
    """PPO with two passes over the batch in two minibatches each."""
    length = 4 if budget == "smoke" else 8
    sequences = coin_game(budget).max_steps // length * _NUM_ENVS[budget]
    return PPO(
        sequence_length=length, num_minibatches=4, minibatch_size=sequences // 2, recompute_every=None, gamma=0.9,
        gae_lambda=0.9, vf_coef=0.5, target_kl=None, rollback_kl=None, adam_eps=1e-5, **changes,
    )  # fmt: skip


def coin_group(budget: Budget, learner: PPO, name: str = "player", slots: tuple[int, ...] = (0, 1)) -> GroupConfig:
    """Agents with the study's network and schedules."""
    size = 4 if budget == "smoke" else 32
    network = MLPNetwork(encoder_size=size, hidden_size=size, head_size=size, cell="gru")
    return GroupConfig(
        name=name,
        slots=slots,
        policy=RecurrentPolicyConfig(network=network),
        learner=learner,
        learning_rate=((0.0, 3e-3), (1.0, 3e-4)),
        ent_coef=0.03,
    )


def coin_run(budget: Budget, name: str, *groups: GroupConfig) -> RunConfig:
    """A run of the game with these groups."""
    return iterated_run(budget, name, coin_game(budget), _NUM_ENVS[budget], _NUM_UPDATES[budget], groups)


def _config(budget: Budget, coef: float) -> RunConfig:
    name = "duque-coins-aligned" if coef else "duque-coins-plain"
    return coin_run(budget, name, coin_group(budget, coin_learner(budget, alignment_coef=coef)))


_ALIGNED = Condition(label="aligned", agents=aligned_team(_config, _ALIGNMENT_COEF))
PLAIN_COLLECTORS = Condition(label="plain PPO", agents=aligned_team(_config, 0.0))
_TEAMS: dict[str, Any] = {condition.label: condition.agents for condition in (_ALIGNED, PLAIN_COLLECTORS)}
COINS_3X3 = TeamEvalCondition(name="Coin Game", task=coin_game)


def _measure(session: Session) -> dict[str, Any]:
    measured = measure_coin_play(session, COINS_3X3, _TEAMS)
    played = cross_play_of_seeds(session, _TEAMS[_ALIGNED.label], coin_game(session.budget))
    return measured if played is None else measured | {_CROSS_PLAY: played.to_dict()}


def coin_figures(results: Results, teams: tuple[str, ...]) -> Figures:
    """The fraction of own coins with each other and with scripted agents, and what agents earn from those."""
    partners = {"each other": OWN_COINS} | {
        f"a {role}": with_scripted(OWN_COINS, role) for role in ("cooperator", "defector")
    }
    rows = {f"{team}, with {name}": play_values(results, team, measure) for team in teams
            for name, measure in partners.items()}  # fmt: skip
    rows = {name: values[np.isfinite(values)] for name, values in rows.items()}
    rewards = {
        f"{team}, with a {role}": play_values(results, team, with_scripted(REWARD, role))
        for team in teams
        for role in ("cooperator", "defector")
    }
    caption = "Of the coins that an agent takes, those of its own color; ½ if it takes every coin."
    figures: Figures = []
    if defined := {name: values for name, values in rows.items() if len(values)}:
        figures.append(("figure", interval_dots(defined, xlabel=OWN_COINS), caption))
    caption = "Reward per step of frozen agents with scripted ones."
    return [*figures, ("scripted", interval_dots(rewards, xlabel="reward per step"), caption)]


def _figures(results: Results) -> Figures:
    figures = coin_figures(results, (_ALIGNED.label, PLAIN_COLLECTORS.label))
    if _CROSS_PLAY in results.extra:
        figures += cross_play_figures(CrossPlay.from_dict(results.extra[_CROSS_PLAY]), _ALIGNED.label)
    return [*figures, *team_figures(results)]


STUDY = Study(
    name="duque2025/coin-game",
    title="Advantage Alignment in Coin Game",
    source="Duque et al. 2025, arXiv:2406.14662",
    compares="two agents that learn Coin Game with Advantage Alignment, and two that learn it with plain PPO",
    conditions=(_ALIGNED, PLAIN_COLLECTORS),
    eval_conditions=(COINS_3X3,),
    claims=(
        play_greater("Of the coins that aligned agents take, more are of their own color than of those that plain ones "
                     "take.", _ALIGNED.label, PLAIN_COLLECTORS.label, OWN_COINS),
        mean_greater("Aligned agents earn more together than plain ones.",
                     _ALIGNED.label, PLAIN_COLLECTORS.label, "collective_reward"),
        play_mean("Plain PPO takes every coin: fewer than six of ten are of the own color.",
                  PLAIN_COLLECTORS.label, OWN_COINS, below=_CARELESS),
        play_mean("Aligned agents mostly take coins of their own color.", _ALIGNED.label, OWN_COINS, above=_MOSTLY),
        play_mean("So they do with a scripted cooperator.",
                  _ALIGNED.label, with_scripted(OWN_COINS, "cooperator"), above=_MOSTLY),
        play_mean("They are not exploited: a scripted defector costs them little.",
                  _ALIGNED.label, with_scripted(REWARD, "defector"), above=-_SMALL_LOSS),
    ),
    figures=_figures,
    num_seeds=10,
    budgets=("smoke", "desk"),
    notes=(
        "Episodes have 32 steps and agents 122,880 steps of training, far fewer than in the paper.",
        "The paper gives an agent its opponent's advantages from the opponent's critic; here they are estimated from "
        "the opponent's rewards.",
        "A coin that both agents reach at once is taken by both.",
    ),
    measure_extra=_measure,
    steps_per_second={"desk": 10_000},
)  # fmt: skip
