"""Who plays in `rookery play`, before anything is compiled."""

import asyncio
import dataclasses
import threading

import pytest

from rookery.agents import zoo
from rookery.commands import play
from rookery.commands.play import default_human_slots, display_name, make_game_setup
from rookery.errors import ConfigError, IncompatibleError, NotFoundError
from rookery.tasks import registry
from rookery.tasks.descriptions import DESCRIPTIONS
from rookery.tasks.goal_cycle import GoalCycle
from rookery.tasks.single_goal import SingleGoal
from tests.play.conftest import Always


def test_the_novice_of_the_zoo_and_scripted_experts(monkeypatch):
    expert = zoo.load_trained_agent("goal-cycle-demo-expert")
    monkeypatch.setattr(zoo, "entry_names", lambda: ["goal-cycle-demo-novice"])
    monkeypatch.setattr("rookery.training.make_team.load_trained_agent", lambda name: expert)
    cast = make_game_setup("goal-cycle-demo-v0", ())
    assert cast.agent_names == ("novice", "expert", "random")
    assert cast.roles == ("frozen", "scripted", "random")
    assert [group.slots for group in cast.team.groups] == [(0,), (1,), (2,)]
    assert (
        make_game_setup("goal-cycle-demo-v0", (), ("views.0.size=5",)).roles == ("scripted",) * 3
    )  # it cannot see that
    with pytest.raises(IncompatibleError):
        make_game_setup("goal-cycle-demo-v0", ("goal-cycle-demo-novice",), ("views.0.size=5",))


def test_one_agent_that_the_novice_cannot_be_is_scripted():
    cast = make_game_setup("goal-cycle-demo-v0", (), ('views=[{"size":5}]',))
    assert (cast.agent_names, cast.roles) == (("expert",), ("scripted",))


def test_an_agent_that_observes_actions_is_refused_by_name(monkeypatch):
    class Listens(Always):
        comms_obs_size = 2

    monkeypatch.setattr("rookery.training.make_team.load_policy", lambda *_: (Listens(0), ()))
    with pytest.raises(IncompatibleError, match=r"runs/a.safetensors observes other agents' actions or messages"):
        make_game_setup("goal-cycle-demo-v0", ("runs/a.safetensors",))


def test_a_browser_in_the_terminal_does_not_keep_the_game_from_running(monkeypatch, capsys):
    running, opened = threading.Event(), []

    class Server:
        url, url_for_others = "http://localhost:1/", None

        def __init__(self, *_, **__):
            pass

        async def run(self, ready):
            ready()
            running.set()
            async with asyncio.timeout(60):
                while not opened:
                    await asyncio.sleep(0.01)

    monkeypatch.setattr("rookery.play.server.Server", Server)
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append((url, running.wait(5))))
    assert play._serve(None, play.PlayCommand(browser=True)) == 0
    assert opened == [(Server.url, True)]


def test_the_address_for_others_is_printed_where_they_can_reach_the_game(monkeypatch, capsys):
    here, there = "http://127.0.0.1:1/?token=t", "http://10.1.2.3:1/?token=t"
    urls = {"127.0.0.1": (here, None), "0.0.0.0": (here, there), "10.1.2.3": (there, there)}

    class Server:
        addresses = ("10.1.2.3",)

        def __init__(self, *_, host, **__):
            self.url, self.url_for_others = urls[host]

        async def run(self, ready):
            ready()

    monkeypatch.setattr("rookery.play.server.Server", Server)
    for host, (url, _) in urls.items():
        assert play._serve(None, play.PlayCommand(host=host)) == 0
        printed = capsys.readouterr()
        line = f"others can play at {there}\n" if host == "0.0.0.0" else ""
        assert printed.out == f"playing at {url} (Ctrl-C to stop)\n{line}"
        assert ("anyone who has the token can play" in printed.err) == (host != "127.0.0.1")


def test_without_a_novice_all_are_scripted_and_without_a_script_random():
    assert make_game_setup("key-door-v0", ()).roles == ("scripted",) * 3
    cast = make_game_setup("matrix-chicken-v0", ())
    assert (cast.agent_names, cast.roles) == (("random 1", "random 2"), ("random",) * 2)


def test_others_are_taken_in_order_and_the_last_for_the_rest():
    cast = make_game_setup("goal-cycle-demo-v0", ("random", "scripted-partial", "scripted"))
    assert cast.agent_names == ("random", "expert 1", "expert 2")
    assert cast.roles == ("random", "scripted", "scripted")
    assert make_game_setup("goal-cycle-demo-v0", ("goal-cycle-demo-expert",)).roles == ("frozen",) * 3
    with pytest.raises(ConfigError, match="names 4 agents; goal-cycle-demo-v0 has 3"):
        make_game_setup("goal-cycle-demo-v0", ("random",) * 4)
    with pytest.raises(NotFoundError, match="did you mean"):
        make_game_setup("goal-cycle-demo-v0", ("goal-cycle-demo-expart",))
    with pytest.raises(NotFoundError, match="did you mean 'goal-cycle-demo-v0'"):
        make_game_setup("goal-cycle-dem-v0", ())


def test_slots_and_titles():
    assert [default_human_slots(agents) for agents in (1, 2, 4)] == [(0,), (1,), (1, 2, 3)]
    names = ("scripted", "random", "goal-cycle-demo-novice", "runs/a/agents/social-0.safetensors", "x")
    assert [display_name(name) for name in names] == ["expert", "random", "novice", "social-0", "x"]


def test_the_cast_fits_its_world():
    for name in ("goal-cycle-demo-v0", "goal-cycle-v0", "cleanup-small-v0"):
        cast = make_game_setup(name, ())
        cast.team.validate(cast.env)
        assert dataclasses.is_dataclass(cast)


def test_every_task_says_in_two_sentences_what_pays_with_its_own_values():
    for task_id in DESCRIPTIONS:
        rules = registry.get_task(task_id).rules_for_players
        assert len(rules) == 2, task_id
        assert "pays" in rules[0] or "to each" in rules[0], task_id
    assert "costs 0.75" in GoalCycle(penalty=0.75).rules_for_players[1]
    assert "placed elsewhere" in SingleGoal().rules_for_players[0]
    assert "over for all" in SingleGoal(when_reached="end").rules_for_players[0]
    overrides = ("penalty=0.25",)
    assert "costs 0.25" in make_game_setup("goal-cycle-demo-v0", ("random",), overrides).rules[1]
