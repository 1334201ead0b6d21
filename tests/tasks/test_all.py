"""Every registered task passes the conformance check, and breaks of the contract are named."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.interfaces import Task
from rookery.tasks import registry
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.goal_reaching import GoalReachingTask
from rookery.tasks.grid_task import GridTask
from rookery.tasks.single_goal import SingleGoal
from rookery.testing import ConformanceError, check_task
from rookery.testing.random_episodes import Player
from rookery.testing.task_checks import check_grid_episodes, check_settings, check_shapes, check_without_jit
from rookery.types import Env
from tests.tasks.episodes import play
from tests.worlds import FORWARD, SMALL

OBLONG = {
    "goal-cycle": {"height": 5, "width": 9, "num_obstacles": 2},
    "single-goal": {"height": 5, "width": 9, "num_obstacles": 2, "goal_at": None},
    "four-rooms": {"height": 7, "width": 12, "num_obstacles": 6},
    "maze": {"height": 5, "width": 9, "num_loops": 1},
    "sixteen-places": {"rooms": (2, 3), "room_size": (1, 4)},
    "key-door": {"height": 6, "width": 9, "endless_keys": False},
    "goal-sequence": {"height": 5, "width": 9, "num_obstacles": 2, "trial_steps": 7},
}
"""Small worlds of this package's tasks on the gridworld; `check_task` makes an oblong one of any other task."""
CLASSES = {task.kind: type(task) for _, task in registry.TASKS.values()}


def distinct_rules() -> dict[str, str]:
    """Ids of tasks that differ in more than their views and actions: the others have the same rules and episodes."""
    distinct = {}
    for task_id, (_, task) in registry.TASKS.items():
        if task.grid_spec is not None:
            task = dataclasses.replace(task, views=(SMALL,) * len(task.views), num_actions=7)
        distinct.setdefault(task, task_id)
    return distinct


@pytest.mark.parametrize("task_id", registry.TASKS)
def test_settings_and_shapes(task_id):
    task = registry.get_task(task_id)
    check_settings(task)
    check_shapes(task, task.make_env())


@pytest.mark.parametrize("task_id", distinct_rules().values())
def test_conforms(task_id):
    check_task(registry.get_task(task_id))


def oblong(kind, **changes):
    return CLASSES[kind](**OBLONG[kind], views=(SMALL,) * 2, **changes)


@pytest.mark.parametrize("kind", OBLONG)
def test_conforms_in_an_oblong_world_where_agents_collide(kind):
    check_task(oblong(kind, collide=True))


@pytest.mark.parametrize("kind", [kind for kind in OBLONG if issubclass(CLASSES[kind], GoalReachingTask)])
def test_conforms_where_goals_move(kind):
    check_task(oblong(kind, when_reached="move goal"))


@pytest.mark.parametrize("kind", OBLONG)
def test_jit_equals_no_jit(kind):
    check_without_jit(oblong(kind))


@pytest.mark.parametrize("kind", [kind for kind in OBLONG if issubclass(CLASSES[kind], GoalReachingTask)])
def test_only_paid_agents_are_placed_elsewhere(kind):
    state, _, states, timesteps, action, _ = play(oblong(kind), 40)
    before = jnp.concatenate([state.position[None], states.position[:-1]])
    distance = abs(states.position - before).sum(-1)
    assert ((distance <= 1) | (timesteps.reward > 0)).all()
    assert (distance[action != FORWARD] == 0).all()


@dataclasses.dataclass(frozen=True)
class NoLength(Env):
    """An environment that does not say how long an episode is."""

    task: GoalCycle
    num_agents = 2
    num_actions = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Broken(GoalCycle):
    """A task with one mistake, chosen by `mistake`."""

    kind: Literal["broken"] = "broken"
    height: int = 5
    width: int = 9
    num_obstacles: int | None = 2
    views: tuple = (SMALL,) * 2
    mistake: str = ""

    def default_params(self):
        params = super().default_params()
        if self.mistake == "random params":
            return params.replace(penalty=params.penalty + np.random.random())
        return params.replace(penalty=self.penalty) if self.mistake == "params" else params

    def generate(self, key):
        tiles, position, heading, task_state = super().generate(key)
        if self.mistake == "numpy's random numbers":
            heading = (heading + np.random.randint(2**31)) % 4
        if self.mistake == "swapped":
            position = position[:, ::-1]
        if self.mistake == "raises":
            raise KeyError("door")
        return tiles, position, heading, task_state

    def reward(self, before, after, move_result, params):
        reward, task_state, info = super().reward(before, after, move_result, params)
        if self.mistake == "pays the absent":
            reward = reward + 1.0
        if self.mistake == "unnamed metric":
            info = {**info, "extra": info["goals"]}
        if self.mistake == "listens to the absent":
            reward = reward + 0.0 * before.position[:, 0] + (move_result.action[-1] == 0) * before.agent_mask
        return reward, task_state, info

    def is_terminal(self, state):
        return state.step < 1 if self.mistake == "over at once" else jnp.bool_(False)

    def make_env(self):
        if self.mistake == "no length":
            return NoLength(self)
        return 3 if self.mistake == "no environment" else super().make_env()


