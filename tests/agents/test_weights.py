import dataclasses
import errno
import hashlib
import json
import os
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rookery.agents.cards import seal_card
from rookery.agents.networks import MLPNetwork, NdousseNetwork
from rookery.agents.recurrent import RecurrentPolicy
from rookery.agents.weights import flatten_params, load_agent, read_card, save_agent, unflatten_params
from rookery.errors import CorruptFileError, IncompatibleError, NotFoundError, RookeryError, StorageError
from tests.tiny import assert_same, params, policy, save_novice


@pytest.fixture
def agent(tmp_path):
    return save_novice(tmp_path / "agent.safetensors", returns={"mean": 1.5}, title="écrit à la main")


def change(path, **values):
    """Rewrite parts of a card, as someone who wants to deceive would; None takes a part away."""
    card = path.with_suffix(".json")
    data = {key: value for key, value in json.loads(card.read_text()).items() if key not in values}
    data |= {key: value for key, value in values.items() if value is not None}
    card.write_text(json.dumps(data if "card_sha256" in values else seal_card(data)))


def rewrite(path, tensors):
    """Other weights, and a card with their SHA-256."""
    save_file(tensors, path)
    change(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def refusal(kind: type[RookeryError], path) -> str:
    with pytest.raises(kind) as caught:
        load_agent(path)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_round_trip(agent):
    back = load_agent(agent)
    # What an observation means is not part of a file: only losses go by it, and agents act.
    assert back.policy == dataclasses.replace(policy(), observation_type=None)
    assert_same(back.params, params())
    assert back.card["returns"] == {"mean": 1.5}
    assert back.card["title"] == "écrit à la main"
    assert back.card["sha256"] == hashlib.sha256(agent.read_bytes()).hexdigest()
    assert sorted(path.name for path in agent.parent.iterdir()) == ["agent.json", "agent.safetensors"]


def test_round_trip_of_the_published_network(tmp_path):
    published = RecurrentPolicy(NdousseNetwork(), (21, 21, 3), 7)
    weights = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), jax.eval_shape(published.init, jax.random.PRNGKey(0)))
    save_agent(tmp_path / "a.safetensors", published, weights, {})
    assert load_agent(tmp_path / "a.safetensors").policy == published


def test_a_loaded_agent_acts_as_the_saved_one(agent):
    back = load_agent(agent)
    obs = jax.random.randint(jax.random.PRNGKey(1), (16, 3, 3, 8), 0, 256).astype(jnp.uint8)
    act = jax.jit(policy().act)
    outputs = [
        act(p, policy().initial_carry(16), obs, jnp.ones(16, bool), jax.random.PRNGKey(2))
        for p in (params(), back.params)
    ]
    assert_same(*outputs)


def test_nested_names():
    nested = {"a": {"b": {"c": 1}, "d": 2}, "e": 3}
    assert flatten_params(nested) == {"a/b/c": 1, "a/d": 2, "e": 3}
    assert unflatten_params(flatten_params(nested)) == nested


def test_any_flipped_bit_is_found(agent):
    good, dice = agent.read_bytes(), random.Random(0)
    for _ in range(40):
        data = bytearray(good)
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        agent.write_bytes(data)
        assert "sha256 differs" in refusal(CorruptFileError, agent)


@pytest.mark.parametrize("size", [0, 7, 100, -1])
def test_truncated(agent, size):
    agent.write_bytes(agent.read_bytes()[:size])
    assert "sha256 differs" in refusal(CorruptFileError, agent)


def test_not_safetensors_though_the_card_has_its_sha256(agent):
    for content in (b"", b"\x80\x04K\x01.", b"{" * 1000):
        agent.write_bytes(content)
        change(agent, sha256=hashlib.sha256(content).hexdigest())
        assert "not a readable safetensors file" in refusal(CorruptFileError, agent)


def test_missing(agent, tmp_path):
    assert "no such card" in refusal(NotFoundError, tmp_path / "other.safetensors")
    agent.unlink()
    assert f"{agent}: no such agent" in refusal(NotFoundError, agent)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null", b"{}"])
