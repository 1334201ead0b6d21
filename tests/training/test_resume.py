"""A run that was stopped, killed or damaged and then resumed reaches exactly the numbers of one that was not."""

import contextlib
import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from rookery.agents import weights
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.weights import load_agent, save_agent
from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, NotFoundError, StorageError
from rookery.storage import checkpoint, metrics
from rookery.storage.run_lock import RunLock
from rookery.training import trainer
from rookery.training.config import FrozenPolicyConfig, GroupConfig
from rookery.training.stop_signal import StopSignal
from rookery.training.trainer import load_config, resume, train
from tests.tiny import CONFIG, NETWORK, NOVICE, UPDATES, VIEW, assert_same_run, rows, tiny

pytestmark = pytest.mark.usefixtures("quick")

ROOT = Path(__file__).parents[2]


class Killed(BaseException):
    """No handler of the package catches this."""


@pytest.fixture
def kill_at(monkeypatch):
    """Make the n-th call of a function the last thing a run does."""

    def set_up(owner, name: str, number: int, after: bool | str = False):
        real, calls = getattr(owner, name), 0

        def deadly(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == number and after == "one file":
                (contents,) = args
                real(dict([next(iter(contents.items()))]))
            if calls == number and after is not True:
                raise Killed
            result = real(*args, **kwargs)
            if calls == number:
                raise Killed
            return result

        monkeypatch.setattr(owner, name, deadly)
        return lambda: monkeypatch.setattr(owner, name, real)

    return set_up


def refuses(path: Path) -> bool:
    try:
        load_agent(path)
    except CorruptFileError as error:
        return "resume it" in str(error)
    return False


def agents(run_dir: Path) -> list[Path]:
    return sorted((run_dir / "agents").glob("*.safetensors"))


# ------------------------------------------------------------------------------------------- orderly stops


def test_stopped_after_every_update(straight, tmp_path):
    """Each session does one update, saves and stops; the numbers do not depend on where it stops."""
    result = train(CONFIG, tmp_path / "run", quiet=True, stop_after=0)
    for done in range(1, UPDATES):
        assert (result.num_updates, result.finished) == (done, False)
        assert checkpoint.saved_updates(tmp_path / "run" / "checkpoints")[-1] == done
        assert json.loads((tmp_path / "run" / "status.json").read_text())["num_updates"] == done
        result = resume(tmp_path / "run", quiet=True, stop_after=0)
    assert_same_run(result, straight)


def test_a_folder_named_as_sweeps_name_it(straight, tmp_path):
    """Brackets in a path used to leave checkpoints that could not be read."""
    run_dir = tmp_path / "layers=[64,64]" / "seed=[1]"
    train(CONFIG, run_dir, quiet=True, stop_after=0)
    assert_same_run(resume(run_dir, quiet=True), straight)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_in_an_orderly_way(straight, tmp_path, monkeypatch, signals_act, number):
    write = metrics.MetricsWriter.write

    def interrupted(self, update, *rest):
        if update == 4:
            os.kill(os.getpid(), number)
        write(self, update, *rest)

    before = signal.getsignal(number)
    with monkeypatch.context() as patch:
        patch.setattr(metrics.MetricsWriter, "write", interrupted)
        result = train(CONFIG, tmp_path / "run", quiet=True)
    assert signal.getsignal(number) is before
    assert not result.finished
    # No checkpoint was due after update 5, yet nothing that was done is lost.
    assert checkpoint.saved_updates(tmp_path / "run" / "checkpoints") == [3, result.num_updates]
    assert rows(tmp_path / "run") == rows(straight.run_dir)[: result.num_updates]
    assert_same_run(resume(tmp_path / "run", quiet=True), straight)


def test_a_signal_in_the_last_update_comes_too_late(straight, tmp_path, monkeypatch, signals_act):
    """The run is whole. Who would train another one learns of it."""
    write = metrics.MetricsWriter.write

    def interrupted(self, update, *rest):
        if update == UPDATES:
            os.kill(os.getpid(), signal.SIGTERM)
        write(self, update, *rest)

    with monkeypatch.context() as patch, StopSignal() as stop_signal:
        patch.setattr(metrics.MetricsWriter, "write", interrupted)
        result = train(CONFIG, tmp_path / "run", quiet=True)
    assert (result.finished, stop_signal.requested) == (True, True)
    assert_same_run(result, straight)


def test_a_second_signal_stops_at_once(straight, tmp_path, monkeypatch):
    write = metrics.MetricsWriter.write

    def impatient(self, update, *rest):
        if update == 5:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        write(self, update, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(metrics.MetricsWriter, "write", impatient)
        with pytest.raises(KeyboardInterrupt):
            train(CONFIG, tmp_path / "run", quiet=True)
    assert_same_run(resume(tmp_path / "run", quiet=True), straight)


def test_a_finished_run_stays_as_it_is(straight, tmp_path, monkeypatch):
    run_dir = shutil.copytree(straight.run_dir, tmp_path / "run")
    # As if it had been killed after its last checkpoint, before an older one was removed.
    shutil.copytree(run_dir / "checkpoints" / "00000006", run_dir / "checkpoints" / "00000003")
    monkeypatch.setattr(straight.run.__class__, "compile_train_step", lambda *_: pytest.fail("compiled"))
    monkeypatch.setattr(trainer, "machine_info", lambda devices: {"cores": 1000})  # one that trains nothing of it
    result = resume(run_dir, quiet=True)
    assert_same_run(result, straight)
    assert (run_dir / "status.json").read_text() == (straight.run_dir / "status.json").read_text()
    assert checkpoint.saved_updates(run_dir / "checkpoints") == [6, 8]
    assert (run_dir / "metrics.jsonl").read_bytes() == (straight.run_dir / "metrics.jsonl").read_bytes()
    assert result.seconds == straight.seconds  # the time it took is kept


def test_time_counts_on(tmp_path, monkeypatch):
    """And the second machine is added to the first."""
    train(CONFIG, tmp_path / "run", quiet=True, stop_after=0)
    (first,) = json.loads((tmp_path / "run" / "status.json").read_text())["machines"]
    monkeypatch.setattr(trainer, "machine_info", lambda devices: {"cores": 1000})
    result = resume(tmp_path / "run", quiet=True)
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    status = json.loads((tmp_path / "run" / "status.json").read_text())
    assert status["machine"] == {"cores": 1000}
    assert status["machines"] == [first, {"replicas": first["replicas"], "cores": 1000}]
    seconds = [line["time/seconds"] for line in lines]
    assert seconds == sorted(seconds)
    assert 0 < seconds[0] < seconds[-1] == result.seconds
    assert all(line["time/compile_seconds"] >= 0 and line["time/steps_per_second"] > 0 for line in lines)


# ------------------------------------------------------------------------------------------- killed

MOMENTS = {
    "after the metrics, before the checkpoint": (checkpoint, "save", 2, False),
    "while the checkpoint is written": (checkpoint, "_write_manifest", 2, False),
    "after the checkpoint, before the agents": (checkpoint, "save", 2, True),
    "between an agent's weights and its card": (weights, "write_files", 4, "one file"),  # second agent, second save
    "between two agents": (trainer, "save_agent", 4, False),
    "before the status": (trainer, "write_json", 3, False),  # the first is config.json
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_while_saving(straight, tmp_path, kill_at, moment):
    owner, name, number, after = MOMENTS[moment]
    run_dir = tmp_path / "run"
    heal = kill_at(owner, name, number, after)
    with pytest.raises(Killed):
        train(CONFIG, run_dir, quiet=True)
    heal()
    assert len(rows(run_dir)) == 6
    if moment.startswith("between an agent's"):
        torn = [path for path in agents(run_dir) if refuses(path)]
        assert len(torn) == 1
    resumed = resume(run_dir, quiet=True, stop_after=0)
    for path in agents(run_dir):
        assert load_agent(path).card["steps"] in (6 * 32, resumed.num_updates * 32)
    assert_same_run(resume(run_dir, quiet=True), straight)


@pytest.mark.parametrize("update", [0, 1, 2])
def test_killed_before_the_first_checkpoint(straight, tmp_path, kill_at, capsys, update):
    heal = kill_at(metrics.MetricsWriter, "write", update + 1)
    with pytest.raises(Killed):
        train(CONFIG, tmp_path / "run", quiet=True)
    heal()
    assert len(rows(tmp_path / "run")) == update
    result = resume(tmp_path / "run")
    assert_same_run(result, straight)
    assert "starting again from the beginning" in capsys.readouterr().out


CHILD = """
import random, sys, time
from pathlib import Path
from rookery.storage import metrics
from rookery.training.trainer import resume, train
from tests.tiny import CONFIG

write, run_dir = metrics.MetricsWriter.write, Path(sys.argv[1])

def slow(*args):
    time.sleep(random.uniform(0, 0.1))
    write(*args)
    time.sleep(random.uniform(0, 0.1))

metrics.MetricsWriter.write = slow
if (run_dir / "config.json").exists():
    resume(run_dir, quiet=True)
else:
    train(CONFIG, run_dir, quiet=True)
"""


def child(run_dir: Path) -> subprocess.Popen:
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen([sys.executable, "-c", CHILD, run_dir], env={**os.environ, "PYTHONPATH": path})


def wait_for(condition, process: subprocess.Popen, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not condition() and process.poll() is None:
        assert time.monotonic() < end, "the run never came so far"
        time.sleep(0.002)


def lines(run_dir: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return (run_dir / "metrics.jsonl").read_bytes()
    return b""


def test_killed_at_any_moment(straight, tmp_path):
    """SIGKILL as soon as there is a run, then at random moments."""
    run_dir, dice = tmp_path / "run", random.Random()
    for attempt in range(3):
        before = lines(run_dir)
        with child(run_dir) as process:
            started = (run_dir / "config.json").exists if attempt == 0 else (lambda s=before: lines(run_dir) != s)
            wait_for(started, process)
            time.sleep(dice.uniform(0, 1.0) if attempt else 0)
            process.kill()
        assert process.returncode in (-signal.SIGKILL, 0)
        assert load_config(run_dir) == CONFIG
    assert_same_run(resume(run_dir, quiet=True), straight)
    left = [path.name for path in run_dir.rglob("*") if ".tmp" in path.name]
    assert not left


def test_one_process_a_run_and_a_stop_from_outside(straight, tmp_path):
    run_dir = tmp_path / "run"
    with child(run_dir) as process:
        wait_for(lambda: lines(run_dir), process)
        with pytest.raises(StorageError, match=f"is in use by process {process.pid} on "):
            resume(run_dir, quiet=True)
        with pytest.raises(ConfigError, match="already holds a run"):
            train(CONFIG, run_dir, quiet=True)
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
    assert checkpoint.saved_updates(run_dir / "checkpoints")[-1] == len(rows(run_dir))
    assert_same_run(resume(run_dir, quiet=True), straight)


@pytest.mark.parametrize(
    "left", ["status.json", "metrics.jsonl", "agents/a.safetensors", "checkpoints/1/state", "tb/x"]
)
def test_what_is_left_of_a_run_without_its_configuration_is_no_other_run_s(tmp_path, left):
    path = tmp_path / "run" / left
    path.parent.mkdir(parents=True)
    path.write_text("")
    with pytest.raises(ConfigError, match=rf"has the {left.partition('/')[0]} of a run, and no config\.json; put that"):
        train(CONFIG, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "config.json").exists()


def test_two_that_start_together(tmp_path, monkeypatch):
    """The process that gets the lock second finds a run there."""
    acquire, run_dir = RunLock.acquire, tmp_path / "run"

    def late(self):
        acquire(self)
        (run_dir / "config.json").write_text("{}")
        return self

    monkeypatch.setattr(RunLock, "acquire", late)
    with pytest.raises(ConfigError, match="already holds a run"):
        train(CONFIG, run_dir, quiet=True)
    assert (run_dir / "config.json").read_text() == "{}"


def test_a_power_cut_takes_no_metrics_that_a_checkpoint_counts_on(tmp_path, monkeypatch):
    """Lines that are not synced to the disk are lost in a power cut: they are synced before each checkpoint."""
    run_dir, safe = tmp_path / "run", []
    sync, save = metrics.MetricsWriter.sync, checkpoint.save

    def synced(self):
        sync(self)
        safe.append(len(rows(run_dir)))

    def saved(directory, update, *rest, **more):
        assert safe[-1] == update
        return save(directory, update, *rest, **more)

    monkeypatch.setattr(metrics.MetricsWriter, "sync", synced)
    monkeypatch.setattr(checkpoint, "save", saved)
    train(CONFIG, run_dir, quiet=True)
    assert safe == [3, 6, 8]


# ------------------------------------------------------------------------------------------- damaged


def damaged(straight, tmp_path, *updates: int, harm="flip") -> Path:
    """A copy of the finished run with the arrays of some checkpoints damaged."""
    run_dir = shutil.copytree(straight.run_dir, tmp_path / "run")
    for update in updates:
        arrays = run_dir / "checkpoints" / f"{update:08d}" / checkpoint.ARRAYS_FILE
        data = bytearray(arrays.read_bytes())
        data[len(data) // 2] ^= 1
        arrays.write_bytes(data if harm == "flip" else data[: len(data) // 2])
    return run_dir


@pytest.mark.parametrize("harm", ["flip", "truncate"])
def test_the_newest_is_damaged(straight, tmp_path, capsys, harm):
    run_dir = damaged(straight, tmp_path, 8, harm=harm)
    result = resume(run_dir)
    said = capsys.readouterr().out
    assert "checkpoint 00000008 is damaged: " in said
    assert "is altered" in said if harm == "flip" else "bytes instead of" in said
    assert "going back to 00000006" in said
    assert_same_run(result, straight)
    assert checkpoint.verify(run_dir / "checkpoints" / "00000008")


def test_a_renamed_checkpoint_is_not_another_update(straight, tmp_path, capsys):
    run_dir = shutil.copytree(straight.run_dir, tmp_path / "run")
    folder = run_dir / "checkpoints"
    shutil.rmtree(folder / "00000008")
    shutil.copytree(folder / "00000006", folder / "00000007")
    result = resume(run_dir)
    said = capsys.readouterr().out
    assert "checkpoint 00000007 is damaged: it is of update 6, so its folder was renamed" in said
    assert "going back to 00000006" in said
    assert_same_run(result, straight)


def test_the_only_checkpoint_is_renamed(straight, tmp_path):
    run_dir = shutil.copytree(straight.run_dir, tmp_path / "run")
    folder = run_dir / "checkpoints"
    shutil.rmtree(folder / "00000006")
    (folder / "00000008").rename(folder / "00000007")
    with pytest.raises(
        NotFoundError, match=r"no valid checkpoint left \(checkpoint 00000007 .* name it 00000008 again"
    ):
        resume(run_dir)
    with pytest.raises(NotFoundError, match="00000007 all damaged"):
        trainer.load_state(run_dir)
    (folder / "00000007").rename(folder / "00000008")
    assert_same_run(resume(run_dir), straight)


def test_a_state_of_another_update_is_not_continued(straight, tmp_path, capsys):
    run_dir = shutil.copytree(straight.run_dir, tmp_path / "run")
    folder = run_dir / "checkpoints"
    shutil.rmtree(folder / "00000008")
    other = checkpoint.restore(folder / "00000006", straight.state)
    checkpoint.save(folder, 7, other, max_checkpoints=9)
    result = resume(run_dir)
    said = capsys.readouterr().out
    assert "checkpoint 00000007 is damaged: its state has done 6 updates" in said
    assert "going back to 00000006" in said
    assert_same_run(result, straight)


def test_all_are_damaged(straight, tmp_path, capsys):
    run_dir = damaged(straight, tmp_path, 6, 8)
    with pytest.raises(NotFoundError, match="no valid checkpoint left"):
        resume(run_dir)
    result = resume(run_dir, restart=True)
    said = capsys.readouterr().out
    assert "checkpoint 00000008 is damaged" in said
    assert "checkpoint 00000006 is damaged" in said
    assert "starting again from the beginning" in said
    assert_same_run(result, straight)


def test_metrics_torn_by_a_power_cut(straight, tmp_path):
    run_dir = damaged(straight, tmp_path, 8)
    path = run_dir / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-40])
    assert_same_run(resume(run_dir, quiet=True), straight)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"config": {"num_seeds": "x"}}', '{"config": {"sedes": 1}}'])
def test_a_damaged_configuration(straight, tmp_path, content):
    run_dir = shutil.copytree(straight.run_dir, tmp_path / "run")
    (run_dir / "config.json").write_text(content)
    with pytest.raises(CorruptFileError) as caught:
        resume(run_dir, quiet=True)
    assert str(run_dir / "config.json") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert checkpoint.saved_updates(run_dir / "checkpoints") == [6, 8]


def test_no_run(tmp_path):
    with pytest.raises(NotFoundError, match=r"holds no run \(config.json is missing\)"):
        resume(tmp_path / "absent", quiet=True)
    assert not (tmp_path / "absent").exists()


def test_a_checkpoint_of_another_network(straight, tmp_path):
    run_dir = shutil.copytree(straight.run_dir, tmp_path / "run")
    text = (run_dir / "config.json").read_text()
    assert '"head_size": 4' in text
    (run_dir / "config.json").write_text(text.replace('"head_size": 4', '"head_size": 5'))
    with pytest.raises(IncompatibleError, match=r"checkpoint 00000008 does not fit: .* there and .* here"):
        resume(run_dir, quiet=True)
    assert checkpoint.saved_updates(run_dir / "checkpoints") == [6, 8]
    assert rows(run_dir) == rows(straight.run_dir)


# ------------------------------------------------------------------------------------------- the disk is full


def refusal(run_dir: Path) -> str:
    """The error after the disk refuses; empty if the run needed fewer calls."""
    try:
        assert train(CONFIG, run_dir, quiet=True).finished
    except StorageError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_a_disk_that_fills_up(straight, tmp_path, monkeypatch, call):
    """Wherever the disk first refuses, the error is a StorageError and the run resumes to the same numbers."""
    for refused in (0, 9, 23, 41):
        run_dir, calls = tmp_path / str(refused), 0
        real = getattr(os, call)

        def full(*args, real=real, refused=refused):
            nonlocal calls
            calls += 1
            if calls > refused:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            said = refusal(run_dir)
        assert not said or "the disk is full; free some space" in said
        assert not [path for path in run_dir.rglob("*") if ".tmp" in path.name]
        if (run_dir / "config.json").exists():
            assert_same_run(resume(run_dir, quiet=True), straight)
        else:
            assert not (run_dir / "metrics.jsonl").exists()


def test_seconds_count_only_the_work_that_was_kept(tmp_path):
    """The clock continues from the run's metrics, not from the time at which it was killed."""
    train(tiny(eval_episodes=0), tmp_path / "run", quiet=True, stop_after=0)
    first = json.loads((tmp_path / "run" / "metrics.jsonl").read_text())["time/seconds"]
    time.sleep(0.3)
    result = resume(tmp_path / "run", quiet=True, stop_after=0)
    spent = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[1])["time/seconds"]
    assert first < spent == result.seconds


def test_a_changed_partner_is_refused(tmp_path):
    """Another agent under the same name would change the numbers: resuming refuses it and changes nothing."""
    policy = RecurrentPolicy(NETWORK, VIEW.shape, 3)
    for number in (0, 1):
        params = jax.tree.map(np.asarray, policy.init(jax.random.PRNGKey(number)))
        save_agent(tmp_path / f"{number}.safetensors", policy, params, {})
    source = tmp_path / "partner.safetensors"

    def use_agent(number):
        for ending in (".safetensors", ".json"):
            shutil.copy(tmp_path / f"{number}{ending}", source.with_suffix(ending))

    use_agent(0)
    partner = GroupConfig(name="other", slots=(1,), policy=FrozenPolicyConfig(checkpoint=str(source)))
    run_dir = tmp_path / "run"
    train(tiny(team=(NOVICE, partner)), run_dir, quiet=True, stop_after=0)
    before = sorted(path.name for path in (run_dir / "checkpoints").iterdir())
    use_agent(1)
    with pytest.raises(IncompatibleError, match=r"started with an agent .*partner\.safetensors of SHA-256"):
        resume(run_dir, quiet=True)
    assert sorted(path.name for path in (run_dir / "checkpoints").iterdir()) == before
    use_agent(0)
    assert resume(run_dir, quiet=True).finished
