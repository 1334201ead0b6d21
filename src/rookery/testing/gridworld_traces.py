"""Replay recorded episodes of a reference environment and count the differences.

Recordings of Cleanup and Harvest are recognized by their `meta`; `dilemma_traces` replays them.

A Goal Cycle recording (.npz) of E episodes, T steps, A agents, K goals on H×W cells holds:
`meta` (JSON: A, K, H, W, pen, offset, T, hide, and optionally view_size), `walls` bool[E,H,W],
`goals` i16[E,K,2], `position` i16[E,T+1,A,2], `heading` i8[E,T+1,A], `action` i8[E,T,A], `reward` f32[E,T,A],
`done` bool[E,T], `view_kind` i8[E,T+1,A,V,V] (0 unseen, 1 floor, 2 obstacle, 3 goal) and
`view_agents` u8[E,T+1,A,V,V] (bit b: agent b is seen there).

The environment starts from the recorded layout, gets the recorded actions, and must reproduce the rest. There is one
ambiguity: if a goal is hidden from the viewer and several agents stand on it, the reference code shows the one that
came first (in a random order that it does not record), this environment shows all.
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
    """Read a recording. Raises NotFoundError, or CorruptFileError, which names what is wrong with it."""
    if not path.is_file():
        raise NotFoundError(f"{path}: no such recording")
    try:
        # Opened here, because numpy does not close a file that it cannot read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            data = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise CorruptFileError(f"{path}: not a readable .npz recording ({error})") from None
    except Exception as error:  # a damaged archive can raise zlib.error and many others
        raise CorruptFileError(f"{path}: damaged recording ({error})") from None
    is_dilemma = dilemma_traces.is_dilemma_trace(data)
    required = dilemma_traces.DILEMMA_REQUIRED_ARRAYS if is_dilemma else REQUIRED_ARRAYS
    missing = [name for name in required if name not in data]
    if missing:
        kind = "Cleanup or Harvest" if is_dilemma else "Goal Cycle"
        raise CorruptFileError(f"{path}: lacks the arrays {', '.join(missing)}; a {kind} recording has them")
    return data


def compare_trace(data: Mapping[str, np.ndarray], where: str = "recording") -> dict[str, tuple[int, int]]:
    """Replay a recording. Returns for each array how many entries differ, and how many there are."""
    if dilemma_traces.is_dilemma_trace(data):
        return dilemma_traces.compare_dilemma_trace(data, where)
    meta = _meta(data, where)
    try:
        replayed = _replay(data, meta)
    except ConfigError as error:
        raise CorruptFileError(f"{where}: meta describes an impossible world ({error})") from None
    different = {name: replayed[name] != np.asarray(data[name]) for name in COMPARED_ARRAYS}
    recorded = np.asarray(data["view_agents"]).astype(np.int64)
    is_one_agent = (recorded > 0) & (recorded & (recorded - 1) == 0)
    is_replayed = recorded & ~replayed["view_agents"].astype(np.int64) == 0
    different["view_agents"] &= ~(replayed["hidden_goal"] & is_one_agent & is_replayed)
    return {name: (int(wrong.sum()), int(wrong.size)) for name, wrong in different.items()}


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
            raise CorruptFileError(f"{where}: {name} has shape {data[name].shape}; expected {shape} from meta")
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
    env, params, agent_mask = GridEnv(task), task.default_params(), jnp.ones(meta["A"], bool)

    def views_of(state: GridState):
        kinds, agents, hidden = [], [], []
        for agent, view in enumerate(views):
            kind, visible, agent_cells = observe_grid(state, agent, view)
            kinds.append(jnp.where(visible, kind + 1, 0))
            bits = [agent_cells[other].astype(jnp.int32) << other for other in range(meta["A"])]
            agents.append(sum(bits))
            true_kind = crop(state.tiles, state.position[agent], state.heading[agent], view)
            hidden.append(visible & (true_kind == GOAL) & (kind != GOAL))
        return jnp.stack(kinds), jnp.stack(agents), jnp.stack(hidden)

    def episode(walls, goals, position, heading, actions):
        tiles = jnp.where(walls, OBSTACLE, 0).astype(jnp.uint8).at[goals[:, 0], goals[:, 1]].set(GOAL)
        start = GridState(
            tiles=tiles, position=position, heading=heading, episode_agent_mask=agent_mask, agent_mask=agent_mask,
            prestige=jnp.zeros(meta["A"]), goals_masked=jnp.bool_(True), step=jnp.int32(0), key=jax.random.PRNGKey(0),
            carrying=jnp.zeros(meta["A"], jnp.int32),
            task=GoalCycleState(goals=goals, last_goal=jnp.full(meta["A"], -1, jnp.int32)),
        )  # fmt: skip

        def step(state, action):
            after, timestep = env.step(state, action, params)
            return after, (after.position, after.heading, timestep.reward, timestep.truncated, *views_of(after))

        first = (start.position, start.heading, *views_of(start))
        return first, jax.lax.scan(step, start, actions)[1]

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
    """Compare each file and print one line per array. Returns the exit code: 0 if nothing differs, else 1."""
    if not paths:
        raise ConfigError("name at least one recording: python -m rookery.testing trace FILE.npz ...")
    num_different = 0
    for path in paths:
        data = load_trace(Path(path))
        print(path)
        result = compare_trace(data, path)
        width = max(12, *map(len, result))
        for name, (count, total) in result.items():
            print(f"  {name:{width}} {count} of {total} differ")
            num_different += count
    return 1 if num_different else 0
