"""Environments that say something wrong about what agents see: their check names the method."""

import dataclasses
from typing import Literal

import jax.numpy as jnp
import pytest

from rookery.tasks.coin_game import CoinGame, CoinGameEnv
from rookery.testing import ConformanceError, check_task


@dataclasses.dataclass(frozen=True)
class WrongViewsEnv(CoinGameEnv):
    """With the mistake that its task names. Time steps have the observations of the Coin Game."""

    def reset(self, key, params, agent_mask=None):
        if self.task.mistake == "no agent by default" and agent_mask is None:
            agent_mask = jnp.zeros(2, bool)
        return super().reset(key, params, agent_mask)

    def _time_step(self, *arguments):
        timestep = super()._time_step(*arguments)
        return timestep.replace(observation=CoinGameEnv.observe(self, arguments[0]))

    def observe(self, state):
        observation = CoinGameEnv.observe(self, state)
        match self.task.mistake:
            case "inverted":
                return 255 - observation
            case "inverted at reset":
                return jnp.where(state.step == 0, 255 - observation, observation)
            case "floats":
                return observation / 255
        return observation

    def in_view(self, state):
        match self.task.mistake:
            case "sees itself":
                return super().in_view(state) | jnp.eye(2, dtype=bool)
            case "sees the absent":
                return ~jnp.eye(2, dtype=bool)
            case "numbers":
                return super().in_view(state).astype(jnp.int32)
        return super().in_view(state)

    def relative_positions(self, state):
        position = super().relative_positions(state)
        match self.task.mistake:
            case "absolute":
                return jnp.broadcast_to(state.position, (2, 2, 2))
            case "fractions":
                return position / 2
            case "no pairs":
                return position[0]
        return position

    def observation_type(self, slot):
        return {"four colors": "pixels", "unknown": "images"}.get(self.task.mistake)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WrongViews(CoinGame):
    kind: Literal["wrong-views"] = "wrong-views"
    mistake: str = ""

    def make_env(self):
        return WrongViewsEnv(self)


def test_without_a_mistake_it_passes():
    check_task(WrongViews())


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ("inverted", r"observe: the observations of slots \[0, 1\] are not those that `reset` and `step` return"),
        (
            "inverted at reset",
            r"observe: the observations of slots \[0, 1\] are not those that `reset` and `step` return",
        ),
        ("floats", r"observe: must be as the time step's: .* is uint8\[2, 3, 3, 4\] and float32\[2, 3, 3, 4\]"),
        ("sees itself", r"in_view: agents in slots \[0, 1\] see themselves; the diagonal must be False"),
        ("sees the absent", r"in_view: an absent agent sees or is seen; rows and columns of agents outside agent_mask"),
        ("numbers", r"in_view: returns int32\[2, 2\], not bool\[2, 2\]"),
        ("absolute", r"relative_positions: an agent is not where it is itself: the diagonal must be 0"),
        ("fractions", r"relative_positions: returns float32\[2, 2, 2\], not integers \[2, 2, 2\]"),
        ("no pairs", r"relative_positions: returns int32\[2, 2\], not integers \[2, 2, 2\]"),
        ("four colors", r"observation_type: 'pixels' observations have 3 axes, the last of 3; slot 0 has \[3, 3, 4\]"),
        (
            "unknown",
            r"observation_type: 'images' of slot 0 is not known; allowed: None, 'pixels', 'symbolic', 'objects'",
        ),
    ],
)
def test_a_mistake_is_named(mistake, message):
    with pytest.raises(ConformanceError, match=rf"^WrongViewsEnv\.{message}"):
        check_task(WrongViews(mistake=mistake), steps=10)


def test_all_agents_take_part_by_default():
    message = r"^WrongViews: reset: without an agent_mask the agents \[\] take part; all must"
    with pytest.raises(ConformanceError, match=message):
        check_task(WrongViews(mistake="no agent by default"), steps=10)
