"""Extensions that are not registered, or in which there is a mistake, are refused before anything is written."""

import dataclasses
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from rookery.agents.networks import MLPNetwork
from rookery.agents.team import AgentGroup
from rookery.errors import ConfigError
from rookery.interfaces import AuxiliaryLoss, IntrinsicReward
from rookery.learning.a2c import A2C
from rookery.learning.intrinsic.combine import INFLUENCE_ON
from rookery.learning.intrinsic.prosocial import Prosocial
from rookery.plugins import AUXILIARY_LOSSES, INTRINSIC_REWARDS, LEARNERS, NETWORKS
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.grid_env import GridEnv
from rookery.training.build import build
from rookery.training.config import RandomPolicyConfig, RecurrentPolicyConfig
from rookery.training.demonstrations import record_dataset
from rookery.training.extension_checks import check_environment, check_update, extension_failures_named
from rookery.training.trainer import resume, train
from tests.learning.worlds import Rooms
from tests.tiny import NOVICE, OTHER, TASK, tiny


@dataclasses.dataclass(frozen=True, kw_only=True)
class BadReward(IntrinsicReward):
    kind: Literal["bad-reward"] = "bad-reward"
    result: Literal["extra step", "episodes", "scalar", "influence"] = "scalar"

    def reward(self, params, policy, trajectory, state):
        per_observation = trajectory.is_first.astype(jnp.float32)
        return {"extra step": per_observation, "episodes": per_observation[0], "scalar": jnp.float32(1.0)}[self.result]

    def influence(self, params, policy, trajectory):
        return trajectory.reward if self.result == "influence" else None


@dataclasses.dataclass(frozen=True, kw_only=True)
class BadLoss(AuxiliaryLoss):
    kind: Literal["bad-loss"] = "bad-loss"
    result: Literal["scalar", "mask", "number", "no mask", "metric", "no metrics"] = "scalar"

    def loss_mask(self, batch):
        mask = batch.loss_mask
        return {"mask": mask[0], "number": 0.5 * mask, "no mask": None}.get(self.result, mask)

    def loss(self, params, inputs):
        values = inputs.hidden.sum(-1)
        return values.mean() if self.result == "scalar" else values

    def metrics(self, params, inputs):
        return {"metric": {"size": jnp.zeros(2)}, "no metrics": None}.get(self.result, {})