def test_a_task_without_mistakes_passes():
    check_task(Broken(), steps=10)


def test_goals_that_an_episode_does_not_have_are_no_mistake():
    task = GoalCycle(height=5, width=9, num_goals=4, min_goals=1, num_obstacles=2, views=(SMALL,) * 2)
    check_task(task, steps=10)
    env = task.make_env()
    state = jax.device_get(env.reset(jax.random.PRNGKey(0), env.default_params().replace(max_goals=jnp.float32(2)))[0])
    text = task.to_text(state)
    assert "3" not in text, "only goals that are there are numbered"
    assert "4" not in text
    assert text.endswith("# #")

    with pytest.raises(
        ConformanceError, match=r"NoGoals\.goal_cells: 0 goals at reset, where episodes have at least 1"
    ):
        check_grid_episodes(NoGoals(num_goals=4, min_goals=1), play(task, 10))


class NoGoals(GoalCycle):
    """All its goals are in the corner."""

    def goal_cells(self, task_state):
        return jnp.zeros_like(task_state.goals)


def test_an_agent_is_paid_in_the_step_in_which_it_leaves():
    leaving: dict = {"dropout_slots": (0,), "leave_prob": 0.5, "return_prob": 0.5}
    task = GoalCycle(map="#####\n#A1.#\n#####", num_goals=1, views=(SMALL,), **leaving)
    check_task(task)
    timesteps = play(task, 40).timesteps
    assert (timesteps.reward[~timesteps.agent_mask] > 0).any()


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("params", r"Broken.default_params: \.penalty is float; use an array such as jnp.float32"),
        ("swapped", r"Broken.generate: an agent is o"),
        (
            "numpy's random numbers",
            r"Broken: compiled twice, the same key and actions must give the same episode; take random numbers from "
            r"the key, not from numpy or Python, and no time \(at \[0\]\.heading\)",
        ),
        (
            "random params",
            r"Broken.default_params: must be as the environment's, the same at every call \(at .penalty\)",
        ),
        ("pays the absent", "Broken.reward: absent agents must get 0"),
        ("unnamed metric", r"Broken: step: info has \['extra', 'goals', 'mistakes'\]"),
        ("listens to the absent", "Broken: step: the action of an agent outside agent_mask must have no effect"),
        ("over at once", "Broken.is_terminal: an episode must not be over before its first step"),
        ("raises", "Broken.generate: raised KeyError: 'door'"),
        ("no length", "NoLength: needs a field or property 'max_steps'"),
        ("no environment", "Broken.make_env: the environment must derive from"),
    ],
)
def test_a_mistake_is_named(mistake, message):
    with pytest.raises(ConformanceError, match=message):
        check_task(Broken(mistake=mistake), steps=10)


class Removing(Broken):
    """After each step it takes out the second agent, by what `mistake` names."""

    def post_step(self, key, before, after, move_result):
        without = getattr(after, self.mistake) & jnp.array([True, False])
        return super().post_step(key, before, after, move_result).replace(**{self.mistake: without})


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("agent_mask", r"Removing\.post_step: what it sets as `agent_mask` is undone in the same step"),
        (
            "episode_agent_mask",
            r"Removing: agent_mask: agents in slots \[1\] leave within an episode, but dropout_slots is",
        ),
    ],
)
def test_an_agent_that_is_taken_out_otherwise_than_by_away_is_named(mistake, message):
    with pytest.raises(ConformanceError, match=message):
        check_task(Removing(mistake=mistake), steps=10)


def test_an_agent_may_be_taken_out_by_away():
    class Sending(Broken):
        def post_step(self, key, before, after, move_result):
            return after.replace(away=after.away | jnp.array([False, True]))

    task = Sending(dropout_slots=(1,))
    check_task(task, steps=10)
    assert not Player(task.make_env(), 3).play().timesteps.agent_mask[:, :, 1].any()


@pytest.mark.parametrize("base", [Task, GridTask])
def test_a_task_without_its_methods_is_named(base):
    fields = {"__annotations__": {"kind": Literal["bare"]}, "kind": "bare", "height": 5, "width": 5, "views": (SMALL,)}
    bare = dataclasses.dataclass(frozen=True, kw_only=True)(type("Bare", (base,), fields))
    method = r"Bare\.(make_env|default_params): Bare needs a method \1\(\)"
    with pytest.raises(ConformanceError, match=method):
        check_task(bare())


def test_settings_are_checked_first():
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Unhashable(SingleGoal):
        kind: Literal["unhashable"] = "unhashable"
        extra: dict = dataclasses.field(default_factory=dict)

    with pytest.raises(ConformanceError, match="Unhashable: must be hashable"):
        check_task(Unhashable())
    with pytest.raises(ConformanceError, match="int: must derive from"):
        check_task(3)
    with pytest.raises(ConformanceError, match=r"^Unhashable: is a class; pass an instance, Unhashable\(\)"):
        check_task(Unhashable)