def test_a_malformed_card(agent, content):
    agent.with_suffix(".json").write_bytes(content)
    message = refusal(CorruptFileError, agent)
    assert "not a readable card" in message or "the card lacks format, network" in message


@pytest.mark.parametrize("key", ["format", "network", "observation_shape", "num_actions", "sha256", "card_sha256"])
def test_a_card_that_lacks_something(agent, key):
    change(agent, **{key: None})
    assert f"the card lacks {key}" in refusal(CorruptFileError, agent)


@pytest.mark.parametrize(
    "values",
    [
        {"network": {"kind": "mlp", "depth": 3}},
        {"network": {"kind": "mlp", "encoder_size": "8"}},
        {"network": {"kind": "mlp", "encoder_size": 8.5}},
        {"network": {"kind": "mlp", "encoder_size": -8}},
        {"network": {"kind": "ndousse2021"}},  # it takes no 3×3×8
        {"network": "mlp"},
        {"network": 3},
        {"observation_shape": 3},
        {"observation_shape": "abc"},
        {"observation_shape": [3, 3, "8"]},
        {"observation_shape": [3, 3, 0]},
        {"num_actions": "3"},
        {"num_actions": 0},
        {"num_actions": True},
        {"num_actions": 10**18},
        {"observation_shape": [10**6, 10**6, 3]},
        {"observation_shape": [1] * 3000},
        {"network": {"kind": "mlp", "hidden_size": 2**31 - 1}},
    ],
    ids=str,
)
def test_a_card_that_describes_no_valid_policy(agent, values):
    change(agent, **values)
    assert "the card describes no" in refusal(CorruptFileError, agent)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"steps": "1e6"}, 'card.steps is "1e6"; it must be a whole number'),
        ({"steps": 1.5}, "card.steps is 1.5"),
        ({"minutes": [1]}, "card.minutes is [1]; it must be a finite number"),
        ({"training_stages": 5}, "card.training_stages is 5; it must be a list"),
        ({"training_stages": [5]}, "card.training_stages.0 is 5; it must be an object"),
        ({"machine": "fast"}, 'card.machine is "fast"'),
        ({"cloning": 1}, "card.cloning is 1"),
        ({"task": "goal-cycle"}, 'card.task is "goal-cycle"; it must be an object'),
        ({"task": 0}, "card.task is 0"),
        ({"partners": 3}, "card.partners is 3; it must be a string or null"),
        ({"seed": "x"}, 'card.seed is "x"'),
        ({"returns": 2}, "card.returns is 2"),
        ({"returns": {"mean": "high"}}, 'card.returns.mean is "high"'),
    ],
    ids=str,
)
def test_a_sealed_card_whose_entries_are_not_what_they_must_be(agent, values, said):
    change(agent, **values)
    message = refusal(CorruptFileError, agent)
    assert f"{agent.with_suffix('.json')}: damaged: {said}" in message


@pytest.mark.parametrize("name", ["task", "minutes", "steps"])
def test_a_sealed_card_with_null_for_an_entry(agent, name):
    card = json.loads(agent.with_suffix(".json").read_text()) | {name: None}
    agent.with_suffix(".json").write_text(json.dumps(seal_card(card)))
    assert f"card.{name} is null" in refusal(CorruptFileError, agent)


def test_a_network_that_is_not_registered(agent):
    change(agent, network={"kind": "mlpp"})
    message = refusal(IncompatibleError, agent)
    assert "no network 'mlpp'; did you mean 'mlp'? allowed: ndousse2021, mlp, jaques2019" in message
    assert "install the package" in message


def test_a_newer_format(agent):
    change(agent, format=2)
    assert "card format 2, this version reads 1" in refusal(IncompatibleError, agent)


def test_weights_of_another_network(agent):
    change(agent, network=dataclasses.asdict(MLPNetwork(encoder_size=4, hidden_size=4, head_size=5)))
    message = refusal(IncompatibleError, agent)
    assert "weight heads/policy1/bias is float32[4], the card's network needs float32[5]" in message
    change(agent, network=dataclasses.asdict(policy().network), num_actions=7)
    assert "weight heads/policy3/" in refusal(IncompatibleError, agent)


