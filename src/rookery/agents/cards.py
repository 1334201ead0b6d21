"""Cards of trained agents: the JSON file next to the weights. Kept apart so that reading one does not import JAX."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypedDict

from rookery.errors import ConfigError, CorruptFileError, IncompatibleError, NotFoundError, StorageError
from rookery.storage.atomic import check_path, storage_error
from rookery.storage.serialization import check_json, load_json

CARD_FORMAT = 1
REQUIRED_KEYS = ("format", "network", "observation_shape", "num_actions", "sha256", "card_sha256")
MAX_CARD_BYTES = 1 << 20


class _Returns(TypedDict, total=False):
    mean: float


class Card(TypedDict, total=False):
    """The entries of a card that commands read, besides those that describe the policy (`weights`): none is required,
    since an agent may come from elsewhere."""

    name: str
    title: str
    task: dict[str, object]
    slot: int
    seed: int
    partners: str | None  # of several kinds all, with commas
    partners_by_slot: dict[str, str]  # where they are of several kinds
    evaluated_with: dict[str, str]  # partners in the episodes of the returns, by slot
    returns: _Returns
    scripted: _Returns
    steps: int
    minutes: float
    machine: dict[str, object]
    training_stages: tuple[dict[str, object], ...]
    cloning: dict[str, object]


def read_card(path: Path | str) -> dict[str, Any]:
    """The card in a file, checked against its own digest.

    Raises: NotFoundError if there is none; CorruptFileError if it is not a card, or not as it was written;
      IncompatibleError for another format; StorageError if it cannot be read.
    """
    check_path(path)
    path = Path(path)
    try:
        if path.stat().st_size > MAX_CARD_BYTES:
            raise CorruptFileError(f"it has more than {MAX_CARD_BYTES:,} bytes")
        card = load_json(path, CorruptFileError)
    except StorageError:
        raise
    except (FileNotFoundError, NotADirectoryError, NotFoundError):
        raise NotFoundError(f"{path}: no such card; an agent is NAME.safetensors with NAME.json next to it") from None
    except CorruptFileError as error:
        raise CorruptFileError(f"{path}: damaged: not a readable card ({error})") from None
    except OSError as error:
        raise storage_error("read", path, error) from error
    missing = [key for key in REQUIRED_KEYS if not isinstance(card, dict) or key not in card]
    if missing:
        raise CorruptFileError(f"{path}: damaged: the card lacks {', '.join(missing)}")
    if card["format"] != CARD_FORMAT:
        raise IncompatibleError(f"{path}: card format {card['format']!r}, this version reads {CARD_FORMAT}")
    if card["card_sha256"] != card_digest(card):
        raise CorruptFileError(
            f"{path}: damaged: the card is not as it was written (card_sha256 differs); fetch it again, or, if a run "
            "wrote it, resume it"
        )
    try:
        check_json(Card, card, "card")
    except ConfigError as error:  # sealed by another program
        raise CorruptFileError(f"{path}: damaged: {error}; export the agent again, or fetch its card again") from None
    return card


def seal_card(card: dict[str, Any]) -> dict[str, Any]:
    """The card with its own digest, as `read_card` expects it. Raises ValueError for NaN, TypeError for no JSON."""
    return {**card, "card_sha256": card_digest(card)}


def card_digest(card: dict[str, Any]) -> str:
    """SHA-256 of a card's other entries, whatever their order and layout in the file."""
    content = {key: value for key, value in card.items() if key != "card_sha256"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, allow_nan=False).encode()).hexdigest()
