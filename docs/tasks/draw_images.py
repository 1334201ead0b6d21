"""Draws the images of these pages: map and views at one step of an episode, played by the default agents.

Usage: python docs/tasks/draw_images.py [STEP]
"""

import sys
from pathlib import Path

from rookery.commands.play import make_game_setup
from rookery.play.game import Game
from rookery.viz import write_png

TASKS = (
    "key-door", "goal-sequence", "memory-sequence", "four-rooms", "maze", "goal-cycle", "single-goal",
    "sixteen-places", "box-trapped", "cleanup-small", "harvest-small", "coin-game-5x5",
)  # fmt: skip


def main(step: int = 40) -> None:
    for name in TASKS:
        policies = ("defector", "cooperator") if name.startswith("coin-game") else ()
        game = Game(make_game_setup(f"{name}-v0", policies), (), seed=3)
        while game.step < step and not game.done:
            game.tick()
        image = Path(__file__).with_name(f"{name.removesuffix('-small').removesuffix('-5x5')}.png")
        print(write_png(game.recording(), image, game.step), flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
