"""The page in a real browser: keys and clicks move the agent, everybody sees it, and nothing outside is asked for."""

import asyncio
import json

import numpy as np
import pytest
from PIL import Image

from rookery.commands.play import make_game_setup
from rookery.gridworld.tiles import KEY
from rookery.play.game import Game
from rookery.viz import colors, write_replay_html
from tests.play.client import BROWSER, chromium
from tests.play.conftest import place, served, start
from tests.viz.conftest import walk
from tests.viz.test_arrows import together
from tests.worlds import EAST, WEST

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")

GAME = "document.querySelector('#game')"
ON = f"{GAME}.dataset.state === 'on' && {GAME}.dataset.step !== undefined"

BOXES = """[...document.querySelectorAll('.rk-rules, .rk-map canvas, .rk-pad button')].map((node) => {
  const box = node.getBoundingClientRect(); return [box.x, box.y, box.width, box.height]; })"""


def text(selector):
    return f"document.querySelector({selector!r}).textContent"


def test_three_browsers_play_and_watch(tmp_path):
    game = start()
    game.paused = True
    place(game, [(1, 1), (3, 7)], [EAST, WEST])

    async def scenario():
        async with served(game, fps=30) as server, chromium(tmp_path) as visit:
            one, two, three = [await visit(server.url) for _ in range(3)]
            for page in (one, two, three):
                await page.until(ON)
            await one.until(f"{text('.rk-you')} === 'You are A; 1 watching'")
            await three.until(f"{text('.rk-you')} === 'You are watching'")
            await one.until(f"{text('.rk-overlay strong')} === 'Paused'")
            assert await three.run("[...document.querySelectorAll('.rk-pad button')].every((b) => b.disabled)")
            # The map is painted when its first layout is known, which on a slow machine is after the first message.
            assert await one.until("document.querySelector('.rk-map canvas').getAttribute('aria-label')") == (
                "Map at step 0. A turner at row 2, column 2, facing east; B walker at row 4, column 8, facing west; "
                "goal 1 at row 2, column 4; goal 2 at row 2, column 7"
            )
            await one.screenshot(tmp_path / "one.png")

            # A key of the player's ends the pause and moves the agent: to the goal two cells on.
            game.rest_ticks = 10_000  # a slow machine may notice only after the end of the episode
            await one.key("ArrowUp", up=False)
            await one.until(f"{GAME}.dataset.step >= 4")
            await one.key("ArrowUp", down=False)

            # The episode ends, its returns are shown, and the next begins at once with R.
            await two.until(f"{GAME}.dataset.done === 'true'")
            earned = int(game.returns[0])
            assert earned in (1, 2)  # by when the key was let go: the next goal lies on the same way
            assert game.seats == {1: 0, 2: 1}
            await three.until(f"document.querySelectorAll('.rk-agent dd')[0].textContent === '{earned}'")
            await two.until(f"{text('.rk-overlay')}.includes('A turner: {earned}')")
            await two.key("r")
            await two.until(f"{GAME}.dataset.episode === '2'")
            assert game.episode == 1

            # Seats change hands by click; a spectator takes the free one.
            await one.click(".rk-agent button")
            await one.until(f"{GAME}.dataset.seat === 'null'")
            await three.click(".rk-agent button")
            await three.until(f"{GAME}.dataset.seat === '0'")
            await three.key("p")
            await three.until(f"{GAME}.dataset.paused === 'true'")
            await three.key("r")
            await three.until(f"{GAME}.dataset.episode === '3' && {GAME}.dataset.step === '0'")
            before = int(game.render_state.heading[0])
            await three.click(".rk-pad button:nth-child(2)")  # right, once or for as many steps as the click lasts
            await three.until(f"{GAME}.dataset.done === 'true'")
            turns = list(game.recording().action[:, 0]).count(game.action_names.index("right"))
            assert turns >= 1
            assert game.render_state.heading[0] == (before + turns) % 4

            # Fog hides what the agent does not see.
            await three.key("f")
            await three.until("document.querySelector('input[type=checkbox]').checked")
            await three.screenshot(tmp_path / "fog.png")
            label = await three.run("document.querySelector('.rk-map canvas').getAttribute('aria-label')")
            seen = [number for number, cell in ((1, (1, 3)), (2, (1, 6))) if game.render_state.visible[0][cell]]
            assert [number for number in (1, 2) if f"goal {number}" in label] == seen

            # The film of the episode is a page of its own that plays.
            film = await visit(server.url)
            await film.until(ON)
            assert await film.run("fetch('/replay').then((r) => r.text()).then((t) => t.includes('RookeryReplay'))")
            # Who closes the tab is gone.
            await two.call("Page.close")
            await three.until("document.querySelectorAll('.rk-role')[1].textContent !== 'a person'")
            problems = [page.problems for page in (one, three, film)]
            assert problems == [[], [], []]

    asyncio.run(scenario())
    bright = np.asarray(Image.open(tmp_path / "one.png").convert("RGB"))
    dark = np.asarray(Image.open(tmp_path / "fog.png").convert("RGB"))
    night = (np.abs(dark.astype(int) - colors.UNSEEN_OVERLAY_COLOR).max(-1) < 8).mean()
    assert night > 0.08
    assert (np.abs(bright.astype(int) - colors.UNSEEN_OVERLAY_COLOR).max(-1) < 3).mean() < 0.05


