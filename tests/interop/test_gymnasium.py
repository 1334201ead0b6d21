"""Gymnasium's own check for every task, and its vector form world by world."""

import copy
import dataclasses
import pickle
import warnings
from pathlib import Path

import gymnasium
import jax
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode

import rookery.interop  # registers
from rookery.agents import scripted
from rookery.agents.communication import CommunicationConfig
from rookery.agents.weights import save_agent
from rookery.errors import ConfigError, IncompatibleError, InvalidActionError, NotFoundError, ResetNeededError
from rookery.interop import single_agent_batch
from rookery.interop.gymnasium import SingleAgentEnv, SingleAgentVectorEnv
from rookery.interop.single_agent_batch import resolve_partners
from rookery.tasks import registry
from tests.interop.counting import Counting, CountingEnv, FixedLength, random_value
from tests.play.conftest import Always
from tests.tiny import TASK, assert_same, params, policy, save_novice


@pytest.fixture(autouse=True)
def strict():
    """Warnings are errors, DeprecationWarning too."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("name", registry.TASKS)
def test_every_task_conforms(name):
    made = gymnasium.make(f"rookery/{name}")
    assert isinstance(made, SingleAgentEnv), "no wrapper stands between"
    check_env(made)


def test_a_task_without_a_map_conforms():
    gymnasium.register("test/Counting-v0", entry_point=SingleAgentEnv, kwargs={"task": Counting()})
    try:
        check_env(gymnasium.make("test/Counting-v0").unwrapped)
    finally:
        del gymnasium.registry["test/Counting-v0"]


def test_changes_and_companions_are_given_to_make():
    made = gymnasium.make("rookery/goal-cycle-demo-v0", num_goals=2, agent=1, partners={0: "scripted"})
    assert made.unwrapped._batch.env.task.num_goals == 2
    assert made.unwrapped._batch.agent_mask.tolist() == [True, True, False]
    with pytest.raises(ConfigError, match="unexpected keyword argument 'num_golas'; did you mean 'num_goals'"):
        gymnasium.make("rookery/goal-cycle-demo-v0", num_golas=2)


def test_an_episode_by_hand():
    world = SingleAgentEnv(Counting(), agent=1)
    observation, info = world.reset(seed=3)
    assert observation.tolist() == [[random_value(3), 0]]
    assert info == {"active": False, "half": 0.0, "units": 0.0}
    assert world.step(2)[1:] == (0.0, False, False, {"active": True, "half": 0.0, "units": 0.0})
    assert world.step(2)[1:] == (2.0, False, False, {"active": True, "half": 1.0, "units": 2.0})
    assert world.step(np.int64(2))[1:4] == (2.0, False, False)
    observation, reward, terminated, truncated, _ = world.step(2)
    assert (observation.tolist(), reward, terminated, truncated) == ([[random_value(3), 4]], 2.0, True, False)
    with pytest.raises(ResetNeededError, match="is over; call reset"):
        world.step(0)
    assert world.reset()[0].tolist() == [[random_value(3, 1), 0]]
    for _ in range(5):
        last = world.step(0)
    assert last[2:4] == (False, True)  # the time limit


def test_steps_out_of_turn_and_wrong_actions_are_errors():
    world = SingleAgentEnv(Counting())
    with pytest.raises(ResetNeededError, match="has not begun"):
        world.step(0)
    world.reset(seed=0)
    for wrong, said in (
        (3, "action 3 is out of range; allowed: 0 to 2"),
        (0.5, "not a whole number"),
        ([0, 1], "must be 1"),
    ):
        with pytest.raises(InvalidActionError, match=said):
            world.step(wrong)
    assert world.step(1)[0].tolist() == [[1]]
    world.close()
    with pytest.raises(ResetNeededError, match="has not begun"):
        world.step(0)


def test_a_copy_goes_its_own_way_with_the_same_program():
    world = SingleAgentEnv(Counting())
    world.reset(seed=0)
    other = copy.deepcopy(world)
    world.step(1)
    assert other.step(2)[0].tolist() == [[2]]
    assert world.step(2)[0].tolist() == [[3]]
    assert other._batch is world._batch


def test_a_shallow_copy_and_a_pickle_go_their_own_way_too():
    env, envs = SingleAgentEnv(Counting()), SingleAgentVectorEnv(Counting(), 2)
    env.reset(seed=0)
    envs.reset(seed=0)
    for duplicate in (copy.copy, lambda original: pickle.loads(pickle.dumps(original))):
        other, others = duplicate(env), duplicate(envs)
        before = int(envs.step([0, 0])[0][0, 0, 0])
        assert env.step(1)[1] == 1.0
        assert envs.step([1, 1])[0].tolist() == [[[before + 1]]] * 2
        assert other.step(2)[1] == 2.0
        assert others.step([2, 0])[0].tolist() == [[[before + 2]], [[before]]]
        assert other._batch is env._batch


def test_max_episode_steps_shortens_the_episodes_of_a_vector():
    envs = gymnasium.make_vec("rookery/matrix-chicken-v0", num_envs=2, max_episode_steps=3)
    envs.reset(seed=0)
    assert [envs.step(np.array([0, 0]))[3].tolist() for _ in range(3)] == [[False] * 2, [False] * 2, [True] * 2]
    for no_shorter in (99, -1):
        assert lengths(Counting(), no_shorter) == [5, 5]
    with pytest.raises(ConfigError, match="max_episode_steps=0 must be at least 1"):
        SingleAgentVectorEnv(Counting(), 1, max_episode_steps=0)


def lengths(task, max_episode_steps):
    """Of two episodes of idle agents."""
    envs = SingleAgentVectorEnv(task, 1, max_episode_steps=max_episode_steps, autoreset_mode="SameStep")
    envs.reset(seed=0)
    ends = [step for step in range(1, 11) if envs.step([0])[3][0]]
    return np.diff([0, *ends]).tolist()


def test_max_episode_steps_shortens_episodes_whose_length_is_no_setting():
    assert lengths(FixedLength(), 2) == [2] * 5
    for name in ("goal-sequence-v0", "memory-sequence-v0"):
        gymnasium.make_vec(f"rookery/{name}", num_envs=2, max_episode_steps=3)


def test_a_partner_is_what_its_file_holds_when_the_environment_is_made(tmp_path, monkeypatch):
    path = save_novice(tmp_path / "best.safetensors")
    first = SingleAgentEnv(TASK, partners=path)
    assert SingleAgentEnv(TASK, partners=path)._batch is first._batch
    save_agent(path, policy(), jax.tree.map(lambda x: x + 1, params()), {})
    second = SingleAgentEnv(TASK, partners=path)
    for made, shift in ((first, 0), (second, 1), (copy.deepcopy(first), 0)):
        assert_same(made._batch.params["slot 1"], jax.tree.map(lambda x, shift=shift: x + shift, params()))
    monkeypatch.chdir(tmp_path)
    third = SingleAgentEnv(TASK, partners="best.safetensors")
    assert third._batch is second._batch
    (tmp_path / "other").mkdir()
    save_novice(tmp_path / "other" / "best.safetensors")
    monkeypatch.chdir("other")
    assert SingleAgentEnv(TASK, partners="best.safetensors")._batch is not third._batch
    assert pickle.loads(pickle.dumps(third))._batch is third._batch
    single_agent_batch._compiled_batch.cache_clear()  # as in another process
    assert_same(pickle.loads(pickle.dumps(third))._batch.params, second._batch.params)
    with pytest.raises(IncompatibleError, match=r"best.safetensors has changed since the environment was made"):
        pickle.loads(pickle.dumps(first))


def test_a_scripted_partner_that_is_defined_again_takes_the_place_of_the_first(monkeypatch):
    for action in (1, 2):
        monkeypatch.setitem(scripted.EXPERT_FACTORIES, ("counting", "full"), lambda task, action=action: Always(action))
        made = [SingleAgentEnv(Counting(), partners="scripted") for _ in range(2)]
        assert made[0]._batch is made[1]._batch
        assert pickle.loads(pickle.dumps(made[0]))._batch is made[0]._batch
        assert made[0]._batch.partner_groups[0].policy == Always(action)


def test_a_partner_that_observes_actions_is_refused(tmp_path):
    path = tmp_path / "listener.safetensors"
    listener = dataclasses.replace(policy(), communication=CommunicationConfig(visible_actions=True), num_agents=2)
    shapes = jax.eval_shape(listener.init, jax.random.PRNGKey(0))
    save_agent(path, listener, jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes), {})
    with pytest.raises(IncompatibleError, match=r"listener.safetensors observes other agents' actions or messages"):
        SingleAgentEnv(TASK, partners=path)


def test_who_may_stand_where():
    with pytest.raises(ConfigError, match="agent=2 is not a slot of this task; allowed: 0 to 1"):
        SingleAgentEnv(Counting(), agent=2)
    with pytest.raises(ConfigError, match=r"partners has slot 0; the other slots of agent 0 are \[1\]"):
        SingleAgentEnv(Counting(), partners={0: "random"})
    with pytest.raises(NotFoundError, match="the zoo has no 'goal-cycle-demo-exprt'; did you mean 'goal-cycle-demo-ex"):
        SingleAgentEnv(TASK, partners="goal-cycle-demo-exprt")
    with pytest.raises(IncompatibleError, match="was trained on observations of"):
        SingleAgentEnv(TASK, partners="goal-cycle-demo-expert")


@pytest.mark.parametrize(
    ("partners", "resolved"),
    [
        (None, "none"), ("none", "none"), (Path("/a/b.safetensors"), "/a/b.safetensors"), ({}, "none"),
        ({1: None}, "none"), ({1: Path("b")}, "b"), ({"1": "scripted"}, "scripted"),
        ({np.int64(1): "random"}, "random"),
    ],
)  # fmt: skip
def test_partners_in_many_forms(partners, resolved):
    assert resolve_partners(CountingEnv(Counting()), 0, partners) == ((1, resolved),)


@pytest.mark.parametrize(
    "wrong", [{"agent": 1.0}, {"agent": "agent_0"}, {"partners": ["random"]}, {"partners": {1: 2}}]
)
def test_partners_and_slots_of_the_wrong_type(wrong):
    with pytest.raises(ConfigError):
        resolve_partners(CountingEnv(Counting()), wrong.get("agent", 0), wrong.get("partners"))


def test_a_slot_has_one_partner():
    with pytest.raises(ConfigError, match="partners names slot 1 twice, as text and as a number; give it one partner"):
        resolve_partners(CountingEnv(Counting()), 0, {"1": "random", 1: "none"})


def test_the_same_numbers_as_the_functional_environment():
    plain = registry.make_env(TASK)
    params = plain.default_params()
    reset, step = jax.jit(plain.reset), jax.jit(plain.step)
    alone = np.array([False, True])
    world = SingleAgentEnv(TASK, agent=1)
    observation, _ = world.reset(seed=11)
    state, timestep = reset(jax.random.PRNGKey(11), params, alone)
    random = np.random.default_rng(1)
    for _ in range(TASK.max_steps):
        np.testing.assert_array_equal(observation, timestep.observation[1])
        action = int(random.integers(3))
        observation, reward, _, truncated, info = world.step(action)
        state, timestep = step(state, np.array([0, action], np.int32), params)
        assert reward == timestep.reward[1]
        assert info["goals"] == timestep.info["goals"][1]
    assert truncated
    assert bool(timestep.truncated)


@pytest.mark.parametrize("partners", ["random", "scripted", "frozen"])
def test_each_world_of_a_vector_is_the_single_one_of_its_seed(partners, tmp_path):
    if partners == "frozen":
        partners = str(save_novice(tmp_path / "novice.safetensors"))
    single = [SingleAgentEnv(TASK, partners=partners) for _ in range(3)]
    many = SingleAgentVectorEnv(TASK, 3, partners=partners)
    observation, _ = many.reset(seed=40)
    for world, one in enumerate(single):
        np.testing.assert_array_equal(observation[world], one.reset(seed=40 + world)[0])
    random = np.random.default_rng(2)
    moved = False
    over = [False] * 3
    for _ in range(2 * TASK.max_steps + 3):
        action = random.integers(3, size=3)
        observation, reward, terminated, truncated, info = many.step(action)
        for world, one in enumerate(single):
            if over[world]:
                expected, note = one.reset()
                outputs = (0.0, False, False)
            else:
                expected, *outputs, note = one.step(int(action[world]))
            np.testing.assert_array_equal(observation[world], expected)
            assert (reward[world], terminated[world], truncated[world]) == tuple(outputs)
            assert {name: info[name][world] for name in note} == note
            over[world] = outputs[1] or outputs[2]
        position = np.asarray(many._batch_state.env_states.position)[:, 1]
        moved |= (position != position[0]).any()
    assert moved, "the companions act"


def test_next_step_mode_by_hand():
    many = SingleAgentVectorEnv(Counting(limit=2), 2, agent=1)
    assert many.metadata["autoreset_mode"] is many.autoreset_mode is AutoresetMode.NEXT_STEP
    observation, info = many.reset(seed=7)
    assert observation.tolist() == [[[random_value(7), 0]], [[random_value(8), 0]]]
    assert info["active"].tolist() == [False, False]
    many.step([0, 0])
    observation, reward, terminated, truncated, info = many.step([2, 1])
    assert (reward.tolist(), terminated.tolist(), truncated.tolist()) == ([2, 1], [True, False], [False, False])
    assert observation.tolist() == [[[random_value(7), 2]], [[random_value(8), 2]]]
    assert info["units"].tolist() == [2, 1]
    assert info["_units"].tolist() == [True, True]
    # The action in an environment that is reset is ignored, and pays nothing.
    with pytest.raises(InvalidActionError, match="environment 1: action -1"):
        many.step([-1, -1])
    observation, reward, terminated, *_ = many.step([-1, 1])
    assert (reward.tolist(), terminated.tolist()) == ([0, 1], [False, True])
    assert observation.tolist() == [[[random_value(7, 1), 0]], [[random_value(8), 3]]]


def test_same_step_mode_by_hand():
    many = SingleAgentVectorEnv(Counting(limit=2), 2, agent=1, autoreset_mode="SameStep")
    assert many.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP
    many.reset(seed=7)
    assert "final_obs" not in many.step([0, 0])[4]
    observation, reward, terminated, _, info = many.step([2, 1])
    assert (reward.tolist(), terminated.tolist()) == ([2, 1], [True, False])
    assert observation.tolist() == [[[random_value(7, 1), 0]], [[random_value(8), 2]]]
    assert info["_final_obs"].tolist() == [True, False]
    assert info["final_obs"][0].tolist() == [[random_value(7), 2]]
    assert info["final_obs"][1] is None
    assert info["final_info"]["units"][0] == 2
    assert info["active"].tolist() == [False, True]
    observation, reward, terminated, *_ = many.step([2, 1])
    assert (reward.tolist(), terminated.tolist()) == ([0, 1], [False, True])
    assert observation.tolist() == [[[random_value(7, 1), 1]], [[random_value(8, 1), 0]]]


def test_disabled_mode_by_hand():
    many = SingleAgentVectorEnv(Counting(limit=2), 2, autoreset_mode=AutoresetMode.DISABLED)
    many.reset(seed=7)
    many.step([1, 2])
    with pytest.raises(ResetNeededError, match="the episode of environment 1 is over; start the next one with reset"):
        many.step([0, 0])
    observation, info = many.reset(options={"reset_mask": np.array([False, True])})
    assert observation.tolist() == [[[1]], [[0]]]
    assert info["_active"].tolist() == [False, True]
    assert many.step([1, 0])[2].tolist() == [True, False]


def test_seeds_of_a_vector():
    many = SingleAgentVectorEnv(Counting(), 2, agent=1)
    opened = lambda **how: many.reset(**how)[0][:, 0, 0].tolist()  # noqa: E731
    assert opened(seed=[9, 4]) == [random_value(9), random_value(4)]
    assert opened() == [random_value(9, 1), random_value(4, 1)]
    assert opened(seed=[None, 5]) == [random_value(9, 2), random_value(5)]
    with pytest.raises(ConfigError, match="3 seeds for 2 environments"):
        many.reset(seed=[1, 2, 3])
    with pytest.raises(ConfigError, match=r"seed=4294967295 leaves no seeds for 2 environments.*0 to 4294967294"):
        many.reset(seed=2**32 - 1)
    assert opened() == [random_value(9, 3), random_value(5, 1)]  # refused seeds changed nothing
    assert many.np_random_seed != 2**32 - 1
    for _ in range(2):
        many.close()
        with pytest.raises(ResetNeededError, match="without a mask first"):
            many.reset(seed=7, options={"reset_mask": [True, False]})
        many.close()
    assert opened() == [random_value(9, 4), random_value(5, 2)]  # closing keeps them
    many.close()
    with pytest.raises(ResetNeededError):
        many.step([0, 0])
    unseeded = SingleAgentVectorEnv(Counting(), 2)
    with pytest.raises(ResetNeededError, match="call reset"):
        unseeded.step([0, 0])
    unseeded.reset()
    assert unseeded._seeds[0] != unseeded._seeds[1]


@pytest.mark.parametrize("options", [{"bogus": 1}, {"reset_mask": [True]}, {1: 2}, 5, "reset_mask"])
def test_a_reset_has_no_options(options):
    world = SingleAgentEnv(Counting())
    with pytest.raises(ConfigError, match=r"no option .*; allowed: none|options=.* must be a dictionary or None"):
        world.reset(seed=0, options=options)
    for nothing in (None, {}):
        world.reset(seed=0, options=nothing)
        SingleAgentVectorEnv(Counting(), 1).reset(seed=0, options=nothing)


def test_wrong_uses_of_a_vector_are_errors():
    with pytest.raises(ConfigError, match="num_envs=0"):
        SingleAgentVectorEnv(Counting(), 0)
    with pytest.raises(ConfigError, match="allowed: 'NextStep', 'SameStep', 'Disabled'"):
        SingleAgentVectorEnv(Counting(), 1, autoreset_mode="never")
    many = SingleAgentVectorEnv(Counting(), 2)
    many.reset(seed=0)
    for wrong, said in (([0, 3], "environment 1: action 3 is out of range"), ([0], "must be 2 whole numbers")):
        with pytest.raises(InvalidActionError, match=said):
            many.step(wrong)
    for mask in ([True], [0, 1], [False, False]):
        with pytest.raises(ConfigError, match=r"reset_mask must be bool\[2\]"):
            many.reset(options={"reset_mask": mask})
    with pytest.raises(ConfigError, match="there is no option 'reset_masks'; did you mean 'reset_mask'"):
        many.reset(options={"reset_masks": [True, False]})
    many.close()
    with pytest.raises(ResetNeededError):
        many.step([0, 0])


def test_gymnasium_makes_vectors_of_ours():
    many = gymnasium.make_vec("rookery/goal-cycle-demo-v0", num_envs=2, render_mode="rgb_array")
    assert isinstance(many, SingleAgentVectorEnv)
    observation, _ = many.reset(seed=0)
    assert observation in many.observation_space
    many.step(many.action_space.sample())
    pictures = many.render()
    assert [picture.shape for picture in pictures] == [(216, 216, 3)] * 2
    assert (pictures[0] != pictures[1]).any()
    many.close()


def test_ids_are_known_after_the_import():
    assert {f"rookery/{name}" for name in registry.TASKS} <= set(gymnasium.registry)
    assert rookery.interop.NAMESPACE == "rookery"


def test_seeds_of_numpy_are_numbers():
    """No wrapping round at the end of a small type, and no complaint of another library's."""
    one, many = SingleAgentEnv(Counting(), agent=1), SingleAgentVectorEnv(Counting(), 3, agent=1)
    assert one.reset(seed=np.int64(9))[0][0, 0].tolist() == random_value(9)
    assert many.reset(seed=np.uint8(254))[0][:, 0, 0].tolist() == [
        random_value(254),
        random_value(255),
        random_value(256),
    ]
