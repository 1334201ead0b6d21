import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rookery.agents import zoo
from rookery.errors import NotFoundError
from rookery.storage.serialization import from_dict
from rookery.tasks.grid_env import GridEnv
from rookery.training.build import build, initial_params
from rookery.training.config import TaskConfig
from rookery.training.policy_config import check_compatible
from rookery.training.presets import PRESETS, preset
from tests.tiny import assert_same, params, save_novice

NEEDED = ("title", "task", "steps", "returns", "rookery")
"""Entries of a shipped agent's card in addition to those needed to load it."""


@pytest.fixture
def stocked(tmp_path, monkeypatch):
    """A zoo of our own."""
    for name in ("goal-cycle-expert", "goal-cycle-rookie"):
        save_novice(tmp_path / f"{name}.safetensors", title=name)
    monkeypatch.setattr(zoo, "ZOO_DIR", tmp_path)
    return tmp_path


def refusal(call) -> str:
    with pytest.raises(NotFoundError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_by_name_or_by_path(stocked):
    assert zoo.entry_names() == ["goal-cycle-expert", "goal-cycle-rookie"]
    for source in ("goal-cycle-expert", str(stocked / "goal-cycle-expert.safetensors")):
        assert_same(zoo.load_trained_agent(source).params, params())
    assert zoo.entry_card("goal-cycle-rookie")["title"] == "goal-cycle-rookie"


def test_a_name_that_is_not_there(stocked):
    message = refusal(lambda: zoo.load_trained_agent("goal-cycle-exprt"))
    assert message.startswith("the zoo has no 'goal-cycle-exprt'; did you mean 'goal-cycle-expert'")
    assert message.endswith("allowed: goal-cycle-expert, goal-cycle-rookie")
    assert "did you mean" not in refusal(lambda: zoo.entry_card("zzz"))


def test_what_is_not_an_agent(stocked):
    assert "an agent is a .safetensors file or one of: goal-cycle-expert" in refusal(
        lambda: zoo.load_trained_agent("some/folder")
    )
    assert "no such card" in refusal(lambda: zoo.load_trained_agent("absent.safetensors"))


def test_the_folder_of_a_run_is_not_an_agent_and_its_agents_are_named(stocked, tmp_path):
    (tmp_path / "run" / "agents").mkdir(parents=True)
    said = f"{tmp_path / 'run'} is the folder of a run; name one of its agents: "
    assert refusal(lambda: zoo.load_trained_agent(tmp_path / "run")) == said + "none yet"
    save_novice(tmp_path / "run" / "agents" / "main-seed0.safetensors")
    assert (
        refusal(lambda: zoo.load_trained_agent(tmp_path / "run"))
        == f"{said}{tmp_path}/run/agents/main-seed0.safetensors"
    )


def test_an_empty_zoo(tmp_path, monkeypatch):
    monkeypatch.setattr(zoo, "ZOO_DIR", tmp_path)
    assert zoo.entry_names() == []
    assert refusal(lambda: zoo.load_trained_agent("x")) == "the zoo has no 'x'; allowed: none"


# ------------------------------------------------------------------------------------------- what is shipped


@pytest.mark.parametrize("name", zoo.entry_names())
def test_every_entry_is_valid(name):
    agent = zoo.load_trained_agent(name)
    assert [key for key in NEEDED if key not in agent.card] == []
    assert agent.card["steps"] > 0
    assert agent.card["returns"]["low"] <= agent.card["returns"]["mean"] <= agent.card["returns"]["high"]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(agent.params))
    env = GridEnv(from_dict(TaskConfig, agent.card["task"], "task"))
    check_compatible(agent.policy, env.observation_shape(agent.card.get("slot", 0)), env.num_actions, name)


@pytest.mark.parametrize("name", zoo.entry_names())
def test_every_entry_acts(name):
    agent = zoo.load_trained_agent(name)
    obs = jnp.zeros((2, *agent.policy.observation_shape), jnp.uint8)
    act = jax.jit(agent.policy.act)
    action, carry, _ = act(agent.params, agent.policy.initial_carry(2), obs, jnp.ones(2, bool), jax.random.PRNGKey(0))
    assert action.shape == (2,)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(carry))


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_find_their_agents(name):
    """Every agent that a preset names is shipped and fits, except those that an earlier stage writes to runs/."""
    config = preset(name)
    program = build(config)
    if not any((getattr(group.policy, "init_from", None) or "").startswith("runs/") for group in config.team):
        initial_params(config, program)
