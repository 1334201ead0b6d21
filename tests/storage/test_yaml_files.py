import json

import pytest

from rookery.errors import ConfigError, NotFoundError
from rookery.storage.yaml_files import load_config_data, load_yaml


@pytest.fixture
def load(tmp_path):
    def load(text):
        path = tmp_path / "config.yaml"
        path.write_text(text)
        return load_yaml(path)

    return load


def test_scalars_are_those_of_yaml_1_2(load):
    text = """
    number: 1e6
    also: [-.5, 1., 3, +4, 010, 0x10, 1_000]
    words: [yes, no, on, off, 2020-01-01, 12:30:45, =, 'true', "1"]
    flags: [true, False]
    nothing: [null, ~, ]
    empty:
    """
    data = load(text)
    assert data == {
        "number": 1e6,
        "also": [-0.5, 1.0, 3, 4, 10, "0x10", "1_000"],
        "words": ["yes", "no", "on", "off", "2020-01-01", "12:30:45", "=", "true", "1"],
        "flags": [True, False],
        "nothing": [None, None],
        "empty": None,
    }
    assert [type(value) for value in data["also"][:5]] == [float, float, int, int, int]


def test_json_is_yaml(load):
    data = {"a": [1, 2.5, None, True, "ü\n"], "b": {"c": {}}}
    assert load(json.dumps(data)) == data


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "line 2 column 1: .*the key 'a' is given twice"),
        ("a: &x [1]\nb: *x", "line 2 column 4: .*aliases are not allowed"),
        ("a: .nan", r"line 1 column 4: .*.nan is not allowed"),
        ("a: [1, -.inf]", r"line 1 column 8: .*-.inf is not allowed"),
        ("1: 2", "line 1 column 1: .*a key must be a text"),
        ("a: [", "line 1 column 5: "),
        ("a: !!python/object:os.system x", "line 1 column 4: .*the tag .* is not allowed; leave it out"),
        ("a: 1\n---\nb: 2", "line 2 column 1: "),
        ("a: !!float x", "line 1 column 4: .*the tag 'tag:yaml.org,2002:float' is not allowed"),
        ("a: 1\nb: !!bool foo", "line 2 column 4: .*the tag 'tag:yaml.org,2002:bool' is not allowed"),
        ("a: !!timestamp foo", "line 1 column 4: .*timestamp' is not allowed"),
        ("a: !!timestamp 2001-01-01", "line 1 column 4: .*timestamp' is not allowed"),
        ("a: !!set {b, c}", "line 1 column 4: .*set' is not allowed"),
        ("a: !!omap [b: 1]", "line 1 column 4: .*omap' is not allowed"),
        ("a: !!binary YQ==", "line 1 column 4: .*binary' is not allowed"),
        ("a: !!float nan", "line 1 column 4: .*float' is not allowed"),
        ("!!str a: 1", "line 1 column 1: .*str' is not allowed"),
        ("a: !mine 1", "line 1 column 4: .*'!mine' is not allowed"),
        ("a: ! 1", "line 1 column 4: .*'!' is not allowed"),
        ("a: [1, -1e999]", "line 1 column 8: .*the number -1e999 is too large"),
        ("a: " + "9" * 20, "line 1 column 4: .*the number 9{19}… has 20 digits"),
        ("a: " + "9" * 5000, "line 1 column 4: .*has 5000 digits"),
        (r'a: "\ud800"', r"a text holds half a character"),
        ("[" * 102 + "]" * 102, "nested too deeply: at most 100"),
        ("[" * 3000, "nested too deeply"),
        ("a: \x00", "not YAML as this program reads it"),
    ],
)
def test_what_json_cannot_say_is_refused_with_its_place(load, text, said):
    with pytest.raises(ConfigError, match=said) as caught:
        load(text)
    assert "config.yaml" in str(caught.value)


def test_files(tmp_path):
    with pytest.raises(NotFoundError, match="there is no file"):
        load_config_data(tmp_path / "absent.yml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    with pytest.raises(ConfigError, match="not UTF-8 text"):
        load_config_data(tmp_path / "latin.yaml")
    (tmp_path / "a.json").write_text('{"a": 1}')
    assert load_config_data(tmp_path / "a.json") == {"a": 1}
