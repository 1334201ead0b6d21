"""Mutated files through every reader: refused in one printable line, or read as they were written."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import io
import json
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.torture.record import TrialError
from tests.tiny import CONFIG, TASK, save_novice

from rookery.agents.cards import seal_card
from rookery.agents.weights import load_agent
from rookery.errors import RookeryError
from rookery.storage import checkpoint
from rookery.storage.metrics import read_metrics
from rookery.storage.run_files import read_status, recorded_threads, training_seconds
from rookery.training.config import ScriptedPolicyConfig
from rookery.training.demonstrations import read_dataset, record_dataset
from rookery.training.trainer import load_config, resume, train
from rookery.viz.recording import Recording

NASTY = (None, True, -1, 0, 2**31, 10**30, 1e308, "", "\x1b]0;x\x07", "../../x", [], {}, [[]] * 50, {"a": {"b": {}}})
COMMANDS = (
    ("runs", "list"),
    ("runs", "show"),
    ("runs", "show", "--json"),
    ("runs", "compare", "--metric", "return", "--out", "{}.png"),
    ("runs", "export", "--csv", "{}.csv"),
)
"""Commands that read a run; {} is a name for what they write."""


class Files:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.good, self.work = folder / "good", folder / "work"
        if not (self.good / "ready").exists():
            self._make()

        like = {"x": np.zeros((20, 30), np.float32), "y": np.zeros(3, np.uint32)}
        run = self.good / "run"
        agent = "agents/" + sorted(path.name for path in (run / "agents").glob("*.safetensors"))[0]
        self.readers: list[tuple[str, str, Callable[[Path], Any], bool]] = [
            ("agent", "agent.json", lambda path: load_agent(path.with_suffix(".safetensors")).card, True),
            ("agent", "agent.safetensors", lambda path: _sum(load_agent(path).params), True),
            ("run", agent, lambda path: _sum(load_agent(path).params), True),
            ("run", "config.json", lambda path: (load_config(path.parent), recorded_threads(path.parent)), False),
            ("run", "status.json", lambda path: read_status(path.parent), False),
            ("run", "metrics.jsonl", lambda path: training_seconds(path.parent, read_metrics(path.parent)), False),
            ("c", "00000001/manifest.json", lambda path: checkpoint.restore(path.parent, like), True),
            ("c", "00000001/arrays.npz", lambda path: checkpoint.restore(path.parent, like), True),
            ("data", "manifest.json", lambda path: _sum(read_dataset(path.parent).trajectories), True),
            ("data", "shard-00000.npz", lambda path: _sum(read_dataset(path.parent).trajectories), True),
            (".", "film.npz", lambda path: Recording.load(path), False),
        ]
        for name in ("config.json", "status.json", "metrics.jsonl"):
            self.readers += [("run", name, partial(_command, words), False) for words in COMMANDS]
            self.readers.append(("run", name, _resume, False))

    def _make(self) -> None:
        shutil.rmtree(self.good, ignore_errors=True)
        self.good.mkdir(parents=True)
        train(CONFIG, self.good / "run", quiet=True)
        record_dataset(self.good / "data", TASK, ScriptedPolicyConfig(), num_episodes=4)
        (self.good / "agent").mkdir()
        save_novice(self.good / "agent" / "agent.safetensors")
        tree = {"x": np.arange(600, dtype=np.float32).reshape(20, 30), "y": np.arange(3, dtype=np.uint32)}
        checkpoint.save(self.good / "c", 1, tree)
        from rookery.training.make_team import make_team_setup
        from rookery.viz.record_episode import record_episode

        setup = make_team_setup(str(self.good / "agent" / "agent.safetensors"), "random", None)
        mask = np.ones(setup.env.num_agents, bool)
        record_episode(setup.env, setup.team, setup.params, seed=0, agent_mask=mask).save(self.good / "film.npz")
        (self.good / "ready").write_text("")

    def trial(self, number: int) -> None:
        dice = random.Random(number)
        folder, name, read, guarded = self.readers[number % len(self.readers)]
        source = self.good / folder
        if folder == ".":
            shutil.rmtree(self.work, ignore_errors=True)
            self.work.mkdir()
            shutil.copy(source / name, self.work / name)
        else:
            shutil.rmtree(self.work, ignore_errors=True)
            shutil.copytree(source, self.work, ignore=shutil.ignore_patterns("tb"))
        path = self.work / name
        before = path.read_bytes()
        sealed = mutate(path, dice)
        try:
            found = read(path)
        except RookeryError as error:
            text = str(error)
            if not text.isprintable() or len(text) > 2000:
                raise TrialError(f"{name}: the message is not a printable line: {text[:200]!r}") from None
            return
        changed = path.read_bytes() != before
        if guarded and changed and not sealed and _text(found) != _text(read(source / name)):
            raise TrialError(f"{name}: read as if nothing had happened, with other content")


def mutate(path: Path, dice: random.Random) -> bool:
    """Damage a file. Returns whether it was sealed again, as by someone who wants to deceive."""
    data = bytearray(path.read_bytes())
    kind = dice.randrange(8)
    position = dice.randrange(max(1, len(data)))
    if kind == 0 and data:
        data[position] ^= 1 << dice.randrange(8)
    elif kind == 1:
        del data[position:]
    elif kind == 2:
        data[position:position] = dice.randbytes(dice.randint(1, 40))
    elif kind == 3:
        del data[position : position + dice.randint(1, 40)]
    elif kind == 4:
        data[position : position + 16] = dice.randbytes(16)
    elif kind == 5:
        data = bytearray(dice.choice((b"", b"[" * 5000, b"null", b"\xff\xfe", b"\x80\x04K\x01.", b"{}", b"\0" * 99)))
    elif path.suffix == ".json":
        return _mutate_json(path, dice)
    elif path.suffix == ".jsonl":
        _mutate_line(path, dice)
        return False
    path.write_bytes(data)
    return False


def _mutate_json(path: Path, dice: random.Random) -> bool:
    data = json.loads(path.read_text())
    _damage(data, dice)
    sealed = dice.random() < 0.7
    if sealed and isinstance(data, dict) and "card_sha256" in data:
        data = seal_card(data)
    elif sealed and isinstance(data, dict) and set(data) == {"content", "sha256"}:
        text = json.dumps(data["content"], sort_keys=True)
        data["sha256"] = hashlib.sha256(text.encode()).hexdigest()
    indent = 1 if isinstance(data, dict) and set(data) == {"content", "sha256"} else 2
    ending = "\n" if path.parent.name.isdigit() else ""
    path.write_text(json.dumps(data, indent=indent, sort_keys=path.parent.name.isdigit()) + ending)
    return sealed


def _mutate_line(path: Path, dice: random.Random) -> None:
    """One line of a file of JSON lines gets a value of the wrong kind, or none."""
    lines = path.read_text().splitlines()
    number = dice.randrange(len(lines))
    row = json.loads(lines[number])
    _damage(row, dice)
    lines[number] = json.dumps(row)
    path.write_text("\n".join(lines) + "\n")


def _damage(data: Any, dice: random.Random) -> None:
    """Remove or replace one value, anywhere in JSON data."""
    node = data
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = dice.choice(keys)
        if isinstance(node[key], dict | list) and node[key] and dice.random() < 0.8:
            node = node[key]
            continue
        if dice.random() < 0.2:
            del node[key]
        else:
            node[key] = copy.deepcopy(dice.choice(NASTY))  # a later change may go into it
        return


def _command(words: tuple[str, ...], path: Path) -> str:
    """What a command prints on the run of a file. Raises TrialError if that is not printable text."""
    from rookery.cli import main

    run_dir, output, errors = path.parent, io.StringIO(), io.StringIO()
    options = [word.replace("{}", str(run_dir / "written")) for word in words[2:]]
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = main([*words[:2], str(run_dir), *options])
    said = errors.getvalue()
    if not all(line.isprintable() for line in (output.getvalue() + said).splitlines()):
        raise TrialError(f"{' '.join(words)} of {path.name}: prints what is not printable: {said[-200:]!r}")
    if code and said.count("\n") != 1:
        raise TrialError(f"{' '.join(words)} of {path.name}: exit code {code} and no one line: {said[-200:]!r}")
    return output.getvalue()


def _resume(path: Path) -> None:
    """Continue the run of a file, for one update at most."""
    resume(path.parent, quiet=True, stop_after=0.0)


def _sum(tree: Any) -> str:
    import jax

    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()


def _text(value: Any) -> str:
    return (
        value if isinstance(value, str) else _sum(value) if not isinstance(value, dict) or "x" in value else repr(value)
    )
