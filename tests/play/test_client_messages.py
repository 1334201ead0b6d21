import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.errors import ConfigError
from rookery.play.client_messages import MAX_MESSAGE_BYTES, MESSAGE_TYPES, ClientMessage, parse_message

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"press": "forward"}', ClientMessage("press", "forward")),
        ('{"hold": null}', ClientMessage("hold", None)),
        ('{"hold": "left"}', ClientMessage("hold", "left")),
        ('{"sit": 2}', ClientMessage("sit", 2)),
        ('{"sit": null}', ClientMessage("sit", None)),
        (b'{"pause": true}', ClientMessage("pause", True)),
        ('{"restart": true}', ClientMessage("restart", True)),
    ],
)
def test_messages(text, message):
    assert parse_message(text) == message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must be JSON"),
        ("forward", "must be JSON"),
        ("\ud800", "must be JSON"),
        (b'{"press": "\xff"}', "must be JSON"),
        ("[" * MAX_MESSAGE_BYTES, "must be JSON"),
        ("[]", "an object with one key, one of press, hold, sit, pause, restart"),
        ("{}", "an object with one key"),
        ('{"press": "left", "hold": "left"}', "an object with one key"),
        ('{"eval": "1"}', "unknown message 'eval'; allowed: press"),
        ('{"press": 1}', "'press' takes text"),
        ('{"press": null}', "'press' takes text"),
        ('{"sit": true}', "'sit' takes a whole number or null"),
        ('{"sit": 1.0}', "'sit' takes a whole number or null"),
        ('{"sit": NaN}', "'sit' takes a whole number or null"),
        ('{"pause": 1}', "'pause' takes true or false"),
        ('{"press": "%s"}' % ("a" * MAX_MESSAGE_BYTES), f"at most {MAX_MESSAGE_BYTES} bytes, this one"),
    ],
)
def test_invalid_messages_are_explained(text, says):
    with pytest.raises(ConfigError, match=says.replace("[", r"\[")):
        parse_message(text)


@given(st.binary(max_size=MAX_MESSAGE_BYTES + 50) | st.text(max_size=MAX_MESSAGE_BYTES + 50) | JSON.map(json.dumps))
def test_whatever_comes_it_is_a_message_or_an_error(content):
    try:
        message = parse_message(content)
    except ConfigError:
        return
    assert type(message.value) in MESSAGE_TYPES[message.kind]


@given(st.sampled_from(list(MESSAGE_TYPES)), JSON)
def test_values_are_of_the_right_type_exactly(kind, value):
    text = json.dumps({kind: value})
    fits = type(value) in MESSAGE_TYPES[kind] and len(text) <= MAX_MESSAGE_BYTES
    try:
        assert parse_message(text) == ClientMessage(kind, value)
        assert fits
    except ConfigError:
        assert not fits or (isinstance(value, float) and not math.isfinite(value))
