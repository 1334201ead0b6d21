import dataclasses
import json
import math
import re
from typing import Annotated, Any, Literal, Optional

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.errors import ConfigError, CorruptFileError, NotFoundError, RookeryError, StorageError
from rookery.storage.serialization import apply_overrides, check_field_types, from_dict, load_json, to_dict


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linear:
    kind: Literal["linear"] = "linear"
    start: float = 1.0
    end: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Steps:
    kind: Literal["steps"] = "steps"
    at: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PPO:
    kind: Literal["ppo"] = "ppo"
    learning_rate: float = 1e-4
    num_minibatches: int = 20
    penalty: float | Linear | Steps = 0.0

    def __post_init__(self):
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate={self.learning_rate} must be\nabove 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class DQN:
    kind: Literal["dqn", "double-dqn"] = "dqn"
    replay: int = 1000
    epsilon: Linear = Linear(start=0.5)


@dataclasses.dataclass(frozen=True)
class Group:
    name: str
    slots: tuple[int, ...] = (0,)
    learner: PPO | DQN | None = None


@dataclasses.dataclass(frozen=True)
class Config:
    team: tuple[Group, ...]
    seeds: int = 5
    device: Literal["cpu", "gpu", 1] = "cpu"
    debug: bool = False
    note: str | None = None
    size: tuple[int, float] = (13, 1.5)
    params: dict[str, float] = dataclasses.field(default_factory=dict)
    number: Annotated[float | int, "either"] = 0
    limits: Optional[tuple[Linear, ...]] = None  # noqa: UP045 (both spellings are known)
    derived: int = dataclasses.field(init=False, default=3)


CONFIG = Config(team=(Group("novice", (0,), PPO()), Group("expert", (1, 2))))

numbers = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(max_size=8)
linears = st.builds(Linear, start=numbers, end=numbers)
schedules = numbers | linears | st.builds(Steps, at=st.lists(st.integers()).map(tuple))
learners = st.builds(PPO, learning_rate=st.floats(1e-9, 1e9), num_minibatches=st.integers(), penalty=schedules)
learners |= st.builds(DQN, kind=st.sampled_from(["dqn", "double-dqn"]), replay=st.integers(), epsilon=linears)
groups = st.builds(Group, words, st.lists(st.integers(), max_size=3).map(tuple), st.none() | learners)
configs = st.builds(
    Config,
    team=st.lists(groups, max_size=3).map(tuple),
    seeds=st.integers(),
    device=st.sampled_from(["cpu", "gpu", 1]),
    debug=st.booleans(),
    note=st.none() | words,
    size=st.tuples(st.integers(), numbers),
    params=st.dictionaries(words, numbers, max_size=3),
    number=st.integers() | numbers,
    limits=st.none() | st.lists(linears, max_size=2).map(tuple),
)


def refusal(call) -> str:
    """The message of the ConfigError that `call` raises, or nothing."""
    try:
        call()
    except ConfigError as error:
        return str(error)
    return ""


values: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(configs)
def test_round_trip(config):
    back = from_dict(Config, json.loads(json.dumps(to_dict(config), allow_nan=False)))
    assert back == config
    assert type(back.number) is type(config.number)
    assert repr(back) == repr(config)


@settings(max_examples=150, deadline=None)
@given(values)
def test_anything_at_all_is_read_or_refused_in_one_line(data):
    for hint in (
        Config,
        Group,
        PPO,
        tuple[int, ...],
        dict[str, bool],
        PPO | DQN,
        float | Linear | Steps | None,
    ):
        message = refusal(lambda hint=hint: from_dict(hint, data))
        assert message.startswith("config") or not message
        assert "\n" not in message


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["seeds", "team", "team.0.learner", "note", "params.x", "size.1", "number", "limits"]),
    words,
)
def test_any_override_is_taken_or_refused_in_one_line(key, value):
    assert "\n" not in refusal(lambda: apply_overrides(CONFIG, [f"{key}={value}"]))


