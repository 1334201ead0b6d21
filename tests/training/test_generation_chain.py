"""Generations: what is handed on; a chain that was stopped or killed reaches the numbers of one that never was."""

import dataclasses
import json
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from rookery import cli
from rookery.agents.weights import load_agent
from rookery.commands.generations import GenerationsCommand, report_generations
from rookery.errors import ConfigError, CorruptFileError, NotFoundError, StorageError
from rookery.gridworld.spec import ViewConfig
from rookery.learning.ppo import PPO
from rookery.storage.atomic import is_filled
from rookery.storage.metrics import read_metrics
from rookery.studies import frozen_evaluation
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.memory_sequence import MemorySequence
from rookery.training import generation_chain
from rookery.training.build import build
from rookery.training.config import (
    GroupConfig,
    OraclePolicyConfig,
    RandomPolicyConfig,
    RecurrentPolicyConfig,
    RunConfig,
    Variant,
)
from rookery.training.generation_chain import GenerationsConfig, generation_run, populations, train_generations
from rookery.training.trainer import load_config, load_learners
from tests.tiny import NETWORK, assert_same, rows

pytestmark = pytest.mark.usefixtures("quick")

UPDATES = 2
TASK = MemorySequence(num_digits=2, sequence_length=3, num_trials=1, sequence=(1, 0, 0))
NOVICE = GroupConfig(
    name="novice",
    slots=(0,),
    policy=RecurrentPolicyConfig(network=NETWORK),
    learner=PPO(
        sequence_length=4, num_minibatches=1, minibatch_size=4, recompute_every=1, target_kl=None, rollback_kl=None
    ),
    learning_rate=1e-2,
)
PREDECESSOR = GroupConfig(name="predecessor", slots=(1,), policy=RandomPolicyConfig())
RUN = RunConfig(
    name="chain",
    task=TASK,
    team=(NOVICE, PREDECESSOR),
    total_timesteps=UPDATES * 4 * TASK.max_steps,
    num_envs=4,
    env_schedules={"visibility": ((0, 1.0), (1, 0.0))},
    checkpoint_interval=2,
    eval_episodes=4,
)
CONFIG = GenerationsConfig(run=RUN, num_generations=2, num_lineages=2, population=2)


