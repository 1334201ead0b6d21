"""Replay recorded steps of Cleanup or Harvest and count the differences.

A recording (.npz) of E episodes, T steps, A agents on H×W cells holds: `meta` (JSON: task, A, T), `tiles`
i8[E,T+1,H,W], `tiles_before_growth` i8[E,T,H,W], `position` i16[E,T+1,A,2], `heading` i8[E,T+1,A], `action` i8[E,T,A],
`reward` f32[E,T,A], `beam` i8[E,T,H,W], `contested` bool[E,T] and `apple_probability` f32[E,T]; tile kinds, beams
and actions are numbered as in `rookery.tasks.social_dilemmas.dilemma_tiles`. At most one agent fires or cleans per
step.

Growth is random, so each step starts from the recorded tiles, positions and headings. In steps in which agents
contested a cell, the recorded positions are used, because any of them may have won; everything that follows from them
must still be equal. What grew (`tiles`) must be possible.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from rookery.errors import ConfigError, CorruptFileError
from rookery.tasks.social_dilemmas.cleanup import Cleanup, apple_probability
from rookery.tasks.social_dilemmas.dilemma_state import DilemmaState
from rookery.tasks.social_dilemmas.dilemma_tiles import APPLE, EMPTY, RIVER, WALL, WASTE
from rookery.tasks.social_dilemmas.harvest import Harvest
from rookery.tasks.social_dilemmas.regrowth import count_nearby_apples, river_waste_fraction

TRACED_DILEMMAS: dict[str, type[Cleanup] | type[Harvest]] = {"cleanup": Cleanup, "harvest": Harvest}
DILEMMA_COMPARED_ARRAYS = ("position", "heading", "reward", "tiles_before_growth", "beam", "apple_probability", "tiles")
DILEMMA_REQUIRED_ARRAYS = ("meta", "action", "contested", *DILEMMA_COMPARED_ARRAYS)


def is_dilemma_trace(data: Mapping[str, np.ndarray]) -> bool:
    """Whether the `meta` of a recording names one of these tasks."""
    try:
        return json.loads(str(data["meta"])).get("task") in TRACED_DILEMMAS
    except (KeyError, ValueError, AttributeError, TypeError):
        return False


def compare_dilemma_trace(data: Mapping[str, np.ndarray], where: str = "recording") -> dict[str, tuple[int, int]]:
    """Replay a recording. Returns for each array how many entries differ, and how many there are."""
    task, num_agents = _check(data, where)
    try:
        rules = TRACED_DILEMMAS[task](num_agents=num_agents)
    except ConfigError as error:
        raise CorruptFileError(f"{where}: meta describes an impossible world ({error})") from None
    replayed = _replay(data, rules)
    different = {
        name: replayed[name] != np.asarray(data[name])[:, -replayed[name].shape[1] :]
        for name in DILEMMA_COMPARED_ARRAYS[:-2]
    }
    different["position"] &= ~np.asarray(data["contested"], bool)[..., None, None]
    probability = np.asarray(data["apple_probability"])
    different["apple_probability"] = ~np.isclose(replayed["apple_probability"], probability, rtol=0, atol=1e-7)
    different["tiles"] = _impossible_growth(data, rules)
    return {name: (int(wrong.sum()), int(wrong.size)) for name, wrong in different.items()}


def _check(data, where: str) -> tuple[str, int]:
    try:
        meta = json.loads(str(data["meta"]))
        task, A, T = str(meta["task"]), int(meta["A"]), int(meta["T"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise CorruptFileError(
            f"{where}: meta is not the JSON of a {' or '.join(TRACED_DILEMMAS)} recording ({error!r})"
        ) from None
    episodes, (H, W) = (data["action"].shape or (0,))[0], (0, 0, *data["tiles"].shape)[-2:]
    expected = {
        "action": (episodes, T, A), "tiles": (episodes, T + 1, H, W), "tiles_before_growth": (episodes, T, H, W),
        "position": (episodes, T + 1, A, 2), "heading": (episodes, T + 1, A), "reward": (episodes, T, A),
        "beam": (episodes, T, H, W), "contested": (episodes, T), "apple_probability": (episodes, T),
    }  # fmt: skip
    for name, shape in expected.items():
        if data[name].shape != shape:
            raise CorruptFileError(
                f"{where}: {name} has shape {data[name].shape}; expected {shape} from meta and tiles"
            )
        if data[name].dtype.kind not in "biuf":
            raise CorruptFileError(f"{where}: {name} holds {data[name].dtype}, not numbers")
    if 0 in data["tiles"].shape or T < 1:
        raise CorruptFileError(f"{where}: tiles has shape {data['tiles'].shape}; nothing to replay")
    return task, A


def _replay(data, rules: Cleanup | Harvest) -> dict[str, np.ndarray]:
    env, params, agent_mask = rules.make_env(), rules.default_params(), jnp.ones(rules.num_agents, bool)
    priority = jnp.arange(rules.num_agents, dtype=jnp.uint32)  # has no effect if no cell is contested

    def step(tiles, position, heading, action, contested, recorded):
        state = DilemmaState(
            tiles=tiles.astype(jnp.uint8), beam=jnp.zeros(tiles.shape, jnp.uint8), position=position, heading=heading,
            agent_mask=agent_mask, step=jnp.int32(0), key=jax.random.PRNGKey(0),
        )  # fmt: skip
        position = env.move_agents(state, action, priority)
        after, reward, _ = env.apply_actions(state, action, jnp.where(contested, recorded, position), priority, params)
        probability = jnp.float32(-1)
        if isinstance(rules, Cleanup):
            river = (tiles == RIVER) | (tiles == WASTE)
            probability = apple_probability(river_waste_fraction(after.tiles, river), params)  # type: ignore[arg-type]
        return position, after.heading, reward, after.tiles, after.beam, probability

    inputs = (
        data["tiles"][:, :-1], data["position"][:, :-1], data["heading"][:, :-1], data["action"], data["contested"],
        data["position"][:, 1:],
    )  # fmt: skip
    typed = [jnp.asarray(array, bool if array is data["contested"] else jnp.int32) for array in inputs]
    outputs = jax.jit(jax.vmap(jax.vmap(step)))(*typed)
    return {name: np.asarray(value) for name, value in zip(DILEMMA_COMPARED_ARRAYS[:-1], outputs, strict=True)}


def _impossible_growth(data, rules: Cleanup | Harvest) -> np.ndarray:
    """Cells that changed after the step in an impossible way. bool[E, T, H, W]."""
    before, after = data["tiles_before_growth"], data["tiles"][:, 1:]
    apple = (before == EMPTY) & (after == APPLE)
    parsed_map = rules.parsed_map
    if before.shape[2:] == parsed_map.tiles.shape and np.array_equal(before[0, 0] == WALL, parsed_map.tiles == WALL):
        apple &= parsed_map.orchard  # on the published map, the apple cells are known
    occupied = np.zeros(before.shape, bool)
    episode, step, _ = np.indices(data["position"][:, 1:, :, 0].shape)
    row, col = np.moveaxis(data["position"][:, 1:].astype(int), -1, 0)
    inside = (row >= 0) & (row < before.shape[2]) & (col >= 0) & (col < before.shape[3])
    occupied[episode[inside], step[inside], row[inside], col[inside]] = True
    apple &= ~occupied
    if isinstance(rules, Harvest):
        num_near = jax.jit(jax.vmap(jax.vmap(count_nearby_apples)))(jnp.asarray(before))
        return (before != after) & ~(apple & (np.asarray(num_near) > 0))
    can_grow = (data["apple_probability"] > 0)[..., None, None]
    waste = (before == RIVER) & (after == WASTE) & can_grow
    beyond_first = np.cumsum(waste.reshape(*waste.shape[:2], -1), -1).reshape(waste.shape) > 1
    return (before != after) & ~((apple & can_grow) | (waste & ~beyond_first))
