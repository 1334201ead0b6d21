"""Sizes beyond any use are refused before anything of that size is made."""

import dataclasses
import json
import types

import jax
import numpy as np
import pytest

from rookery.agents.communication import CommunicationConfig
from rookery.agents.networks import JaquesNetwork, MLPNetwork
from rookery.cli import main
from rookery.errors import ConfigError
from rookery.gridworld.spec import GridSpec, ViewConfig
from rookery.learning.a2c import A2C
from rookery.learning.auxiliary.attention import AttentionLoss
from rookery.learning.cloning import BehaviorCloning
from rookery.learning.intrinsic import Prosocial
from rookery.learning.ppo import PPO
from rookery.learning.r2d2 import R2D2
from rookery.limits import check_numbers
from rookery.plugins import INTRINSIC_REWARDS, LEARNERS
from rookery.studies.session import Session
from rookery.tasks.four_rooms import FourRooms
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.matrix_games import MatrixGame
from rookery.tasks.maze import Maze
from rookery.tasks.registry import make_env, task_types
from rookery.tasks.single_goal import SingleGoal
from rookery.tasks.sixteen_places import SixteenPlaces
from rookery.tasks.social_dilemmas.cleanup import Cleanup
from rookery.training import memory
from rookery.training.clone_trainer import CloneConfig, train_clones
from rookery.training.config import Variant
from rookery.training.generation_chain import GenerationsConfig, train_generations
from rookery.training.generation_presets import memory_sequence
from rookery.training.memory import check_memory, check_process_memory, environment_bytes, format_bytes, run_memory
from rookery.training.policy_config import OraclePolicyConfig
from rookery.training.trainer import resume, train
from tests.tiny import CONFIG, NOVICE, OTHER, TASK, tiny

HUGE = 2**31
HUGE_LEARNER = dataclasses.replace(NOVICE.learner, minibatch_size=HUGE)
SIZES = [
    (GoalCycle, {"width": HUGE}),
    (GoalCycle, {"height": 1000, "width": 1000}),
    (GoalCycle, {"height": 500, "width": 500, "views": (ViewConfig(),) * 100}),
    (GoalCycle, {"num_goals": 10**9}),
    (GoalCycle, {"num_obstacles": 10**30}),
    (GoalCycle, {"max_steps": HUGE}),
    (GoalCycle, {"spawn_delay": (0, 0, HUGE)}),
    (GoalCycle, {"views": (ViewConfig(),) * 1000}),
    (GoalCycle, {"map": "#" * 2000 + "\n" + "#" * 2000}),
    (ViewConfig, {"tile_size": HUGE}),
    (Maze, {"height": HUGE + 1}),
    (FourRooms, {"width": HUGE}),
    (SixteenPlaces, {"rooms": (HUGE, HUGE)}),
    (MatrixGame, {"max_steps": HUGE}),
    (Cleanup, {"max_steps": 10**5000}),
    (MLPNetwork, {"hidden_size": HUGE}),
    (MLPNetwork, {"encoder_size": 10**30}),
    (JaquesNetwork, {"filters": HUGE}),
    (tiny, {"num_envs": HUGE}),
    (tiny, {"num_seeds": 10**9}),
    (tiny, {"eval_episodes": HUGE}),
    (tiny, {"total_timesteps": 10**30}),
    (tiny, {"checkpoint_interval": 10**12}),
    (tiny, {"env_schedules": {"penalty": ((0.0, 0.0), (1.0, -1e39))}}),
    (CloneConfig, {"learner": BehaviorCloning(max_grad_norm=1e39)}),
    (tiny, {"team": (dataclasses.replace(NOVICE, learner=HUGE_LEARNER), OTHER)}),
]  # fmt: skip


@pytest.mark.parametrize(("make", "sizes"), SIZES)
def test_a_size_beyond_any_use(make, sizes):
    with pytest.raises(ConfigError) as caught:
        make(**sizes)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400


