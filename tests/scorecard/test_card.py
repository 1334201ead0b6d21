"""Cards of scripted agents whose score is known, and what a card consists of."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents.zoo import ZOO_DIR
from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, MissingPackageError, NotFoundError
from rookery.intervals import Interval
from rookery.scorecard.agents import FunctionAgent, ScoredAgent, load_function, load_scored_agent
from rookery.scorecard.card import read_scorecard, score
from rookery.scorecard.card_page import PICTURES, _headline_text, make_scorecard_page
from rookery.scorecard.episodes import play_condition
from rookery.scorecard.protocol import Partner
from rookery.scorecard.social_v1 import PROBES, PROTOCOLS
from rookery.scorecard.table import write_scorecard_table
from tests.scorecard.tiny import STAY, TASK, TINY, golden_probes, student

GUIDED = dataclasses.replace(
    TINY,
    conditions=tuple(
        dataclasses.replace(condition, partners=(Partner(behavior="knows"),) * 2)
        if condition.partners == (Partner(), Partner())
        else condition
        for condition in TINY.conditions
    ),
)
"""With experts that know the order from the start, as Bhoopchand et al.'s: a perfect follower earns what they earn."""


TRANSMISSION = ("alone", "with experts", "experts leave")


def test_an_agent_may_be_named_by_its_path(tmp_path):
    path = ZOO_DIR / "goal-cycle-demo-novice.safetensors"
    assert load_scored_agent(path) == load_scored_agent(str(path))
    for missing in ("a.onnx", "a.safetensors"):
        with pytest.raises(NotFoundError, match=missing.replace(".safetensors", "")):
            score(tmp_path / missing)


def played(kind: str, names: tuple[str, ...]) -> dict:
    """The episodes of a student in some conditions."""
    return {c.name: play_condition(GUIDED, c, student(kind), {}) for c in GUIDED.conditions if c.name in names}


@pytest.fixture(scope="module")
def card():
    return score(student("never acts"), GUIDED)


@pytest.mark.parametrize(
    ("kind", "transmission", "following", "recall", "gain"),
    [
        ("independent", 0, 0, 1, 0),
        ("follows and forgets", 0.75, 1, 0, 1),
        ("follows and remembers", 1, 1, 1, 1),
        ("never acts", 0, 0, 0, 0),
    ],
)
def test_anchors(card, kind, transmission, following, recall, gain):
    """Exact for agents that the experts do not change; else up to where the agents happen to start."""
    episodes = card.episodes if kind == "never acts" else {**card.episodes, **played(kind, TRANSMISSION)}
    numbers = GUIDED.numbers(episodes, GUIDED.follow_steps)
    tolerance = 1e-9 if transmission == 0 else 0.06
    of_transmission = {name: interval.value for name, interval in numbers["cultural transmission"].items()}
    assert of_transmission["cultural transmission"] == pytest.approx(transmission, abs=tolerance)
    assert of_transmission["following"] == pytest.approx(following, abs=tolerance)
    assert of_transmission["recall"] == pytest.approx(recall, abs=0.06)
    beyond_alone = recall * (kind == "follows and remembers")
    assert of_transmission["recall beyond alone"] == pytest.approx(beyond_alone, abs=tolerance)
    assert numbers["social gain"]["fraction of the experts' return"].value == pytest.approx(gain, abs=tolerance)


def test_partners_do_what_they_are_called(card):
    episodes = card.episodes
    num_goals = GUIDED.world("three goals").task.num_goals

    def steps_between(condition, agent=1):
        """Differences of successive entries in the hidden order, modulo the number of goals."""
        entry = episodes[condition].entry[:, :, agent]
        return np.concatenate([np.diff(goals[goals >= 0]) % num_goals for goals in entry.T])

    assert set(steps_between("with experts")) == {1}
    assert set(steps_between("other order")) == {num_goals - 1}
    misled = episodes["anti-expert"]
    assert (misled.reward[:, :, 1].clip(0).sum(0) == 1).all()  # its first goal, whichever it is
    assert (misled.reward[:, :, 1] < 0).sum(0).min() >= 3
    assert 0 not in steps_between("anti-expert")
    assert not episodes["one expert"].agent_mask[:, :, 2].any()
    movers = episodes["random movers"]
    assert (movers.reward[:, :, 1:] > 0).sum() < (episodes["with experts"].reward[:, :, 1:] > 0).sum() / 3


