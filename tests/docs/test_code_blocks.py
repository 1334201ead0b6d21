"""Every code block of the pages: Python runs, commands are read by the command line's own parser."""

import dataclasses
import functools
import importlib.util
import json
import re

import pytest
import tyro

from rookery.cli import COMMANDS, command_class
from rookery.commands.reference import describe_command
from tests.docs.blocks import PAGES, ROOT, blocks, commands

TESTED_ELSEWHERE = {"docs/recipes.md": "tests/interop/test_recipes.py"}
"""Pages whose Python is run by a test of its own."""
PYTHON_PAGES = [
    page for page in PAGES if page not in TESTED_ELSEWHERE and any(block.language == "python" for block in blocks(page))
]
COMMAND_PAGES = [page for page in PAGES if commands(page)]
EXTRAS = ROOT / "examples" / "rookery_extras" / "src"
PREAMBLES = {
    # Pages that speak of the reader's own classes, or go on from what the page has said in words.
    "CONTRIBUTING.md": """
from rookery.agents.scripted.key_door_expert import KeyDoorExpert as MyExpert
from rookery_extras.intrinsic_reward import RandomNetworkDistillation as MyReward
from rookery_extras.learner import AdvantageWeightedRegression as MyLearner
from rookery_extras.loss import RewardPrediction as MyLoss
from rookery_extras.network import ResidualNetwork as MyNetwork
from rookery_extras.task import MeetingPlace as MyTask
from rookery_extras.tracker import CsvTracker as MyTracker
""",
}
CHECKS = (
    "check_task",
    "check_network",
    "check_auxiliary_loss",
    "check_intrinsic_reward",
    "check_learner",
    "check_tracker",
)


@pytest.fixture
def registries(monkeypatch):
    """What a page registers is forgotten afterwards."""
    from rookery import plugins
    from rookery.agents import scripted
    from rookery.tasks.registry import TASKS

    kept = [plugins.NETWORKS, plugins.AUXILIARY_LOSSES, plugins.INTRINSIC_REWARDS, plugins.LEARNERS, plugins.TRACKERS]
    before = [dict(registry._entries) for registry in kept], dict(TASKS)
    monkeypatch.setattr(scripted, "EXPERT_FACTORIES", dict(scripted.EXPERT_FACTORIES))
    yield
    for registry, entries in zip(kept, before[0], strict=True):
        registry._entries.clear()
        registry._entries.update(entries)
    TASKS.clear()
    TASKS.update(before[1])


def smaller_smoke():
    """The preset `smoke` with less of everything, and a random agent for the expert, which compiles sooner."""
    from rookery.agents.networks import MLPNetwork
    from rookery.gridworld.spec import ViewConfig
    from rookery.training.config import RandomPolicyConfig
    from rookery.training.presets.goal_cycle_presets import smoke

    config = smoke()
    view = ViewConfig(size=3, observation_type="symbolic")
    task = dataclasses.replace(config.task, height=5, width=6, num_goals=2, max_steps=8, views=(view, view))
    novice, expert = config.team
    novice = dataclasses.replace(
        novice,
        policy=dataclasses.replace(novice.policy, network=MLPNetwork(encoder_size=4, hidden_size=4, head_size=4)),
        learner=dataclasses.replace(
            novice.learner, sequence_length=4, num_minibatches=2, minibatch_size=4, recompute_every=1
        ),
    )
    return dataclasses.replace(
        config,
        task=task,
        team=(novice, dataclasses.replace(expert, policy=RandomPolicyConfig())),
        total_timesteps=4 * 4 * task.max_steps,
        num_envs=4,
        eval_episodes=2,
    )


@pytest.fixture
def reader(tmp_path, monkeypatch, quick, registries):
    """A reader's session: an empty folder in which results/ is the repository's, and few evaluation episodes."""
    import rookery.studies.frozen_evaluation  # noqa: F401 (it must keep the function that is replaced below)
    from rookery import testing
    from rookery.commands import evaluate as evaluate_module
    from rookery.training import evaluation, presets

    monkeypatch.setitem(presets.PRESETS, "smoke", smaller_smoke)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    for folder in (ROOT / "results").iterdir():
        if folder.is_dir():
            (tmp_path / "results" / folder.name).symlink_to(folder)
    monkeypatch.syspath_prepend(str(EXTRAS))
    checked = []
    for name in CHECKS:  # they take seconds each, and tests/examples runs them on the same classes
        monkeypatch.setattr(testing, name, lambda thing, name=name, **_: checked.append(name), raising=False)
    evaluate_team = evaluation.evaluate_team
    monkeypatch.setattr(
        evaluation,
        "evaluate_team",
        lambda setup, episodes, *rest, batch_size=8: evaluate_team(
            setup, episodes, *rest, batch_size=min(batch_size, 8)
        ),
    )
    evaluate = evaluate_module.evaluate
    monkeypatch.setattr(
        "rookery.evaluate", lambda agent, **options: evaluate(agent, **options | {"episodes": 8}), raising=False
    )
    import jax

    yield checked
    jax.config.update("jax_cpu_enable_async_dispatch", True)  # which a page shows how to change


