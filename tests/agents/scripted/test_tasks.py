"""The experts of all tasks but Goal Cycle."""

import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents import scripted
from rookery.errors import ConfigError
from rookery.gridworld.prestige import update_prestige
from rookery.gridworld.spec import ViewConfig
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.goal_sequence import GoalSequence
from rookery.tasks.key_door import KeyDoor
from rookery.tasks.maze import Maze
from rookery.tasks.single_goal import SingleGoal
from tests.agents.scripted.play import play
from tests.worlds import map_text

VIEW = ViewConfig(size=5, observation_type="symbolic")
OBSERVABILITIES = ("full", "partial")


def episodes(task, observability, count=6):
    return [play(scripted.make_expert(task, observability), task, seed) for seed in range(count)]


@pytest.mark.parametrize("observability", OBSERVABILITIES)
@pytest.mark.parametrize("make_task", [GoalCycle, GoalSequence])
def test_tasks_whose_rewards_prestige_does_not_show_have_no_expert(make_task, observability):
    for change, message in (
        ({"goal_reward": 0.0}, r"goal_reward=0\.0: the scripted expert of .* set goal_reward above 0"),
        ({"goal_reward": -1.0}, r"goal_reward=-1\.0: "),
        ({"prestige_decay": 0.0}, r"prestige_decay=0\.0: the scripted expert of .* to at least 0\.01"),
    ):
        with pytest.raises(ConfigError, match=message):
            scripted.make_expert(make_task(**change), observability)
    assert scripted.make_expert(make_task(prestige_decay=0.01), observability)


def test_prestige_rises_with_every_reward_down_to_the_smallest_decay_allowed():
    prestige = [jnp.float32(0)]
    for _ in range(3):  # more rewards in as many steps need a longer row of goals in their order
        prestige.append(update_prestige(prestige[-1], jnp.float32(1), jnp.float32(0.01)))
    assert (np.diff(prestige) > 0).all()


@pytest.mark.parametrize("observability", OBSERVABILITIES)
def test_a_maze(observability):
    task = Maze(height=7, width=9, views=(VIEW,), num_actions=3, max_steps=80)
    played = episodes(task, observability)
    assert all(one.counts["success"].sum() == 1 for one in played)
    assert np.mean([one.reward.sum() for one in played]) > 3
    # The one limited to its view does the same whatever is behind the walls; the other does not.
    assert all(one.same.all() for one in played) == (observability == "partial")


@pytest.mark.parametrize("when_reached", ["move goal", "respawn"])
def test_the_path_to_a_known_goal_is_the_shortest(when_reached):
    corridor = map_text("""
        ##########
        #G######G#
        #........#
        ####A#####
        ##########
    """)
    task = SingleGoal(map=corridor, views=(VIEW,), num_actions=3, max_steps=70, when_reached=when_reached)
    played = episodes(task, "partial")
    for one in played:
        steps = np.diff(np.flatnonzero(one.reward))
        if when_reached == "respawn":  # from its start, facing any way: 1 + 3 + 1 or 1 + 4 + 1 steps, two corners
            assert set(steps) <= {7, 8, 9, 10}
            assert len(steps) >= 3
        else:  # about, one down, seven across, one up, two corners; it does not see where the goal went, yet looks
            assert (steps >= 2 + 9 + 2).all()
            assert len(steps) >= 2
    assert all(one.same.all() for one in played)


@pytest.mark.parametrize("observability", OBSERVABILITIES)
def test_key_and_door(observability):
    task = KeyDoor(height=6, width=9, views=(VIEW, VIEW), max_steps=100)
    played = episodes(task, observability)
    for one in played:
        goals, doors, keys = (one.counts[name].sum() for name in ("goals", "doors", "keys"))
        assert goals >= 2
        assert goals <= doors <= keys <= doors + 1  # each visit takes a key and a door, and no key is fetched in vain
    assert all(one.same.all() for one in played) == (observability == "partial")


def test_a_visit_behind_a_door_by_hand():
    task = KeyDoor(map="#########\n#KA.D..G#\n#########", views=(VIEW,), max_steps=60)
    for one in episodes(task, "full", 3):
        # Turned to the rack: pick up, about-turn, to the door, toggle, through and on: 1 + 2 + 1 + 1 + 4.
        picked, paid = np.flatnonzero(one.counts["keys"]), np.flatnonzero(one.reward)
        assert (paid - picked[: len(paid)] == 2 + 1 + 1 + 4).all()
        assert one.action[picked].tolist() == [3] * len(picked)


@pytest.mark.parametrize("observability", OBSERVABILITIES)
@pytest.mark.parametrize("sequence", [(), (0, 1, 2, 1)])
def test_goal_sequence(observability, sequence):
    task = GoalSequence(
        height=6, width=8, views=(ViewConfig(size=3, rows_behind=0, observation_type="objects"),), sequence=sequence
    )
    played = episodes(task, observability)
    trials = np.stack([one.counts["goals"].reshape(task.num_trials, -1).sum(1) for one in played])
    mistakes = np.stack([one.counts["mistakes"].reshape(task.num_trials, -1).sum(1) for one in played])
    # At the first place two tries may be wrong, at every later one a single try: the one just entered is out.
    limit = len(sequence) or trials.max(1)
    assert (mistakes.sum(1) <= limit + 2).all()
    assert trials[:, -1].mean() > trials[:, 0].mean() + 1
    assert mistakes[:, -1].mean() < mistakes[:, 0].mean()
    if observability == "partial":
        assert all(one.same.all() for one in played)


@pytest.mark.parametrize("collide", [False, True])
def test_a_goal_that_another_blocked_as_the_trial_ended_is_tried_again(collide):
    """Its place changed because the trial began again, not because it entered: where agents collide it cannot tell."""
    task = GoalSequence(height=6, width=8, views=(VIEW,) * 2, trial_steps=5, collide=collide)
    expert = scripted.make_expert(task, "full")
    order, entered = expert.initial_task_memory(), np.array([False, True, False])
    for trial_step, is_last in ((3, False), (4, True)):
        after = expert._update_belief(order._replace(trial_step=jnp.int32(trial_step)), entered, jnp.bool_(False))
        assert after.tried.tolist() == [False, not (is_last and collide), False]