def test_experts_leave_halfway(card):
    mask = card.episodes["experts leave"].agent_mask[:, :, 1]
    half = GUIDED.world("three goals").task.max_steps // 2
    assert mask[:half].all()
    assert not mask[half:].any()
    assert not card.episodes["alone"].agent_mask[:, :, 1:].any()


def test_partners_do_not_depend_on_the_agent(card):
    one, other = card.episodes["good and bad"], played("independent", ("good and bad",))["good and bad"]
    np.testing.assert_array_equal(one.entry[:, :, 1:], other.entry[:, :, 1:])
    assert (one.entry[:, :, 0] != other.entry[:, :, 0]).any()


def test_an_agent_that_ignores_the_partners_is_near_them_by_chance_alone(card):
    numbers = card.numbers["whom it follows"]
    assert numbers["time nearer to the better one"] == numbers["nearer to the better one, by chance"]
    assert 0 < numbers["time nearer to the better one"].value < 1


def test_a_card_is_complete(card, tmp_path):
    assert {probe: list(numbers) for probe, numbers in card.numbers.items()} == {
        probe: list(definition.numbers) for probe, definition in PROBES.items()
    }
    assert set(PICTURES) == set(PROBES)
    text = make_scorecard_page(card).html()
    assert text.count("<svg role") == len(PROBES)
    assert text.count('id="replay1"') == 1
    for definition in PROBES.values():
        assert definition.question.replace("'", "&#39;") in text
    data = json.loads(card.write_json(tmp_path / "card.json").read_text())
    assert data["headline"] == {"name": "cultural transmission", **card.headline.to_dict()}
    assert data["returns"]["alone"][0] == 0


def test_the_headline_of_a_page_has_only_what_is_known():
    nan = float("nan")
    assert _headline_text(Interval(0.5, 0.25, 0.75)) == "0.50 [0.25, 0.75]"
    assert _headline_text(Interval(0.5, nan, nan)) == "0.50"
    assert _headline_text(Interval(nan, nan, nan)).startswith("undefined: ")


class NeedsGrad:
    """As an array of torch that requires its gradient."""

    def __array__(self, *_, **__):
        raise RuntimeError("call detach first")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapter(ScoredAgent):
    """Of one's own: returns the same in every step."""

    name: str = "mine"
    kind: str = "test"
    observation_type: str = "symbolic"  # type: ignore[assignment]
    actions: Any

    def player(self, env, num_episodes, key):
        return lambda *_: self.actions


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        (
            np.full(TINY.num_episodes, 2.9),
            r"returned the action float64\[48\]; it must be whole numbers of shape \(48,\)",
        ),
        (np.full(TINY.num_episodes, 99), r"returned the action int64\[48\]; .* from 0 to 6"),
        (jnp.zeros((TINY.num_episodes, 1), jnp.int32), r"returned the action int32\[48, 1\]"),
        (jnp.full(TINY.num_episodes, 256), r"returned the action int32\[48\]; .* from 0 to 6"),
        (2, "returned the action 2; it must be whole numbers of shape"),
        (None, "returned the action None"),
        ([[1], [2, 3]], "returned an action that is not an array of numbers: ValueError: .*it must be whole numbers"),
        (
            NeedsGrad(),
            "returned an action that is not an array of numbers: RuntimeError: call detach first; it must be whole",
        ),
    ],
)
def test_what_an_adapter_returns_is_checked(actions, message):
    with pytest.raises(IncompatibleError, match=f"^mine {message}"):
        score(Adapter(actions=actions), TINY)


def test_an_adapter_whose_player_returns_nothing_is_named(monkeypatch):
    monkeypatch.setattr(Adapter, "player", lambda *_: None)
    with pytest.raises(ConfigError, match=r"^mine: player\(\)=None must be a function that returns actions"):
        score(Adapter(actions=None), TINY)


