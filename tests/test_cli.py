import dataclasses
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys

import jax
import numpy as np
import pytest

from rookery import __version__, cli, errors
from rookery.agents import zoo
from rookery.agents.cards import seal_card
from rookery.commands.doctor import DoctorCommand
from rookery.commands.output import print_json
from rookery.gridworld.tiles import DOOR, KEY_RACK, OBSTACLE
from rookery.storage import checkpoint, metrics
from rookery.storage.serialization import to_dict
from rookery.tasks import registry
from tests.tiny import CONFIG, assert_same, on_host, rookery, rows, save_novice, tiny


@pytest.fixture
def run(capsys, monkeypatch):
    """Run one command in this process. Returns exit code, standard output, standard error."""
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))  # undone after the test

    def command(*arguments):
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        output = capsys.readouterr()
        return code, output.out, output.err

    return command


@pytest.fixture
def refused(run):
    """Run a command that must fail with this exit code. Returns the one line that it prints."""

    def command(code, *arguments):
        actual, out, err = run(*arguments)
        assert actual == code, err
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        assert "Traceback" not in out + err
        return err

    return command


@pytest.fixture
def agent(tmp_path):
    return save_novice(tmp_path / "agent.safetensors")


@pytest.fixture
def config_file(tmp_path):
    """The tiny configuration as a file to train from."""

    def write(**changes):
        path = tmp_path / "tiny.json"
        path.write_text(json.dumps({"config": to_dict(tiny(**changes))}))
        return path

    return write


# ------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_names_every_option_and_its_default(run, name):
    code, out, err = run(name, "--help")
    assert (code, err) == (0, "")
    assert f"rookery {name}" in out
    command = cli.command_class(name)
    assert command.__doc__.strip().splitlines()[0] == cli.COMMANDS[name][1]
    assert " ".join(command.__doc__.split())[:60] in " ".join(out.replace("│", " ").split())
    for field in dataclasses.fields(command):
        if "Positional" not in str(field.type) and field.name != "overrides":
            assert f"--{field.name.replace('_', '-')} " in out.replace(",", " ")
    assert out.count("(default:") == len(dataclasses.fields(command)) - out.count("(required)")
    assert "default: None" not in out


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("train", "--time-limit MINUTES Save and stop after so many minutes"),
        ("train", "--steps STEPS Environment steps of each seed"),
        ("train", "--cores INT CPU cores"),
        ("bench", "--seconds FLOAT Seconds for each measurement"),
        ("eval", "--episodes INT Episodes for each agent and condition"),
    ],
)
def test_help_tells_units(run, name, said):
    assert said in " ".join(run(name, "--help")[1].replace("│", " ").split())


def test_help_of_the_whole(run):
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    assert all(name in out for name in cli.COMMANDS)


def test_version(run):
    assert run("--version") == (0, f"{__version__}\n", "")
    assert run("-V") == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        [],
        ["train", "--nonsense"],
        ["train", "smoke", "--seeds", "two"],
        ["train", "smoke", "--steps", "many"],
        ["train", "smoke", "--out", ""],
        ["zoo", "feed"],
        ["--install-completion", "powershell"],
        ["resume"],
        ["eval"],
    ],
    ids=" ".join,
)
def test_arguments_that_no_command_has(run, arguments):
    code, out, err = run(*arguments)
    assert code == 2
    assert "Traceback" not in out + err
    assert out + err


# ------------------------------------------------------------------------------------------- errors


KINDS = [e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.RookeryError)]


def help_hint(kind) -> str:
    """What follows the message of an error that the command's help may help with."""
    return " (help: rookery doctor --help)" if issubclass(kind, errors.ConfigError | errors.NotFoundError) else ""