def test_the_label_names_what_the_picture_shows(tmp_path):
    """One goal, so no numbers; with fog the label has no more than the picture."""
    game = start()
    game.paused = True
    state = game.render_state
    tiles, visible = state.tiles.copy(), np.zeros_like(state.visible)
    tiles[1, 6], tiles[2, 1], tiles[2, 5:8] = 0, KEY, 68
    tiles[2, 3] = 200  # a kind of an own task, which has no sprite
    visible[:, 1:3, :6] = True  # the goal, the key, the unknown kind and one of three cells of waste
    game.render_state = state._replace(
        tiles=tiles, visible=tuple(visible), goals=state.goals[:1], carrying=np.array([KEY, 0])
    )
    label = "document.querySelector('.rk-map canvas').getAttribute('aria-label')"
    me = "Map at step 0. A turner at row 2, column 2, facing east, carrying key"

    async def scenario():
        async with served(game) as server, chromium(tmp_path) as visit:
            page = await visit(server.url)
            await page.until(f"{ON} && {label}")
            assert await page.run(label) == (
                f"{me}; B walker at row 4, column 8, facing west; goal at row 2, column 4; key at row 3, column 2; "
                "waste on 3 cells; tile kind 200 at row 3, column 4"
            )
            assert "tile kind 200" in await page.run(text(".rk-legend"))
            assert "goal" in await page.run(text(".rk-legend"))
            assert "goal, numbered" not in await page.run(text(".rk-legend"))
            await page.key("f")
            assert await page.run(label) == (
                f"{me}; goal at row 2, column 4; key at row 3, column 2; waste at row 3, column 6; "
                "tile kind 200 at row 3, column 4"
            )

    asyncio.run(scenario())


def test_a_key_that_comes_up_is_let_go_whatever_else_is_down(tmp_path):
    """Under Shift or Option the key that comes up may have another name than when it went down."""
    strokes = [
        ({"key": "d"}, {"key": "∂"}),
        ({"key": "d"}, {"key": "∂", "altKey": True}),
        ({"key": "d"}, {"key": "d", "ctrlKey": True}),
        ({"key": "d"}, {"key": "d", "metaKey": True}),
    ]

    async def scenario():
        async with served(start()) as server, chromium(tmp_path) as visit:
            page = await visit(server.url)
            await page.until(ON)

            async def down_after(kind, stroke):
                event = {"code": "KeyD", "bubbles": True, **stroke}
                await page.run(f"document.body.dispatchEvent(new KeyboardEvent('key{kind}', {json.dumps(event)})), 0")
                return await page.run("document.querySelectorAll('.rk-down').length")

            for pressed, released in strokes:
                assert await down_after("down", pressed) == 1
                assert await down_after("up", released) == 0, released
            assert await down_after("down", {"key": "d"}) == 1
            assert await down_after("down", {"key": "Meta", "code": "MetaLeft", "metaKey": True}) == 0

    asyncio.run(scenario())