def learner(intrinsic=(), auxiliary=()):
    return A2C(sequence_length=4, intrinsic=intrinsic, auxiliary=auxiliary)


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        (learner((BadReward(result="extra step"),)), r"'bad-reward', .* has shape \[9, 4\], must be \[8, 4\]"),
        (learner((BadReward(result="episodes"),)), r"reward\(\) of 'bad-reward', .* has shape \[4\], must be \[8, 4\]"),
        (learner((BadReward(result="scalar"),)), r"reward\(\) of 'bad-reward', .* has shape \[\], must be \[8, 4\]"),
        (learner((BadReward(result="influence"),)), r"influence\(\) of 'bad-reward', .* must be \[8, 4, 1\]"),
        (learner((), (BadLoss(result="scalar"),)), r"loss\(\) of 'bad-loss', .* has shape \[\], must be \[4, 8\]"),
        (learner((), (BadLoss(result="mask"),)), r"loss_mask\(\) of 'bad-loss', .* has shape \[8\], must be \[4, 8\]"),
        (
            learner((), (BadLoss(result="number"),)),
            r"'bad-loss', .* is float32\[4, 8\], must be bool\[4, 8\]",
        ),
        (learner((), (BadLoss(result="no mask"),)), r"loss_mask\(\) of 'bad-loss', .* is of type NoneType"),
        (learner((), (BadLoss(result="no metrics"),)), r"BadLoss\.metrics: returned NoneType"),
        (learner((), (BadLoss(result="metric"),)), r"metric 'size' of 'bad-loss' has shape \[2\], must be \[\]"),
    ],
    ids=lambda value: "" if isinstance(value, str) else (*value.intrinsic, *value.auxiliary)[0].result,
)
def test_wrong_shapes_are_refused_before_anything_is_written(learner, message, tmp_path, monkeypatch):
    monkeypatch.setitem(INTRINSIC_REWARDS._entries, "bad-reward", BadReward)
    monkeypatch.setitem(AUXILIARY_LOSSES._entries, "bad-loss", BadLoss)
    config = tiny(team=(dataclasses.replace(NOVICE, learner=learner), OTHER))
    with pytest.raises(ConfigError, match=message):
        train(config, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_a_number_that_no_file_may_hold_is_refused_before_anything_is_written(tmp_path):
    """The constructor refuses it; a class may still set it afterwards."""
    reward = Prosocial()
    object.__setattr__(reward, "weight", float("nan"))
    config = tiny(team=(dataclasses.replace(NOVICE, learner=learner((reward,))), OTHER))
    with pytest.raises(ConfigError, match=r"^config\.team\.0\.learner\.intrinsic\.0\.weight is .*NaN"):
        train(config, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Returning(A2C):
    """It measures nothing under a name of its own, and counts its updates."""

    kind: Literal["returning"] = "returning"
    name: str = "mine"
    shape: tuple[int, ...] = ()
    step: float = 1

    def init(self, *arguments, **steps):
        return super().init(*arguments, **steps)._replace(intrinsic_state={"count": jnp.int32(0)})

    def update(self, policy, state, *arguments):
        after, metrics = super().update(policy, state, *arguments)
        after = after._replace(intrinsic_state={"count": state.intrinsic_state["count"] + self.step})
        return after, {**metrics, self.name: jnp.zeros(self.shape)}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "return"}, r"the learner 'returning': the metric 'return' would replace"),
        ({"name": "goals"}, r"the learner 'returning': the metric 'goals' would replace"),
        ({"shape": (8,)}, r"update\(\) of the learner 'returning': metric 'mine' has shape \[8\], must be \[\]"),
        (
            {"step": 0.5},
            r"update\(\) .*: \.intrinsic_state\['count'\] is float32\[\], must be int32\[\]",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_a_learner_may_not_return_is_refused_before_anything_is_written(fields, message, tmp_path, monkeypatch):
    monkeypatch.setitem(LEARNERS._entries, "returning", Returning)
    config = tiny(team=(dataclasses.replace(NOVICE, learner=Returning(sequence_length=4, **fields)), OTHER))
    with pytest.raises(ConfigError, match=f"^group 'novice': {message}"):
        train(config, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


GUARDED = dict.fromkeys(A2C.nan_guarded_metrics, 0.0)


class State(NamedTuple):
    count: Any
    own: Any = ()


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (State(0), r"must return a pair, the next state and a dictionary of metrics; mend it"),
        ((State(0), ()), r"must return a pair"),
        ((State(0, {"new": 1}), {}), r"the next state: \.own\['new'\] is int32\[\], must be missing; mend it"),
        ((State(()), {}), r"the next state: \.count is missing, must be int32\[\]"),
        ((State(np.zeros(2, np.int32)), {}), r"the next state: \.count is int32\[2\], must be int32\[\]"),
        ((State(0, []), {}), r"the next state has another structure"),
        ((State(0), {**GUARDED, 3: 0.0}), r"metric name 3 must be a string of one character or more, printable"),
        ((State(0), {**GUARDED, "a b\n/": 0.0}), r"metric name 'a b\\n/' must be .* with text before and after each /"),
        ((State(0), {**GUARDED, "mine": None}), r"metric 'mine' is of type NoneType, must be an array of shape \[\]"),
    ],
)
def test_the_leaf_of_a_state_that_changed_is_named(result, message):
    group = AgentGroup("novice", (0,), None, A2C())  # type: ignore[arg-type]
    check_update(group, State(0), (State(1), {**GUARDED, INFLUENCE_ON: np.zeros(2)}))
    with pytest.raises(ConfigError, match=rf"^group 'novice': update\(\) of the learner 'a2c'.* {message}"):
        check_update(group, State(0), result)