def test_the_command_line_refuses_them(capsys):
    sizes = "task.width=2147483648", "task.max_steps=1e12", "num_envs=" + "9" * 400, "task.num_goals=1e9"
    infinite = "task.goal_reward=1e39", "task.penalty=1e308", "team.0.learning_rate=1e39"
    for change in (*sizes, *infinite):
        assert main(["train", "smoke", change, "--dry-run"]) == 2
        assert capsys.readouterr().err.count("\n") == 1


def test_a_number_that_would_be_infinite_in_a_program():
    largest = float(np.finfo(np.float32).max)
    assert make_env(GoalCycle(penalty=largest)).task.penalty == largest
    with pytest.raises(ConfigError, match=r"penalty=3\.5e\+38 must lie in \[-3\.402823e\+38, 3\.402823e\+38\]"):
        make_env(GoalCycle(penalty=3.5e38))


def test_the_learners_of_an_update_are_counted_exactly(straight):
    """By their shapes alone, as training allocates them."""
    counted = run_memory(CONFIG, some_devices(2))
    learners = straight.state.learners
    assert counted.state == sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(learners))
    playing = len(CONFIG.replicas)  # on a device each
    assert counted.environments == 5 * 6 * CONFIG.num_envs * playing
    assert counted.trajectories > (8 + 1) * CONFIG.num_envs * 3 * 3 * 8  # the observations


def some_devices(number, platform="cpu", bytes_limit=None):
    stats = {"bytes_limit": bytes_limit} if bytes_limit else None
    return [types.SimpleNamespace(platform=platform, memory_stats=lambda: stats)] * number


def test_replicas_play_at_once_on_devices_of_their_own_and_on_a_gpu():
    config = dataclasses.replace(CONFIG, num_seeds=3)  # six replicas
    sizes = [run_memory(config, some_devices(number)).trajectories for number in (1, 2, 6, 8)]
    assert [size / sizes[0] for size in sizes] == [1, 2, 6, 6]
    assert run_memory(config, some_devices(1, "gpu")).trajectories == sizes[3]


def test_an_evaluation_is_counted_where_it_needs_more_than_an_update():
    """Trajectories are recorded where losses are measured on them."""
    alone = dataclasses.replace(NOVICE, learner=dataclasses.replace(NOVICE.learner, auxiliary=()))
    map_and_views = environment_bytes(make_env(TASK), (0, 1))
    step = 3 * 3 * 8 + memory.STEP_BYTES
    for novice, recorded in ((NOVICE, 9 * step), (alone, 0)):
        config = tiny(team=(novice, OTHER), variants=CONFIG.variants[:1], eval_episodes=0)
        update = run_memory(config, some_devices(1))
        assert (update.evaluation, "evaluation" in update.describe()) == (0, False)
        for episodes in (1, 10**6):
            counted = run_memory(dataclasses.replace(config, eval_episodes=episodes), some_devices(1))
            assert counted.evaluation == episodes * (map_and_views + recorded)
            assert counted.total == (update.total if episodes == 1 else update.state + counted.evaluation)