def good(**changes):
    return {"team": [{"name": "n", "learner": {"kind": "ppo"}}]} | changes


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "config is []; it must be an object (Config)"),
        ({}, "config lacks 'team', which must be given; add it"),
        (
            good(seed=1),
            "config.seed is not known; did you mean 'seeds'? allowed: team, seeds, device, debug, ",
        ),
        (good(zzz=1), "config.zzz is not known; allowed: team, seeds,"),
        (good(derived=1), "config.derived is not known; "),
        (good(**{"a\nb": 1}), "config.'a\\nb' is not known; "),
        (good(params={"a\nb": "x"}), "config.params.'a\\nb' is \"x\"; "),
        (good(seeds="5"), 'config.seeds is "5"; it must be a whole number'),
        (good(seeds=True), "config.seeds is true; it must be a whole number"),
        (good(seeds=1.0), "config.seeds is 1.0; it must be a whole number"),
        (good(debug=1), "config.debug is 1; it must be true or false"),
        (good(device="tpu"), 'config.device is "tpu"; it must be one of "cpu", "gpu", 1'),
        (good(device=True), 'config.device is true; it must be one of "cpu", "gpu", 1'),
        (good(note=1), "config.note is 1; it must be a string or null"),
        (good(note="\ud800"), 'config.note is "\\ud800"; it must be a string or null'),
        (
            good(size=[1]),
            "config.size has 1 elements; it must be a list of 2: a whole number, a finite number",
        ),
        (good(size=[1, math.nan]), "config.size.1 is NaN; it must be a finite number"),
        (good(size=[1, 10**400]), "config.size.1 is 1000000000"),
        (good(params={"x": "y"}), 'config.params.x is "y"; it must be a finite number'),
        (good(params=[]), "config.params is []; it must be an object, each value a finite number"),
        (good(team={}), "config.team is {}; it must be a list, each element an object (Group)"),
        (good(team=["x"]), 'config.team.0 is "x"; it must be an object (Group)'),
        (good(team=[{}]), "config.team.0 lacks 'name', which must be given; add it"),
        (good(limits=[{"kind": "lin"}]), 'config.limits.0.kind is "lin"; it must be "linear"'),
        (good(number="x"), 'config.number is "x"; it must be a finite number or a whole number'),
    ],
)
def test_refusals_say_where_what_and_what_else(data, message):
    with pytest.raises(ConfigError) as caught:
        from_dict(Config, data)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("learner", "message"),
    [
        (
            {"kind": "ppo", "lerning_rate": 1},
            "config.team.0.learner.lerning_rate is not known; did you mean 'learning_rate'? "
            "allowed: kind, learning_rate, num_minibatches, penalty",
        ),
        (
            {"kind": "pppo"},
            "config.team.0.learner.kind \"pppo\" is not known; did you mean 'ppo'? allowed: ppo, ",
        ),
        ({"kind": 3}, "config.team.0.learner.kind 3 is not known; allowed: ppo, dqn, double-dqn"),
        (
            {},
            "config.team.0.learner lacks 'kind', which tells what it is; allowed: ppo, dqn, double-dqn",
        ),
        ({"kind": "ppo", "learning_rate": 0}, "config.team.0.learner: learning_rate=0.0 must be above 0"),
        ({"kind": "ppo", "penalty": {"kind": "steps"}}, "config.team.0.learner.penalty lacks 'at'"),
        (
            {"kind": "ppo", "penalty": {"kind": "steps", "at": [1, "x"]}},
            'config.team.0.learner.penalty.at.1 is "x"',
        ),
        (5, "config.team.0.learner is 5; it must be an object (PPO) or an object (DQN) or null"),
    ],
)
def test_refusals_inside_a_union(learner, message):
    with pytest.raises(ConfigError) as caught:
        from_dict(Config, {"team": [{"name": "n", "learner": learner}]})
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "config",
    [
        Config(team=[Group("n")]),
        Config(team=(), seeds=np.array(3)),
        Config(team=(), size=(1, math.inf)),
        Config(team=(), seeds="5"),
        Config(team=(Group("n", learner=Linear()),)),
    ],
)
def test_a_config_that_would_not_read_back_is_not_written(config):
    with pytest.raises(ConfigError, match=r"^config\."):
        to_dict(config)


def test_numbers_of_numpy_are_written_as_plain_ones():
    """A setting that a program computed with numpy is the same setting."""
    data = to_dict(Config(team=(), seeds=np.int64(3), size=(np.int32(1), np.float32(0.5))))
    assert (type(data["seeds"]), data["seeds"]) == (int, 3)
    assert [(type(x), x) for x in data["size"]] == [(int, 1), (float, 0.5)]


def test_a_value_nested_too_deeply_is_refused():
    deep: list = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ConfigError, match=r"^config\.seeds is nested too deeply; it must be a whole number"):
        from_dict(Config, {"team": [], "seeds": deep})
    with pytest.raises(ConfigError, match=r"^config\.seeds is "):
        apply_overrides(CONFIG, ["seeds=" + "[" * 980 + "]" * 980])


@dataclasses.dataclass(frozen=True)
class Unresolved:
    """As with an import for type checkers alone."""

    kind: Literal["unresolved"] = "unresolved"
    path: "NoSuchName | None" = None  # noqa: F821


def test_a_field_of_an_unknown_type_spoils_no_other_class():
    assert from_dict(Unresolved | Linear, {"kind": "linear", "start": 1.0, "end": 2.0}) == Linear(end=2.0)
    with pytest.raises(ConfigError, match=r"^Unresolved\.path: the annotation 'NoSuchName | None' cannot be resolved"):
        check_field_types(Unresolved)
    check_field_types(Config)


