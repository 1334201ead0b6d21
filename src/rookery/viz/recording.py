"""One recorded episode as plain arrays: everything that a replay shows."""

import dataclasses
import io
import json
from pathlib import Path

import numpy as np

from rookery.errors import CorruptFileError, NotFoundError, StorageError
from rookery.storage.archive_errors import ARCHIVE_ERRORS
from rookery.storage.atomic import check_path, read_file, write_bytes

ROLES = ("learning", "frozen", "scripted", "random", "person")
"""Who chose an agent's actions. frozen: a trained policy that no longer changes."""

RECORDING_FORMAT = 2
"""Version of the file format; raise it when a field changes its name or meaning."""


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Recording:
    """One episode of T steps with A agents on a map of H×W cells. (row, col), (0, 0) at the top left.

    Index t of a [T+1] field is the state before action t; the last one is the state at the end. Arrays are copied, cast
    to the type given here and made read-only.

    Raises: ValueError, naming the field and the shapes, if fields do not fit together or a value is out of range.
    """

    task: str
    agent_names: tuple[str, ...]  # [A], for people: "novice", "expert 1"
    roles: tuple[str, ...]  # [A], each one of ROLES
    tiles: np.ndarray  # uint8[T+1, H, W]; kinds of sprites.py
    position: np.ndarray  # int16[T+1, A, 2]; any value while an agent is absent
    heading: np.ndarray  # int8[T+1, A]; 0 north, 1 east, 2 south, 3 west
    agent_mask: np.ndarray  # bool[T+1, A]; absent agents are not drawn
    prestige: np.ndarray  # float32[T+1, A] in [0, 1]; the blue fraction of the agent's color
    reward: np.ndarray  # float32[T, A], for action t
    action: np.ndarray  # int8[T, A]; an index into action_names, any value while an agent is absent
    action_names: tuple[str, ...]
    goals: np.ndarray  # int16[K, 2] in their order; K = 0 where goals have no numbers
    views: tuple[np.ndarray, ...]  # [A] of uint8[T+1, h, w, 3]; h and w may differ between agents
    carrying: np.ndarray | None = None  # int8[T+1, A], kind of tile in hand, 0 nothing; None: no agent ever carries
    visible: tuple[np.ndarray, ...] = ()  # [A] of bool[T+1, H, W], map cells that each agent sees; () if not recorded
    influence: np.ndarray | None = None  # float32[T, A, A], nats, of the first agent on the second; None: not recorded
    note: str = ""

    def __post_init__(self) -> None:
        for field in ("task", "note"):
            if not isinstance(getattr(self, field), str):
                raise ValueError(f"{field} must be text, not {type(getattr(self, field)).__name__}")
        for field in ("agent_names", "roles", "action_names"):
            object.__setattr__(self, field, _string_tuple(field, getattr(self, field)))
        agents = len(self.agent_names)
        if not agents:
            raise ValueError("agent_names is empty; a recording needs at least one agent")
        if len(self.roles) != agents:
            raise ValueError(f"roles has {len(self.roles)} entries for {agents} agent_names")
        if unknown := sorted(set(self.roles) - set(ROLES)):
            raise ValueError(f"roles has {unknown}; allowed are {list(ROLES)}")
        if np.ndim(self.tiles) != 3 or 0 in np.shape(self.tiles):
            raise ValueError(f"tiles has shape {np.shape(self.tiles)}, not [T+1, H, W] with each at least 1")
        self._cast_arrays()
        self._cast_views()
        self._check_values()

    def _cast_arrays(self):
        frames, height, width = np.shape(self.tiles)
        agents = len(self.agent_names)
        shapes = {
            "tiles": (np.uint8, (frames, height, width)),
            "position": (np.int16, (frames, agents, 2)),
            "heading": (np.int8, (frames, agents)),
            "agent_mask": (np.bool_, (frames, agents)),
            "prestige": (np.float32, (frames, agents)),
            "reward": (np.float32, (frames - 1, agents)),
            "action": (np.int8, (frames - 1, agents)),
            "goals": (np.int16, (np.size(self.goals) // 2, 2)),
            "carrying": (np.int8, (frames, agents)),
            "influence": (np.float32, (frames - 1, agents, agents)),
        }
        for field, (dtype, shape) in shapes.items():
            value = getattr(self, field)
            if field == "goals" and np.size(value) == 0:
                value = np.zeros((0, 2), np.int16)
            if value is not None or field not in _OPTIONAL_ARRAY_FIELDS:
                object.__setattr__(self, field, _readonly_array(field, value, dtype, shape))

    def _cast_views(self):
        frames, agents = len(self.tiles), len(self.agent_names)
        views = tuple(self.views)
        if len(views) != agents:
            raise ValueError(f"views has {len(views)} entries for {agents} agents")
        for i, view in enumerate(views):
            shape = np.shape(view)
            if len(shape) != 4 or shape[0] != frames or shape[3] != 3 or 0 in shape:
                raise ValueError(f"views[{i}] has shape {shape}, not [{frames}, h, w, 3]")
        views = tuple(_readonly_array(f"views[{i}]", v, np.uint8, np.shape(v)) for i, v in enumerate(views))
        object.__setattr__(self, "views", views)
        visible = tuple(self.visible)
        if len(visible) not in (0, agents):
            raise ValueError(f"visible has {len(visible)} entries for {agents} agents; give one per agent, or none")
        visible = tuple(
            _readonly_array(f"visible[{i}]", cells, np.bool_, np.shape(self.tiles)) for i, cells in enumerate(visible)
        )
        object.__setattr__(self, "visible", visible)

    def _check_values(self):
        """Check what shapes cannot: cells are on the map, headings, fractions and actions are in range."""
        cells = self.position[self.agent_mask]
        if cells.size and ((cells < 0) | (cells >= (self.height, self.width))).any():
            raise ValueError(f"position puts a present agent off the {self.height}×{self.width} map")
        if self.goals.size and ((self.goals < 0) | (self.goals >= (self.height, self.width))).any():
            raise ValueError(f"goals has a cell off the {self.height}×{self.width} map")
        if ((self.heading < 0) | (self.heading > 3)).any():
            raise ValueError("heading must be 0 north, 1 east, 2 south or 3 west")
        # Written so that a NaN fails too.
        if not ((self.prestige >= 0) & (self.prestige <= 1)).all():
            raise ValueError("prestige must lie in [0, 1]")
        if not np.isfinite(self.reward).all():
            raise ValueError("reward must be finite")
        if self.influence is not None:
            if not np.isfinite(self.influence).all():
                raise ValueError("influence must be finite")
            if np.diagonal(self.influence, axis1=1, axis2=2).any():
                raise ValueError("influence of an agent on itself must be 0")
        actions = self.action[self.agent_mask[:-1]]
        if actions.size and ((actions < 0) | (actions >= len(self.action_names))).any():
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
        """The kind of tile that an agent has in hand at step t; 0 is nothing."""
        return 0 if self.carrying is None else int(self.carrying[t, agent])

    def influence_pairs(self, t: int) -> list[tuple[int, int, float]]:
        """Influence between agents in the step before state t: (influencer, influenced, nats), smallest first.

        Zeros, absent agents and the initial state have none.
        """
        if self.influence is None or t == 0:
            return []
        agent_mask = self.agent_mask[t]
        influence = np.where(agent_mask[:, None] & agent_mask, self.influence[t - 1], 0)
        pairs = [(int(k), int(j), float(influence[k, j])) for k, j in np.argwhere(influence)]
        return sorted(pairs, key=lambda pair: abs(pair[2]))

    @property
    def max_influence(self) -> float:
        """The largest absolute influence in any step, in nats; 0 where none is recorded."""
        return 0.0 if self.influence is None or not self.influence.size else float(np.abs(self.influence).max())

    def returns(self) -> np.ndarray:
        """Undiscounted sum of rewards before each state. f64[T+1, A]."""
        total = np.zeros((self.num_steps + 1, self.num_agents))
        np.cumsum(self.reward, axis=0, dtype=np.float64, out=total[1:])
        return total

    def save(self, path: Path | str) -> Path:
        """Write everything to one compressed .npz at exactly this path, whole or not at all.

        Returns: the path.
        Raises: StorageError if the file cannot be written.
        """
        text = {field: getattr(self, field) for field in ("task", "agent_names", "roles", "action_names", "note")}
        # As bytes of JSON: numpy's own text arrays drop trailing NULs, and objects would need pickle.
        meta = {"format": RECORDING_FORMAT, "views": len(self.views), "visible": len(self.visible), **text}
        arrays = {field: getattr(self, field) for field in (*_ARRAY_FIELDS, *_OPTIONAL_ARRAY_FIELDS)}
        arrays = {field: array for field, array in arrays.items() if array is not None}
        arrays |= {f"view_{i}": view for i, view in enumerate(self.views)}
        arrays |= {f"visible_{i}": cells for i, cells in enumerate(self.visible)}
        file = io.BytesIO()
        np.savez_compressed(file, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8), **arrays)
        write_bytes(path, file.getvalue(), follow_link=True)
        return Path(path)

    @classmethod
    def load(cls, path: Path | str) -> "Recording":
        """Read what `save` wrote.

        Raises: NotFoundError if there is no such file; StorageError if it cannot be read; CorruptFileError if it is
          truncated, altered or not a recording.
        """
        check_path(path)
        try:
            content = read_file(path)
        except FileNotFoundError as error:
            raise NotFoundError(f"no recording at {path}") from error
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                meta = json.loads(file["meta"].tobytes())
                if meta.pop("format") != RECORDING_FORMAT:
                    raise ValueError("its format version is another one")
                views = tuple(file[f"view_{i}"] for i in range(meta.pop("views")))
                visible = tuple(file[f"visible_{i}"] for i in range(meta.pop("visible")))
                optional = [field for field in _OPTIONAL_ARRAY_FIELDS if field in file.files]
                arrays = {field: file[field] for field in (*_ARRAY_FIELDS, *optional)}
            return cls(**meta, **arrays, views=views, visible=visible)
        except (*ARCHIVE_ERRORS, AttributeError) as error:  # the latter where its metadata are no object
            raise CorruptFileError(f"{path} is not a valid recording: {error}") from error


_ARRAY_FIELDS = ("tiles", "position", "heading", "agent_mask", "prestige", "reward", "action", "goals")
_OPTIONAL_ARRAY_FIELDS = ("carrying", "influence")


def _string_tuple(field, value):
    """A tuple of str; a bare string is refused, because it would become one name per letter."""
    if isinstance(value, str) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{field} must be a tuple of texts, not {value!r}")
    return tuple(value)


def _readonly_array(field, value, dtype, shape):
    """A read-only copy of `value` as `dtype`. Raises ValueError if whole numbers change their value."""
    array = np.asarray(value)
    if array.shape != shape:
        raise ValueError(f"{field} has shape {array.shape}, not {shape}")
    if array.dtype.kind not in "buif":
        raise ValueError(f"{field} must hold numbers, not {array.dtype}")
    with np.errstate(invalid="ignore"):  # the comparison below reports it better than a warning
        cast = array.astype(dtype)
    if cast.dtype.kind != "f" and not np.array_equal(cast, array):
        raise ValueError(f"{field} has values that {np.dtype(dtype).name} cannot hold")
    cast.setflags(write=False)
    return cast