CHAIN = Path("chain")
"""Relative, so that runs of other tests have the same configuration and are not traced again."""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def chain(**changes) -> GenerationsConfig:
    return dataclasses.replace(CONFIG, **changes)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The folder of a chain that was never stopped."""
    from tests.tiny import trace_once

    out = tmp_path_factory.mktemp("generations") / CHAIN
    with pytest.MonkeyPatch.context() as patch:
        trace_once(patch)
        patch.chdir(out.parent)
        assert train_generations(CONFIG, CHAIN, quiet=True)
    return out


def assert_same_chain(out: Path, other: Path, num_generations: int = 2) -> None:
    for generation in range(1, num_generations + 1):
        one, two = (generation_chain.generation_dir(path, generation) for path in (out, other))
        assert rows(one) == rows(two)
        weights = sorted(path.relative_to(two) for path in two.rglob("*.safetensors"))
        assert len(weights) == (4 if generation == 1 else 8)
        for path in weights:
            assert (one / path).read_bytes() == (two / path).read_bytes(), path


def test_every_population_gets_the_best_agent_of_its_own_lineage(straight):
    folder = generation_chain.generation_dir(straight, 2)
    for before in populations(CONFIG, 1, straight):
        assert before.scores[before.best] == max(before.scores)
        best = load_agent(before.best_agent)
        for seed in CONFIG.seeds(2, before.lineage):
            assert_same(load_agent(folder / "handed-on" / f"seed-{seed}.safetensors").params, best.params)
    scores = read_metrics(generation_chain.generation_dir(straight, 1))[-1]["evaluation/main/novice/solo/return"]
    first, second = populations(CONFIG, 1, straight)
    assert [*first.scores, *second.scores] == scores
    assert [*first.seeds, *second.seeds] == [0, 1, 2, 3]
    assert [path.name for path in first.agents] == [f"main-seed{seed}-novice-0.safetensors" for seed in (0, 1)], (
        "the names by which a run exports its agents"
    )


def test_a_folder_that_every_seed_would_change_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(ConfigError, match=r"out=.*g\{seed\} must not have '\{seed\}' in it"):
        train_generations(CONFIG, tmp_path / "g{seed}", quiet=True)
    assert not list(tmp_path.iterdir())


def test_agents_are_not_handed_on_through_a_link(tmp_path):
    (tmp_path / "victim").mkdir()
    folder = generation_chain.generation_dir(tmp_path, 2)
    folder.mkdir()
    (folder / "handed-on").symlink_to(tmp_path / "victim")
    with pytest.raises(StorageError, match="handed-on is a symbolic link"):
        generation_chain.hand_on(CONFIG, 2, tmp_path)


def test_of_two_chains_that_begin_in_one_folder_at_once_one_is_refused(monkeypatch):
    def begins_meanwhile(path):
        with monkeypatch.context() as patch:
            patch.setattr(generation_chain, "is_filled", is_filled)
            generation_chain._claim_folder(CONFIG, CHAIN)
        return False

    monkeypatch.setattr(generation_chain, "is_filled", begins_meanwhile)
    with pytest.raises(ConfigError, match=r"of another configuration \(it differs in population\)"):
        generation_chain._claim_folder(chain(population=3), CHAIN)


def test_a_generation_is_not_trained_through_a_link(tmp_path):
    (tmp_path / "g").mkdir()
    generation_chain.generation_dir(tmp_path / "g", 1).symlink_to(tmp_path / "victim")
    with pytest.raises(StorageError, match="generation-1 is a symbolic link"):
        train_generations(CONFIG, tmp_path / "g", quiet=True)
    assert not (tmp_path / "victim").exists()


def test_only_the_first_generation_is_alone_and_each_begins_from_scratch(straight):
    runs = [load_config(generation_chain.generation_dir(straight, generation)) for generation in (1, 2)]
    assert [run.social_episode_prob for run in runs] == [0.0, 1.0]
    assert [run.seed for run in runs] == [0, 1_000_000]
    assert all(run.team[0] == NOVICE for run in runs)
    assert runs[0].team[1] == PREDECESSOR
    visibility = [
        row["main/env_params/visibility"][0] for row in read_metrics(generation_chain.generation_dir(straight, 2))
    ]
    np.testing.assert_allclose(visibility, [1, 1 / 2], atol=1e-6)


def test_each_replica_trains_next_to_its_own_example(straight, monkeypatch):
    monkeypatch.chdir(straight.parent)
    folder = generation_chain.generation_dir(straight, 2)
    run = build(load_config(folder))
    handed_on = [load_agent(folder / "handed-on" / f"seed-{1_000_000 + n}.safetensors").params for n in range(4)]
    for number in range(4):
        own = jax.tree.map(lambda x, n=number: x[n], run.replica_params["predecessor"])
        assert_same(own, handed_on[number])
    one, _, _ = load_learners(folder, seed=1_000_003)
    assert_same(one.frozen_params["predecessor"], handed_on[3])
    card = json.loads((folder / "agents" / "main-seed1000003-novice-0.json").read_text())
    assert card["partners"].endswith("handed-on/seed-1000003.safetensors")


def test_stopped_after_every_update(straight):
    sessions = 1
    while not train_generations(CONFIG, CHAIN, quiet=True, stop_after=0):
        sessions += 1
    assert sessions == 2 * UPDATES - 1, "the last update of a generation is followed by the first of the next"
    assert_same_chain(CHAIN, straight)


def test_continued_by_another_path_from_another_working_directory(straight, tmp_path, monkeypatch):
    """And after it was moved: what a generation begins with lies in its own folder."""
    train_generations(CONFIG, CHAIN, quiet=True, stop_after=0)
    while not (tmp_path / CHAIN / "generation-2" / "config.json").exists():
        train_generations(CONFIG, CHAIN, quiet=True, stop_after=0)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    shutil.copytree(tmp_path / CHAIN, tmp_path / "moved")
    assert train_generations(CONFIG, tmp_path / CHAIN, quiet=True)
    assert_same_chain(tmp_path / CHAIN, straight)
    shutil.rmtree(tmp_path / CHAIN)
    assert train_generations(CONFIG, tmp_path / "moved", quiet=True)
    assert_same_chain(tmp_path / "moved", straight)


class Killed(BaseException):
    """No handler of the package catches this."""


def test_killed_while_handing_on(straight, monkeypatch):
    real, calls = generation_chain.write_bytes, 0

    def deadly(path, data):
        nonlocal calls
        calls += 1
        if calls == 4:  # between the second agent's weights and its card
            raise Killed
        real(path, data)

    monkeypatch.setattr(generation_chain, "write_bytes", deadly)
    with pytest.raises(Killed):
        train_generations(CONFIG, CHAIN, quiet=True)
    monkeypatch.setattr(generation_chain, "write_bytes", real)
    assert train_generations(CONFIG, CHAIN, quiet=True)
    assert_same_chain(CHAIN, straight)


def test_a_lineage_has_the_same_seeds_however_many_there_are():
    """And replicas of a run do not depend on each other, which tests of runs show."""
    second = chain(run=dataclasses.replace(RUN, seed=1), num_lineages=1)
    for generation in (1, 2):
        run, of_both = (generation_run(config, generation, CHAIN) for config in (second, CONFIG))
        assert [seed for _, seed in run.replicas] == list(second.seeds(generation, 1))
        assert [seed for _, seed in of_both.replicas] == [
            *CONFIG.seeds(generation, 0), *second.seeds(generation, 1)
        ]  # fmt: skip


def test_a_line_may_grow(straight):
    assert train_generations(chain(num_generations=1), CHAIN, quiet=True)
    assert train_generations(CONFIG, CHAIN, quiet=True)
    assert_same_chain(CHAIN, straight)


def test_with_resets_each_agent_continues_with_new_heads():
    config = chain(handover="reset")
    assert train_generations(config, CHAIN, quiet=True)
    folder = generation_chain.generation_dir(CHAIN, 2)
    assert load_config(folder).social_episode_prob == 0
    for lineage, before in enumerate(populations(config, 1, CHAIN)):
        for path, seed in zip(before.agents, config.seeds(2, lineage), strict=True):
            old, handed_on = load_agent(path), load_agent(folder / "handed-on" / f"seed-{seed}.safetensors")
            for part in ("encoder", "memory"):
                assert_same(handed_on.params[part], old.params[part])
            changed = jax.tree.map(lambda a, b: (a != b).any(), handed_on.params["heads"], old.params["heads"])
            assert any(jax.tree.leaves(changed))


def test_the_command_evaluates_every_generation(straight, capsys, monkeypatch):
    monkeypatch.chdir(straight.parent)
    Path("config.json").write_text((straight / "generations.json").read_text())
    assert cli.main(["generations", "config.json", "--out", "chain", "--episodes", "4", "--json"]) == 0
    printed = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    assert printed == json.loads((straight / "returns.json").read_text())["rows"]
    assert [(row["generation"], row["lineage"]) for row in printed] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    assert all(row["low"] <= row["return_solo"] <= row["high"] for row in printed)
    assert (straight / "generations.png").stat().st_size > 1000


def test_agents_are_evaluated_in_the_slot_of_the_learner(monkeypatch, capsys):
    """Which need not be the first. Nothing is trained or played here."""
    config = chain(
        run=dataclasses.replace(
            RUN,
            task=dataclasses.replace(TASK, fading_slots=(0,)),
            team=(dataclasses.replace(PREDECESSOR, slots=(0,)), dataclasses.replace(NOVICE, slots=(1,))),
        ),
        num_generations=1,
    )
    evaluated = []

    class Evaluator(frozen_evaluation.AgentConditionEvaluator):
        def evaluate(self, agent, seed):
            evaluated.append((self.slot, self.partners, agent))
            return {"return_solo": {"mean": 1.0, "low": 0.5, "high": 1.5}}

    population = generation_chain.Population(1, 0, config.seeds(1, 0), (1.0, 2.0), (Path("a"), Path("b")))
    monkeypatch.setattr(frozen_evaluation, "AgentConditionEvaluator", Evaluator)
    monkeypatch.setattr(frozen_evaluation.EvaluatedAgent, "of", lambda policy: policy.checkpoint)
    monkeypatch.setattr(generation_chain, "populations", lambda *arguments: [population])
    report_generations(dataclasses.replace(config, num_lineages=1), Path(), GenerationsCommand(json=True))
    assert evaluated == [(1, (RandomPolicyConfig(),), "b")]
    assert json.loads(capsys.readouterr().out)["return_solo"] == 1.0


def test_the_first_may_learn_from_a_policy_of_the_run(tmp_path):
    team = (NOVICE, dataclasses.replace(PREDECESSOR, policy=OraclePolicyConfig(error_prob=0.0)))
    config = chain(run=dataclasses.replace(RUN, team=team), first_alone=False)
    first = generation_run(config, 1, tmp_path)
    assert (first.social_episode_prob, first.team) == (1.0, team)


def test_another_configuration_is_refused(straight):
    with pytest.raises(ConfigError, match=r"another configuration.*population"):
        train_generations(chain(population=1), straight, quiet=True)
    with pytest.raises(NotFoundError):
        populations(CONFIG, 4, straight)


@pytest.mark.parametrize("value", [5.0, None, [], [1.0], [[1.0], [1.0], [1.0], [1.0]], "absent"], ids=str)
def test_metrics_that_end_with_something_else_than_returns_are_named(straight, capsys, value):
    shutil.copytree(straight, CHAIN)
    folder = generation_chain.generation_dir(CHAIN, 2)
    *lines, last = (folder / "metrics.jsonl").read_text().splitlines()
    (key,) = (name for name in json.loads(last) if name.endswith("/solo/return"))
    row = json.loads(last) | {key: value}
    if value == "absent":
        del row[key]
    (folder / "metrics.jsonl").write_text("\n".join([*lines, json.dumps(row)]) + "\n")
    Path("config.json").write_text((straight / "generations.json").read_text())
    code = cli.main(["generations", "config.json", "--out", str(CHAIN), "--episodes", "4"])
    assert code == CorruptFileError.exit_code
    error = capsys.readouterr().err
    assert f"{folder / 'metrics.jsonl'} is damaged: in the line of update {UPDATES}, {key!r} is " in error
    assert "must be one number for each of 4 seeds" in error
    assert len(error.splitlines()) == 1


VIEW = ViewConfig(size=3, observation_type="symbolic")
OTHER_VIEW = ViewConfig(size=5, observation_type="symbolic")
UNEQUAL = GoalCycle(height=5, width=6, num_goals=2, num_obstacles=1, max_steps=8, views=(VIEW, OTHER_VIEW))


LEAVING = dataclasses.replace(UNEQUAL, views=(VIEW, VIEW), dropout_slots=(1,), return_prob=0.5)


@pytest.mark.parametrize(
    ("task", "schedules"),
    [
        (TASK, {"social_episode_prob": ((0, 1.0), (1, 0.5)), "env_schedules": {}}),
        (TASK, {"variants": (Variant(env_schedules={"visibility": ((0, 0.5), (1, 0.4))}),), "env_schedules": {}}),
        (dataclasses.replace(TASK, num_trials=2), {"env_schedules": {"fade": ((0, 0.0), (1, 1.0))}}),
        (LEAVING, {"env_schedules": {"leave_prob": ((0, 0.0), (1, 0.5))}}),
        (dataclasses.replace(LEAVING, leave_prob=0.5), {"env_schedules": {"return_prob": ((0, 0.5), (1, 0.0))}}),
        (LEAVING, {"env_schedules": {"leave_step": ((0, 8.0), (1, 4.0))}}),
    ],
)
def test_an_example_may_be_seen_less_in_every_way_that_the_task_has(task, schedules):
    chain(run=dataclasses.replace(RUN, task=task, **schedules))


@pytest.mark.parametrize(
    ("changes", "run", "message"),
    [
        ({"num_generations": 0}, {}, "num_generations=0 must be at least 1"),
        ({"handover": "weights"}, {}, "handover='weights' is not known"),
        ({"learner": "novize"}, {}, "no group 'novize'; .*novice"),
        ({"learner": "predecessor", "predecessor": "novice"}, {}, "must learn and 'novice' must not; exchange them"),
        ({}, {"num_seeds": 2}, "run.num_seeds=2: leave it at 1"),
        ({}, {"variants": (Variant(name="a"), Variant(name="b"))}, "one variant, not 2"),
        (
            {},
            {"variants": (Variant(social_episode_prob=1.0),)},
            r"run\.variants\.0\.social_episode_prob=1\.0: .*set run\.social_episode_prob",
        ),
        (
            {},
            {"variants": (Variant(env_schedules={"visibility": 1.0}),)},
            "nothing makes 'predecessor' be seen less",
        ),
        ({}, {"eval_episodes": 0}, "run.eval_episodes=0 must be at least 2"),
        ({}, {"env_schedules": {}}, "nothing makes 'predecessor' be seen less"),
        ({}, {"env_schedules": {"visibility": ((0, 0.0), (1, 1.0))}}, "nothing makes 'predecessor' be seen less"),
        # A schedule of something else; of agents that do not fade; of agents that are never there; and two that cancel.
        (
            {},
            {"env_schedules": {"penalty": ((0, 1.0), (1, 0.5))}, "social_episode_prob": 1.0},
            "in 1 of all steps at its start, and in 1 at its end",
        ),
        ({}, {"task": dataclasses.replace(TASK, fading_slots=())}, "be seen less"),
        ({}, {"social_episode_prob": 0.0}, "in 0 of all steps at its start, and in 0 at its end"),
        ({}, {"social_episode_prob": ((0, 0.0), (1, 1.0))}, "be seen less"),
        ({}, {"task": LEAVING, "env_schedules": {"leave_prob": ((0, 0.5), (1, 0.0))}}, "be seen less"),
        ({}, {"seed": 2**20}, "choose a smaller seed"),
        (
            {},
            {
                "team": (
                    dataclasses.replace(NOVICE, policy=RecurrentPolicyConfig(network=NETWORK, init_from="x")),
                    PREDECESSOR,
                )
            },
            "a generation begins from scratch",
        ),
        ({}, {"task": UNEQUAL, "env_schedules": {}, "social_episode_prob": ((0, 1), (1, 0))}, "the same view"),
    ],
)
def test_impossible_combinations_are_refused(changes, run, message):
    with pytest.raises(ConfigError, match=message):
        chain(run=dataclasses.replace(RUN, **run), **changes)