def test_a_metric_that_must_stay_finite_and_does_not_exist_is_named():
    group = AgentGroup("novice", (0,), None, A2C())  # type: ignore[arg-type]
    metrics = {name: value for name, value in GUARDED.items() if name != "entropy"}
    message = r"nan_guarded_metrics of the learner 'a2c' has 'entropy', .* allowed: 'policy_loss', 'value_loss'; mend"
    with pytest.raises(ConfigError, match=message):
        check_update(group, State(0), (State(1), metrics))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Keyed(A2C):
    """Its state holds a key of a type that no checkpoint can hold."""

    kind: Literal["keyed"] = "keyed"

    def init(self, *arguments, **steps):
        return super().init(*arguments, **steps)._replace(intrinsic_state={"key": jax.random.key(0)})


def test_a_state_that_no_checkpoint_can_hold_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(LEARNERS._entries, "keyed", Keyed)
    config = tiny(team=(dataclasses.replace(NOVICE, learner=Keyed(sequence_length=4)), OTHER))
    message = r"^group 'novice': init\(\) of the learner 'keyed': intrinsic_state\['key'\] is a typed random key; keep"
    with pytest.raises(ConfigError, match=message):
        train(config, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Envious(IntrinsicReward):
    """It reads what it does not request, or fails where it is trained."""

    kind: Literal["envious"] = "envious"

    def reward(self, params, policy, trajectory, state):
        return trajectory.others.action[..., 1]


class LogitsOnly(nn.Module):
    num_actions: int

    @nn.compact
    def __call__(self, hidden):
        return nn.Dense(self.num_actions)(hidden)


class Unfinished(nn.Module):
    @nn.compact
    def __call__(self, observation):
        raise KeyError("pixels")


@dataclasses.dataclass(frozen=True, kw_only=True)
class BadNetwork(MLPNetwork):
    kind: Literal["bad-network"] = "bad-network"
    part: Literal["encoder", "heads"] = "heads"

    def encoder(self):
        return Unfinished() if self.part == "encoder" else super().encoder()

    def heads(self, num_actions):
        return LogitsOnly(num_actions)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"learner": learner((Prosocial(), Envious()))},
            r"^Envious\.reward: raised .*required_info is \(\); allowed: 'action', .*; mend it",
        ),
        (
            {"policy": RecurrentPolicyConfig(network=BadNetwork())},
            r"^the heads of network 'bad-network' must return",
        ),
        (
            {"policy": RecurrentPolicyConfig(network=BadNetwork(part="encoder"))},
            r"^Unfinished\.__call__: raised KeyError: 'pixels'; mend it",
        ),
    ],
    ids=["reward", "heads", "encoder"],
)
def test_a_mistake_is_named_before_anything_is_written(changes, message, tmp_path, monkeypatch):
    monkeypatch.setitem(INTRINSIC_REWARDS._entries, "envious", Envious)
    monkeypatch.setitem(NETWORKS._entries, "bad-network", BadNetwork)
    with pytest.raises(ConfigError, match=message):
        train(tiny(team=(dataclasses.replace(NOVICE, **changes), OTHER)), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured(AuxiliaryLoss):
    """Its health is measured at checkpoints alone."""

    kind: Literal["measured"] = "measured"
    fails: ClassVar[bool] = False
    result: ClassVar[Any] = {"error": 1.0}

    def loss(self, params, inputs):
        return jnp.zeros(inputs.hidden.shape[:2])

    def health(self, params, inputs):
        if self.fails:
            raise ValueError("no agents here")
        return self.result


def test_a_mistake_in_what_checkpoints_measure_is_named_before_a_run_starts_or_continues(tmp_path, monkeypatch):
    monkeypatch.setitem(AUXILIARY_LOSSES._entries, "measured", Measured)
    config = tiny(team=(dataclasses.replace(NOVICE, learner=learner((), (Measured(),))), OTHER))
    message = r"^Measured\.health: raised ValueError: no agents here; mend it"
    monkeypatch.setattr(Measured, "fails", True)
    with pytest.raises(ConfigError, match=message):
        train(config, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
    monkeypatch.setattr(Measured, "fails", False)
    assert not train(config, tmp_path / "run", quiet=True, stop_after=0).finished
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    monkeypatch.setattr(Measured, "fails", True)
    with pytest.raises(ConfigError, match=message):
        resume(tmp_path / "run", quiet=True)
    assert {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (
            None,
            r"^Measured\.health: returned NoneType, must return an instance of dict",
        ),
        ({"error": np.zeros(3)}, r"^group 'novice': the health: metric 'measured/error' has shape \[3\], must be \[\]"),
        ({"": 0.0}, r"^group 'novice': the health: metric name 'measured/' must be"),
    ],
    ids=["none", "shape", "name"],
)
def test_health_that_is_no_number_by_name_is_refused_before_anything_is_written(result, message, tmp_path, monkeypatch):
    monkeypatch.setitem(AUXILIARY_LOSSES._entries, "measured", Measured)
    monkeypatch.setattr(Measured, "result", result)
    config = tiny(team=(dataclasses.replace(NOVICE, learner=learner((), (Measured(),))), OTHER))
    with pytest.raises(ConfigError, match=message):
        train(config, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()


def test_the_part_that_was_entered_last_is_named_and_other_errors_pass():
    @dataclasses.dataclass(frozen=True)
    class Outer:
        inner: Any

        def call(self):
            return self.inner.fail()

    @dataclasses.dataclass(frozen=True)
    class Inner:
        error: Exception

        def fail(self):
            raise self.error

    inner = Inner(ValueError("one\ntwo"))
    outer = Outer(inner)
    with (
        pytest.raises(ConfigError, match=r"^Inner\.fail: raised ValueError: one two; mend"),
        extension_failures_named([outer, inner]),
    ):
        outer.call()
    with pytest.raises(ConfigError, match=r"^Outer\.call: raised ValueError"), extension_failures_named([outer]):
        outer.call()
    too_many = r"Inner\.fail\(\) takes 1 positional argument but 2 were given; it must take the arguments that"
    with pytest.raises(ConfigError, match=too_many), extension_failures_named([inner]):
        inner.fail(1)  # type: ignore[call-arg]
    with pytest.raises(TypeError), extension_failures_named([outer]):
        inner.fail(1)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match=r"^one\ntwo$"), extension_failures_named([A2C()]):
        outer.call()

    class MuteError(Exception):
        def __str__(self):
            raise RuntimeError

    mute = Inner(MuteError())
    with (
        pytest.raises(ConfigError, match=r"^Inner\.fail: raised MuteError: MuteError, whose __str__ fails; mend"),
        extension_failures_named([mute]),
    ):
        mute.fail()
    full = Inner(MemoryError("full"))  # what the machine lacks is not a mistake of the class
    with pytest.raises(MemoryError), extension_failures_named([full]):
        full.fail()


@dataclasses.dataclass(frozen=True)
class OwnRooms(Rooms):
    """Rooms of a task of another package, some of whose time steps are changed."""

    task: Any = None
    change: Any = dataclasses.field(default=None, hash=False)
    changed: tuple[str, ...] = ("reset", "step")

    def reset(self, key, params, agent_mask=None):
        state, timestep = super().reset(key, params, agent_mask)
        return state, self.change(timestep) if "reset" in self.changed else timestep

    def step(self, state, action, params):
        state, timestep = super().step(state, action, params)
        return state, self.change(timestep) if "step" in self.changed else timestep


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t: t.replace(observation=t.observation / 255),
            r"observation .*: the array is float32.*must be uint8",
        ),
        (lambda t: t.replace(observation=t.observation[:, :2]), r"the array is uint8\[3, 2\], must be uint8\[3, 3\]"),
        (lambda t: t.replace(observation=tuple(t.observation)[:2]), r"\[2\] is missing, must be uint8\[3\]"),
        (
            lambda t: t.replace(reward=t.reward.sum()),
            r"the reward, .* has shape \[\], must be \[3\]",
        ),
        (lambda t: t.replace(info={"x": t.reward[:, None]}), r"\['x'\] is float32\[3, 1\], must be float32\[3\]"),
        (lambda t: t.replace(info={"a\tb": t.reward}), r"metric name 'a\\tb' must be a string .*, printable"),
    ],
)
def test_time_steps_that_training_would_misread_are_refused(change, message):
    task = UnregisteredTask(views=TASK.views)
    check_environment(task, OwnRooms(change=lambda timestep: timestep))
    with pytest.raises(ConfigError, match=rf"^task 'unregistered': .*{message}"):
        check_environment(task, OwnRooms(change=change))