@pytest.mark.parametrize(
    ("hint", "named"),
    [
        (dict, "dict"),
        (tuple, "tuple"),
        (list[int], "list[int]"),
        (Any, "Any"),
        (dict[int, float], "dict[int, float]"),
        (tuple[set, ...], "set"),
        (dict[str, complex] | None, "complex"),
        (np.float32, "float32"),
    ],
    ids=str,
)
def test_a_field_that_json_cannot_hold_is_refused(hint, named):
    message = rf"^Mine\.x: a field of type {re.escape(named)} cannot be kept in JSON; allowed: bool, int, "
    inner = dataclasses.make_dataclass("Mine", [("x", hint)])
    with pytest.raises(ConfigError, match=message):
        check_field_types(inner)
    outer = dataclasses.make_dataclass("Outer", [("inners", tuple[inner, ...])])
    with pytest.raises(ConfigError, match=rf"^Outer\.inners: a field of type {re.escape(named)} cannot"):
        check_field_types(outer)


def test_a_class_of_code_without_a_module_is_resolved():
    namespace = {"__name__": "no_such_module", "dataclasses": dataclasses}
    exec("@dataclasses.dataclass\nclass Mine:\n    count: int = 1", namespace)
    check_field_types(namespace["Mine"])
    assert from_dict(namespace["Mine"], {"count": 2}).count == 2


@dataclasses.dataclass(frozen=True)
class Mapped:
    map: str | None = None
    text: str = ""


@dataclasses.dataclass(frozen=True)
class LinesOfItsOwn:
    map: str | tuple[str, ...]


def test_a_map_may_be_a_list_of_lines():
    lines = ["###", "#A#", "###"]
    map_of = {"list": from_dict(Mapped, {"map": lines}), "text": from_dict(Mapped, {"map": "###\n#A#\n###"})}
    map_of["override"] = apply_overrides(Mapped(), [f"map={json.dumps(lines)}"])
    assert {config.map for config in map_of.values()} == {"###\n#A#\n###"}
    assert from_dict(Mapped, {"map": None}) == apply_overrides(Mapped(), ["map=null"]) == Mapped()
    assert from_dict(LinesOfItsOwn, {"map": lines}).map == tuple(lines)
    with pytest.raises(ConfigError, match=r"config.map is .*; it must be a string or null or a list of lines$"):
        from_dict(Mapped, {"map": ["#", 1]})
    with pytest.raises(ConfigError, match=r"config.text is .*; it must be a string$"):
        from_dict(Mapped, {"text": lines})


def test_mistakes_in_the_program_are_no_config_errors():
    with pytest.raises(TypeError, match="cannot be kept in JSON"):
        from_dict(list[int], [1])
    with pytest.raises(TypeError, match="needs a field kind"):
        from_dict(Group | Linear, {"kind": "linear"})


# ------------------------------------------------------------------------------------------- overrides


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["seeds=7"], {"seeds": 7}),
        (["seeds=1e6"], {"seeds": 1_000_000}),
        (["seeds=+1"], {"seeds": 1}),
        (["seeds=1", "seeds=2"], {"seeds": 2}),
        (["debug=true"], {"debug": True}),
        (["debug=False"], {"debug": False}),
        (["device=gpu"], {"device": "gpu"}),
        (["device=1"], {"device": 1}),
        (["note=5"], {"note": "5"}),
        (["note=a=b c"], {"note": "a=b c"}),
        (['note="quoted"'], {"note": "quoted"}),
        (["note="], {"note": ""}),
        (["note=x", "note=null"], {"note": None}),
        (["size=[9, 2]"], {"size": (9, 2.0)}),
        (["size.1=.5"], {"size": (13, 0.5)}),
        (["params.goal=2"], {"params": {"goal": 2.0}}),
        (['params={"a": 1}', "params.b=2"], {"params": {"a": 1.0, "b": 2.0}}),
        (['limits=[{"start": 2}]', "limits.0.end=1"], {"limits": (Linear(start=2.0, end=1.0),)}),
        (["number=2.5"], {"number": 2.5}),
    ],
)
def test_overrides(overrides, expected):
    assert apply_overrides(CONFIG, overrides) == dataclasses.replace(CONFIG, **expected)


def test_overrides_inside_the_team():
    changed = apply_overrides(CONFIG, ["team.0.slots=[0,1]", "team.0.learner.learning_rate=1e-3", "team.1.name=tutor"])
    assert changed.team[0] == Group("novice", (0, 1), PPO(learning_rate=1e-3))
    assert changed.team[1] == Group("tutor", (1, 2))
    assert CONFIG.team[0].slots == (0,)


