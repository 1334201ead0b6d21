"""The table of cards: agents of one group are one row; and what cards and their files are called."""

import copy
import json
from types import SimpleNamespace

import pytest

from rookery.cli import main
from rookery.commands.score import ScoreCommand, _labels
from rookery.errors import ConfigError, CorruptFileError, NotFoundError, StorageError
from rookery.intervals import format_interval, mean_interval
from rookery.scorecard.agents import RookeryAgent
from rookery.scorecard.social_v1 import PROTOCOLS
from rookery.scorecard.table import check_scorecard_table, scorecard_table, write_scorecard_table
from tests.scorecard.tiny import TINY, golden_probes


def write_card(folder, file_name, transmission=0.5, alone=1.0, changed=None, **agent):
    """A card with these two numbers. `changed`: other entries instead."""
    probes = copy.deepcopy(golden_probes())
    probes["cultural transmission"]["cultural transmission"]["value"] = transmission
    probes["social gain"]["return alone"] = {"value": alone, "low": None, "high": None}
    card = {
        "format": 1,
        "protocol": "tiny",
        "protocol_sha256": TINY.digest,
        "agent": {"name": file_name} | agent,
        "headline": {"value": transmission},
        "probes": probes,
        **(changed or {}),
    }
    (folder / f"{file_name}.json").write_text(json.dumps(card))


def test_the_agents_of_a_group_are_one_row(tmp_path, monkeypatch):
    monkeypatch.setitem(PROTOCOLS, "tiny", TINY)
    for seed, (transmission, alone) in enumerate([(0.3, 1.0), (None, 2.0), (0.5, 6.0)]):
        write_card(tmp_path, f"seed-{seed}", transmission, alone, group="solo, 9×9")
    write_card(tmp_path, "better", 0.45, 1.0, group="a group of one")
    write_card(tmp_path, "worse", 0.39, -1.0)
    write_card(tmp_path, "undefined", None, 7.0)
    rows = [[cell.strip() for cell in line.split("|")] for line in scorecard_table(tmp_path, "tiny").splitlines()[2:]]
    # By the mean of the two that are defined, 0.4; an undefined headline is last.
    assert [row[1] for row in rows] == ["a group of one", "solo, 9×9 (3 agents)", "worse", "undefined"]
    assert rows[1][2] == f"{format_interval(mean_interval([0.3, 0.5]))} (2 of 3)"
    assert rows[1][2 + 3] == format_interval(mean_interval([1.0, 2.0, 6.0]))
    assert [row[5] for row in rows[2:]] == ["-1.00", "7.00"]
    assert rows[3][2] == "–"


def test_an_agent_with_the_name_of_a_group_is_a_row_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setitem(PROTOCOLS, "tiny", TINY)
    for number in range(2):
        write_card(tmp_path, f"seed-{number}", 0.5, group="solo")
    write_card(tmp_path, "alone", 0.4, name="solo")
    rows = scorecard_table(tmp_path, "tiny").splitlines()[2:]
    assert [row[2:].split(" | ")[0] for row in rows] == ["solo (2 agents)", "solo"]


def test_no_name_changes_the_page_around_the_table(tmp_path, monkeypatch):
    monkeypatch.setitem(PROTOCOLS, "tiny", TINY)
    names = ["x <!-- end --> y", "a | b", "back\\|slash", "two\nlines"]
    for number, name in enumerate(names):
        write_card(tmp_path, f"card-{number}", 0.9 - number / 10, name=name)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- scorecards: tiny -->\n<!-- end -->\nafter\n")
    write_scorecard_table(page, tmp_path, "tiny")
    once = page.read_bytes()
    write_scorecard_table(page, tmp_path, "tiny")
    assert page.read_bytes() == once
    rows = page.read_text().splitlines()[4:-2]
    assert [row[2:].split(" | ")[0] for row in rows] == [
        "x &lt;!-- end --> y", r"a \| b", r"back\\\|slash", "two lines"
    ]  # fmt: skip


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_ends_of_a_page_s_lines_stay(tmp_path, monkeypatch, end):
    monkeypatch.setitem(PROTOCOLS, "tiny", TINY)
    write_card(tmp_path, "card")
    page = tmp_path / "page.md"
    lines = ["before", "<!-- scorecards: tiny -->", "old", "<!-- end -->", "after\rwith an odd end", ""]
    page.write_bytes(end.join(lines).encode())
    write_scorecard_table(page, tmp_path, "tiny")
    table = scorecard_table(tmp_path, "tiny").splitlines()
    assert page.read_bytes() == end.join([*lines[:2], *table, *lines[3:]]).encode()