class TestFunctions:
    """Functions of an observation, one step at a time."""

    def test_a_batch_gives_what_single_calls_give(self, monkeypatch, tmp_path):
        (tmp_path / "outsider.py").write_text(
            "import numpy as np\n"
            "def act(observation, state, is_first):\n"
            "    t = 0 if is_first else state\n"
            "    assert (state is None) == is_first\n"
            "    return (2, 2, 0)[(t + int(observation[..., 2].sum()) // 255) % 3], t + 1\n"
            "def act_on_all(observation, state, is_first):\n"
            "    t = 0 if is_first.all() else state\n"
            "    goals = observation[..., 2].sum((1, 2), dtype=int) // 255\n"
            "    return np.array([2, 2, 0])[(t + goals) % 3], t + 1\n"
            "act.observation_type = act_on_all.observation_type = 'symbolic'\n"
            "act_on_all.batched = True\n"
        )
        monkeypatch.chdir(tmp_path)
        monkeypatch.syspath_prepend(tmp_path)
        agents = [load_scored_agent(f"outsider:{name}") for name in ("act", "act_on_all")]
        single, batched = (play_condition(TINY, TINY.conditions[1], agent, {}) for agent in agents)
        assert agents[0].sha256 == agents[1].sha256
        np.testing.assert_array_equal(single.entry, batched.entry)
        assert (single.reward[:, :, 0] != 0).any()

    @pytest.mark.parametrize("batched", [False, True])
    def test_a_function_may_write_into_its_observation(self, batched):
        def act(observation, state, is_first):
            observation[..., 0] = 255
            return np.full(np.shape(is_first), STAY), None

        agent = FunctionAgent(name="act", kind="function", observation_type="symbolic", function=act, batched=batched)
        shown = jnp.zeros((2, 7, 7, 8), jnp.uint8)
        actions = agent.player(None, 2, None)(shown, None, 0)
        np.testing.assert_array_equal(actions, [STAY, STAY])
        assert not shown.any()

    def test_the_agent_sees_the_colors_of_the_condition(self):
        """Blue is what a partner earned; frozen colors stay red."""
        blues, episodes = {}, {}

        def see_blue(observation, state, is_first):
            """Keep the largest prestige among the other agents in view, and stand still."""
            others = observation[..., 3:7].any(-1)
            others[:, 5, 3] = False  # its own cell
            seen.append((observation[..., 7] * others).max((1, 2)))
            return np.full(len(observation), STAY), None

        agent = FunctionAgent(
            name="see_blue", kind="function", observation_type="symbolic", function=see_blue, batched=True
        )
        for condition in TINY.conditions:
            if condition.name in ("good and bad", "swapped", "frozen", "shuffled", "other order", "other order, blue"):
                seen: list = []
                episodes[condition.name] = play_condition(TINY, condition, agent, episodes)
                blues[condition.name] = np.array(seen)
        assert blues["good and bad"].max() > 100
        assert blues["frozen"].max() == 0
        assert blues["other order"].max() < blues["other order, blue"].max()
        assert (blues["swapped"] != blues["good and bad"]).any()
        assert (blues["shuffled"] != blues["good and bad"]).any()
        for name in ("swapped", "frozen", "shuffled"):  # only colors change
            np.testing.assert_array_equal(episodes[name].entry[:, :, 1:], episodes["good and bad"].entry[:, :, 1:])

    @pytest.mark.parametrize("batched", [False, True])
    def test_nothing_may_be_kept_outside_the_state(self, batched):
        """Such a function could replay what paid alone, in the next condition of the same worlds."""
        calls, num_calls = [], TASK.max_steps * (1 if batched else TINY.num_episodes)

        def count_calls(observation, state, is_first):
            calls.append(1)
            return np.full(np.shape(is_first), 2 if len(calls) > num_calls else 0), None

        agent = FunctionAgent(
            name="count_calls", kind="function", observation_type="symbolic", function=count_calls, batched=batched
        )
        protocol = dataclasses.replace(TINY, conditions=TINY.conditions[:1])
        with pytest.raises(IncompatibleError, match=r"^count_calls played 'alone' in another way at the end"):
            score(agent, protocol)

    @pytest.mark.parametrize(
        ("result", "message"),
        [
            (3, "returned int; it must return a pair"),
            ((7, None), "returned the action 7; it must be one whole number from 0 to 6"),
            ((0.5, None), "returned the action 0.5"),
            ((np.array([1, 2]), None), r"returned the action int64\[2\]"),
            (([[1], [2, 3]], None), "returned an action that is not an array of numbers: ValueError"),
            ((NeedsGrad(), None), "not an array of numbers: RuntimeError: call detach first; it must be one whole"),
        ],
    )
    def test_wrong_results_are_named(self, result, message):
        agent = FunctionAgent(name="wrong", kind="function", observation_type="symbolic", function=lambda *_: result)
        with pytest.raises(IncompatibleError, match=message):
            score(agent, TINY)

    def test_a_function_that_fails_is_named_with_the_line(self):
        agent = load_scored_agent("json:loads", "symbolic")
        message = (
            r"json:loads, called with \(observation uint8\[7, 7, 8\], state, is_first\), failed: TypeError: .*line"
        )
        with pytest.raises(IncompatibleError, match=message):
            score(agent, TINY)

    def test_a_module_that_fails_is_named_with_the_line(self, tmp_path, monkeypatch):
        (tmp_path / "broken_agent.py").write_text("import json\nnumber = 1 / 0\n")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(ConfigError, match=r"importing broken_agent failed: ZeroDivisionError: .*agent\.py, line 2"):
            load_scored_agent("broken_agent:act")


