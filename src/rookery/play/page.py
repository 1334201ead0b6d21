"""The game page: one HTML text with everything that it needs except the state of the game."""

from __future__ import annotations

from rookery.viz.pages import render_template
from rookery.viz.sprites import SPRITES, sprite_data


def game_page(task: str, *, numbered: bool) -> str:
    """The page of a game of this task, HTML. `numbered`: its goals have numbers."""
    sprites = sprite_data(list(SPRITES), numbered=numbered)
    return render_template("game_page.html", title=f"Play {task}", sprites=sprites)
