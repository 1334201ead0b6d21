"""The page a game is played on: one text, with everything it needs but the game."""

from __future__ import annotations

import json
from importlib import resources

from rookery.show.film import POLICY, asset, page
from rookery.show.sprites import KNOWN, board_data

# What it carries, and its own WebSocket.
GAME_POLICY = f"{POLICY}; connect-src 'self'"


def game_page(task: str) -> str:
    """The page of a game of this task, HTML."""
    look = json.dumps(board_data(list(KNOWN), numbered=True)).replace("<", "\\u003c")
    folder = resources.files("rookery.play")
    style, script = (folder.joinpath(name).read_text("utf-8") for name in ("play.css", "play.js"))
    body = "\n".join((
        '<main class="rk-page"><section class="rk-film rk-game" id="game" tabindex="0" aria-label="The game">',
        f'<script type="application/json" class="rk-look">{look}</script>',
        '<p class="rk-wait" role="status">Reaching the game…</p>',
        "</section></main>",
        f"<script>{asset('board.js')}\n{script}</script>",
    ))  # fmt: skip
    return page(f"Play {task}", body, f"{asset('player.css')}\n{style}", GAME_POLICY)