def test_the_command_writes_a_card_a_page_and_a_table(monkeypatch, tmp_path, capsys):
    from rookery.cli import main

    monkeypatch.setitem(PROTOCOLS, "tiny", TINY)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- scorecards: tiny -->\nold\n<!-- end -->\nafter\n")
    arguments = ["score", "tests.scorecard.tiny:follow_blue", "--protocol", "tiny", "--out", str(tmp_path)]
    assert main([*arguments, "--table", str(page)]) == 0
    assert "cultural transmission" in capsys.readouterr().out
    assert main([*arguments, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert [Path(file).suffix for file in again.pop("files")] == [".json", ".html"]
    files = sorted(path.name for path in (tmp_path / "tiny").iterdir())
    assert files == ["tests.scorecard.tiny-follow_blue.html", "tests.scorecard.tiny-follow_blue.json"]
    text = page.read_text()
    assert text.startswith("before\n<!-- scorecards: tiny -->\n| agent | CT |")
    assert "\n| tests.scorecard.tiny:follow_blue | 1.57 [1.35, 1.81] |" in text
    assert "old" not in text
    assert text.endswith("<!-- end -->\nafter\n")
    with pytest.raises(ConfigError, match="has no lines"):
        write_scorecard_table(tmp_path / "tiny" / files[0], tmp_path / "tiny", "tiny")
    card = tmp_path / "tiny" / files[1]
    data = json.loads(card.read_text())
    assert data == again  # the same agent scores the same to the last digit
    assert flat(data["probes"]) == pytest.approx(flat(golden_probes()), rel=1e-6, abs=1e-9)
    card.write_text(json.dumps({**data, "protocol_sha256": "0"}))
    with pytest.raises(IncompatibleError, match="another version of tiny"):
        read_scorecard(card)
    card.write_text("{}")
    with pytest.raises(CorruptFileError, match="is not a scorecard"):
        read_scorecard(card)


def flat(probes):
    """(probe, number, value or bound) to the number."""
    return {
        (probe, name, bound): value
        for probe, numbers in probes.items()
        for name, interval in numbers.items()
        for bound, value in interval.items()
    }


def stand_still(observation, state, is_first):
    """Needs no state."""
    return np.full(len(observation), STAY), None


stand_still.batched, stand_still.observation_type = True, "symbolic"


@pytest.mark.parametrize(
    ("agent", "error", "message"),
    [
        ("goal-cycle-demo-novic", NotFoundError, "goal-cycle-demo-novice"),
        ("no_such_module:act", NotFoundError, "no module 'no_such_module'"),
        (":act", NotFoundError, "no module ''"),
        (".tests:act", NotFoundError, "no module '.tests'"),
        ("tests.scorecard.test_card:stand_stil", NotFoundError, "did you mean 'stand_still'"),
        ("tests.scorecard.test_card:GUIDED", ConfigError, "is not a function but Protocol"),
        ("tests.scorecard.test_card:such", NotFoundError, r"test_card \(.*test_card\.py\) has no 'such'"),
        ("no/such.onnx", NotFoundError, "no file no/such.onnx"),
        ("./ags.py:act", NotFoundError, r"'./ags.py' is a path, .*; write ags:act, in the folder of ags\.py"),
        ("/abs/ags:", NotFoundError, r"'/abs/ags' is a path, .*; write ags:act, in the folder of ags\.py"),
    ],
)
def test_agents_that_do_not_exist(agent, error, message):
    with pytest.raises(error, match=message):
        score(agent, TINY)


def test_a_module_that_is_named_by_its_path_does_not_run(tmp_path, monkeypatch):
    (tmp_path / "ags.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    for source in ("ags.py:act", "ags.py:", "ags.py"):
        with pytest.raises(NotFoundError, match=r"'ags.py' is a path, .*; write ags:act, in the folder of ags\.py"):
            load_scored_agent(source)


class Unreadable:
    """Says nothing of itself without an error."""

    def __call__(self, *_): ...

    def __getattr__(self, name):
        raise ValueError(name)


unreadable = Unreadable()


@pytest.mark.parametrize(
    ("attribute", "value", "message"),
    [
        ("files", 5, "files=5 must be a tuple of paths"),
        ("files", None, "files=None must be a tuple of paths"),
        ("files", iter(["a.npz"]), "files=.* must be a tuple of paths"),
        ("observation_type", None, "observation_type=None is not known; allowed: pixels, symbolic"),
        ("observation_type", ["pixels"], r"observation_type=\['pixels'\] is not known; allowed: pixels, symbolic"),
        ("batched", np.array([True, True]), r"batched=array\(.* must be True or False"),
        ("batched", "yes", "batched='yes' must be True or False"),
    ],
)
def test_attributes_that_say_nothing_are_named(attribute, value, message, monkeypatch):
    monkeypatch.setattr(stand_still, attribute, value, raising=False)
    with pytest.raises(ConfigError, match=f"^tests.scorecard.test_card:stand_still: {message}"):
        load_scored_agent("tests.scorecard.test_card:stand_still")


def test_attributes_that_cannot_be_read_are_named():
    message = (
        "^tests.scorecard.test_card:unreadable: its attribute '.*' cannot be read: ValueError: .*test_card.py, line"
    )
    with pytest.raises(ConfigError, match=message):
        load_scored_agent("tests.scorecard.test_card:unreadable")


def test_a_missing_library_is_named(tmp_path, monkeypatch):
    (tmp_path / "model.onnx").write_bytes(b"")
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingPackageError, match=r"which is not installed; \S+ -m pip install onnxruntime"):
        score(str(tmp_path / "model.onnx"), TINY)


def test_unknown_names():
    with pytest.raises(NotFoundError, match="did you mean 'social-v1'"):
        score("random", "social-v2")
    with pytest.raises(ConfigError, match="observation='pixel' is not known; did you mean 'pixels'"):
        score("tests.scorecard.test_card:stand_still", TINY, "pixel")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"observation=\['pixels'\] is not known; allowed: pixels, symbolic"):
        score("tests.scorecard.test_card:stand_still", TINY, ["pixels"])  # type: ignore[arg-type]


def test_a_trained_agent_observes_what_it_was_trained_with():
    message = "trained with observation='symbolic' and cannot observe 'pixels'"
    with pytest.raises(IncompatibleError, match=message):
        load_scored_agent("goal-cycle-demo-novice", "pixels")
    assert load_scored_agent("goal-cycle-demo-novice", "symbolic").observation_type == "symbolic"


class TestFilesOfAFunction:
    """The digest of a card covers what a function says that it reads."""

    @pytest.fixture
    def digest(self, tmp_path, monkeypatch):
        monkeypatch.syspath_prepend(tmp_path)
        (tmp_path / "reads_files.py").write_text("""
import functools
import numpy as np
from a_library import library_decorator
def act(*_): ...
def plain(*_): ...
act.files = ('a.npz',)
bound = functools.partial(plain, 1)
class Agent:
    files = ('a.npz',)
    def __call__(self, *_): ...
instance = Agent()
@np.errstate(all='ignore')
def decorated(*_): ...
decorated.files = ('a.npz',)
@library_decorator
def hidden(*_): ...
""")
        (tmp_path / "a_library.py").write_text("def library_decorator(f): return lambda *arguments: f(*arguments)")
        (tmp_path / "a.npz").write_bytes(b"1")
        yield lambda name="act": load_scored_agent(f"reads_files:{name}").sha256
        for module in ("reads_files", "a_library"):
            __import__("sys").modules.pop(module, None)

    def test_other_weights_are_another_agent(self, digest, tmp_path):
        before, without = digest(), digest("plain")
        assert before != without == hashlib.sha256((tmp_path / "reads_files.py").read_bytes()).hexdigest()
        (tmp_path / "a.npz").write_bytes(b"2")
        assert digest() != before
        assert digest("plain") == digest("bound") == without
        assert digest("instance") == digest() == digest("decorated")
        assert digest("hidden") == without

    def test_a_file_that_is_missing_is_named(self, digest, tmp_path):
        (tmp_path / "a.npz").unlink()
        with pytest.raises(NotFoundError, match=r"reads_files:act names the file a\.npz, which is not in"):
            digest()

    def test_one_path_is_no_tuple(self, digest):
        load_function("reads_files:act").files = "a.npz"
        with pytest.raises(ConfigError, match="must be a tuple of paths"):
            digest()
