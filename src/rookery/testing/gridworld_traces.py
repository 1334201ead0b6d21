"""Replay recorded episodes of a reference environment and count what differs.

Recordings of Cleanup and Harvest are told by their `meta`; `trace_dilemma` replays them.

A Goal Cycle recording (.npz) of E episodes, T steps, A agents, K goals on H×W cells holds:
`meta` (JSON: A, K, H, W, pen, offset, T, hide, and optionally view_size), `walls` bool[E,H,W],
`goals` i16[E,K,2], `position` i16[E,T+1,A,2], `heading` i8[E,T+1,A], `action` i8[E,T,A], `reward` f32[E,T,A],
`done` bool[E,T], `view_kind` i8[E,T+1,A,V,V] (0 unseen, 1 floor, 2 obstacle, 3 goal) and
`view_agents` u8[E,T+1,A,V,V] (bit b: agent b is seen there).

The world starts from the recorded layout, is given the recorded actions, and must give the rest. One thing
has two right answers: where a goal is hidden from the viewer and several agents stand on it, the reference
shows the one who came first (by an order it draws and does not record), this world shows all.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from rookery.errors import ConfigError, CorruptFileError, NotFoundError
from rookery.gridworld.observation import observe_grid
from rookery.gridworld.spec import ViewConfig
from rookery.gridworld.state import GridState
from rookery.gridworld.tiles import GOAL, OBSTACLE
from rookery.gridworld.visibility import crop
from rookery.tasks.goal_cycle import GoalCycle, GoalCycleState
from rookery.tasks.grid_env import GridEnv
from rookery.testing import dilemma_traces

COMPARED_ARRAYS = ("position", "heading", "reward", "done", "view_kind", "view_agents")
REQUIRED_ARRAYS = ("meta", "walls", "goals", "action", *COMPARED_ARRAYS)


def load_trace(path: Path) -> dict[str, np.ndarray]:
    """Read a recording. Raises MissingError, or CorruptError naming what is wrong with it."""
    if not path.is_file():
        raise NotFoundError(f"{path}: no such recording")
    try:
        # Opened here, since numpy leaves a file open that it cannot read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            data = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise CorruptFileError(f"{path}: not a readable .npz recording ({error})") from None
    except Exception as error:  # zlib.error and whatever else a damaged archive provokes
        raise CorruptFileError(f"{path}: damaged recording ({error})") from None
    dilemma = dilemma_traces.is_dilemma_trace(data)
    missing = [
        name for name in (dilemma_traces.DILEMMA_REQUIRED_ARRAYS if dilemma else REQUIRED_ARRAYS) if name not in data
    ]
    if missing:
        kind = "Cleanup or Harvest" if dilemma else "Goal Cycle"
        raise CorruptFileError(f"{path}: lacks the arrays {', '.join(missing)}; a {kind} recording has them")
    return data


def compare_trace(data: Mapping[str, np.ndarray], where: str = "recording") -> dict[str, tuple[int, int]]:
    """Replay a recording; by array, how many entries differ and how many there are."""
    if dilemma_traces.is_dilemma_trace(data):
        return dilemma_traces.compare_dilemma_trace(data, where)
    meta = _meta(data, where)
    try:
        replayed = _replay(data, meta)
    except ConfigError as error:
        raise CorruptFileError(f"{where}: meta describes a world that cannot be ({error})") from None
    differs = {name: replayed[name] != np.asarray(data[name]) for name in COMPARED_ARRAYS}
    shown = np.asarray(data["view_agents"]).astype(np.int64)
    one_of_ours = (shown > 0) & (shown & (shown - 1) == 0) & (shown & ~replayed["view_agents"].astype(np.int64) == 0)
    differs["view_agents"] &= ~(replayed["hidden_goal"] & one_of_ours)
    return {name: (int(wrong.sum()), int(wrong.size)) for name, wrong in differs.items()}


def _meta(data, where: str) -> dict:
    try:
        meta = json.loads(str(data["meta"]))
        A, K, H, W, T = (int(meta[name]) for name in ("A", "K", "H", "W", "T"))
        meta["pen"], meta["offset"] = float(meta["pen"]), int(meta["offset"])
        meta["hide"] = [int(agent) for agent in meta.get("hide", [])]
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise CorruptFileError(f"{where}: meta is not the JSON of a Goal Cycle recording ({error!r})") from None
    episodes, V = (data["action"].shape or (0,))[0], (data["view_kind"].shape or (0,))[-1]
    expected = {
        "walls": (episodes, H, W), "goals": (episodes, K, 2), "action": (episodes, T, A),
        "position": (episodes, T + 1, A, 2), "heading": (episodes, T + 1, A), "reward": (episodes, T, A),
        "done": (episodes, T), "view_kind": (episodes, T + 1, A, V, V), "view_agents": (episodes, T + 1, A, V, V),
    }  # fmt: skip
    for name, shape in expected.items():
        if data[name].shape != shape:
            raise CorruptFileError(f"{where}: {name} has shape {data[name].shape}; meta asks for {shape}")
        if data[name].dtype.kind not in "biuf":
            raise CorruptFileError(f"{where}: {name} holds {data[name].dtype}, not numbers")
    return {**meta, "A": A, "K": K, "H": H, "W": W, "T": T, "V": V}


def _replay(data, meta: dict) -> dict[str, np.ndarray]:
    views = tuple(
        ViewConfig(size=meta["V"], rows_behind=meta["offset"], can_hide_goals=agent in meta["hide"])
        for agent in range(meta["A"])
    )
    task = GoalCycle(
        height=meta["H"], width=meta["W"], num_goals=meta["K"], num_obstacles=0, views=views, max_steps=meta["T"],
        penalty=abs(meta["pen"]),
    )  # fmt: skip
    env, params, everyone = GridEnv(task), task.default_params(), jnp.ones(meta["A"], bool)

    def seen(state: GridState):
        kinds, agents, hidden = [], [], []
        for agent, view in enumerate(views):
            kind, visible, where = observe_grid(state, agent, view)
            kinds.append(jnp.where(visible, kind + 1, 0))
            bits = [where[other].astype(jnp.int32) << other for other in range(meta["A"])]
            agents.append(sum(bits))
            truth = crop(state.tiles, state.position[agent], state.heading[agent], view)
            hidden.append(visible & (truth == GOAL) & (kind != GOAL))
        return jnp.stack(kinds), jnp.stack(agents), jnp.stack(hidden)

    def episode(walls, goals, position, heading, actions):
        tiles = jnp.where(walls, OBSTACLE, 0).astype(jnp.uint8).at[goals[:, 0], goals[:, 1]].set(GOAL)
        start = GridState(
            tiles=tiles, position=position, heading=heading, episode_agent_mask=everyone, agent_mask=everyone,
            prestige=jnp.zeros(meta["A"]), goals_masked=jnp.bool_(True), step=jnp.int32(0), key=jax.random.PRNGKey(0),
            carrying=jnp.zeros(meta["A"], jnp.int32),
            task=GoalCycleState(goals=goals, last_goal=jnp.full(meta["A"], -1, jnp.int32)),
        )  # fmt: skip

        def advance(state, action):
            after, told = env.step(state, action, params)
            return after, (after.position, after.heading, told.reward, told.truncated, *seen(after))

        first = (start.position, start.heading, *seen(start))
        return first, jax.lax.scan(advance, start, actions)[1]

    arguments = (data["walls"], data["goals"], data["position"][:, 0], data["heading"][:, 0], data["action"])
    typed = [jnp.asarray(a, jnp.int32 if a.dtype != bool else bool) for a in arguments]
    first, rest = jax.jit(jax.vmap(episode))(*typed)
    position, heading, reward, done, kind, agents, hidden = (np.asarray(x) for x in rest)
    position0, heading0, kind0, agents0, hidden0 = (np.asarray(x)[:, None] for x in first)
    return {
        "position": np.concatenate([position0, position], 1),
        "heading": np.concatenate([heading0, heading], 1),
        "reward": reward,
        "done": done,
        "view_kind": np.concatenate([kind0, kind], 1),
        "view_agents": np.concatenate([agents0, agents], 1),
        "hidden_goal": np.concatenate([hidden0, hidden], 1),
    }


def check_traces(paths: list[str]) -> int:
    """Compare each file and print a line an array. Exit code 0 only if nothing differs anywhere."""
    if not paths:
        raise ConfigError("name at least one recording: python -m rookery.testing trace FILE.npz ...")
    different = 0
    for path in paths:
        data = load_trace(Path(path))
        print(path)
        told = compare_trace(data, path)
        width = max(12, *map(len, told))
        for name, (count, total) in told.items():
            print(f"  {name:{width}} {count} of {total} differ")
            different += count
    return 1 if different else 0