def test_a_page_that_cannot_be_read_is_there(tmp_path):
    (tmp_path / "page.md").mkdir()
    with pytest.raises(StorageError, match=r"page\.md: it is a folder, not a file"):
        check_scorecard_table(tmp_path / "page.md", tmp_path, "tiny", [])


WRONG_ENTRIES = {
    "card.agent is []": {"agent": []},
    "card.agent lacks 'name'": {"agent": {}},
    "card.agent.name is 5": {"agent": {"name": 5}},
    "card.agent.group is []": {"agent": {"name": "a", "group": []}},
    "card.headline is null": {"headline": None},
    "card.headline lacks 'value'": {"headline": {}},
    'card.headline.value is "1"': {"headline": {"value": "1"}},
    "card.probes is []": {"probes": []},
    "card.probes.social gain lacks 'return alone'": {"probes": {"social gain": {}}},
    "card.probes.social gain.x lacks 'high', 'low'": {"probes": {"social gain": {"x": {"value": 1}}}},
    "card.protocol is 3": {"protocol": 3},
    "card.format is \"1\"": {"format": "1"},
}  # fmt: skip


@pytest.mark.parametrize("said", WRONG_ENTRIES)
def test_a_card_with_a_wrong_entry_is_named(tmp_path, monkeypatch, said):
    monkeypatch.setitem(PROTOCOLS, "tiny", TINY)
    write_card(tmp_path, "good")
    write_card(tmp_path, "wrong", changed=WRONG_ENTRIES[said])
    with pytest.raises(CorruptFileError) as caught:
        scorecard_table(tmp_path, "tiny")
    assert str(tmp_path / "wrong.json") in str(caught.value)
    assert said in str(caught.value)


def test_a_card_without_an_entry_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(PROTOCOLS, "tiny", TINY)
    for name in ("agent", "headline", "probes"):
        write_card(tmp_path, "wrong")
        card = json.loads((tmp_path / "wrong.json").read_text())
        del card[name]
        (tmp_path / "wrong.json").write_text(json.dumps(card))
        with pytest.raises(CorruptFileError, match=f"wrong.json is damaged: card lacks '{name}'"):
            scorecard_table(tmp_path, "tiny")