def test_an_update_on_a_gpu_must_fit_the_gpu(monkeypatch):
    monkeypatch.setattr(memory, "machine_memory", lambda: 1)
    needed = run_memory(CONFIG, some_devices(1, "gpu")).total
    for limit in (None, needed // 2 + 1):  # unknown, or enough
        check_memory(CONFIG, some_devices(2, "gpu", limit))
    with pytest.raises(ConfigError, match=r"in an evaluation; the GPUs \(2\) have"):
        check_memory(CONFIG, some_devices(2, "gpu", needed // 2 - 1))


def test_a_process_of_several_must_hold_its_own_replicas(monkeypatch, capsys):
    """And process 0 the states of all."""
    config = dataclasses.replace(CONFIG, num_seeds=3)  # six replicas
    own = run_memory(config, some_devices(1), num_replicas=2)
    assert own == run_memory(dataclasses.replace(CONFIG, num_seeds=1), some_devices(1))
    states = run_memory(config).state
    assert own.total < states
    for size, leads in ((own.total, False), (states, True)):
        monkeypatch.setattr(memory, "machine_memory", lambda size=size: size)
        check_process_memory(config, some_devices(1), 2, leads)
        monkeypatch.setattr(memory, "machine_memory", lambda size=size: size - 1)
        with pytest.raises(
            ConfigError, match="the states of all 6 replicas, in process 0," if leads else "2 of 6 repl"
        ):
            check_process_memory(config, some_devices(1), 2, leads)
    monkeypatch.setattr(memory, "machine_memory", lambda: None)
    check_process_memory(config, some_devices(1, "gpu", states), 2, leads=True)
    with pytest.raises(ConfigError, match=r"the states of all 6 replicas, in process 0, .* the GPUs \(1\) have"):
        check_process_memory(config, some_devices(1, "gpu", states - 1), 2, leads=True)


def test_the_dry_run_of_one_of_several_processes_counts_its_own_replicas(monkeypatch, capsys):
    command = ["train", "smoke", "--seeds", "8", "--dry-run"]
    assert main(command) == 0
    whole = capsys.readouterr().err.splitlines()[0]
    place = ["--coordinator", "node1:4000", "--num-processes", "8", "--process-id", "1"]
    assert main(command + place) == 0
    own = capsys.readouterr().err.splitlines()[0]
    assert own.startswith("training needs at least ")
    assert own != whole


def test_an_update_that_cannot_fit_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(memory, "machine_memory", lambda: run_memory(CONFIG).total - 1)
    with pytest.raises(ConfigError, match=r"training needs at least .* in an evaluation; this machine has"):
        check_memory(CONFIG)
    monkeypatch.setattr(memory, "machine_memory", lambda: None)
    check_memory(CONFIG)
    assert main(["train", "smoke", "num_envs=1000000", "--dry-run"]) == 0
    printed = capsys.readouterr()
    assert "training needs at least" in printed.err
    assert json.loads(printed.out)["config"]["num_envs"] == 10**6


def test_sizes_in_words():
    assert [format_bytes(n) for n in (12, 1500, 2 * 10**9, 3 * 10**15)] == ["12 B", "1.5 kB", "2.0 GB", "3,000.0 TB"]


SETTINGS = (
    *task_types(), *LEARNERS.classes(), *INTRINSIC_REWARDS.classes(), AttentionLoss, ViewConfig, GridSpec,
    CommunicationConfig, CloneConfig, BehaviorCloning, OraclePolicyConfig,
)  # fmt: skip
"""Without networks and losses in modules whose types tests check at every call (conftest.py)."""


@pytest.mark.parametrize("cls", SETTINGS, ids=lambda cls: cls.__name__)
def test_text_or_nothing_where_a_number_belongs(cls):
    """From Python, too, where no file is read that would be checked."""
    settings = cls()
    fields = [f for f in dataclasses.fields(cls) if f.init and type(f.default) in (int, float)]
    fields = [field for field in fields if "Literal" not in field.type]
    assert fields
    for field in fields:
        for value in ("4", (1, "4"), *((None,) if "None" not in field.type else ())):
            with pytest.raises(ConfigError, match=rf"^{field.name}=.* must be a (whole )?number"):
                dataclasses.replace(settings, **{field.name: value})


@pytest.mark.parametrize(
    "make",
    [
        lambda: Prosocial(weight=float("nan")),
        lambda: Prosocial(warmup_steps=float("inf")),
        lambda: PPO(gae_lambda=float("-inf")),
        lambda: PPO(vf_coef=10**400),
    ],
)
def test_numbers_that_are_not_finite(make):
    with pytest.raises(ConfigError, match=r"=(nan|inf|-inf|10{50,}\.\.\.) must be a finite number"):
        make()


def test_numbers_of_other_settings():
    for name in ("num_seeds", "total_timesteps", "seed", "eval_episodes"):
        with pytest.raises(ConfigError, match=f"^{name}=None must be a whole number$"):
            tiny(**{name: None})
    with pytest.raises(ConfigError, match=r"^num_obstacles='4' must be a whole number or None$"):
        GoalCycle(num_obstacles="4")
    with pytest.raises(ConfigError, match=r"^spawn_delay=\('4', 0, 0\) must be a tuple of whole numbers$"):
        GoalCycle(spawn_delay=("4", 0, 0))
    with pytest.raises(ConfigError, match=r"^novice.learning_rate='1e-3' must be a number or points such as"):
        dataclasses.replace(NOVICE, learning_rate="1e-3")
    with pytest.raises(ConfigError, match=r"^num_goals=4\.5 must be a whole number$"):
        GoalCycle(num_goals=4.5)
    assert GoalCycle(penalty=np.float32(1), num_goals=np.int64(4), spawn_delay=[0, 1, 2]).spawn_delay == (0, 1, 2)


SETTINGS_OF_ANOTHER_TYPE = [
    (lambda: tiny(team="x"), r"team='x' must be a tuple; of one, write \(x,\)"),
    (lambda: tiny(team=(NOVICE, 1)), r"team\[1\]=1 must be a GroupConfig"),
    (lambda: tiny(variants=Variant()), r"variants=Variant\(.* must be a tuple; of one, write \(x,\)"),
    (lambda: tiny(task="goal-cycle"), r"task='goal-cycle' must be a Task, such as GoalCycle\(\)"),
    (lambda: tiny(widening=3), "widening=3 must be a Widening or None"),
    (lambda: tiny(env_schedules=[1]), r"env_schedules=\[1\] must be a dictionary of schedules by name"),
    (lambda: Variant(hparams="4"), "variant main.hparams='4' must be a dictionary of schedules by name"),
    (lambda: Variant(hparams={1: 2.0}), r"variant main.hparams={1: 2.0} must be a dictionary of schedules by name"),
    (lambda: Variant(env_schedules=[]), r"variant main.env_schedules=\[\] must be a dictionary of schedules by name"),
    (lambda: Variant(name=5), "variant name 5 must be letters, digits, - and _"),
    (lambda: dataclasses.replace(NOVICE, policy="x"), "group 'novice': policy='x' must be a policy's configuration"),
    (lambda: dataclasses.replace(NOVICE, learner="ppo"), "group 'novice': learner='ppo' must be a Learner or None"),
    (lambda: dataclasses.replace(NOVICE, hparams=3), "group 'novice': hparams=3 must be a dictionary .* by name"),
    (lambda: PPO(auxiliary="next-frame"), r"auxiliary='next-frame' must be a tuple; of one, write \(x,\)"),
    (lambda: R2D2(auxiliary=("x",)), r"auxiliary\[0\]='x' must be an auxiliary loss"),
    (lambda: A2C(intrinsic=(AttentionLoss(),)), r"intrinsic\[0\]=AttentionLoss\(.* must be an intrinsic reward"),
    (lambda: GenerationsConfig(run=3), "run=3 must be a RunConfig"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "message"), SETTINGS_OF_ANOTHER_TYPE, ids=[x[1][:24] for x in SETTINGS_OF_ANOTHER_TYPE]
)
def test_settings_of_another_type(make, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        make()


@pytest.mark.parametrize("seconds", [float("nan"), -1.0])
def test_a_time_limit_that_is_none(straight, tmp_path, seconds):
    """Training would never stop at NaN."""
    calls = [
        lambda: train(CONFIG, tmp_path / "run", quiet=True, stop_after=seconds),
        lambda: resume(straight.run_dir, quiet=True, stop_after=seconds),
        lambda: train_clones(CloneConfig(), tmp_path, tmp_path / "clones", quiet=True, stop_after=seconds),
        lambda: train_generations(memory_sequence(), tmp_path / "chain", stop_after=seconds),
        lambda: Session("smoke", tmp_path, 0, 1, 2, stop_after=seconds),
    ]
    for call in calls:
        with pytest.raises(ConfigError, match=rf"stop_after={seconds} must be at least 0 seconds; None means no limit"):
            call()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SixteenPlaces(rooms=(4, 4, 4)), r"rooms=\(4, 4, 4\) must be a tuple of 2 whole numbers"),
        (lambda: SixteenPlaces(rooms=(4,)), r"rooms=\(4,\) must be a tuple of 2 whole numbers"),
        (lambda: SixteenPlaces(rooms=()), r"rooms=\(\) must be a tuple of 2 whole numbers"),
        (lambda: SixteenPlaces(room_size=[3]), r"room_size=\[3\] must be a tuple of 2 whole numbers"),
        (lambda: SingleGoal(goal_at=(1, 2, 3)), r"goal_at=\(1, 2, 3\) must be a tuple of 2 whole numbers or None"),
        (lambda: GoalCycle(views=ViewConfig()), r"views=ViewConfig\(.* must be a tuple; of one, write \(x,\)"),
        (lambda: GoalCycle(views=(ViewConfig(), 3)), r"views\[1\]=3 must be a ViewConfig"),
        (lambda: GridSpec(views=None), r"views=None must be a tuple; of one, write \(x,\)"),
        (lambda: GoalCycle(collide="false"), "collide='false' must be True or False"),
        (lambda: ViewConfig(can_hide_goals=None), "can_hide_goals=None must be True or False"),
        (lambda: A2C(normalize_advantages="no"), "normalize_advantages='no' must be True or False"),
        (lambda: CommunicationConfig(visible_actions=2), "visible_actions=2 must be True or False"),
    ],
)
def test_lengths_of_tuples_views_and_flags(make, message):
    with pytest.raises(ConfigError, match=f"^{message}$"):
        make()


def test_lists_become_tuples_where_tuples_belong():
    """A list is convenient in Python, and cannot be hashed, as settings are."""
    communication = CommunicationConfig(influencers=[0])
    assert communication == CommunicationConfig(influencers=(0,))
    spec = GridSpec(views=[ViewConfig()])
    for settings in (communication, spec, PPO(auxiliary=[AttentionLoss()]), SixteenPlaces(rooms=[2, 2])):
        assert isinstance(hash(settings), int)
    run = tiny(team=[NOVICE, OTHER])
    assert run == tiny(team=(NOVICE, OTHER))
    assert isinstance(run.team, tuple)


def test_flags_of_numpy_are_flags():
    assert GoalCycle(collide=np.bool_(True)).collide


def test_tuples_of_numbers_of_several_types():
    """As classes write them, with and without `from __future__ import annotations`."""
    whole, mixed = tuple[int, int], tuple[int, float]

    def settings(annotation, value):
        return dataclasses.make_dataclass("Settings", [("pair", annotation)])(value)

    for annotation in (mixed, "tuple[int, float]", tuple[float, int], "tuple[float, ...]"):
        check_numbers(settings(annotation, (1, 2.5)))
        with pytest.raises(ConfigError, match=r"pair=\('a', 2.5\) must be a tuple of (2 )?numbers"):
            check_numbers(settings(annotation, ("a", 2.5)))
    for annotation in (whole, "tuple[int, int]"):
        with pytest.raises(ConfigError, match="must be a tuple of 2 whole numbers"):
            check_numbers(settings(annotation, (1, 2.5)))
        for value in ((), (1,), (1, 2, 3)):
            with pytest.raises(ConfigError, match="must be a tuple of 2 whole numbers"):
                check_numbers(settings(annotation, value))
    for annotation in (tuple[int, ...], "tuple[int, ...]"):
        for value in ((), (1, 2, 3)):
            check_numbers(settings(annotation, value))
    with pytest.raises(ConfigError, match="must be a whole number or None"):
        check_numbers(settings(int | None, 2.5))