def test_a_lost_game_is_found_again(tmp_path):
    async def scenario():
        async with chromium(tmp_path) as visit:
            async with served(start()) as server:
                page = await visit(server.url)
                await page.until(ON)
                await page.key("f")
                await page.until("document.querySelector('input[type=checkbox]').checked")
                port = server.port
            await page.until(f"{GAME}.dataset.state === 'lost'")
            await page.until(f"{text('.rk-status')}.includes('the game was closed')")
            async with served(Game(make_game_setup("cleanup-small-v0", ("random",)), (0,)), port=port):  # other agents
                await page.until(f"{GAME}.dataset.state === 'on'")
                await page.until(f"{text('.rk-status')} === ''")
                await page.until("document.querySelectorAll('.rk-agent').length === 3")
                assert await page.run("document.querySelector('input[type=checkbox]').checked")
                assert not [problem for problem in page.problems if isinstance(problem, dict)]  # no exception

    asyncio.run(scenario())


def test_the_game_and_replays_fit_a_small_phone(tmp_path):
    game = start()
    replay = write_replay_html(together(walk()), tmp_path / "replay.html")

    async def scenario():
        async with served(game) as server, chromium(tmp_path) as visit:
            for url, ready in (
                (server.url, ON),
                (replay.as_uri(), "document.querySelector('.rk-replay').dataset.ready"),
            ):
                page = await visit(url)
                await page.call(
                    "Emulation.setDeviceMetricsOverride", width=320, height=568, deviceScaleFactor=1, mobile=True
                )
                await page.until(ready)
                await page.until("document.documentElement.scrollWidth <= 320 && innerWidth <= 320")
                if url == server.url:
                    # Rules, map and buttons are on the first screen, also if the map were as high as it is wide.
                    rules, board, *buttons = await page.until(f"{BOXES}[0][3] && {BOXES}[1][3] && {BOXES}")
                    assert 0 < rules[1] < rules[1] + rules[3] <= board[1]
                    assert len(buttons) == 3
                    for _, top, _, height in buttons:
                        assert board[1] + board[3] < top
                        assert top + height + board[2] - board[3] <= 568

    asyncio.run(scenario())


@pytest.mark.parametrize("task", ["goal-cycle-demo-v0", "goal-cycle-v0", "cleanup-v0"])  # of 3, 6 and 8 actions
def test_map_and_buttons_are_on_the_first_screen(task, tmp_path):
    game = Game(make_game_setup(task, ("random",)), (0,))
    game.paused = True

    async def scenario():
        async with served(game) as server, chromium(tmp_path) as visit:
            page = await visit(server.url)
            await page.until(ON)
            await page.front()
            for width, height in ((320, 568), (390, 844), (568, 320), (844, 390), (1280, 800)):
                await page.call(
                    "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=True
                )
                await page.until(f"innerWidth === {width} && document.documentElement.scrollWidth <= {width}")
                await page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
                rules, board, *buttons = await page.run(BOXES)
                assert min(board[2:]) >= 100  # on the widest and lowest screens, too
                for box in (board, *buttons):
                    assert box[0] >= 0
                    assert box[1] >= 0
                    assert box[0] + box[2] <= width, (width, height, box)
                    assert box[1] + box[3] <= height, (width, height, box)
                for box in buttons:
                    assert min(box[2:]) >= 40
                    assert apart(box, board)
                assert apart(rules, board)

    asyncio.run(scenario())


def apart(one, other):
    """Whether two boxes (x, y, width, height) do not overlap."""
    return any(a[i] + a[i + 2] <= b[i] for i in (0, 1) for a, b in ((one, other), (other, one)))