def test_weights_too_few_too_many_or_of_another_type(agent):
    tensors = load_file(agent)
    rewrite(agent, {**tensors, "more": np.zeros(1)})
    assert "weight more is float64[1], the card's network needs nothing" in refusal(IncompatibleError, agent)
    rewrite(agent, {name: x for name, x in tensors.items() if name != "memory/hidden_bias"})
    assert "weight memory/hidden_bias is nothing, the card's network needs float32[16]" in refusal(
        IncompatibleError, agent
    )
    rewrite(agent, {**tensors, "memory/hidden_bias": tensors["memory/hidden_bias"].astype(np.float16)})
    assert "is float16[16], the card's network needs float32[16]" in refusal(IncompatibleError, agent)


def test_a_card_that_is_not_json_writes_nothing(tmp_path):
    for card, error in (({"returns": float("nan")}, ValueError), ({"x": object()}, TypeError)):
        with pytest.raises(error):
            save_agent(tmp_path / "agent.safetensors", policy(), params(), card)
        assert list(tmp_path.iterdir()) == []


def test_a_disk_that_refuses(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        save_agent(tmp_path / "file" / "agent.safetensors", policy(), params(), {})


def test_a_card_that_cannot_be_written_leaves_the_older_agent(agent, monkeypatch):
    def full(descriptor, real=os.fsync):
        if ".json.tmp-" in os.readlink(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"agent\.json: the disk is full"):
        save_agent(agent, policy(), jax.tree.map(lambda x: x + 1, params()), {})
    assert_same(load_agent(agent).params, params())


def test_saving_again_replaces(agent):
    other = jax.tree.map(lambda x: x + 1, params())
    save_agent(agent, policy(), other, {})
    assert_same(load_agent(agent).params, other)
    assert "returns" not in read_card(agent.with_suffix(".json"))


def test_how_an_agent_chooses_is_kept(tmp_path):
    path = tmp_path / "agent.safetensors"
    greedy = dataclasses.replace(policy(), epsilon=0.05, observation_type=None)
    save_agent(path, greedy, params(), {})
    assert load_agent(path).policy == greedy
    save_agent(path, policy(), params(), {})
    assert "epsilon" not in read_card(path.with_suffix(".json"))
    for wrong in (1.5, "often", True):
        change(path, epsilon=wrong)
        assert "epsilon must lie in [0, 1]" in refusal(CorruptFileError, path)


def test_a_card_changed_by_hand(agent):
    """Every entry counts, not only those that the weights are checked against."""
    text = agent.with_suffix(".json").read_text()
    for old, new in (("1.5", "9.5"), ("écrit", "ecrit"), ('"slot": 0', '"slot": 1'), ('"penalty"', '"fine"')):
        agent.with_suffix(".json").write_text(text.replace(old, new))
        assert "damaged: the card is not as it was written" in refusal(CorruptFileError, agent)
    agent.with_suffix(".json").write_text(json.dumps(json.loads(text), sort_keys=True))  # laid out otherwise
    load_agent(agent)


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, '{"a": ' + "9" * 5000 + "}", '{"a": 1e999}', '{"a": NaN}', '{"a": 1, "a": 2}', " " * (1 << 21)],
    ids=["nested", "digits", "overflow", "nan", "twice", "long"],
)  # fmt: skip
def test_a_card_made_to_break_its_reader(agent, content):
    agent.with_suffix(".json").write_text(content)
    assert "damaged: not a readable card" in refusal(CorruptFileError, agent)


@pytest.mark.parametrize("name", ["a/" * 3000 + "a", "encoder", "encoder/dense1/kernel/more", "\x1b]0;owned\x07"])
def test_names_of_weights_made_to_break_their_reader(agent, name):
    rewrite(agent, {**load_file(agent), name: np.zeros(1, np.float32)})
    with pytest.raises((CorruptFileError, IncompatibleError)) as caught:
        load_agent(agent)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite(agent, value):
    tensors = load_file(agent)
    tensors["memory/hidden_bias"][3] = value
    rewrite(agent, tensors)
    assert "weight memory/hidden_bias holds NaN or infinity" in refusal(CorruptFileError, agent)