def test_every_error_that_ends_a_command_has_a_code_of_its_own():
    """The errors of adapters never end a command: they are for callers in Python."""
    codes = {
        kind.__name__: kind.exit_code
        for kind in KINDS
        if kind not in (errors.InvalidActionError, errors.ResetNeededError)
    }
    assert codes == {
        "RookeryError": 1, "ConfigError": 2, "IncompatibleError": 3, "CorruptFileError": 4, "StorageError": 5,
        "NotFoundError": 6, "DivergedError": 7, "OutOfMemoryError": 9, "LostProcessError": 10,
        "MissingPackageError": 2,  # a ConfigError
        "TrackerError": 2,  # a ConfigError
        "ChangedAgentError": 3,  # an IncompatibleError
        "InUseError": 5,  # a StorageError
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        *((kind("what was\nwrong"), kind.exit_code, "error: what was\\nwrong" + help_hint(kind)) for kind in KINDS),
        (OSError(28, "No space left on device", "x"), 5, "error: No space left on device: x"),
        (KeyboardInterrupt(), 8, "error: stopped"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_errors_become_one_line_and_a_code(refused, monkeypatch, error, code, line):
    def fail(self):
        raise error

    monkeypatch.setattr(DoctorCommand, "__call__", fail)
    assert refused(code, "doctor") == f"{line}\n"


def test_a_bug_keeps_its_traceback(run, monkeypatch):
    monkeypatch.setattr(DoctorCommand, "__call__", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("doctor")


def test_in_a_process_of_its_own():
    process = rookery("train", "demmo")
    assert (process.returncode, process.stdout) == (6, "")
    assert process.stderr.startswith("error: no preset 'demmo'; did you mean 'demo'")


@pytest.mark.parametrize("arguments", [["envs", "list"], ["train", "--help"]], ids=" ".join)
def test_a_reader_that_has_gone(arguments):
    """`rookery envs list | head -1`: no error message, whenever the reader leaves."""
    read, write = os.pipe()
    os.close(read)
    try:
        command = [sys.executable, "-m", "rookery.cli", *arguments]
        process = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True)
    finally:
        os.close(write)
    assert (process.returncode, process.stderr) == (0, "")


# ------------------------------------------------------------------------------------------- envs, zoo, doctor


def test_envs_list(run):
    code, out, err = run("envs")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == list(registry.TASKS)
    assert run("envs", "list") == (code, out, err)


@pytest.mark.parametrize("task", registry.TASKS)
def test_envs_show(run, task):
    code, out, err = run("envs", "show", task)
    assert (code, err) == (0, "")
    assert f"{task}: {registry.describe(task)}" in out
    assert "Rules." in out
    assert "Source: " in out


@pytest.mark.parametrize("task", [name for name in registry.TASKS if registry.get_task(name).kind == "goal-cycle"])
def test_envs_show_draws_goal_cycle(run, task):
    _, out, _ = run("envs", "show", task)
    made = registry.get_task(task)
    map_lines = [line.split() for line in out.splitlines()][-made.grid_spec.height :]
    tiles, position, _, own = jax.device_get(jax.jit(made.generate)(jax.random.PRNGKey(0)))
    assert {len(line) for line in map_lines} == {made.grid_spec.width}
    marks = [mark for line in map_lines for mark in line]
    assert sorted(mark for mark in marks if mark.isdigit()) == [str(k + 1) for k in range(len(own.goals))]
    assert sum(mark in "^>v<" for mark in marks) == len(position)
    assert marks.count("#") == (tiles == OBSTACLE).sum()
    assert ("K" in marks, "D" in marks) == ((tiles == KEY_RACK).any(), (tiles == DOOR).any())


@pytest.mark.parametrize(("task", "rows"), [("cleanup-v0", 25), ("box-trapped-v0", 7), ("matrix-chicken-v0", 3)])
def test_envs_show_draws_worlds_of_another_kind(run, task, rows):
    _, out, _ = run("envs", "show", task)
    made = registry.get_task(task)
    map_lines = out.rstrip("\n").split("\n\n")[-1].splitlines()
    assert len(map_lines) == rows
    if hasattr(made, "room"):
        assert all(len(line) == made.parsed_map.width for line in map_lines)
        assert sum(mark in "^>v<" for line in map_lines for mark in line) == made.num_agents


def test_envs_as_json(run):
    (first, *_) = map(json.loads, run("envs", "--json")[1].splitlines())
    assert first == {"task": "goal-cycle-v0", "description": registry.describe("goal-cycle-v0")}
    facts = json.loads(run("envs", "show", "matrix-chicken-v0", "--json")[1])
    assert facts["settings"] == to_dict(registry.get_task("matrix-chicken-v0"))
    assert facts["observation_shapes"] == [[1, 2, 3]] * 2
    assert json.loads(run("envs", "show", "cleanup-v0", "--json")[1])["observation_shapes"] == [[15, 15, 3]] * 5


def test_envs_show_says_what_is_observed_without_views(run):
    assert "agent 1 observes     u8[1, 2, 3]\n" in run("envs", "show", "matrix-chicken-v0")[1]
    assert "agent 0 observes     pixels u8[21, 21, 3]: 7×7 cells" in run("envs", "show", "goal-cycle-v0")[1]


def test_envs_of_no_such_name(refused):
    said = refused(6, "envs", "show", "goal-cycle-v1")
    assert "did you mean 'goal-cycle-v0'" in said
    assert all(name in said for name in registry.TASKS)
    assert "name the task to show" in refused(2, "envs", "show")


def test_zoo(run, refused, tmp_path, monkeypatch):
    for name in ("one", "two"):
        save_novice(
            tmp_path / f"{name}.safetensors", title=f"agent {name}", returns={"mean": 1.25}, scripted={"mean": 2.5}
        )
    monkeypatch.setattr(zoo, "ZOO_DIR", tmp_path)
    code, out, _ = run("zoo")
    assert code == 0
    # Returns of different tasks do not compare: each stands next to that of its task's scripted expert.
    assert [line.split() for line in out.splitlines()[1:]] == [
        ["one", "goal-cycle", "50%", "(1.2", "of", "2.5)", "agent", "one"],
        ["two", "goal-cycle", "50%", "(1.2", "of", "2.5)", "agent", "two"],
    ]
    assert [json.loads(line)["scripted_return"] for line in run("zoo", "--json")[1].splitlines()] == [2.5, 2.5]
    code, out, _ = run("zoo", "show", "two", "--json")
    assert (code, json.loads(out)["title"]) == (0, "agent two")
    code, out, _ = run("zoo", "show", "two")
    assert {"title: agent two", "returns: mean 1.25", "  kind: goal-cycle"} <= set(out.splitlines())
    code, out, _ = run("zoo", "verify")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["one", "two"]
    assert "name the agent to show: one, two" in refused(2, "zoo", "show")
    assert "did you mean 'two'" in refused(6, "zoo", "show", "twoo")
    (tmp_path / "two.safetensors").write_bytes(b"x")
    assert "two.safetensors: the weights are not those of its card" in refused(4, "zoo", "verify")
    assert run("zoo", "verify", "one")[0] == 0


def test_the_shipped_zoo_is_valid(run):
    code, out, err = run("zoo", "verify")
    assert (code, err) == (0, "")
    assert [line.split(":")[0] for line in out.splitlines()] == zoo.entry_names()


def test_doctor(run):
    code, out, err = run("doctor")
    assert (code, err) == (0, "")
    values = {line[:18].strip(): line[18:].strip() for line in out.splitlines()}
    assert values["compiles and runs"] == "yes"
    assert values["rookery"] == __version__
    assert {"jax", "jaxlib", "flax", "tyro"} <= values.keys()
    assert values["zoo"] == f"{len(zoo.entry_names())} agents"


def test_doctor_finds_what_is_missing(run, monkeypatch):
    from rookery.commands import doctor

    monkeypatch.setattr(doctor, "required_packages", lambda: ["jax", "no-such-package"])
    code, out, _ = run("doctor")
    assert code == 1
    assert re.search(r"no-such-package +missing: \S+ -m pip install no-such-package", out)


# ------------------------------------------------------------------------------------------- train, resume


def test_dry_run_shows_all_and_does_nothing(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(
        "train", "smoke", "--dry-run", "--steps", "1e6", "--seeds", "3", "--seed", "9", "task.penalty=0.5"
    )
    assert code == 0
    assert err.startswith("training needs at least ")
    config = json.loads(out)["config"]
    assert (config["total_timesteps"], config["num_seeds"], config["seed"], config["task"]["penalty"]) == (
        10**6,
        3,
        9,
        0.5,
    )
    assert list(tmp_path.iterdir()) == []
    # What it prints can be trained.
    (tmp_path / "mine.json").write_text(out)
    assert run("train", "mine.json", "--dry-run") == (0, out, err)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["smoke", "num_sedes=3"], 2, "config.num_sedes is not known; did you mean 'num_seeds'"),
        (["smoke", "team.0.learner.clip_eps"], 2, "is not key=value"),
        (["smoke", "task.map=#####\n#1A?#\n#####"], 2, "map line 2, column 4: '?' is not known"),
        (["smoke", "--steps", "0.5"], 2, "total_timesteps=0.5 must be a whole number"),
        (["smoke", "--steps", "nan"], 2, "total_timesteps=nan must be a whole number"),
        (["smoke", "--steps", "inf"], 2, "total_timesteps=inf must be a whole number"),
        (["smoke", "--steps", "-5"], 2, "total_timesteps=-5 must be at least 1"),
        (["smoke", "--seeds", "0"], 2, "num_seeds=0 must be at least 1"),
        (["smoke", "--seed", "-1"], 2, "seed=-1 must lie in"),
        (["smoke", "--time-limit", "-1"], 2, "time_limit=-1.0 must be at least 0"),
        (["smoke", "--time-limit", "nan"], 2, "time_limit=nan must be at least 0"),
        (["smoke", "--cores", "0"], 2, "cores=0 must be at least 1"),
        (["smoke", "team.1.policy.kind=frozen", "team.1.policy.checkpoint=nobody"], 6, "the zoo has no 'nobody'"),
        (["smok"], 6, "no preset 'smok'; did you mean 'smoke'?"),
        (["absent.json"], 6, "there is no file absent.json"),
    ],
)  # fmt: skip
def test_train_refuses_before_it_writes(refused, tmp_path, monkeypatch, arguments, code, said):
    monkeypatch.chdir(tmp_path)
    assert said in refused(code, "train", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_in_yaml(run, refused, tmp_path):
    _, out, _ = run("train", "smoke", "--dry-run", "--steps", "1e5")
    path = tmp_path / "mine.yaml"
    path.write_text(out.replace('"total_timesteps": 100000', '"total_timesteps": 1_00000'))  # no number in YAML 1.2
    assert 'config.total_timesteps is "1_00000"; it must be' in refused(2, "train", path, "--dry-run")
    path.write_text(out)  # JSON is YAML
    assert run("train", path, "--dry-run", "--json")[1] == json.dumps(json.loads(out)) + "\n"


def test_a_file_that_is_not_a_configuration(refused, tmp_path):
    path = tmp_path / "mine.json"
    for content, said in (
        ("{", "line 1 column 2: not JSON"),
        ("[]", "has no 'config'"),
        ('{"config": {"num_sedes": 1}}', "config.num_sedes"),
        ('{"config": {}, "num_seeds": 7}', "\"num_seeds\" is not known next to 'config'; put settings into 'config'"),
    ):
        path.write_text(content)
        assert said in refused(2, "train", path, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()
    path.write_text('{"generations": {}, "num_lineages": 2}')
    assert "\"num_lineages\" is not known next to 'generations'" in refused(2, "generations", path, "--dry-run")


def test_what_a_run_records_is_a_configuration_again(run, config_file):
    path = config_file()
    recorded = {"rookery": "0.1.0", "threads": 2, "started_in": {}, "checkpoint_hashes": {}}
    plain = run("train", path, "--dry-run")[1]
    path.write_text(json.dumps(json.loads(path.read_text()) | recorded))
    assert run("train", path, "--dry-run")[1] == plain


@pytest.mark.usefixtures("quick")
def test_train_stop_resume(run, refused, straight, config_file, tmp_path):
    run_dir = tmp_path / "run"
    code, out, err = run("train", config_file(), "--out", run_dir, "--time-limit", "0")
    assert (code, err) == (errors.STOPPED_EXIT_CODE, "")
    assert out.splitlines()[-1] == f"{run_dir}: 1 of 8 updates, stopped; continue with: rookery resume {run_dir}"
    assert "continue it with 'rookery resume'" in refused(2, "train", config_file(), "--out", run_dir)
    code, out, err = run("resume", run_dir, "--quiet")
    assert (code, out, err) == (0, f"{run_dir}: 8 of 8 updates, finished\n", "")
    assert rows(run_dir) == rows(straight.run_dir)
    _, state = checkpoint.restore_latest(run_dir / "checkpoints", straight.state, pytest.fail)
    assert_same(state, on_host(straight).state)
    assert run("resume", run_dir, "--quiet")[0] == 0  # once more changes nothing
    assert rows(run_dir) == rows(straight.run_dir)


@pytest.mark.usefixtures("quick")
def test_train_in_runs_by_default(run, config_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("train", config_file(), "name=mine", "--time-limit", "0")
    assert code == errors.STOPPED_EXIT_CODE
    assert (tmp_path / "runs" / "mine" / "config.json").exists()
    assert out.startswith("[mine] compiling\n[mine] 32/256 steps × 2 runs  12%  ")


@pytest.mark.usefixtures("quick")
def test_interrupted(run, straight, config_file, tmp_path, monkeypatch):
    write = metrics.MetricsWriter.write

    def interrupt(self, update, *rest):
        if update == 2:
            os.kill(os.getpid(), signal.SIGINT)
        write(self, update, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(metrics.MetricsWriter, "write", interrupt)
        code, out, err = run("train", config_file(), "--out", tmp_path / "run", "--quiet")
    assert (code, err) == (errors.STOPPED_EXIT_CODE, "")
    assert "of 8 updates, stopped; continue with: rookery resume" in out
    assert run("resume", tmp_path / "run", "--quiet")[0] == 0
    assert rows(tmp_path / "run") == rows(straight.run_dir)


@pytest.mark.usefixtures("quick")
def test_diverged(refused, config_file, tmp_path):
    variants = (CONFIG.variants[0], dataclasses.replace(CONFIG.variants[1], learning_rate=1e38))
    said = refused(7, "train", config_file(variants=variants), "--out", tmp_path / "run", "--quiet")
    assert "is not finite at update" in said
    assert "(variant 'solo', seed 3)" in said


def test_resume_of_what_cannot_be(refused, straight, tmp_path):
    assert "holds no run (config.json is missing)" in refused(6, "resume", tmp_path / "absent")
    run_dir = shutil.copytree(straight.run_dir, tmp_path / "run")
    text = (run_dir / "config.json").read_text()
    (run_dir / "config.json").write_text(text.replace('"head_size": 4', '"head_size": 5'))
    assert "checkpoint 00000008 does not fit" in refused(3, "resume", run_dir)
    (run_dir / "config.json").write_text(text[:-20])
    assert "config.json line" in refused(4, "resume", run_dir)
    assert "cores=0 must be at least 1" in refused(2, "resume", run_dir, "--cores", "0")
    assert "time_limit=-1.0 must be at least 0" in refused(2, "resume", run_dir, "--time-limit", "-1")
    (tmp_path / "file").write_text("")
    assert "holds no run" in refused(6, "resume", tmp_path / "file")


def test_a_path_that_is_a_file(refused, config_file, tmp_path):
    (tmp_path / "file").write_text("")
    assert "part of the path is a file" in refused(5, "train", config_file(), "--out", tmp_path / "file" / "run")
    assert "is a file" in refused(5, "train", config_file(), "--out", tmp_path / "file")


# ------------------------------------------------------------------------------------------- eval, replay


def json_lines(out: str) -> list[dict]:
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in out.splitlines()]


def test_eval_prints_json_lines(run, agent):
    command = ("eval", agent, "--partners", "random", "--episodes", "6", "--task-overrides", "penalty=0.25")
    code, out, err = run(*command, "--json")
    assert (code, err) == (0, "")
    social, solo, gain = json_lines(out)
    assert [row["condition"] for row in (social, solo, gain)] == ["social", "solo", "social_gain"]
    for row in (social, solo):
        keys = {"agent", "condition", "episodes", "return", "low", "high"}
        keys |= {"goals", "mistakes", "longest_streak", "steps_to_first_reward"}
        assert set(row) == (keys | {"return_partners"} if row is social else keys)
        assert row["low"] <= row["return"] <= row["high"]
        assert row["episodes"] == 6
        assert row["return"] == pytest.approx(row["goals"] - 0.25 * row["mistakes"], abs=1e-5)
    assert gain["return"] == pytest.approx(social["return"] - solo["return"], abs=1e-5)
    assert run(*command, "--json") == (code, out, err)
    # Without --json the same, rounded.
    code, out, err = run(*command)
    assert (code, err) == (0, "")
    name, *lines = out.splitlines()
    assert name == str(agent)
    assert [line.split()[0] for line in lines] == ["social", "solo", "social_gain"]
    assert f"return {social['return']:.2f} [{social['low']:.2f}, {social['high']:.2f}]" in lines[0]
    assert f"goals {social['goals']:.2f}" in lines[0]
    assert not re.search(r"\.\d{3}", out.removeprefix(str(agent)))


def test_eval_of_one_episode_has_no_interval(run, agent):
    code, out, _ = run(
        "eval", agent, "--partners", "random", "--episodes", "1", "--task-overrides", "penalty=0.25", "--json"
    )
    assert code == 0
    assert {(row["low"], row["high"]) for row in json_lines(out)} == {(None, None)}


def test_eval_of_a_run_is_of_all_its_agents_with_one_program(run, straight):
    from rookery.training import evaluation

    before = evaluation._compiled_evaluation.cache_info().misses
    code, out, _ = run("eval", straight.run_dir, "--partners", "random", "--episodes", "4", "--json")
    assert code == 0
    names = [row["agent"].split("/")[-1] for row in json_lines(out)]
    assert names == ["social-seed3-novice-0.safetensors"] * 3 + ["solo-seed3-novice-0.safetensors"] * 3
    assert evaluation._compiled_evaluation.cache_info().misses <= before + 1


def test_eval_refuses(refused, agent, tmp_path):
    assert "episodes=0 must be at least 1" in refused(2, "eval", agent, "--episodes", "0", "--partners", "random")
    assert "seed=-1 must lie in" in refused(2, "eval", agent, "--seed", "-1", "--partners", "random")
    assert "the zoo has no 'nobody-like-me'" in refused(6, "eval", "nobody-like-me")
    assert "config.penlty is not known; did you mean 'penalty'" in refused(
        2, "eval", agent, "--task-overrides", "penlty=1"
    )
    assert "no task 'goal-cycle-v9'" in refused(6, "eval", agent, "--task", "goal-cycle-v9")
    said = refused(3, "eval", agent, "--task", "goal-cycle-v0")
    assert "was trained on observations of (3, 3, 8), here it would see (21, 21, 3)" in said
    (tmp_path / "empty").mkdir()
    assert "holds no agents" in refused(6, "eval", tmp_path / "empty")
    card = agent.with_suffix(".json")
    text = card.read_text()
    card.write_text(json.dumps(seal_card(json.loads(text.replace('"penalty"', '"fine"')))))
    assert "its card has a task that this version does not know: task.fine" in refused(3, "eval", agent)
    card.write_text(text[:-9])
    assert "not a readable card" in refused(4, "eval", agent)
    card.write_text(text)
    agent.write_bytes(agent.read_bytes()[:-1])
    assert "the weights are not those of its card" in refused(4, "eval", agent)


def test_replay_writes_a_page_and_a_gif(run, agent, tmp_path):
    out_path = tmp_path / "replays" / "one"
    code, out, err = run("replay", agent, "--partners", "random", "--out", out_path)
    assert (code, err) == (0, "")
    assert out.splitlines() == [f"{out_path}.html", f"{out_path}.gif"]
    assert (tmp_path / "replays" / "one.gif").read_bytes()[:6] == b"GIF89a"
    page = (tmp_path / "replays" / "one.html").read_text()
    assert page.startswith("<!doctype html>") or page.startswith("<!DOCTYPE html>")
    assert not re.findall(r"""(?:src|href)=["']https?:""", page)  # self-contained
    before = (tmp_path / "replays" / "one.html").read_bytes()
    code, out, _ = run("replay", agent, "--partners", "random", "--out", out_path, "--no-gif")
    assert (code, out) == (0, f"{out_path}.html\n")
    assert (tmp_path / "replays" / "one.html").read_bytes() == before


def test_replay_of_a_run_is_of_its_whole_team(run, straight, tmp_path):
    code, out, _ = run("replay", straight.run_dir, "--variant", "solo", "--out", tmp_path / "team", "--no-gif")
    assert (code, out) == (0, f"{tmp_path / 'team'}.html\n")
    page = (tmp_path / "team.html").read_text()
    assert "tiny, solo, seed 3, 256 steps" in page
    for said in ('"name":"novice","role":"frozen"', '"name":"other","role":"random"', '"max_influence":0.0'):
        assert said in page


def test_replay_refuses(refused, agent, straight, tmp_path):
    said = refused(2, "replay", straight.run_dir, "--partners", "random", "--task-overrides", "penalty=1")
    assert "--task-overrides, --partners cannot be used here; the folder of a run plays its own task" in said
    assert "--variant cannot be used here; only the folder of a run has variants" in refused(
        2, "replay", agent, "--variant", "solo"
    )
    said = refused(6, "replay", straight.run_dir, "--variant", "solo", "--train-seed", "9")
    assert "has no variant 'solo' with seed 9; it has: social 3, solo 3" in said
    assert "holds no run" in refused(6, "replay", tmp_path)
    assert "give the files a name in it" in refused(2, "replay", agent, "--out", ".")
    (tmp_path / "file").write_text("")
    refused(5, "replay", agent, "--partners", "random", "--out", tmp_path / "file" / "replay")


# ------------------------------------------------------------------------------------------- what it prints


def test_json_lines_are_strict(capsys):
    print_json({"a": 1.5, "b": None})
    assert capsys.readouterr().out == '{"a": 1.5, "b": null}\n'
    with pytest.raises(ValueError, match="JSON"):
        print_json({"a": float(np.nan)})


def test_json_lines_are_valid_in_every_encoding(monkeypatch):
    row = {"size": "3×3 … \N{MOUSE}"}
    for encoding, plain in (("ascii", False), ("latin-1", False), ("UTF-8", True), ("utf8", True)):
        stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
        monkeypatch.setattr("sys.stdout", stream)
        print_json(row)
        line = stream.buffer.getvalue().decode(encoding)
        assert json.loads(line) == row
        assert ("×" in line) == plain


# ------------------------------------------------------------------------------------------------- cloning


def test_an_expert_is_recorded_cloned_and_played(run, refused, tmp_path):
    out = tmp_path / "clone"
    small = ("network.encoder_size=4", "network.hidden_size=4", "network.head_size=4", "learner.epochs=1")
    task = ("--task", "goal-cycle-demo-v0", "--task-overrides", "height=5", "width=6", "num_obstacles=0", "max_steps=6")
    recording = (*task, "--expert", "scripted", "--episodes", "3", "--out", out, "--quiet")
    code, said, err = run("clone", *small, *recording)
    assert (code, err) == (0, "")
    agent = out / "agents" / "main-seed0-clone-0.safetensors"
    assert said.startswith(f"{agent}: ")
    assert "nats per action on validation episodes" in said
    assert run("clone", *small, *recording)[1] == said  # nothing left to do
    assert (
        "holds 3 episodes of scripted, which differ from the options in: expert, num_episodes, seed, solo;"
        in refused(
            2, "clone", "--expert", "random", "--episodes", "4", "--data-seed", "1", "--solo", "--out", out, "--quiet"
        )
    )
    assert "in: task; name another --out" in refused(2, "clone", "--task", "maze-symbolic-v0", "--out", out)
    code, said, _ = run("eval", out, "--episodes", "2", "--json")
    assert code == 0
    assert [json.loads(line)["condition"] for line in said.splitlines()] == ["social", "solo", "social_gain"]
    other = tmp_path / "other"
    assert "name --task and --expert" in refused(2, "clone", "--out", other)
    assert "already has a task and an expert" in refused(2, "clone", "--data", out / "data", *recording[:-1])
    (out / "data" / "shard-00000.npz").write_bytes(b"x")
    assert "the shard is altered" in refused(4, "clone", "--data", out / "data", "--out", other, "--quiet")
    assert not (other / "config.json").exists()


def test_a_dataset_recorded_solo_is_no_dataset_of_the_whole_team(run, refused, tmp_path):
    task = ("--task", "goal-cycle-demo-v0", "--task-overrides", "height=5", "width=6", "num_obstacles=0", "max_steps=6")
    recording = (*task, "--expert", "random", "--episodes", "2", "--record-only", "--quiet", "--out", tmp_path)
    assert run("clone", *recording, "--solo")[0] == 0
    for same in ((*recording, "--solo"), ("--record-only", "--quiet", "--out", tmp_path)):
        assert run("clone", *same)[0] == 0
    said = "episodes of random, which differ from the options in: solo; name another --out, or add --solo"
    assert said in refused(2, "clone", *recording)
    assert said in refused(2, "clone", "--expert", "random", "--out", tmp_path)
    assert "in: num_episodes, solo; name another --out, or leave those options out" in refused(
        2, "clone", "--episodes", "3", "--out", tmp_path
    )


def test_tasks_that_cannot_be_reduced_to_one_agent(run, refused):
    """Cleanup has no views to leave out, and in a matrix game two always play."""
    said = refused(2, "eval", "random", "--task", "box-trapped-v0", "--partners", "none", "--episodes", "2")
    assert "cannot be reduced to one agent; leave out --partners none" in said
    code, out, _ = run("eval", "random", "--task", "matrix-chicken-v0", "--partners", "random", "--episodes", "2")
    assert (code, len(out.splitlines())) == (0, 4)


def test_replays_have_the_name_they_are_given(run, refused, tmp_path):
    """A dot in a name is not an ending, and a step that does not exist is refused before anything is written."""
    command = (
        "replay",
        "random",
        "--task",
        "goal-cycle-demo-v0",
        "--partners",
        "random",
        "--task-overrides",
        "max_steps=3",
    )
    message = refused(2, *command, "--out", tmp_path / "pen-0.5", "--png", "999")
    assert "--png 999: an episode has at most 3 steps" in message
    assert list(tmp_path.iterdir()) == []
    assert run(*command, "--out", tmp_path / "pen-0.5", "--png", "1")[0] == 0
    assert run(*command, "--out", tmp_path / "other.gif")[0] == 0
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["other.gif", "other.html", "pen-0.5.gif", "pen-0.5.html", "pen-0.5.png"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("play", "--fps", "nan"), "fps=nan must lie in"),
        (("play", "--fps", "inf"), "fps=inf must lie in"),
        (("play", "--seed", "-1"), "seed=-1 must lie in"),
        (("play", "--port", "70000"), "port=70000 must lie in [0, 65535]"),
        (("play", "--port", "-1"), "port=-1 must lie in [0, 65535]"),
        (("bench", "--seconds", "nan"), "seconds=nan must be above 0 and at most 86,400"),
        (("bench", "update", "--seconds", "inf"), "seconds=inf must be above 0 and at most 86,400"),
        (("bench", "--seconds", "0"), "seconds=0.0 must be above 0 and at most 86,400"),
        (("bench", "--num-envs", "0"), "num_envs=0 must be at least 1"),
        (
            ("bench", "update", "--task", "maze-v0"),
            "--task is not for 'update'; leave it out, or measure one of: grid",
        ),
        (("bench", "social-dilemmas", "--task", "maze-v0"), "--task is not for 'social-dilemmas'; leave it out"),
        (("bench", "update", "--num-envs", "2"), "--num-envs is not for 'update'; leave it out"),
        (("generations", "--eval-seed", "-1"), "eval_seed=-1 must lie in"),
        (("generations", "--episodes", "1"), "episodes=1 must be at least 2 to give an interval"),
        (("generations", "--episodes", "99999999999"), "episodes=99999999999 must be at most 10,000,000"),
        (("demo", "--episodes", "99999999999"), "episodes=99999999999 must be at most 10,000,000"),
        (("export", "random", "--out", "x.safetensors", "--title", "x", "--seed", "-1"), "seed=-1 must lie in"),
        (
            ("reproduce", "ndousse2021/theory", "--episodes", "99999999999"),
            "eval_episodes=99999999999 must be at most 10,000,000",
        ),
        (("reproduce", "--list", "--cores", "-3"), "cores=-3 must be at least 1"),
        (("reproduce", "ndousse2021/theory", "--cores", "0"), "cores=0 must be at least 1"),
        (("reproduce", "ndousse2021/theory", "--time-limit", "-1"), "time_limit=-1.0 must be at least 0"),
    ],
)
def test_numbers_out_of_range(refused, arguments, said, monkeypatch):
    for begins in ("play.make_game_setup", "generations.make_generations_config", "demo._demo_config"):
        monkeypatch.setattr(f"rookery.commands.{begins}", lambda *_: pytest.fail("begun"))
    assert said in refused(2, *arguments)