def test_the_cards_and_the_page_are_checked_before_an_agent_is_scored(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(PROTOCOLS, "tiny", TINY)
    monkeypatch.setattr("rookery.scorecard.card.score", lambda *_, **__: pytest.fail("scored"))
    (tmp_path / "tiny").mkdir()
    page = tmp_path / "page.md"
    command = ["score", "random", "--protocol", "tiny", "--out", str(tmp_path), "--table", str(page)]
    assert main(command) == NotFoundError.exit_code
    page.write_bytes(b"\xff")
    assert main(command) == ConfigError.exit_code
    page.write_text("no marks")
    assert main(command) == ConfigError.exit_code
    page.write_text("<!-- scorecards: tiny -->\n<!-- end -->")
    write_card(tmp_path / "tiny", "other", changed={"headline": {"value": "1"}})
    capsys.readouterr()
    assert main(command) == CorruptFileError.exit_code
    assert "other.json is damaged" in capsys.readouterr().err
    # The card of the agent itself is written again, whatever it holds.
    (tmp_path / "tiny" / "other.json").rename(tmp_path / "tiny" / "random.json")
    check_scorecard_table(page, tmp_path / "tiny", "tiny", ["random.json"])


def test_the_files_of_every_card_are_checked_before_an_agent_is_scored(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(PROTOCOLS, "tiny", TINY)
    monkeypatch.setattr("rookery.scorecard.card.score", lambda *_, **__: pytest.fail("scored"))
    options = ["--protocol", "tiny", "--out", str(tmp_path / "cards")]
    assert main(["score", "random", *options, "--name", "n" * 240]) == StorageError.exit_code
    assert "the name is too long; choose a shorter one" in capsys.readouterr().err
    assert not (tmp_path / "cards").exists()
    (tmp_path / "cards" / "tiny" / "g-scripted.html").mkdir(parents=True)
    assert main(["score", "random", "scripted", *options, "--group", "g"]) == StorageError.exit_code
    assert "g-scripted.html: it is a folder, not a file" in capsys.readouterr().err


def test_what_cards_and_their_files_are_called():
    paths = ("runs/x/agents/solo-seed2000-novice-0.safetensors", "runs/x/agents/solo-seed2001-novice-0.safetensors")
    assert _labels(ScoreCommand(paths[:1])) == {"solo-seed2000-novice-0": ""}
    assert _labels(ScoreCommand(paths[:1], name="solo, 9×9")) == {"solo-9-9": "solo, 9×9"}
    assert _labels(ScoreCommand(paths, group="solo")) == {
        "solo-solo-seed2000-novice-0": "solo, solo-seed2000-novice-0",
        "solo-solo-seed2001-novice-0": "solo, solo-seed2001-novice-0",
    }


def test_no_card_replaces_that_of_another_agent(tmp_path, monkeypatch, capsys):
    """Agents of different runs have files of one name, and names may differ in punctuation alone."""
    monkeypatch.setitem(PROTOCOLS, "tiny", TINY)
    folder = tmp_path / "cards" / "tiny"
    digests = {"a": "1", "b": "2", "copy-of-a": "1"}
    scored = []

    def load(source, _):
        return RookeryAgent(
            name=source, kind="rookery", observation_type="symbolic", sha256=digests.get(source.split("/")[0])
        )

    def score(agent, *_, label, **__):
        scored.append(agent)

        def write(path):
            write_card(folder, path.stem, 0.5, 1.0, name=label or agent.name, sha256=agent.sha256)
            return path

        return SimpleNamespace(numbers={}, write_json=write)

    monkeypatch.setattr("rookery.scorecard.agents.load_scored_agent", load)
    monkeypatch.setattr("rookery.scorecard.card.score", score)
    monkeypatch.setattr("rookery.scorecard.card_page.write_scorecard_page", lambda card, path: path)

    def code(source, *more):
        return main(["score", source, *more, "--protocol", "tiny", "--out", str(tmp_path / "cards")])

    a, b, copied = (f"{run}/agents/main-seed0-novice-0.safetensors" for run in ("a", "b", "copy-of-a"))
    assert [code(source) for source in (a, a, copied, "random", "random", "goal-cycle-lite-expert")] == [0] * 6
    assert code(a, "--name", "solo, 9×9") == 0
    scored.clear()
    capsys.readouterr()
    for source, more, said in (
        (b, (), f"main-seed0-novice-0.json is the card of another agent, {copied!r}, and would be replaced by that"),
        (b, ("--name", "solo 9+9"), "solo-9-9.json is the card of another agent, 'solo, 9×9', and would be replaced"),
        ("random", ("--name", "solo 9+9"), "solo-9-9.json is the card of another agent"),
    ):
        assert code(source, *more) == 2
        error = capsys.readouterr().err
        assert said in error
        assert "give this one another --name" in error
    assert not scored
    assert code(b, "--name", "of b") == 0
    digests["goal-cycle-lite-expert"] = "of a newer version"
    assert code("goal-cycle-lite-expert") == 0
    (folder / "main-seed0-novice-0.json").write_text("{}")
    assert code(b) == 0  # nothing that can be read is lost


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"agents": ()}, "name an agent"),
        ({"agents": ("random", "scripted")}, "several agents are scored as one group"),
        ({"agents": ("random", "scripted"), "group": "g", "name": "n"}, "several agents are scored as one group"),
        ({"agents": ("a/x.safetensors", "b/x.safetensors"), "group": "g"}, "would have the same card"),
        ({"agents": ("random",), "name": "×"}, "has no letter or digit"),
    ],
)
def test_names_that_cannot_be(options, message):
    with pytest.raises(ConfigError, match=message):
        _labels(ScoreCommand(**options))