@dataclasses.dataclass(frozen=True)
class TypedRooms(Rooms):
    """Rooms that say what their observations mean."""

    said: Any = None

    def observation_type(self, slot):
        return self.said


@pytest.mark.parametrize("said", ["pixels", "symbolic", "objects", "colors", 3])
def test_observations_that_are_not_what_the_environment_says_are_refused(said):
    """A loss of symbols would split channels that mean something else."""
    task = UnregisteredTask(views=TASK.views)
    check_environment(task, TypedRooms())
    with pytest.raises(ConfigError, match=r"^task 'unregistered': observation_type returned .*\[3\]; allowed: None, "):
        check_environment(task, TypedRooms(said=said))


def test_a_step_that_returns_other_types_than_a_reset_is_refused():
    env = OwnRooms(change=lambda timestep: timestep.replace(reward=timestep.reward.astype(int)), changed=("step",))
    with pytest.raises(ConfigError, match=r"^task 'unregistered': a step must return types as a reset does; .*reward"):
        check_environment(UnregisteredTask(views=TASK.views), env)


class FloatEnv(GridEnv):
    def reset(self, *arguments):
        state, timestep = super().reset(*arguments)
        return state, timestep.replace(observation=timestep.observation / 255)

    def step(self, *arguments):
        state, timestep = super().step(*arguments)
        return state, timestep.replace(observation=timestep.observation / 255)


