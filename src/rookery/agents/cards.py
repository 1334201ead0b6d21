"""Cards of trained agents: the JSON file next to the weights. Kept apart so that reading one does not import JAX."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rookery.errors import CorruptFileError, IncompatibleError, NotFoundError

CARD_FORMAT = 1
REQUIRED_KEYS = ("format", "network", "observation_shape", "num_actions", "sha256")


def read_card(path: Path) -> dict[str, Any]:
    """The card in a file.

    Raises: NotFoundError if there is none; CorruptFileError if it is not a card; IncompatibleError for another format.
    """
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"{path}: no such card; an agent is NAME.safetensors with NAME.json next to it") from None
    except (ValueError, OSError) as error:
        raise CorruptFileError(f"{path}: not a readable card ({error})") from None
    missing = [key for key in REQUIRED_KEYS if not isinstance(card, dict) or key not in card]
    if missing:
        raise CorruptFileError(f"{path}: the card lacks {', '.join(missing)}")
    if card["format"] != CARD_FORMAT:
        raise IncompatibleError(f"{path}: card format {card['format']}, this version reads {CARD_FORMAT}")
    return card