def test_another_kind_starts_from_its_defaults():
    changed = apply_overrides(
        CONFIG, ["team.0.learner.num_minibatches=3", "team.0.learner.kind=dqn", "team.0.learner.epsilon.end=0.1"]
    )
    assert changed.team[0].learner == DQN(epsilon=Linear(start=0.5, end=0.1))
    same = apply_overrides(CONFIG, ["team.0.learner.num_minibatches=3", "team.0.learner.kind=ppo"])
    assert same.team[0].learner == PPO(num_minibatches=3)
    required = ['team.0.learner.penalty={"kind": "linear"}', "team.0.learner.penalty.kind=steps"]
    with pytest.raises(ConfigError, match=r"penalty lacks 'at'"):
        apply_overrides(CONFIG, required)
    changed = apply_overrides(CONFIG, [*required, "team.0.learner.penalty.at=[1,2]"])
    assert changed.team[0].learner == PPO(penalty=Steps(at=(1, 2)))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seeds", "override 'seeds' is not key=value; write, say, learner.learning_rate=1e-3"),
        ("=5", "override '=5' is not key=value"),
        ("sedes=5", "config.sedes is not known; did you mean 'seeds'? allowed: team, seeds"),
        ("seeds=many", 'config.seeds is "many"; it must be a whole number'),
        ("seeds=1.5", "config.seeds is 1.5; it must be a whole number"),
        ("seeds=1_0", 'config.seeds is "1_0"; it must be a whole number'),
        ("seeds=٣", 'config.seeds is "\\u0663"; it must be a whole number'),
        ("size.1=1_0.5", 'config.size.1 is "1_0.5"; it must be a finite number'),
        ("seeds=nan", "config.seeds is NaN; it must be a whole number"),
        ("size.1=nan", "config.size.1 is NaN; it must be a finite number"),
        ("seeds.x=1", "config.seeds is 5 and has no 'x' inside; set seeds whole"),
        ("team.2.name=x", "config.team.2 is not known; allowed: 0 to 1"),
        ("team.-1.name=x", "config.team.-1 is not known; allowed: 0 to 1"),
        (f"team.{'9' * 5000}.name=x", f"config.team.{'9' * 57}... is not known; allowed: 0 to 1"),
        ("team.x.name=x", "config.team.x is not known; allowed: 0 to 1"),
        (
            "team.0.learner.kind=pppo",
            "config.team.0.learner.kind \"pppo\" is not known; did you mean 'ppo'? ",
        ),
        ("team.0.learner.rate=1", "config.team.0.learner.rate is not known; "),
        ("team.0.learner.learning_rate=-1", "config.team.0.learner: learning_rate=-1.0 must be above 0"),
        (
            "team.1.learner.num_minibatches=1",
            "config.team.1.learner is null and has no 'num_minibatches' inside; set team.1",
        ),
        ("limits.0.end=1", "config.limits is null and has no '0' inside; set limits whole"),
        ("params.a.b=1", "config.params.a is {} and has no 'b' inside"),
        ('team=[{"name": "a", "name": "b"}]', "config.team is "),
    ],
)
def test_overrides_refused(override, message):
    with pytest.raises(ConfigError) as caught:
        apply_overrides(CONFIG, [override])
    assert str(caught.value).startswith(message)


# ------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1,\n "b": }', "line 2 column 7: not JSON (Expecting value)"),
        (b"", "line 1 column 1: not JSON"),
        (b'{"a":\n  "\xff"}', "line 2 column 4: not UTF-8 text"),
        (b'{"a": 1, "a": 2}', "the key 'a' occurs twice"),
        (b'{"a": NaN}', "NaN is not a JSON number"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[" * 101 + b"]" * 101, "nested too deeply: at most 100"),
        (b'{"a": ' * 300 + b"1" + b"}" * 300, "nested too deeply: at most 100"),
        (b'{"a": 1e999}', "the number 1e999 is too large"),
        (rb'{"\ud800": 1}', r"half a character (\ud800)"),
        (b"1" * 5000, "is not JSON as this program reads it"),
    ],
)
@pytest.mark.parametrize("error", [ConfigError, CorruptFileError])
def test_malformed_files(tmp_path, content, message, error):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(RookeryError) as caught:
        load_json(path, error)
    assert type(caught.value) is error
    assert message in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files(tmp_path):
    (tmp_path / "config.json").write_bytes(b'\xef\xbb\xbf{"a": "\xc3\xa9"}')
    assert load_json(tmp_path / "config.json") == {"a": "é"}
    (tmp_path / "deep.json").write_bytes(b"[" * 100 + rb'"\ud83d\ude00"' + b"]" * 100)
    assert str(load_json(tmp_path / "deep.json")).strip("[]'") == "😀"
    with pytest.raises(NotFoundError, match="no file"):
        load_json(tmp_path / "absent.json")
    with pytest.raises(StorageError, match="folder"):
        load_json(tmp_path)
