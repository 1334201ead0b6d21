"""One recorded episode as plain arrays: everything a film shows, nothing a learner needs."""

import dataclasses
import io
import json
import os
import zipfile
import zlib
from pathlib import Path

import numpy as np

from rookery.errors import CorruptFileError, NotFoundError, StorageError
from rookery.viz.files import write_file_atomic

ROLES = ("learning", "frozen", "scripted", "random", "person")

RECORDING_FORMAT = 1  # of the file; raise it when a field changes its meaning


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Recording:
    """One episode of T steps with A agents on a map of H×W cells. (row, col), (0, 0) at the top left.

    Index t of a [T+1] field is the world before action t; the last is the world at the end. Arrays are
    copied, cast to the type named here and made read-only.

    Raises: ValueError, naming the field and the shapes, when the fields do not fit together.
    """

    task: str
    agent_names: tuple[str, ...]  # [A], for a person: "novice", "expert 1"
    roles: tuple[str, ...]  # [A], each one of ROLES
    tiles: np.ndarray  # uint8[T+1, H, W]; kinds of sprites.py
    position: np.ndarray  # int16[T+1, A, 2]; anything while an agent is absent
    heading: np.ndarray  # int8[T+1, A]; 0 north, 1 east, 2 south, 3 west
    agent_mask: np.ndarray  # bool[T+1, A]; an absent agent is not drawn
    prestige: np.ndarray  # float32[T+1, A] in [0, 1]; the blue share of the agent's color
    reward: np.ndarray  # float32[T, A], paid for action t
    action: np.ndarray  # int8[T, A]; an index into action_names, anything while absent
    action_names: tuple[str, ...]
    goals: np.ndarray  # int16[K, 2] in cyclic order; K = 0 where the task has no cycle
    views: tuple[np.ndarray, ...]  # [A] of uint8[T+1, h, w, 3]; h and w may differ between agents
    carrying: np.ndarray | tuple = ()  # int8[T+1, A], kind of tile in hand, 0 nothing; () if nobody carries
    visible: tuple[np.ndarray, ...] = ()  # [A] of bool[T+1, H, W], map cells in sight; () if not recorded
    influence: np.ndarray | tuple = ()  # float32[T, A, A], nats, of the first agent on the second; () if none is told
    note: str = ""

    def __post_init__(self):
        for field in ("task", "note"):
            if not isinstance(getattr(self, field), str):
                raise ValueError(f"{field} must be text, not {type(getattr(self, field)).__name__}")
        for field in ("names", "roles", "action_names"):
            object.__setattr__(self, field, _string_tuple(field, getattr(self, field)))
        agents = len(self.agent_names)
        if not agents:
            raise ValueError("names is empty: a recording needs at least one agent")
        if len(self.roles) != agents:
            raise ValueError(f"roles has {len(self.roles)} entries for {agents} names")
        if unknown := sorted(set(self.roles) - set(ROLES)):
            raise ValueError(f"roles has {unknown}; allowed are {list(ROLES)}")

        if np.ndim(self.tiles) != 3 or 0 in np.shape(self.tiles):
            raise ValueError(f"tiles has shape {np.shape(self.tiles)}, not [T+1, H, W] with each at least 1")
        frames, height, width = np.shape(self.tiles)
        shapes = {
            "tiles": (np.uint8, (frames, height, width)),
            "position": (np.int16, (frames, agents, 2)),
            "heading": (np.int8, (frames, agents)),
            "active": (np.bool_, (frames, agents)),
            "prestige": (np.float32, (frames, agents)),
            "reward": (np.float32, (frames - 1, agents)),
            "action": (np.int8, (frames - 1, agents)),
            "goals": (np.int16, (np.size(self.goals) // 2, 2)),
        }
        for field, (dtype, shape) in shapes.items():
            value = getattr(self, field)
            if field == "goals" and np.size(value) == 0:
                value = np.zeros((0, 2), np.int16)
            object.__setattr__(self, field, _readonly_array(field, value, dtype, shape))

        carrying = self.carrying if np.size(self.carrying) else ()
        if np.size(carrying):
            carrying = _readonly_array("carrying", carrying, np.int8, (frames, agents))
        object.__setattr__(self, "carrying", carrying)

        influence = self.influence if np.size(self.influence) else ()
        if np.size(influence):
            influence = _readonly_array("influence", influence, np.float32, (frames - 1, agents, agents))
        object.__setattr__(self, "influence", influence)

        views = tuple(self.views)
        if len(views) != agents:
            raise ValueError(f"views has {len(views)} entries for {agents} agents")
        for i, view in enumerate(views):
            shape = np.shape(view)
            if len(shape) != 4 or shape[0] != frames or shape[3] != 3 or 0 in shape:
                raise ValueError(f"views[{i}] has shape {shape}, not [{frames}, h, w, 3]")
        views = tuple(_readonly_array(f"views[{i}]", v, np.uint8, np.shape(v)) for i, v in enumerate(views))
        object.__setattr__(self, "views", views)

        seen = tuple(self.visible)
        if len(seen) not in (0, agents):
            raise ValueError(f"seen has {len(seen)} entries for {agents} agents; give one each, or none")
        seen = tuple(_readonly_array(f"seen[{i}]", s, np.bool_, (frames, height, width)) for i, s in enumerate(seen))
        object.__setattr__(self, "seen", seen)
        self._check_values()

    def _check_values(self):
        """Values that shapes cannot tell: cells on the map, headings, shares, actions."""
        here = self.position[self.agent_mask]
        if here.size and ((here < 0) | (here >= (self.height, self.width))).any():
            raise ValueError(f"position puts an active agent off the {self.height}×{self.width} map")
        if self.goals.size and ((self.goals < 0) | (self.goals >= (self.height, self.width))).any():
            raise ValueError(f"goals has a cell off the {self.height}×{self.width} map")
        if ((self.heading < 0) | (self.heading > 3)).any():
            raise ValueError("heading must be 0 north, 1 east, 2 south or 3 west")
        # Written so that a NaN fails too.
        if not ((self.prestige >= 0) & (self.prestige <= 1)).all():
            raise ValueError("prestige must lie in [0, 1]")
        if not np.isfinite(self.reward).all():
            raise ValueError("reward must be finite")
        if isinstance(self.influence, np.ndarray):
            if not np.isfinite(self.influence).all():
                raise ValueError("influence must be finite")
            if np.diagonal(self.influence, axis1=1, axis2=2).any():
                raise ValueError("influence of an agent on itself must be 0")
        acted = self.action[self.agent_mask[:-1]]
        if acted.size and ((acted < 0) | (acted >= len(self.action_names))).any():
            raise ValueError(f"action must index the {len(self.action_names)} action_names")

    @property
    def num_steps(self) -> int:
        """T, the number of actions."""
        return len(self.tiles) - 1

    @property
    def num_agents(self) -> int:
        return len(self.agent_names)

    @property
    def height(self) -> int:
        return self.tiles.shape[1]

    @property
    def width(self) -> int:
        return self.tiles.shape[2]

    def carried_tile(self, t: int, agent: int) -> int:
        """The kind of tile an agent has in hand at moment t; 0 is nothing."""
        return int(self.carrying[t, agent]) if isinstance(self.carrying, np.ndarray) else 0

    def influence_pairs(self, t: int) -> list[tuple[int, int, float]]:
        """Who moved whom in the step that led to moment t, and how far: (influencer, influenced, nats).

        From the least; none of 0, none at the start, none of agents that are not there.
        """
        if not isinstance(self.influence, np.ndarray) or t == 0:
            return []
        here = self.agent_mask[t]
        told = np.where(here[:, None] & here, self.influence[t - 1], 0)
        found = [(int(k), int(j), float(told[k, j])) for k, j in np.argwhere(told)]
        return sorted(found, key=lambda one: abs(one[2]))

    @property
    def max_influence(self) -> float:
        """The largest influence of any step, whichever its sign; 0 where none is told. Nats."""
        return float(np.abs(self.influence).max()) if isinstance(self.influence, np.ndarray) else 0.0

    def returns(self) -> np.ndarray:
        """Undiscounted reward collected before each moment. f64[T+1, A]."""
        total = np.zeros((self.num_steps + 1, self.num_agents))
        np.cumsum(self.reward, axis=0, dtype=np.float64, out=total[1:])
        return total

    def save(self, path: str | os.PathLike) -> Path:
        """Write everything to one compressed .npz at exactly this path, whole or not at all.

        Returns: the path.
        Raises: StorageError if the disk refuses.
        """
        text = {field: getattr(self, field) for field in ("task", "names", "roles", "action_names", "note")}
        # As bytes of JSON: numpy's own text arrays drop trailing NULs, and objects would need pickle.
        meta = json.dumps({"format": RECORDING_FORMAT, "views": len(self.views), "seen": len(self.visible), **text})
        arrays = {field: getattr(self, field) for field in _ARRAY_FIELDS}
        if len(self.carrying):
            arrays["carrying"] = self.carrying
        if len(self.influence):
            arrays["influence"] = self.influence
        arrays |= {f"view_{i}": view for i, view in enumerate(self.views)}
        arrays |= {f"seen_{i}": seen for i, seen in enumerate(self.visible)}
        file = io.BytesIO()
        np.savez_compressed(file, meta=np.frombuffer(meta.encode(), np.uint8), **arrays)
        return write_file_atomic(path, file.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Recording":
        """Read what `save` wrote.

        Raises: MissingError if there is no such file; StorageError if it cannot be read; CorruptError if
        it is truncated, altered or not a recording.
        """
        try:
            content = Path(path).read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(f"no recording at {path}") from error
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                meta = json.loads(file["meta"].tobytes())
                if meta.pop("format") != RECORDING_FORMAT:
                    raise ValueError("it has another format version")
                views = tuple(file[f"view_{i}"] for i in range(meta.pop("views")))
                seen = tuple(file[f"seen_{i}"] for i in range(meta.pop("seen")))
                arrays = {
                    field: file[field]
                    for field in (*_ARRAY_FIELDS, *(name for name in ("carrying", "influence") if name in file.files))
                }
            return cls(**meta, **arrays, views=views, visible=seen)
        except (ValueError, TypeError, KeyError, AttributeError, EOFError, OSError, zlib.error) as error:
            raise CorruptFileError(f"{path} is not a whole recording: {error}") from error
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise CorruptFileError(f"{path} is not a whole recording: {error}") from error


_ARRAY_FIELDS = ("tiles", "position", "heading", "active", "prestige", "reward", "action", "goals")


def _string_tuple(field, value):
    """A tuple of str; a bare string is refused, for it would become one name a letter."""
    if isinstance(value, str) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{field} must be a tuple of texts, not {value!r}")
    return tuple(value)


def _readonly_array(field, value, dtype, shape):
    """A read-only copy of `value` as `dtype`; whole numbers must keep their value."""
    array = np.asarray(value)
    if array.shape != shape:
        raise ValueError(f"{field} has shape {array.shape}, not {shape}")
    if array.dtype.kind not in "buif":
        raise ValueError(f"{field} must hold numbers, not {array.dtype}")
    with np.errstate(invalid="ignore"):  # the comparison below says it better than a warning
        cast = array.astype(dtype)
    if cast.dtype.kind != "f" and not np.array_equal(cast, array):
        raise ValueError(f"{field} has values that {np.dtype(dtype).name} cannot hold")
    cast.setflags(write=False)
    return cast
