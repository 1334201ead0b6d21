"""Files of JSON that a command wrote for itself, damaged meanwhile: one line that names the file and what to do."""

import json

import pytest

from rookery.agents.cards import read_card
from rookery.errors import ConfigError, CorruptFileError, NotFoundError, StorageError
from rookery.scaling.shards import Shard, agree_on_shards, shards_file
from rookery.scaling.sweep_trials import Dimension, SweepOptions, _check_same_sweep
from rookery.scorecard.card import read_scorecard
from rookery.studies.frozen_evaluation import measure_or_load, read_measurement
from rookery.studies.results_io import read_results
from rookery.studies.results_shape import AgentMeasures, MeanInterval, TeamMeasures
from rookery.studies.session import Session
from rookery.training.run_parts import parts_dir, read_split
from tests.tiny import CONFIG

DAMAGED = [b"", b"{", b"[" * 100_000, b"\xff", b'{"a": NaN}']
VALID = [b"[3]", b"3"]


class _Evaluator:
    measures = AgentMeasures

    def measurement_key(self, agent, seed):
        return "key"


def _sweep(folder):
    options = SweepOptions(space=(Dimension.parse("team.0.learning_rate=1e-4,1e-3"),))
    (folder / "file").rename(folder / "sweep.json")
    _check_same_sweep(None, CONFIG, options, folder)  # it is read before Optuna is needed


def _split(folder):
    path = parts_dir(folder / "run") / "split.json"
    path.parent.mkdir()
    (folder / "file").rename(path)
    read_split(folder / "run")


class _Study:
    name = "study"


@pytest.mark.parametrize(
    ("name", "number"),
    [("num_threads", 0), ("num_threads", -5), ("num_threads", 10**12), ("num_threads", True), ("replicas_per_part", 0)],
)
def test_a_split_that_no_run_has(tmp_path, name, number):
    (tmp_path / "file").write_text(json.dumps({"num_threads": 2, "replicas_per_part": 1} | {name: number}))
    with pytest.raises(CorruptFileError, match=r"split\.json does not say how the run was divided"):
        _split(tmp_path)


def _shards(folder):
    session = Session("smoke", folder, 0, 2, 2)
    path = shards_file(_Study(), session)
    path.parent.mkdir(parents=True)
    (folder / "file").rename(path)
    agree_on_shards(_Study(), session, Shard(1, 2))


def _results(folder):
    (folder / "file").rename(folder / "results.json")
    read_results(folder)


def _measured(folder):
    (folder / "file").rename(folder / "key.json")
    measure_or_load(_Evaluator(), None, 0, folder)


READERS = {
    "sweep": _sweep,
    "split": _split,
    "shards": _shards,
    "results": _results,
    "measurement": _measured,
    "other measurement": lambda folder: read_measurement(folder / "file", MeanInterval),
    "scorecard": lambda folder: read_scorecard(folder / "file"),
    "card": lambda folder: read_card(folder / "file"),
}


@pytest.mark.parametrize("reader", READERS)
def test_damage_is_named(tmp_path, reader):
    for number, content in enumerate([*DAMAGED, *VALID]):
        if reader in ("shards", "split") and not content:  # what was created and never filled counts as missing
            continue
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "file").write_bytes(content)
        # A sweep whose file is valid JSON is taken for one of other settings.
        with pytest.raises(ConfigError if reader == "sweep" and content in VALID else CorruptFileError) as caught:
            READERS[reader](folder)
        assert str(folder) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_results_of_no_budget(tmp_path):
    (tmp_path / "results.json").write_text('{"rows": [], "budget": "vast"}')
    with pytest.raises(CorruptFileError, match="its budget is none of smoke, desk, paper"):
        read_results(tmp_path)


def test_what_cannot_be_read_is_not_damaged(tmp_path, monkeypatch):
    folder = tmp_path / "folder.json"
    folder.mkdir()
    for read in (read_card, read_scorecard):
        with pytest.raises(StorageError, match="cannot read"):
            read(folder)
        with pytest.raises(NotFoundError):
            read(tmp_path / "absent.json")


@pytest.mark.parametrize("measures", [AgentMeasures, TeamMeasures])
def test_a_measurement_of_another_shape(tmp_path, monkeypatch, measures):
    monkeypatch.setattr(_Evaluator, "measures", measures)
    path = tmp_path / "key.json"
    for content, said in (("{}", "measurement lacks "), ('{"eval_episodes": "6"}', "measurement lacks ")):
        path.write_text(content)
        with pytest.raises(CorruptFileError, match=said) as caught:
            measure_or_load(_Evaluator(), None, 0, tmp_path)
        assert f"{path} is damaged" in str(caught.value)
        assert "remove the file to measure again" in str(caught.value)


def test_a_measurement_with_a_value_of_another_type(tmp_path):
    interval = {"mean": 1.0, "low": None, "high": None}
    names = ("return_social", "return_solo", "social_gain")
    whole = {"eval_episodes": 6, "return_partners": None, **dict.fromkeys(names, interval)}
    whole |= {name: {} for name in ("metrics_social", "metrics_solo", "metrics_partners")}
    path = tmp_path / "key.json"
    path.write_text(json.dumps(whole))
    assert measure_or_load(_Evaluator(), None, 0, tmp_path) == whole
    path.write_text(json.dumps(whole | {"return_solo": 5}))
    with pytest.raises(CorruptFileError, match=r"measurement\.return_solo is 5; it must be an object"):
        measure_or_load(_Evaluator(), None, 0, tmp_path)
