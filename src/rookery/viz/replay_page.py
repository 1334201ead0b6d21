"""A recording as a web page with a player, which needs no server and no network."""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from rookery.errors import ConfigError
from rookery.storage.atomic import write_bytes
from rookery.viz import colors
from rookery.viz.arrows import END_MARGIN, MAX_ARROW_WIDTH, MAX_HEAD_WIDTH, SIDE_OFFSET
from rookery.viz.pages import render_template
from rookery.viz.recording import Recording
from rookery.viz.reward_events import reward_events
from rookery.viz.sprites import sprite_data


def write_replay_html(recording: Recording, path: Path | str) -> Path:
    """Write one HTML file that plays the episode: no server, no network, no other file.

    Returns: the path.
    Raises: StorageError if the file cannot be written.
    """
    write_bytes(path, replay_html(recording).encode("utf-8", "replace"), follow_link=True)
    return Path(path)


def replay_html(recording: Recording) -> str:
    """The text of that file."""
    return render_template(
        "replay_page.html",
        title=f"{recording.task}: episode",
        element_id="replay",
        data=_replay_data(recording),
        with_assets=True,
        standalone=True,
    )


def replay_fragment(recording: Recording, element_id: str, *, assets: bool = True, standalone: bool = False) -> str:
    """The player as HTML to put into any page; a page may have several.

    Args:
      element_id: id of the player's element, unique in the page: letters, digits, - and _, starting with a letter.
      assets: include the style and the script; the second replay of a page may leave them out.
      standalone: listen to the keyboard even while the player does not have the focus.
    Raises: ConfigError for another element_id.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", element_id):
        raise ConfigError(f"element_id={element_id!r} must be letters, digits, - and _, and start with a letter")
    data = _replay_data(recording)
    return render_template("replay.html", element_id=element_id, data=data, with_assets=assets, standalone=standalone)


def _replay_data(recording: Recording) -> dict[str, Any]:
    """What player.js reads: labels as JSON; arrays, little-endian, as one deflated block in base64."""
    arrays = _replay_arrays(recording)
    block = zlib.compress(b"".join(array.tobytes() for array in arrays.values()), 9)
    kinds = np.unique(recording.tiles)
    if recording.carrying is not None:
        kinds = np.union1d(kinds, recording.carrying)
    kinds = [int(kind) for kind in kinds]
    return {
        "task": recording.task,
        "note": recording.note,
        "steps": recording.num_steps,
        "height": recording.height,
        "width": recording.width,
        "goals": recording.goals.tolist(),
        "actions": recording.action_names,
        "agents": [
            {"name": name, "role": role, "letter": colors.agent_letter(i)}
            for i, (name, role) in enumerate(zip(recording.agent_names, recording.roles, strict=True))
        ],
        "events": [[event.step, event.agent, event.reward, event.text] for event in reward_events(recording)],
        "has_visibility": bool(recording.visible),
        "max_influence": recording.max_influence,
        "arrow_shape": {
            "max_width": MAX_ARROW_WIDTH,
            "side_offset": SIDE_OFFSET,
            "end_margin": END_MARGIN,
            "max_head_width": MAX_HEAD_WIDTH,
        },
        "tile_kinds": kinds,
        "sprites": sprite_data(kinds, numbered=len(recording.goals) > 0),
        "arrays": [[name, array.dtype.name, array.shape] for name, array in arrays.items()],
        "block": base64.b64encode(block).decode("ascii"),
    }


def _replay_arrays(recording: Recording) -> dict[str, np.ndarray]:
    """Little-endian arrays by the names that player.js knows them by."""
    tiles = recording.tiles
    if (tiles == tiles[0]).all():
        tiles = tiles[:1]  # the player repeats the last frame that it has
    arrays = {
        "tiles": tiles,
        "position": recording.position,
        "heading": recording.heading,
        "agent_mask": recording.agent_mask,
        "prestige": recording.prestige,
        "reward": recording.reward,
        "action": recording.action,
    }
    if recording.carrying is not None:
        arrays["carrying"] = recording.carrying
    if recording.influence is not None and recording.max_influence:
        arrays["influence"] = recording.influence
    arrays |= {f"view{i}": view for i, view in enumerate(recording.views)}
    arrays |= {f"visible{i}": cells for i, cells in enumerate(recording.visible)}
    return {name: array.astype(array.dtype.newbyteorder("<")) for name, array in arrays.items()}