class FloatTask(GoalCycle):
    def make_env(self):
        return FloatEnv(self)


def test_observations_that_are_no_whole_numbers_are_neither_trained_on_nor_recorded(tmp_path):
    task = FloatTask(**vars(TASK))
    message = r"^task 'goal-cycle': the observation of all agents: the array is float32\[2, 3, 3, 8\], must be uint8"
    with pytest.raises(ConfigError, match=message):
        build(tiny(task=task))
    with pytest.raises(ConfigError, match=message):
        record_dataset(tmp_path / "data", task, RandomPolicyConfig(), num_episodes=2)
    assert not (tmp_path / "data").exists()


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnregisteredTask(GoalCycle):
    kind: Literal["unregistered"] = "unregistered"


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnregisteredNetwork(MLPNetwork):
    kind: Literal["unregistered"] = "unregistered"


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnregisteredLearner(A2C):
    kind: Literal["unregistered"] = "unregistered"


def team(**changes):
    return {"team": (dataclasses.replace(NOVICE, **changes), OTHER)}


@pytest.mark.parametrize(
    ("changes", "call"),
    [
        ({"task": UnregisteredTask(views=TASK.views)}, r'register\("my-task-v0", .*, UnregisteredTask\(\)\)'),
        (team(policy=RecurrentPolicyConfig(network=UnregisteredNetwork())), r"register_network\(UnregisteredNetwork\)"),
        (team(learner=UnregisteredLearner()), r"register_learner\(UnregisteredLearner\)"),
        (team(learner=learner((), (BadLoss(),))), r"register_auxiliary_loss\(BadLoss\)"),
        (team(learner=learner((BadReward(),))), r"register_intrinsic_reward\(BadReward\)"),
    ],
    ids=["task", "network", "learner", "loss", "reward"],
)
def test_a_class_that_is_not_registered_is_named_with_the_call_that_registers_it(changes, call, tmp_path):
    with pytest.raises(ConfigError, match=rf"not a registered .*call rookery\.{call} first"):
        train(tiny(env_schedules={}, **changes), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