@pytest.mark.parametrize("page", PYTHON_PAGES)
def test_python_blocks_run(page, reader, capsys, monkeypatch):
    if page.startswith("docs/tasks/"):  # tests/tasks compiles and plays every task; here a page's calls are traced
        import jax

        monkeypatch.setattr(jax, "jit", lambda function: functools.partial(jax.eval_shape, function))
    namespace: dict = {"__name__": "__page__"}
    exec(PREAMBLES.get(page, ""), namespace)
    for block in blocks(page):
        if block.language == "python" and block.reason is None:
            code = "\n" * block.line + block.code  # so that an error shows the line of the page
            try:
                exec(compile(code, str(ROOT / page), "exec"), namespace)
            except ImportError as error:  # an extra that `make test` does without; its own tests skip as well
                if "-m pip install 'rookery[" not in str(error):
                    raise
    if page.startswith("docs/guides/new-") and page != "docs/guides/new-study.md":
        assert len(reader) == 1, "the page shows its conformance check"


def test_the_tests_of_other_pages_exist():
    for page, test in TESTED_ELSEWHERE.items():
        assert page.rpartition("/")[2] in (ROOT / test).read_text()


@pytest.mark.parametrize("page", COMMAND_PAGES)
def test_commands_exist(page):
    for line, words in commands(page):
        try:
            check_command(words)
        except (AssertionError, SystemExit, LookupError) as error:
            raise AssertionError(f"{page}:{line}: {' '.join(words)}: {error}") from None


def check_command(words: list[str]) -> None:
    """Raises AssertionError, SystemExit or LookupError for a command that does not exist or has wrong arguments."""
    program, *arguments = words
    if program == "make":
        targets = re.findall(r"^([\w$()/.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert all(word in targets for word in arguments if "=" not in word and not word.startswith("-"))
    elif program in ("python", "python3") and arguments and not arguments[0].startswith("-"):
        assert (ROOT / arguments[0]).exists(), f"{arguments[0]} does not exist"
    elif program == "rookery":
        check_rookery(arguments)


def check_rookery(arguments: list[str]) -> None:
    if not arguments or arguments[0].startswith("-") or arguments[0].isupper():
        return  # rookery --help; rookery COMMAND
    name, *options = arguments
    assert name in COMMANDS, f"there is no command {name!r}"
    if any(re.fullmatch(r"[A-Z]{2,}|\.\.\.|…|.*[\[\]|].*", word) for word in options):
        options = [word for word in options if word.startswith("--") and "[" not in word]
        known = options_of(name)
        assert all(word.split("=")[0] in known for word in options), "unknown option"
        return
    if "--help" in options:
        return
    command = tyro.cli(command_class(name), args=options, prog=f"rookery {name}")
    if name == "train" and not command.preset.endswith((".json", ".yaml", ".yml")):
        from rookery.commands.train import make_run_config

        if "init_from" not in " ".join(options):
            make_run_config(command)
    if name == "reproduce" and getattr(command, "study", None):
        from rookery.studies.study_list import STUDIES

        assert command.study in {*STUDIES, "extras/rnd"}, f"there is no study {command.study!r}"
    if name == "envs" and command.task and command.task != "meeting-place-v0":
        from rookery.tasks.registry import describe

        describe(command.task)


def options_of(name: str) -> set[str]:
    """The options of a command."""
    rows = re.findall(r"^\| `--(?:no-)?([a-z0-9-]+)( [^`]+)?`", describe_command(name, command_class(name)), re.M)
    switches = {f"--no-{option}" for option, metavar in rows if not metavar}
    return {"--help", *(f"--{option}" for option, _ in rows), *switches}


@pytest.mark.parametrize("page", [page for page in PAGES if any(b.language == "json" for b in blocks(page))])
def test_json_blocks_are_json(page):
    for block in blocks(page):
        if block.language == "json":
            text = block.code.strip().rstrip(",")
            json.loads(text if text.startswith(("{", "[")) else f"{{{text}}}")


def test_modules_that_run_as_programs_exist():
    for page in PAGES:
        for line, words in commands(page):
            if words[0].startswith("python") and words[1:2] == ["-m"]:
                assert importlib.util.find_spec(words[2]), f"{page}:{line}: no module {words[2]}"
