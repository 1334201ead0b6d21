import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import ConfigError
from rookery.play.messages import KINDS, LIMIT, Message, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"press": "forward"}', Message("press", "forward")),
        ('{"hold": null}', Message("hold", None)),
        ('{"hold": "left"}', Message("hold", "left")),
        ('{"sit": 2}', Message("sit", 2)),
        ('{"sit": null}', Message("sit", None)),
        (b'{"pause": true}', Message("pause", True)),
        ('{"restart": true}', Message("restart", True)),
    ],
)
def test_messages(text, message):
    assert parse(text) == message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be JSON"),
        ("forward", "must be JSON"),
        ("\ud800", "must be JSON"),
        (b'{"press": "\xff"}', "must be JSON"),
        ("[" * LIMIT, "must be JSON"),
        ("[]", "an object with one key, one of press, hold, sit, pause, restart"),
        ("{}", "an object with one key"),
        ('{"press": "left", "hold": "left"}', "an object with one key"),
        ('{"eval": "1"}', "no message 'eval'; there are: press"),
        ('{"press": 1}', "'press' takes text"),
        ('{"press": null}', "'press' takes text"),
        ('{"sit": true}', "'sit' takes a whole number or null"),
        ('{"sit": 1.0}', "'sit' takes a whole number or null"),
        ('{"sit": NaN}', "'sit' takes a whole number or null"),
        ('{"pause": 1}', "'pause' takes true or false"),
        ('{"press": "%s"}' % ("a" * LIMIT), f"at most {LIMIT} bytes, this one"),
    ],
)
def test_what_is_no_message_is_told_why(text, says):
    with pytest.raises(ConfigError, match=says.replace("[", r"\[")):
        parse(text)


@given(st.binary(max_size=LIMIT + 50) | st.text(max_size=LIMIT + 50) | JSON.map(json.dumps))
def test_whatever_comes_it_is_a_message_or_an_error(content):
    try:
        message = parse(content)
    except ConfigError:
        return
    assert type(message.value) in KINDS[message.kind]


@given(st.sampled_from(list(KINDS)), JSON)
def test_values_are_of_the_right_type_exactly(kind, value):
    text = json.dumps({kind: value})
    fits = type(value) in KINDS[kind] and len(text) <= LIMIT
    try:
        assert parse(text) == Message(kind, value)
        assert fits
    except ConfigError:
        assert not fits or (isinstance(value, float) and not math.isfinite(value))
