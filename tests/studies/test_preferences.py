"""What the payoffs of the studies of shared rewards and of value orientation say beforehand."""

import jax.numpy as jnp
import numpy as np
import pytest

from rookery.learning.intrinsic import combine
from rookery.studies.duque2025.iterated_play import COOPERATION, EXTRA
from rookery.studies.duque2025.prisoners_dilemma import matrix_game
from rookery.studies.mckee2020 import orientations
from rookery.studies.results import Results
from rookery.studies.study import FAILS, HOLDS
from rookery.studies.willis2024 import reward_transfer
from rookery.tasks.coin_game import CoinGame
from rookery.tasks.matrix_games import COOPERATE, DEFECT
from rookery.types import OthersInfo, Trajectory


def learned_from(learner, game, scale=1.0):
    """What an agent learns from, [own action, the other's], in a game of one step."""
    alone = {COOPERATE: game.sucker, DEFECT: game.temptation}
    paid = np.array([
        [game.reward if own == other == COOPERATE else game.punishment if own == other else alone[own]
         for other in (COOPERATE, DEFECT)] for own in (COOPERATE, DEFECT)
    ])  # fmt: skip
    own, others = paid.reshape(1, 4), paid.T.reshape(1, 4)
    zeros = jnp.zeros((1, 4))
    trajectory = Trajectory(
        observation=jnp.zeros((2, 4, 1), jnp.uint8), action=zeros.astype(jnp.int32), reward=jnp.asarray(own),
        log_prob=zeros, is_first=jnp.zeros((2, 4), bool), terminated=zeros.astype(bool),
        loss_mask=jnp.ones((1, 4), bool),
        others=OthersInfo(
            reward=jnp.stack([jnp.asarray(own), jnp.asarray(others)], -1), agent_mask=jnp.ones((1, 4, 2), bool)
        ),
    )  # fmt: skip
    changed, _, _ = combine.add_intrinsic_rewards(learner.intrinsic, None, {}, {}, trajectory, scale, 0.0)
    return np.asarray(changed.reward).reshape(2, 2)


def better_action(rewards):
    """The action that pays more whatever the other one does; None if there is none."""
    gain = rewards[COOPERATE] - rewards[DEFECT]
    return COOPERATE if (gain > 0).all() else DEFECT if (gain < 0).all() else None


@pytest.mark.parametrize(
    ("variant", "action"), zip(reward_transfer.FRACTIONS, (DEFECT, DEFECT, COOPERATE), strict=True)
)
def test_agents_should_cooperate_if_they_give_more_than_a_third(variant, action):
    (run,) = {condition.agents.run for condition in reward_transfer._IN_MATRIX}
    config = run.configure("smoke")
    scales = {item.name: item.hparams["intrinsic_scale"] for item in config.variants}
    scale = scales[variant.replace(" ", "-")]
    learner = config.team[0].learner
    assert better_action(learned_from(learner, config.task, scale)) == action
    coins = CoinGame()
    other_coin = coins.coin_reward * (1 - scale) - coins.taken_cost * scale
    assert (other_coin < 0) == (action == COOPERATE)
    assert better_action(learned_from(learner, config.task, 1 / 3 + 0.01)) == COOPERATE
    assert better_action(learned_from(learner, config.task, 1 / 3 - 0.01)) == DEFECT


def test_what_each_orientation_should_do():
    game = orientations.positive_dilemma("smoke")
    actions = {}
    for name in ("individualistic", "prosocial", "altruistic"):
        team = orientations._CONDITIONS[name].agents.run.configure("smoke").team
        first, second = (learned_from(group.learner, game) for group in team)
        np.testing.assert_array_equal(first, second)
        actions[name] = better_action(first)
        if name == "prosocial":  # both are stable, and defection is safer
            np.testing.assert_allclose(first.diagonal(), [game.reward, game.punishment])
            assert first[COOPERATE, COOPERATE] > first[DEFECT, COOPERATE]
            assert first.mean(1)[DEFECT] > first.mean(1)[COOPERATE]
    assert actions == {"individualistic": DEFECT, "prosocial": None, "altruistic": COOPERATE}


def test_a_mixed_team_has_one_of_each():
    team = orientations._CONDITIONS["mixed"].agents.run.configure("smoke").team
    assert [(group.slots, group.learner.intrinsic[0].angle) for group in team] == [((0,), 90.0), ((1,), 0.0)]


def test_the_positive_game_has_the_incentives_of_the_other():
    game, base = orientations.positive_dilemma("desk"), matrix_game("desk")
    payoffs = ("reward", "sucker", "temptation", "punishment")
    assert {getattr(game, name) - getattr(base, name) for name in payoffs} == {1.0}
    assert min(getattr(game, name) for name in payoffs) == 0


@pytest.mark.parametrize(("cooperation", "verdict"), [(0.9, FAILS), (0.1, HOLDS)])
def test_the_individualist_of_a_mixed_team_is_judged_itself(cooperation, verdict):
    """One that cooperates in 90 % of steps does not hold, although two altruists cooperate even more often."""
    play = {"altruistic": [[1.0, 1.0]] * 10, "mixed": [[1.0, cooperation + seed / 1000] for seed in range(10)]}
    results = Results({"extra_measurements": {EXTRA: {team: {COOPERATION: rows} for team, rows in play.items()}}})
    judged = orientations.STUDY.claims[-1].judge(results)
    assert judged.outcome == verdict
    assert judged.quantity.startswith(f"{COOPERATION} of agent 1 of 'mixed'")
