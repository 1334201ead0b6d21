"""The page a game is played on: one text, with everything it needs but the game."""

from __future__ import annotations

import json
from importlib import resources

from rookery.viz.sprites import SPRITES, sprite_data
from rookery.viz.video import CONTENT_SECURITY_POLICY, html_page, read_asset

# What it carries, and its own WebSocket.
GAME_CONTENT_SECURITY_POLICY = f"{CONTENT_SECURITY_POLICY}; connect-src 'self'"


def game_page(task: str) -> str:
    """The page of a game of this task, HTML."""
    look = json.dumps(sprite_data(list(SPRITES), numbered=True)).replace("<", "\\u003c")
    folder = resources.files("rookery.play")
    style, script = (folder.joinpath(name).read_text("utf-8") for name in ("play.css", "play.js"))
    body = "\n".join((
        '<main class="rk-page"><section class="rk-film rk-game" id="game" tabindex="0" aria-label="The game">',
        f'<script type="application/json" class="rk-look">{look}</script>',
        '<p class="rk-wait" role="status">Reaching the game…</p>',
        "</section></main>",
        f"<script>{read_asset('board.js')}\n{script}</script>",
    ))  # fmt: skip
    return html_page(f"Play {task}", body, f"{read_asset('player.css')}\n{style}", GAME_CONTENT_SECURITY_POLICY)
